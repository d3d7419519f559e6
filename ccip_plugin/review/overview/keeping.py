"""Keeps the overview of a board with the dataset, a moment after each change, in the background."""

import logging
import threading
import time
import weakref
from dataclasses import dataclass

import fiftyone as fo
import numpy as np

from ...core.review.overview.rows import Rows, fill_pictures, rows_of
from ...labels.overview.making import counts_of
from ...labels.overview.stored import Overview, load_overview, save_overview
from ..board import BOARDS, ReviewBoard
from ..sources import Source
from .preview import PREVIEWS, Preview

logger = logging.getLogger(__name__)

QUIET_SECONDS, LATEST_SECONDS = 1.0, 15.0
"""Seconds without a change before a board is kept, and the longest wait while changes follow each other."""

_GROUPS = 32  # that are looked at before others get the board again
_PAUSE = 0.005


@dataclass
class _Kept:
    """How far a board is kept."""

    version: int = -1
    is_running: bool = False
    is_compared: bool = False


class Keeper:
    """Keeps boards, each by a thread that ends when all is kept."""

    def __init__(self) -> None:
        self._kept: weakref.WeakKeyDictionary[ReviewBoard, _Kept] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def watch(self, board: ReviewBoard) -> None:
        """Keeps a board from now on."""
        if board.on_change is None:
            reference = weakref.ref(board)
            board.on_change = lambda: self._ask(reference())
            self._ask(board)

    def keep_now(self, board: ReviewBoard) -> int:
        """Keeps a board at once, where it has changed since; the number of bytes written."""
        with self._lock:
            kept = self._kept.setdefault(board, _Kept())
        return self._keep(board, kept)

    def _ask(self, board: ReviewBoard | None) -> None:
        if board is None:
            return
        with self._lock:
            kept = self._kept.setdefault(board, _Kept())
            if kept.is_running or kept.version == board.version:
                return
            kept.is_running = True
        arguments = (weakref.ref(board), kept)
        threading.Thread(target=self._run, args=arguments, name="ccip-review-overview", daemon=True).start()

    def _run(self, reference: "weakref.ref[ReviewBoard]", kept: _Kept) -> None:
        try:
            while _has_settled(reference):
                board = reference()
                if board is None:
                    return
                self._keep(board, kept)
                with self._lock:
                    kept.is_running = kept.version != board.version
                    if not kept.is_running:
                        return
                del board
        except Exception as error:  # of the database, or the dataset was deleted: the next change tries again
            logger.warning("the overview of the groups is not kept: %s", error)
            kept.is_running = False

    def _keep(self, board: ReviewBoard, kept: _Kept) -> int:
        if not kept.is_compared:
            kept.is_compared = True
            _take_over(board, kept)
        if kept.version == board.version:
            return 0
        _look(board)
        with board.lock:
            version, overview = board.version, _overview_of(board)
        n_bytes = 0 if overview is None else save_overview(board.store, overview)
        kept.version = version
        return n_bytes


KEEPER = Keeper()
"""Keeps the boards of this process."""


def _has_settled(reference: "weakref.ref[ReviewBoard]") -> bool:
    """Waits until a board has not changed for a moment, or not longer than a few; False when it is forgotten."""
    latest = time.monotonic() + LATEST_SECONDS
    while time.monotonic() < latest:
        board = reference()
        version = None if board is None else board.version
        del board
        time.sleep(QUIET_SECONDS)
        board = reference()
        if board is None or board.version == version:
            return board is not None
    return True


def _take_over(board: ReviewBoard, kept: _Kept) -> None:
    """Takes over what is kept already, if it is of the same state."""
    overview = load_overview(board.store)
    with board.lock:
        is_same = overview is not None and overview.marks == board.marks and overview.threshold == board.threshold
        if overview is not None and is_same and overview.embeddings_field == board.embeddings_field:
            near = zip(overview.rows["id"].tolist(), overview.rows["has_near_duplicates"].tolist(), strict=True)
            board.is_near = {**dict(near), **board.is_near}
            kept.version = board.version


def _look(board: ReviewBoard) -> None:
    """Finds what all groups show, a few at a time: others get the board in between."""
    with board.lock:
        ids = np.unique(board.group_ids).tolist()
        missing = [each for each in ids if each and not board.has_looked(each)]
    for start in range(0, len(missing), _GROUPS):
        with board.lock:
            for group_id in missing[start : start + _GROUPS]:
                board.shown(group_id)
        time.sleep(_PAUSE)


def _overview_of(board: ReviewBoard) -> Overview | None:
    """The overview of a board; None while labels name groups that are not registered, and have no lasting ids."""
    if board.has_names_of_labels:
        return None
    rows = _rows_of(board)
    return Overview(
        rows, counts_of(board.status), board.marks, board.embeddings_field, board.model_name, board.threshold
    )


def _rows_of(board: ReviewBoard) -> Rows:
    rows = rows_of(board.board, board.group_ids, board.confirmed)
    listed = rows["id"].tolist()
    shown = [board.shown(each) for each in listed]
    rows["has_near_duplicates"] = [board.is_near[each] for each in listed]
    differences = np.full(len(board.ids), np.nan, np.float32)
    differences[: board.n_embedded] = board.board.difference
    items, samples = board.packed_ids
    fill_pictures(rows, shown, items=items, samples=samples, differences=differences, status=board.status)
    return rows


class _Loader:
    """Reads boards in the background."""

    def __init__(self) -> None:
        self._running: set[tuple[str, str]] = set()
        self._failed: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def has_failed(self, dataset: fo.Dataset, source: Source) -> bool:
        """Whether the board could not be read, reported once: whoever reads it then gets the error."""
        with self._lock:
            key = (str(dataset.name), source.path)
            failed = key in self._failed
            self._failed.discard(key)
            return failed

    def start(self, dataset: fo.Dataset, source: Source) -> None:
        """Reads a board, unless it is being read."""
        key = (str(dataset.name), source.path)
        with self._lock:
            if key in self._running:
                return
            self._running.add(key)
        threading.Thread(target=self._load, args=(key, dataset, source), name="ccip-review-board", daemon=True).start()

    def _load(self, key: tuple[str, str], dataset: fo.Dataset, source: Source) -> None:
        try:
            board_of(dataset, source)
        except Exception as error:
            logger.info("the groups of %s cannot be read in the background: %s", source.path, error)
            with self._lock:
                self._failed.add(key)
        finally:
            with self._lock:
                self._running.discard(key)


_LOADER = _Loader()


def board_of(dataset: fo.Dataset, source: Source) -> ReviewBoard:
    """The board of a source, up to date; what is kept of it follows.

    Args:
        dataset: the dataset
        source: what is reviewed
    """
    board = BOARDS.get(dataset, source)
    KEEPER.watch(board)
    return board


def shelf_of(dataset: fo.Dataset, source: Source) -> ReviewBoard | Preview:
    """What cards can be made of at once: the board, or what is kept while it is being read; else the board is read.

    Args:
        dataset: the dataset
        source: what is reviewed
    """
    if BOARDS.peek(dataset, source) is None and not _LOADER.has_failed(dataset, source):
        preview = PREVIEWS.get(dataset, source)
        if preview is not None:
            _LOADER.start(dataset, source)
            return preview
    return board_of(dataset, source)
