"""Finds the files of a model: bundled, in a folder of the user, in the cache of ``huggingface_hub``, or on the hub.

A folder of models (``model_dir`` or the environment variable ``CCIP_MODEL_DIR``) has one folder per model::

    <model_dir>/<model name>/model_feat.onnx  model_metrics.onnx  metrics.json  cluster.json

Without one, files are downloaded into the cache of ``huggingface_hub`` (``HF_HOME`` moves it), at the pinned revision
of the model (``CCIP_REVISION`` overrides it). If the hub has no such revision, ``main`` is resolved once; its commit is
recorded and used from then on. No network is used once ``model_feat.onnx`` is cached at that revision or, with the
published hash, at another one. The sha256 of every downloaded file is recorded in the cache folder of this package
(``CCIP_CACHE_DIR`` moves it) and compared at every later use.
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

from ..errors import (
    DownloadError,
    ModelFileChangedError,
    ModelFileMissingError,
    UnknownRevisionError,
    check_type,
)
from ..progress import ProgressCallback
from ..registry import HUB_REPO, ModelSpec, PublishedFile, get_spec
from . import onnx_file
from .download import Hub, is_file
from .fingerprints import (
    compare_with_record,
    delete_fingerprints,
    fingerprint,
    fingerprint_in_cache,
    record_commit,
    recorded_commit,
    recorded_fingerprints,
)

logger = logging.getLogger(__name__)

FEAT, METRICS, METRICS_JSON, CLUSTER_JSON = "model_feat.onnx", "model_metrics.onnx", "metrics.json", "cluster.json"
FILES = (METRICS_JSON, CLUSTER_JSON, METRICS, FEAT)  # in the order of downloads: the large one last
HUB_URL = f"https://huggingface.co/{HUB_REPO}"
MAIN = "main"
NAME_FOLDER = "and set CCIP_MODEL_DIR=<folder> before the App is started, or pass model_dir=<folder>."
"""The end of :func:`how_to_fetch`, for Python and a shell."""

_BUNDLED = Path(__file__).resolve().parents[1] / "models"
_OLD_SECONDS = 86_400  # the process of a partial download that was not modified for so long has died

Source = Literal["bundled", "model_dir", "hub"]


@dataclass(frozen=True)
class ModelFiles:
    """The files of a model.

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
    """A revision, and whether the user named it: then no other one is used instead."""

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
        model_name: a name in the registry
        model_dir (None): a folder of models; the environment variable ``CCIP_MODEL_DIR`` by default. With such a
            folder, the network is not used
        revision (None): commit, tag or branch of the hub repository; by default ``CCIP_REVISION``, else the pinned one
        download (True): whether the network may be used
        progress (None): called with the received bytes of each file
        hub (None): another hub to download from

    Returns:
        the :class:`ModelFiles`

    Raises:
        UnknownModelError: no such model
        ModelFileMissingError: the model is not on this machine, and ``download`` is False or ``model_dir`` is given
        ModelFileDamagedError: a file is not a complete model
        ModelFileChangedError: a file changed since it was downloaded, or is not the published one
        DownloadError: the download failed
    """
    spec = get_spec(model_name)
    folder, source = _folder(spec, model_dir)
    if folder is not None:
        paths = _in_folder(folder)
        if FEAT not in paths:
            raise _missing(spec, folder, source)
        return _checked(spec, paths, source, spec.revision if source == "bundled" else None)
    hub, requested = hub or Hub(), _revision(spec, revision)
    paths = _in_cache(spec, hub, requested)
    if FEAT not in paths:
        if not download:
            raise _missing(spec, Path(spec.name), "hub", _other_revisions(spec, hub, requested))
        paths = _download(spec, hub, requested, progress)
    published = {} if requested.is_named else spec.files
    return _checked(spec, paths, "hub", _commit_of(paths), published)


def find_jsons(
    model_name: str,
    *,
    model_dir: str | Path | None = None,
    revision: str | None = None,
    hub: Hub | None = None,
) -> dict[str, Path]:
    """Finds ``metrics.json`` and ``cluster.json`` of a model, as ``{file name: path}``. No network."""
    paths = _present(get_spec(model_name), model_dir, revision, hub)
    return {name: path for name, path in paths.items() if name in (METRICS_JSON, CLUSTER_JSON)}


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
    """Total size of a model's files on this machine, in bytes; 0 if there are none."""
    return sum(path.stat().st_size for path in _present(get_spec(model_name), model_dir, revision, hub).values())


def removable_size(model_name: str, *, hub: Hub | None = None) -> int:
    """The bytes of a model that :func:`remove` deletes: downloaded files and partial downloads of it."""
    spec, hub = get_spec(model_name), hub or Hub()
    if spec.is_stand_in:
        return 0
    partial = [path for path in _partial_downloads(spec, hub) if _is_part_of(spec, path)]
    paths = [*_in_cache(spec, hub, _revision(spec, None)).values(), *partial]
    return sum(path.stat().st_size for path in paths)


def remove(model_name: str, *, revision: str | None = None, hub: Hub | None = None) -> int:
    """Deletes the downloaded files of a model, also partial downloads; bundled files and folders of the user stay.

    Returns:
        the bytes freed
    """
    spec, hub = get_spec(model_name), hub or Hub()
    if spec.is_stand_in:
        return 0
    freed, requested = 0, _revision(spec, revision)
    while paths := _in_cache(spec, hub, requested):  # at the pinned commit, then at others with the same model
        delete_fingerprints(spec.name, _commit_of(paths))
        freed += sum(hub.delete(path) for path in paths.values())
    return freed + sum(hub.delete(path) for path in _partial_downloads(spec, hub))


def model_folder(model_dir: str | Path | None = None) -> Path | None:
    """The folder of models to use instead of the hub: ``model_dir``, else ``CCIP_MODEL_DIR``, else None."""
    folder = model_dir or os.environ.get("CCIP_MODEL_DIR")
    check_type("model_dir", folder, str | Path | None, "the path of a folder of models, or None")
    return Path(os.path.expanduser(folder)) if folder else None  # noqa: PTH111 - raises nothing for an unknown user


def how_to_fetch(model_name: str) -> str:
    """Instructions for a machine without network on which a model is missing."""
    spec = get_spec(model_name)
    if spec.is_stand_in:
        return f"{spec.name} comes with this package and is not on the hub: reinstall the package."
    return (
        f"Without network: put {FEAT}, {METRICS}, {METRICS_JSON} and {CLUSTER_JSON} from "
        f"{HUB_URL}/tree/{spec.revision}/{spec.name} into <folder>/{spec.name}/ "
        f"{NAME_FOLDER}"
    )


def _folder(spec: ModelSpec, model_dir: str | Path | None) -> tuple[Path | None, Source]:
    """The folder of a model and its source; (None, "hub") for the hub and its cache."""
    parent = model_folder(model_dir)
    folder = parent / spec.name if parent else None
    if spec.is_stand_in and (folder is None or not os.path.isdir(folder)):  # noqa: PTH112 - raises nothing
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
    return {name: folder / name for name in FILES if is_file(folder / name)}


def _in_cache(spec: ModelSpec, hub: Hub, requested: _Revision) -> dict[str, Path]:
    """The cached files at a revision, or at another one if their hashes show that they are the same model."""
    cached = {name: hub.cached(f"{spec.name}/{name}", requested.name) for name in FILES}
    paths = {name: path for name, path in cached.items() if path is not None}
    if FEAT in paths or requested.is_named:
        return paths
    hashes = {name: file.sha256 for name, file in spec.files.items()}
    hashes = recorded_fingerprints(spec.name, requested.name) | hashes
    same = [files for files in _at_any_commit(spec, hub) if _have_hashes(files, hashes)]
    return max(same, key=len, default=paths)


def _at_any_commit(spec: ModelSpec, hub: Hub) -> Iterator[dict[str, Path]]:
    """The cached files of a model, for each commit in the cache."""
    yield from (_in_folder(feat.parent) for feat in hub.cached_anywhere(f"{spec.name}/{FEAT}"))


def _have_hashes(paths: dict[str, Path], hashes: dict[str, str]) -> bool:
    """Whether all files with an expected hash have it, among them the model file."""
    return FEAT in hashes and all(
        fingerprint_in_cache(path) == hashes[name] for name, path in paths.items() if name in hashes
    )


def _other_revisions(spec: ModelSpec, hub: Hub, requested: _Revision) -> str:
    """A sentence about cached files that may be another model, and the setting that uses them."""
    commits = [_commit_of(files) for files in _at_any_commit(spec, hub)]
    if not commits or requested.is_named:
        return ""
    return (
        f"The cache has {spec.name} of revision {', '.join(commits)}, which is not known to be the same model: "
        f"CCIP_REVISION={commits[-1]} or revision={commits[-1]!r} uses it. "
    )


def _commit_of(paths: dict[str, Path]) -> str:
    return next(iter(paths.values())).parents[1].name


def _partial_downloads(spec: ModelSpec, hub: Hub) -> list[Path]:
    """Files of interrupted downloads: of this model if the name shows it, and old ones of any model."""
    try:
        return [
            path
            for path in hub.folder.glob("blobs/*.incomplete")
            if _is_part_of(spec, path) or path.stat().st_mtime < time.time() - _OLD_SECONDS
        ]
    except OSError:
        return []


def _is_part_of(spec: ModelSpec, path: Path) -> bool:
    """Whether the name of a partial download shows that it is of this model."""
    return any(name in path.name for name in (spec.name, *(file.sha256 for file in spec.files.values())))


def _missing(spec: ModelSpec, folder: Path, source: str, hint: str = "") -> ModelFileMissingError:
    problem = "is missing"
    if source == "hub":
        problem = "is not in the cache, and downloading is switched off"
    elif is_file(folder.parent / FEAT):
        problem = f"is missing ({folder.parent} is the folder of one model: model_dir is its parent folder)"
    elif not os.path.isdir(folder):  # noqa: PTH112 - raises nothing
        problem = "is missing, and so is its folder"
    expected = f"the model file of {spec.name} (about {spec.size_mb} MB)"
    return ModelFileMissingError(folder / FEAT, problem, expected=expected, remedy=hint + how_to_fetch(spec.name))


def _download(spec: ModelSpec, hub: Hub, requested: _Revision, progress: ProgressCallback | None) -> dict[str, Path]:
    """Downloads the files of a model that exist in the repository, all of one commit."""
    paths: dict[str, Path] = {}
    try:
        commit = _resolve(spec, hub, requested, progress)
        for name in FILES:
            published = None if requested.is_named else spec.files.get(name)
            path = hub.download(f"{spec.name}/{name}", commit, progress, published=published)
            if path is not None:
                paths[name] = path
        if FEAT not in paths:
            raise DownloadError(f"{spec.name}/{FEAT}", f"{hub.repo} has no such file at revision {commit}")
    except DownloadError as error:
        remedy = _other_revisions(spec, hub, requested) + how_to_fetch(spec.name)
        raise DownloadError(error.what, error.problem, remedy=remedy) from error
    hub.record_revision(requested.name, commit)
    return paths


def _resolve(spec: ModelSpec, hub: Hub, requested: _Revision, progress: ProgressCallback | None) -> str:
    """The commit of a revision. If the hub does not have the pinned one, the commit of ``main``, which is recorded."""
    feat = f"{spec.name}/{FEAT}"
    try:
        commit = hub.resolve(feat, requested.name, progress)
    except UnknownRevisionError as error:
        if requested.is_named:
            raise
        if requested.name != spec.revision:
            problem = f"{error.problem}, which is recorded for this model (CCIP_REVISION={MAIN} uses the newest one)"
            raise DownloadError(error.what, problem) from error
        commit = hub.resolve(feat, MAIN, progress)
        if commit is not None:
            record = record_commit(spec.name, spec.revision, commit)
            logger.warning(
                "%s has no revision %s: %s is downloaded at commit %s, the current main; recorded in %s and used from "
                "now on",
                hub.repo,
                spec.revision,
                spec.name,
                commit,
                record,
            )
    if commit is None:
        raise DownloadError(feat, f"{hub.repo} has no such file at revision {requested.name}")
    return commit


def _checked(
    spec: ModelSpec,
    paths: dict[str, Path],
    source: Source,
    revision: str | None,
    published: Mapping[str, PublishedFile] = MappingProxyType({}),
) -> ModelFiles:
    """Refuses damaged, changed and unpublished files; returns valid ones as :class:`ModelFiles`."""
    remedy = _remedy(spec, source)
    digests = {}
    for name, path in paths.items():
        with onnx_file.readable(path, remedy=remedy):
            if name in (FEAT, METRICS):
                onnx_file.check(path, remedy=remedy)
            digests[name] = fingerprint(path)
    for name in paths.keys() & published.keys():
        if digests[name] != published[name].sha256:
            problem = f"is not the published file (its sha256 is {digests[name]})"
            expected = f"sha256 {published[name].sha256}"
            hint = f"{remedy} CCIP_REVISION={revision} uses it as it is."
            raise ModelFileChangedError(paths[name], problem, expected=expected, remedy=hint)
    if source == "hub" and revision is not None:
        compare_with_record(spec.name, revision, paths, digests, remedy=remedy)
    return ModelFiles(
        feat=paths[FEAT],
        metrics=paths.get(METRICS),
        metrics_json=paths.get(METRICS_JSON),
        cluster_json=paths.get(CLUSTER_JSON),
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
