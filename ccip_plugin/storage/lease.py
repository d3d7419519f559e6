"""Leases: locks on parts of a dataset, held in the database, that others take over when their holder has died.

``register_run`` cannot serve as a lock: two processes that register the same key both succeed. Of two processes that
insert a document with the same ``_id``, MongoDB lets one succeed. The holder renews its lease until it is done: each
renewal counts up. Who waits takes the lease over when it was not renewed for a while, by the waiting process's own
count of seconds: clocks that are set back, and process ids and host names that containers share, play no part.
"""

import contextlib
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, Self

import fiftyone as fo
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError, PyMongoError

from ..core.errors import CCIPError
from .internals import Document, database, dataset_id

logger = logging.getLogger(__name__)

COLLECTION = "ccip_leases"
TTL_SECONDS = 30.0
SHORT_SECONDS = 10.0
"""For writers with short steps: after the death of a holder, others wait this long at most."""

_POLL_SECONDS = 0.1
_waiting: ContextVar[Callable[[], None] | None] = ContextVar("ccip_waiting_for_lease", default=None)


class LeaseHeldError(CCIPError):
    """Another process holds the lease."""

    def __init__(self, name: str, owner: str):
        super().__init__(f"{owner} is writing to {name!r}; try again when it has finished")
        self.name, self.owner = name, owner


class LeaseLostError(CCIPError):
    """Another process took the lease over because this one did not renew it in time."""

    def __init__(self, name: str):
        super().__init__(
            f"lost the lease on {name!r}: this process did not respond for too long. Nothing more is written; run it "
            "again"
        )
        self.name = name


class Lease:
    """A lease held by this process, renewed by a thread. Call :meth:`check` before each write."""

    def __init__(self, key: str, name: str, owner: str, ttl: float):
        self.name, self._key, self._owner, self._ttl = name, key, owner, ttl
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._renew_until_stopped, name="ccip-lease", daemon=True)

    def check(self) -> None:
        """Renews the lease.

        Raises:
            LeaseLostError: another process holds it, or it was removed
        """
        result = _leases().update_one({"_id": self._key, "owner": self._owner}, [{"$set": _renewed(self._ttl)}])
        if not result.matched_count:
            raise LeaseLostError(self.name)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _renew_until_stopped(self) -> None:
        while not self._stopped.wait(self._ttl / 3):
            try:
                self.check()
            except LeaseLostError:
                return  # the next check() of the writer raises
            except PyMongoError as error:  # after a short outage the lease is renewed, after a long one it is lost
                logger.warning("could not renew the lease on %r: %s", self.name, error)


@contextlib.contextmanager
def lease(dataset: fo.Dataset, name: str, *, ttl: float = TTL_SECONDS, wait: float = 60.0) -> Iterator[Lease]:
    """Holds the lease on ``name`` of a dataset.

    Args:
        dataset: the dataset
        name: what is locked, usually the path of a field
        ttl (30): seconds without renewal after which others take the lease over; it is renewed more often
        wait (60): seconds to wait for another process to finish; less than its ``ttl`` never takes its lease over

    Yields:
        the :class:`Lease`

    Raises:
        LeaseHeldError: another process still holds it after ``wait`` seconds
    """
    key = f"{dataset_id(dataset)}/{name}"
    owner = f"process {os.getpid()} on {socket.gethostname()} ({uuid.uuid4().hex[:8]})"
    try:  # from here on, since Ctrl-C can interrupt at any point
        _wait_for(key, name, owner, ttl, wait)
        with Lease(key, name, owner, ttl) as held:
            yield held
    finally:
        _leases().delete_one({"_id": key, "owner": owner})


@contextlib.contextmanager
def while_waiting(call: Callable[[], None]) -> Iterator[None]:
    """Calls a function some times a second while a lease is waited for inside; what it raises ends the wait."""
    token = _waiting.set(call)
    try:
        yield
    finally:
        _waiting.reset(token)


def held_leases(dataset: fo.Dataset) -> int:
    """The number of leases on anything of a dataset, those of processes that died included."""
    return int(_leases().count_documents(_of(dataset)))


def delete_leases(dataset: fo.Dataset) -> None:
    """Deletes the leases on anything of a dataset; who holds one is told at its next renewal."""
    _leases().delete_many(_of(dataset))


def _of(dataset: fo.Dataset) -> Document:
    return {"_id": {"$regex": f"^{dataset_id(dataset)}/"}}


def _wait_for(key: str, name: str, owner: str, ttl: float, wait: float) -> None:
    """Takes the lease when it is free, or was not renewed for the seconds that its holder has promised."""
    start = seen_at = time.monotonic()
    seen: Document | None = None
    while not _insert(key, owner, ttl):
        now, held = time.monotonic(), _leases().find_one({"_id": key})
        if held is None:
            continue  # given back at this moment
        if held != seen:
            seen, seen_at = held, now
        elif now - seen_at >= held.get("ttl", ttl) and _take_over(held, owner, ttl):
            logger.warning("took over the lease on %r of %s, which no longer responds", name, held["owner"])
            return
        if now - start >= wait:
            raise LeaseHeldError(name, str(held["owner"]))
        if (call := _waiting.get()) is not None:
            call()
        time.sleep(_POLL_SECONDS)


def _insert(key: str, owner: str, ttl: float) -> bool:
    """Takes a lease that is free; returns whether that worked."""
    new = {"_id": key, "owner": owner, **_renewed(ttl)}
    change = [{"$replaceWith": {"$cond": [{"$ifNull": ["$owner", False]}, "$$ROOT", new]}}]
    try:
        return _leases().update_one({"_id": key}, change, upsert=True).upserted_id is not None
    except DuplicateKeyError:  # another process inserted it at the same moment
        return False


def _take_over(held: Document, owner: str, ttl: float) -> bool:
    """Takes a lease that is still as it was seen; returns whether it was."""
    result = _leases().update_one(held, [{"$set": {"owner": owner, **_renewed(ttl)}}])
    return bool(result.modified_count)


def _renewed(ttl: float) -> dict[str, Any]:
    """What a renewal changes. Version 0.1.0 compares the time of expiry with the clock of the database."""
    return {
        "renewals": {"$add": [{"$ifNull": ["$renewals", 0]}, 1]},
        "ttl": ttl,
        "until": {"$add": ["$$NOW", int(ttl * 1000)]},
    }


def _leases() -> Collection[Document]:
    return database()[COLLECTION]
