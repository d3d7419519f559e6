"""Divides a group into several."""

from collections import Counter
from collections.abc import Sequence

from ...core.errors import CCIPError
from ...core.progress import ProgressCallback
from ..identities import check_name
from ..store import LabelStore
from .chosen import Edit, GroupRef, edit
from .names import check_free, renamed_label
from .report import EditReport, about_names, brief, names_text

MAX_PARTS = 100
"""The most groups that a group is divided into at once."""


class SplitError(CCIPError, ValueError):
    """A group cannot be divided like this."""


def split(
    store: LabelStore,
    group: GroupRef,
    parts: Sequence[Sequence[str]],
    names: Sequence[str] = (),
    *,
    dry_run: bool = False,
    progress: ProgressCallback | None = None,
) -> EditReport:
    """Makes parts of a group groups of their own, which are kept apart; images that are in no part stay.

    When all images are in parts, those of the largest part stay. Labels keep their status.

    Args:
        store: the groups of the whole dataset
        group: its name or id
        parts: the ids of the items of each part
        names (()): the names of the new groups, default ones where there are fewer
        dry_run (False): change nothing, only say what would be
        progress (None): called with the number of labels written

    Raises:
        SplitError: the parts share items, have items that are not of the group, are empty or too many, or all items are
            in a single part
        NoSuchGroupError: there is no such group
    """
    part_of = _part_of(store.path, group, parts)

    def plan(made: Edit) -> None:
        _split(made, group, part_of, names)

    return edit(store, "split_group", plan, groups=[group], others=list(names), dry_run=dry_run, progress=progress)


def _part_of(path: str, group: GroupRef, parts: Sequence[Sequence[str]]) -> dict[str, int]:
    if not 1 <= len(parts) <= MAX_PARTS or not all(parts):
        raise SplitError(f"{group!r} of {path!r} can be divided into at most {MAX_PARTS} parts, none of them empty")
    part_of: dict[str, int] = {}
    for number, part in enumerate(parts):
        for item_id in part:
            if part_of.setdefault(item_id, number) != number:
                raise SplitError(f"two parts of {group!r} share an image, {item_id}: each belongs to one part")
    return part_of


def _split(made: Edit, group: GroupRef, part_of: dict[str, int], names: Sequence[str]) -> None:
    draft, old_id = made.draft, made.resolve(group)
    old = draft.groups[old_id].name
    members = {item_id for item_id, _, _ in made.rows}
    if others := part_of.keys() - members:
        raise SplitError(
            f"{len(others):,} of the images, such as {min(others)}, are not in {old!r} of {made.store.path!r}"
        )
    sizes = Counter(part_of.values())
    if len(part_of) == len(members):
        staying = max(sizes, key=lambda number: (sizes[number], -number))
        part_of = {item_id: number for item_id, number in part_of.items() if number != staying}
        del sizes[staying]
    if not sizes:
        raise SplitError(f"all images of {old!r} are in one part: there is nothing to divide")
    new_names = dict(zip(sorted(sizes), [*names, *[None] * len(sizes)], strict=False))
    group_of = {number: _new_group(made, name) for number, name in new_names.items()}
    for item_id, sample_id, label in made.rows:
        number = part_of.get(item_id)
        if label is not None and number is not None:
            group_id = group_of[number]
            made.write(item_id, sample_id, label, renamed_label(label, group_id, old, draft.groups[group_id].name))
            draft.lift(group_id, [item_id])
    ids = [old_id, *group_of.values()]
    for group_id in ids:
        draft.hold(group_id)
    draft.keep_apart(ids)
    made.about = f"{brief(old)} into {about_names(draft.groups[group_id].name for group_id in ids)}"
    made.details["Kept apart"] = names_text(draft.groups[group_id].name for group_id in ids)


def _new_group(made: Edit, name: str | None) -> int:
    if name is None:
        return made.draft.new_group()
    check_name(name)
    check_free(made, name.strip())
    return made.draft.new_group(name.strip())
