"""Downloads files of a hub repository into the cache of ``huggingface_hub``."""

import contextlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from ..errors import DownloadError, UnknownRevisionError
from ..progress import BYTES, ProgressCallback, report
from ..registry import HUB_REPO, PublishedFile
from ..system import atomic_write, file_lock
from . import onnx_file
from .fingerprints import is_what_hub_has
from .transfer import Transfer

T = TypeVar("T")

_TIMEOUT = 30.0
_ETAG = re.compile("[0-9A-Za-z_-]{8,128}")  # becomes a file name
_COMMIT = re.compile("[0-9a-f]{40}")  # becomes a folder name
_REVISION = re.compile(r"(?!.*\.\.)[\w.-]+(?:/[\w.-]+)*")  # becomes a path


class _Announced(NamedTuple):
    """What the hub says of a file before it is downloaded."""

    commit: str
    etag: str
    size: int


@dataclass(frozen=True)
class Hub:
    """A hub repository, that of the published models by default, and its cache on this machine.

    ``huggingface_hub`` downloads and owns the cache. Before a download the announced size and hash are checked, after
    it the file itself.

    Attributes:
        repo: the repository
        repo_type: "model" or "dataset"
        max_bytes: larger files are refused
        endpoint: the address of the hub; None for that of ``huggingface_hub`` (``HF_ENDPOINT``)
        cache: the cache folder; None for that of ``huggingface_hub`` (``HF_HOME``, ``HF_HUB_CACHE``)
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

        path = try_to_load_from_cache(
            self.repo, filename, cache_dir=self.cache, revision=revision, repo_type=self.repo_type
        )
        return Path(path) if isinstance(path, str) else None

    def cached_anywhere(self, filename: str) -> list[Path]:
        """The file in the cache at every commit that has it. No network."""
        return sorted(path for path in self.folder.glob(f"snapshots/*/{filename}") if path.is_file())

    def resolve(self, filename: str, revision: str, progress: ProgressCallback | None = None) -> str | None:
        """The commit of a revision, from the hub's answer for one file; None if there is no such file at that revision.

        Raises:
            UnknownRevisionError: the hub has no such revision
            DownloadError: no answer of a hub
        """
        announced = self._run(filename, revision, progress, lambda _: self._announced(filename, revision))
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
            progress (None): called with the bytes that arrived; an exception of it cancels the download
            published (None): what the file must be; if the hub announces another one, it is not downloaded

        Returns:
            its path; None if the hub says that there is no such file at that revision

        Raises:
            UnknownRevisionError: the hub has no such revision
            DownloadError: no connection, no such repository, no room, or not the announced file
        """

        def work(transfer: Transfer) -> tuple[Path, _Announced] | None:
            announced = self._announced(filename, revision)
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
        if path.stat().st_size != announced.size or not is_what_hub_has(path, announced.etag):
            self.delete(path)
            raise DownloadError(filename, "what arrived is not what the hub announced (other hash); deleted, try again")
        report(progress, f"downloading {filename}", announced.size, announced.size, unit=BYTES)
        self.note_revision(revision, announced.commit)
        return path

    def note_revision(self, revision: str, commit: str) -> None:
        """Notes the commit of a tag or branch where ``huggingface_hub`` does, so that it is found without network."""
        if revision == commit or not _REVISION.fullmatch(revision):
            return
        path = self.folder / "refs" / revision
        with contextlib.suppress(OSError):  # the next process asks the hub again
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as part:
                part.write_text(commit, encoding="ascii")

    def delete(self, path: Path) -> int:
        """Deletes a file of the cache, and its content unless another revision shares it; returns the bytes freed."""
        size, blob = path.stat().st_size, path.resolve()
        path.unlink()
        if not blob.exists():
            return size  # it was no link
        if any(other.resolve() == blob for other in self.folder.glob("snapshots/**/*")):
            return 0
        blob.unlink()
        return size

    def _run(self, filename: str, revision: str, progress: ProgressCallback | None, work: Callable[[Transfer], T]) -> T:
        """Runs ``work`` in a thread while this one reports progress."""
        transfer = Transfer()

        def guarded() -> T:
            with _download_errors(filename, revision):
                return work(transfer)

        stage = f"downloading {filename}"
        return transfer.run(guarded, lambda: report(progress, stage, transfer.done, transfer.total, unit=BYTES))

    def _announced(self, filename: str, revision: str) -> _Announced | None:
        """What the hub says of a file; None if it says that there is none."""
        from huggingface_hub import get_hf_file_metadata, hf_hub_url
        from huggingface_hub.utils import EntryNotFoundError, LocalEntryNotFoundError

        url = hf_hub_url(self.repo, filename, repo_type=self.repo_type, revision=revision, endpoint=self.endpoint)
        try:
            found = get_hf_file_metadata(url, timeout=_TIMEOUT)
        except LocalEntryNotFoundError:  # a subclass of the next one, and no word of the hub
            raise
        except EntryNotFoundError:
            return None
        commit, etag, size = found.commit_hash or "", found.etag or "", found.size
        if size is None or not _ETAG.fullmatch(etag) or not _COMMIT.fullmatch(commit):
            raise DownloadError(
                filename, f"the hub does not say what it is (commit {commit!r}, ETag {etag!r}, size {size})"
            )
        if _COMMIT.fullmatch(revision) and commit != revision:
            raise DownloadError(filename, f"the hub answers with commit {commit} when asked for {revision}")
        return _Announced(commit, etag, size)

    def _refuse(self, filename: str, announced: _Announced, published: PublishedFile | None) -> None:
        """Refuses a file for what the hub says of it."""
        if announced.size > self.max_bytes:
            raise DownloadError(
                filename, f"it has {announced.size:,} bytes, more than the {self.max_bytes:,} that are read"
            )
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

    def _load(self, filename: str, announced: _Announced, transfer: Transfer) -> Path:
        """Downloads a file under a lock: before version 1, two that load it at once take its link from each other."""
        from huggingface_hub import hf_hub_download

        lock = self.folder.parent / ".locks" / self.folder.name / f"{announced.etag}.ccip.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        where: dict[str, Any] = {"repo_type": self.repo_type, "cache_dir": self.cache, "endpoint": self.endpoint}
        with file_lock(lock, transfer.check), _counted_by(transfer) as bars:
            return Path(hf_hub_download(self.repo, filename, revision=announced.commit, **where, **bars))


@contextlib.contextmanager
def _counted_by(transfer: Transfer) -> Iterator[dict[str, Any]]:
    """Arguments that let the library count bytes for us. Before version 1.1 it can only draw: that is switched off."""
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if "tqdm_class" in inspect.signature(hf_hub_download).parameters:
        yield {"tqdm_class": transfer.bar_class()}
        return
    if constants.HF_HUB_DISABLE_PROGRESS_BARS is not None or are_progress_bars_disabled():  # a choice of the user
        yield {}
        return
    disable_progress_bars()
    try:
        yield {}
    finally:
        enable_progress_bars()


@contextlib.contextmanager
def _download_errors(filename: str, revision: str) -> Iterator[None]:
    """Turns what goes wrong on the way into our errors."""
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
    """The first line of an error; a 404 that no hub sent is called so."""
    lines = str(error).strip().splitlines()
    problem = lines[0].rstrip(".") if lines else type(error).__name__
    response = getattr(error, "response", None)
    if getattr(response, "status_code", None) == 404 and "X-Error-Code" not in getattr(response, "headers", ()):
        problem += " (without the error code of a hub: a proxy or a mirror answered)"
    return problem


def _transport_errors() -> tuple[type[Exception], ...]:
    """What ``huggingface_hub`` raises: OSError, the base error of its HTTP library, ValueError, RuntimeError of Xet."""
    from huggingface_hub.utils import get_session

    library = sys.modules[type(get_session()).__module__.partition(".")[0]]
    return OSError, getattr(library, "HTTPError", OSError), ValueError, RuntimeError
