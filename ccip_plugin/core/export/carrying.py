"""What an export takes over from the one before: captions that users edited, and files that are not ours."""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from .layouts import METADATA, caption_text
from .manifest import MANIFEST, MAX_BYTES, Manifest, hash_of
from .names import folded
from .pictures import link_or_copy
from .records import PlannedFile

COPIED_BYTES = 1 << 20
"""Up to this size files are copied, so that an edit does not change the old export; larger ones are linked."""

CACHE_SUFFIXES = frozenset({".npz", ".safetensors", ".pt"})
"""Endings of files that trainers compute from an image."""

LEFT_OVER = "left over"
"""The folder for what lies in folders of characters that are no longer exported; no number, so kohya skips it."""

_CAPTION_BYTES = 1 << 20
_BOUNDARY = re.compile(r"[^0-9A-Za-z]|$")


@dataclass
class Carried:
    """What was taken over.

    Attributes:
        n_files: number of files that are not ours
        renamed: files whose name one of ours has now: old path, new path
        stale: caches of images that have changed, which stay in the old export
    """

    n_files: int = 0
    renamed: list[tuple[str, str]] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)


def edited_captions(folder: Path, manifest: Manifest) -> dict[str, str]:
    """Captions that differ from those written, by the key of the image; blank ones do not count.

    Args:
        folder: an export
        manifest: its manifest

    Returns:
        their texts, also of images that were in an earlier export; what is not UTF-8 is kept by surrogates
    """
    edited = dict(manifest.captions)
    for key, entry in manifest.of_kind("caption").items():
        text = _text_of(folder / entry.path)
        if text is not None and text.strip() and hash_of(_as_written(text)) != entry.text:
            edited[key] = text
    if (folder / METADATA).is_file():
        keys = {entry.path: (entry.key, entry.text) for entry in manifest.of_kind("image").values()}
        for path, caption in _metadata(folder / METADATA):
            own, written = keys.get(path, (None, None))
            if own is not None and caption.strip() and hash_of(caption) != written:
                edited[own] = caption
    return edited


def edited_settings(folder: Path, manifest: Manifest) -> dict[str, str]:
    """Settings that differ from those written: where a copy of them goes, by their path."""
    result = {}
    for entry in manifest.entries:
        text = _text_of(folder / entry.path) if entry.kind == "settings" else None
        if text is not None and hash_of(text) != entry.text:
            path = PurePosixPath(entry.path)
            result[entry.path] = str(path.with_name(f"{path.stem}.edited-{manifest.generation}{path.suffix}"))
    return result


def carry(
    folder: Path, manifest: Manifest, new: Path, files: Sequence[PlannedFile], changed: frozenset[str]
) -> Carried:
    """Takes the files of an export that are not ours over to the next one.

    A file that begins with the stem of an image stays beside the image; others stay in the folder of the character,
    whatever it is called now. If the character is no longer exported they go to a folder :data:`LEFT_OVER`, so that no
    trainer reads a mask without an image as an image.

    Args:
        folder: the old export
        manifest: its manifest
        new: the new one, in which its files are already
        files: the files of the new one
        changed: keys of images with another content than before

    Returns:
        what was taken over

    Raises:
        OSError: a file cannot be read or written
    """
    moves = _Moves(manifest, files)
    own = {folded(file.path) for file in files} | {folded(MANIFEST)}
    taken = own | {folded(str(folder)) for folder in {PurePosixPath(file.path).parent for file in files}}
    result = Carried()
    settings = edited_settings(folder, manifest)
    ours = {entry.path for entry in manifest.entries} | {MANIFEST}
    for path in _files_in(folder):
        if path in ours and path not in settings:
            continue
        key, place = (None, settings[path]) if path in settings else moves.of(path)
        if key in changed and PurePosixPath(path).suffix.lower() in CACHE_SUFFIXES:
            result.stale.append(path)
            continue
        if (free := _free(place, taken, own)) != place:
            place = free
            result.renamed.append((path, place))
        taken.add(folded(place))
        _take(folder / path, new / place)
        result.n_files += 1
    return result


class _Moves:
    """Where the files beside images go."""

    def __init__(self, manifest: Manifest, files: Sequence[PlannedFile]) -> None:
        after = {file.key: PurePosixPath(file.path) for file in files if file.kind == "image"}
        self._images: dict[str, dict[str, tuple[str, PurePosixPath | None]]] = {}
        folders: dict[str, set[str]] = {}
        for key, entry in manifest.of_kind("image").items():
            path = PurePosixPath(entry.path)
            self._images.setdefault(str(path.parent), {})[path.stem] = key, after.get(key)
            if key in after:
                folders.setdefault(str(path.parent), set()).add(str(after[key].parent))
        self._after = {str(path.parent) for path in after.values()}
        self._folders = {folder: others.pop() for folder, others in folders.items() if len(others) == 1}

    def of(self, path: str) -> tuple[str | None, str]:
        """The image that a file belongs to, if any, and its new path."""
        file = PurePosixPath(path)
        stems = self._images.get(str(file.parent), {})
        for end in sorted((match.start() for match in _BOUNDARY.finditer(file.name)), reverse=True):
            key, image = stems.get(file.name[:end], (None, None))
            if key is not None and image is not None:
                return key, str(image.with_name(image.stem + file.name[end:]))
        return None, self._in_folder(file)

    def _in_folder(self, file: PurePosixPath) -> str:
        """The new path of a file that belongs to no image of the new export."""
        for folder in map(str, file.parents):
            if folder in self._folders:
                return str(PurePosixPath(self._folders[folder]) / file.relative_to(folder))
            if folder in self._images and folder not in self._after:
                return f"{LEFT_OVER}/{file}"
        return str(file)


def _files_in(folder: Path) -> Iterator[str]:
    """The files and links in a folder, as paths with ``/``; sockets and the like are passed over."""

    def stop(error: OSError) -> None:
        raise error

    for parent, names, files in os.walk(folder, onerror=stop):
        for name in sorted([*files, *(name for name in names if (Path(parent) / name).is_symlink())]):
            path = Path(parent) / name
            if path.is_symlink() or path.is_file():
                yield path.relative_to(folder).as_posix()
        names.sort()


def _take(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink():
        target.symlink_to(source.readlink())
    elif source.stat().st_size <= COPIED_BYTES:
        shutil.copy2(source, target)
    else:
        link_or_copy(source, target)


def _free(path: str, taken: set[str], own: set[str]) -> str:
    """A path that is not taken, in a folder that is no file of ours; the path itself if it is free."""
    for parent in PurePosixPath(path).parents:
        if folded(str(parent)) in own:
            path = f"{_numbered(parent, own)}{path[len(str(parent)) :]}"
    return _numbered(PurePosixPath(path), taken) if folded(path) in taken else path


def _numbered(path: PurePosixPath, taken: set[str]) -> str:
    number = 1
    while folded(free := str(path.with_name(f"{path.stem}.kept-{number}{path.suffix}"))) in taken:
        number += 1
    return free


def _as_written(text: str) -> str:
    """A caption without what editors add when they save a file: a byte order mark, blanks, another line end."""
    return caption_text(text.removeprefix("\ufeff").strip())


def _metadata(path: Path) -> Iterator[tuple[str, str]]:
    """File name and text of each line that has both."""
    with path.open("rb") as file:
        for line in file:
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(row, Mapping) and isinstance(row.get("file_name"), str) and isinstance(row.get("text"), str):
                yield row["file_name"], row["text"]


def _text_of(path: Path) -> str | None:
    """The text of a file; None if it is missing, no file, or larger than a text of ours."""
    limit = MAX_BYTES if path.name == METADATA else _CAPTION_BYTES
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError:
        return None
    return None if len(content) > limit else content.decode("utf-8", "surrogateescape")
