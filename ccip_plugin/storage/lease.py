"""Leases: locks on parts of a dataset, held in the database, that expire when their holder dies.

``register_run`` cannot serve as a lock: two processes that register the same key both succeed. Of two processes that
insert a document with the same ``_id``, MongoDB lets one succeed. The holder renews its lease until it is done.
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
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError, PyMongoError

from ..core.errors import CCIPError
from .internals import Document, database, dataset_id

logger = logging.getLogger(__name__)

COLLECTION = "ccip_leases"
TTL_SECONDS = 30.0
SHORT_SECONDS = 10.0
"""For writers with short steps: after the death of a holder, others wait this long at most."""


class LeaseHeldError(CCIPError):
    """Another process holds the lease."""

    def __init__(self, name: str, owner: str):
        super().__init__(f"{owner} is writing to {name!r}; try again when it has finished")
        self.name, self.owner = name, owner


class LeaseLostError(CCIPError):
    """The lease expired because this process did not renew it in time; another process may hold it now."""

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
        own = {"_id": self._key, "owner": self._owner}
        result = _leases().update_one(own, [{"$set": {"until": _until(self._ttl)}}])
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
        ttl (30): seconds after which the lease of a dead process expires
        wait (60): seconds to wait for another process to finish

    Yields:
        the :class:`Lease`

    Raises:
        LeaseHeldError: another process still holds it after ``wait`` seconds
    """
    key = f"{dataset_id(dataset)}/{name}"
    owner = f"process {os.getpid()} on {socket.gethostname()} ({uuid.uuid4().hex[:8]})"
    end = time.monotonic() + wait
    try:  # from here on, since Ctrl-C can interrupt at any point
        while (holder := _take(key, owner, ttl)) != owner:
            if time.monotonic() >= end:
                raise LeaseHeldError(name, holder)
            time.sleep(0.1)
        with Lease(key, name, owner, ttl) as held:
            yield held
    finally:
        _leases().delete_one({"_id": key, "owner": owner})


def _take(key: str, owner: str, ttl: float) -> str:
    """Takes the lease if it is free or expired, in one atomic step; returns its holder."""
    is_free = {"$lte": [{"$ifNull": ["$until", "$$NOW"]}, "$$NOW"]}
    until = {"$cond": [is_free, _until(ttl), "$until"]}
    change = [{"$set": {"owner": {"$cond": [is_free, owner, "$owner"]}, "until": until}}]
    try:
        document = _leases().find_one_and_update(
            {"_id": key}, change, upsert=True, return_document=ReturnDocument.AFTER
        )
    except DuplicateKeyError:  # another process inserted it at the same moment
        document = _leases().find_one({"_id": key})
    return str(document["owner"]) if document else "another process"


def _until(ttl: float) -> dict[str, Any]:
    """The time of expiry by the clock of the database, since the clocks of several machines may differ."""
    return {"$add": ["$$NOW", int(ttl * 1000)]}


def _leases() -> Collection[Document]:
    return database()[COLLECTION]
