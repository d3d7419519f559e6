"""Thumbnails as what the App's grid shows, instead of the images themselves."""

import contextlib
import os
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import fiftyone as fo
from bson import ObjectId
from fiftyone.core.collections import SampleCollection
from pymongo import UpdateOne

from ..core.errors import CCIPError, check_type
from ..core.preprocessing import image_size
from ..core.progress import ProgressCallback, report
from ..core.system import usable_cores
from ..core.thumbnails import Thumbnails, name_of
from ..reports.facts import Facts
from ..storage.connection import with_database_errors
from ..storage.internals import dataset_id, reload_schema, sample_documents
from ..storage.schema import ForeignFieldError, declare, stored_field
from ..storage.targets import Target, TargetError, batched, resolve
from ..storage.updates import now, refresh_samples

THUMBNAIL_FIELD = "ccip_thumbnail"
DESCRIPTION = "CCIP thumbnail, shown in the grid of the App"

_FILEPATH = "filepath"
_BEFORE = "before"  # what the App showed before, in the info of the field
_LARGE_PIXELS = 20_000_000
_MAX_PIXELS = 100_000_000


class FolderNotWritableError(CCIPError, OSError):
    """The folder of the thumbnails cannot be written."""

    def __init__(self, folder: Path, problem: str):
        super().__init__(
            f"cannot write thumbnails into {folder}: {problem}; FIFTYONE_DEFAULT_DATASET_DIR names another folder"
        )
        self.folder = folder


@dataclass(frozen=True)
class GridThumbnails:
    """Result of showing thumbnails in the grid.

    Attributes:
        dataset: the name of the dataset
        folder: where the thumbnails are
        n_images: number of images
        n_without: number of images that could not be read; the grid shows the files themselves
        is_used: whether the grid shows thumbnails
    """

    dataset: str
    folder: Path
    n_images: int = 0
    n_without: int = 0
    is_used: bool = True

    def facts(self) -> Facts:
        """The report as text."""
        if not self.is_used:
            return Facts.of(f"the grid of {self.dataset!r} shows the images themselves; reload the App's page")
        return Facts.of(
            f"the grid of {self.dataset!r} shows thumbnails; reload the App's page",
            [
                ("Images", self.n_images),
                ("Without thumbnail", self.n_without or None),
                ("Field", THUMBNAIL_FIELD),
                ("Folder", str(self.folder)),
            ],
        )

    def __str__(self) -> str:
        return str(self.facts())


@with_database_errors
def use_thumbnails_in_grid(
    samples: SampleCollection, *, use: bool = True, progress: ProgressCallback | None = None
) -> GridThumbnails:
    """Has the App's grid show thumbnails instead of the images themselves, which makes it fast for large files.

    The paths are in the field ``ccip_thumbnail``, the files in FiftyOne's folder of datasets, where they are not
    deleted with the cache. The modal view shows the image itself, and so does the grid where there is no thumbnail.
    Call the function again after adding or changing images.

    Args:
        samples: a dataset, or a view of the images that get thumbnails
        use (True): False shows the images again, and deletes field and files
        progress (None): called with the number of images; may raise ``Cancelled``, and the next call continues

    Returns:
        a :class:`GridThumbnails`

    Raises:
        TargetError: not images, or detections
        ForeignFieldError: the field ``ccip_thumbnail`` is not of this plugin
        FolderNotWritableError: the folder cannot be written
    """
    check_type("use", use, bool, "True or False")
    target = resolve(samples)
    if target.is_patches:
        raise TargetError("the grid shows thumbnails of whole images: give a dataset, or a view that shows no patches")
    dataset = target.dataset
    field = stored_field(dataset, THUMBNAIL_FIELD)
    if field is not None and field.get("description") != DESCRIPTION:
        n_values = dataset.count(THUMBNAIL_FIELD)
        raise ForeignFieldError(THUMBNAIL_FIELD, n_values, "rename it: dataset.rename_sample_field(old, new)")
    folder = folder_of(dataset)
    if not use:
        show_images(dataset)
        return GridThumbnails(dataset.name, folder, is_used=False)
    declare(dataset, THUMBNAIL_FIELD, fo.StringField, description=DESCRIPTION)
    n_images, n_without = _write(target, Thumbnails(folder, sys.maxsize), progress)
    _show(dataset)
    return GridThumbnails(dataset.name, folder, n_images, n_without)


def folder_of(dataset: fo.Dataset) -> Path:
    """Where the thumbnails of a dataset are that its grid shows."""
    return Path(fo.config.default_dataset_dir) / "ccip_thumbnails" / str(dataset_id(dataset))


def show_images(dataset: fo.Dataset) -> None:
    """Has the grid show the images themselves again; deletes field and files, as far as there are some."""
    reload_schema(dataset)
    field = dataset.get_field(THUMBNAIL_FIELD)
    if field is not None and field.description == DESCRIPTION:
        before = (field.info or {}).get(_BEFORE) or {}
        dataset.delete_sample_field(THUMBNAIL_FIELD)  # also as what the App shows
        config = dataset.app_config
        config.media_fallback = bool(before.get("media_fallback", config.media_fallback))
        if dataset.has_sample_field(str(before.get("grid_media_field"))):
            config.grid_media_field = before["grid_media_field"]
        dataset.save()
    shutil.rmtree(folder_of(dataset), ignore_errors=True)


def _show(dataset: fo.Dataset) -> None:
    reload_schema(dataset)
    config, field = dataset.app_config, dataset.get_field(THUMBNAIL_FIELD)
    if config.grid_media_field != THUMBNAIL_FIELD:
        before = {name: getattr(config, name) for name in ("grid_media_field", "media_fallback")}
        field.info = {**(field.info or {}), _BEFORE: before}
        field.save()
    config.media_fields = list(dict.fromkeys([*(config.media_fields or [_FILEPATH]), THUMBNAIL_FIELD]))
    config.grid_media_field, config.media_fallback = THUMBNAIL_FIELD, True
    dataset.save()


def _write(target: Target, thumbnails: Thumbnails, progress: ProgressCallback | None) -> tuple[int, int]:
    """Makes thumbnails and stores their paths; returns the number of images, and of those without."""
    ids, _, columns = target.values(_FILEPATH)
    n_done = n_without = 0
    with _workers() as pool:
        maker = _Maker(thumbnails)
        for rows in batched(zip(ids, columns[_FILEPATH], strict=True)):
            report(progress, "making thumbnails", n_done, len(ids))
            paths = pool.map(maker.make, [filepath for _, filepath in rows])
            made = dict(zip((item_id for item_id, _ in rows), paths, strict=True))
            _store(target, made)
            n_done, n_without = n_done + len(rows), n_without + sum(path is None for path in made.values())
    report(progress, "making thumbnails", n_done, len(ids))
    return n_done, n_without


@contextlib.contextmanager
def _workers() -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(usable_cores(), thread_name_prefix="thumbnails")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _store(target: Target, paths: Mapping[str, str | None]) -> None:
    stored = dict(zip(*target.dataset.select(list(paths)).values(["id", THUMBNAIL_FIELD]), strict=True))
    changed = [item_id for item_id in stored if stored[item_id] != paths[item_id]]
    if changed:
        updates = [
            UpdateOne({"_id": ObjectId(each)}, {"$set": {THUMBNAIL_FIELD: paths[each], "last_modified_at": now()}})
            for each in changed
        ]
        sample_documents(target.dataset).bulk_write(updates, ordered=False)
        refresh_samples(target, [THUMBNAIL_FIELD], sample_ids=changed)


class _Maker:
    """Makes thumbnails that no limit deletes; takes those of the cache."""

    def __init__(self, thumbnails: Thumbnails):
        self._thumbnails, self._cache = thumbnails, Thumbnails()
        self._large = threading.Lock()

    def make(self, filepath: str) -> str | None:
        """The path of the thumbnail of a file, None for one that cannot be read."""
        self._take(filepath)
        try:
            width, height = image_size(filepath)
            with self._large if width * height > _LARGE_PIXELS else contextlib.nullcontext():  # one at a time
                (path,) = self._thumbnails.make(filepath, max_pixels=_MAX_PIXELS)
        except CCIPError:
            return None
        except OSError as error:
            raise FolderNotWritableError(self._thumbnails.folder, error.strerror or str(error)) from error
        return None if path is None else str(path)

    def _take(self, filepath: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            name = name_of(filepath, os.stat(filepath))  # noqa: PTH116 - the name may be invalid
            cached = self._cache.find(name)
            if cached is not None and self._thumbnails.find(name) is None:
                self._thumbnails.add(name, cached.read_bytes())
