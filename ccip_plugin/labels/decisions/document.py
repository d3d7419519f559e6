"""The file with the decisions of users: what is in it, written and read with bounds, as it may be a stranger's."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...core.errors import CCIPError, check_type, printable
from ...core.identity.boxes import Box, box_of
from ...core.identity.groups import GroupNameError, check_length
from ...reports.export import write_json
from ...storage.fields import STATUSES, UNASSIGNED

FORMAT, VERSION = "ccip-decisions", 2
"""Files of version 1 have no covers, and no members of groups with default names from which images were rejected."""
MAX_BYTES = 256 << 20
"""The largest file that is read."""
MAX_ITEMS = 2_000_000
"""The largest number of images or detections in a file; likewise of groups."""
_MAX_PATH = 4096
_SHA256 = re.compile("[0-9a-f]{64}")


class DecisionsFileError(CCIPError, ValueError):
    """A file is no file of decisions, or cannot be read."""

    def __init__(self, path: str | Path, problem: object):
        super().__init__(printable(f"{str(path)!r} cannot be read as decisions: {problem}"))
        self.path = path


@dataclass(frozen=True)
class GroupEntry:
    """A group that users named or shaped.

    Attributes:
        name: its name
        is_named: whether a user named it
        is_held: whether users said that its images stay in it
        apart: the names of groups that are other characters
    """

    name: str
    is_named: bool = True
    is_held: bool = False
    apart: tuple[str, ...] = ()


@dataclass(frozen=True)
class ItemEntry:
    """What is known of an image or a detection.

    Attributes:
        sha256: the hash of the content of its file, None where it could not be read
        n_bytes: the size of that file
        path: the path of that file
        name: the name of its group, None in no group or without a decision about it
        status: ``confirmed`` or ``ignored``; ``auto`` for a member of a group that users named or shaped; None without
            a decision about it, where the name only tells which group other decisions are about
        rejected: the names of the groups that it is not of
        box: of a detection its bounding box
        is_cover: whether users chose it to show its group
    """

    sha256: str | None
    n_bytes: int
    path: str
    name: str | None = None
    status: str | None = None
    rejected: tuple[str, ...] = ()
    box: Box | None = None
    is_cover: bool = False

    @property
    def decision(self) -> tuple[object, ...]:
        """What is said, wherever it is."""
        return self.name, self.status, self.rejected, self.box, self.is_cover


@dataclass(frozen=True)
class Decisions:
    """The decisions of one field.

    Attributes:
        group_field: the field with the groups
        patches_field: the field with the detections, None for images
        groups: the groups
        items: the images or detections
    """

    group_field: str
    patches_field: str | None
    groups: tuple[GroupEntry, ...] = ()
    items: tuple[ItemEntry, ...] = field(default=())

    def save(self, path: str | Path) -> Path:
        """Writes the file: JSON, without values that say nothing."""
        values: dict[str, Any] = {"format": FORMAT, "version": VERSION, "group_field": self.group_field}
        values |= {"patches_field": self.patches_field, "groups": _plain(self.groups), "items": _plain(self.items)}
        return write_json(path, values)


def content_hash(path: str) -> tuple[str | None, int]:
    """The hash of the content of a file, and its size; None and 0 where it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(file.fileno()).st_size
    except (OSError, ValueError):
        return None, 0


def read_decisions(path: str | Path) -> Decisions:
    """Reads a file of decisions.

    Raises:
        DecisionsFileError: it is no such file, too large, or of a newer version
    """
    check_type("path", path, str | Path, "the path of a file")
    try:
        place = Path(path).expanduser()
        if place.stat().st_size > MAX_BYTES:
            raise DecisionsFileError(path, f"it is larger than {MAX_BYTES >> 20} MB")
        values = json.loads(place.read_text(encoding="utf-8-sig"))
    except DecisionsFileError:
        raise
    except (ValueError, RecursionError) as error:
        raise DecisionsFileError(path, "it is no JSON text") from error
    except (OSError, RuntimeError) as error:
        raise DecisionsFileError(path, getattr(error, "strerror", None) or error) from error
    try:
        return _decisions(values)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise DecisionsFileError(path, error if isinstance(error, ValueError) else "a value is missing") from error


def _plain(entries: Iterable[GroupEntry | ItemEntry]) -> list[dict[str, Any]]:
    rows = (asdict(entry) for entry in entries)
    return [{key: value for key, value in row.items() if value not in (None, (), False)} for row in rows]


def _decisions(values: Any) -> Decisions:
    if not isinstance(values, Mapping) or values.get("format") != FORMAT:
        raise ValueError("it is another kind of file")
    version = values.get("version")
    if type(version) is not int or version < 1:
        raise ValueError("its version is unknown")
    if version > VERSION:
        raise ValueError("it was written by a newer version of this plugin; update this one")
    patches_field = values.get("patches_field")
    return Decisions(
        _text(values["group_field"]),
        None if patches_field is None else _text(patches_field),
        tuple(map(_group, _list(values.get("groups")))),
        tuple(map(_item, _list(values.get("items")))),
    )


def _group(values: Any) -> GroupEntry:
    apart = tuple(map(_name, _list(values.get("apart"))))
    return GroupEntry(_name(values["name"]), values.get("is_named") is True, values.get("is_held") is True, apart)


def _item(values: Any) -> ItemEntry:
    sha256, n_bytes, box = values.get("sha256"), values.get("n_bytes", 0), values.get("box")
    name, status = values.get("name"), values.get("status")
    if sha256 is not None and not (isinstance(sha256, str) and _SHA256.fullmatch(sha256)):
        raise ValueError("a hash is none")
    if type(n_bytes) is not int or not 0 <= n_bytes < 1 << 62:
        raise ValueError("a size is none")
    if status not in (None, *STATUSES):
        raise ValueError(f"a status is {str(status)[:40]!r}")
    if box is not None and box_of(box) is None:
        raise ValueError("a box is none")
    rejected = tuple(map(_name, _list(values.get("rejected"))))
    name = None if name is None else _name(name)
    is_cover = values.get("is_cover") is True
    return ItemEntry(sha256, n_bytes, _text(values["path"]), name, status, rejected, box_of(box), is_cover)


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > MAX_ITEMS:
        raise ValueError("a list is none, or too long")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MAX_PATH:
        raise ValueError("a text is none, or too long")
    return value


def _name(value: Any) -> str:
    name = _text(value).strip()
    if not name:
        raise ValueError("a name is empty")
    if name == UNASSIGNED:
        raise ValueError(f"no group is called {UNASSIGNED!r}")
    try:
        check_length(name)
    except GroupNameError as error:
        raise ValueError(str(error)) from error
    return name
