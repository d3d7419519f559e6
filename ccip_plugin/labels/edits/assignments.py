"""Says what images are: of the group that they are in, of another one, or no character at all."""

from collections import Counter
from collections.abc import Sequence

from fiftyone.core.collections import SampleCollection

from ...core.identity.groups import looks_default
from ...core.progress import ProgressCallback
from ...storage.connection import with_database_errors
from ...storage.fields import GROUP_FIELD, STATUS_CONFIRMED, STATUS_IGNORED, UNASSIGNED
from ..identities import check_name
from ..tables import GroupLabel
from .chosen import Edit, GroupRef, NoSuchGroupError, as_groups, check_group, chosen_store, edit
from .report import EditReport, about_groups


@with_database_errors
def confirm(
    samples: SampleCollection,
    *,
    groups: GroupRef | Sequence[GroupRef] | None = None,
    group_field: str = GROUP_FIELD,
    patches_field: str | None = None,
    dry_run: bool = False,
    progress: ProgressCallback | None = None,
) -> EditReport:
    """Says that images are of the group that they are in. Runs keep them there.

    Images in no group, and ignored ones, stay as they are. Costs time for the images, not for the dataset.

    Args:
        samples: a view of the images, or of the detections; with ``groups`` the whole dataset as well
        groups (None): names or ids of groups whose images are confirmed
        group_field ("character_group"): the field with the groups
        patches_field (None): the field with the detections, when they were grouped
        dry_run (False): change nothing, only say what would be
        progress (None): called with the number of labels written

    Returns:
        an :class:`~ccip_plugin.labels.edits.report.EditReport`

    Raises:
        NoSuchGroupError: there is no such group
        TargetError: a whole dataset was given without groups, or what cannot have groups
        StaleGroupsError: the groups were changed by another process meanwhile; try again
        LeaseHeldError: another process is writing
    """
    chosen = as_groups(groups)
    store = chosen_store(samples, chosen, group_field, patches_field, "confirm")
    return edit(store, "confirm", _confirm, groups=chosen, dry_run=dry_run, progress=progress)


def _confirm(made: Edit) -> None:
    for item_id, sample_id, label in made.rows:
        group_id = made.group_of(label)
        if label is None or group_id is None:
            made.n_without += 1
            continue
        made.draft.lift(group_id, [item_id])
        made.write(item_id, sample_id, label, label.confirmed(group_id))
    made.about = about_groups(dict(made.groups.most_common()), made.noun, "of")


@with_database_errors
def ignore(
    samples: SampleCollection,
    *,
    groups: GroupRef | Sequence[GroupRef] | None = None,
    group_field: str = GROUP_FIELD,
    patches_field: str | None = None,
    dry_run: bool = False,
    progress: ProgressCallback | None = None,
) -> EditReport:
    """Says that images show no character that matters. No run puts them into a group.

    Args:
        samples: a view of the images, or of the detections; with ``groups`` the whole dataset as well
        groups (None): names or ids of groups whose images are ignored
        group_field ("character_group"): the field with the groups
        patches_field (None): the field with the detections, when they were grouped
        dry_run (False): change nothing, only say what would be
        progress (None): called with the number of labels written

    Returns:
        an :class:`~ccip_plugin.labels.edits.report.EditReport`

    Raises:
        NoSuchGroupError: there is no such group
        TargetError: a whole dataset was given without groups, or what cannot have groups
        StaleGroupsError: the groups were changed by another process meanwhile; try again
        LeaseHeldError: another process is writing
    """
    chosen = as_groups(groups)
    store = chosen_store(samples, chosen, group_field, patches_field, "ignore")
    return edit(store, "ignore", _ignore, groups=chosen, dry_run=dry_run, progress=progress)


def _ignore(made: Edit) -> None:
    groups: Counter[str] = Counter()
    for item_id, sample_id, label in made.rows:
        ignored = GroupLabel(UNASSIGNED, None, STATUS_IGNORED, assigned=UNASSIGNED)
        made.write(item_id, sample_id, label, ignored)
        if label != ignored:
            groups[(label and label.group_name) or UNASSIGNED] += 1
    made.about = about_groups(dict(groups.most_common()), made.noun, "of")


@with_database_errors
def move(
    samples: SampleCollection,
    to: GroupRef | None,
    *,
    reject: bool = False,
    group_field: str = GROUP_FIELD,
    patches_field: str | None = None,
    dry_run: bool = False,
    progress: ProgressCallback | None = None,
) -> EditReport:
    """Says that images are of another group. Runs keep them there.

    An earlier rejection of them from that group is removed, and undo brings it back.

    Args:
        samples: a view of the images, or of the detections, e.g. ``dataset.select(ids)``
        to: the name or the id of the group; a name that no group has makes a new one, None makes one with a default
            name
        reject (False): remember that they are not of the group that they were in, so that no run brings them back there
            when their labels are deleted
        group_field ("character_group"): the field with the groups
        patches_field (None): the field with the detections, when they were grouped
        dry_run (False): change nothing, only say what would be
        progress (None): called with the number of labels written

    Returns:
        an :class:`~ccip_plugin.labels.edits.report.EditReport`

    Raises:
        GroupNameError: no group can have that name
        NoSuchGroupError: there is no group of that id, or of a name that looks like a default one
        TargetError: a whole dataset was given, or what cannot have groups
        StaleGroupsError: the groups were changed by another process meanwhile; try again
        LeaseHeldError: another process is writing
    """
    if to is not None:
        check_group(to)
    store = chosen_store(samples, None, group_field, patches_field, "move")

    def plan(made: Edit) -> None:
        if made.rows:
            move_all(made, _group_to(made, to), is_rejecting=reject)

    return edit(store, "move", plan, groups=None, others=[] if to is None else [to], dry_run=dry_run, progress=progress)


def _group_to(made: Edit, to: GroupRef | None) -> int:
    """The group of that name or id, a new one where there is none of that name."""
    if to is None:
        return made.draft.new_group()
    if isinstance(to, int):
        return made.resolve(to)
    known = made.draft.id_of_name(to)
    if known is not None:
        return known
    if looks_default(to):
        raise NoSuchGroupError(made.store.path, to, has_any=made.draft.registry.revision > 0)
    check_name(to)
    return made.draft.new_group(to.strip())


def move_all(made: Edit, group_id: int, *, is_rejecting: bool = False) -> None:
    """Plans that all items are of a group."""
    name = made.draft.groups[group_id].name
    for item_id, sample_id, label in made.rows:
        before = made.group_of(label)
        if before == group_id and label is not None:
            after = label.confirmed(group_id)
        else:
            after = GroupLabel(name, group_id, STATUS_CONFIRMED, assigned=name)
        if is_rejecting and before not in (None, group_id):
            made.draft.reject(int(before or 0), [item_id])
        made.draft.lift(group_id, [item_id])
        made.write(item_id, sample_id, label, after)
