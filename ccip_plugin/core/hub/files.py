"""Finds the files of a model: bundled, in a folder of the user, in the cache of the hub, or on the hub.

A folder of models (``model_dir`` or the environment variable ``CCIP_MODEL_DIR``) holds one folder per model::

    <model_dir>/<model name>/model_feat.onnx  model_metrics.onnx  metrics.json  cluster.json

Without one, files are downloaded into the ordinary cache of ``huggingface_hub`` (``HF_HOME`` moves it), at the pinned
revision of the model (``CCIP_REVISION`` overrides it). If the hub says that it has no such revision, ``main`` is
resolved once, and the commit is recorded and used from then on. No network is used once ``model_feat.onnx`` is cached,
at that revision or, with the published hash, at another one. The sha256 of every downloaded file is recorded in our
cache folder (``CCIP_CACHE_DIR`` moves it) and compared at every later use.
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

from ..errors import DownloadError, ModelFileChangedError, ModelFileMissingError, UnknownRevisionError
from ..progress import ProgressCallback
from ..registry import HUB_REPO, ModelSpec, PublishedFile, get_spec
from . import onnx_file
from .download import Hub
from .fingerprints import (
    compare_with_record,
    fingerprint,
    fingerprint_in_cache,
    forget,
    record_commit,
    recorded_commit,
    recorded_fingerprints,
)

logger = logging.getLogger(__name__)

FEAT, METRICS, METRICS_JSON, CLUSTER_JSON = "model_feat.onnx", "model_metrics.onnx", "metrics.json", "cluster.json"
FILES = (METRICS_JSON, CLUSTER_JSON, METRICS, FEAT)  # in the order of downloading: the large one last
HUB_URL = f"https://huggingface.co/{HUB_REPO}"
MAIN = "main"

_BUNDLED = Path(__file__).resolve().parents[1] / "models"
_OLD_SECONDS = 86_400  # a partial download that was not written to for so long belongs to a process that died

Source = Literal["bundled", "model_dir", "hub"]


@dataclass(frozen=True)
class ModelFiles:
    """Where the files of a model are.

    Attributes:
        feat: ``model_feat.onnx``, images to vectors
        metrics: ``model_metrics.onnx``, vectors to differences, None when absent
        metrics_json: published scores and threshold, None when absent
        cluster_json: published clustering parameters, None when absent
        source: "bundled", "model_dir" or "hub"
        revision: their commit, None if unknown
        fingerprint: sha256 of ``feat``, in hexadecimal
    """

    feat: Path
    metrics: Path | None
    metrics_json: Path | None
    cluster_json: Path | None
    source: Source
    revision: str | None
    fingerprint: str


class _Revision(NamedTuple):
    """A revision, and whether the user named it: then no other one is ever used."""

    name: str
    is_named: bool


def find_files(
    model_name: str,
    *,
    model_dir: str | Path | None = None,
    revision: str | None = None,
    download: bool = True,
    progress: ProgressCallback | None = None,
    hub: Hub | None = None,
) -> ModelFiles:
    """Finds the files of a model, downloads them if they are not on this machine, and checks them.

    Args:
        model_name: a name of the registry
        model_dir (None): a folder of models; the environment variable ``CCIP_MODEL_DIR`` by default. If there is one,
            the network is not used
        revision (None): commit, tag or branch of the hub repository; ``CCIP_REVISION``, then the pinned one by default
        download (True): whether the network may be used
        progress (None): called with the bytes of each file
        hub (None): another place to download from

    Returns:
        the :class:`ModelFiles`

    Raises:
        UnknownModelError: no such model
        ModelFileMissingError: not on this machine, and not to be downloaded
        ModelFileDamagedError: not a whole model
        ModelFileChangedError: downloaded earlier and different now, or not the published file
        DownloadError: not on this machine and not downloadable
    """
    spec = get_spec(model_name)
    folder, source = _folder(spec, model_dir)
    if folder is not None:
        found = _in_folder(folder)
        if FEAT not in found:
            raise _missing(spec, folder, source)
        return _checked(spec, found, source, spec.revision if source == "bundled" else None)
    hub, wanted = hub or Hub(), _revision(spec, revision)
    found = _in_cache(spec, hub, wanted)
    if FEAT not in found:
        if not download:
            raise _missing(spec, Path(spec.name), "hub", _other_revisions(spec, hub, wanted))
        found = _download(spec, hub, wanted, progress)
    published = {} if wanted.is_named else spec.files
    return _checked(spec, found, "hub", _commit_of(found), published)


def find_jsons(
    model_name: str,
    *,
    model_dir: str | Path | None = None,
    revision: str | None = None,
    hub: Hub | None = None,
) -> dict[str, Path]:
    """Where ``metrics.json`` and ``cluster.json`` of a model are, as ``{file name: path}``. No network."""
    found = _present(get_spec(model_name), model_dir, revision, hub)
    return {name: path for name, path in found.items() if name in (METRICS_JSON, CLUSTER_JSON)}


def is_available(
    model_name: str,
    *,
    model_dir: str | Path | None = None,
    revision: str | None = None,
    hub: Hub | None = None,
) -> bool:
    """Whether a model can be used without network: its ``model_feat.onnx`` exists (it is not opened)."""
    return FEAT in _present(get_spec(model_name), model_dir, revision, hub)


def size(
    model_name: str, *, model_dir: str | Path | None = None, revision: str | None = None, hub: Hub | None = None
) -> int:
    """Bytes that the files of a model take on this machine; 0 without any."""
    return sum(path.stat().st_size for path in _present(get_spec(model_name), model_dir, revision, hub).values())


def remove(model_name: str, *, revision: str | None = None, hub: Hub | None = None) -> int:
    """Deletes what was downloaded of a model, partial downloads too; not bundled files and folders of the user.

    Returns:
        the bytes freed
    """
    spec, hub = get_spec(model_name), hub or Hub()
    if spec.is_stand_in:
        return 0
    freed, wanted = 0, _revision(spec, revision)
    while found := _in_cache(spec, hub, wanted):  # at the pinned commit, then at others with the same model
        forget(spec.name, _commit_of(found))
        freed += sum(hub.delete(path) for path in found.values())
    for path in _partial_downloads(spec, hub):
        freed += path.stat().st_size
        path.unlink()
    return freed


def model_folder(model_dir: str | Path | None = None) -> Path | None:
    """The folder of models that is used instead of the hub: ``model_dir``, else ``CCIP_MODEL_DIR``, else None."""
    chosen = model_dir or os.environ.get("CCIP_MODEL_DIR")
    return Path(chosen).expanduser() if chosen else None


def how_to_fetch(model_name: str) -> str:
    """What to do when a model is not on this machine and there is no network."""
    spec = get_spec(model_name)
    if spec.is_stand_in:
        return f"{spec.name} comes with this package and is not on the hub: install the package again."
    return (
        f"Without network: put {FEAT}, {METRICS}, {METRICS_JSON} and {CLUSTER_JSON} from "
        f"{HUB_URL}/tree/{spec.revision}/{spec.name} into <folder>/{spec.name}/ "
        f"and set CCIP_MODEL_DIR=<folder> or pass model_dir=<folder>."
    )


def _folder(spec: ModelSpec, model_dir: str | Path | None) -> tuple[Path | None, Source]:
    """The folder that must hold the model, and what it is; (None, "hub") when the hub and its cache do."""
    above = model_folder(model_dir)
    folder = above / spec.name if above else None
    if spec.is_stand_in and (folder is None or not folder.is_dir()):
        return _BUNDLED / spec.name, "bundled"
    return folder, "model_dir" if folder else "hub"


def _revision(spec: ModelSpec, revision: str | None) -> _Revision:
    named = revision or os.environ.get("CCIP_REVISION")
    if named:
        return _Revision(named, True)
    return _Revision(recorded_commit(spec.name, spec.revision) or spec.revision, False)


def _present(spec: ModelSpec, model_dir: str | Path | None, revision: str | None, hub: Hub | None) -> dict[str, Path]:
    """The files that are on this machine."""
    folder, _ = _folder(spec, model_dir)
    if folder is not None:
        return _in_folder(folder)
    return _in_cache(spec, hub or Hub(), _revision(spec, revision))


def _in_folder(folder: Path) -> dict[str, Path]:
    return {name: folder / name for name in FILES if (folder / name).is_file()}


def _in_cache(spec: ModelSpec, hub: Hub, wanted: _Revision) -> dict[str, Path]:
    """The cached files at a revision, or at another one if they are known to be the same model."""
    cached = {name: hub.cached(f"{spec.name}/{name}", wanted.name) for name in FILES}
    found = {name: path for name, path in cached.items() if path is not None}
    if FEAT in found or wanted.is_named:
        return found
    known = {name: file.sha256 for name, file in spec.files.items()}
    known = recorded_fingerprints(spec.name, wanted.name) | known
    same = [files for files in _elsewhere(spec, hub) if _are_known(files, known)]
    return max(same, key=len, default=found)


def _elsewhere(spec: ModelSpec, hub: Hub) -> Iterator[dict[str, Path]]:
    """The cached files of a model at each commit that has it."""
    yield from (_in_folder(feat.parent) for feat in hub.cached_anywhere(f"{spec.name}/{FEAT}"))


def _are_known(found: dict[str, Path], known: dict[str, str]) -> bool:
    """Whether the model file is known, and no other file differs from what is known."""
    return FEAT in known and all(
        fingerprint_in_cache(path) == known[name] for name, path in found.items() if name in known
    )


def _other_revisions(spec: ModelSpec, hub: Hub, wanted: _Revision) -> str:
    """A sentence about cached files that may be another model, and the setting that uses them."""
    commits = [_commit_of(files) for files in _elsewhere(spec, hub)]
    if not commits or wanted.is_named:
        return ""
    return (
        f"The cache has {spec.name} of revision {', '.join(commits)}, which is not known to be the same model: "
        f"CCIP_REVISION={commits[-1]} or revision={commits[-1]!r} uses it. "
    )


def _commit_of(found: dict[str, Path]) -> str:
    return next(iter(found.values())).parents[1].name


def _partial_downloads(spec: ModelSpec, hub: Hub) -> list[Path]:
    """What broken downloads left: of this model as far as that is known, and of any model if it is old."""
    names = (spec.name, *(file.sha256 for file in spec.files.values()))
    return [
        path
        for path in hub.folder.glob("blobs/*.incomplete")
        if any(name in path.name for name in names) or path.stat().st_mtime < time.time() - _OLD_SECONDS
    ]


def _missing(spec: ModelSpec, folder: Path, source: str, hint: str = "") -> ModelFileMissingError:
    problem = "is not there"
    if source == "hub":
        problem = "is not in the cache, and downloading is switched off"
    elif (folder.parent / FEAT).is_file():
        problem = f"is not there ({folder.parent} holds a model itself: model_dir is the folder above it)"
    elif not folder.is_dir():
        problem = "is not there, nor is its folder"
    expected = f"the model file of {spec.name} (about {spec.size_mb} MB)"
    return ModelFileMissingError(folder / FEAT, problem, expected=expected, remedy=hint + how_to_fetch(spec.name))


def _download(spec: ModelSpec, hub: Hub, wanted: _Revision, progress: ProgressCallback | None) -> dict[str, Path]:
    """Downloads the files of a model that the repository has, all of one commit."""
    found: dict[str, Path] = {}
    try:
        commit = _resolved(spec, hub, wanted, progress)
        for name in FILES:
            published = None if wanted.is_named else spec.files.get(name)
            path = hub.download(f"{spec.name}/{name}", commit, progress, published=published)
            if path is not None:
                found[name] = path
        if FEAT not in found:
            raise DownloadError(f"{spec.name}/{FEAT}", f"{hub.repo} has no such file at revision {commit}")
    except DownloadError as error:
        remedy = _other_revisions(spec, hub, wanted) + how_to_fetch(spec.name)
        raise DownloadError(error.what, error.problem, remedy=remedy) from error
    hub.note_revision(wanted.name, commit)
    return found


def _resolved(spec: ModelSpec, hub: Hub, wanted: _Revision, progress: ProgressCallback | None) -> str:
    """The commit of a revision; of ``main`` instead of a pinned one that the hub does not have, which is recorded."""
    feat = f"{spec.name}/{FEAT}"
    try:
        commit = hub.resolve(feat, wanted.name, progress)
    except UnknownRevisionError as error:
        if wanted.is_named:
            raise
        if wanted.name != spec.revision:
            problem = f"{error.problem}, which is recorded for this model (CCIP_REVISION={MAIN} uses the newest one)"
            raise DownloadError(error.what, problem) from error
        commit = hub.resolve(feat, MAIN, progress)
        if commit is not None:
            record = record_commit(spec.name, spec.revision, commit)
            logger.warning(
                "%s has no revision %s: %s is downloaded at commit %s, which main is at now; recorded in %s and used "
                "from now on",
                hub.repo,
                spec.revision,
                spec.name,
                commit,
                record,
            )
    if commit is None:
        raise DownloadError(feat, f"{hub.repo} has no such file at revision {wanted.name}")
    return commit


def _checked(
    spec: ModelSpec,
    found: dict[str, Path],
    source: Source,
    revision: str | None,
    published: Mapping[str, PublishedFile] = MappingProxyType({}),
) -> ModelFiles:
    """Refuses damaged, changed and unpublished files; returns the record of good ones."""
    remedy = _remedy(spec, source)
    for name in (FEAT, METRICS):
        if name in found:
            onnx_file.check(found[name], remedy=remedy)
    digests = {name: fingerprint(path) for name, path in found.items()}
    for name in found.keys() & published.keys():
        if digests[name] != published[name].sha256:
            problem = f"is not the published file (its sha256 is {digests[name]})"
            expected = f"sha256 {published[name].sha256}"
            hint = f"{remedy} CCIP_REVISION={revision} uses it as it is."
            raise ModelFileChangedError(found[name], problem, expected=expected, remedy=hint)
    if source == "hub" and revision is not None:
        compare_with_record(spec.name, revision, found, digests, remedy=remedy)
    return ModelFiles(
        feat=found[FEAT],
        metrics=found.get(METRICS),
        metrics_json=found.get(METRICS_JSON),
        cluster_json=found.get(CLUSTER_JSON),
        source=source,
        revision=revision,
        fingerprint=digests[FEAT],
    )


def _remedy(spec: ModelSpec, source: Source) -> str:
    if source != "hub":
        return how_to_fetch(spec.name)
    return f"ccip_plugin.core.hub.remove({spec.name!r}) deletes it, so that it is downloaded again. " + how_to_fetch(
        spec.name
    )
