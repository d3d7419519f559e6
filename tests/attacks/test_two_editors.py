"""Two processes correct one dataset at random, with runs between: no decision is lost, undo restores everything."""

import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import fiftyone as fo
import pytest

from ccip_plugin import group_characters, history, undo
from ccip_plugin.labels.journal import Journal
from ccip_plugin.labels.store import LabelStore
from ccip_plugin.storage.fields import GROUP_FIELD
from ccip_plugin.storage.targets import resolve
from tests.attacks import rules
from tests.attacks.curator import LETTERS, Curator
from tests.attacks.states import PEOPLE, UNASSIGNED, path_of, read_state

pytestmark = [pytest.mark.mongo, pytest.mark.slow]

N_ACTS, RUN_EVERY = 50, 12  # of each process
EDITORS = "一人", "二人"
ROOT = Path(__file__).parents[2]
STATUS = {"confirm": "confirmed", "move": "confirmed", "keep_together": "confirmed", "ignore": "ignored"}
MAY_BE_REFUSED = {  # what the functions document
    "StaleGroupsError",
    "LeaseHeldError",
    "NothingToRejectError",
    "NoSuchGroupError",
    "NameTakenError",
    "GroupNameError",
    "SeveralNamesError",
    "SeveralCoversError",
    "SplitError",
    "TooFewGroupsError",
    "TooFewItemsError",
    "GroupTooSmallError",
    "NothingToSplitError",
}


def edit_at_once(data, is_patches, seed, folder):
    """Lets both processes edit; gives their logs."""
    processes, logs = [], [folder / f"{number}.jsonl" for number in range(2)]
    for name, log in zip(EDITORS, logs, strict=True):
        orders = {"dataset": data.name, "is_patches": is_patches, "seed": f"{seed} {name}", "name": name}
        orders |= {"log": str(log), "n": N_ACTS, "run_every": RUN_EVERY}
        command = [sys.executable, "-m", "tests.attacks.editor", json.dumps(orders)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        processes.append(subprocess.Popen(command, cwd=ROOT, text=True, **pipes))
    try:
        for process in processes:
            while (line := process.stdout.readline()) not in ("ready\n", ""):
                pass
            assert line, process.stderr.read()
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [process.communicate(timeout=300)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], said
    return [[json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] for log in logs]


def acts_by_number(logs, entries):
    """What was done in each change: the changes of a process are in the order of its acts."""
    acts = {}
    for name, log in zip(EDITORS, logs, strict=True):
        mine = [entry.number for entry in entries if entry.by == name]
        done = [act for act in log if "error" not in act and act["number"] is not None]
        assert len(mine) == len(done), (name, len(mine), len(done))
        for number, act in zip(mine, done, strict=True):
            assert act["number"] in (number, "unknown"), "a report has the number of its change"
            assert act["n_left"] == 0 and not act["refused"]
            acts[number] = act
    return acts


def replay(store, journal, acts, labels):
    """Follows the changes in their order: each leaves what it says, and a run loses no decision."""
    for entry in journal.entries():
        if entry.number not in acts:
            continue
        act, before = acts[entry.number], dict(labels)
        for chunk in journal.chunks(entry):
            for item, _, old, new in chunk:
                assert labels[item] == (old or None), (entry.number, item, "it began with what the last change left")
                labels[item] = new or None
        changed = {item for item in labels if labels[item] != before[item]}
        check_act(store, act, before, labels, changed)
    return labels


def check_act(store, act, before, after, changed):
    old, new = ({item: store.from_raw(raw) for item, raw in labels.items()} for labels in (before, after))
    kind, ids = act["kind"], act["ids"]
    if ids:
        assert changed <= set(ids), (act, "only what is named changes")
    if kind == "run":
        for item, label in old.items():
            if label is not None and label.is_settled:
                now = new[item]
                assert (now.label, now.status, now.group_id) == (label.label, label.status, label.group_id), item
    elif kind in ("move", "keep_together"):
        assert len({new[item].group_id for item in ids} - {None}) == 1, act
    elif kind == "reject":
        assert all(new[item].group_id is None for item in ids if new[item] is not None)
    elif kind in ("merge_groups", "rename_group", "split_group"):
        assert all(new[item].status == old[item].status for item in changed), act
    elif kind == "set_cover" or kind == "keep_groups_apart":
        assert not changed
    for item in ids if kind in STATUS else ():
        is_left_out = kind == "confirm" and (old[item] is None or old[item].group_id is None)
        assert is_left_out or new[item].status == STATUS[kind], (act, item)


def check_end(state):
    """Labels name groups that exist; no automatic one is in a group that its item was rejected from."""
    rules.check_registry(state, set(state.labels))
    rules.check_rollups(type(state)(), state)
    for group_id, rejected in state.rejections.items():
        for item in rejected & state.labels.keys():
            label = state.labels[item]
            if isinstance(label, dict) and label.get("status") == "auto" and label.get("label") != UNASSIGNED:
                assert label.get("group_id") != state.root(group_id), (item, group_id)


@pytest.mark.parametrize("is_patches", [False, True], ids=["samples", "detections"])
def test_two_processes_that_edit_one_dataset(seed, is_patches, dataset, tmp_path):
    data, field = dataset(persistent=True), {"patches_field": PEOPLE if is_patches else None}
    Curator(data, is_patches, random.Random(seed)).add_samples(LETTERS.replace(" ", "f"))
    group_characters(data, **field)
    data.reload()
    path, first = path_of(is_patches), read_state(data, is_patches)
    store = LabelStore(resolve(data, **field), GROUP_FIELD)
    ids, sample_ids, _ = store.read()
    labels = {item: raw or None for item, raw in store.read_raw(ids, sample_ids).items()}
    groups = groups_of(data, path)
    logs = edit_at_once(data, is_patches, seed, tmp_path)
    errors = Counter(act["error"] for log in logs for act in log if "error" in act)
    assert set(errors) <= MAY_BE_REFUSED, [act for log in logs for act in log if act.get("error") in errors]
    data = fo.load_dataset(data.name)
    data.reload()
    journal = Journal(data, path)
    acts = acts_by_number(logs, journal.entries())
    print(f"{len(acts)} changes of {2 * N_ACTS} acts, refused: {dict(errors)}")
    assert len(acts) > N_ACTS / 2 and {entry.state for entry in journal.entries()} == {"done"}
    replayed = replay(store, journal, acts, labels)
    now = {item: raw or None for item, raw in store.read_raw(ids, sample_ids).items()}
    assert now == replayed, "the last change of each image wins"
    check_end(read_state(data, is_patches))
    for _ in range(len(acts)):
        undo(data, **field)
    last = read_state(data, is_patches)
    assert sum(not each.is_undone for each in history(data, **field)) == 1
    assert (last.labels, last.rollups, last.rejections) == (first.labels, first.rollups, first.rejections)
    assert groups_of(data, path) == groups


def groups_of(data, path):
    """The groups, with all that was said of them."""
    from ccip_plugin.labels.identities import load_registry

    return load_registry(data, path).groups
