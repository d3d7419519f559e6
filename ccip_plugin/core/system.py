"""System functions: cache folder, file locks, atomic writes, usable cores."""

import contextlib
import errno
import math
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

PART_SUFFIX = ".part"
"""Suffix of files and folders that are still being written."""

_POLL_SECONDS = 0.5  # interval of the calls while another process holds a lock
_CACHES = {"win32": Path("~/AppData/Local"), "darwin": Path("~/Library/Caches")}
_CGROUPS, _CGROUP_OF_PROCESS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_MOUNTS = Path("/proc/self/mountinfo")
_ATTEMPTS = 10  # at putting a folder in place, while other processes do the same
_IN_PLACE = {errno.ENOTEMPTY, errno.EEXIST}
_NO_FSYNC = {errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM, errno.EISDIR}  # some file systems, and Windows


def cache_dir() -> Path:
    """The cache folder of this package: ``CCIP_CACHE_DIR``, else ``ccip`` in the user's cache folder.

    What is cached there only saves time: the folder need not exist, and nothing fails if it cannot be written.
    """
    if os.environ.get("CCIP_CACHE_DIR"):
        return _expanded(Path(os.environ["CCIP_CACHE_DIR"]))
    if sys.platform == "win32" and os.environ.get("LOCALAPPDATA"):
        return Path(os.environ["LOCALAPPDATA"]) / "ccip"
    if os.environ.get("XDG_CACHE_HOME") and sys.platform not in ("win32", "darwin"):
        return Path(os.environ["XDG_CACHE_HOME"]) / "ccip"
    return _expanded(_CACHES.get(sys.platform, Path("~/.cache"))) / "ccip"


def _expanded(path: Path) -> Path:
    """A path with the home folder for ``~``; in the folder of temporary files for a user without home."""
    try:
        return path.expanduser()
    except RuntimeError:
        return Path(tempfile.gettempdir(), *path.parts[1:])


@contextlib.contextmanager
def file_lock(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Holds an exclusive lock on a file while the block runs.

    Args:
        path: the lock file, which is not deleted
        waiting: called twice a second while another process holds the lock; its exceptions end the wait
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    while not lock.is_locked:
        try:
            lock.acquire(timeout=_POLL_SECONDS)
        except Timeout:
            waiting()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def output_apart() -> Iterator[None]:
    """Keeps processes that the block starts from holding the output of this process open after its end.

    A reader of the output, such as ``tee`` or ``$(...)``, waits for all that hold it. What is written in the block is
    kept in a file, and copied to standard error after it.
    """
    streams = (1, 2)
    try:
        kept = [os.dup(stream) for stream in streams]
    except OSError:  # this process has none
        yield
        return
    with tempfile.TemporaryFile() as file:
        try:
            _flush_output()
            for stream in streams:
                os.dup2(file.fileno(), stream)
            yield
        finally:
            _flush_output()
            for descriptor, stream in zip(kept, streams, strict=True):
                os.dup2(descriptor, stream)
                os.close(descriptor)
            _copy_output(file)


def _flush_output() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def _copy_output(file: IO[bytes]) -> None:
    file.seek(0)
    with contextlib.suppress(OSError):  # nobody reads it
        os.write(2, file.read())


@contextlib.contextmanager
def atomic_write(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Replaces a file or folder atomically: readers see the old content or the new, never a part.

    Yields a temporary path in the same folder, where the block writes a file or creates a folder. After the block it is
    synced to disk and renamed to ``path``; if the block fails, it is deleted and ``path`` is unchanged.

    Args:
        path: the file or folder to replace; its parent exists
        durable (True): sync to disk; what a power failure may empty needs no sync

    Raises:
        OSError: the content could not be written or renamed; ``path`` is unchanged
    """
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}{PART_SUFFIX}")
    try:
        yield part
        if durable:
            _sync(part)
        _put_in_place(part, path)
    except BaseException:
        delete(part)
        raise
    if not durable:
        return
    with contextlib.suppress(OSError):  # the rename is done; only a power failure could undo it
        _sync_one(path.parent)


def delete(path: Path) -> None:
    """Deletes a file, a folder or a link (not its target); ignores errors."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def usable_cores() -> int:
    """Number of cores that this process may use: its CPU affinity, limited by the quota of its container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cpu_quota(_CGROUP_OF_PROCESS, _CGROUPS, _MOUNTS)
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def _cpu_quota(membership: Path, mount: Path, mounts: Path | None = None) -> float | None:
    """Smallest CPU quota, in cores, of the control groups of a process and of their parents; None without one.

    Args:
        membership: a file that lists the groups, such as ``/proc/self/cgroup``
        mount: the folder where the groups are usually mounted
        mounts (None): a file that lists where which groups are mounted, such as ``/proc/self/mountinfo``
    """
    folders = {
        folder
        for controllers, group in _cgroups_of(membership)
        for folder in (
            *_usual_folders(controllers, group, mount),
            *(() if mounts is None else _mounted_folders(controllers, group, mounts)),
        )
    }
    return min([quota for folder in folders if (quota := _quota_of(folder)) is not None], default=None)


def _cgroups_of(membership: Path) -> Iterator[tuple[str, PurePosixPath]]:
    """Controllers and path of the groups that may limit the CPU; no controllers for version 2."""
    for line in _read(membership).splitlines():
        _, *rest = line.split(":", 2)
        if len(rest) == 2 and (not rest[0] or "cpu" in rest[0].split(",")):
            yield rest[0], PurePosixPath(rest[1])


def _usual_folders(controllers: str, group: PurePosixPath, mount: Path) -> Iterator[Path]:
    """Folders of a group and its parents; in a container the mount itself may be the group."""
    inner = group.relative_to(group.anchor)
    for root in (mount / controllers, mount / "cpu") if controllers else (mount,):
        yield from (root / folder for folder in (inner, *inner.parents) if ".." not in folder.parts)


def _mounted_folders(controllers: str, group: PurePosixPath, mounts: Path) -> Iterator[Path]:
    """Folders of a group and its parents, wherever they are mounted, and as much of them as is visible."""
    for line in _read(mounts).splitlines():
        before, separator, after = line.partition(" - ")
        kind, fields = after.split(" ")[0], before.split(" ")
        has_cpu = kind == "cgroup" and "cpu" in after.split(" ")[-1].split(",")
        if not separator or len(fields) < 5 or not (has_cpu if controllers else kind == "cgroup2"):
            continue
        root, place = PurePosixPath(fields[3]), Path(fields[4])
        inner = group.relative_to(root) if group.is_relative_to(root) else PurePosixPath()
        yield from (place / folder for folder in (inner, *inner.parents) if ".." not in folder.parts)


def _quota_of(folder: Path) -> float | None:
    """Quota of one group, from the files of cgroup version 2 or 1."""
    limit = _read(folder / "cpu.max").split()
    if not limit:
        limit = [*_read(folder / "cpu.cfs_quota_us").split(), *_read(folder / "cpu.cfs_period_us").split()]
    try:
        quota, period = (int(number) for number in limit)
    except ValueError:
        return None  # "max", or no such file
    return quota / period if quota > 0 and period > 0 else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""


def _put_in_place(part: Path, path: Path) -> None:
    if not part.is_dir() and not path.is_dir():
        part.replace(path)
        return
    old = part.with_name(f"{part.name.removesuffix(PART_SUFFIX)}.old{PART_SUFFIX}")
    for attempt in range(_ATTEMPTS):
        with contextlib.suppress(FileNotFoundError):
            path.rename(old)  # a folder cannot be renamed onto another one
        try:
            part.rename(path)
            break
        except OSError as error:
            if os.path.lexists(old) and not os.path.lexists(path):
                old.rename(path)
            if error.errno not in _IN_PLACE or attempt == _ATTEMPTS - 1:
                raise
            delete(old)  # another process put its own there between the two calls
    delete(old)


def _sync(path: Path) -> None:
    """Syncs a file, or a folder and everything in it, to disk; links are not followed."""
    for folder, _, names in os.walk(path):
        for name in names:
            _sync_one(Path(folder) / name)
        _sync_one(Path(folder))
    if not path.is_dir():
        _sync_one(path)


def _sync_one(path: Path) -> None:
    if path.is_symlink():
        return
    try:
        handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in _NO_FSYNC:
            raise
