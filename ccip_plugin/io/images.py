"""Image files into a dataset: finds them in folders and adds those that it does not have yet."""
# paths are the strings that the database holds, and there may be a million of them
# ruff: noqa: PTH100, PTH111, PTH112, PTH114, PTH116, PTH118, PTH121, PTH122

import logging
import os
import re
import stat
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import fiftyone as fo
import fiftyone.core.media as fomm
from fiftyone.core.dataset import DatasetNotFoundError
from PIL import Image
from pymongo.errors import DuplicateKeyError

from ..core.errors import CCIPError
from ..core.preprocessing import REFUSED_FORMATS
from ..core.progress import ProgressCallback, report
from ..reports.facts import Facts, counted
from ..storage.lease import SHORT_SECONDS, lease
from ..storage.targets import batched, resolve

logger = logging.getLogger(__name__)

LEASE = "images"
_WAIT_SECONDS = 600.0
_NOT_DECODED = frozenset({"BUFR", "GRIB", "HDF5", "MPEG"})  # formats that Pillow only recognises
_COPIES = frozenset({"__MACOSX", "@eaDir"})  # folders in which systems keep copies and thumbnails of the images beside


class IngestError(CCIPError, ValueError):
    """There is nothing that could be added, or no dataset to add it to."""


@dataclass(frozen=True)
class FoundImages:
    """What there is in some folders.

    Attributes:
        paths: absolute paths of the image files, each file once
        skipped: folders and files that could not be taken, with the reasons
    """

    paths: Sequence[str]
    skipped: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class IngestReport:
    """What :func:`add_images` did.

    Attributes:
        n_found: image files that were found
        n_added: those that were added to the dataset
        n_known: those that it had
        skipped: folders and files that could not be taken, with the reasons
    """

    n_found: int
    n_added: int
    n_known: int
    skipped: Sequence[tuple[str, str]] = ()

    def facts(self) -> Facts:
        """The report as text."""
        return Facts.of(
            f"{counted(self.n_found, 'image file')} found, {self.n_added:,} added",
            [
                ("Image files found", self.n_found),
                ("Added", self.n_added),
                ("Already in the dataset", self.n_known or None),
                ("Skipped files and folders", len(self.skipped) or None),
            ],
        )

    def __str__(self) -> str:
        return str(self.facts())


def add_images(
    dataset: fo.Dataset | str,
    *paths: str | os.PathLike[str],
    recursive: bool = True,
    progress: ProgressCallback | None = None,
) -> IngestReport:
    """Adds image files to a dataset, those that it does not have yet. Looks at no pixel.

    Files that look like images by their names are added even when they are broken: embedding them fails, and says why.
    Two processes that add the same files at once do not add them twice.

    Args:
        dataset: a dataset of images, or the name of one, which is made (persistent) when there is none
        paths: image files and folders
        recursive (True): whether to look into the folders in the folders
        progress (None): called with the number of files

    Returns:
        an :class:`IngestReport`

    Raises:
        IngestError: a path is not there, there is no image in any, or the dataset cannot have that name
        TargetError: the dataset is not one of images
        LeaseHeldError: another process is still adding images after ten minutes
    """
    found = find_images(*paths, recursive=recursive, progress=progress)
    if isinstance(dataset, str):
        dataset = open_dataset(dataset)
    resolve(dataset)
    report(progress, "comparing with the dataset", 0, None)
    with lease(dataset, LEASE, ttl=SHORT_SECONDS, wait=_WAIT_SECONDS) as held:
        is_known = _known(dataset.values("filepath"))
        new = [path for path in found.paths if not is_known(path)]
        n_added = 0
        for chunk in batched(new):
            report(progress, "adding images", n_added, len(new))
            held.check()
            dataset.add_samples([fo.Sample(path, media_type=fomm.IMAGE) for path in chunk], progress=False)
            n_added += len(chunk)
    report(progress, "adding images", n_added, n_added)
    return IngestReport(len(found.paths), n_added, len(found.paths) - n_added, found.skipped)


def open_dataset(name: str, *, create: bool = True) -> fo.Dataset:
    """Gives the dataset of a name.

    Args:
        name: the name
        create (True): whether to make it, persistent, when there is none

    Raises:
        IngestError: there is none, or no dataset can have that name
    """
    if not re.search("[A-Za-z0-9]", name):
        raise IngestError(f"no dataset can be called {name!r}: FiftyOne needs at least one letter a-z or digit in it")
    try:
        return fo.load_dataset(name)
    except DatasetNotFoundError:
        if not create:
            known = ", ".join(map(repr, fo.list_datasets())) or "none"
            raise IngestError(f"there is no dataset {name!r}; there are: {known}") from None
        return _create(name)


def find_images(
    *paths: str | os.PathLike[str], recursive: bool = True, progress: ProgressCallback | None = None
) -> FoundImages:
    """Finds image files, by their names: every type that Pillow reads.

    Hidden files and folders (``.name``) are left out, and so are folders of thumbnails that systems make. Links are
    followed; a file that can be reached in several ways is found once.

    Args:
        paths: image files and folders
        recursive (True): whether to look into the folders in the folders
        progress (None): called with the number of files found so far

    Returns:
        a :class:`FoundImages`, sorted by folder and name

    Raises:
        IngestError: a path is not there, or there is no image in any
    """
    roots = [os.path.abspath(os.path.expanduser(path)) for path in paths]
    for root in roots:
        if not os.path.lexists(root):
            raise IngestError(f"{root} is not there")
    walk = _Walk(recursive, progress)
    for root in roots:
        walk.visit(root)
    if not walk.found:
        places = ", ".join(roots) or "nothing"
        others = f"; skipped: {walk.skipped[0][0]} ({walk.skipped[0][1]})" if walk.skipped else ""
        raise IngestError(f"no images in {places}{others}. Looked for {' '.join(sorted(image_extensions()))}")
    return FoundImages(list(walk.found.values()), walk.skipped)


@cache
def image_extensions() -> frozenset[str]:
    """The endings of names, such as ``.png``, of the image files that can be read."""
    Image.init()
    readable = set(Image.OPEN) - REFUSED_FORMATS - _NOT_DECODED
    return frozenset(ending for ending, kind in Image.registered_extensions().items() if kind in readable)


class _Walk:
    """A walk through folders; ``found`` has the path of each file by its real path, links resolved."""

    def __init__(self, recursive: bool, progress: ProgressCallback | None):
        self.found: dict[str, str] = {}
        self.skipped: list[tuple[str, str]] = []
        self._recursive, self._progress = recursive, progress
        self._seen: set[str] = set()
        self._real_path = _real_paths()

    def visit(self, root: str) -> None:
        """Takes a file, or all files of a folder."""
        if not os.path.isdir(root):
            self._take(root)
            return
        folders = [root]
        while folders:
            inner = self._take_folder(folders.pop())
            folders += reversed(inner if self._recursive else [])
            report(self._progress, "looking for images", len(self.found), None)

    def _take_folder(self, folder: str) -> list[str]:
        """Takes the files of a folder, unless it was seen; gives the folders in it."""
        real = os.path.realpath(folder)
        if real in self._seen:
            return []
        self._seen.add(real)
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            self._skip(folder, error.strerror or str(error))
            return []
        inner = []
        for entry in entries:
            if entry.name.startswith(".") or entry.name in _COPIES:
                continue
            if _is_folder(entry):
                inner.append(entry.path)
            else:
                self._take(entry.path)
        return inner

    def _take(self, path: str) -> None:
        if os.path.splitext(path)[1].lower() not in image_extensions() or _is_special(path):
            return
        try:
            path.encode()
        except UnicodeEncodeError:
            self._skip(path, "its name is not UTF-8, so no database can hold it; rename it")
            return
        self.found.setdefault(self._real_path(path), path)

    def _skip(self, path: str, reason: str) -> None:
        path = path.encode(errors="backslashreplace").decode()
        logger.info("skipped %s: %s", path, reason)
        self.skipped.append((path, reason))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or one that leads where we may not look
        return False


def _is_special(path: str) -> bool:
    """Whether it is a pipe, a device or the like; what is not there, or not to be seen, is a broken file."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def _real_paths() -> Callable[[str], str]:
    """A function that resolves links, and looks at each folder once."""
    real_folder = cache(os.path.realpath)

    def real_path(path: str) -> str:
        if os.path.islink(path):
            return os.path.normcase(os.path.realpath(path))
        folder, name = os.path.split(path)
        return os.path.normcase(os.path.join(real_folder(folder), name))

    return real_path


def _known(paths: Iterable[str]) -> Callable[[str], bool]:
    """A function that says whether a file is among those of ``paths``, however it is written.

    Some systems give a name back in another Unicode form than the one in which it was typed; such a name means the same
    file only where the system says so, as others keep two files apart.
    """
    real_path = _real_paths()
    exact: set[str] = set()
    composed: dict[str, list[str]] = {}
    for path in paths:
        exact.update((path, real_path(path)))
        if not path.isascii():
            composed.setdefault(unicodedata.normalize("NFC", real_path(path)), []).append(path)

    def is_known(path: str) -> bool:
        if path in exact or (real := real_path(path)) in exact:
            return True
        return any(_is_same_file(path, other) for other in composed.get(unicodedata.normalize("NFC", real), ()))

    return is_known


def _is_same_file(path: str, other: str) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False


def _create(name: str) -> fo.Dataset:
    try:
        return fo.Dataset(name, persistent=True)
    except DuplicateKeyError:  # another process was faster, by so little that FiftyOne did not notice
        return fo.load_dataset(name)
    except ValueError as error:
        if fo.dataset_exists(name):
            return fo.load_dataset(name)
        raise IngestError(f"no dataset can be called {name!r}: {error}") from error
