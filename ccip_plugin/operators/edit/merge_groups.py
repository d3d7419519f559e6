"""Operator: the groups of the selected images are one character."""

from typing import Any

from fiftyone.operators import types

from ...app import route
from ...app.answers import text_of
from ...app.edits import SelectionEdit
from ...app.forms import Form
from ...core.errors import CCIPError
from ...labels.edits import SeveralNamesError, merge_groups
from ...labels.edits.chosen import groups_of
from ...labels.store import LabelStore


class MergeGroups(SelectionEdit):
    """Merges the groups of the selected items; see :func:`~ccip_plugin.labels.edits.merging.merge_groups`."""

    name, label, button = "merge_groups", "CCIP: merge groups", "Merge"
    description = "The groups of the selected images, or detections, are one character; runs keep them together"
    failure = "CCIP could not merge the groups"
    function = staticmethod(merge_groups)
    edited = "{noun} of these groups"
    to_do, nothing = "merge their groups; one of each group is enough", "There is nothing to merge"
    asks = route.asked(path=route.text, group_field=route.text, patches_field=route.text, name=route.text)

    def ask_more(self, form: Form, store: LabelStore) -> None:
        try:
            names = [str(name) for name in groups_of(store, None, "merge")]
        except CCIPError:
            return  # which the dry run says
        choices = types.AutocompleteView(allow_user_input=True)
        for name in names:
            choices.add_choice(name, label=name)
        asked = form.inputs.str(
            "name",
            label="Name of the merged group",
            description="That of one of them, or a new one. Empty: the name that people gave, else that of the largest",
            view=choices,
        )
        try:
            merge_groups(store.target.view, dry_run=True, **self.details(form.ctx), **_field(store))
        except SeveralNamesError as error:
            asked.invalid, asked.error_message = True, f"Choose the name that stays: {', '.join(error.names)}"
        except CCIPError:
            return

    def details(self, ctx: Any) -> dict[str, Any]:
        return {"name": text_of(ctx, "name")}


def _field(store: LabelStore) -> dict[str, Any]:
    return {"patches_field": store.target.patches_field, "group_field": store.group_field}
