"""Finds or downloads archives of the evaluation dataset ``deepghs/character_similarity``."""

import re
from pathlib import Path

from ..errors import CCIPError, DownloadError
from ..hub import Hub
from ..hub.fingerprints import matches_etag
from ..progress import ProgressCallback
from .archives import ArchiveError

REPO = "deepghs/character_similarity"
SUBSETS = ("images_test_v1", "images_xtiny_v0", "images_tiny_v0", "images_pruned_v1")
"""Some of its subsets; the published scores were measured on the first one."""

PREFIX = "images_"
"""What the names of all of them begin with."""

REVISION = "main"
ARCHIVE_BYTES = 128 << 30
"""Size limit of an archive."""

_NAME = re.compile(r"\w[\w-]{0,99}")


class ArchiveMissingError(CCIPError, FileNotFoundError):
    """An archive exists neither on this machine nor on the hub."""

    def __init__(self, what: str, problem: str = "does not exist"):
        super().__init__(
            f"the archive {what!r} {problem}; pass the path of an archive, or the name of a subset: "
            f"{', '.join(SUBSETS)} (https://huggingface.co/datasets/{REPO})"
        )
        self.what = what


def is_subset(name: str) -> bool:
    """Whether this is a valid name of a subset, listed in :data:`SUBSETS` or not."""
    return _NAME.fullmatch(name) is not None


def find_archive(
    subset: str,
    *,
    revision: str | None = None,
    download: bool = True,
    progress: ProgressCallback | None = None,
    hub: Hub | None = None,
) -> Path:
    """Finds the archive of a subset, and downloads it if it is not in the cache of ``huggingface_hub``.

    A downloaded archive is verified against the hash announced by the hub, a cached one against the hash that is its
    name in the cache. No network is used if the archive is cached.

    Args:
        subset: one of :data:`SUBSETS`, or another subset of the repository
        revision (None): commit, tag or branch of the repository. By default "main", as no commit was published: an
            archive cached at any commit is used, and a newer one is not downloaded
        download (True): whether the network may be used
        progress (None): called with the received bytes
        hub (None): another hub to download from

    Raises:
        ArchiveMissingError: the archive is not cached and ``download`` is False, or the repository has no such subset
        ArchiveError: the archive changed since it was downloaded
        DownloadError: the download failed; has instructions for a machine without network
    """
    hub = hub or Hub(REPO, "dataset", ARCHIVE_BYTES)
    filename = f"{subset}.tar.xz"
    if not is_subset(subset):
        raise ArchiveMissingError(subset, "is neither a file nor a valid name of a subset")
    archive = hub.cached(filename, revision or REVISION)
    if archive is None and revision is None:
        archive = max(hub.cached_anywhere(filename), key=lambda path: path.stat().st_mtime, default=None)
    if archive is not None:
        if not matches_etag(archive, archive.resolve().name):
            raise ArchiveError(archive, "it changed since it was downloaded: delete it to download it again")
        return archive
    if subset not in SUBSETS and not subset.startswith(PREFIX):
        raise ArchiveMissingError(subset, "is neither a file nor a subset")
    if not download:
        raise ArchiveMissingError(subset, "is not in the cache, and downloading is switched off")
    revision = revision or REVISION
    try:
        archive = hub.download(filename, revision, progress)
    except DownloadError as error:
        raise DownloadError(error.what, error.problem, remedy=_remedy(subset, filename, revision)) from error
    if archive is None:
        raise ArchiveMissingError(subset, f"is not in {REPO} at revision {revision}")
    return archive


def _remedy(subset: str, filename: str, revision: str) -> str:
    listed = "" if subset in SUBSETS else f"{subset!r} is none of the listed subsets: {', '.join(SUBSETS)}. "
    return listed + (
        f"Without network: download https://huggingface.co/datasets/{REPO}/resolve/{revision}/{filename} on another "
        "machine and pass the path of the file."
    )
