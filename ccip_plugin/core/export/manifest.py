"""The manifest of an export: what was written, from what. It says that a folder may be replaced."""

import errno
import hashlib
import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import printable
from ..system import atomic_write
from .records import ExportError, Kind

MANIFEST = ".ccip-export.json"
"""Its name: hidden, so that no loader takes it for data."""

FORMAT, VERSION = "ccip-export", 1
MAX_BYTES = 1 << 29
"""Limit of its size."""


class ManifestError(ExportError):
    """A manifest is damaged, of a newer version, or names files outside of its folder."""

    def __init__(self, path: Path, problem: str):
        super().__init__(printable(f"{path}: {problem}"))
        self.path, self.problem = path, problem


@dataclass(frozen=True)
class Entry:
    """A file of an export.

    Attributes:
        path: its path in the export, with ``/``
        kind: ``"image"``, ``"caption"`` or ``"settings"``
        key (None): the image that it belongs to
        origin (None): of an image: what it was made from, see :func:`origin_of`
        state (None): of an image: its size and time of change when it was written
        text (None): hash of the text that was planned; of an image: of its caption
    """

    path: str
    kind: Kind
    key: str | None = None
    origin: str | None = None
    state: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class Manifest:
    """What an export consists of.

    Attributes:
        layout: the name of its layout
        generation: 1 for the first export into a folder, one more for each further
        created: when, in ISO format
        entries: its files
        left_out: why images are not in it, by their key
        provenance: what the caller says about the images: data set, field, model, options
        captions: captions that users edited, of images that are not in it now, by their key
    """

    layout: str
    generation: int
    created: str
    entries: tuple[Entry, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    captions: Mapping[str, str] = field(default_factory=dict)

    def of_kind(self, kind: Kind) -> dict[str, Entry]:
        """The images or captions, by the key of the image."""
        return {entry.key: entry for entry in self.entries if entry.kind == kind and entry.key is not None}


def hash_of(text: str) -> str:
    """A hash of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def state_of(path: str | Path) -> str:
    """Size in bytes and time of change of a file.

    Raises:
        OSError: there is no such file, or it is a folder, a device or the like
    """
    status = Path(path).stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "no regular file", str(path))
    return f"{status.st_size}:{status.st_mtime_ns}"


def origin_of(source: str, state: str, box: tuple[float, ...] | None, margin: float, is_rewritten: bool) -> str:
    """What an image is made from, as a text that is equal where the result is."""
    return json.dumps([source, state, box, margin, is_rewritten])


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes a manifest, atomically and durably.

    Raises:
        OSError: it cannot be written
    """
    entries = [{name: value for name, value in vars(entry).items() if value is not None} for entry in manifest.entries]
    content = {"format": FORMAT, "version": VERSION, **vars(manifest), "entries": entries}
    with atomic_write(folder / MANIFEST) as part:
        part.write_text(json.dumps(content), encoding="utf-8")


def begin(folder: Path) -> None:
    """Marks a folder as an export that is being written."""
    (folder / MANIFEST).touch()


def has_manifest(folder: Path) -> bool:
    """Whether a folder is an export, or is being made one."""
    return (folder / MANIFEST).is_file()


def read_manifest(folder: Path) -> Manifest:
    """Reads the manifest of a folder, of whatever origin.

    Raises:
        ManifestError: it is missing, damaged, of a newer version, too large, or names a file outside of the folder
    """
    path = folder / MANIFEST
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ManifestError(path, f"it is larger than {MAX_BYTES >> 20} MB")
        values = json.loads(content.decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ManifestError(path, f"it is no manifest of an export ({error})") from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise ManifestError(path, "it is no manifest of an export")
    version = values.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise ManifestError(path, f"it has version {version!r}, this plugin reads up to {VERSION}: update it")
    try:
        return Manifest(
            layout=_checked(values["layout"], str),
            generation=_checked(values["generation"], int),
            created=_checked(values["created"], str),
            entries=tuple(_entry(path, each) for each in _checked(values["entries"], list)),
            left_out=_checked(values["left_out"], dict),
            provenance=_checked(values["provenance"], dict),
            captions=_texts(values["captions"]),
        )
    except (KeyError, TypeError) as error:
        raise ManifestError(path, f"it is damaged ({error})") from error


def _checked(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r:.50} is no {kind.__name__}")
    return value


def _texts(values: Any) -> dict[str, str]:
    return {key: _checked(text, str) for key, text in _checked(values, dict).items()}


def _entry(path: Path, values: Any) -> Entry:
    entry = Entry(**_checked(values, dict))
    if not all(isinstance(each, str | None) for each in values.values()):
        raise TypeError("an entry is no text")
    parts = entry.path.split("/")
    if not all(parts) or "." in parts or ".." in parts or not set(entry.path).isdisjoint("\\\0:"):
        raise ManifestError(path, f"{entry.path!r:.80} is no path inside the folder")
    return entry
