"""Says of whole groups that they are one character, or different ones."""

import itertools
from collections import Counter
from collections.abc import Sequence

from fiftyone.core.collections import SampleCollection

from ...core.errors import CCIPError, check_type
from ...core.identity.groups import GroupNameError
from ...core.progress import ProgressCallback
from ...storage.connection import with_database_errors
from ...storage.fields import GROUP_FIELD
from ...storage.targets import resolve
from ..identities import check_name
from ..store import LabelStore
from .chosen import Edit, GroupRef, as_groups, edit, groups_of
from .names import check_free, renamed_label
from .report import EditReport, about_names, brief


class TooFewGroupsError(CCIPError, ValueError):
    """A decision about several groups needs two or more."""

    def __init__(self, path: str, what: str, n_groups: int):
        were = "no group of this name or these images" if not n_groups else "a single one"
        super().__init__(f"to {what} takes two or more character groups of {path!r}, and there is {were}")
        self.path, self.n_groups = path, n_groups


class SeveralNamesError(GroupNameError):
    """Several groups that are to be one have names that people gave them."""

    def __init__(self, names: Sequence[str]):
        listed = " and ".join([", ".join(map(repr, names[:-1])), repr(names[-1])])
        super().__init__(f"{listed} are names that people gave: say which one stays, with name={names[0]!r}")
        self.names = tuple(names)


@with_database_errors
def merge_groups(
    samples: SampleCollection,
    groups: GroupRef | Sequence[GroupRef] | None = None,
    *,
    name: str | None = None,
    group_field: str = GROUP_FIELD,
    patches_field: str | None = None,
    dry_run: bool = False,
    progress: ProgressCallback | None = None,
) -> EditReport:
    """Says that groups are one character: their images become one group, of the whole dataset.

    Runs keep these images together. They are not confirmed by it, and a later decision about one of them counts for
    that one. The group with the name that stays keeps its id. Rejections of the images from any of the groups are
    removed, and so is what kept the groups apart; undo brings both back. Costs time for the images of the groups.

    Args:
        samples: the dataset, or any view of it
        groups (None): two or more, by name or id; by default those that the images of a view are in
        name (None): the name of the merged group: that of one of them, or a new one. By default the name that people
            gave to one of them or, if all have default names, that of the largest
        group_field ("character_group"): the field with the groups
        patches_field (None): the field with the detections, when they were grouped
        dry_run (False): change nothing, only say what would be
        progress (None): called with the number of labels written

    Returns:
        an :class:`~ccip_plugin.labels.edits.report.EditReport`

    Raises:
        TooFewGroupsError: these are not two groups
        SeveralNamesError: several of them have names that people gave, and there is no ``name``
        NameTakenError: another group has the name
        GroupNameError: no group can have the name
        NoSuchGroupError: there is no such group
        StaleGroupsError: the groups were changed by another process meanwhile; try again
        LeaseHeldError: another process is writing
    """
    if name is not None:
        check_type("name", name, str, "the name of a character group")
    store = LabelStore(resolve(samples, patches_field), group_field)
    chosen = groups_of(store, as_groups(groups), "merge")

    def plan(made: Edit) -> None:
        merge(made, made.resolve_all(chosen), None if name is None else name.strip())

    others = [] if name is None else [name.strip()]
    whole = LabelStore(store.target.whole(), group_field)
    return edit(whole, "merge_groups", plan, groups=chosen, others=others, dry_run=dry_run, progress=progress)


def merge(made: Edit, ids: Sequence[int], name: str | None) -> None:
    """Plans that groups become one.

    Raises:
        TooFewGroupsError: these are not two groups
        SeveralNamesError: several of them have names that people gave, and there is no ``name``
        NameTakenError: another group has the name
    """
    if len(ids) < 2:
        raise TooFewGroupsError(made.store.path, "merge", len(ids))
    draft = made.draft
    into, name = _staying(made, ids, name)
    names = {group_id: draft.groups[group_id].name for group_id in ids}
    made.parted += [(names[a], names[b]) for a, b in itertools.combinations(ids, 2) if draft.are_apart(a, b)]
    made.gone += [names[group_id] for group_id in ids if group_id != into and names[group_id] != name]
    others = [each for group_id, each in names.items() if group_id != into]
    made.about = f"{about_names(others)} into {brief(name)}"
    before = [made.group_of(label) for _, _, label in made.rows]
    draft.unite(ids, into)
    if names[into] != name:
        draft.rename(into, name)
    for (item_id, sample_id, label), group_id in zip(made.rows, before, strict=True):
        if label is not None and group_id is not None and (group_id != into or names[into] != name):
            made.write(item_id, sample_id, label, renamed_label(label, into, names[group_id], name))
    draft.lift(into, [item_id for item_id, _, _ in made.rows])


def _staying(made: Edit, ids: Sequence[int], name: str | None) -> tuple[int, str]:
    """The group that stays, and the name that it gets."""
    groups = made.draft.groups
    named = [group_id for group_id in ids if not groups[group_id].is_auto_named]
    if name is None and len(named) > 1:
        raise SeveralNamesError([groups[group_id].name for group_id in named])
    counts = Counter(made.group_of(label) for _, _, label in made.rows)
    largest = min(named or ids, key=lambda group_id: (-counts[group_id], group_id))
    if name is None:
        return largest, groups[largest].name
    taken = made.draft.id_of_name(name)
    if taken in ids:
        return int(taken or 0), groups[int(taken or 0)].name
    check_free(made, name)
    check_name(name)
    return largest, name
