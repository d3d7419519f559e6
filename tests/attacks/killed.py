"""A process that kills itself at one of its writes to the database: ``python -m tests.attacks.killed ORDERS``.

Orders are JSON: the folder for results, the seed, and a list of jobs; each has the name of its dataset and of its job,
and at which write to die. Without that, the job is done to its end, with the steps in ``then`` behind it, once more
with these alone, and once more after labels that were edited by hand were recorded, which is a change of its own. The
result has the number of writes and the states.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from pymongo import monitoring

_WRITES = {"insert", "update", "delete", "findAndModify", "drop", "create", "createIndexes", "renameCollection"}
_LEASES = "ccip_leases"  # renewed by the clock


class WriteCounter(monitoring.CommandListener):
    """Counts the writes of this process to the database, and ends it at one of them."""

    def __init__(self) -> None:
        self.n, self.last, self.is_armed = 0, 0, False
        self.lets_go: Path | None = None  # appears one write before the last one

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Counts a write, right before it is sent."""
        is_write = event.command_name in _WRITES or "$out" in str(event.command.get("pipeline", ""))
        if not self.is_armed or not is_write or event.command.get(event.command_name) == _LEASES:
            return
        self.n += 1
        self.let_go()
        if self.n == self.last:
            os.kill(os.getpid(), signal.SIGKILL)

    def let_go(self) -> None:
        """Lets another process begin, when one write is left."""
        if self.lets_go is not None and self.n == self.last - 1:
            self.lets_go.touch()

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Nothing."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Nothing."""


COUNTER = WriteCounter()


def main() -> None:
    """Does what it is ordered to."""
    orders = json.loads(sys.argv[1])
    monitoring.register(COUNTER)
    _write_few_at_a_time()
    if orders.get("ttl"):
        _shorten_leases(orders["ttl"])
    folder = Path(orders["folder"])
    for number, order in enumerate(orders["jobs"]):
        _fold(bool(order.get("is_folding")))
        if "last" in order:
            _be_killed(order, orders["seed"], folder)
        else:
            for _ in range(1 if number else 2):  # the first work in a database makes collections and indexes of its own
                _do(order, orders["seed"], folder)


def _write_few_at_a_time() -> None:
    """Has labels and embeddings written in many steps, before anything else is imported."""
    from ccip_plugin.storage import targets

    targets.CHUNK = 4
    from ccip_plugin.embeddings import compute

    compute.FLUSH_RESULTS = 2


def _shorten_leases(ttl: float) -> None:
    """Has leases of the dead taken over soon, before anything else is imported."""
    from ccip_plugin.storage import lease

    lease.SHORT_SECONDS = ttl
    lease.lease.__wrapped__.__kwdefaults__["ttl"] = ttl


def _fold(is_always: bool) -> None:
    """Has all groups written again with each change, or as usual."""
    from ccip_plugin.labels import identities

    _usual.update(identities._LARGEST if not _usual else {})
    identities._LARGEST = dict.fromkeys(_usual, 0) if is_always else dict(_usual)


_usual: dict[bool, int] = {}


def _be_killed(order, seed, folder) -> None:
    import fiftyone as fo

    from tests.attacks.jobs import JOBS, Work
    from tests.attacks.states import portable, read_state

    if order.get("is_prepared"):
        dataset = fo.load_dataset(order["dataset"])
        work = Work(dataset, order["is_patches"], seed, folder)
        step = lambda: work.call(JOBS[order["job"]].step)  # noqa: E731
    else:
        dataset = fo.Dataset(order["dataset"], persistent=True)
        work = Work(dataset, order["is_patches"], seed, folder)
        step = JOBS[order["job"]].prepare(work)
        before = portable(read_state(dataset, order["is_patches"]))
        (folder / f"{order['dataset']}.json").write_text(json.dumps(before))
    print("ready", flush=True)
    while order.get("go") and not Path(order["go"]).exists():
        time.sleep(0.01)
    COUNTER.lets_go = Path(order["lets_go"]) if order.get("lets_go") else None
    COUNTER.last, COUNTER.is_armed = order["last"], True
    COUNTER.let_go()
    print(step())


def _do(order, seed, folder) -> None:
    import fiftyone as fo

    from tests.attacks.jobs import JOBS, Work
    from tests.attacks.states import portable, read_state

    is_patches, states = order["is_patches"], {}
    for how in ("finished", "recorded", "dropped"):
        dataset = fo.Dataset(f"{order['dataset']} {how}", persistent=False)
        work = Work(dataset, is_patches, seed, folder)
        step = JOBS[order["job"]].prepare(work)
        if how == "recorded":
            work.record()
            states["labels recorded"] = portable(read_state(dataset, is_patches))["labels"]
        if how == "finished":
            COUNTER.n, COUNTER.is_armed = 0, True
            assert step() == ""
            COUNTER.is_armed = False
            states["after"] = portable(read_state(dataset, is_patches))
        errors = [work.call(name) for name in order["then"]]
        states[how] = [errors, portable(read_state(dataset, is_patches))]
        dataset.delete()
    result = {"n_writes": COUNTER.n, **states}
    (folder / f"{order['dataset']} reference.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
