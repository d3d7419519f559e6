"""Writes an export: builds the new folder aside, from unchanged files of the old one, and exchanges them."""

import contextlib
import datetime
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import CCIPError, printable
from ..plain import plain
from ..progress import ProgressCallback, report
from ..system import file_lock
from .carrying import Carried, carry, edited_captions
from .exchange import Places, check_target, exchange, recover, start_new
from .layouts import Layout, caption_text, files_of
from .manifest import Entry, Manifest, hash_of, origin_of, state_of, write_manifest
from .pictures import link_or_copy, place
from .records import ExportError, Picture, Plan, PlannedFile, TargetError

_MANY = 64  # files from which one sync of all is quicker than one of each


class ExportWriteError(ExportError, OSError):
    """The export cannot be written, for example because the disk is full; the target is as it was."""

    def __init__(self, path: Path, reason: object):
        super().__init__(printable(f"{path} cannot be written: {reason}"))
        self.path = path


@dataclass
class ExportReport:
    """What an export did.

    Attributes:
        target: the folder
        old: the folder with the export before, None for the first one
        n_images: number of images in it
        n_new: images that were linked, copied or decoded
        n_unchanged: images taken from the export before
        n_edited_captions: captions that were kept because a user edited them
        carried: files that are not ours
        restored: keys of images that a user deleted from the export before, and that are in it again
        superseded: keys of images that a user edited in the export before, whose source has changed as well; the edited
            ones are in ``old``
        failed: why images are missing, by their key
        recovered: what became of an interrupted export, None if there was none
    """

    target: Path
    old: Path | None = None
    n_images: int = 0
    n_new: int = 0
    n_unchanged: int = 0
    n_edited_captions: int = 0
    carried: Carried = field(default_factory=Carried)
    restored: list[str] = field(default_factory=list)
    superseded: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    recovered: str | None = None


def write_export(
    plan: Plan,
    layout: Layout,
    target: str | Path,
    *,
    link: bool = False,
    provenance: Mapping[str, Any] | None = None,
    progress: ProgressCallback | None = None,
) -> ExportReport:
    """Writes an export into a folder that is new, empty, or an export.

    A second export takes unchanged images from the first, keeps captions that users edited and files that are not ours,
    and keeps the first as ``<name>.old``, in place of the one before it. Until the exchange the target is not touched;
    if it is interrupted, the next call completes or reverts it.

    Args:
        plan: what the export contains
        layout: what the trainer reads
        target: the folder; its parent exists
        link (False): link to the images instead of copying them, where the file system can; tools that change files in
            place then change the originals
        provenance (None): what the manifest says about the images, of JSON types
        progress (None): called with the number of images written

    Returns:
        the :class:`ExportReport`

    Raises:
        TargetError: the target is anything else; another process writes it
        ExportWriteError: the file system refuses; the target is as it was
        ExportError: no image can be exported
        Cancelled: ``progress`` raised it; the target is as it was
    """
    places = Places.of(Path(target))
    result = ExportReport(places.target)
    if not _is_text(places.target):
        raise TargetError(places.target, "trainers cannot read this path: it is no valid text")
    with _locked(places):
        try:
            result.recovered = recover(places)
            before = check_target(places)
            start_new(places)
            _build(places, plan, layout, before, link, provenance or {}, progress, result)
            exchange(places)
        except BaseException as error:
            with contextlib.suppress(OSError):
                recover(places)
            if isinstance(error, OSError) and not isinstance(error, CCIPError):
                raise ExportWriteError(places.target, error) from error
            raise
    result.old = places.old if before is not None else None
    return result


def recover_export(target: str | Path) -> str | None:
    """Completes or reverts an export that was interrupted, as the next export would.

    Returns:
        ``"completed"``, ``"reverted"``, or None if there was none

    Raises:
        TargetError: another process writes it
    """
    places = Places.of(Path(target))
    with _locked(places):
        return recover(places)


def _build(
    places: Places,
    plan: Plan,
    layout: Layout,
    before: Manifest | None,
    link: bool,
    provenance: Mapping[str, Any],
    progress: ProgressCallback | None,
    result: ExportReport,
) -> None:
    """Fills the new folder; its manifest comes last."""
    entries = _place_images(places, files_of(plan, layout, places.target), before, link, progress, result)
    if not entries:
        raise ExportError(f"no image can be exported: {next(iter(result.failed.values()), 'the plan has none')}")
    plan = _without(plan, result.failed)
    written = {image.image.key: image.caption for folder in plan.folders for image in folder.images}
    edited = {} if before is None else edited_captions(places.target, before)
    edited = {key: text for key, text in edited.items() if text.strip() != written.get(key)}
    files = files_of(plan, layout, places.target, edited)
    texts = _write_texts(places.new, files, written)
    if before is not None:
        old = {key: entry.origin for key, entry in before.of_kind("image").items()}
        changed = frozenset(entry.key for entry in entries if entry.key and old.get(entry.key) != entry.origin)
        _compare(places.target, before, frozenset(written), changed, result)
        result.carried = carry(places.target, before, places.new, files, changed)
    images = [replace(entry, text=hash_of(written[entry.key or ""])) for entry in entries]
    result.n_images = len(images)
    result.n_edited_captions = len(edited.keys() & written.keys())
    _sync(places.new)
    kept = {key: text for key, text in edited.items() if key not in written}
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    generation = 1 if before is None else before.generation + 1
    entries = [*images, *texts]
    write_manifest(
        places.new,
        Manifest(layout.name, generation, created, tuple(entries), dict(plan.left_out), plain(provenance), kept),
    )


def _write_texts(folder: Path, files: Sequence[PlannedFile], written: Mapping[str, str]) -> list[Entry]:
    """Writes captions and settings; gives their entries.

    Args:
        folder: the new folder
        files: all files of the export
        written: the planned captions, by key: edited ones differ from them, and so from their entry
    """
    entries = []
    for file in files:
        if isinstance(file.content, str):
            (folder / file.path).write_bytes(file.content.encode("utf-8", "surrogateescape"))
            text = caption_text(written[file.key or ""]) if file.kind == "caption" else file.content
            entries.append(Entry(file.path, file.kind, file.key, text=hash_of(text)))
    return entries


def _compare(
    folder: Path, before: Manifest, exported: frozenset[str], changed: frozenset[str], result: ExportReport
) -> None:
    """Reports what users did to images of the export before, where this one does not keep it."""
    for key, entry in before.of_kind("image").items():
        if key in exported:
            try:
                state = state_of(folder / entry.path)
            except OSError:
                result.restored.append(key)
                continue
            if key in changed and state != entry.state:
                result.superseded.append(key)


def _place_images(
    places: Places,
    files: tuple[PlannedFile, ...],
    before: Manifest | None,
    link: bool,
    progress: ProgressCallback | None,
    result: ExportReport,
) -> list[Entry]:
    """Writes the images; gives their entries."""
    known = {} if before is None else before.of_kind("image")
    images = [file for file in files if file.kind == "image"]
    entries = []
    for n, file in enumerate(images):
        report(progress, "exporting", n, len(images), unit="images")
        path = places.new / file.path
        path.parent.mkdir(exist_ok=True)
        try:
            origin, is_new = _place_image(places, file, path, known.get(file.key or ""), link)
        except (OSError, CCIPError) as error:
            if not _is_about_source(error, file):
                raise
            result.failed[file.key or ""] = str(error)
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # which is not empty
                path.parent.rmdir()
            continue
        entries.append(Entry(file.path, "image", file.key, origin=origin, state=state_of(path)))
        result.n_new += is_new
    report(progress, "exporting", len(images), len(images), unit="images")
    result.n_unchanged = len(entries) - result.n_new
    return entries


def _place_image(places: Places, file: PlannedFile, path: Path, old: Entry | None, link: bool) -> tuple[str, bool]:
    """Writes an image; gives what it was made from, and whether it is not from the export before."""
    picture = file.content
    assert isinstance(picture, Picture)
    try:
        state = state_of(picture.source)
    except OSError:
        if old is None or old.origin is None or not _is_from(old.origin, picture):
            raise
        origin = old.origin  # the source is gone, and the export has the image
    else:
        origin = origin_of(picture.source, state, picture.box, picture.margin, picture.is_rewritten)
    if old is not None and old.origin == origin and (places.target / old.path).is_file():
        link_or_copy(places.target / old.path, path)
        return origin, False
    place(picture, path, link=link)
    return origin, True


def _is_from(origin: str, picture: Picture) -> bool:
    """Whether an image was made from the same part of the same file, whatever the state of the file was."""
    state = origin_of(picture.source, "", picture.box, picture.margin, picture.is_rewritten)
    head, _, tail = state.partition('""')
    return origin.startswith(head) and origin.endswith(tail)


def _is_about_source(error: Exception, file: PlannedFile) -> bool:
    """Whether an error is about one image, so that the others can be exported."""
    if isinstance(error, CCIPError):
        return True
    assert isinstance(error, OSError) and isinstance(file.content, Picture)
    return error.filename2 is None and Path(str(error.filename)) == Path(file.content.source)


def _without(plan: Plan, failed: Mapping[str, str]) -> Plan:
    folders = (
        replace(folder, images=tuple(each for each in folder.images if each.image.key not in failed))
        for folder in plan.folders
    )
    return replace(plan, folders=tuple(folder for folder in folders if folder.images)) if failed else plan


@contextlib.contextmanager
def _locked(places: Places) -> Iterator[None]:
    if not places.target.name or not places.target.parent.is_dir():
        raise TargetError(places.target, f"there is no folder {places.target.parent}, or it is the root folder")

    def give_up() -> None:
        raise TargetError(places.target, "another process is writing it")

    try:
        with file_lock(places.lock, give_up):
            yield
    except OSError as error:
        if isinstance(error, CCIPError):
            raise
        raise ExportWriteError(places.target, error) from error


def _is_text(path: Path) -> bool:
    return not any(ord(each) < 32 or 0xD800 <= ord(each) < 0xE000 for each in str(path))


def _sync(folder: Path) -> None:
    """Syncs a folder and everything in it to disk, so that the manifest is never newer than what it describes."""
    paths = [Path(parent) / name for parent, _, names in os.walk(folder) for name in (".", *names)]
    if len(paths) >= _MANY and hasattr(os, "sync"):
        os.sync()
        return
    for path in paths:
        if path.is_symlink():
            continue
        with contextlib.suppress(OSError):  # on systems that cannot
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
