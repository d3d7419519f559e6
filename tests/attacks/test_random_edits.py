"""200 edits by hand among runs, rejections, deletions, undo and redo: what people decide stays, undo is exact."""

import random
from dataclasses import replace

import pytest

from ccip_plugin import (
    apply_proposal,
    delete_grouping,
    group_characters,
    history,
    propose_groups,
    redo,
    reject,
    undo,
)
from ccip_plugin.core.clustering import METHODS
from ccip_plugin.grouping.participants import NothingToGroupError
from ccip_plugin.labels import identities
from ccip_plugin.labels.edits import NothingToRejectError
from ccip_plugin.labels.edits.by_hand import record_by_hand
from ccip_plugin.labels.history import NothingToUndoError
from ccip_plugin.labels.store import LabelStore
from ccip_plugin.storage.targets import resolve
from tests.attacks import rules
from tests.attacks.curator import LETTERS, Curator
from tests.attacks.states import FIELD, PEOPLE, canonical, is_human, is_settled, read_state, text_of

pytestmark = [pytest.mark.mongo, pytest.mark.slow]

N_EDITS = 100  # of samples, and as many of detections


class Attack:
    """Random calls of the plugin on a dataset that a curator edits, each checked against the states around it."""

    def __init__(self, dataset, is_patches, rng):
        self.dataset, self.is_patches, self.rng = dataset, is_patches, rng
        self.curator = Curator(dataset, is_patches, rng)
        self.patches_field = PEOPLE if is_patches else None
        self.field = {"patches_field": self.patches_field}
        self.done, self.undone = [], []
        self.log = []

    def state(self):
        """The state of the dataset now."""
        self.dataset.reload()
        return read_state(self.dataset, self.is_patches)

    def edit(self):
        """Has the curator do one thing."""
        self.log.append(self.curator.edit())

    def call(self):
        """Calls the plugin."""
        calls = [self.group, self.propose, self.reject, self.undo, self.redo, self.delete]
        self.rng.choices(calls, [40, 8, 15, 25, 12, 4])[0]()

    def options(self):
        method = self.rng.choice(["linkage"] * 6 + sorted(METHODS))
        eps = self.rng.choice([None, None, 0.1, 0.2, 0.3, 0.45])
        options = {"method": method, "mode": self.rng.choice(["all"] * 4 + ["add"])}
        if method != "hdbscan" and eps is not None:
            options["eps"] = eps
        if self.rng.random() < 0.3:
            options["min_samples"] = self.rng.choice([2, 3])
        return options

    def target(self):
        """The whole dataset or a part, and the ids of its items."""
        ids = self.curator.ids()
        if self.rng.random() < 0.6:
            return self.dataset, set(ids)
        some = self.rng.sample(ids, self.rng.randint(1, len(ids)))
        if not self.is_patches:
            return self.dataset.select(some), set(some)
        if self.rng.random() < 0.5:
            return self.dataset.to_patches(PEOPLE).select(some), set(some)
        return self.dataset.select_labels(ids=some, fields=PEOPLE), set(some)

    def record(self):
        """Has the edits by hand recorded, as a correction or run does first: a change of its own."""
        before = self.state()
        store = LabelStore(resolve(self.dataset, self.patches_field), FIELD)
        n = record_by_hand(store) if store.is_declared() else 0
        after = self.state()
        changed = [item for item in before.labels if before.labels[item] != after.labels[item]]
        assert len(changed) == n
        for item in changed:
            assert is_human(before.labels[item]) and is_settled(after.labels[item])
            assert canonical(text_of(before.labels[item])) == canonical(text_of(after.labels[item]))
        if changed:
            self.log.append(f"record {n} edits by hand")
            found = {**before.labels, **{item: self.found(item, before.labels[item]) for item in changed}}
            self.done.append(rules.Change("record", replace(before, labels=found), after, frozenset(changed)))
            self.undone.clear()

    def found(self, item, label):
        """What an edit by hand found: what was assigned, or else what the newest change has written."""
        if label.get("assigned") is not None:
            return {**label, "label": label["assigned"]}
        for change in reversed(self.done):
            written = change.after.labels.get(item)
            is_written = item in change.before.labels and written != change.before.labels[item]
            if is_written or item in change.written:
                return written
        return label

    def group(self):
        target, ids = self.target()
        options = self.options()
        if options["mode"] != "add":
            self.record()
        self.change(
            f"group {len(ids)} of {len(self.curator.ids())} {options}",
            lambda: group_characters(target, **self.field, **options),
            lambda before, after: rules.check_run(before, after, ids, adds_only=options["mode"] == "add"),
        )

    def propose(self):
        target, ids = self.target()
        options = self.options()
        self.log.append(f"propose {len(ids)} {options}")
        before = self.state()
        try:
            propose_groups(target, **self.field, **options)
        except NothingToGroupError:
            return
        after = self.state()
        assert before == after, "a proposal writes nothing"
        self.change(
            "apply the proposal",
            lambda: apply_proposal(self.dataset, **self.field),
            lambda before, after: rules.check_run(before, after, ids, adds_only=options["mode"] == "add"),
        )

    def reject(self):
        self.record()
        ids = set(self.curator.some())
        target = (
            self.dataset.to_patches(PEOPLE).select(list(ids)) if self.is_patches else self.dataset.select(list(ids))
        )
        self.change(
            f"reject {sorted(ids)}",
            lambda: reject(target, **self.field),
            lambda before, after: rules.check_rejected(before, after, ids),
        )

    def delete(self):
        self.change("delete the grouping", lambda: delete_grouping(self.dataset, **self.field), rules.check_deleted)

    def change(self, what, call, check):
        """Makes a change, and checks the state after it."""
        self.log.append(what)
        before, n_before = self.state(), self.newest()
        try:
            call()
        except (NothingToGroupError, NothingToRejectError) as error:
            self.log.append(f"  {error}")
            assert self.state() == before
            return
        after = self.state()
        check(before, after)
        is_changed = (before.labels, before.groups, before.rejections) != (after.labels, after.groups, after.rejections)
        if self.newest() != n_before:
            self.done.append(rules.Change(what, before, after))
            self.undone.clear()
        else:
            assert not is_changed, "a change that is not in the history"

    def undo(self):
        self.turn("undo", undo, self.done, self.undone)

    def redo(self):
        self.turn("redo", redo, self.undone, self.done)

    def turn(self, what, call, there, back):
        """Undoes or repeats the last change, and checks the state after it."""
        start = self.state()
        if not there:
            self.log.append(f"{what} of nothing")
            with pytest.raises(NothingToUndoError):
                call(self.dataset, **self.field)
            assert self.state() == start
            return
        change = there.pop()
        self.log.append(f"{what} of {change.what!r}")
        call(self.dataset, **self.field)
        end = self.state()
        left, right = (change.before, change.after) if what == "undo" else (change.after, change.before)
        rules.check_turned(start, end, left, right)
        back.append(change)

    def newest(self):
        """The number of changes that can be undone, and the number of the newest."""
        changes = [each for each in history(self.dataset, **self.field) if not each.is_undone]
        assert all(each.is_finished and each.problem is None and not each.refused for each in changes)
        return (len(changes), changes[0].number) if changes else (0, 0)


@pytest.mark.parametrize("is_patches", [False, True], ids=["samples", "detections"])
def test_random_edits(seed, is_patches, dataset, monkeypatch):
    rng = random.Random(f"{seed} edits {is_patches}")
    if rng.random() < 0.5:
        monkeypatch.setattr(identities, "_LARGEST", {True: 0, False: 0})  # all groups are written with each change
    attack = Attack(dataset(), is_patches, rng)
    attack.curator.add_samples(LETTERS)
    attack.group()
    n_edits = n_calls = 0
    try:
        while n_edits < N_EDITS:
            for _ in range(rng.choice([0, 1, 1, 2, 3])):
                attack.edit()
                n_edits += 1
            attack.call()
            n_calls += 1
        while attack.done:
            attack.undo()
    except BaseException:
        print("\n".join(attack.log))
        raise
    print(f"{n_edits} edits, {n_calls} calls")
