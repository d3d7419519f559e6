"""Finds the files of a model: bundled, in a folder of the user, in the cache of the hub, or on the hub.

:class:`Hub` fetches a file of any repository; :mod:`~ccip_plugin.core.datasets.character_similarity` is its other user.

A folder of models (``model_dir`` or the environment variable ``CCIP_MODEL_DIR``) holds one folder per model::

    <model_dir>/<model name>/model_feat.onnx  model_metrics.onnx  metrics.json  cluster.json

Without one, files are downloaded into the ordinary cache of ``huggingface_hub`` (``HF_HOME`` moves it), pinned to the
revision of the model (``CCIP_REVISION`` overrides it). Nothing is asked of the network once ``model_feat.onnx`` is
there. What was downloaded is remembered by its sha256 in :func:`cache_dir` (``CCIP_CACHE_DIR`` moves it), and compared
at every later use.
"""

import contextlib
import logging
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from . import onnx_file
from .errors import DownloadError, ModelFileMissingError
from .fingerprints import compare_with_record, fingerprint, forget, is_what_hub_has
from .progress import ProgressCallback, report
from .registry import HUB_REPO, ModelSpec, get_spec
from .system import cache_dir, file_lock

logger = logging.getLogger(__name__)

__all__ = [
    "FILES",
    "Hub",
    "ModelFiles",
    "cache_dir",
    "find_files",
    "find_jsons",
    "fingerprint",
    "how_to_fetch",
    "is_available",
    "remove",
    "size",
]

FEAT, METRICS, METRICS_JSON, CLUSTER_JSON = "model_feat.onnx", "model_metrics.onnx", "metrics.json", "cluster.json"
FILES = (METRICS_JSON, CLUSTER_JSON, METRICS, FEAT)  # in the order of downloading: the large one last
HUB_URL = f"https://huggingface.co/{HUB_REPO}"

_BUNDLED = Path(__file__).parent / "models"
_REPORT = 1 << 20  # bytes between two words to a progress callable
_TIMEOUT = 30.0
_ETAG = re.compile("[0-9A-Za-z_-]{8,128}")  # becomes a file name


@dataclass(frozen=True)
class ModelFiles:
    """Where the files of a model are.

    Attributes:
        feat: ``model_feat.onnx``, images to vectors
        metrics: ``model_metrics.onnx``, vectors to differences, None when absent
        metrics_json: published scores and threshold, None when absent
        cluster_json: published clustering parameters, None when absent
        source: "bundled", "model_dir" or "hub"
        revision: the commit that they are of, None when not known
        fingerprint: sha256 of ``feat``, in hexadecimal
    """

    feat: Path
    metrics: Path | None
    metrics_json: Path | None
    cluster_json: Path | None
    source: Literal["bundled", "model_dir", "hub"]
    revision: str | None
    fingerprint: str


def find_files(
    model_name: str,
    *,
    model_dir: str | Path | None = None,
    revision: str | None = None,
    download: bool = True,
    progress: ProgressCallback | None = None,
    hub: "Hub | None" = None,
) -> ModelFiles:
    """Finds the files of a model, downloads them when they are nowhere, and checks them.

    Args:
        model_name: a name of the registry
        model_dir (None): a folder of models; the environment variable ``CCIP_MODEL_DIR`` by default. When there is one,
            the network is not used
        revision (None): commit, tag or branch of the hub repository; ``CCIP_REVISION``, then the pinned one by default
        download (True): whether the network may be used
        progress (None): told the bytes of each file
        hub (None): another place to download from

    Returns:
        the :class:`ModelFiles`

    Raises:
        UnknownModelError: no such model
        ModelFileMissingError: not there, and not to be downloaded
        ModelFileDamagedError: there, but not a whole model
        ModelFileChangedError: downloaded earlier and different now
        DownloadError: not there and could not be downloaded
    """
    spec = get_spec(model_name)
    folder, source = _folder(spec, model_dir)
    if folder is not None:
        found = _in_folder(folder)
        if FEAT not in found:
            raise _missing(spec, folder, source)
        return _checked(spec, found, source, spec.revision if source == "bundled" else None)
    hub = hub or Hub()
    revision = _revision(spec, revision)
    found = _in_cache(spec, hub, revision)
    if FEAT not in found:
        if not download:
            raise _missing(spec, Path(spec.name), "hub")
        found = _download(spec, hub, revision, progress)
    return _checked(spec, found, "hub", found[FEAT].parents[1].name)


def find_jsons(
    model_name: str,
    *,
    model_dir: str | Path | None = None,
    revision: str | None = None,
    hub: "Hub | None" = None,
) -> dict[str, Path]:
    """Where ``metrics.json`` and ``cluster.json`` of a model are, as ``{file name: path}``. No network."""
    found = _present(get_spec(model_name), model_dir, revision, hub)
    return {name: path for name, path in found.items() if name in (METRICS_JSON, CLUSTER_JSON)}


def is_available(
    model_name: str,
    *,
    model_dir: str | Path | None = None,
    revision: str | None = None,
    hub: "Hub | None" = None,
) -> bool:
    """Whether a model can be used without network: its ``model_feat.onnx`` is there (it is not looked into)."""
    return FEAT in _present(get_spec(model_name), model_dir, revision, hub)


def size(
    model_name: str, *, model_dir: str | Path | None = None, revision: str | None = None, hub: "Hub | None" = None
) -> int:
    """How many bytes the files of a model take on this machine; 0 when there are none."""
    return sum(path.stat().st_size for path in _present(get_spec(model_name), model_dir, revision, hub).values())


def remove(model_name: str, *, revision: str | None = None, hub: "Hub | None" = None) -> int:
    """Deletes what was downloaded of a model, also halves; bundled files and folders of the user are left alone.

    Returns:
        how many bytes became free
    """
    spec, hub = get_spec(model_name), hub or Hub()
    revision = _revision(spec, revision)
    found = {} if spec.is_stand_in else _in_cache(spec, hub, revision)
    halves = list(hub.folder.glob(f"blobs/*.{spec.name}.incomplete"))
    freed = sum(path.stat().st_size for path in halves)
    for path in found.values():
        forget(f"{spec.name}@{path.parents[1].name}")
        freed += hub.delete(path)
    for path in halves:
        path.unlink()
    return freed


def model_folder(model_dir: str | Path | None = None) -> Path | None:
    """The folder of models that is used instead of the hub: ``model_dir``, else ``CCIP_MODEL_DIR``, else None."""
    chosen = model_dir or os.environ.get("CCIP_MODEL_DIR")
    return Path(chosen).expanduser() if chosen else None


def how_to_fetch(model_name: str) -> str:
    """What to do when a model isn't there and the network isn't either."""
    spec = get_spec(model_name)
    if spec.is_stand_in:
        return f"{spec.name} comes with this package and is not on the hub: install the package again."
    return (
        f"Without network: put {FEAT}, {METRICS}, {METRICS_JSON} and {CLUSTER_JSON} from "
        f"{HUB_URL}/tree/{spec.revision}/{spec.name} into <folder>/{spec.name}/ "
        f"and set CCIP_MODEL_DIR=<folder> or pass model_dir=<folder>."
    )


@dataclass(frozen=True)
class Hub:
    """A hub repository, that of the published models by default, and its cache on this machine.

    ``huggingface_hub`` owns the cache and links a file in its place. The bytes are fetched here: a download that broke
    off or was cancelled goes on where it stopped, in another process too, and is checked against the hub's own hash.

    Attributes:
        repo: the repository
        repo_type: "model" or "dataset"
        max_bytes: larger files are not fetched
        endpoint: the address of the hub; None for that of ``huggingface_hub`` (``HF_ENDPOINT``)
        cache: the cache folder; None for that of ``huggingface_hub`` (``HF_HOME``, ``HF_HUB_CACHE``)
        retries: how often a connection may break in a row without a byte coming
        pause: seconds between two tries
    """

    repo: str = HUB_REPO
    repo_type: Literal["model", "dataset"] = "model"
    max_bytes: int = onnx_file.MAX_BYTES
    endpoint: str | None = None
    cache: Path | None = None
    retries: int = 5
    pause: float = 1.0

    @property
    def folder(self) -> Path:
        """The folder of the repository in the cache."""
        from huggingface_hub import constants

        return Path(self.cache or constants.HF_HUB_CACHE) / f"{self.repo_type}s--{self.repo.replace('/', '--')}"

    def cached(self, filename: str, revision: str) -> Path | None:
        """The file in the cache, None when it isn't there. No network."""
        from huggingface_hub import try_to_load_from_cache

        path = try_to_load_from_cache(
            self.repo, filename, cache_dir=self.cache, revision=revision, repo_type=self.repo_type
        )
        return Path(path) if isinstance(path, str) else None

    def download(self, filename: str, revision: str, progress: ProgressCallback | None = None) -> Path | None:
        """Fetches a file into the cache, or the rest of it when a part is there.

        Returns:
            its path; None when the repository has no such file

        Raises:
            DownloadError: no connection, no such repository or revision, not enough room, not what the hub announced
        """
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
        from huggingface_hub.utils import EntryNotFoundError

        url = hf_hub_url(self.repo, filename, repo_type=self.repo_type, revision=revision, endpoint=self.endpoint)
        try:
            with _download_errors(filename):
                meta = get_hf_file_metadata(url, timeout=_TIMEOUT)
        except EntryNotFoundError:
            return None
        self._fetch(filename, url, meta.etag, meta.size, progress)
        where: dict[str, Any] = {"repo_type": self.repo_type, "cache_dir": self.cache, "endpoint": self.endpoint}
        with _download_errors(filename):
            return Path(hf_hub_download(self.repo, filename, revision=revision, **where))

    def delete(self, path: Path) -> int:
        """Takes a file out of the cache, and its bytes when no other revision shares them; gives how many."""
        size, blob = path.stat().st_size, path.resolve()
        path.unlink()
        if not blob.exists():
            return size  # it was no link
        if any(other.resolve() == blob for other in self.folder.glob("snapshots/*/*/*")):
            return 0
        blob.unlink()
        return size

    def _fetch(
        self, filename: str, url: str, etag: str | None, total: int | None, progress: ProgressCallback | None
    ) -> None:
        """Brings the bytes to where ``huggingface_hub`` looks for them."""
        if total is None or not _ETAG.fullmatch(etag or ""):
            raise DownloadError(filename, f"the hub does not say what it is (ETag {etag!r}, size {total})")
        if total > self.max_bytes:
            raise DownloadError(filename, f"it has {total:,} bytes, more than the {self.max_bytes:,} that are read")
        blob = self.folder / "blobs" / str(etag)
        part = blob.with_name(f"{blob.name}.{filename.partition('/')[0]}.incomplete")
        lock = self.folder.parent / ".locks" / self.folder.name / f"{blob.name}.lock"
        with _download_errors(filename):
            for folder in (blob.parent, lock.parent):
                folder.mkdir(parents=True, exist_ok=True)
        waiting = f"waiting for another process to download {filename}"
        with file_lock(lock, lambda: report(progress, waiting, 0, None)):
            if blob.exists():
                return
            _need_room(filename, part, total)
            part.touch()
            self._pull(filename, url, part, total, progress)
            if not is_what_hub_has(part, blob.name):
                part.unlink()
                raise DownloadError(
                    filename, "what arrived is not what the hub announced (other hash); deleted, try again"
                )
            part.replace(blob)

    def _pull(self, filename: str, url: str, part: Path, total: int, progress: ProgressCallback | None) -> None:
        """Adds to ``part`` until it has ``total`` bytes, over as many connections as it takes."""
        failures = 0
        while (have := _size(part)) != total:
            problem = _try(
                url, part, total, lambda done: report(progress, f"downloading {filename}", done, total, "bytes")
            )
            failures = 0 if _size(part) > have else failures + 1
            if failures > self.retries:
                kept = f"{_size(part):,} of {total:,} bytes are kept, the same call goes on from there"
                raise DownloadError(filename, f"{problem} ({kept})")
            if failures:
                logger.info("download of %s broke off: %s", filename, problem)
                time.sleep(self.pause)


def _folder(
    spec: ModelSpec, model_dir: str | Path | None
) -> tuple[Path | None, Literal["bundled", "model_dir", "hub"]]:
    """The folder that must hold the model, and what it is; (None, "hub") when the hub and its cache do."""
    above = model_folder(model_dir)
    folder = above / spec.name if above else None
    if spec.is_stand_in and (folder is None or not folder.is_dir()):
        return _BUNDLED / spec.name, "bundled"
    return folder, "model_dir" if folder else "hub"


def _revision(spec: ModelSpec, revision: str | None) -> str:
    return revision or os.environ.get("CCIP_REVISION") or spec.revision


def _present(spec: ModelSpec, model_dir: str | Path | None, revision: str | None, hub: Hub | None) -> dict[str, Path]:
    """The files that are on this machine."""
    folder, _ = _folder(spec, model_dir)
    if folder is not None:
        return _in_folder(folder)
    return _in_cache(spec, hub or Hub(), _revision(spec, revision))


def _in_folder(folder: Path) -> dict[str, Path]:
    return {name: folder / name for name in FILES if (folder / name).is_file()}


def _in_cache(spec: ModelSpec, hub: Hub, revision: str) -> dict[str, Path]:
    found = {name: hub.cached(f"{spec.name}/{name}", revision) for name in FILES}
    return {name: path for name, path in found.items() if path is not None}


def _missing(spec: ModelSpec, folder: Path, source: str) -> ModelFileMissingError:
    problem = "is not there"
    if source == "hub":
        problem = "is not in the cache, and downloading is switched off"
    elif (folder.parent / FEAT).is_file():
        problem = f"is not there ({folder.parent} holds a model itself: model_dir is the folder above it)"
    elif not folder.is_dir():
        problem = "is not there, nor is its folder"
    expected = f"the model file of {spec.name} (about {spec.size_mb} MB)"
    return ModelFileMissingError(folder / FEAT, problem, expected=expected, remedy=how_to_fetch(spec.name))


def _download(spec: ModelSpec, hub: Hub, revision: str, progress: ProgressCallback | None) -> dict[str, Path]:
    """Fetches the four files, those that the repository has."""
    found: dict[str, Path] = {}
    try:
        for name in FILES:
            path = hub.download(f"{spec.name}/{name}", revision, progress)
            if path is not None:
                found[name] = path
    except DownloadError as error:
        raise DownloadError(error.what, error.problem, remedy=how_to_fetch(spec.name)) from error
    if FEAT not in found:
        problem = f"{hub.repo} has no such file at revision {revision}"
        raise DownloadError(f"{spec.name}/{FEAT}", problem, remedy=how_to_fetch(spec.name))
    return found


def _checked(
    spec: ModelSpec, found: dict[str, Path], source: Literal["bundled", "model_dir", "hub"], revision: str | None
) -> ModelFiles:
    """Refuses damaged and changed files; gives the record of good ones."""
    remedy = how_to_fetch(spec.name)
    if source == "hub":
        remedy = f"ccip_plugin.core.hub.remove({spec.name!r}) deletes it, to download it anew. {remedy}"
    for name in (FEAT, METRICS):
        if name in found:
            onnx_file.check(found[name], remedy=remedy)
    digests = {name: fingerprint(path) for name, path in found.items()}
    if source == "hub" and revision is not None:
        expected = {name: digest for name, path in found.items() if (digest := _hash_of_hub(path))}
        compare_with_record(f"{spec.name}@{revision}", found, digests, expected=expected, remedy=remedy)
    return ModelFiles(
        feat=found[FEAT],
        metrics=found.get(METRICS),
        metrics_json=found.get(METRICS_JSON),
        cluster_json=found.get(CLUSTER_JSON),
        source=source,
        revision=revision,
        fingerprint=digests[FEAT],
    )


def _hash_of_hub(path: Path) -> str | None:
    """The sha256 that the cache keeps as the name of a large file, None when it doesn't."""
    name = path.resolve().name
    return name if len(name) == 64 and not set(name) - set("0123456789abcdef") else None


def _need_room(filename: str, part: Path, total: int) -> None:
    needed, free = total - _size(part), shutil.disk_usage(part.parent).free
    if needed > free:
        raise DownloadError(filename, f"{needed:,} bytes are needed in {part.parent}, {free:,} are free")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _try(url: str, part: Path, total: int, on_bytes: Callable[[int], None]) -> str:
    """Fetches what ``part`` lacks over one connection; gives what ended it. What ``on_bytes`` raises is not caught."""
    with contextlib.closing(_append(url, part, total)) as arriving:
        while True:
            try:
                have = next(arriving, None)
            except _transport_errors() as error:
                return str(error) or type(error).__name__
            if have is None:
                return "the connection ended early"
            on_bytes(have)


def _append(url: str, part: Path, total: int) -> Generator[int, None, None]:
    """Asks for what ``part`` lacks and writes it as it comes; gives how much there is, now and then."""
    have = _size(part)
    if have > total:
        part.unlink()
        have = 0
    with _stream(url, {"Range": f"bytes={have}-"} if have else {}) as (status, chunks):
        if status not in (200, 206):
            raise OSError(f"the hub answered with status {status}")
        have = told = have if status == 206 else 0
        with part.open("ab" if have else "wb", buffering=0) as file:
            for chunk in chunks:
                have += file.write(chunk)
                if have - told >= _REPORT or have >= total:
                    yield have
                    told = have
                if have > total:
                    break


@contextlib.contextmanager
def _stream(url: str, headers: dict[str, str]) -> Iterator[tuple[int, Iterator[bytes]]]:
    """A request through the session of ``huggingface_hub``, which a user can configure (proxies, certificates)."""
    from huggingface_hub.utils import build_hf_headers, get_session

    session: Any = get_session()
    headers = build_hf_headers() | {"Accept-Encoding": "identity"} | headers
    if callable(getattr(session, "stream", None)):  # httpx, from version 1
        with session.stream("GET", url, headers=headers, timeout=_TIMEOUT, follow_redirects=True) as response:
            yield response.status_code, response.iter_raw()
    else:  # requests
        with session.get(url, headers=headers, timeout=_TIMEOUT, stream=True) as response:
            yield response.status_code, response.iter_content(1 << 14)


@contextlib.contextmanager
def _download_errors(filename: str) -> Iterator[None]:
    """Turns what goes wrong on the way into our error; that a file is not in the repository stays what it is."""
    from huggingface_hub.utils import EntryNotFoundError

    try:
        yield
    except EntryNotFoundError:
        raise
    except _transport_errors() as error:
        problem = str(error).strip() or type(error).__name__
        raise DownloadError(filename, problem.splitlines()[0].rstrip(".")) from error


def _transport_errors() -> tuple[type[Exception], ...]:
    """What goes wrong on the way: OSError, and the base of what the HTTP library in use raises."""
    from huggingface_hub.utils import get_session

    library = sys.modules[type(get_session()).__module__.partition(".")[0]]
    return OSError, getattr(library, "HTTPError", OSError)
