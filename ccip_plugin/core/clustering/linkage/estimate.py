"""Estimated time of average linkage, from samples of the images."""

import math

import numpy as np

from ...neighbors.components import Forest
from ...neighbors.pairs import near_pairs
from ...neighbors.vectors import VectorSource
from ...progress import ProgressCallback, report
from .agglomeration import count_compared, seconds_per_comparison
from .stages import packs

SAMPLES = (512, 1024)
"""Numbers of images in the samples; the second is twice the first."""

MANY = 8_000
"""From this number of images on, merging takes long enough to announce its time."""

_SEED = 1234
_TIMED = 2048  # vectors in the timed comparison
_SQUARE = 2  # exponent of the growth of large samples: that of small ones is larger, and falls towards it


def announce(unit: VectorSource, threshold: float, stage: str, progress: ProgressCallback | None) -> None:
    """Reports the estimated time of merging many images before it starts."""
    if progress is not None and len(unit) >= MANY:
        seconds = estimate_seconds(unit, threshold)
        report(progress, stage, 0, 2 * len(unit), f"about {seconds / 60:.1f} minutes")


def estimate_compared(unit: VectorSource, threshold: float) -> int:
    """Estimates how many pairs of groups average linkage compares while it merges.

    The number grows with a power of the number of images in a component, which is measured on two samples.

    Args:
        unit: unit vectors, more than there are in a sample
        threshold: maximum mean difference in a group
    """
    small, large = (_compared_in_sample(unit, threshold, size) for size in SAMPLES)
    if not small or not large:
        return large
    exponent = _SQUARE + max(0.0, math.log2(large / small) - _SQUARE) / 2
    return int(large * (len(unit) / SAMPLES[1]) ** exponent)


def estimate_seconds(unit: VectorSource, threshold: float) -> float:
    """Estimates how long merging takes, on this machine under its current load."""
    return estimate_compared(unit, threshold) * seconds_per_comparison(unit[:_TIMED])


def _compared_in_sample(unit: VectorSource, threshold: float, size: int) -> int:
    sample = unit[np.sort(np.random.default_rng(_SEED).choice(len(unit), size, replace=False))]
    forest = Forest(size)
    for block in near_pairs(sample, threshold, with_differences=False):
        forest.add(block.pairs.rows, block.pairs.cols)
    return sum(
        count_compared(sample[images], np.ones(len(images)), threshold) for images in packs(forest.labels(), size=1)
    )
