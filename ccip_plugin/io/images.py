"""Import of image files: finds them in folders and adds new ones to a dataset."""
# paths are strings, as in the database, since there may be a million of them
# ruff: noqa: PTH100, PTH111, PTH112, PTH114, PTH116, PTH118, PTH121, PTH122

import logging
import os
import re
import stat
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import fiftyone as fo
import fiftyone.core.media as fomm
from fiftyone.core.dataset import DatasetNotFoundError
from PIL import Image
from pymongo.errors import DuplicateKeyError

from ..core.errors import CCIPError, check_type
from ..core.preprocessing import REFUSED_FORMATS, register_optional_readers, why_missing
from ..core.progress import ProgressCallback, report
from ..reports.facts import Facts, counted
from ..storage.connection import with_database_errors
from ..storage.lease import SHORT_SECONDS, lease
from ..storage.targets import batched, resolve
from .passed_over import PassedOver, counts_text

logger = logging.getLogger(__name__)

LEASE = "images"
_WAIT_SECONDS = 600.0
_COMMON = (".jpg", ".png", ".webp", ".gif", ".avif")  # endings that a message names
_NOT_DECODED = frozenset({"BUFR", "GRIB", "HDF5", "MPEG"})  # formats that Pillow recognizes but does not decode
_SYSTEM_FOLDERS = frozenset({"__MACOSX", "@eaDir"})  # copies and thumbnails made by macOS and Synology


class IngestError(CCIPError, ValueError):
    """There are no images to add, or no dataset to add them to."""


@dataclass(frozen=True)
class FoundImages:
    """The result of :func:`find_images`.

    Attributes:
        paths: absolute paths of the image files, each file once
        skipped: skipped folders and files with the reasons
        passed_over: number of files of types that are not read, by the ending of their names; captions, caches and
            notes are not counted
    """

    paths: Sequence[str]
    skipped: Sequence[tuple[str, str]] = ()
    passed_over: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class IngestReport:
    """The result of :func:`add_images`.

    Attributes:
        n_found: the number of image files found
        n_added: the number of those added to the dataset
        n_known: the number of those already in the dataset
        skipped: skipped folders and files with the reasons
        passed_over: number of files of types that are not read, by the ending of their names
    """

    n_found: int
    n_added: int
    n_known: int
    skipped: Sequence[tuple[str, str]] = ()
    passed_over: Mapping[str, int] = field(default_factory=dict)

    def facts(self) -> Facts:
        """The report as text."""
        return Facts.of(
            f"{counted(self.n_found, 'image file')} found, {self.n_added:,} added",
            [
                ("Image files found", self.n_found),
                ("Added", self.n_added),
                ("Already in the dataset", self.n_known or None),
                ("Skipped files and folders", len(self.skipped) or None),
                ("Of types that are not read", counts_text(self.passed_over)),
            ],
        )

    def __str__(self) -> str:
        return str(self.facts())


@with_database_errors
def add_images(
    dataset: fo.Dataset | str,
    *paths: str | os.PathLike[str],
    recursive: bool = True,
    progress: ProgressCallback | None = None,
) -> IngestReport:
    """Adds image files to a dataset, except those that are already in it. Decodes no image.

    Image files are recognized by the ending of their name. Damaged ones are added as well: computing their embedding
    then records why it fails. Two processes can add the same files at the same time; each is added once.

    Args:
        dataset: a dataset of images or its name; a new name creates a persistent dataset
        paths: image files and folders
        recursive (True): whether to search subfolders
        progress (None): receives the number of files

    Returns:
        an :class:`IngestReport`

    Raises:
        IngestError: a path does not exist, there are no images, or the name of the dataset is invalid
        TargetError: the dataset is no image dataset
        LeaseHeldError: another process is still adding images after ten minutes
    """
    found = find_images(*paths, recursive=recursive, progress=progress)
    return add_found(open_dataset(dataset) if isinstance(dataset, str) else dataset, found, progress=progress)


@with_database_errors
def add_found(dataset: fo.Dataset, found: FoundImages, *, progress: ProgressCallback | None = None) -> IngestReport:
    """Adds files that were found; see :func:`add_images`."""
    resolve(dataset)
    report(progress, "comparing with the dataset", 0, None)
    with lease(dataset, LEASE, ttl=SHORT_SECONDS, wait=_WAIT_SECONDS) as held:
        is_known = _membership(dataset.values("filepath"))
        new = [path for path in found.paths if not is_known(path)]
        n_added = 0
        for chunk in batched(new):
            report(progress, "adding images", n_added, len(new))
            held.check()
            dataset.add_samples([fo.Sample(path, media_type=fomm.IMAGE) for path in chunk], progress=False)
            n_added += len(chunk)
    report(progress, "adding images", n_added, n_added)
    return IngestReport(len(found.paths), n_added, len(found.paths) - n_added, found.skipped, found.passed_over)


@with_database_errors
def open_dataset(name: str, *, create: bool = True) -> fo.Dataset:
    """Loads the dataset of a name.

    Args:
        name: the name
        create (True): whether to create it, persistent, if it does not exist

    Raises:
        IngestError: it does not exist, or the name is invalid
    """
    check_type("name", name, str, "the name of a dataset")
    if not re.search("[A-Za-z0-9]", name):
        raise IngestError(f"a dataset cannot be called {name!r}: FiftyOne requires at least one letter a-z or digit")
    try:
        return fo.load_dataset(name)
    except DatasetNotFoundError:
        if not create:
            existing = ", ".join(map(repr, fo.list_datasets())) or "none"
            raise IngestError(f"there is no dataset {name!r}; existing datasets: {existing}") from None
        return _create(name)


def find_images(
    *paths: str | os.PathLike[str], recursive: bool = True, progress: ProgressCallback | None = None
) -> FoundImages:
    """Finds image files by the endings of their names: every type that Pillow decodes.

    Hidden files and folders (``.name``) and folders of system thumbnails are skipped. Links are followed; a file that
    several paths lead to is found once.

    Args:
        paths: image files and folders
        recursive (True): whether to search subfolders
        progress (None): receives the number of files found

    Returns:
        a :class:`FoundImages`, sorted by folder and name

    Raises:
        IngestError: a path does not exist, or there are no images
    """
    for path in paths:
        check_type("a path", path, str | os.PathLike, "the path of an image or a folder")
    roots = [os.path.abspath(os.path.expanduser(path)) for path in paths]
    if problem := next(filter(None, (why_missing(os.fspath(path)) for path in paths)), None):
        raise IngestError(problem)
    walk = _Walk(recursive, progress)
    for root in roots:
        walk.visit(root)
    if not walk.found:
        places = ", ".join(roots) or "nothing"
        skipped = f"; skipped: {walk.skipped[0][0]} ({walk.skipped[0][1]})" if walk.skipped else ""
        not_read = f"; of types that are not read: {text}" if (text := counts_text(walk.passed_over.counts())) else ""
        n_more = len(image_extensions()) - len(_COMMON)
        types = f"{', '.join(_COMMON)} and {n_more} more endings"
        raise IngestError(f"no images in {places}{skipped}{not_read}. Images are found by {types}")
    return FoundImages(list(walk.found.values()), walk.skipped, walk.passed_over.counts())


@cache
def image_extensions() -> frozenset[str]:
    """The endings of the names of image files that can be decoded, such as ``.png``."""
    Image.init()
    register_optional_readers()
    readable = set(Image.OPEN) - REFUSED_FORMATS - _NOT_DECODED
    return frozenset(ending for ending, kind in Image.registered_extensions().items() if kind in readable)


class _Walk:
    """A walk through folders. ``found`` maps the real path of each file, with links resolved, to the path found."""

    def __init__(self, recursive: bool, progress: ProgressCallback | None):
        self.found: dict[str, str] = {}
        self.skipped: list[tuple[str, str]] = []
        self.passed_over = PassedOver()
        self._recursive, self._progress = recursive, progress
        self._visited: set[str] = set()
        self._real_path = _real_paths()

    def visit(self, root: str) -> None:
        """Adds a file, or the files in a folder."""
        if not os.path.isdir(root):
            self._add(root)
            return
        folders = [root]
        while folders:
            subfolders = self._visit_folder(folders.pop())
            folders += reversed(subfolders if self._recursive else [])
            report(self._progress, "finding images", len(self.found), None)

    def _visit_folder(self, folder: str) -> list[str]:
        """Adds the files in a folder, unless it was visited before; returns its subfolders."""
        real = os.path.realpath(folder)
        if real in self._visited:
            return []
        self._visited.add(real)
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            self._skip(folder, error.strerror or str(error))
            return []
        subfolders = []
        for entry in entries:
            if entry.name.startswith(".") or entry.name in _SYSTEM_FOLDERS:
                continue
            if _is_folder(entry):
                subfolders.append(entry.path)
            else:
                self._add(entry.path)
        return subfolders

    def _add(self, path: str) -> None:
        if _is_special(path):
            return
        if os.path.splitext(path)[1].lower() not in image_extensions():
            self.passed_over.add(path)
            return
        try:
            path.encode()
        except UnicodeEncodeError:
            self._skip(path, "its name is not valid UTF-8, which the database requires; rename it")
            return
        self.found.setdefault(self._real_path(path), path)

    def _skip(self, path: str, reason: str) -> None:
        path = path.encode(errors="backslashreplace").decode()
        logger.info("skipped %s: %s", path, reason)
        self.skipped.append((path, reason))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or to a folder without permission
        return False


def _is_special(path: str) -> bool:
    """Whether it is a pipe, a device or the like. A missing or unreadable file is not: it counts as damaged."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False


def _real_paths() -> Callable[[str], str]:
    """A function that resolves links, each folder only once."""
    real_folder = cache(os.path.realpath)

    def real_path(path: str) -> str:
        if os.path.islink(path):
            return os.path.normcase(os.path.realpath(path))
        folder, name = os.path.split(path)
        return os.path.normcase(os.path.join(real_folder(folder), name))

    return real_path


def _membership(paths: Iterable[str]) -> Callable[[str], bool]:
    """A function that tests whether a file is among ``paths``, by another path or in another Unicode form as well.

    Some file systems return names in another Unicode normalization form than they were given; on others the two forms
    are two files. So such names are the same only if the file system says so.
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
        return any(_is_same_file(path, stored) for stored in composed.get(unicodedata.normalize("NFC", real), ()))

    return is_known


def _is_same_file(left: str, right: str) -> bool:
    try:
        return os.path.samefile(left, right)
    except OSError:
        return False


def _create(name: str) -> fo.Dataset:
    try:
        return fo.Dataset(name, persistent=True)
    except DuplicateKeyError:  # another process created it after FiftyOne had checked the name
        return fo.load_dataset(name)
    except ValueError as error:
        if fo.dataset_exists(name):
            return fo.load_dataset(name)
        raise IngestError(f"a dataset cannot be called {name!r}: {error}") from error
