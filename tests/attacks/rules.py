"""What must hold of labels after a run, a rejection, a deletion and an undo, as plain loops over states."""

from dataclasses import dataclass
from typing import Any

from tests.attacks.states import (
    ABSENT,
    PEOPLE,
    UNASSIGNED,
    State,
    canonical,
    derived_rollup,
    group_name,
    is_human,
    is_settled,
    text_of,
    without_nulls,
)


@dataclass
class Change:
    """A change that can be undone.

    Attributes:
        what: the call
        before: the state before it
        after: the state after it
        written: items whose labels it wrote, though they are as they were
    """

    what: str
    before: State
    after: State
    written: frozenset[str] = frozenset()


def check_others(before: State, after: State) -> None:
    """Nothing but labels and what is derived from them is changed, and no item is lost."""
    assert before.rest == after.rest
    assert before.samples == after.samples
    assert before.next_id <= after.next_id


def check_unchanged(before: State, after: State, items) -> None:
    """The labels of some items are as they were, byte for byte."""
    for item in items:
        assert after.labels[item] == before.labels[item], item


def has_embedding(state: State, item: str) -> bool:
    """Whether an item can be grouped."""
    document = state.rest[state.samples[item]]
    places = (document.get(PEOPLE) or {}).get("detections") or [document]
    return next(each for each in places if str(each.get("_id", item)) == item).get("ccip_embedding") is not None


def check_run(before: State, after: State, target: set[str], *, adds_only: bool) -> None:
    """A grouping run of some items."""
    check_others(before, after)
    check_unchanged(before, after, before.labels.keys() - target)
    for item in target:
        old, new = before.labels[item], after.labels[item]
        if is_human(old):
            check_kept(old, new, is_promoted=not adds_only)
        elif adds_only and text_of(old) is not None:
            assert new == old, item
        elif has_embedding(before, item):
            check_automatic(new)
        else:
            assert text_of(new) is None, item
    written = {item for item in after.labels if after.labels[item] != before.labels[item]}
    check_registry(after, written | (target if not adds_only else set()))
    check_rejections(before, after, target, is_noticed=not adds_only)
    check_rollups(before, after)


def check_kept(old: Any, new: Any, *, is_promoted: bool) -> None:
    """The label of a person stays; a run stores it as such."""
    assert is_human(new)
    if is_settled(old) or not is_promoted or len(canonical(text_of(old))) > 200:
        assert {**new, "group_id": 0} == {**old, "group_id": 0}, (old, new)
        return
    assert canonical(new["label"]) == canonical(text_of(old)), (old, new)
    assert new["status"] == ("ignored" if old.get("status") == "ignored" else "confirmed")
    ours = ("label", "assigned", "status", "group_id")
    assert without_nulls({**new, **dict.fromkeys(ours)}) == without_nulls({**old, **dict.fromkeys(ours)})
    assert is_settled(new)


def check_automatic(label: Any) -> None:
    """A whole label, as a run writes it."""
    assert isinstance(label, dict) and label["status"] == "auto" and label["assigned"] == label["label"], label
    numbers = [label.get(name) for name in ("group_id", "confidence", "difference")]
    if label["label"] == UNASSIGNED:
        assert numbers == [None, None, None] and label.get("margin") is None, label
    else:
        assert numbers[0] is not None, label


def check_registry(state: State, items: set[str]) -> None:
    """Labels that a run has written, or seen, name groups that exist, by id and by name."""
    roots = [name for name, _, into in state.groups.values() if into is None]
    assert len(set(map(canonical, roots))) == len(roots), "two groups of one name"
    assert all(key < state.next_id for key in state.groups)
    for item in items:
        label = state.labels[item]
        if text_of(label) is None or (is_human(label) and not is_settled(label)):
            continue
        name = group_name(label)
        if name is None:
            assert label.get("group_id") is None, (item, label)
            continue
        assert label.get("group_id") in state.groups, (item, label)
        registered, _, into = state.groups[label["group_id"]]
        assert (canonical(registered), into) == (name, None), (item, label)


def check_rejections(before: State, after: State, target: set[str], *, is_noticed: bool) -> None:
    """No automatic label is in a group that the item was rejected from; what a person puts there later stays.

    A run that merges the group into another leaves it to the next run to see what people decided about that one. It
    changes neither items outside of its target nor, if it only adds labels, existing ones.
    """
    for group_id, rejected in after.rejections.items():
        for item in rejected & after.labels.keys():
            label, into = after.labels[item], after.root(group_id)
            if group_name(label) is None or into != label.get("group_id"):
                continue
            is_merged_now = into != before.root(group_id)
            if not is_human(label):
                assert item not in target or not is_noticed, (item, group_id, label)
            elif is_noticed and item in target and is_settled(label) and has_embedding(after, item):
                assert is_merged_now, (item, group_id, label)


def check_rollups(before: State, after: State) -> None:
    """A sample of which a label was changed lists the groups of its detections."""
    changed = {after.samples[item] for item in after.labels if before.labels.get(item) != after.labels[item]}
    for sample in changed if after.rollups else ():
        assert after.rollups[sample] == derived_rollup(after, sample), sample


def check_turned(start: State, end: State, left: State, right: State) -> None:
    """Undo, or redo, of a change from the state ``right`` to ``left``: labels that are as ``right`` has them go back.

    Args:
        start: the state before the undo
        end: the state after it
        left: what the change had found
        right: what the change had left
    """
    check_others(start, end)
    for item, label in end.labels.items():
        was_changed = item in left.labels and left.labels[item] != right.labels.get(item)
        is_as_left = without_nulls(start.labels[item]) == without_nulls(right.labels.get(item))
        expected = left.labels[item] if was_changed and is_as_left else start.labels[item]
        if not expected and not isinstance(right.labels.get(item), dict):
            expected = label if label in (None, ABSENT) else expected  # no label: null went with a deleted field
        assert label == expected, (item, start.labels[item], label, expected)
    assert end.groups == left.groups
    assert end.rejections == left.rejections
    for sample, names in end.rollups.items():
        items = [item for item in end.labels if end.samples[item] == sample]
        derived = derived_rollup(end, sample)
        if all(item in left.labels and end.labels[item] == left.labels[item] for item in items):
            was_derived = left.rollups[sample] == derived
            assert names == left.rollups[sample] if was_derived else names in (derived, left.rollups[sample]), sample
        assert names in (start.rollups[sample], derived), (sample, start.rollups[sample], names, derived)


def check_deleted(before: State, after: State) -> None:
    """A deleted grouping: the labels of people stay, with their groups, and nothing else."""
    check_others(before, after)
    kept = set()
    for item, old in before.labels.items():
        new = after.labels[item]
        if is_human(old):
            assert new == old, item
            kept.add(old.get("group_id"))
        else:
            assert text_of(new) is None, (item, new)
    names = {group_name(label) for label in after.labels.values()}
    for name, _, into in after.groups.values():
        assert into is not None or canonical(name) in names, name


def check_rejected(before: State, after: State, items: set[str]) -> None:
    """Items were rejected from the groups that they were in."""
    check_others(before, after)
    check_unchanged(before, after, before.labels.keys() - items)
    for item in items:
        if group_name(before.labels[item]) is None:
            assert after.labels[item] == before.labels[item], item
            continue
        assert text_of(after.labels[item]) == UNASSIGNED, item
        rejected = [key for key, ids in after.rejections.items() if item in ids]
        names = {canonical(after.groups[key][0]) for key in rejected if key in after.groups}
        assert group_name(before.labels[item]) in names, item
    check_rollups(before, after)
