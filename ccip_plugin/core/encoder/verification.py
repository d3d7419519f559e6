"""Verifies a downloaded model: its files, its signature, its metric, its published scores and differences."""

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
# The published differences of these images. 1.jpg and 2.jpg show one character.
EXAMPLE_DIFFERENCES = (
    (0.0, 0.16583106, 0.42947042, 0.40375218),
    (0.16583106, 0.0, 0.43715334, 0.40748104),
    (0.42947042, 0.43715334, 0.0, 0.3922947),
    (0.40375218, 0.40748104, 0.3922947, 0.0),
)
# They were computed with another version of onnxruntime, perhaps another JPEG decoder, and without EXIF orientation.
# The closest one to the threshold is 0.0126 away: within a tolerance of 0.005, no pair changes sides.
EXAMPLE_TOLERANCE = 0.005

_EXAMPLE = "published example"
_SIZE_TOLERANCE = 0.2  # the published sizes are rounded
_NUMBER_TOLERANCE = 1e-5  # some published scores have six digits only
_BATCH_TOLERANCE = 1e-5


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check.

    Attributes:
        name: name of the check
        ok: whether it passed; None if there is nothing to compare with
        detail: the measured or expected values, or the error
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
    """Checks a model: its files, its signature, its metric, its published numbers.

    After a failed check the checks that do not depend on it are still done. Downloads the model if it is not on this
    machine.

    Args:
        name: a name in the registry
        model_dir (None): a folder of models; ``CCIP_MODEL_DIR`` by default
        images (None): the four published example images 1.jpg, 2.jpg, 6.jpg, 7.jpg: their folder, or their paths in
            this order
        progress (None): called with the progress of a download

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
    """Whether no check has failed."""
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
            yield CheckResult(filename, None, "missing")
        else:
            yield CheckResult(filename, True, f"{path.stat().st_size:,} bytes, sha256 {hub.fingerprint(path)}")
    if not spec.is_stand_in:
        size = files.feat.stat().st_size / 1e6

        is_close = abs(size - spec.size_mb) <= _SIZE_TOLERANCE * spec.size_mb
        yield CheckResult("size", is_close, f"{size:.1f} MB, published with about {spec.size_mb} MB")


def _check_numbers(spec: ModelSpec, files: ModelFiles) -> Iterator[CheckResult]:
    """Compares the JSON files with the registry."""
    metrics, cluster = files.metrics_json, files.cluster_json
    if metrics is not None:
        scores = {"f1_score": spec.f1, "precision": spec.precision, "recall": spec.recall, "threshold": spec.threshold}
        expected = {key: n for key, n in scores.items() if n is not None}
        name = "threshold" if spec.is_stand_in else "published scores"  # nothing is published for a stand-in
        yield _compare(name, calibration.read_metrics, metrics, expected)
    if cluster is not None:
        name = "presets" if spec.is_stand_in else "published presets"
        yield _compare(name, lambda path: _flat(calibration.read_presets(path)), cluster, _flat(spec.presets))


def _flat(presets: Mapping[str, calibration.Preset]) -> dict[str, float]:
    return {
        f"{name} {part}": n
        for name, pair in presets.items()
        for part, n in zip(("eps", "min_samples"), pair, strict=True)
    }


def _compare(
    name: str, read: Callable[[Path], dict[str, float]], path: Path, expected: dict[str, float]
) -> CheckResult:
    """Compares the numbers in a file with the expected ones."""
    try:
        numbers = read(path)
    except CCIPError as error:
        return CheckResult(name, False, str(error))
    wrong = [
        f"{key} is {numbers.get(key)}, expected {n}" for key, n in expected.items() if not _is_near(numbers.get(key), n)
    ]
    if wrong:
        return CheckResult(name, False, "; ".join(wrong))
    return CheckResult(name, True, ", ".join(f"{key} {numbers[key]:g}" for key in expected))


def _is_near(number: float | None, expected: float) -> bool:
    return number is not None and abs(number - expected) <= _NUMBER_TOLERANCE


def _check_runs(spec: ModelSpec, files: ModelFiles) -> Iterator[CheckResult]:
    """Loads and runs both ONNX files on the CPU."""
    try:
        with open_session(files.feat, provider=CPU) as session:
            yield from _check_features(session)
    except CCIPError as error:
        yield CheckResult("loads", False, str(error))
    if files.metrics is None:
        yield CheckResult("metric", None, "the model has no metric file")
        return
    try:
        with open_session(files.metrics, provider=CPU, signature=METRIC) as metric:
            yield _check_metric(spec, metric)
    except CCIPError as error:
        yield CheckResult("metric", False, str(error))


def _check_features(session: Session) -> Iterator[CheckResult]:
    yield CheckResult("loads", True, f"on {session.provider}; {FEATURES}")
    tensors = np.random.default_rng(0).normal(size=(3, *FEATURES.input_shape)).astype(np.float32)
    one_by_one = np.concatenate([session.run(tensor[None]) for tensor in tensors])
    batch = session.run(tensors)
    lengths = np.linalg.norm(one_by_one, axis=1)
    is_finite = bool(np.isfinite(one_by_one).all() and lengths.all())
    detail = (
        f"vectors of length {lengths.min():.3g} to {lengths.max():.3g}"
        if is_finite
        else "NaN, infinite or zero vectors"
    )
    yield CheckResult("finite", is_finite, detail)
    error = float(np.abs(one_by_one - batch).max() / max(lengths.max(), 1e-30)) if is_finite else np.nan
    detail = f"in a batch of 3 images, vectors change by at most {error:.1e} of their length"
    yield CheckResult("any batch", error <= _BATCH_TOLERANCE, detail)


def _check_metric(spec: ModelSpec, metric: Session) -> CheckResult:
    error = differences.verify_closed_form(metric.run, spec.dim)
    is_closed_form = error <= CLOSED_FORM_TOLERANCE
    detail = f"differs from (1 - cos) / 2 by at most {error:.1e}"
    return CheckResult(
        "metric", is_closed_form, detail if is_closed_form else f"{detail}; the metric file is used instead"
    )


def _check_example(
    spec: ModelSpec, model_dir: str | Path | None, images: str | Path | Sequence[str | Path] | None
) -> CheckResult:
    """Compares the differences of the example images with the published ones."""
    if images is None:
        return CheckResult(_EXAMPLE, None, f"not given: images={', '.join(EXAMPLE_IMAGES)}")
    paths = [Path(images) / file for file in EXAMPLE_IMAGES] if isinstance(images, str | Path) else list(images)
    if len(paths) != len(EXAMPLE_IMAGES):
        return CheckResult(_EXAMPLE, False, f"{len(paths)} images given, {len(EXAMPLE_IMAGES)} are needed")
    missing = [str(path) for path in paths if not Path(path).is_file()]
    if missing:
        return CheckResult(_EXAMPLE, False, f"missing: {', '.join(missing)}")
    if spec.name != EXAMPLE_MODEL:
        return CheckResult(_EXAMPLE, None, f"published for {EXAMPLE_MODEL} only")
    try:
        with Encoder.open(spec.name, model_dir=model_dir, provider=CPU) as model:
            computed = model.differences(model.embed(paths))
        rotated = [Path(path).name for path in paths if _is_rotated(path)]
    except (CCIPError, OSError) as error:
        return CheckResult(_EXAMPLE, False, str(error))
    return _compare_example(computed, rotated)


def _compare_example(computed: NDArray[np.float32], rotated: list[str]) -> CheckResult:
    error = float(np.abs(computed - np.array(EXAMPLE_DIFFERENCES)).max())
    detail = f"differs from the published differences by at most {error:.2e} ({EXAMPLE_TOLERANCE} allowed)"
    if rotated:
        detail += f"; the published differences ignore the EXIF orientation of {', '.join(rotated)}"
    return CheckResult(_EXAMPLE, error <= EXAMPLE_TOLERANCE, detail)


def _is_rotated(path: str | Path) -> bool:
    """Whether an image has an EXIF orientation other than upright."""
    with Image.open(path) as image:
        orientation: int = image.getexif().get(ExifTags.Base.Orientation, 1)
    return orientation != 1
