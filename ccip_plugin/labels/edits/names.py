"""Names groups."""

from dataclasses import replace

from fiftyone.core.collections import SampleCollection

from ...core.errors import check_type
from ...core.identity.groups import GroupNameError
from ...core.plain import canonical_name
from ...core.progress import ProgressCallback
from ...storage.connection import with_database_errors
from ...storage.fields import GROUP_FIELD
from ...storage.targets import resolve
from ..identities import check_name
from ..store import LabelStore
from ..tables import GroupLabel
from .chosen import Edit, GroupRef, check_group, edit
from .report import EditReport, brief


class NameTakenError(GroupNameError):
    """Another group has that name, or images to which users gave it have it."""

    mentions = ("merge_groups",)

    def __init__(self, name: str, group_id: int | None, *, is_apart: bool = False):
        who = "images that users named are called" if group_id is None else "there is a group"
        remedy = "merge the two with merge_groups, or choose another name"
        if is_apart:
            remedy = "users said that the two are different characters, so choose another name"
        super().__init__(f"{who} {name!r} already: {remedy}")
        self.name, self.group_id = name, group_id


@with_database_errors
def rename_group(
    samples: SampleCollection,
    group: GroupRef,
    name: str,
    *,
    group_field: str = GROUP_FIELD,
    patches_field: str | None = None,
    dry_run: bool = False,
    progress: ProgressCallback | None = None,
) -> EditReport:
    """Names a group: the labels of all its images get that name, and nothing else about them changes.

    Runs keep the name, also for a group without images. Costs time for the images of the group.

    Args:
        samples: the dataset, or any view of it; the group of the whole dataset is renamed
        group: its name or id
        name: the new name, in any script; blanks around it are removed
        group_field ("character_group"): the field with the groups
        patches_field (None): the field with the detections, when they were grouped
        dry_run (False): change nothing, only say what would be
        progress (None): called with the number of labels written

    Returns:
        an :class:`~ccip_plugin.labels.edits.report.EditReport`

    Raises:
        GroupNameError: no group can have that name: it is empty, reserved, too long or looks like a default one
        NameTakenError: another group has it
        NoSuchGroupError: there is no such group
        StaleGroupsError: the groups were changed by another process meanwhile; try again
        LeaseHeldError: another process is writing
    """
    check_group(group)
    check_type("name", name, str, "the name of a character group")
    check_name(name)
    new = name.strip()
    store = LabelStore(resolve(samples, patches_field).whole(), group_field)

    def plan(made: Edit) -> None:
        _rename(made, made.resolve(group), new)

    return edit(store, "rename_group", plan, groups=[group], others=[new], dry_run=dry_run, progress=progress)


def _rename(made: Edit, group_id: int, name: str) -> None:
    check_free(made, name, group_id)
    old = made.draft.groups[group_id].name
    made.draft.rename(group_id, name)
    made.about = f"{brief(old)} is {brief(name)} now"
    for item_id, sample_id, label in made.rows:
        if label is not None:
            made.write(item_id, sample_id, label, renamed_label(label, group_id, old, name))


def check_free(made: Edit, name: str, group_id: int | None = None) -> None:
    """Checks that a name is free, or that of a group itself.

    Raises:
        NameTakenError: it is not
    """
    taken = made.draft.id_of_name(name)
    if taken not in (None, group_id) or made.draft.is_typed(name):
        is_apart = None not in (taken, group_id) and made.draft.are_apart(taken or 0, group_id or 0)
        raise NameTakenError(name, taken, is_apart=is_apart)


def renamed_label(label: GroupLabel, group_id: int, old: str, name: str) -> GroupLabel:
    """The label of a member of a group that gets a name.

    Args:
        label: its label
        group_id: the id of the group
        old: the name of the group before
        name: the new name
    """
    if label.is_human and not label.is_settled:
        return replace(label, label=name).confirmed(group_id)
    is_written = canonical_name(label.assigned or "") == canonical_name(old)
    return replace(label, label=name, assigned=name if is_written else label.assigned, group_id=group_id)
