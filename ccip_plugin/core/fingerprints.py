"""Remembers the sha256 of what was downloaded, and notices when it changed."""

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path

from .errors import ModelFileChangedError
from .system import atomic_write, cache_dir

logger = logging.getLogger(__name__)


def fingerprint(path: str | Path) -> str:
    """sha256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_what_hub_has(path: Path, etag: str) -> bool:
    """Whether a file has the hash that the hub gives it: sha256 of large files, git's own of small ones.

    Some mirrors give a plain sha1, and some no hash at all: there is nothing to compare with then.
    """
    if len(etag) == 64:
        return fingerprint(path) == etag
    if len(etag) == 40:
        content = path.read_bytes()
        beginnings = (b"blob %d\0" % len(content), b"")
        return etag in {hashlib.sha1(start + content, usedforsecurity=False).hexdigest() for start in beginnings}
    return True


def compare_with_record(
    key: str, paths: Mapping[str, Path], digests: Mapping[str, str], *, expected: Mapping[str, str], remedy: str
) -> None:
    """Compares files with what was recorded when they came, and records what is new.

    Args:
        key: what the record is of, such as a model and its revision
        paths: the files, by name
        digests: their sha256 now, by name
        expected: the sha256 of those without record that is known otherwise
        remedy: what to do when one changed

    Raises:
        ModelFileChangedError: a file is not what it was
    """
    record = _read(_record_path(key))
    for name, path in paths.items():
        before = record.get(name) or expected.get(name)
        if before and before != digests[name]:
            problem = f"changed since it was downloaded (its sha256 is {digests[name]})"
            raise ModelFileChangedError(path, problem, expected=f"sha256 {before}", remedy=remedy)
    if digests.items() - record.items():
        _write(_record_path(key), record | dict(digests))


def forget(key: str) -> None:
    """Deletes a record."""
    _record_path(key).unlink(missing_ok=True)


def _record_path(key: str) -> Path:
    return cache_dir() / "fingerprints" / f"{key}.json"


def _read(path: Path) -> dict[str, str]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        logger.warning("the record of fingerprints %s cannot be read and is written anew: %s", path, error)
        return {}
    return {str(name): str(digest) for name, digest in record.items()} if isinstance(record, dict) else {}


def _write(path: Path, record: dict[str, str]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as part:
            part.write_text(json.dumps(record, indent=1, sort_keys=True), encoding="utf-8")
    except OSError as error:
        logger.warning("the fingerprints of a model cannot be recorded in %s: %s", path, error)
