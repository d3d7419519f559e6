"""Operator: the selected images or detections are of another group."""

from typing import Any

from ...app import route
from ...app.answers import text_of
from ...app.ask.groups import ask_group
from ...app.edits import SelectionEdit
from ...app.forms import Form
from ...labels.edits import move
from ...labels.store import LabelStore


class Move(SelectionEdit):
    """Moves the selected items into another group; see :func:`~ccip_plugin.labels.edits.assignments.move`."""

    name, label, button = "move", "CCIP: move to a group", "Move"
    description = "The selected images, or detections, are of another group, or of a new one; runs keep them there"
    failure = "CCIP could not move the selection"
    function = staticmethod(move)
    toolbar_text = "Move"
    to_do, nothing = "move to another group", "There is no group to move to"
    asks = route.asked(
        path=route.text, group_field=route.text, patches_field=route.text, to=route.text, reject=route.switch
    )

    def ask_more(self, form: Form, store: LabelStore) -> None:
        label = "Character group (a new name makes a new group)"
        chosen = ask_group(form, store, "to", label, allows_new=True)
        form.switch(
            "reject",
            "Never back into the group that they are in now",
            description="No run assigns them there again, even when their labels are deleted",
        )
        if chosen is None:
            form.hint("empty", "Left empty, they become a new group with a default name.")

    def details(self, ctx: Any) -> dict[str, Any]:
        return {"to": text_of(ctx, "to"), "reject": bool(ctx.params.get("reject"))}
