"""Groups by average linkage inside connected components, with a stricter limit between large groups and a rescue."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import Labels, Vectors
from ..errors import ParameterError, RadiusError
from ..neighbors.components import Forest
from ..neighbors.graph import NeighborGraph
from ..neighbors.pairs import GRID, Pairs, near_pairs, near_pairs_of, picked
from ..neighbors.spanning import SpanningForest
from ..neighbors.vectors import VectorSource, unit_vectors
from ..progress import ProgressCallback, report
from . import hierarchy
from .agglomeration import Merges, Rules, agglomerate, find_merges, numbered
from .constraints import Constraints, Decisions, check
from .hierarchy import Hierarchy
from .limit import tail_limit
from .parameters import NOISE, check_parameters
from .rescue import rescue

_PACK = 256  # images of small components that are grouped together
_PACK_MERGED = 1024  # where most of them are in a group by then
_SUMMED = 1 << 14  # vectors that are summed at a time
_READ = 1 << 18  # pairs of a graph that are read at a time
_FIRST = 0.8  # of the largest cut: where mergers are looked for first, as fewer images are connected there


@dataclass(frozen=True)
class LinkageOptions:
    """How :func:`link` decides; differences are in thresholds, so that they fit every model.

    Attributes:
        scene: images whose mean difference is up to this are near-duplicates: together they count as one image
        sure: up to this mean difference, groups are merged whatever their size
        large: how many images, near-duplicates counted once, make a large group
        floor: the least limit of the mean difference between large groups
        small: groups of fewer images are rescued where the evidence is strong
        reach: the largest mean difference at which a small group is put into a group that is not small
        evidence: how strong the evidence for it must be; see :func:`~ccip_plugin.core.clustering.rescue.rescue`
    """

    scene: float = 0.1
    sure: float = 0.784
    large: int = 5
    floor: float = 0.868
    small: int = 3
    reach: float = 1.6
    evidence: float = 0.41

    def __post_init__(self) -> None:
        if not 0 <= self.scene <= self.sure <= 1:
            raise ParameterError("options", self, "0 <= scene <= sure <= 1")


@dataclass(frozen=True, eq=False)
class Linkage:
    """Groups of ``n`` images, and why some are where they are.

    Attributes:
        labels: ``(n,)`` groups 0, 1, ... in the order of their first images; images alone have one of their own
        rescued: ``(n,)`` images that were put into a group by the rescue
        nearest: ``(n,)`` mean difference of the small group of an image to the group that it was put into; NaN for
            images that were not rescued
        second: ``(n,)`` the same to the second nearest group, infinite where there was none
        before: ``(n,)`` labels as they would be without the rescue, numbered on their own
        limit: the mean difference up to which large groups were merged
        threshold: the one up to which other groups were
    """

    labels: Labels
    rescued: NDArray[np.bool_]
    nearest: NDArray[np.float64]
    second: NDArray[np.float64]
    before: Labels
    limit: float
    threshold: float


class Components(NamedTuple):
    """Which of ``n`` images are connected by pairs up to a cut. Images that are not never meet there: a mean difference
    is not smaller than the smallest of its differences.

    Attributes:
        scenes: ``(n,)`` numbers for the cut of near-duplicates
        sure: for that up to which groups are merged whatever their size
        near: for the threshold
    """

    scenes: Labels
    sure: Labels
    near: Labels


def find_components(
    n: int, parts: Iterable[Pairs], threshold: float, options: LinkageOptions, *, scene: float
) -> Components:
    """Finds what is connected up to each cut.

    Args:
        n: how many images there are
        parts: all pairs up to the threshold
        threshold: the largest difference
        options: how to decide
        scene: the largest mean difference of near-duplicates
    """
    scenes, sure, near = (Forest(n) for _ in range(3))
    for pairs in parts:
        near.add(pairs.rows, pairs.cols)
        for forest, cut in ((sure, options.sure * threshold), (scenes, scene)):
            is_near = pairs.differences <= cut + GRID  # which they may be rounded by
            forest.add(pairs.rows[is_near], pairs.cols[is_near])
    return Components(scenes.labels(), sure.labels(), near.labels())


def find_hierarchy(
    graph: NeighborGraph, scene: float, options: LinkageOptions, *, progress: ProgressCallback | None = None
) -> Hierarchy:
    """Gives all mergers that are made whatever the size of groups, for every cut that the graph allows.

    They are kept in the folder of the graph, and taken from there where they were found before. The first time takes as
    long as the mergers take, and one look at all pairs of the graph; another cut takes a look at each image.

    Args:
        graph: a graph in a folder, with vectors
        scene: the largest mean difference of near-duplicates
        options: how to decide
        progress (None): told how far the work is
    """
    assert graph.folder is not None and graph.vectors is not None
    cut = options.sure * graph.radius
    path = hierarchy.path_of(graph.folder, scene, cut)
    known = hierarchy.load(path, graph.n)
    if known is not None:
        return known
    spanning = SpanningForest(graph.n, graph.radius)
    done = 0
    for pairs in graph.parts_within(graph.radius):
        for start in range(0, len(pairs.rows), _READ):  # each part is told what the one before it connected
            part = picked(pairs, slice(start, start + _READ))
            spanning.add(picked(part, spanning.may_connect(part)))
        done += len(pairs.rows)
        report(progress, "reading images that are alike", done, graph.n_pairs)
    known = Hierarchy(np.arange(graph.n), Merges.none(), spanning.pairs())
    run = _Run(graph.vectors, graph.radius, scene, options, None, 0.0)
    for chosen in _packs(known.components(scene)):
        known.scenes[chosen] = chosen[run.scenes(chosen)]
    names, done = known.scenes, 0
    for share in (_FIRST, 1.0):
        found = []
        for chosen in _packs(known.components(share * cut)):
            found.append(run.merges(chosen, names, known.scenes, share * cut))
            done += len(chosen)
            report(progress, "merging images", done, 2 * graph.n)
        known = known._replace(merges=Merges.joined([known.merges, *found]))
        names = _first_positions(known.groups(share * cut))
    hierarchy.save(known, path)
    return known


def link(
    unit: VectorSource,
    components: Components,
    threshold: float,
    *,
    scene: float,
    known: Hierarchy | None = None,
    decisions: Decisions | None = None,
    push: float = 0.0,
    options: LinkageOptions | None = None,
    previous_limit: float | None = None,
    progress: ProgressCallback | None = None,
) -> Linkage:
    """Groups images by average linkage, with a limit between large groups learned from the images, and a rescue.

    1. Near-duplicates, such as the frames of a still scene, are taken together and count as one image from then on.
    2. Groups are merged up to a mean difference that is surely of one character.
    3. :func:`~ccip_plugin.core.clustering.limit.tail_limit` finds up to where large groups are rather one character
       than two, and merging goes on up to it, or up to the threshold where one of two groups is not large.
    4. :func:`~ccip_plugin.core.clustering.rescue.rescue` puts small groups and single images into the nearest group
       where the evidence is strong, even beyond the threshold.

    Deterministic. Of the order of the images only exact ties depend on it, and rounding of float32 sums.

    Args:
        unit: ``(n, dim)`` vectors of unit length
        components: which images may meet before the rescue; see :func:`find_components`
        threshold: the largest mean difference
        scene: the largest mean difference of near-duplicates
        known (None): what was merged before where nobody decided; only the rest is looked at then
        decisions (None): what people decided
        push: what being crops of one picture adds to a difference, in thresholds
        options (None): how to decide
        previous_limit (None): the limit between large groups of an earlier run, which stays where it still fits
        progress (None): told how many images are grouped
    """
    options = options or LinkageOptions()
    run = _Run(unit, threshold, scene, options, decisions, push * threshold)
    is_open = None if known is None else _concerned(decisions, len(unit))
    scenes = np.arange(len(unit)) if known is None else known.scenes.copy()
    for chosen in _packs(components.scenes, is_open):
        scenes[chosen] = chosen[run.scenes(chosen)]
    start = scenes
    if decisions is not None:
        run.decisions = decisions = replace(decisions, shared=np.unique(scenes[decisions.shared], axis=0))
        start = _tied(scenes, decisions.sets)
        components = Components(*(_tied(labels, decisions.sets) for labels in components))
    sure = start.copy()
    if known is not None:
        sure = _first_positions(known.groups(options.sure * threshold))  # which a graph may lack the pairs to connect
        components = components._replace(sure=_tied(components.sure, sure), near=_tied(components.near, sure))
    done = 0
    for chosen in _packs(components.sure, is_open):
        sure[chosen] = chosen[run.merged(chosen, start, scenes, options.sure * threshold, None)]
        done += len(chosen)
        report(progress, "grouping images", done, 2 * len(unit))
    report(progress, "grouping images", len(unit), 2 * len(unit))
    means, weights = run.groups(sure, scenes, at_least=options.large)
    limit = tail_limit(means[weights >= options.large], threshold, floor=options.floor, previous=previous_limit)
    labels, done = sure.copy(), len(unit)
    for chosen in _packs(components.near, size=_PACK_MERGED):
        labels[chosen] = chosen[run.merged(chosen, sure, scenes, threshold, limit)]
        done += len(chosen)
        report(progress, "grouping images", done, 2 * len(unit))
    report(progress, "grouping images", 2 * len(unit), 2 * len(unit))
    before = numbered(labels)
    return run.rescued(before, scenes, limit)


def _concerned(decisions: Decisions | None, n: int) -> NDArray[np.bool_]:
    """``(n,)`` images that people decided on, or that were seen with others."""
    if decisions is None:
        return np.zeros(n, np.bool_)
    is_seen = decisions.is_bound.copy()
    is_seen[decisions.shared] = True
    return is_seen


class _Run:
    """What stays the same from step to step. Groups are named by the number of one of their images."""

    def __init__(
        self,
        unit: VectorSource,
        threshold: float,
        scene: float,
        options: LinkageOptions,
        decisions: Decisions | None,
        push: float,
    ) -> None:
        self.unit, self.threshold, self.scene, self.options = unit, threshold, scene, options
        self.decisions, self.push = decisions, push

    def scenes(self, chosen: Labels) -> Labels:
        """Position in ``chosen`` of one image of the scene of each."""
        rules = None
        if self.decisions is not None:  # no scene connects what people decided on
            sets = np.where(self.decisions.is_bound[chosen], self.decisions.sets[chosen], -1)
            rules = Rules(owners=sets)
        found = agglomerate(self.unit[chosen], np.ones(len(chosen)), self.scene, rules)
        return _first_positions(found)

    def merged(self, chosen: Labels, start: Labels, scenes: Labels, cut: float, limit: float | None) -> Labels:
        """Position in ``chosen`` of one image of the group of each."""
        names, groups = np.unique(start[chosen], return_inverse=True)
        means, weights = self._means(chosen, groups, scenes)
        rules = Rules(large=self.options.large, large_limit=limit)
        if self.decisions is not None:
            rules = self._rules(chosen, groups, len(names), limit)
        return _first_positions(agglomerate(means, weights, cut, rules)[groups])

    def merges(self, chosen: Labels, start: Labels, scenes: Labels, cut: float) -> Merges:
        """What is merged of the chosen groups, where nothing but their differences counts."""
        names, groups = np.unique(start[chosen], return_inverse=True)
        found = find_merges(*self._means(chosen, groups, scenes), cut)
        return Merges(names[found.one], names[found.other], found.costs)

    def groups(self, labels: Labels, scenes: Labels, *, at_least: int) -> tuple[Vectors, NDArray[np.float64]]:
        """Means and weights of the groups with so many images."""
        sizes = np.bincount(labels, minlength=len(labels))
        chosen = np.flatnonzero(sizes[labels] >= at_least)
        return self._means(chosen, np.unique(labels[chosen], return_inverse=True)[1], scenes)

    def rescued(self, before: Labels, scenes: Labels, limit: float) -> Linkage:
        weights = np.bincount(before[np.unique(scenes)], minlength=before.max(initial=-1) + 1).astype(np.float64)
        is_small = weights < self.options.small
        small, big = np.flatnonzero(is_small), np.flatnonzero(~is_small)
        position = np.full(len(weights), -1)
        position[small], position[big] = np.arange(len(small)), np.arange(len(big))
        of_small, of_big = (
            self._means(chosen, position[before[chosen]], scenes)[0]
            for chosen in (np.flatnonzero(is_small[before]), np.flatnonzero(~is_small[before]))
        )
        rules = None
        if self.decisions is not None:
            rules = self._rules(np.arange(len(before)), before, len(weights), None)
        reach, evidence = self.options.reach * self.threshold, self.options.evidence * self.threshold
        finder = _Closest(self.unit, before, of_small, position)
        into, first, second = rescue(
            of_small, of_big, small, big, weights, reach=reach, evidence=evidence, closest=finder, rules=rules
        )
        rescued = (into != np.arange(len(into)))[before]
        nearest, further = np.where(rescued, first[before], np.nan), np.where(rescued, second[before], np.nan)
        return Linkage(numbered(into[before]), rescued, nearest, further, before, limit, self.threshold)

    def _means(self, chosen: Labels, groups: Labels, scenes: Labels) -> tuple[Vectors, NDArray[np.float64]]:
        """Means of groups of chosen images in which each scene counts as one; how many scenes each group has."""
        _, scene, counts = np.unique(scenes[chosen], return_inverse=True, return_counts=True)
        shares = 1 / counts[scene]
        from scipy.sparse import csr_array

        n_groups = int(groups.max(initial=-1)) + 1
        weights = np.rint(np.bincount(groups, shares, n_groups))
        if n_groups == len(chosen):
            means = np.empty((n_groups, self.unit.shape[1]), np.float32)
            means[groups] = self.unit[chosen]
            return means, weights
        order = np.argsort(groups, kind="stable")
        means = np.zeros((n_groups, self.unit.shape[1]), np.float32)
        shares = (shares / weights[groups]).astype(np.float32)
        for start in range(0, len(order), _SUMMED):
            part = order[start : start + _SUMMED]
            first, last = groups[part[[0, -1]]]
            places = (groups[part] - first, np.arange(len(part)))
            matrix = csr_array((shares[part], places), shape=(last - first + 1, len(part)))
            means[first : last + 1] += matrix @ self.unit[chosen[part]]
        return means, weights

    def _rules(self, chosen: Labels, groups: Labels, n_groups: int, limit: float | None) -> Rules:
        """The decisions as rules between groups; pairs of which one image is not among the chosen fall away."""
        assert self.decisions is not None
        group_of = np.full(len(self.unit), -1)
        group_of[chosen] = groups
        owners = np.full(n_groups, -1, np.int64)
        np.maximum.at(owners, groups, self.decisions.owners[chosen])
        apart, shared = group_of[self.decisions.apart], group_of[self.decisions.shared]
        return Rules(
            large=self.options.large,
            large_limit=limit,
            owners=owners if (owners >= 0).any() else None,
            apart=apart[(apart >= 0).all(axis=1)],
            shared=shared[(shared >= 0).all(axis=1) & (shared[:, 0] != shared[:, 1])],
            push=self.push,
        )


class _Closest:
    """Finds the difference of a small group to the member of a big one that is the closest to it."""

    def __init__(self, unit: VectorSource, labels: Labels, means: Vectors, position: Labels) -> None:
        self.unit, self.means, self.position = unit, means, position
        self.order = np.argsort(labels, kind="stable")
        self.ends = np.cumsum(np.bincount(labels))

    def __call__(self, small: Labels, big: Labels) -> NDArray[np.float64]:
        result = np.empty(len(small))
        order = np.argsort(big, kind="stable")
        for chosen in np.split(order, np.flatnonzero(np.diff(big[order])) + 1) if len(order) else []:
            end = self.ends[big[chosen[0]]]
            begin = self.ends[big[chosen[0]] - 1] if big[chosen[0]] else 0
            members = self.unit[self.order[begin:end]]
            result[chosen] = 0.5 - 0.5 * (self.means[self.position[small[chosen]]] @ members.T).max(axis=1)
        return result


def _packs(components: Labels, among: NDArray[np.bool_] | None = None, *, size: int = _PACK) -> Iterator[Labels]:
    """Numbers of images, component by component; small components together, images alone not at all.

    With ``among``, only components that have one of these images. ``size`` is how many images are worth a pack.

    Images of different components are farther apart than any cut, so taking components together changes nothing; which
    of differences that are exactly the same comes first is another matter.
    """
    sizes = np.bincount(components)
    is_wanted = sizes > 1
    if among is not None:
        is_wanted &= np.bincount(components, among, len(sizes)) > 0
    chosen = np.flatnonzero(is_wanted[components])
    order = chosen[np.argsort(components[chosen], kind="stable")]
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


def _first_positions(groups: Labels) -> Labels:
    """For each entry, the position of the first that is equal."""
    _, first, found = np.unique(groups, return_index=True, return_inverse=True)
    return first[found]


def _tied(labels: Labels, sets: Labels) -> Labels:
    """Groups of which those that have an image in the same set are one."""
    forest = Forest(len(labels))
    images = np.arange(len(labels), dtype=np.int32)
    for tie in (labels, sets):
        forest.add(images, _first_positions(tie).astype(np.int32))
    return _first_positions(forest.labels())


def linkage(
    embeddings_or_graph: ArrayLike | NeighborGraph,
    *,
    threshold: float,
    min_samples: int = 2,
    scene: float | None = None,
    constraints: Constraints | None = None,
    options: LinkageOptions | None = None,
    previous_limit: float | None = None,
    progress: ProgressCallback | None = None,
) -> Linkage:
    """Groups images by average linkage, as :func:`ccip_plugin.core.clustering.linkage.link` says.

    Takes, beside the vectors, memory for a block and a few numbers for each image; no pairs are kept. With a graph in a
    folder, what is merged is kept there, too, so that another threshold takes a look at each image only. Where people
    decided the groups of most images, time is proportional to the number of the others times that of all: images of two
    decided groups never meet, however much they are alike, and so are not compared.

    Args:
        embeddings_or_graph: ``(n, dim)`` embeddings of any length, or a graph that has their vectors
        threshold: the largest mean difference in a group
        min_samples: how many images make a group; images of smaller ones are :data:`NOISE`, unless people put one of
            them there
        scene (None): the largest mean difference of near-duplicates; a share of the threshold by default. At most that
            up to which groups are merged whatever their size
        constraints (None): what people decided
        options (None): how to decide
        previous_limit (None): the ``limit`` of an earlier run, which stays where it still fits
        progress (None): told how far the work is

    Returns:
        the groups, as ``labels`` with :data:`NOISE`

    Raises:
        ContradictionError: the constraints cannot all be kept
        ParameterError: the threshold or a constraint has no meaning, or the graph has no vectors
        RadiusError: the threshold is larger than the radius of the graph
        VectorsError: an embedding is zero or not finite; names its row
    """
    check_parameters(threshold, min_samples, least=1)
    options = options or LinkageOptions()
    scene = min(options.scene * threshold if scene is None else scene, options.sure * threshold)
    graph = None
    if not isinstance(embeddings_or_graph, NeighborGraph):
        unit = unit_vectors(embeddings_or_graph)
    elif embeddings_or_graph.vectors is not None:
        graph, unit = embeddings_or_graph, embeddings_or_graph.vectors
    else:
        raise ParameterError("graph", "without vectors", "a graph with vectors for linkage, or embeddings")
    decisions = None if constraints is None else check(constraints, len(unit))
    known = None
    if graph is not None and graph.folder is not None and scene < options.sure * threshold:
        if threshold > graph.radius:
            raise RadiusError(threshold, graph.radius)
        known = find_hierarchy(graph, scene, options, progress=progress)
        components = Components(*map(known.components, (scene, options.sure * threshold, threshold)))
    else:
        owners = None if decisions is None else decisions.owners
        if graph is None:
            parts = _pairs_that_matter(unit, threshold, scene, owners, progress)
        else:
            parts = graph.parts_within(threshold)
        components = find_components(len(unit), parts, threshold, options, scene=scene)
    push = constraints.push if constraints is not None else 0.0
    found = link(
        unit,
        components,
        threshold,
        scene=scene,
        known=known,
        decisions=decisions,
        push=push,
        options=options,
        previous_limit=previous_limit,
        progress=progress,
    )
    is_owned = None if decisions is None else decisions.owners >= 0
    return replace(found, labels=_without_small(found.labels, min_samples, is_owned))


def _pairs_that_matter(
    unit: VectorSource,
    threshold: float,
    scene: float,
    owners: NDArray[np.int64] | None,
    progress: ProgressCallback | None,
) -> Iterator[Pairs]:
    """The pairs up to the threshold; where most images have a decided group, without those of decided groups.

    Images of one such group belong together whatever they look like, and only near-duplicates, with differences up to
    ``scene``, are looked for there.
    """
    free = np.arange(len(unit)) if owners is None else np.flatnonzero(owners < 0)
    if owners is None or 2 * len(free) >= len(unit):
        blocks = near_pairs(unit, threshold, with_differences=False, progress=progress)
        yield from (block.pairs for block in blocks)
        return
    yield from near_pairs_of(unit, free, threshold, progress=progress)
    order = np.argsort(owners, kind="stable")[len(free) :].astype(np.int32)
    for members in np.split(order, np.flatnonzero(np.diff(owners[order])) + 1):
        for pairs, _, _ in near_pairs(unit[members], scene, with_differences=False):
            yield Pairs(members[pairs.rows], members[pairs.cols], pairs.differences)


def _without_small(labels: Labels, least: int, is_owned: NDArray[np.bool_] | None) -> Labels:
    """Labels without those of small groups that nobody decided on, numbered anew."""
    sizes = np.bincount(labels)
    if is_owned is not None:
        sizes[labels[is_owned]] = max(least, len(labels))
    is_kept = sizes[labels] >= least if len(labels) else np.empty(0, np.bool_)
    result = np.full(len(labels), NOISE, np.int64)
    result[is_kept] = numbered(labels[is_kept])
    return result
