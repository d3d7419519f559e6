"""Chooses prototypes of a character from its images, one for each appearance, and its limit."""

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import IntArray, Vectors
from ..differences import differences, normalize

MAX_APPEARANCES = 8
"""Largest number of prototypes of a character."""

MAX_NEGATIVES = 20
"""Largest number of rejected images that are kept of a character."""

_MAX_IMAGES = 1000  # of a character that are compared pairwise
_TIGHTNESS = 0.7  # thresholds of mean difference up to which images are one appearance
_MIN_OF_MEAN = 3  # images that a mean is made of
_MIN_OWN, _MIN_OTHERS = 12, 30  # images that show that a character is easily confused
_NARROWEST = 0.6  # of the threshold


def choose_prototypes(vectors: ArrayLike, threshold: float, *, most: int = MAX_APPEARANCES) -> tuple[Vectors, IntArray]:
    """Chooses the prototypes of a character.

    Its images are grouped by average linkage within 0.7 thresholds: each group is an appearance, such as an outfit, and
    its prototype is the mean of its unit vectors. With more than ``most`` appearances, the nearest ones are joined, so
    that each image is represented. Of more than 1,000 images, evenly spaced ones are taken.

    Args:
        vectors: ``(n, dim)`` embeddings of confirmed images, at least one
        threshold: the difference up to which two images are one character
        most (8): the largest number of prototypes

    Returns:
        the ``(k, dim)`` prototypes of unit length and the ``(k,)`` number of images of each, largest first
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    unit = np.atleast_2d(normalize(vectors))
    rows = np.unique(np.linspace(0, len(unit) - 1, min(len(unit), _MAX_IMAGES)).round().astype(np.int64))
    unit, n_images = unit[rows], len(unit)
    if len(unit) == 1:
        return unit, np.ones(1, np.int64)
    tree = linkage(squareform(differences(unit).astype(np.float64), checks=False), "average")
    labels = fcluster(tree, _TIGHTNESS * threshold, "distance")
    if labels.max() > most:
        labels = fcluster(tree, most, "maxclust")
    codes, sizes = np.unique(labels, return_counts=True)
    order = np.argsort(-sizes, kind="stable")
    means = np.stack([unit[labels == code].mean(axis=0, dtype=np.float64) for code in codes[order]])
    counts = np.maximum(1, np.round(sizes[order] * (n_images / len(unit)))).astype(np.int64)
    return np.atleast_2d(normalize(means)), counts


def choose_negatives(vectors: ArrayLike, prototypes: Vectors, *, most: int = MAX_NEGATIVES) -> Vectors:
    """The rejected images nearest to the prototypes: they are the ones that are confused with the character."""
    unit = np.atleast_2d(normalize(vectors))
    nearest = differences(unit, prototypes).min(axis=1)
    return unit[np.sort(np.argsort(nearest, kind="stable")[:most])]


def own_limit(own: ArrayLike, others: ArrayLike, prototypes: Vectors, threshold: float) -> float | None:
    """The limit of a character for differences to its prototypes: below the model's threshold for single images.

    A mean of images is nearer to any image than these images are on average, strangers included. The limit is halfway
    between the threshold and the difference to the mean at which the mean difference to the images is the threshold.

    A character that is easily confused with another one gets a lower limit: halfway between its own images (95 % of
    them) and those of others (the nearest 2 %), if the former are nearer to the prototypes and the latter within the
    threshold. It is never above the threshold: images of characters that are in no library could be as near.

    Args:
        own: ``(n, dim)`` embeddings of its images
        others: ``(m, dim)`` embeddings of images of other characters
        prototypes: its prototypes
        threshold: the difference up to which two images are one character

    Returns:
        the limit; None for the threshold, with fewer than 3 images of its own. It takes 12 of its own and 30 of others
        to tell that it is easily confused
    """
    if np.shape(own)[0] < _MIN_OF_MEAN:
        return None
    nearest = differences(own, prototypes).min(axis=1).astype(np.float64)
    length = float(np.mean(1 - 2 * nearest))  # of the mean of unit vectors, before it was normalized
    of_mean = (1 - (1 - 2 * threshold) / length) / 2 if length > 1 - 2 * threshold else 0.0
    limit = max(_NARROWEST * threshold, (threshold + of_mean) / 2)
    if np.shape(own)[0] < _MIN_OWN or np.shape(others)[0] < _MIN_OTHERS:
        return limit
    inside = float(np.quantile(nearest, 0.95))
    outside = float(np.quantile(differences(others, prototypes).min(axis=1), 0.02))
    if not inside < outside or outside > threshold:
        return limit
    return min(limit, max(_NARROWEST * threshold, (inside + outside) / 2))
