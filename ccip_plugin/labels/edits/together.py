"""Says of images or groups that they show one character, or different ones."""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from fiftyone.core.collections import SampleCollection

from ...core.errors import CCIPError, ParameterError
from ...core.progress import ProgressCallback
from ...storage.connection import with_database_errors
from ...storage.fields import GROUP_FIELD, STATUS_CONFIRMED
from ...storage.targets import Target, items_view
from ..answers import PairAnswer, save_answers
from ..identities import registry_revision
from ..store import LabelStore
from ..tables import GroupLabel
from .assignments import move_all
from .chosen import Edit, GroupRef, as_groups, chosen_store, edit
from .merging import TooFewGroupsError, merge
from .report import EditReport, about_names, names_text

MAX_APART = 100
"""The most groups or images that one decision keeps apart."""


class TooFewItemsError(CCIPError, ValueError):
    """A decision about several images or detections needs two or more."""

    def __init__(self, noun: str, what: str, n_items: int):
        were = f"no {noun} were given" if not n_items else "a single one was given"
        super().__init__(f"to {what} takes two or more {noun}, and {were}: give a view of them, or groups")
        self.n_items = n_items


@with_database_errors
def keep_together(
    samples: SampleCollection,
    groups: GroupRef | Sequence[GroupRef] | None = None,
    *,
    group_field: str = GROUP_FIELD,
    patches_field: str | None = None,
    dry_run: bool = False,
    progress: ProgressCallback | None = None,
) -> EditReport:
    """Says that images, or groups, are one character. Runs keep them together.

    Images become confirmed images of the group that most of them are in, as
    :func:`~ccip_plugin.labels.edits.assignments.move` does; of a new group, if none of them is in one. Several groups
    are merged, as :func:`~ccip_plugin.labels.edits.merging.merge_groups` does. Of a single group, the images that it
    has stay in it, unconfirmed.

    Args:
        samples: a view of the images, or of the detections; with ``groups`` the whole dataset as well
        groups (None): names or ids of groups, instead of images
        group_field ("character_group"): the field with the groups
        patches_field (None): the field with the detections, when they were grouped
        dry_run (False): change nothing, only say what would be
        progress (None): called with the number of labels written

    Returns:
        an :class:`~ccip_plugin.labels.edits.report.EditReport`

    Raises:
        TooFewItemsError: this is a single image
        SeveralNamesError: several of the groups have names that people gave: use ``merge_groups`` with a name
        NoSuchGroupError: there is no such group
        TargetError: a whole dataset was given without groups, or what cannot have groups
        StaleGroupsError: the groups were changed by another process meanwhile; try again
        LeaseHeldError: another process is writing
    """
    chosen = as_groups(groups)
    store = chosen_store(samples, chosen, group_field, patches_field, "keep together")

    def plan(made: Edit) -> None:
        if chosen is None:
            _check_several(made, "keep together")
            keep_items_together(made)
            return
        ids = made.resolve_all(chosen)
        if len(ids) > 1:
            merge(made, ids, None)
        elif ids:
            made.draft.hold(ids[0])
            made.about = about_names([made.draft.groups[ids[0]].name])
            made.details["Kept together"] = f"the images of {made.draft.groups[ids[0]].name!r}"

    if chosen is not None:
        store = LabelStore(store.target.whole(), group_field)
    return edit(store, "keep_together", plan, groups=chosen, dry_run=dry_run, progress=progress)


def keep_items_together(made: Edit) -> None:
    """Plans that all items are of the group that most of them are in."""
    if not made.rows:
        return
    counts = Counter(made.group_of(label) for _, _, label in made.rows)
    del counts[None]
    groups = made.draft.groups
    into = min(counts, key=lambda each: (-counts[each], groups[each or 0].is_auto_named, each), default=None)
    move_all(made, made.draft.new_group() if into is None else into)


@with_database_errors
def keep_apart(
    samples: SampleCollection,
    groups: GroupRef | Sequence[GroupRef] | None = None,
    *,
    group_field: str = GROUP_FIELD,
    patches_field: str | None = None,
    dry_run: bool = False,
    progress: ProgressCallback | None = None,
) -> EditReport:
    """Says that images, or groups, are different characters.

    Of images in one group, the one that fits best stays, a confirmed one before others; each of the others becomes a
    confirmed image of a new group, as do several images in no group. Each is also rejected from the groups of the
    others: no run puts it there. Images of groups that are kept apart stay in their groups, which are never one. A
    later decision counts, e.g. to merge the groups.

    Args:
        samples: a view of the images, or of the detections; with ``groups`` the whole dataset as well
        groups (None): names or ids of groups, instead of images
        group_field ("character_group"): the field with the groups
        patches_field (None): the field with the detections, when they were grouped
        dry_run (False): change nothing, only say what would be
        progress (None): called with the number of labels written

    Returns:
        an :class:`~ccip_plugin.labels.edits.report.EditReport`

    Raises:
        TooFewGroupsError: this is a single group
        TooFewItemsError: this is a single image
        ParameterError: these are more than 100
        NoSuchGroupError: there is no such group
        TargetError: a whole dataset was given without groups, or what cannot have groups
        StaleGroupsError: the groups were changed by another process meanwhile; try again
        LeaseHeldError: another process is writing
    """
    chosen = as_groups(groups)
    store = chosen_store(samples, chosen, group_field, patches_field, "keep apart")

    def plan(made: Edit) -> None:
        if chosen is None:
            _check_several(made, "keep apart")
            keep_items_apart(made)
            return
        ids = made.resolve_all(chosen)
        if len(ids) < 2:
            raise TooFewGroupsError(store.path, "keep apart", len(ids))
        _check_number("groups", len(ids))
        made.draft.keep_apart(ids)
        made.about = about_names(made.draft.groups[group_id].name for group_id in ids)
        made.details["Kept apart"] = names_text(made.draft.groups[group_id].name for group_id in ids)

    if chosen is not None:
        store = LabelStore(store.target.whole(), group_field)
    return edit(store, "keep_apart", plan, groups=chosen, dry_run=dry_run, progress=progress)


def keep_items_apart(made: Edit) -> None:
    """Plans that no two of the items are ever in one group."""
    _check_number("samples", len(made.rows))
    group_of = {item_id: made.group_of(label) for item_id, _, label in made.rows}
    staying: dict[int, str] = {}
    for item_id, _, _ in sorted(made.rows, key=_fit):
        if (group_id := group_of[item_id]) is not None:
            staying.setdefault(group_id, item_id)
    n_without = sum(group_id is None for group_id in group_of.values())
    for item_id, sample_id, label in made.rows:
        group_id = group_of[item_id]
        if group_id is None and n_without == 1:
            made.n_without += 1
        elif group_id is None or staying[group_id] != item_id:
            new_id = made.draft.new_group()
            name = made.draft.groups[new_id].name
            made.write(item_id, sample_id, label, GroupLabel(name, new_id, STATUS_CONFIRMED, assigned=name))
            staying[new_id] = item_id
    for (group_id, owner), item_id in itertools.product(staying.items(), group_of):
        if item_id != owner:
            made.draft.reject(group_id, [item_id])


def _fit(row: tuple[str, str, GroupLabel | None]) -> tuple[bool, float]:
    """Sorts items by how well they fit into their group, those that users confirmed first."""
    label = row[2]
    if label is None or label.difference is None:
        return label is None or label.status != STATUS_CONFIRMED, 1.0
    return label.status != STATUS_CONFIRMED, label.difference


def _check_several(made: Edit, what: str) -> None:
    if len(made.rows) < 2:
        raise TooFewItemsError(made.store.target.noun, what, len(made.rows))


def _check_number(name: str, n: int) -> None:
    if n > MAX_APART:
        raise ParameterError(name, n, f"at most {MAX_APART} to keep apart")


@with_database_errors
def answer_pair(
    target: Target,
    answer: PairAnswer,
    *,
    group_field: str | None = GROUP_FIELD,
    progress: ProgressCallback | None = None,
) -> EditReport | None:
    """Keeps an answer about two items, and makes it true of their groups: one change, which ``undo`` undoes whole.

    Of "the same character" the two become confirmed items of one group, as
    :func:`~ccip_plugin.labels.edits.together.keep_together` does; of "different characters" no run puts them into one
    group, as :func:`~ccip_plugin.labels.edits.together.keep_apart` does; "cannot tell" changes no label. Costs time for
    the two, and for the number of answers.

    Args:
        target: the dataset with the items
        answer: the answer
        group_field ("character_group"): the field with the groups; None to keep the answer only
        progress (None): called with the number of labels written

    Returns:
        the report; None where there are no groups, or none are asked for, and the answer is only kept

    Raises:
        ParameterError: the items are not two of the dataset
        StaleGroupsError: the groups were changed by another process meanwhile; try again
        LeaseHeldError: another process is writing
    """
    whole = target.whole()
    pair = items_view(whole, [answer.first, answer.second])
    if group_field is None:
        save_answers(whole, [answer])
        return None
    store = LabelStore(replace(whole, view=pair), group_field)
    if not registry_revision(whole.dataset, store.path):
        save_answers(whole, [answer])
        return None

    def plan(made: Edit) -> None:
        known = {item_id for item_id, _, _ in made.rows}
        for item_id in (answer.first, answer.second):
            if item_id not in known or answer.first == answer.second:
                raise ParameterError("answer", item_id, f"two {whole.noun} of the dataset, by their ids")
        if answer.is_same is not None:
            (keep_items_together if answer.is_same else keep_items_apart)(made)
        made.about = made.details["Answer"] = {
            True: "the same character",
            False: "different characters",
            None: "cannot tell",
        }[answer.is_same]

    return edit(store, "answer", plan, groups=None, dry_run=False, answers=[answer], progress=progress)
