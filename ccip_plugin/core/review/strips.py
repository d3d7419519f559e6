"""Questions about several images and one group, and about one image and several groups."""

from collections.abc import Iterator

import numpy as np

from ..arrays import FloatArray, IntArray
from .board import UNASSIGNED
from .kinds import IN, MOST_GROUPS, MOST_TILES, OUT, WHO, Question
from .matters import Matters, Pairs
from .memory import net_gain
from .pairs import LEAST_GAIN, N_SHOWN, examples

_LARGEST_TILE = 20  # larger groups are asked about by themselves
_N_OF_TILE = 3  # images that are shown of a small group
_LEAST_SHARE = 0.05  # of the best group's probability: less likely ones are not offered


def out_questions(matters: Matters) -> Iterator[Question]:
    """Which of these images do not belong to their group? In order of falling expected gain."""
    board, memory, members = matters.board, matters.memory, matters.members
    gains = np.nan_to_num(net_gain(1 - members.p, 1.0, memory.slip_rate))
    for group_id, chosen, gain in _best_strips(members.right, gains, 1 - members.p):
        tiles = members.where(chosen)
        images = (examples(board, board.members(group_id), memory.times_shown(group_id)),)
        difference, p = float(tiles.differences.mean()), float(tiles.p.mean())
        each = tuple(tiles.p.tolist()), tuple(tiles.features)
        yield Question(OUT, (group_id,), (tiles.left,), gain, difference, p, images, *each)


def in_questions(matters: Matters) -> Iterator[Question]:
    """Which of these images and small groups belong to a group? In order of falling expected gain."""
    board, memory = matters.board, matters.memory
    groups, tiles, sizes, pairs = _tiles(matters)
    p = np.concatenate([each.p for each in pairs])
    differences = np.concatenate([each.differences for each in pairs])
    gains = np.nan_to_num(net_gain(p, sizes, memory.slip_rate))
    for group_id, chosen, gain in _best_strips(groups, gains, p):
        keys = tiles[chosen].tolist()
        small = tuple(max(key, UNASSIGNED) for key in keys)
        items = tuple(np.array([-1 - key]) if key < 0 else board.members(key) for key in keys)
        shown = (board.typical(each, _N_OF_TILE) if each else rows for each, rows in zip(small, items, strict=True))
        images = (examples(board, board.members(group_id), memory.times_shown(group_id)), *shown)
        x = tuple(_row(pairs[0].features, pairs[1].features, i) for i in chosen)
        mean, difference, chances = (
            float(p[chosen].mean()),
            float(differences[chosen].mean()),
            tuple(p[chosen].tolist()),
        )
        yield Question(IN, (group_id, *small), items, gain, difference, mean, images, chances, x)


def who_questions(matters: Matters) -> Iterator[Question]:
    """Whose is this image? In order of falling expected gain."""
    board, candidates = matters.board, matters.candidates
    if not len(candidates.left):
        return
    rows, p = candidates.left, np.nan_to_num(candidates.p)
    starts = np.flatnonzero(np.r_[True, rows[1:] != rows[:-1]])
    ends = np.r_[starts[1:], len(rows)]
    gains = net_gain(np.minimum(np.add.reduceat(p, starts), 1), 1.0, matters.memory.slip_rate)
    for i in np.argsort(-gains, kind="stable"):
        if gains[i] <= LEAST_GAIN:
            return
        order = starts[i] + np.argsort(-p[starts[i] : ends[i]], kind="stable")[:MOST_GROUPS]
        offered = candidates.where(order[p[order] >= _LEAST_SHARE * p[order[0]]])
        ids = tuple(offered.right.tolist())
        images = tuple(board.typical(each, N_SHOWN) for each in ids)
        difference, best = float(offered.differences[0]), float(offered.p[0])
        each = tuple(offered.p.tolist()), tuple(offered.features)
        yield Question(WHO, ids, (offered.left[:1],), float(gains[i]), difference, best, images, *each)


def _tiles(matters: Matters) -> tuple[IntArray, IntArray, FloatArray, tuple[Pairs, Pairs]]:
    """Groups, what could belong to them (a small group, or -1 - row), its size, and both as pairs."""
    pairs, singles = matters.groups, matters.candidates
    pairs = pairs.where((pairs.sizes <= _LARGEST_TILE) & (pairs.p > 0))
    groups = np.concatenate([pairs.left, singles.right])
    tiles = np.concatenate([pairs.right, -1 - singles.left])
    return groups, tiles, np.concatenate([pairs.sizes, singles.sizes]), (pairs, singles)


def _row(first: FloatArray, second: FloatArray, i: int) -> FloatArray:
    row: FloatArray = first[i] if i < len(first) else second[i - len(first)]
    return row


def _best_strips(groups: IntArray, gains: FloatArray, p: FloatArray) -> Iterator[tuple[int, IntArray, float]]:
    """Per group the tiles with the largest gains, and the gain per answer; a mark is an answer."""
    order = np.flatnonzero(gains > 0)
    order = order[np.lexsort((-gains[order], groups[order]))]
    if not len(order):
        return
    starts = np.flatnonzero(np.r_[True, groups[order][1:] != groups[order][:-1]])
    place = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    order = order[place < MOST_TILES]
    starts = np.flatnonzero(np.r_[True, groups[order][1:] != groups[order][:-1]])
    ends = np.r_[starts[1:], len(order)]
    per_answer = np.add.reduceat(gains[order], starts) / (1 + np.add.reduceat(p[order], starts))
    for i in np.argsort(-per_answer, kind="stable"):
        if per_answer[i] <= LEAST_GAIN:
            return
        yield int(groups[order[starts[i]]]), order[starts[i] : ends[i]], float(per_answer[i])
