"""Selects the items to embed: those without embedding and, to verify, those whose file gives other pixels now."""

import functools
import os
from collections.abc import Callable
from typing import NamedTuple

from ..core.encoder.reading import crop_state, file_state
from ..core.preprocessing import is_read_otherwise
from .store import EmbeddingStore, Keys, Stored

MAX_COUNTED = 200_000
"""Largest number of items whose files are opened only to count those that are read otherwise."""


class Selection(NamedTuple):
    """The items of a run.

    Attributes:
        todo: the items to embed
        to_check: items with an embedding of an older reading policy, which are only checked for showing nothing
        n_read_otherwise: number of embeddings that stay, although their file is read otherwise now
    """

    todo: Keys
    to_check: Keys
    n_read_otherwise: int = 0


def select_items(
    store: EmbeddingStore, *, verify: bool, is_older: bool, progress: Callable[[str, int, int], None]
) -> Selection:
    """Selects the items to embed.

    Args:
        store: the embeddings
        verify: whether items with an embedding are compared with their files
        is_older: whether there are embeddings of an older reading policy
        progress: receives the number of files opened
    """
    n_total = store.coverage().n_total
    if not verify:
        n_otherwise = _n_read_otherwise(store, n_total, progress) if is_older and n_total <= MAX_COUNTED else 0
        return Selection(store.missing(), Keys(), n_otherwise)
    todo, to_check = Keys(), Keys()
    state_of = functools.lru_cache(maxsize=1)(_file_state)  # the detections of an image are adjacent
    reads_otherwise = functools.lru_cache(maxsize=1)(_is_read_otherwise)
    for n, stored in enumerate(store.scan()):
        progress("checking files", n, n_total)
        if not _is_current(stored, state_of(stored.filepath), store.target.is_patches):
            todo.append(stored.key)
        elif is_older:
            (todo if reads_otherwise(stored.filepath) else to_check).append(stored.key)
    return Selection(todo, to_check)


def _n_read_otherwise(store: EmbeddingStore, n_total: int, progress: Callable[[str, int, int], None]) -> int:
    n_otherwise = 0
    reads_otherwise = functools.lru_cache(maxsize=1)(_is_read_otherwise)
    for n, stored in enumerate(store.scan()):
        progress("checking files", n, n_total)
        n_otherwise += stored.has_vector and reads_otherwise(stored.filepath)
    return n_otherwise


def _is_current(stored: Stored, state: str | None, is_patches: bool) -> bool:
    """Whether an item has an embedding of its file and box as they are."""
    if state is not None and is_patches:
        state = crop_state(state, stored.box)
    return stored.has_vector and stored.error is None and stored.source is not None and state == stored.source


def _is_read_otherwise(filepath: str) -> bool:
    try:
        with open(filepath, "rb") as file:  # noqa: PTH123 - the name may be invalid
            return is_read_otherwise(file)
    except (OSError, ValueError):
        return False


def _file_state(filepath: str) -> str | None:
    try:
        return file_state(os.stat(filepath))  # noqa: PTH116 - the name may be invalid
    except (OSError, ValueError):
        return None
