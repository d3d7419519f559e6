"""Checks a model from its files to its differences, for whoever has just downloaded it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from .. import calibration, differences, hub
from ..errors import CCIPError
from ..hub import ModelFiles
from ..progress import Cancelled, ProgressCallback
from ..registry import DEFAULT_MODEL, ModelSpec, get_spec
from .encoder import CLOSED_FORM_TOLERANCE, Encoder
from .session import CPU, FEATURES, METRIC, Session, open_session

EXAMPLE_IMAGES = ("1.jpg", "2.jpg", "6.jpg", "7.jpg")
EXAMPLE_MODEL = DEFAULT_MODEL
# The published differences of those images. 1 and 2 are one character.
EXAMPLE_DIFFERENCES = (
    (0.0, 0.16583106, 0.42947042, 0.40375218),
    (0.16583106, 0.0, 0.43715334, 0.40748104),
    (0.42947042, 0.43715334, 0.0, 0.3922947),
    (0.40375218, 0.40748104, 0.3922947, 0.0),
)
# They were made by another onnxruntime and perhaps another decoder of JPEG, and without turning images upright. The
# nearest of them to the threshold is 0.0126 away: with 0.005 allowed, no pair can pass here and be judged otherwise.
EXAMPLE_TOLERANCE = 0.005

_EXAMPLE = "published example"
_SIZE_TOLERANCE = 0.2  # the published sizes are rounded
_NUMBER_TOLERANCE = 1e-5  # some published scores are known to six digits only
_BATCH_TOLERANCE = 1e-5


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check.

    Attributes:
        name: what was checked
        ok: whether it is as it should be; None when it could not be judged
        detail: what was seen
    """

    name: str
    ok: bool | None
    detail: str


def check_model(
    name: str,
    *,
    model_dir: str | Path | None = None,
    images: str | Path | Sequence[str | Path] | None = None,
    progress: ProgressCallback | None = None,
) -> list[CheckResult]:
    """Checks a model: its files, what it takes and gives, its metric, its published numbers.

    A check that fails does not end the others, as far as they can be done without it. Downloads the model when it is
    nowhere.

    Args:
        name: a name of the registry
        model_dir (None): a folder of models; ``CCIP_MODEL_DIR`` by default
        images (None): the four published example images 1.jpg, 2.jpg, 6.jpg, 7.jpg: their folder, or their paths in
            this order
        progress (None): told of a download

    Returns:
        a list of :class:`CheckResult`, in the order of the checks

    Raises:
        UnknownModelError: no such model
    """
    spec = get_spec(name)
    try:
        files = hub.find_files(name, model_dir=model_dir, progress=progress)
    except Cancelled:
        raise
    except CCIPError as error:
        return [CheckResult("files", False, str(error))]
    return [
        *_check_files(spec, files),
        *_check_numbers(spec, files),
        *_check_runs(spec, files),
        _check_example(spec, model_dir, images),
    ]


def is_ok(results: Sequence[CheckResult]) -> bool:
    """Whether no check failed."""
    return all(result.ok is not False for result in results)


def _check_files(spec: ModelSpec, files: ModelFiles) -> Iterator[CheckResult]:
    origin = {"hub": f"from the hub at {files.revision}", "bundled": "bundled", "model_dir": "from the model folder"}
    yield CheckResult("files", True, f"{files.feat.parent} ({origin[files.source]})")
    for filename, path in zip(
        (hub.FEAT, hub.METRICS, hub.METRICS_JSON, hub.CLUSTER_JSON),
        (files.feat, files.metrics, files.metrics_json, files.cluster_json),
        strict=True,
    ):
        if path is None:
            yield CheckResult(filename, None, "is not there")
        else:
            yield CheckResult(filename, True, f"{path.stat().st_size:,} bytes, sha256 {hub.fingerprint(path)}")
    if not spec.is_stand_in:
        size = files.feat.stat().st_size / 1e6
        fits = abs(size - spec.size_mb) <= _SIZE_TOLERANCE * spec.size_mb
        yield CheckResult("size", fits, f"{size:.1f} MB, published with about {spec.size_mb} MB")


def _check_numbers(spec: ModelSpec, files: ModelFiles) -> Iterator[CheckResult]:
    """Compares the small files with the registry."""
    metrics, cluster = files.metrics_json, files.cluster_json
    if metrics is not None:
        scores = {"f1_score": spec.f1, "precision": spec.precision, "recall": spec.recall, "threshold": spec.threshold}
        known = {} if spec.is_stand_in else {key: n for key, n in scores.items() if n is not None}
        yield _compared("published scores", calibration.read_metrics, metrics, known)
    if cluster is not None:
        yield _compared(
            "published presets", lambda path: _flat(calibration.read_presets(path)), cluster, _flat(spec.presets)
        )


def _flat(presets: Mapping[str, calibration.Preset]) -> dict[str, float]:
    return {f"{name} {part}": n for name, pair in presets.items() for part, n in zip(("eps", "min"), pair, strict=True)}


def _compared(name: str, read: Callable[[Path], dict[str, float]], path: Path, known: dict[str, float]) -> CheckResult:
    """Whether a file holds the numbers that are known."""
    try:
        found = read(path)
    except CCIPError as error:
        return CheckResult(name, False, str(error))
    wrong = [f"{key} is {found.get(key)}, known as {n}" for key, n in known.items() if not _is_near(found.get(key), n)]
    if wrong:
        return CheckResult(name, False, "; ".join(wrong))
    seen = ", ".join(f"{key} {n:g}" for key, n in found.items())
    return CheckResult(name, True if known else None, seen if known else f"{seen} (nothing to compare with)")


def _is_near(found: float | None, known: float) -> bool:
    return found is not None and abs(found - known) <= _NUMBER_TOLERANCE


def _check_runs(spec: ModelSpec, files: ModelFiles) -> Iterator[CheckResult]:
    """Loads and runs both models on the CPU."""
    try:
        with open_session(files.feat, provider=CPU) as session:
            yield from _check_features(session)
    except CCIPError as error:
        yield CheckResult("loads", False, str(error))
    if files.metrics is None:
        yield CheckResult("metric", None, "there is no metric file")
        return
    try:
        with open_session(files.metrics, provider=CPU, signature=METRIC) as metric:
            yield _check_metric(spec, metric)
    except CCIPError as error:
        yield CheckResult("metric", False, str(error))


def _check_features(session: Session) -> Iterator[CheckResult]:
    yield CheckResult("loads", True, f"on {session.provider}; {FEATURES}")
    tensors = np.random.default_rng(0).normal(size=(3, *FEATURES.taken)).astype(np.float32)
    one_by_one = np.concatenate([session.run(tensor[None]) for tensor in tensors])
    together = session.run(tensors)
    lengths = np.linalg.norm(one_by_one, axis=1)
    good = bool(np.isfinite(one_by_one).all() and lengths.all())
    detail = (
        f"vectors of length {lengths.min():.3g} to {lengths.max():.3g}" if good else "NaN, infinite or zero vectors"
    )
    yield CheckResult("finite", good, detail)
    apart = float(np.abs(one_by_one - together).max() / max(lengths.max(), 1e-30)) if good else np.nan
    yield CheckResult("any batch", apart <= _BATCH_TOLERANCE, f"3 images at once differ by {apart:.1e} of their length")


def _check_metric(spec: ModelSpec, metric: Session) -> CheckResult:
    error = differences.verify_closed_form(metric.run, spec.dim)
    good = error <= CLOSED_FORM_TOLERANCE
    detail = f"differs from (1 - cos) / 2 by at most {error:.1e}"
    return CheckResult("metric", good, detail if good else f"{detail}; the metric file is used instead")


def _check_example(
    spec: ModelSpec, model_dir: str | Path | None, images: str | Path | Sequence[str | Path] | None
) -> CheckResult:
    """Compares the differences of the published example images with those that were published."""
    if images is None:
        return CheckResult(_EXAMPLE, None, f"not given: images={', '.join(EXAMPLE_IMAGES)}")
    paths = [Path(images) / file for file in EXAMPLE_IMAGES] if isinstance(images, str | Path) else list(images)
    if len(paths) != len(EXAMPLE_IMAGES):
        return CheckResult(_EXAMPLE, False, f"{len(paths)} images given, {len(EXAMPLE_IMAGES)} are needed")
    gone = [str(path) for path in paths if not Path(path).is_file()]
    if gone:
        return CheckResult(_EXAMPLE, False, f"there is no {', no '.join(gone)}")
    if spec.name != EXAMPLE_MODEL:
        return CheckResult(_EXAMPLE, None, f"published for {EXAMPLE_MODEL} only")
    try:
        with Encoder.open(spec.name, model_dir=model_dir, provider=CPU) as model:
            found = model.differences(model.embed(paths))
        turned = [Path(path).name for path in paths if _is_turned(path)]
    except (CCIPError, OSError) as error:
        return CheckResult(_EXAMPLE, False, str(error))
    return _compared_example(found, turned)


def _compared_example(found: NDArray[np.float32], turned: list[str]) -> CheckResult:
    apart = float(np.abs(found - np.array(EXAMPLE_DIFFERENCES)).max())
    detail = f"differs from the published differences by at most {apart:.2e} ({EXAMPLE_TOLERANCE} allowed)"
    if turned:
        detail += f"; turned upright here and not when they were published: {', '.join(turned)}"
    return CheckResult(_EXAMPLE, apart <= EXAMPLE_TOLERANCE, detail)


def _is_turned(path: str | Path) -> bool:
    """Whether an image has an EXIF orientation other than upright."""
    with Image.open(path) as image:
        return image.getexif().get(ExifTags.Base.Orientation, 1) != 1
