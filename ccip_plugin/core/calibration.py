"""Published parameters of a model: threshold and clustering presets."""

import json
import reprlib
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from . import hub
from .errors import ModelFileDamagedError, UnknownPresetError
from .registry import get_spec

Preset = tuple[float, int]

_MAX_BYTES, _MAX_SAMPLES = 1 << 20, 1 << 31
_PRESETS = {"dbscan_2": "dbscan_2", "dbscan_free": "dbscan_free", "optics": "optics_best"}  # name in the file: method
_DBSCAN_MIN_SAMPLES = 2
_OPTICS: Preset = (0.5, 5)


@dataclass(frozen=True)
class PublishedParameters:
    """Threshold and presets of a model, as published.

    Attributes:
        model_name: name of the model
        threshold: difference up to which two images show one character, inclusive
        presets: ``(eps, min_samples)`` by method. "dbscan" (the threshold, 2) and "optics" (0.5, 5) always exist,
            "dbscan_2", "dbscan_free" and "optics_best" if they were published
    """

    model_name: str
    threshold: float
    presets: dict[str, Preset]

    def preset(self, name: str) -> Preset:
        """Returns a preset as ``(eps, min_samples)``.

        Raises:
            UnknownPresetError: lists the presets of the model
        """
        if name not in self.presets:
            raise UnknownPresetError(name, self.model_name, tuple(self.presets))
        return self.presets[name]


def load(model_name: str, *, model_dir: str | Path | None = None, revision: str | None = None) -> PublishedParameters:
    """Reads the published parameters of a model from ``metrics.json`` and ``cluster.json``, else from the registry.

    Downloads nothing and does not need the model file.

    Args:
        model_name: a name in the registry
        model_dir (None): a folder with model files; ``CCIP_MODEL_DIR`` by default
        revision (None): as for :func:`ccip_plugin.core.hub.find_files`

    Raises:
        UnknownModelError: no such model
        ModelFileDamagedError: a file exists, but cannot be used
    """
    spec = get_spec(model_name)
    paths = hub.find_jsons(model_name, model_dir=model_dir, revision=revision)
    metrics, cluster = paths.get(hub.METRICS_JSON), paths.get(hub.CLUSTER_JSON)
    threshold = spec.threshold if metrics is None else read_metrics(metrics)["threshold"]
    published = spec.presets if cluster is None else read_presets(cluster)
    return PublishedParameters(
        spec.name,
        threshold,
        {"dbscan": (threshold, _DBSCAN_MIN_SAMPLES), "optics": _OPTICS}
        | {method: published[name] for name, method in _PRESETS.items() if name in published},
    )


def __getattr__(name: str) -> Any:
    if name != "Calibration":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn("core.calibration.Calibration is now PublishedParameters", DeprecationWarning, stacklevel=2)
    return PublishedParameters


def read_metrics(path: Path) -> dict[str, float]:
    """Reads ``metrics.json``: ``threshold``, and the published scores it contains."""
    content = _read(path)
    names = ("f1_score", "precision", "recall", "threshold")
    numbers = {name: float(content[name]) for name in names if _is_number(content.get(name))}
    if not 0 <= numbers.get("threshold", -1) <= 1:
        threshold = reprlib.repr(content.get("threshold"))
        raise _damaged(path, f"has no threshold (it is {threshold})", "a number from 0 to 1")
    return numbers


def read_presets(path: Path) -> dict[str, Preset]:
    """Reads ``cluster.json``: ``(eps, min_samples)`` of "dbscan_2", "dbscan_free" and "optics", where present."""
    content = _read(path)
    return {name: _preset(path, name, content[name]) for name in _PRESETS if name in content}


def _preset(path: Path, name: str, entry: Any) -> Preset:
    eps = entry.get("eps") if isinstance(entry, dict) else None
    min_samples = entry.get("min_samples") if isinstance(entry, dict) else None
    if not _is_number(eps) or not 0 <= eps <= 1 or not _is_count(min_samples):
        problem = f"has no usable {name!r} ({reprlib.repr(entry)})"
        raise _damaged(path, problem, '{"eps": 0 to 1, "min_samples": 1 or more}')
    return float(eps), min_samples


def _read(path: Path) -> dict[str, Any]:
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise _damaged(path, f"has {size:,} bytes", f"at most {_MAX_BYTES:,}")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _damaged(path, f"cannot be read ({error.strerror})", "a JSON object") from error
    except RecursionError as error:
        raise _damaged(path, "is nested too deeply", "a JSON object") from error
    except ModelFileDamagedError:
        raise
    except ValueError as error:
        raise _damaged(path, f"is not JSON ({error})", "a JSON object") from error
    if not isinstance(content, dict):
        raise _damaged(path, f"holds a {type(content).__name__}", "a JSON object")
    return content


def _is_number(value: Any) -> TypeGuard[float]:
    """Whether this is a number, and not one beyond the range of float."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _is_count(value: Any) -> TypeGuard[int]:
    return type(value) is int and 1 <= value <= _MAX_SAMPLES


def _damaged(path: Path, problem: str, expected: str) -> ModelFileDamagedError:
    remedy = "Delete it to use the values of the registry, or download it again."
    return ModelFileDamagedError(path, problem, expected=expected, remedy=remedy)
