"""Downloads files of a hub repository into the cache of ``huggingface_hub``."""

import contextlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from ..errors import DownloadError, ModelFileError, UnknownRevisionError
from ..progress import BYTES, ProgressCallback, report
from ..registry import HUB_REPO, PublishedFile
from ..system import atomic_write, file_lock
from . import onnx_file
from .fingerprints import matches_etag
from .transfer import Transfer

T = TypeVar("T")

_TIMEOUT = 30.0
_ETAG = re.compile("[0-9A-Za-z_-]{8,128}")  # becomes a file name
_COMMIT = re.compile("[0-9a-f]{40}")  # becomes a folder name
_REVISION = re.compile(r"(?!.*\.\.)[\w.-]+(?:/[\w.-]+)*")  # becomes a path


class _Metadata(NamedTuple):
    """Metadata of a file from the hub, before the download."""

    commit: str
    etag: str
    size: int


@dataclass(frozen=True)
class Hub:
    """A hub repository, by default of the published models, and its cache on this machine.

    ``huggingface_hub`` downloads and owns the cache. The announced size and hash are checked before a download, the
    file itself after it.

    Attributes:
        repo: the repository
        repo_type: "model" or "dataset"
        max_bytes: size limit of a file
        endpoint: the address of the hub; None for the default of ``huggingface_hub`` (``HF_ENDPOINT``)
        cache: the cache folder; None for the default of ``huggingface_hub`` (``HF_HOME``, ``HF_HUB_CACHE``)
    """

    repo: str = HUB_REPO
    repo_type: Literal["model", "dataset"] = "model"
    max_bytes: int = onnx_file.MAX_BYTES
    endpoint: str | None = None
    cache: Path | None = None

    @property
    def folder(self) -> Path:
        """The folder of the repository in the cache."""
        from huggingface_hub import constants

        return Path(self.cache or constants.HF_HUB_CACHE) / f"{self.repo_type}s--{self.repo.replace('/', '--')}"

    def cached(self, filename: str, revision: str) -> Path | None:
        """The file in the cache, None if it is not cached. No network."""
        from huggingface_hub import try_to_load_from_cache

        where: dict[str, Any] = {"cache_dir": self.cache, "repo_type": self.repo_type}
        try:
            path = try_to_load_from_cache(self.repo, filename, revision=revision, **where)
        except (OSError, ValueError):  # a cache that cannot be read, or no revision at all
            return None
        return Path(path) if isinstance(path, str) else None

    def cached_anywhere(self, filename: str) -> list[Path]:
        """The copies of a file in the cache, at any commit; none in a cache that cannot be read. No network."""
        try:
            return sorted(filter(is_file, self.folder.glob(f"snapshots/*/{filename}")))
        except OSError:
            return []

    def resolve(self, filename: str, revision: str, progress: ProgressCallback | None = None) -> str | None:
        """Resolves a revision to its commit by one file; None if the file does not exist at that revision.

        Raises:
            UnknownRevisionError: the hub has no such revision
            DownloadError: the hub cannot be reached, or answers with an error
        """
        announced = self._run(filename, revision, progress, lambda _: self._request_metadata(filename, revision))
        return announced.commit if announced else None

    def download(
        self,
        filename: str,
        revision: str,
        progress: ProgressCallback | None = None,
        *,
        published: PublishedFile | None = None,
    ) -> Path | None:
        """Downloads a file into the cache.

        Args:
            filename: its path in the repository
            revision: commit, tag or branch
            progress (None): called with the received bytes; its exceptions cancel the download
            published (None): the expected hash and size; if the hub announces others, the file is not downloaded

        Returns:
            its path; None if the hub has no such file at that revision

        Raises:
            UnknownRevisionError: the hub has no such revision
            DownloadError: no connection, no such repository, no disk space, or not the announced file
        """

        def work(transfer: Transfer) -> tuple[Path, _Metadata] | None:
            announced = self._request_metadata(filename, revision)
            if announced is None:
                return None
            self._refuse(filename, announced, published)
            transfer.total = announced.size
            transfer.check()
            return self._load(filename, announced, transfer), announced

        loaded = self._run(filename, revision, progress, work)
        if loaded is None:
            return None
        path, announced = loaded
        if path.stat().st_size != announced.size or not matches_etag(path, announced.etag):
            self.delete(path)
            raise DownloadError(
                filename, "the received file is not what the hub announced (other hash); it was deleted, try again"
            )
        report(progress, f"downloading {filename}", announced.size, announced.size, unit=BYTES)
        self.record_revision(revision, announced.commit)
        return path

    def record_revision(self, revision: str, commit: str) -> None:
        """Records the commit of a tag or branch as ``huggingface_hub`` does, so that it resolves without network."""
        if revision == commit or not _REVISION.fullmatch(revision):
            return
        path = self.folder / "refs" / revision
        with contextlib.suppress(OSError):  # then the next process resolves it again
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as part:
                part.write_text(commit, encoding="ascii")

    def delete(self, path: Path) -> int:
        """Deletes a cached file, and its content unless another revision shares it; returns the bytes freed.

        Raises:
            ModelFileError: the cache cannot be written
        """
        try:
            size, blob = path.stat().st_size, path.resolve()
            path.unlink()
            if not blob.exists():
                return size  # it was not a link
            if any(link.resolve() == blob for link in self.folder.glob("snapshots/**/*")):
                return 0
            blob.unlink()
        except OSError as error:
            problem = f"cannot be deleted ({error.strerror or error})"
            raise ModelFileError(path, problem, expected="a cache folder that can be written") from error
        return size

    def _run(self, filename: str, revision: str, progress: ProgressCallback | None, work: Callable[[Transfer], T]) -> T:
        """Runs ``work`` in a thread while this one reports progress."""
        transfer = Transfer()

        def guarded() -> T:
            with _download_errors(filename, revision):
                return work(transfer)

        stage = f"downloading {filename}"
        return transfer.run(guarded, lambda: report(progress, stage, transfer.done, transfer.total, unit=BYTES))

    def _request_metadata(self, filename: str, revision: str) -> _Metadata | None:
        """Requests the metadata of a file; None if the hub has no such file."""
        from huggingface_hub import get_hf_file_metadata, hf_hub_url
        from huggingface_hub.utils import EntryNotFoundError, LocalEntryNotFoundError

        url = hf_hub_url(self.repo, filename, repo_type=self.repo_type, revision=revision, endpoint=self.endpoint)
        try:
            metadata = get_hf_file_metadata(url, timeout=_TIMEOUT)
        except LocalEntryNotFoundError:  # a subclass of the next one, but not an answer of the hub
            raise
        except EntryNotFoundError:
            return None
        commit, etag, size = metadata.commit_hash or "", metadata.etag or "", metadata.size
        if size is None or not _ETAG.fullmatch(etag) or not _COMMIT.fullmatch(commit):
            raise DownloadError(
                filename, f"the hub sent invalid metadata (commit {commit!r}, ETag {etag!r}, size {size})"
            )
        if _COMMIT.fullmatch(revision) and commit != revision:
            raise DownloadError(filename, f"the hub answered with commit {commit} instead of {revision}")
        return _Metadata(commit, etag, size)

    def _refuse(self, filename: str, announced: _Metadata, published: PublishedFile | None) -> None:
        """Refuses a file whose metadata exceed the size limit, or differ from the published file."""
        if announced.size > self.max_bytes:
            raise DownloadError(filename, f"it has {announced.size:,} bytes, more than the limit of {self.max_bytes:,}")
        if published is None:
            return
        is_other_hash = len(announced.etag) == len(published.sha256) and announced.etag != published.sha256
        if is_other_hash or announced.size != (published.size or announced.size):
            problem = (
                f"at commit {announced.commit} the hub has another file than the published one: {announced.size:,} "
                f"bytes, hash {announced.etag}; published: sha256 {published.sha256}. "
                f"CCIP_REVISION={announced.commit} uses it as it is"
            )
            raise DownloadError(filename, problem)

    def _load(self, filename: str, announced: _Metadata, transfer: Transfer) -> Path:
        """Downloads a file under a lock: before version 1, concurrent downloads delete each other's link."""
        from huggingface_hub import hf_hub_download

        lock = self.folder.parent / ".locks" / self.folder.name / f"{announced.etag}.ccip.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        where: dict[str, Any] = {"repo_type": self.repo_type, "cache_dir": self.cache, "endpoint": self.endpoint}
        with file_lock(lock, transfer.check), _counted_by(transfer) as bars:
            return Path(hf_hub_download(self.repo, filename, revision=announced.commit, **where, **bars))


def is_file(path: Path) -> bool:
    """Whether there is such a file; False, without an exception, also for a path that cannot be read."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises some errors


@contextlib.contextmanager
def _counted_by(transfer: Transfer) -> Iterator[dict[str, Any]]:
    """Arguments that let the library report bytes. Before version 1.1 it can only draw a bar, which is switched off."""
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if "tqdm_class" in inspect.signature(hf_hub_download).parameters:
        yield {"tqdm_class": transfer.bar_class()}
        return
    if constants.HF_HUB_DISABLE_PROGRESS_BARS is not None or are_progress_bars_disabled():  # chosen by the user
        yield {}
        return
    disable_progress_bars()
    try:
        yield {}
    finally:
        enable_progress_bars()


@contextlib.contextmanager
def _download_errors(filename: str, revision: str) -> Iterator[None]:
    """Converts exceptions of a download into :class:`DownloadError`."""
    from huggingface_hub.utils import RevisionNotFoundError

    try:
        yield
    except DownloadError:
        raise
    except RevisionNotFoundError as error:
        raise UnknownRevisionError(filename, revision) from error
    except _transport_errors() as error:
        raise DownloadError(filename, _problem(error)) from error


def _problem(error: Exception) -> str:
    """The first line of an error; marks a 404 that is not from a hub."""
    lines = str(error).strip().splitlines()
    problem = lines[0].rstrip(".") if lines else type(error).__name__
    response = getattr(error, "response", None)
    if getattr(response, "status_code", None) == 404 and "X-Error-Code" not in getattr(response, "headers", ()):
        problem += " (without the error code of a hub: a proxy or a mirror answered)"
    return problem


def _transport_errors() -> tuple[type[Exception], ...]:
    """Exceptions of ``huggingface_hub``: OSError, its HTTP library's base error, ValueError, RuntimeError of Xet."""
    from huggingface_hub.utils import get_session

    library = sys.modules[type(get_session()).__module__.partition(".")[0]]
    return OSError, getattr(library, "HTTPError", OSError), ValueError, RuntimeError
