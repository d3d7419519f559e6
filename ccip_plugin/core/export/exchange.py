"""Exchanges a folder for a new one. Killed at any moment, the next start completes the exchange or reverts it.

Beside ``<name>`` lie, for a while, ``.<name>.ccip-new``, the new folder, and ``.<name>.ccip-trash``, the folder before
the old one. The old one is kept as ``<name>.old``.
"""

import contextlib
import ctypes
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from .manifest import MANIFEST, Manifest, ManifestError, begin, has_manifest, read_manifest
from .records import TargetError

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


@dataclass(frozen=True)
class Places:
    """The folders of an exchange: ``target``, and beside it ``new``, ``old``, ``trash`` and the file ``lock``."""

    target: Path
    new: Path
    old: Path
    trash: Path
    lock: Path

    @classmethod
    def of(cls, target: Path) -> "Places":
        """The places for a target; links in its path are resolved."""
        path = target.expanduser().resolve()
        parent, name = path.parent, path.name
        hidden = (parent / f".{name}.ccip-{each}" for each in ("new", "trash", "lock"))
        new, trash, lock = hidden
        return cls(path, new, parent / f"{name}.old", trash, lock)


def check_target(places: Places) -> Manifest | None:
    """Checks that a folder may be written: it is new, empty, or an export.

    Returns:
        the manifest of the export that it is; None for a new or empty folder

    Raises:
        TargetError: it is anything else, it cannot be read, or a folder beside it is in the way
    """
    try:
        for path in (places.new, places.old, places.trash):
            if os.path.lexists(path) and not _is_ours(path):
                raise TargetError(path, "it is in the way: move it, or choose another target")
        if places.target.is_mount():
            raise TargetError(places.target, "a file system is mounted there: choose a folder in it")
        if not os.path.lexists(places.target) or _is_empty(places.target):
            return None
        if not places.target.is_dir() or not has_manifest(places.target):
            raise TargetError(places.target, f"it is neither empty nor an export (it has no {MANIFEST})")
        return read_manifest(places.target)
    except ManifestError as error:
        raise TargetError(places.target, str(error)) from error
    except OSError as error:
        raise TargetError(places.target, str(error)) from error


def recover(places: Places) -> str | None:
    """Completes or reverts an exchange that was interrupted.

    Call it with the lock held.

    Returns:
        ``"completed"``, ``"reverted"``, or None if there was none

    Raises:
        OSError: a folder cannot be renamed; call it again
    """
    outcome = None
    if _is_ours(places.new) and places.new.is_dir():
        generation = _generation(places.new)
        if generation is not None and (not places.target.exists() or _is_empty(places.target)):
            _move_over_empty(places.new, places.target)
            outcome = "completed"
        elif generation is not None and generation < (_generation(places.target) or 0) and not places.old.exists():
            places.new.rename(places.old)
            outcome = "completed"
        else:
            discard(places.new)
            outcome = "reverted"
    if _is_ours(places.trash) and places.trash.is_dir():
        if places.old.exists():
            discard(places.trash)
        else:
            places.trash.rename(places.old)
    return outcome


def start_new(places: Places) -> None:
    """Makes the folder for the new content; :func:`recover` deletes it until its manifest is complete."""
    places.new.mkdir()
    begin(places.new)


def exchange(places: Places) -> None:
    """Puts the new folder, with its complete manifest, in the place of the target.

    Raises:
        OSError: a folder cannot be renamed; call :func:`recover`
    """
    if not places.target.exists() or _is_empty(places.target):
        _move_over_empty(places.new, places.target)
    else:
        if places.old.exists():
            places.old.rename(places.trash)
        if swap(places.new, places.target):
            places.new.rename(places.old)
        else:
            places.target.rename(places.old)
            places.new.rename(places.target)
    with contextlib.suppress(OSError):  # the exchange is done; the next start tries again
        discard(places.trash)
    _sync_folder(places.target.parent)


def swap(left: Path, right: Path) -> bool:
    """Exchanges two folders in one step, where the system can; False where it cannot."""
    if sys.platform != "linux":
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    paths = (os.fsencode(left), os.fsencode(right))
    return bool(rename(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0)


def discard(folder: Path) -> None:
    """Deletes a folder of ours, its manifest last, so that it is ours until it is gone."""
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.name == MANIFEST:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    (folder / MANIFEST).unlink(missing_ok=True)
    folder.rmdir()


def _is_ours(path: Path) -> bool:
    return not path.is_symlink() and path.is_dir() and (has_manifest(path) or _is_empty(path))


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and next(path.iterdir(), None) is None


def _generation(folder: Path) -> int | None:
    """The generation of a complete export, None for anything else."""
    try:
        return read_manifest(folder).generation
    except ManifestError:
        return None


def _move_over_empty(folder: Path, target: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        target.rmdir()
    folder.rename(target)


def _sync_folder(folder: Path) -> None:
    """Syncs the names in a folder to disk, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
