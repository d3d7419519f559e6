"""Questions about several images and one group, and about one image and several groups."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np

from ..arrays import BoolArray, FloatArray, IntArray
from . import probabilities as chances
from .board import UNASSIGNED, Board
from .kinds import IN, MOST_GROUPS, MOST_TILES, OUT, WHO, Question
from .memory import Memory, net_gain
from .pairs import N_SHOWN, examples, near_pairs
from .probabilities import Probabilities

_SMALLEST = 2  # in a group of one image nothing can be wrong
_LARGEST_TILE = 20  # larger groups are asked about by themselves
_N_OF_TILE = 3  # images that are shown of a small group
_LEAST_GAIN = 0.02


def out_questions(board: Board, memory: Memory, probabilities: Probabilities) -> Iterator[Question]:
    """Which of these images do not belong to their group? In order of falling expected gain."""
    rows = np.flatnonzero(np.isfinite(board.difference))
    wrong = 1 - probabilities.same(chances.STAYS, board.difference[rows].astype(np.float64))
    can_matter = net_gain(wrong, 1.0, memory.slip_rate) > 0
    rows, wrong = rows[can_matter], wrong[can_matter]
    groups = board.group_of[rows]
    wrong = 1 - _with_evidence(1 - wrong, rows, groups, memory, board.confirmed[rows])
    gains = net_gain(wrong, 1.0, memory.slip_rate)
    for group_id, chosen, gain in _best_strips(groups, gains, wrong):
        tiles = rows[chosen]
        stays = 1 - wrong[chosen]
        images = (examples(board, board.members(group_id), group_id, memory.times_shown(group_id)),)
        difference = float(board.difference[tiles].mean())
        yield Question(OUT, (group_id,), (tiles,), gain, difference, float(stays.mean()), images, tuple(stays.tolist()))


def in_questions(board: Board, memory: Memory, probabilities: Probabilities) -> Iterator[Question]:
    """Which of these images and small groups belong to a group? In order of falling expected gain."""
    parts = _small_groups(board, memory, probabilities), _single_images(board, memory, probabilities)
    every = _Tiles(*(np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(_Tiles)))
    groups, tiles, p, differences = every.groups, every.tiles, every.p, every.differences
    gains = net_gain(p, every.sizes, memory.slip_rate)
    for group_id, chosen, gain in _best_strips(groups, gains, p):
        items = tuple(np.array([-1 - key]) if key < 0 else board.members(int(key)) for key in tiles[chosen])
        small = tuple(UNASSIGNED if key < 0 else int(key) for key in tiles[chosen])
        images = (
            examples(board, board.members(group_id), group_id, memory.times_shown(group_id)),
            *(
                rows if len(rows) <= _N_OF_TILE else board.typical(key, _N_OF_TILE)
                for key, rows in zip(small, items, strict=True)
            ),
        )
        mean = float(p[chosen].mean())
        difference = float(differences[chosen].mean())
        yield Question(IN, (group_id, *small), items, gain, difference, mean, images, tuple(p[chosen].tolist()))


def who_questions(board: Board, memory: Memory, probabilities: Probabilities) -> Iterator[Question]:
    """Whose is this image? In order of falling expected gain."""
    rows, groups, differences = board.candidate_pairs()
    p = probabilities.same(chances.BELONGS, differences)
    p = np.nan_to_num(_with_evidence(p, rows, groups, memory, _is_rejected(board, rows, groups)))
    starts = np.flatnonzero(np.r_[True, rows[1:] != rows[:-1]]) if len(rows) else np.empty(0, np.int64)
    total = np.add.reduceat(p, starts) if len(rows) else np.empty(0)
    gains = net_gain(np.minimum(total, 1), 1.0, memory.slip_rate)
    order = np.argsort(-gains, kind="stable")
    for i in order[gains[order] > _LEAST_GAIN]:
        end = starts[i + 1] if i + 1 < len(starts) else len(rows)
        mine = np.arange(starts[i], end)
        mine = mine[np.argsort(-p[mine], kind="stable")][:MOST_GROUPS]
        mine = mine[p[mine] > 0.01]
        ids = tuple(int(each) for each in groups[mine])
        images = tuple(board.typical(each, N_SHOWN) for each in ids)
        image = np.array([rows[starts[i]]])
        best = float(p[mine].max())
        yield Question(
            WHO, ids, (image,), float(gains[i]), float(differences[mine[0]]), best, images, tuple(p[mine].tolist())
        )


@dataclass(frozen=True, eq=False)
class _Tiles:
    """What could belong to a group, as parallel arrays; a tile is a small group, or -1 - row for an image."""

    groups: IntArray
    tiles: IntArray
    sizes: FloatArray
    differences: FloatArray
    p: FloatArray

    def where(self, keep: BoolArray) -> "_Tiles":
        """Some of the tiles."""
        return _Tiles(*(getattr(self, each.name)[keep] for each in fields(self)))


def _small_groups(board: Board, memory: Memory, probabilities: Probabilities) -> _Tiles:
    a, b, differences = near_pairs(board)
    is_larger = board.sizes_of(a) >= board.sizes_of(b)
    target, small = np.where(is_larger, a, b), np.where(is_larger, b, a)
    p = probabilities.same(chances.SAME, differences)
    tiles = _Tiles(target, small, board.sizes_of(small).astype(np.float64), differences, p)
    can_matter = net_gain(p, 1.0, memory.slip_rate) > 0
    tiles = tiles.where((tiles.sizes <= _LARGEST_TILE) & can_matter)
    for i, pair in enumerate(zip(tiles.groups.tolist(), tiles.tiles.tolist(), strict=True)):
        evidence = memory.about_pair(*pair)
        is_firm = evidence is None and board.is_apart(*pair)
        tiles.p[i] = 0.0 if is_firm else memory.posterior(float(tiles.p[i]), evidence) or 0.0
    return tiles


def _single_images(board: Board, memory: Memory, probabilities: Probabilities) -> _Tiles:
    rows, groups, differences = board.candidate_pairs()
    p = probabilities.same(chances.BELONGS, differences)
    tiles = _Tiles(groups, -1 - rows, np.ones(len(rows)), differences, p)
    tiles = tiles.where(net_gain(p, 1.0, memory.slip_rate) > 0)
    rows = -1 - tiles.tiles
    p = _with_evidence(tiles.p, rows, tiles.groups, memory, _is_rejected(board, rows, tiles.groups))
    return replace(tiles, p=p)


def _best_strips(groups: IntArray, gains: FloatArray, p: FloatArray) -> Iterator[tuple[int, IntArray, float]]:
    """Per group the tiles with the largest gains, and the gain per answer; a mark is an answer."""
    order = np.lexsort((-gains, groups))
    order = order[gains[order] > 0]
    if not len(order):
        return
    starts = np.flatnonzero(np.r_[True, groups[order][1:] != groups[order][:-1]])
    place = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    order = order[place < MOST_TILES]
    starts = np.flatnonzero(np.r_[True, groups[order][1:] != groups[order][:-1]])
    per_answer = np.add.reduceat(gains[order], starts) / (1 + np.add.reduceat(p[order], starts))
    ends = np.r_[starts[1:], len(order)]
    for i in np.argsort(-per_answer, kind="stable"):
        if per_answer[i] <= _LEAST_GAIN:
            return
        yield int(groups[order[starts[i]]]), order[starts[i] : ends[i]], float(per_answer[i])


def _with_evidence(p: FloatArray, rows: IntArray, groups: IntArray, memory: Memory, is_firm: BoolArray) -> FloatArray:
    """Probabilities of "belongs" with what people said; where they decided, or lately answered, nothing is asked.

    ``is_firm`` says where they decided; such an image is asked about again only to check an answer.
    """
    p = p.copy()
    for i, key in enumerate(zip(rows.tolist(), groups.tolist(), strict=True)):
        evidence = memory.images.get(key)
        if evidence is None:
            continue
        after = memory.posterior(float(p[i]), evidence)
        p[i] = np.nan if after is None else after
        is_firm[i] = False
    p[is_firm] = np.nan
    return p


def _is_rejected(board: Board, rows: IntArray, groups: IntArray) -> BoolArray:
    return np.array([board.is_rejected(*key) for key in zip(rows.tolist(), groups.tolist(), strict=True)], np.bool_)
