"""Gives groups, and images in no group, the names of known characters: one change for all."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ...core.plain import canonical_name
from ...core.progress import ProgressCallback
from ...storage.fields import STATUS_AUTO
from ...storage.targets import items_view
from ..identities import check_name
from ..store import LabelStore
from ..tables import GroupLabel
from .chosen import Edit, edit
from .members import stored_rows
from .names import NameTakenError, renamed_label
from .report import EditReport


@dataclass(frozen=True)
class ImageName:
    """The name of an image that is in no group.

    Attributes:
        name: the name of its group, which is made where there is none
        confidence: how near the image is, 0.5 at the limit
        difference: to the references of the character
        margin: difference to the second nearest character minus that; None without one
    """

    name: str
    confidence: float
    difference: float
    margin: float | None


def write_names(
    store: LabelStore,
    groups: Mapping[int, str],
    images: Mapping[str, ImageName],
    *,
    action: str,
    source: str,
    confirm: bool,
    dry_run: bool,
    progress: ProgressCallback | None,
) -> EditReport:
    """Names groups and images in one change, which is undone as one.

    Args:
        store: where the labels are
        groups: names by the ids of the groups
        images: names by the ids of images; one that is in a group by now, that a user decided, or (without ``confirm``)
            rejected from that group, stays as it is
        action: the name of the change in the history
        source: what the names are from, for the labels of images: ``references`` or ``library``
        confirm: confirm the labels of all of them; else those of groups keep their status, and images get ``auto``
        dry_run: plan only
        progress: called with the number of labels written

    Raises:
        GroupNameError: no group can have that name
        NameTakenError: another group has it
        NoSuchGroupError: there is no such group
        StaleGroupsError: the groups were changed by another process meanwhile; try again
        LeaseHeldError: another process is writing
    """
    whole = LabelStore(store.target.whole(), store.group_field)
    names = [*groups.values(), *(image.name for image in images.values())]
    for name in dict.fromkeys(names):
        check_name(name)

    def plan(made: Edit) -> None:
        _name_groups(made, groups, confirm=confirm)
        if images:
            target = replace(whole.target, view=items_view(whole.target, list(images)))
            rows = [row for row in stored_rows(whole, target) if row[0] in images]
            _name_images(made, rows, images, source=source, confirm=confirm)

    return edit(whole, action, plan, groups=list(groups), others=names, dry_run=dry_run, progress=progress)


def _name_groups(made: Edit, groups: Mapping[int, str], *, confirm: bool) -> None:
    rows = [(made.group_of(label), item_id, sample_id, label) for item_id, sample_id, label in made.rows]
    old = {group_id: made.draft.groups[made.resolve(group_id)].name for group_id in groups}
    for group_id, name in groups.items():
        taken = made.draft.id_of_name(name)
        if taken is not None and taken != group_id:
            raise NameTakenError(name, taken, is_apart=made.draft.are_apart(taken, group_id))
        if canonical_name(old[group_id]) != canonical_name(name):
            made.draft.rename(group_id, name.strip())
    for known_id, item_id, sample_id, label in rows:
        if label is None or known_id is None or known_id not in groups:
            continue
        after = renamed_label(label, known_id, old[known_id], made.draft.groups[known_id].name)
        made.write(item_id, sample_id, label, after.confirmed(known_id) if confirm else after)


def _name_images(
    made: Edit,
    rows: list[tuple[str, str, GroupLabel | None]],
    images: Mapping[str, ImageName],
    *,
    source: str,
    confirm: bool,
) -> None:
    for item_id, sample_id, label in rows:
        if label is not None and (label.is_human or label.group_name):
            made.n_same += 1
            continue
        image = images[item_id]
        group_id = made.draft.id_of_name(image.name)
        if group_id is None:
            group_id = made.draft.new_group(image.name.strip())
        if not confirm and item_id in made.draft.rejections.get(group_id, ()):
            made.n_same += 1
            continue
        name = made.draft.groups[group_id].name
        numbers = (image.confidence, image.difference, image.margin)
        after = GroupLabel(name, group_id, STATUS_AUTO, *numbers, assigned=name, source=source)
        if confirm:
            made.draft.lift(group_id, [item_id])
            after = after.confirmed(group_id)
        made.write(item_id, sample_id, label, after)
