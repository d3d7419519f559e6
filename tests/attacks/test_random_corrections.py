"""100 corrections of all kinds with runs between: each does what it says, runs lose none, undo restores everything."""

import random

import pytest

from ccip_plugin import (
    confirm,
    group_characters,
    history,
    ignore,
    keep_apart,
    keep_together,
    merge_groups,
    move,
    redo,
    reject,
    rename_group,
    set_cover,
    split_group,
    undo,
)
from ccip_plugin.core.errors import CCIPError
from ccip_plugin.labels import identities
from ccip_plugin.labels.identities import load_registry
from tests.attacks.curator import LETTERS, Curator
from tests.attacks.states import PEOPLE, UNASSIGNED, path_of, read_state, text_of

pytestmark = [pytest.mark.mongo, pytest.mark.slow]

N_CORRECTIONS = 100  # of samples, and as many of detections
NAMES = ["Rei", "綾波レイ", "か\u3099くほ\u309a", "がくぽ", "Asuka", "🎀", "a/b.$c"]


class Corrections:
    """Random corrections of a dataset, each compared with what it means."""

    def __init__(self, dataset, is_patches, rng):
        self.dataset, self.is_patches, self.rng = dataset, is_patches, rng
        self.curator = Curator(dataset, is_patches, rng)
        self.field = {"patches_field": PEOPLE if is_patches else None}
        self.done, self.log = [], []

    def state(self):
        self.dataset.reload()
        return read_state(self.dataset, self.is_patches)

    def groups(self):
        return load_registry(self.dataset, path_of(self.is_patches)).groups

    def view(self, ids):
        samples = self.dataset.to_patches(PEOPLE) if self.is_patches else self.dataset
        return samples.select(ids)

    def members(self, state):
        """The ids of the items of each group."""
        members = {}
        for item, label in state.labels.items():
            group_id = label.get("group_id") if isinstance(label, dict) else None
            if group_id is not None and text_of(label) != UNASSIGNED:
                members.setdefault(group_id, set()).add(item)
        return members

    def correct(self):
        """Does one correction, and checks it; says which one."""
        kinds = [
            self.confirm,
            self.ignore,
            self.move,
            self.reject,
            self.rename,
            self.merge,
            self.split,
            self.keep_apart,
        ]
        kinds += [self.keep_groups_apart, self.keep_together, self.set_cover]
        kind = self.rng.choice(kinds)
        before, groups = self.state(), self.groups()
        n = self.n_changes()
        self.log.append(kind.__name__)
        try:
            touched = kind(before)
        except CCIPError as error:
            self.log.append(f"refused: {error}")
            touched = set()
            assert self.n_changes() == n
        after = self.state()
        for item, label in before.labels.items():
            assert item in touched or after.labels[item] == label, "only what is named changes"
        if touched is not None and self.n_changes() > n:
            self.done.append((before, groups))

    def some(self, state, numbers=(1, 1, 2, 3)):
        return self.rng.sample(sorted(state.labels), self.rng.choice(numbers))

    def a_group(self, state):
        return self.rng.choice(sorted(self.members(state)))

    def two_groups(self, state):
        groups = sorted(self.members(state))
        return self.rng.sample(groups, min(2, len(groups)))

    def rejected(self, state, group_id):
        """The ids of the items that are rejected from a group, and from those that are a part of it."""
        return {item for key, ids in state.rejections.items() if state.root(key) == group_id for item in ids}

    def own_rejected(self, state, group_ids):
        """Without those that are a part of them since earlier: what is decided against these goes with the next run."""
        return {item for key in group_ids for item in state.rejections.get(key, ())}

    # -- corrections: each returns the ids of the items that it may change

    def confirm(self, before):
        ids = self.some(before)
        confirm(self.view(ids), **self.field)
        after = self.state()
        for item in ids:
            group_id = before.labels[item].get("group_id")
            if group_id is not None:
                label = after.labels[item]
                assert (label["group_id"], label["status"]) == (group_id, "confirmed")
                assert item not in self.own_rejected(after, [group_id])
        return set(ids)

    def ignore(self, before):
        ids = self.some(before)
        ignore(self.view(ids), **self.field)
        after = self.state()
        assert {(after.labels[item]["label"], after.labels[item]["status"]) for item in ids} == {
            (UNASSIGNED, "ignored")
        }
        return set(ids)

    def move(self, before):
        ids, is_rejecting = self.some(before), self.rng.random() < 0.3
        to = self.rng.choice([None, self.rng.choice(NAMES), self.a_group(before)])
        move(self.view(ids), to, reject=is_rejecting, **self.field)
        after = self.state()
        (group_id,) = {after.labels[item]["group_id"] for item in ids}
        assert {after.labels[item]["status"] for item in ids} == {"confirmed"}
        assert not self.own_rejected(after, [group_id]) & set(ids)
        for item in ids:
            old = before.labels[item].get("group_id")
            assert not is_rejecting or old in (None, group_id) or item in self.rejected(after, old)
        return set(ids)

    def reject(self, before):
        ids = self.some(before)
        reject(self.view(ids), **self.field)
        after = self.state()
        for item in ids:
            old = before.labels[item].get("group_id")
            assert old is None or (item in self.rejected(after, old) and after.labels[item]["label"] == UNASSIGNED)
        return set(ids)

    def rename(self, before):
        group_id, name = self.a_group(before), self.rng.choice(NAMES)
        rename_group(self.dataset, group_id, name, **self.field)
        after, members = self.state(), self.members(before)[group_id]
        assert self.members(after)[group_id] == members
        assert {after.labels[item]["label"] for item in members} == {name}
        self.keeps_statuses(before, after, members)
        return members

    def merge(self, before):
        ids = self.two_groups(before)
        name = self.rng.choice([None, self.rng.choice(NAMES), before.groups[ids[0]][0]])
        merge_groups(self.dataset, ids, name=name, **self.field)
        after = self.state()
        members = set().union(*(self.members(before)[group_id] for group_id in ids))
        (into,) = {after.labels[item]["group_id"] for item in members}
        assert into in ids and self.members(after)[into] == members
        assert not self.own_rejected(after, ids) & members
        assert self.groups()[into].held_by
        self.keeps_statuses(before, after, members)
        return members

    def split(self, before):
        group_id = self.a_group(before)
        members = self.members(before)[group_id]
        by_hand = self.rng.sample(sorted(members), max(1, len(members) // 3))
        options = self.rng.choice([{"k": 2}, {"parts": [by_hand]}, {"cut": 0.05}])
        split_group(self.dataset, group_id, **options, **self.field)
        after = self.state()
        parts = {after.labels[item]["group_id"] for item in members}
        assert len(parts) > 1 and group_id in parts
        groups = self.groups()
        assert all(set(groups[part].apart) >= parts - {part} for part in parts)
        self.keeps_statuses(before, after, members)
        return members

    def keep_apart(self, before):
        ids = self.some(before, (2, 3))
        keep_apart(self.view(ids), **self.field)
        after = self.state()
        grouped = [after.labels[item].get("group_id") for item in ids if text_of(after.labels[item]) != UNASSIGNED]
        grouped = [group_id for group_id in grouped if group_id is not None]
        assert len(set(grouped)) == len(grouped)
        return set(ids)

    def keep_groups_apart(self, before):
        ids = self.two_groups(before)
        keep_apart(self.dataset, ids, **self.field)
        assert ids[1] in self.groups()[ids[0]].apart
        return set()

    def keep_together(self, before):
        ids = self.some(before, (2, 3))
        keep_together(self.view(ids), **self.field)
        after = self.state()
        assert len({after.labels[item]["group_id"] for item in ids}) == 1
        assert {after.labels[item]["status"] for item in ids} == {"confirmed"}
        return set(ids)

    def set_cover(self, before):
        group_id = self.a_group(before)
        item = self.rng.choice(sorted(self.members(before)[group_id]))
        set_cover(self.view([item]), **self.field)
        assert self.groups()[group_id].cover == item
        return set()

    def keeps_statuses(self, before, after, items):
        assert all(after.labels[item].get("status") == before.labels[item].get("status") for item in items)

    # -- runs and undo

    def run(self):
        """A run, which loses no decision."""
        before, groups, n = self.state(), self.groups(), self.n_changes()
        method = self.rng.choice([{}, {"eps": 0.1}, {"eps": 0.4}, {"method": "dbscan", "eps": 0.3}, {"mode": "add"}])
        self.log.append(f"run {method}")
        group_characters(self.dataset, **method, **self.field)
        after, now = self.state(), self.groups()
        for item, label in before.labels.items():
            kept = [label.get(name) for name in ("label", "group_id", "status")]
            is_held = label.get("group_id") in groups and groups[label["group_id"]].is_held
            if label.get("status") in ("confirmed", "ignored") or is_held:
                assert [after.labels[item].get(name) for name in ("label", "group_id", "status")] == kept
        for group_id in before.rejections:
            rejected = self.rejected(before, before.root(group_id))
            members = self.members(after).get(after.root(group_id), set())
            overruled = {item for item in members if before.labels[item].get("group_id") == after.root(group_id)}
            assert not (rejected - overruled) & members
            # what a merge of this run overrules is removed, and reported, by the next one
            assert not (self.rejected(after, after.root(group_id)) & members) - overruled
        for group_id, group in groups.items():
            if group.is_held and group_id in self.members(before):
                assert now[group_id].merged_into is None
                gone = {other for other in group.apart if before.root(other) not in now}  # these had no images
                assert not set(map(before.root, gone)) & self.members(before).keys()
                gone |= {other for other in group.apart if before.root(other) == group_id}  # a part of it by now
                assert (set(now[group_id].apart), now[group_id].cover) == ({*group.apart} - gone, group.cover)
            if not group.is_auto_named and group.merged_into is None:
                assert now[group_id].name == group.name
        if self.n_changes() > n:
            self.done.append((before, groups))

    def n_changes(self):
        return sum(not each.is_undone for each in history(self.dataset, **self.field))

    def undo(self):
        """Undoes the newest change: all is as it was before it."""
        after = self.state()
        before, groups = self.done.pop()
        undo(self.dataset, **self.field)
        now = self.state()
        assert (now.labels, now.rollups, now.rejections) == (before.labels, before.rollups, before.rejections)
        assert self.groups() == groups
        return after

    def undo_and_redo(self):
        """Undoes a change and redoes it: all is as it was after it."""
        kept = self.done[-1]
        after = self.undo()
        redo(self.dataset, **self.field)
        now = self.state()
        assert (now.labels, now.rollups, now.rejections) == (after.labels, after.rollups, after.rejections)
        self.done.append(kept)


@pytest.mark.parametrize("is_patches", [False, True], ids=["samples", "detections"])
def test_random_corrections(seed, is_patches, dataset, monkeypatch):
    rng = random.Random(f"{seed} corrections {is_patches}")
    if rng.random() < 0.5:
        monkeypatch.setattr(identities, "_LARGEST", {True: 0, False: 0})  # all groups are written with each change
    made = Corrections(dataset(), is_patches, rng)
    made.curator.add_samples(LETTERS.replace(" ", "f"))
    group_characters(made.dataset, **made.field)
    made.dataset.reload()
    try:
        for number in range(N_CORRECTIONS):
            made.correct()
            if number % 8 == 7:
                made.run()
            if number % 20 == 19 and made.done:
                made.undo_and_redo()
        n = len(made.done)
        while made.done:
            made.undo()
    except BaseException:
        print("\n".join(made.log))
        raise
    print(f"{N_CORRECTIONS} corrections, {n} of them and of runs were changes, all undone")
    assert n > N_CORRECTIONS / 2
