"""Finds the file of a detector: in a folder of the user, in the cache of ``huggingface_hub``, or on the hub.

A folder of models (``model_dir`` or the environment variable ``CCIP_MODEL_DIR``) has ``<detector>/model.onnx``. Without
one, the file is downloaded once, from the branch "main" of the detector's repository; its commit and its sha256 are
recorded, used from then on, and compared at every later use. Then no network is used.
"""

from dataclasses import dataclass
from pathlib import Path

from ..errors import DownloadError, ModelFileMissingError
from ..hub import Hub, fingerprint, model_folder, onnx_file
from ..hub.download import is_file
from ..hub.fingerprints import compare_with_record, record_commit, recorded_commit
from ..progress import ProgressCallback
from .registry import DetectorSpec

MODEL = "model.onnx"
MAIN = "main"


@dataclass(frozen=True)
class DetectorFile:
    """The file of a detector.

    Attributes:
        path: the file
        revision: its commit on the hub, None for a file of the user
        fingerprint: its sha256, in hexadecimal
    """

    path: Path
    revision: str | None
    fingerprint: str


def find_detector(
    spec: DetectorSpec,
    *,
    model_dir: str | Path | None = None,
    download: bool = True,
    progress: ProgressCallback | None = None,
    hub: Hub | None = None,
) -> DetectorFile:
    """Finds the file of a detector, downloads it if it is not on this machine, and checks it.

    Args:
        spec: the detector
        model_dir (None): a folder of models; ``CCIP_MODEL_DIR`` by default. With such a folder, the network is not used
        download (True): whether the network may be used
        progress (None): called with the received bytes
        hub (None): another hub to download from

    Raises:
        ModelFileMissingError: it is not on this machine, and ``download`` is False or ``model_dir`` is given
        ModelFileDamagedError: the file is not a complete model
        ModelFileChangedError: the file changed since it was downloaded
        DownloadError: the download failed
    """
    folder = model_folder(model_dir)
    if folder is not None:
        path = folder / spec.name / MODEL
        if not is_file(path):
            raise _missing(spec, path, "is missing")
        return _checked(spec, path, None)
    hub = hub or Hub(spec.repo)
    revision = recorded_commit(spec.name, MAIN)
    cached = hub.cached(_name(spec), revision) if revision else None
    if cached is None:
        if not download:
            raise _missing(spec, Path(_name(spec)), "is not in the cache, and downloading is switched off")
        cached, revision = _download(spec, hub, revision, progress)
    return _checked(spec, cached, revision)


def how_to_fetch(spec: DetectorSpec) -> str:
    """Instructions for a machine without network on which a detector is missing."""
    return (
        f"Without network: put {MODEL} from https://huggingface.co/{spec.repo}/tree/{MAIN}/{spec.name} into "
        f"<folder>/{spec.name}/ and set CCIP_MODEL_DIR=<folder>, or pass model_dir=<folder>."
    )


def _name(spec: DetectorSpec) -> str:
    return f"{spec.name}/{MODEL}"


def _download(
    spec: DetectorSpec, hub: Hub, revision: str | None, progress: ProgressCallback | None
) -> tuple[Path, str]:
    try:
        commit = revision or hub.resolve(_name(spec), MAIN, progress)
        path = None if commit is None else hub.download(_name(spec), commit, progress)
    except DownloadError as error:
        raise DownloadError(error.what, error.problem, remedy=how_to_fetch(spec)) from error
    if commit is None or path is None:
        raise DownloadError(_name(spec), f"{hub.repo} has no such file", remedy=how_to_fetch(spec))
    record_commit(spec.name, MAIN, commit)
    return path, commit


def _checked(spec: DetectorSpec, path: Path, revision: str | None) -> DetectorFile:
    remedy = how_to_fetch(spec)
    with onnx_file.readable(path, remedy=remedy):
        onnx_file.check(path, remedy=remedy)
        digest = fingerprint(path)
    if revision is not None:
        compare_with_record(spec.name, revision, {MODEL: path}, {MODEL: digest}, remedy=remedy)
    return DetectorFile(path, revision, digest)


def _missing(spec: DetectorSpec, path: Path, problem: str) -> ModelFileMissingError:
    return ModelFileMissingError(path, problem, expected=f"the detector {spec.name}", remedy=how_to_fetch(spec))
