"""Array types, each defined once."""

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
"""``(n, dim)`` or ``(dim,)`` embeddings."""

Labels = NDArray[np.int64]
"""``(n,)`` cluster labels."""

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

RowsAndColumns = tuple[NDArray[np.int32], NDArray[np.int32]]
"""Pairs of images as indices: their rows and their columns, rows < columns."""
