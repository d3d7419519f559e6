"""The archives of the published evaluation data: from the cache of the hub, else downloaded into it."""

import re
from pathlib import Path

from ..errors import CCIPError, DownloadError
from ..hub import Hub
from ..hub.fingerprints import is_what_hub_has
from ..progress import ProgressCallback
from .archives import ArchiveError

REPO = "deepghs/character_similarity"
SUBSETS = ("images_test_v1", "images_xtiny_v0", "images_tiny_v0", "images_pruned_v1")
"""Some of them; the first one is what the published scores were measured on."""

REVISION = "main"
ARCHIVE_BYTES = 128 << 30
"""A larger archive is not fetched."""

_NAME = re.compile(r"\w[\w-]{0,99}")


class ArchiveMissingError(CCIPError, FileNotFoundError):
    """There is no such archive, neither here nor on the hub."""

    def __init__(self, what: str, problem: str = "is not there"):
        super().__init__(
            f"the archive {what!r} {problem}; pass the path of one, or the name of a subset: {', '.join(SUBSETS)} "
            f"(https://huggingface.co/datasets/{REPO})"
        )
        self.what = what


def is_subset(name: str) -> bool:
    """Whether this can be the name of a subset, known to us or not."""
    return _NAME.fullmatch(name) is not None


def find_archive(
    subset: str,
    *,
    revision: str | None = None,
    download: bool = True,
    progress: ProgressCallback | None = None,
    hub: Hub | None = None,
) -> Path:
    """Finds the archive of a subset, and downloads it when it is not in the cache of ``huggingface_hub``.

    The downloaded archive is compared with the hash that the hub announced, and a cached one with the hash that is its
    name in the cache. No network is used if the archive is cached.

    Args:
        subset: one of :data:`SUBSETS`, or another one that the repository has
        revision (None): commit, tag or branch of the repository; by default "main", as no commit was published for
            this: an archive that is cached at any commit is used, and no newer one is downloaded
        download (True): whether the network may be used
        progress (None): called with the bytes that arrived
        hub (None): another place to download from

    Raises:
        ArchiveMissingError: not here and not to be downloaded, or the repository has no such subset
        ArchiveError: it changed since it was downloaded
        DownloadError: it could not be downloaded; says what to do without network
    """
    hub = hub or Hub(REPO, "dataset", ARCHIVE_BYTES)
    filename = f"{subset}.tar.xz"
    if not is_subset(subset):
        raise ArchiveMissingError(subset, "is neither a file nor a name that a subset can have")
    found = hub.cached(filename, revision or REVISION)
    if found is None and revision is None:
        found = max(hub.cached_anywhere(filename), key=lambda path: path.stat().st_mtime, default=None)
    if found is not None:
        if not is_what_hub_has(found, found.resolve().name):
            raise ArchiveError(found, "it changed since it was downloaded: delete it, to download it anew")
        return found
    if not download:
        raise ArchiveMissingError(subset, "is not in the cache, and downloading is switched off")
    revision = revision or REVISION
    try:
        found = hub.download(filename, revision, progress)
    except DownloadError as error:
        raise DownloadError(error.what, error.problem, remedy=_by_hand(filename, revision)) from error
    if found is None:
        raise ArchiveMissingError(subset, f"is not in {REPO} at revision {revision}")
    return found


def _by_hand(filename: str, revision: str) -> str:
    return (
        f"Without network: fetch https://huggingface.co/datasets/{REPO}/resolve/{revision}/{filename} elsewhere and "
        "pass the path of the file."
    )
