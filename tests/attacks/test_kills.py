"""20 processes, killed at a random write to the database, 6 of them beside another one; then the work is resumed."""

import json
import random
import signal
from dataclasses import dataclass

import fiftyone as fo
import fiftyone.core.odm as foo
import pytest

from ccip_plugin import history
from tests.attacks import rules
from tests.attacks.jobs import JOBS, Work
from tests.attacks.states import canonical, is_human, portable, read_state, text_of
from tests.support import tiny_models

pytestmark = [pytest.mark.mongo, pytest.mark.slow]

ON_SAMPLES = ["first run", "run that lifts a rejection", "proposal", "undo of a run", "redo", "deletion", "embedding"]
ON_DETECTIONS = [
    "run after edits",
    "run of a part",
    "run that lifts a rejection",
    "rejection",
    "undo of a lifted rejection",
    "undo of a deletion",
    "embedding",
]
JOBS_TO_KILL = [*((job, False) for job in ON_SAMPLES), *((job, True) for job in ON_DETECTIONS)]
RIVALS = {"run after edits": "rejection", "rejection": "run of a part", "embedding": "embedding"}
"""Jobs that are killed beside another one of the same dataset."""

MOST_WRITES = {"run after edits": 12, "rejection": 10, "embedding": 3}
"""The last write at which each is killed: how many they do depends on the other process."""

TTL = 1.5
EMBEDDING = "embedding"
N_IMAGES = 12


@dataclass
class Kill:
    """A process to kill.

    Attributes:
        name: of its dataset
        job: what it does
        is_patches: whether to detections
        then: the steps that follow
        reference: what these lead to, after the job and without it, and the number of its writes
        last: the write at which it is killed
        is_folding: whether all groups are written again with each change
    """

    name: str
    job: str
    is_patches: bool
    then: list[str]
    reference: dict
    last: int = 0
    is_folding: bool = False

    def __str__(self):
        return f"{self.job} of {'detections' if self.is_patches else 'samples'}, killed at write {self.last} of " + (
            f"{self.reference['n_writes']}{', folding' if self.is_folding else ''}, then {', '.join(self.then)}"
        )


@pytest.fixture
def folder(tmp_path, images):
    """A folder of images and of a model."""
    images("abcab" * 2 + "ab", folder=tmp_path / "images")
    tiny_models.write_model_dir(tmp_path / "models")
    return tmp_path


@pytest.fixture
def work(seed, folder):
    """``work(name, is_patches)`` opens a dataset that a process has made; all are deleted after the test."""
    opened = []

    def open_dataset(name, is_patches):
        if not fo.dataset_exists(name):
            fo.Dataset(name, persistent=True)
        opened.append(name)
        return Work(fo.load_dataset(name), is_patches, seed, folder)

    yield open_dataset
    for name in opened:
        if fo.dataset_exists(name):
            fo.delete_dataset(name)


@pytest.fixture
def start(start_python, seed, folder):
    """``start(jobs)`` starts a process that does them."""

    def run(jobs, **options):
        orders = {"folder": str(folder), "seed": seed, "jobs": jobs, **options}
        return start_python(["-m", "tests.attacks.killed", json.dumps(orders)])

    return run


def test_killed_processes(seed, start, work, folder):
    """No label of a person is lost, none is half written, and what follows is as if it had been done, or not begun."""
    kills = choose_kills(seed, start, folder)
    for pair in zip(kills[::2], kills[1::2], strict=True):
        processes = [start([{"dataset": kill.name, **order_of(kill), "last": kill.last}]) for kill in pair]
        for kill, process in zip(pair, processes, strict=True):
            _, errors = process.communicate(timeout=120)
            print(kill)
            assert process.returncode == -signal.SIGKILL or kill.job == EMBEDDING, f"{kill}: {errors}"
            shorten_leases(kill.name)
            check_after(kill, work(kill.name, kill.is_patches), json.loads((folder / f"{kill.name}.json").read_text()))


def choose_kills(seed, start, folder):
    """The kills of a seed: at which write, and what follows; two processes do the same without being killed."""
    rng = random.Random(f"{seed} kills")
    kills = []
    for number, (job, is_patches) in enumerate(JOBS_TO_KILL):
        steps = ["group", "group_widely", "undo", "redo", "reject", "delete"]
        then = ["embed"] if job == EMBEDDING else [rng.choice(steps)]
        kills.append(Kill(f"kill {seed} {number}", job, is_patches, then, {}, is_folding=rng.random() < 0.25))
    jobs = [{"dataset": kill.name, **order_of(kill)} for kill in kills]
    both = [start(jobs[::2]), start(jobs[1::2])]
    for process in both:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    for kill in kills:
        kill.reference = json.loads((folder / f"{kill.name} reference.json").read_text())
        kill.last = rng.randint(1, kill.reference["n_writes"])
    return kills


def order_of(kill):
    """The job as its process is told."""
    return {"job": kill.job, "is_patches": kill.is_patches, "then": kill.then, "is_folding": kill.is_folding}


def shorten_leases(name):
    """Has the leases of a killed process end soon; others wait for them all the same."""
    key = f"^{fo.load_dataset(name)._doc.id}/"
    foo.get_db_conn()["ccip_leases"].update_many({"_id": {"$regex": key}}, {"$set": {"ttl": 0.2}})


def check_after(kill, work, before):
    """The state after the kill, and after the steps that follow."""
    found, after = portable(read_state(work.dataset, kill.is_patches)), kill.reference["after"]
    found = json.loads(json.dumps(found))
    for place, label in enumerate(found["labels"]):
        known = (before["labels"][place], after["labels"][place], kill.reference["labels recorded"][place])
        assert label in known or is_as_good(label, before, after, place), (
            f"{kill}: a label that is half written",
            label,
            before["labels"][place],
            after["labels"][place],
        )
        check_person(kill, before["labels"][place], label)
    errors = [work.call(step) for step in kill.then]
    result = [errors, json.loads(json.dumps(portable(read_state(work.dataset, kill.is_patches))))]
    finished, recorded, dropped = (kill.reference[name] for name in ("finished", "recorded", "dropped"))
    if kill.job == EMBEDDING:
        assert result == finished, str(kill)
    else:
        known = (finished, recorded, dropped)
        assert result in known, f"{kill}: {difference(result, finished)}; {difference(result, dropped)}"
        by_hand = kill.reference["labels recorded"]
        is_begun = any(
            label not in (before["labels"][place], by_hand[place]) for place, label in enumerate(found["labels"])
        )
        assert not is_begun or result == finished, f"{kill}: it was begun, and not finished"
        is_recorded = found["labels"] != before["labels"]
        assert not is_recorded or result in (finished, recorded), f"{kill}: what was edited by hand is not recorded"
    check_going_on(kill, work)


def is_as_good(label, before, after, place):
    """Whether a label differs from none only: a new field has null where it was not."""
    return not label and (not before["labels"][place] or not after["labels"][place] or "absent" in (label,))


def check_person(kill, before, found):
    """The label of a person is the same; rejections and undo of decisions may change it."""
    if is_human(before) and kill.job in ("first run", "run after edits", "run of a part", "proposal", "deletion"):
        assert canonical(text_of(found)) == canonical(text_of(before)), f"{kill}: {before} -> {found}"
        assert is_human(found), f"{kill}: {before} -> {found}"


def difference(left, right):
    """What differs, for people."""
    if left[0] != right[0]:
        return f"errors {left[0]} {right[0]}"
    names = [name for name in left[1] if left[1][name] != right[1][name]]
    return {name: [(a, b) for a, b in zip(left[1][name], right[1][name], strict=False) if a != b][:2] for name in names}


def check_going_on(kill, work):
    """Nothing is left of the interruption: runs and undo work as ever."""
    assert all(change.is_finished and change.problem is None for change in history(work.dataset, **work.field)), kill
    work.record()
    start = read_state(work.dataset, kill.is_patches)
    assert work.call("group_widely") == ""
    end = read_state(work.dataset, kill.is_patches)
    rules.check_run(start, end, set(start.labels), adds_only=False)
    assert work.call("undo") == ""
    if start.labels != end.labels:
        rules.check_turned(end, read_state(work.dataset, kill.is_patches), start, end)


@pytest.mark.parametrize("is_patches", [False, True], ids=["samples", "detections"])
@pytest.mark.parametrize("job", RIVALS)
def test_one_of_two_processes_is_killed(seed, job, is_patches, start, work, folder):
    """The other one finishes, and so does what follows."""
    rng = random.Random(f"{seed} rivals {job} {is_patches}")
    name = f"rivals {seed} {job} {is_patches}"
    ready = work(name, is_patches)
    JOBS[job].prepare(ready)
    before = read_state(ready.dataset, is_patches)
    last = rng.randint(1, MOST_WRITES[job])
    order = {"dataset": name, "is_patches": is_patches, "is_prepared": True, "go": str(folder / "go")}
    rival = {}  # who embeds leaves nothing to do to others: the other one begins one write before the kill
    if job == EMBEDDING:
        order["lets_go"], rival = str(folder / "go after"), {"go": str(folder / "go after"), "lets_go": None}
    processes = [
        start([{**order, "job": job, "last": last}], ttl=TTL),
        start([{**order, "job": RIVALS[job], "last": 0, **rival}], ttl=TTL),
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n", process.communicate()[1]
    (folder / "go").touch()
    outputs = [process.communicate(timeout=120) for process in processes]
    print(f"{job} killed at write {last}: {processes[0].returncode}; {RIVALS[job]}: {outputs[1][0].split()}")
    assert [process.returncode for process in processes] == [-signal.SIGKILL, 0], outputs
    assert outputs[1][0].strip() in ("", "StaleGroupsError"), outputs[1]
    shorten_leases(name)
    ready.dataset.reload()
    after = read_state(ready.dataset, is_patches)
    if job == EMBEDDING:
        assert ready.call("embed") == ""
        vectors = portable(read_state(ready.dataset, is_patches))["vectors"]
        assert sum(vector is not None for each in vectors for vector in each) == N_IMAGES * (1 + is_patches)
    else:
        rules.check_others(before, after)
        rejected = set(ready.curator.ids())
        for item, label in before.labels.items():
            if is_human(label) and item not in rejected:
                assert canonical(text_of(after.labels[item])) == canonical(text_of(label))
    assert ready.call("group") == ""
    check_going_on(Kill(name, job, is_patches, [], {"n_writes": 0}, last), ready)
