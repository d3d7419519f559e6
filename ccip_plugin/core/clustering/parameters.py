"""Published and default parameters of the clustering methods, and their checks."""

import numbers
from collections.abc import Sized

import numpy as np
from numpy.typing import ArrayLike

from .. import calibration
from ..errors import ParameterError

NOISE = -1


"""The label of images in no group."""


METHODS = ("linkage", "dbscan", "dbscan_2", "dbscan_free", "hdbscan", "optics", "optics_best", "optics_cut")


"""What :func:`cluster` can do: average linkage, DBSCAN and OPTICS with several published parameters, HDBSCAN."""


_SMALLEST = {"linkage": 2, "hdbscan": 3, "optics_cut": 5}  # min_samples where nothing is published


_BEYOND = 1.4  # thresholds up to which HDBSCAN looks


_OPTICS_CUT = 0.8  # of the threshold


ROUNDING = np.float32(1e-6)  # differences below this are rounding errors of a dense matrix


def published_parameters(known: calibration.Calibration, method: str) -> tuple[float, int]:
    """Gives eps and min_samples of a method: as published, or derived from the threshold of the model.

    Args:
        known: the calibration of the model
        method: one of :data:`METHODS`

    Raises:
        ParameterError: there is no such method
        UnknownPresetError: nothing is published for this method and this model
    """
    check_method(method)
    if method not in _SMALLEST:
        return known.preset(method)
    share = {"linkage": 1.0, "hdbscan": _BEYOND, "optics_cut": _OPTICS_CUT}[method]
    return min(share * known.threshold, 1.0), _SMALLEST[method]


def check_method(method: str) -> None:
    if method not in METHODS:
        raise ParameterError("method", method, f"one of {', '.join(METHODS)}")


def check_parameters(eps: float, min_samples: int, *, least: int = 1) -> None:
    """Raises ParameterError where ``eps`` is no difference, or ``min_samples`` no whole number from ``least`` on."""
    if isinstance(eps, bool) or not isinstance(eps, numbers.Real) or not 0 <= eps <= 1:
        raise ParameterError("eps", eps, "a difference from 0 to 1")
    if isinstance(min_samples, bool) or not isinstance(min_samples, int | np.integer) or min_samples < least:
        raise ParameterError("min_samples", min_samples, f"a whole number, at least {least}")


def check_cap(cap: int | None, min_samples: int) -> None:
    """Raises where a graph that keeps so many neighbors of each image cannot tell who is a core image."""
    if cap is not None and min_samples > cap + 1:
        wanted = f"at most {cap + 1} with an approximate graph, which keeps {cap} neighbors of each image"
        raise ParameterError("min_samples", min_samples, f"{wanted}; take the exact one")


def count_of(embeddings: ArrayLike) -> int:
    return len(embeddings) if isinstance(embeddings, Sized) else len(np.atleast_1d(np.asarray(embeddings)))
