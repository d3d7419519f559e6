"""Nearest groups of each group and of each image in no group, kept up to date group by group."""

import numpy as np

from ..arrays import FloatArray, IntArray, Vectors

N_RIVALS = 20
"""How many nearest groups are kept of each group."""

N_CANDIDATES = 5
"""How many nearest groups are kept of each image in no group."""

SPARE = 8
"""How many more are kept of each group, so that the nearest ones are still known when some of them move away."""

_BLOCK = 512
_FEWEST = 2  # entries of a list without spare ones; with fewer it is recomputed


class NearestLists:
    """Lists of the nearest groups, by slot: the row of a group's mean in the array of means.

    A list is exact when it is made. Later changes of other groups enter it if they are nearer than its last entry. With
    spare entries, the first ``width`` are always exact.

    Args:
        n: number of lists
        width: length of each
        spare (0): entries that are kept beyond it, and not given
    """

    def __init__(self, n: int, width: int, spare: int = 0) -> None:
        self.slots = np.full((n, width + spare), -1, np.int64)
        self.differences = np.full((n, width + spare), np.inf, np.float32)
        self._width, self._least = width, width if spare else min(_FEWEST, width)
        self._reach = np.full(n, np.inf, np.float32)  # what is not in the list is at least as far as this

    def grow(self, n: int) -> None:
        """Makes room for more lists."""
        more, width = n - len(self.slots), self.slots.shape[1]
        self.slots = np.concatenate([self.slots, np.full((more, width), -1)])
        self.differences = np.concatenate([self.differences, np.full((more, width), np.inf, np.float32)])
        self._reach = np.concatenate([self._reach, np.full(more, np.inf, np.float32)])

    def set_rows(self, rows: IntArray, differences: Vectors) -> None:
        """Makes lists from the ``(len(rows), n_slots)`` differences to all groups; infinite ones are left out."""
        if not len(rows):
            return
        width = min(self.slots.shape[1], differences.shape[1])
        order = np.argpartition(differences, width - 1, axis=1)[:, :width]
        nearest = np.take_along_axis(differences, order, axis=1)
        by_difference = np.argsort(nearest, axis=1, kind="stable")
        order, nearest = np.take_along_axis(order, by_difference, 1), np.take_along_axis(nearest, by_difference, 1)
        self.slots[rows], self.differences[rows] = -1, np.inf
        self.slots[rows, :width] = np.where(np.isfinite(nearest), order, -1)
        self.differences[rows, :width] = nearest
        self._reach[rows] = self.differences[rows, -1]

    def naming(self, slots: IntArray) -> IntArray:
        """The lists that name any of some groups."""
        lists: IntArray = np.flatnonzero(np.isin(self.slots, slots).any(axis=1))
        return lists

    def remove(self, slots: IntArray, rows: IntArray | None = None) -> None:
        """Takes groups out of the lists of ``rows``, of all by default."""
        rows = np.arange(len(self.slots)) if rows is None else rows
        row, column = np.nonzero(np.isin(self.slots[rows], slots))
        self.slots[rows[row], column], self.differences[rows[row], column] = -1, np.inf

    def clear(self, rows: IntArray) -> None:
        """Empties lists."""
        self.slots[rows], self.differences[rows], self._reach[rows] = -1, np.inf, np.inf

    def insert(self, slot: int, rows: IntArray, differences: FloatArray) -> None:
        """Puts a group into the lists of ``rows`` in which it is near enough."""
        is_near = differences <= self._reach[rows]
        rows, differences = rows[is_near], differences[is_near]
        last = self.differences[rows].argmax(axis=1)
        farthest = self.differences[rows, last]
        full, is_nearer = rows[np.isfinite(farthest)], differences < farthest
        rows, last, differences = rows[is_nearer], last[is_nearer], differences[is_nearer]
        self.slots[rows, last], self.differences[rows, last] = slot, differences
        self._reach[full] = self.differences[full].max(axis=1)  # one group is left out, this one or the last

    def short(self, rows: IntArray) -> IntArray:
        """Which of the lists have become so short that they should be recomputed."""
        few = np.isfinite(self.differences[rows]).sum(axis=1) < self._least
        short: IntArray = rows[few & np.isfinite(self._reach[rows])]
        return short

    def nearest(self, rows: IntArray, but: IntArray) -> tuple[IntArray, FloatArray]:
        """The first group of each of some lists, and the difference; -1 and infinite for none.

        Args:
            rows: the lists
            but: ``(p, 2)`` pairs of groups that are not looked for in each other's lists
        """
        slots, differences = self.slots[rows], self.differences[rows]
        if len(but):
            n = len(self.slots)
            is_out = np.isin(rows[:, None] * n + slots, np.concatenate([but @ (n, 1), but @ (1, n)])) & (slots >= 0)
            differences = np.where(is_out | (differences > self._last(differences)), np.inf, differences)
        places, best = np.arange(len(rows)), differences.argmin(axis=1)
        first, difference = slots[places, best], differences[places, best].astype(np.float64)
        return np.where(np.isfinite(difference), first, -1), difference

    def flat(self, rows: IntArray, limit: float) -> tuple[IntArray, IntArray, FloatArray]:
        """All entries of some lists up to a limit: lists, groups, differences."""
        differences = self.differences[rows]
        is_meant = (differences <= limit) & (differences <= self._last(differences))
        row, column = np.nonzero(is_meant & (self.slots[rows] >= 0))
        return rows[row], self.slots[rows[row], column], differences[row, column].astype(np.float64)

    def sorted(self, row: int) -> tuple[IntArray, FloatArray]:
        """One list, nearest first."""
        order = np.argsort(self.differences[row], kind="stable")
        order = order[np.isfinite(self.differences[row, order])][: self._width]
        return self.slots[row, order], self.differences[row, order].astype(np.float64)

    def _last(self, differences: Vectors) -> Vectors:
        """The largest difference that counts, of each of some lists."""
        place = self._width - 1
        last: Vectors = np.partition(differences, place, axis=1)[:, place : place + 1]
        return last


def blocks(rows: IntArray) -> list[IntArray]:
    """Rows in blocks whose differences to all groups fit into memory."""
    return [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]
