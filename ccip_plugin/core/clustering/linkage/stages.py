"""The stages of average linkage: near-duplicates, merging with and without limits, rescue."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ...arrays import BoolArray, FloatArray, Labels, Vectors
from ...neighbors.components import number_by_first
from ...neighbors.vectors import VectorSource
from ...progress import ProgressCallback, report
from ..constraints import ResolvedConstraints
from .agglomeration import MergeRules, Merges, agglomerate, find_merges
from .options import LinkageOptions
from .rescue import ClosestMembers, rescue

PACK = 256
"""Images of small components that are clustered together."""

PACK_MERGED = 1024
"""The same when most of them are in a group already."""

_SUMMED = 1 << 14  # vectors summed at a time


@dataclass(frozen=True, eq=False)
class Linkage:
    """Groups of ``n`` images, and which were rescued.

    Attributes:
        labels: ``(n,)`` groups 0, 1, ... in the order of their first images
        rescued: ``(n,)`` whether an image was assigned to its group by the rescue
        nearest: ``(n,)`` mean difference of the small group of a rescued image to the group it was assigned to; NaN for
            other images
        second: ``(n,)`` the same to the second nearest group, infinite without one
        before: ``(n,)`` labels without the rescue, numbered on their own
        limit: mean difference up to which large groups were merged
        threshold: mean difference up to which other groups were merged
    """

    labels: Labels
    rescued: BoolArray
    nearest: FloatArray
    second: FloatArray
    before: Labels
    limit: float
    threshold: float


class Teller:
    """Reports how many images are done, also within a large component.

    Args:
        progress: the progress callable
        stage: the stage
        total: number of images to be done
    """

    def __init__(self, progress: ProgressCallback | None, stage: str, total: int) -> None:
        self._progress, self._stage, self._total = progress, stage, total
        self._done = self._next = 0

    def within(self, n_images: int) -> Callable[[int], None]:
        """Begins some images, and returns a function that reports the number of merges among them."""
        start = self._done
        self._next = min(start + n_images, self._total)
        return lambda n_merges: self.at(min(start + n_merges, self._next))

    def done(self) -> None:
        """Reports the images that were begun as done."""
        self.at(self._next)

    def at(self, done: int) -> None:
        """Reports a number of images; never fewer than before."""
        self._done = max(self._done, done)
        report(self._progress, self._stage, self._done, self._total)


class Stages:
    """Runs the stages on some or all images. A group is named by the number of one of its images.

    Args:
        unit: ``(n, dim)`` unit vectors
        threshold: maximum mean difference
        near_duplicate: maximum mean difference of near-duplicates
        options: thresholds and sizes
        constraints (None): constraints
        penalty (0): co-occurrence penalty
    """

    def __init__(
        self,
        unit: VectorSource,
        threshold: float,
        near_duplicate: float,
        options: LinkageOptions,
        constraints: ResolvedConstraints | None = None,
        penalty: float = 0.0,
    ) -> None:
        self.tell = Teller(None, "grouping images", 0)
        self.unit, self.threshold, self.near_duplicate, self.options = unit, threshold, near_duplicate, options
        self.constraints, self.penalty = constraints, penalty

    def near_duplicates(self, images: Labels) -> Labels:
        """For each of some images, the position among them of the first near-duplicate."""
        rules = None
        if self.constraints is not None:  # constraints are no matter of near-duplicates
            is_constrained = self.constraints.is_constrained[images]
            rules = MergeRules(owners=np.where(is_constrained, self.constraints.sets[images], -1))
        groups = agglomerate(
            self.unit[images], np.ones(len(images)), self.near_duplicate, rules, on_merges=self.tell.within(len(images))
        )
        return first_positions(groups)

    def merge(self, images: Labels, groups: Labels, duplicates: Labels, cut: float, limit: float | None) -> Labels:
        """Merges groups of some images; for each image, the position among them of the first of its new group.

        Args:
            images: numbers of the images
            groups: ``(n,)`` group of every image before
            duplicates: ``(n,)`` near-duplicate that represents every image
            cut: maximum mean difference
            limit: maximum mean difference of two large groups; None for ``cut``
        """
        names, codes = np.unique(groups[images], return_inverse=True)
        means, weights = self._means(images, codes, duplicates)
        rules = MergeRules(large_size=self.options.large_size, large_limit=limit)
        if self.constraints is not None:
            rules = self._rules(self.constraints, images, codes, len(names), limit)
        on_merges = self.tell.within(len(images))
        return first_positions(agglomerate(means, weights, cut, rules, on_merges=on_merges)[codes])

    def find_merges(self, images: Labels, groups: Labels, duplicates: Labels, cut: float) -> Merges:
        """The merges of groups of some images, by their differences alone."""
        names, codes = np.unique(groups[images], return_inverse=True)
        merges = find_merges(*self._means(images, codes, duplicates), cut, on_merges=self.tell.within(len(images)))
        return Merges(names[merges.first], names[merges.second], merges.heights)

    def means_of_groups(self, labels: Labels, duplicates: Labels, *, min_size: int) -> tuple[Vectors, FloatArray]:
        """Means and weights of the groups with at least ``min_size`` images."""
        sizes = np.bincount(labels, minlength=len(labels))
        images = np.flatnonzero(sizes[labels] >= min_size)
        return self._means(images, np.unique(labels[images], return_inverse=True)[1], duplicates)

    def rescue(self, before: Labels, duplicates: Labels, limit: float) -> Linkage:
        """Assigns small groups to others on strong evidence, and makes the result.

        Args:
            before: ``(n,)`` groups 0, 1, ...
            duplicates: ``(n,)`` near-duplicate that represents every image
            limit: mean difference up to which large groups were merged
        """
        weights = np.bincount(before[np.unique(duplicates)], minlength=before.max(initial=-1) + 1).astype(np.float64)
        is_small = weights < self.options.small_size
        small, big = np.flatnonzero(is_small), np.flatnonzero(~is_small)
        place = np.full(len(weights), -1)
        place[small], place[big] = np.arange(len(small)), np.arange(len(big))
        small_means, big_means = (
            self._means(images, place[before[images]], duplicates)[0]
            for images in (np.flatnonzero(is_small[before]), np.flatnonzero(~is_small[before]))
        )
        rules = None
        if self.constraints is not None:
            rules = self._rules(self.constraints, np.arange(len(before)), before, len(weights), None)
        assigned, first, second = rescue(
            small_means,
            big_means,
            small,
            big,
            weights,
            reach=self.options.reach * self.threshold,
            evidence=self.options.evidence * self.threshold,
            closest=ClosestMembers(self.unit, before, small_means, place),
            rules=rules,
        )
        rescued = (assigned != np.arange(len(assigned)))[before]
        nearest, further = np.where(rescued, first[before], np.nan), np.where(rescued, second[before], np.nan)
        labels = number_by_first(assigned[before])
        return Linkage(labels, rescued, nearest, further, before, limit, self.threshold)

    def _means(self, images: Labels, codes: Labels, duplicates: Labels) -> tuple[Vectors, FloatArray]:
        """Means and weights of groups of some images, where near-duplicates count as one image."""
        _, duplicate, counts = np.unique(duplicates[images], return_inverse=True, return_counts=True)
        shares = 1 / counts[duplicate]
        from scipy.sparse import csr_array

        n_groups = int(codes.max(initial=-1)) + 1
        weights = np.rint(np.bincount(codes, shares, n_groups))
        if n_groups == len(images):
            means = np.empty((n_groups, self.unit.shape[1]), np.float32)
            means[codes] = self.unit[images]
            return means, weights
        order = np.argsort(codes, kind="stable")
        means = np.zeros((n_groups, self.unit.shape[1]), np.float32)
        shares = (shares / weights[codes]).astype(np.float32)
        for start in range(0, len(order), _SUMMED):
            part = order[start : start + _SUMMED]
            first, last = codes[part[[0, -1]]]
            cells = (codes[part] - first, np.arange(len(part)))
            matrix = csr_array((shares[part], cells), shape=(last - first + 1, len(part)))
            means[first : last + 1] += matrix @ self.unit[images[part]]
        return means, weights

    def _rules(
        self,
        constraints: ResolvedConstraints,
        images: Labels,
        codes: Labels,
        n_groups: int,
        limit: float | None,
    ) -> MergeRules:
        """The constraints as rules between groups of some images; pairs with other images are dropped."""
        group_of = np.full(len(self.unit), -1)
        group_of[images] = codes
        owners = np.full(n_groups, -1, np.int64)
        np.maximum.at(owners, codes, constraints.owners[images])
        cannot_link, co_occurring = group_of[constraints.cannot_link], group_of[constraints.co_occurring]
        is_pair = (co_occurring >= 0).all(axis=1) & (co_occurring[:, 0] != co_occurring[:, 1])
        return MergeRules(
            large_size=self.options.large_size,
            large_limit=limit,
            owners=owners if (owners >= 0).any() else None,
            cannot_link=cannot_link[(cannot_link >= 0).all(axis=1)],
            co_occurring=co_occurring[is_pair],
            co_occurrence_penalty=self.penalty,
        )


def packs(components: Labels, among: BoolArray | None = None, *, size: int | None = None) -> Iterator[Labels]:
    """Numbers of images by component, several small components together, without components of one image.

    Images of different components are further apart than any cut, so clustering components together changes nothing,
    except which of exactly equal differences comes first.

    Args:
        components: ``(n,)`` component of each image
        among (None): an ``(n,)`` mask; only components with one of these images
        size (None): number of images that make a pack, :data:`PACK` by default
    """
    size = PACK if size is None else size
    sizes = np.bincount(components)
    is_selected = sizes > 1
    if among is not None:
        is_selected &= np.bincount(components, among, len(sizes)) > 0
    images = np.flatnonzero(is_selected[components])
    order = images[np.argsort(components[images], kind="stable")]
    pending: list[Labels] = []
    n_pending = 0
    for members in np.split(order, np.flatnonzero(np.diff(components[order])) + 1) if len(order) else []:
        pending.append(members)
        n_pending += len(members)
        if n_pending >= size or len(members) >= size // 2:
            yield np.sort(np.concatenate(pending))
            pending, n_pending = [], 0
    if pending:
        yield np.sort(np.concatenate(pending))


def first_positions(groups: Labels) -> Labels:
    """For each entry, the position of the first equal one."""
    _, first, codes = np.unique(groups, return_index=True, return_inverse=True)
    return first[codes]
