"""One writer at a time: a lease on a name of a dataset, held in the database.

``register_run`` and run keys are no lock: two processes can both succeed. A document whose ``_id`` is the name is:
MongoDB lets one process insert it. A process that dies stops renewing its lease, and the lease ends by itself.
"""

import contextlib
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any, Self

import fiftyone as fo
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError, PyMongoError

from ..core.errors import CCIPError
from .internals import database, dataset_id

logger = logging.getLogger(__name__)

COLLECTION = "ccip_leases"
TTL_SECONDS = 30.0
SHORT_SECONDS = 10.0
"""For writers whose steps are short: how long one that was killed keeps the next one waiting."""


class LeaseHeldError(CCIPError):
    """Another process writes at the moment."""

    def __init__(self, name: str, owner: str):
        super().__init__(f"{owner} is writing to {name!r} at the moment; try again when it is done")
        self.name, self.owner = name, owner


class LeaseLostError(CCIPError):
    """This process was silent so long that its lease ended, and another may have taken it."""

    def __init__(self, name: str):
        super().__init__(
            f"lost the right to write to {name!r}: this process stood still for too long; nothing more is written, "
            "run it again"
        )
        self.name = name


class Lease:
    """A lease that is held. :meth:`check` says so or raises; call it before each write."""

    def __init__(self, key: str, name: str, owner: str, ttl: float):
        self.name, self._key, self._owner, self._ttl = name, key, owner, ttl
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._renew_always, name="ccip-lease", daemon=True)

    def check(self) -> None:
        """Renews the lease.

        Raises:
            LeaseLostError: another process has it, or it was removed
        """
        mine = {"_id": self._key, "owner": self._owner}
        renewed = _leases().update_one(mine, [{"$set": {"until": _until(self._ttl)}}])
        if not renewed.matched_count:
            raise LeaseLostError(self.name)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _renew_always(self) -> None:
        while not self._stopped.wait(self._ttl / 3):
            try:
                self.check()
            except LeaseLostError:
                return  # the next check of the writer raises
            except PyMongoError as error:  # a short outage is survived, after a long one the lease is lost
                logger.warning("could not renew the lease on %r: %s", self.name, error)


@contextlib.contextmanager
def lease(dataset: fo.Dataset, name: str, *, ttl: float = TTL_SECONDS, wait: float = 60.0) -> Iterator[Lease]:
    """Holds the right to write to ``name`` of a dataset.

    Args:
        dataset: the dataset
        name: what is written to, usually the path of a field
        ttl (30): seconds until the lease of a process that died ends
        wait (60): seconds to wait for another process to finish

    Yields:
        the :class:`Lease`

    Raises:
        LeaseHeldError: another process still had it after ``wait`` seconds
    """
    key = f"{dataset_id(dataset)}/{name}"
    owner = f"process {os.getpid()} on {socket.gethostname()} ({uuid.uuid4().hex[:8]})"
    end = time.monotonic() + wait
    try:  # from here on, as Ctrl-C may come at any point
        while (holder := _take(key, owner, ttl)) != owner:
            if time.monotonic() >= end:
                raise LeaseHeldError(name, holder)
            time.sleep(0.1)
        with Lease(key, name, owner, ttl) as held:
            yield held
    finally:
        _leases().delete_one({"_id": key, "owner": owner})


def _take(key: str, owner: str, ttl: float) -> str:
    """Takes the lease when it is free or has ended; returns who has it. One atomic step of the database."""
    is_free = {"$lte": [{"$ifNull": ["$until", "$$NOW"]}, "$$NOW"]}
    until = {"$cond": [is_free, _until(ttl), "$until"]}
    change = [{"$set": {"owner": {"$cond": [is_free, owner, "$owner"]}, "until": until}}]
    try:
        found = _leases().find_one_and_update({"_id": key}, change, upsert=True, return_document=ReturnDocument.AFTER)
    except DuplicateKeyError:  # two processes inserted at once, the other was first
        found = _leases().find_one({"_id": key})
    return found["owner"] if found else "another process"


def _until(ttl: float) -> dict[str, Any]:
    """The database's own clock decides, so that the clocks of several machines need not agree."""
    return {"$add": ["$$NOW", int(ttl * 1000)]}


def _leases() -> Any:
    return database()[COLLECTION]
