"""Records of downloaded models: the sha256 of their files, and the commit used instead of a missing pinned revision."""

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path

from ..errors import ModelFileChangedError
from ..system import atomic_write, cache_dir

logger = logging.getLogger(__name__)

_COMMIT = re.compile("[0-9a-f]{40}")


def fingerprint(path: str | Path) -> str:
    """sha256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def matches_etag(path: Path, etag: str) -> bool:
    """Whether a file has the hash in its ETag on the hub: sha256 of large files, git's blob hash of small ones.

    Some mirrors send a plain sha1, which is accepted, too. An ETag that is no hash matches any file.
    """
    if len(etag) == 64:
        return fingerprint(path) == etag
    if len(etag) == 40:
        content = path.read_bytes()
        prefixes = (b"blob %d\0" % len(content), b"")
        return etag in {hashlib.sha1(prefix + content, usedforsecurity=False).hexdigest() for prefix in prefixes}
    return True


def fingerprint_in_cache(path: Path) -> str:
    """sha256 of a file in the cache of ``huggingface_hub``: from the name of its content if possible, else computed."""
    return hash_in_name(path) or fingerprint(path)


def hash_in_name(path: Path) -> str | None:
    """The sha256 that is the name of a large file's content in the cache, None for other files."""
    name = path.resolve().name
    return name if len(name) == 64 and not set(name) - set("0123456789abcdef") else None


def recorded_fingerprints(model_name: str, revision: str) -> dict[str, str]:
    """The recorded sha256 of the files of a model, by file name; empty without a record."""
    return _read(_fingerprints_path(model_name, revision))


def compare_with_record(
    model_name: str,
    revision: str,
    paths: Mapping[str, Path],
    digests: Mapping[str, str],
    *,
    remedy: str,
) -> None:
    """Compares files with their record, and records new files.

    Args:
        model_name: the model
        revision: the commit of the files
        paths: the files, by name
        digests: their current sha256, by name
        remedy: advice for the error

    Raises:
        ModelFileChangedError: a file differs from its record, or from the name of its content in the cache
    """
    record = recorded_fingerprints(model_name, revision)
    for name, path in paths.items():
        recorded = record.get(name) or hash_in_name(path)
        if recorded and recorded != digests[name]:
            problem = f"changed since it was downloaded (its sha256 is {digests[name]})"
            raise ModelFileChangedError(path, problem, expected=f"sha256 {recorded}", remedy=remedy)
    if digests.items() - record.items():
        _write(_fingerprints_path(model_name, revision), record | dict(digests))


def delete_fingerprints(model_name: str, revision: str) -> None:
    """Deletes the recorded fingerprints of a model; write errors are only logged."""
    path = _fingerprints_path(model_name, revision)
    try:
        path.unlink(missing_ok=True)
    except NotADirectoryError:
        return  # nothing is recorded
    except OSError as error:
        logger.warning("%s cannot be deleted: %s", path, error)


def recorded_commit(model_name: str, pinned: str) -> str | None:
    """The commit that is used instead of a pinned revision that the hub does not have; None without a record."""
    record = _read(_commit_path(model_name))
    commit = record.get("commit", "")
    return commit if record.get("instead_of") == pinned and _COMMIT.fullmatch(commit) else None


def record_commit(model_name: str, pinned: str, commit: str) -> Path:
    """Records the commit that is used instead of a pinned revision from now on; returns the file."""
    _write(_commit_path(model_name), {"instead_of": pinned, "commit": commit})
    return _commit_path(model_name)


def _fingerprints_path(model_name: str, revision: str) -> Path:
    return cache_dir() / "fingerprints" / f"{model_name}@{revision}.json"


def _commit_path(model_name: str) -> Path:
    return cache_dir() / "revisions" / f"{model_name}.json"


def _read(path: Path) -> dict[str, str]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, RecursionError) as error:
        logger.warning("the record %s cannot be read and is rewritten: %s", path, error)
        return {}
    return {str(name): str(text) for name, text in record.items()} if isinstance(record, dict) else {}


def _write(path: Path, record: Mapping[str, str]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as part:
            part.write_text(json.dumps(record, indent=1, sort_keys=True), encoding="utf-8")
    except OSError as error:
        logger.warning("%s cannot be written, the download is not recorded: %s", path, error)
