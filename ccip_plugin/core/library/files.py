"""Reads and writes character libraries as files: a ZIP archive of JSON, a float16 array and thumbnails.

A library is a stranger's file: sizes, counts and names have limits, no member has a path of its own, and nothing in it
is executed.
"""

import datetime
import io
import json
import math
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays import Vectors
from ..errors import CCIPError, check_type, printable
from ..system import atomic_write
from .records import Character, Library, LibraryError, Origin

SUFFIX = ".ccip.zip"
FORMAT, VERSION = "ccip-library", 1

TOTAL_BYTES = 256 << 20
"""Limit of the unpacked size."""

MAX_PROTOTYPES = 100_000
"""Limit of the number of prototypes."""

MAX_CHARACTERS = 100_000
THUMBNAIL_BYTES = 64 << 10
"""Limit of the size of a thumbnail."""

_JSON, _VECTORS = "characters.json", "vectors.npy"
_JSON_BYTES, _MAX_ROWS, _MAX_DIM = 64 << 20, 2 * MAX_PROTOTYPES, 4096
_THUMBNAIL = re.compile(r"thumbnails/(\d{1,6})\.webp")
_TIME = (1980, 1, 1, 0, 0, 0)  # of the members, so that one library is one file
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    NotImplementedError,
    MemoryError,
)
_DEPTH = 20


class LibraryFileError(LibraryError):
    """A file is no character library, is damaged, or exceeds a limit."""

    def __init__(self, path: Path, problem: str):
        super().__init__(printable(f"{path}: {problem}; no library was read"))
        self.path, self.problem = path, problem


class LibraryNotFoundError(LibraryFileError, FileNotFoundError):
    """The file does not exist."""


class LibraryExistsError(LibraryError, FileExistsError):
    """A file of that name exists."""

    mentions = ("overwrite",)

    def __init__(self, path: Path):
        super().__init__(printable(f"{path} exists: choose another name, or set overwrite=True"))
        self.path = path


class LibraryWriteError(LibraryError, OSError):
    """The file cannot be written."""

    def __init__(self, path: Path, reason: object):
        super().__init__(printable(f"{path} cannot be written: {reason}"))
        self.path = path


# -- writing


def write_library(library: Library, path: str | Path, *, overwrite: bool = False) -> Path:
    """Writes a library to a file. It has no paths, no ids and no pickles.

    Args:
        library: the library
        path: the file; ``.ccip.zip`` is appended to a name without that ending
        overwrite (False): replace an existing file

    Returns:
        the path of the file

    Raises:
        LibraryExistsError: the file exists
        LibraryWriteError: the file cannot be written
        LibraryError: the library exceeds a limit of what can be read
    """
    file = library_path(path)
    check_type("library", library, Library, "a character library, as save_library and load_library give it")
    try:
        file = file.expanduser()
        if file.exists() and not overwrite:
            raise LibraryExistsError(file)
        _check_size(library)
        if not file.parent.is_dir():
            raise LibraryWriteError(file, f"there is no folder {file.parent}")
        with atomic_write(file) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in _members(library).items():
                archive.writestr(zipfile.ZipInfo(name, _TIME), content, zipfile.ZIP_DEFLATED)
    except (OSError, ValueError, RuntimeError) as error:
        if isinstance(error, CCIPError):
            raise
        raise LibraryWriteError(file, error) from error
    return file


def library_path(path: str | Path) -> Path:
    """The path of a library file, with its ending."""
    check_type("path", path, str | Path, "the path of a file")
    file = Path(path)
    if not file.name or "\0" in str(path):
        raise LibraryError(f"{str(path)!r} names no file")
    return file if file.name.lower().endswith(".zip") else file.with_name(f"{file.name}{SUFFIX}")


def _check_size(library: Library) -> None:
    n = library.n_prototypes
    n_rows = n + sum(len(character.negatives) for character in library.characters)
    if not library.characters:
        raise LibraryError("the library has no characters")
    if n > MAX_PROTOTYPES or n_rows > _MAX_ROWS or len(library) > MAX_CHARACTERS:
        raise LibraryError(f"the library has {n:,} prototypes; the limit is {MAX_PROTOTYPES:,}: save it in parts")
    if n_rows * library.characters[0].prototypes.shape[1] * 2 > TOTAL_BYTES - _JSON_BYTES:
        raise LibraryError(f"the library would unpack to more than {TOTAL_BYTES >> 20} MB: save it in parts")


def _members(library: Library) -> dict[str, bytes]:
    """The content of the members of the archive."""
    characters, parts, thumbnails, start = [], [], {}, 0
    for number, character in enumerate(library.characters):
        k, m = len(character.prototypes), len(character.negatives)
        parts += [character.prototypes, character.negatives]
        entry: dict[str, Any] = {
            "name": character.name,
            "aliases": list(character.aliases),
            "series": character.series,
            "prototypes": list(range(start, start + k)),
            "n_images": character.counts.tolist(),
            "negatives": list(range(start + k, start + k + m)),
            "limit": character.limit,
        }
        if character.thumbnail is not None:
            entry["thumbnail"] = f"thumbnails/{number}.webp"
            thumbnails[entry["thumbnail"]] = character.thumbnail
        characters.append(entry)
        start += k + m
    origin = library.origin
    model = {"name": origin.model_name, "sha256": origin.sha256, "reading_policy": origin.reading_policy}
    created = library.created or datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    head = {"format": FORMAT, "version": VERSION, "created": created, "model": model, "characters": characters}
    vectors = io.BytesIO()
    np.lib.format.write_array(vectors, np.concatenate(parts).astype("<f2"), version=(1, 0), allow_pickle=False)
    text = json.dumps(head, ensure_ascii=False, indent=1, allow_nan=False)
    return {_JSON: text.encode("utf-8"), _VECTORS: vectors.getvalue(), **thumbnails}


# -- reading


def read_library(source: str | Path | bytes) -> Library:
    """Reads a library from a file, of whatever origin.

    The file may unpack to 256 MB and have 100,000 prototypes. Vectors must be finite and are normalized again.

    Args:
        source: the file, or its content

    Returns:
        the :class:`~ccip_plugin.core.library.records.Library`

    Raises:
        LibraryNotFoundError: the file does not exist
        LibraryFileError: it is no library, of a newer version, damaged, or exceeds a limit
    """
    check_type("path", source, str | Path | bytes, "the path of a file, or its content")
    file = Path("the library") if isinstance(source, bytes) else Path(source)
    try:
        opened = io.BytesIO(source) if isinstance(source, bytes) else _existing(file)
        with zipfile.ZipFile(opened) as archive:
            return _read(_Archive(archive, file))
    except LibraryFileError:
        raise
    except CCIPError as error:
        raise LibraryFileError(file, str(error)) from error
    except _DAMAGE as error:
        raise LibraryFileError(file, f"it is no character library, or it is damaged ({error})") from error


def _existing(path: Path) -> Path:
    """The path of an existing file; the ending may be left out."""
    file = path.expanduser()
    with_suffix = file.with_name(f"{file.name}{SUFFIX}") if file.name else file
    for each in (file, with_suffix):
        if each.is_file():
            return each
    raise LibraryNotFoundError(file, "the file does not exist")


class _Archive:
    """The members of an archive, read within limits, whatever their headers say."""

    def __init__(self, archive: zipfile.ZipFile, path: Path) -> None:
        self.path, self._archive, self._n_left = path, archive, TOTAL_BYTES
        infos = archive.infolist()
        if len(infos) > MAX_CHARACTERS + 2:
            raise LibraryFileError(path, f"it has {len(infos):,} members")
        self.members = {info.filename: info for info in infos}
        if len(self.members) < len(infos):
            raise LibraryFileError(path, "a member is in it twice")
        for name in self.members:
            if name not in (_JSON, _VECTORS) and not _THUMBNAIL.fullmatch(name):
                raise LibraryFileError(path, f"the member {name[:80]!r} does not belong into a library")
        if missing := [name for name in (_JSON, _VECTORS) if name not in self.members]:
            raise LibraryFileError(path, f"it has no {missing[0]}: it is no character library")

    def read(self, name: str, limit: int) -> bytes:
        """The content of a member.

        Raises:
            LibraryFileError: it is encrypted or larger than the limit, or all of them are
        """
        info = self.members[name]
        if info.flag_bits & 1:
            raise LibraryFileError(self.path, f"{name} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise LibraryFileError(self.path, f"{name} is compressed in a way that is not read")
        with self._archive.open(info) as stream:
            content = stream.read(min(limit, self._n_left) + 1)
        if len(content) > min(limit, self._n_left):
            raise LibraryFileError(self.path, f"it is too large: {name} unpacks to more than {limit >> 10:,} kB")
        self._n_left -= len(content)
        return content


def _read(archive: _Archive) -> Library:
    head = json.loads(archive.read(_JSON, _JSON_BYTES).decode("utf-8"), parse_constant=_no_number)
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise LibraryFileError(archive.path, "it is no character library")
    version = head.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise LibraryFileError(
            archive.path, f"it has version {version!r} of the format, this plugin reads up to {VERSION}: update it"
        )
    _check_depth(archive.path, head)
    listed = _value(head, "characters", list)
    if not 0 < len(listed) <= MAX_CHARACTERS:
        raise LibraryFileError(archive.path, f"it has {len(listed):,} characters")
    vectors = _vectors(archive)
    used = np.zeros(len(vectors), np.bool_)
    characters = tuple(_character(archive, each, vectors, used) for each in listed)
    library = Library(_origin(head), characters, _text(head, "created", 100))
    if library.n_prototypes > MAX_PROTOTYPES:
        raise LibraryFileError(archive.path, f"it has more than {MAX_PROTOTYPES:,} prototypes")
    return library


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _check_depth(path: Path, value: Any, depth: int = 0) -> None:
    if depth > _DEPTH:
        raise LibraryFileError(path, "its JSON is nested too deeply")
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            if isinstance(each, dict | list):
                _check_depth(path, each, depth + 1)


def _vectors(archive: _Archive) -> Vectors:
    """The float16 vectors, as float32 of unit length."""
    content = archive.read(_VECTORS, TOTAL_BYTES)
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise LibraryFileError(archive.path, f"{_VECTORS} is of another version of the format")
    shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    if dtype != np.dtype("<f2") or is_fortran or len(shape) != 2:
        raise LibraryFileError(archive.path, f"{_VECTORS} holds {dtype} of shape {shape}, not rows of float16")
    n, dim = shape
    if not (0 < n <= _MAX_ROWS and 0 < dim <= _MAX_DIM) or len(content) - stream.tell() != 2 * n * dim:
        raise LibraryFileError(archive.path, f"{_VECTORS} has a shape of {shape} and {len(content):,} bytes")
    rows = np.frombuffer(content, "<f2", offset=stream.tell()).reshape(n, dim).astype(np.float32)
    if not np.isfinite(rows).all():
        raise LibraryFileError(archive.path, "it has vectors that are not finite")
    lengths = np.linalg.norm(rows, axis=1)
    if (np.abs(lengths - 1) > 0.01).any():
        raise LibraryFileError(archive.path, "it has vectors that are not of unit length")
    unit: Vectors = rows / lengths[:, None]
    return unit


def _origin(head: Mapping[str, Any]) -> Origin:
    model = _value(head, "model", dict)
    policy = model.get("reading_policy")
    if policy is not None and (type(policy) is not int or not 0 < policy < 1_000_000):
        raise LibraryError("its reading policy is no number")
    return Origin(_text(model, "name", 200) or "", _text(model, "sha256", 200), policy)


def _character(archive: _Archive, entry: Any, vectors: Vectors, used: Any) -> Character:
    if not isinstance(entry, dict):
        raise LibraryError("a character is no JSON object")
    places = [_rows(entry, name, len(vectors), used) for name in ("prototypes", "negatives")]
    counts = _value(entry, "n_images", list)
    if any(type(count) is not int or not 0 < count < 2**40 for count in counts):
        raise LibraryError("a number of images is invalid")
    limit = entry.get("limit")
    if limit is not None and (type(limit) not in (int, float) or not math.isfinite(limit)):
        raise LibraryError("a limit is no number")
    thumbnail = None
    if (name := _text(entry, "thumbnail", 40)) is not None:
        if name not in archive.members or not _THUMBNAIL.fullmatch(name):
            raise LibraryError(f"there is no thumbnail {name!r}")
        thumbnail = archive.read(name, THUMBNAIL_BYTES)
        if thumbnail[:4] != b"RIFF" or thumbnail[8:12] != b"WEBP":
            raise LibraryError(f"{name} is no WebP image")
    return Character.of(
        _text(entry, "name", 1000) or "",
        vectors[places[0]],
        counts=counts,
        negatives=vectors[places[1]],
        aliases=_value(entry, "aliases", list),
        series=_text(entry, "series", 1000),
        limit=limit,
        thumbnail=thumbnail,
    )


def _rows(entry: Mapping[str, Any], name: str, n: int, used: Any) -> list[int]:
    """Places of vectors, each of one character only."""
    rows = _value(entry, name, list)
    if any(type(row) is not int or not 0 <= row < n for row in rows) or len(set(rows)) < len(rows) or used[rows].any():
        raise LibraryError(f"the {name} of a character are no places of vectors")
    used[rows] = True
    return list(rows)


def _value(values: Mapping[str, Any], name: str, kind: type) -> Any:
    value = values.get(name)
    if not isinstance(value, kind):
        raise LibraryError(f"its {name!r} is missing or of another kind")
    return value


def _text(values: Mapping[str, Any], name: str, limit: int) -> str | None:
    value = values.get(name)
    if value is not None and (not isinstance(value, str) or len(value) > limit):
        raise LibraryError(f"its {name!r} is no text of at most {limit} characters")
    return value
