"""Pictures of items for the screen: their thumbnails, and a thread that makes missing ones."""

import contextlib
import functools
import logging
import math
import os
import stat
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bson import ObjectId

from ..core.thumbnails import Box, Thumbnails, name_of, thumbnails_folder, thumbnails_limit
from ..storage.connection import with_database_errors
from ..storage.internals import sample_documents
from ..storage.targets import Target, batched

logger = logging.getLogger(__name__)

MAX_WAITING = 2_000
"""Number of files whose thumbnails wait to be made; of more, those asked for first are forgotten."""

MAX_PIXELS = 100_000_000
"""Larger images are not read in the background: a gigabyte of memory."""

_NICE = 10
_RETRY_SECONDS = 60.0
_MAX_FAILED = 10_000


@dataclass(frozen=True)
class Picture:
    """How an item is shown.

    Attributes:
        thumbnail: the file of its thumbnail, None if there is none
        original: the file of the whole image
        box: the ``(x, y, width, height)`` of a detection, relative to the image; None for an image
        width: width of the whole image, None where the dataset does not say it
        height: its height, likewise
        is_coming: whether the thumbnail is being made; without thumbnail and False, there will be none
    """

    thumbnail: str | None
    original: str
    box: tuple[float, float, float, float] | None = None
    width: int | None = None
    height: int | None = None
    is_coming: bool = False


@with_database_errors
def pictures(
    target: Target, item_ids: Sequence[str], *, sample_ids: Iterable[str] | None = None, make: bool = True
) -> dict[str, Picture]:
    """Finds the thumbnails of items, without opening any image. Missing ones are made by a thread, the newest first.

    Args:
        target: images or detections of a dataset
        item_ids: the ids of the items
        sample_ids (None): the ids of their samples; without these, detections are looked for in all samples
        make (True): whether missing thumbnails are made

    Returns:
        the pictures by id, in the order of ``item_ids``; items that are not in the dataset are left out

    Raises:
        ParameterError: ``CCIP_THUMBNAILS_MB`` is not a number
    """
    thumbnails = _opened(thumbnails_folder(), thumbnails_limit())
    can_make = MISSING.can_make(thumbnails)
    stored = _stored(target, item_ids, item_ids if sample_ids is None and not target.is_patches else sample_ids)
    found: dict[str, Picture] = {}
    missing: dict[str, list[Box | None]] = {}
    for item_id in dict.fromkeys(item_ids):
        if item_id in stored:
            picture, name = _with_thumbnail(stored[item_id], target.is_patches, thumbnails)
            if can_make and picture.thumbnail is None and name is not None and not MISSING.has_failed(name):
                picture = replace(picture, is_coming=True)
                missing.setdefault(picture.original, []).append(picture.box)
            found[item_id] = picture
    if make:
        MISSING.ask(thumbnails, missing)
    return found


@functools.lru_cache(maxsize=4)
def _opened(folder: Path, limit: int) -> Thumbnails:
    return Thumbnails(folder, limit)


def _with_thumbnail(picture: Picture, is_patch: bool, thumbnails: Thumbnails) -> tuple[Picture, str | None]:
    """A picture with its thumbnail, and the name of that; None for a file or a box that there is not."""
    try:
        status = os.stat(picture.original)  # noqa: PTH116 - the name may be invalid
    except (OSError, ValueError):
        return picture, None
    if not stat.S_ISREG(status.st_mode) or (is_patch and picture.box is None):
        return picture, None
    name = name_of(picture.original, status, picture.box)
    path = thumbnails.find(name)
    return (picture if path is None else replace(picture, thumbnail=str(path))), name


def _stored(target: Target, item_ids: Sequence[str], sample_ids: Iterable[str] | None) -> dict[str, Picture]:
    """The files and boxes of items by id."""
    columns = ["filepath", "metadata.width", "metadata.height"]
    if target.is_patches:
        columns += [f"{target.labels_path}.{name}" for name in ("_id", "bounding_box")]
    wanted, stored = set(item_ids), {}
    path = "_id" if sample_ids is not None else target.path("_id")
    for chunk in batched(dict.fromkeys(item_ids if sample_ids is None else sample_ids)):
        query = {path: {"$in": [ObjectId(each) for each in chunk if ObjectId.is_valid(each)]}}
        for document in sample_documents(target.dataset).find(query, columns):
            for item_id, picture in _pictures_in(document, target.patches_field):
                if item_id in wanted:
                    stored[item_id] = picture
    return stored


def _pictures_in(document: Mapping[str, Any], patches_field: str | None) -> Iterator[tuple[str, Picture]]:
    metadata = document.get("metadata") or {}
    whole = Picture(None, document["filepath"], None, metadata.get("width"), metadata.get("height"))
    if patches_field is None:
        yield str(document["_id"]), whole
        return
    for label in (document.get(patches_field) or {}).get("detections") or ():
        yield str(label.get("_id")), replace(whole, box=_box(label.get("bounding_box")))


def _box(stored: Any) -> tuple[float, float, float, float] | None:
    try:
        x, y, width, height = (float(number) for number in stored)
    except (TypeError, ValueError, OverflowError):
        return None
    return (x, y, width, height) if all(map(math.isfinite, (x, y, width, height))) else None


class Missing:
    """Makes missing thumbnails in one thread of low priority, which ends when there is nothing more to make."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[Thumbnails, set[Box | None]]] = {}
        self._failed: dict[str, None] = {}
        self._blocked: dict[Path, float] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def can_make(self, thumbnails: Thumbnails) -> bool:
        """Whether the folder can be written; for a minute after it could not, it is not tried again."""
        return time.monotonic() >= self._blocked.get(thumbnails.folder, 0.0) and thumbnails.is_writable()

    def has_failed(self, name: str) -> bool:
        """Whether a thumbnail could not be made from the file as it is."""
        return name in self._failed

    def ask(self, thumbnails: Thumbnails, boxes: Mapping[str, Iterable[Box | None]]) -> None:
        """Has thumbnails made, before those that were asked for earlier.

        Args:
            thumbnails: where
            boxes: the boxes by file, None for the whole image; the first file is made first
        """
        with self._changed:
            for filepath in reversed(list(boxes)):
                _, earlier = self._waiting.pop(filepath, (thumbnails, set()))
                self._waiting[filepath] = thumbnails, {*earlier, *boxes[filepath]}
            while len(self._waiting) > MAX_WAITING:
                del self._waiting[next(iter(self._waiting))]
            if self._waiting and self._thread is None:
                self._thread = threading.Thread(target=self._run, name="ccip thumbnails", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def join(self, seconds: float) -> bool:
        """Waits until there is nothing more to make; returns whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: self._thread is None, seconds)

    def _run(self) -> None:
        if sys.platform == "linux":  # elsewhere threads have no priority of their own
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while True:
            with self._changed:
                if not self._waiting:
                    self._thread = None
                    self._changed.notify_all()
                    return
                filepath, (thumbnails, boxes) = self._waiting.popitem()
            self._make(thumbnails, filepath, list(boxes))

    def _make(self, thumbnails: Thumbnails, filepath: str, boxes: list[Box | None]) -> None:
        try:
            paths = thumbnails.make(filepath, boxes, max_pixels=MAX_PIXELS)
        except OSError as error:
            logger.warning("no thumbnails for a minute: %s: %s", thumbnails.folder, error)
            self._blocked[thumbnails.folder] = time.monotonic() + _RETRY_SECONDS
            with self._changed:
                self._waiting.clear()
        except Exception as error:  # decoders raise nearly any exception
            logger.debug("no thumbnail: %s", error)
            self._fail(filepath, boxes)
        else:
            self._fail(filepath, [box for box, path in zip(boxes, paths, strict=True) if path is None])

    def _fail(self, filepath: str, boxes: Iterable[Box | None]) -> None:
        with contextlib.suppress(OSError, ValueError):
            status = os.stat(filepath)  # noqa: PTH116 - the name may be invalid
            for box in boxes:
                self._failed[name_of(filepath, status, box)] = None
        while len(self._failed) > _MAX_FAILED:
            del self._failed[next(iter(self._failed))]


MISSING = Missing()
"""What this process makes."""
