"""Checks of clustering parameters."""

import numbers
from collections.abc import Sized

import numpy as np
from numpy.typing import ArrayLike

from ..errors import ParameterError
from ..neighbors.vectors import VectorSource

NOISE = -1
"""Label of images in no group."""

ROUNDING = np.float32(1e-6)
"""Differences below this are rounding errors of a dense matrix."""


def check_parameters(eps: float, min_samples: int, *, least: int = 1) -> None:
    """Raises ParameterError unless ``eps`` is a difference and ``min_samples`` an integer of at least ``least``."""
    if isinstance(eps, bool) or not isinstance(eps, numbers.Real) or not 0 <= eps <= 1:
        raise ParameterError("eps", eps, "a difference from 0 to 1")
    if isinstance(min_samples, bool) or not isinstance(min_samples, int | np.integer) or min_samples < least:
        raise ParameterError("min_samples", min_samples, f"a whole number, at least {least}")


def check_cap(cap: int | None, min_samples: int) -> None:
    """Raises ParameterError when a graph keeps too few neighbors of each image to identify core images."""
    if cap is not None and min_samples > cap + 1:
        wanted = f"at most {cap + 1} with an approximate graph, which keeps {cap} neighbors of each image"
        raise ParameterError("min_samples", min_samples, f"{wanted}; use the exact one")


def n_items(embeddings: ArrayLike | VectorSource) -> int:
    """Number of embeddings."""
    return len(embeddings) if isinstance(embeddings, Sized) else len(np.atleast_1d(np.asarray(embeddings)))
