"""Average linkage from embeddings or a neighbor graph to labels."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ...arrays import BoolArray, IntArray, Labels
from ...errors import ParameterError, RadiusError
from ...neighbors.components import Forest, number_by_first
from ...neighbors.graph import NeighborGraph
from ...neighbors.pairs import GRID, Pairs, near_pairs, near_pairs_of
from ...neighbors.vectors import VectorSource, unit_vectors
from ...progress import ProgressCallback
from ..constraints import Constraints, ResolvedConstraints, resolve_constraints
from ..parameters import NOISE, check_parameters
from .estimate import announce
from .hierarchy import Hierarchy, find_hierarchy
from .limit import tail_limit
from .options import LinkageOptions
from .stages import PACK_MERGED, Linkage, Stages, Teller, first_positions, packs


class Components(NamedTuple):
    """Connected components of ``n`` images by pairs up to three cuts. Images of different components never share a
    group at that cut, since a mean difference is at least the smallest of its differences.

    Attributes:
        duplicates: ``(n,)`` components up to the cut of near-duplicates
        certain: ``(n,)`` components up to the cut of merges whatever the size of groups
        possible: ``(n,)`` components up to the threshold
    """

    duplicates: Labels
    certain: Labels
    possible: Labels


def linkage(
    embeddings_or_graph: ArrayLike | VectorSource | NeighborGraph,
    *,
    threshold: float,
    min_samples: int = 2,
    near_duplicate: float | None = None,
    constraints: Constraints | None = None,
    options: LinkageOptions | None = None,
    previous_limit: float | None = None,
    progress: ProgressCallback | None = None,
) -> Linkage:
    """Clusters images by average linkage; see :func:`link_components` for the stages.

    Needs memory for a block and a few numbers for each image, besides the vectors; no pairs are kept. With a graph in a
    folder, merges are stored there, so that another threshold takes time proportional to the number of images. If most
    images are fixed to groups, the time is proportional to the number of the others times that of all: images of two
    fixed groups never share a group, so they are not compared.

    Args:
        embeddings_or_graph: ``(n, dim)`` embeddings of any length, or a graph with vectors
        threshold: maximum mean difference in a group
        min_samples (2): number of images that make a group; images of smaller ones without a fixed image are
            :data:`NOISE`
        near_duplicate (None): maximum mean difference of near-duplicates, a share of the threshold by default; at most
            that of merges whatever the size of groups
        constraints (None): pairs to keep together or apart
        options (None): thresholds and sizes
        previous_limit (None): ``limit`` of an earlier run, which is kept if it still fits
        progress (None): called with the stage and the number of items done

    Returns:
        the groups; ``labels`` with :data:`NOISE`

    Raises:
        ContradictionError: the constraints contradict each other
        ParameterError: the threshold or a constraint is invalid, or the graph has no vectors
        RadiusError: the threshold is larger than the radius of the graph
        VectorsError: an embedding is zero or not finite; names its row
    """
    check_parameters(threshold, min_samples, least=1)
    options = options or LinkageOptions()
    near_duplicate = options.near_duplicate * threshold if near_duplicate is None else near_duplicate
    near_duplicate = min(near_duplicate, options.certain * threshold)
    graph, unit = _graph_and_vectors(embeddings_or_graph)
    resolved = None if constraints is None else resolve_constraints(constraints, len(unit))
    hierarchy, cuts = None, (near_duplicate, options.certain * threshold, threshold)
    if graph is not None and graph.folder is not None and near_duplicate < options.certain * threshold:
        if threshold > graph.radius:
            raise RadiusError(threshold, graph.radius)
        hierarchy = find_hierarchy(graph, near_duplicate, options, progress=progress)
        components = Components(*map(hierarchy.components, cuts))
    else:
        owners = None if resolved is None else resolved.owners
        if owners is None or 2 * np.count_nonzero(owners >= 0) < len(unit):
            announce(unit, threshold, "grouping images", progress)
        pairs = (
            _pairs(unit, threshold, near_duplicate, owners, progress)
            if graph is None
            else graph.parts_within(threshold)
        )
        components = find_components(len(unit), pairs, cuts)
    result = link_components(
        unit,
        components,
        threshold,
        near_duplicate=near_duplicate,
        hierarchy=hierarchy,
        constraints=resolved,
        penalty=0.0 if constraints is None else constraints.push,
        options=options,
        previous_limit=previous_limit,
        progress=progress,
    )
    is_fixed = None if resolved is None else resolved.owners >= 0
    return replace(result, labels=_without_small(result.labels, min_samples, is_fixed))


def find_components(n: int, parts: Iterable[Pairs], cuts: tuple[float, float, float]) -> Components:
    """Finds the connected components.

    Args:
        n: number of images
        parts: all pairs up to the largest cut
        cuts: the cuts of :class:`Components`
    """
    duplicates, certain, possible = (Forest(n) for _ in cuts)
    for pairs in parts:
        possible.add(pairs.rows, pairs.cols)
        for forest, cut in zip((certain, duplicates), cuts[1::-1], strict=True):
            is_near = pairs.differences <= cut + GRID  # differences are rounded to this
            forest.add(pairs.rows[is_near], pairs.cols[is_near])
    return Components(duplicates.labels(), certain.labels(), possible.labels())


def link_components(
    unit: VectorSource,
    components: Components,
    threshold: float,
    *,
    near_duplicate: float,
    hierarchy: Hierarchy | None = None,
    constraints: ResolvedConstraints | None = None,
    penalty: float = 0.0,
    options: LinkageOptions | None = None,
    previous_limit: float | None = None,
    progress: ProgressCallback | None = None,
) -> Linkage:
    """Clusters images by average linkage, with a learned limit between large groups and a rescue.

    1. Near-duplicates, such as the frames of a still scene, are merged and count as one image from then on.
    2. Groups are merged up to a mean difference at which they are certainly one character.
    3. :func:`~ccip_plugin.core.clustering.linkage.limit.tail_limit` finds the mean difference up to which large groups
       are more likely one character than two. Groups are merged up to it, or up to the threshold if one is not large.
    4. :func:`~ccip_plugin.core.clustering.linkage.rescue.rescue` assigns small groups and single images to the nearest
       group if the evidence is strong, even beyond the threshold.

    Deterministic. Only exact ties and the rounding of float32 sums depend on the order of the images.

    Args:
        unit: ``(n, dim)`` unit vectors
        components: images that may share a group before the rescue
        threshold: maximum mean difference
        near_duplicate: maximum mean difference of near-duplicates
        hierarchy (None): merges of an earlier run without constraints; only the rest is computed
        constraints (None): constraints
        penalty (0): co-occurrence penalty, in thresholds
        options (None): thresholds and sizes
        previous_limit (None): limit of an earlier run, which is kept if it still fits
        progress (None): called with the number of images clustered
    """
    n, options = len(unit), options or LinkageOptions()
    stages = Stages(unit, threshold, near_duplicate, options, constraints, penalty * threshold)
    is_open = None if hierarchy is None else _is_constrained(constraints, n)
    duplicates = np.arange(n) if hierarchy is None else hierarchy.duplicates.copy()
    stages.tell = Teller(progress, "finding near-duplicates", n)
    for images in packs(components.duplicates, is_open):
        duplicates[images] = images[stages.near_duplicates(images)]
        stages.tell.done()
    start = duplicates
    if constraints is not None:
        once = np.unique(duplicates[constraints.co_occurring], axis=0)
        stages.constraints = constraints = replace(constraints, co_occurring=once)
        start = _joined(duplicates, constraints.sets)
        components = Components(*(_joined(labels, constraints.sets) for labels in components))
    certain = start.copy()
    if hierarchy is not None:
        certain = first_positions(hierarchy.groups(options.certain * threshold))
        components = components._replace(  # an approximate graph may lack the pairs that connect these
            certain=_joined(components.certain, certain), possible=_joined(components.possible, certain)
        )
    stages.tell = tell = Teller(progress, "grouping images", 2 * n)
    for images in packs(components.certain, is_open):
        certain[images] = images[stages.merge(images, start, duplicates, options.certain * threshold, None)]
        tell.done()
    tell.at(n)
    means, weights = stages.means_of_groups(certain, duplicates, min_size=options.large_size)
    large = means[weights >= options.large_size]
    limit = tail_limit(large, threshold, floor=options.min_limit, previous=previous_limit)
    labels = certain.copy()
    for images in packs(components.possible, size=PACK_MERGED):
        labels[images] = images[stages.merge(images, certain, duplicates, threshold, limit)]
        tell.done()
    tell.at(2 * n)
    return stages.rescue(number_by_first(labels), duplicates, limit)


def _graph_and_vectors(
    data: ArrayLike | VectorSource | NeighborGraph,
) -> tuple[NeighborGraph | None, VectorSource]:
    if not isinstance(data, NeighborGraph):
        return None, unit_vectors(data)
    if data.vectors is None:
        raise ParameterError("graph", "without vectors", "a graph with vectors for linkage, or embeddings")
    return data, data.vectors


def _pairs(
    unit: VectorSource,
    threshold: float,
    near_duplicate: float,
    owners: IntArray | None,
    progress: ProgressCallback | None,
) -> Iterator[Pairs]:
    """The pairs up to the threshold; if most images are fixed to groups, without pairs of two fixed groups.

    Images of one fixed group belong together whatever their differences; only near-duplicates matter there.
    """
    free = np.arange(len(unit)) if owners is None else np.flatnonzero(owners < 0)
    if owners is None or 2 * len(free) >= len(unit):
        blocks = near_pairs(unit, threshold, with_differences=False, progress=progress)
        yield from (block.pairs for block in blocks)
        return
    yield from near_pairs_of(unit, free, threshold, progress=progress)
    order = np.argsort(owners, kind="stable")[len(free) :].astype(np.int32)
    for members in np.split(order, np.flatnonzero(np.diff(owners[order])) + 1):
        for pairs, _, _ in near_pairs(unit[members], near_duplicate, with_differences=False):
            yield Pairs(members[pairs.rows], members[pairs.cols], pairs.differences)


def _is_constrained(constraints: ResolvedConstraints | None, n: int) -> BoolArray:
    """``(n,)`` whether an image is constrained or co-occurs with another."""
    if constraints is None:
        return np.zeros(n, np.bool_)
    is_constrained = constraints.is_constrained.copy()
    is_constrained[constraints.co_occurring] = True
    return is_constrained


def _joined(labels: Labels, sets: Labels) -> Labels:
    """The groups, with groups that share a set joined."""
    forest = Forest(len(labels))
    images = np.arange(len(labels))
    for groups in (labels, sets):
        forest.add(images, first_positions(groups))
    return first_positions(forest.labels())


def _without_small(labels: Labels, min_size: int, is_fixed: BoolArray | None) -> Labels:
    """Labels without those of small groups that have no fixed image, renumbered."""
    sizes = np.bincount(labels)
    if is_fixed is not None:
        sizes[labels[is_fixed]] = max(min_size, len(labels))
    is_kept = sizes[labels] >= min_size if len(labels) else np.empty(0, np.bool_)
    result = np.full(len(labels), NOISE, np.int64)
    result[is_kept] = number_by_first(labels[is_kept])
    return result
