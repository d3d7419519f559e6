"""The groups as a review sees them: members, means, rivals; after a change only the groups concerned are computed."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import BoolArray, FloatArray, IntArray, Vectors
from ..errors import ParameterError
from .neighbors import N_CANDIDATES, N_RIVALS, SPARE, NearestLists, blocks

UNASSIGNED = 0
"""Group id of images in no group."""


class Board:
    """Images, their groups, and what people said about them.

    Images are rows: positions in ``vectors``. Ignored images belong to their group but are in no mean and no question.

    Args:
        vectors: ``(n, dim)`` float32 embeddings of unit length, in memory or a memory map
        group_ids: ``(n,)`` positive ids, :data:`UNASSIGNED` for images in no group
        confirmed (None): ``(n,)`` images whose label a person confirmed
        ignored (None): ``(n,)`` images that show no character
        apart (()): pairs of group ids that are different characters
        rejected (None): by group id, the rows that do not belong to it
        threshold: difference up to which two images are one character

    Attributes:
        group_of: ``(n,)`` group id of each image
        difference: ``(n,)`` mean difference of each image to the others of its group, NaN where there are none
        rival_difference: ``(n,)`` mean difference of each image to the nearest of its group's rivals, infinite if none
        has_rejections: ``(n,)`` whether an image is rejected by any group, or was so once
        merged: groups that are gone, in order: each with the one into which it moved as a whole
        touched: ids of groups whose images changed, in order
        revision: grows with each change
    """

    def __init__(
        self,
        vectors: Vectors,
        group_ids: ArrayLike,
        *,
        confirmed: ArrayLike | None = None,
        ignored: ArrayLike | None = None,
        apart: Iterable[Iterable[int]] = (),
        rejected: Mapping[int, Iterable[int]] | None = None,
        threshold: float,
    ) -> None:
        n = len(vectors)
        self.vectors, self.threshold, self.revision = vectors, threshold, 0
        self.group_of: IntArray = _column("group_ids", group_ids, n).astype(np.int64)
        if (self.group_of < 0).any():
            raise ParameterError("group_ids", int(self.group_of.min()), "positive, or 0 for images in no group")
        self.confirmed: BoolArray = _column("confirmed", np.zeros(n) if confirmed is None else confirmed, n).astype(
            bool
        )
        self.ignored: BoolArray = _column("ignored", np.zeros(n) if ignored is None else ignored, n).astype(bool)
        self.apart = {frozenset(map(int, pair)) for pair in apart}
        self.rejected = {int(key): {int(row) for row in rows} for key, rows in (rejected or {}).items()}
        self.merged: list[tuple[int, int]] = []
        self.touched: list[int] = []
        self.has_rejections = np.zeros(n, bool)
        for rows in self.rejected.values():
            self.has_rejections[list(rows)] = True
        self.difference = np.full(n, np.nan, np.float32)
        self.rival_difference = np.full(n, np.inf, np.float32)
        self._build()

    @property
    def ids(self) -> IntArray:
        """``(k,)`` ids of the groups."""
        return self._ids[self._living()]

    @property
    def sizes(self) -> IntArray:
        """``(k,)`` numbers of images that are not ignored."""
        return self._sizes[self._living()]

    @property
    def means(self) -> Vectors:
        """``(k, dim)`` mean embeddings, not of unit length."""
        return self._means[self._living()]

    def __contains__(self, group_id: object) -> bool:
        return group_id in self._slots

    def size(self, group_id: int) -> int:
        """Number of images of a group that are not ignored; 0 if there is no such group."""
        return int(self._sizes[self._slots[group_id]]) if group_id in self._slots else 0

    def members(self, group_id: int) -> IntArray:
        """Rows of a group that are not ignored."""
        return self._members[self._slot(group_id)]

    def unassigned(self) -> IntArray:
        """Rows in no group that are not ignored."""
        return np.flatnonzero((self.group_of == UNASSIGNED) & ~self.ignored)

    def inside(self, group_id: int) -> float:
        """Mean difference between the images of a group; NaN for one image."""
        return float(self._insides[self._slot(group_id)])

    def between(self, a: int, b: int) -> float:
        """Mean difference between the images of two groups."""
        first, second = self._means[self._slot(a)], self._means[self._slot(b)]
        return float((1 - first.astype(np.float64) @ second) / 2)

    def to_group(self, rows: IntArray, group_id: int) -> FloatArray:
        """Mean difference of each image to the images of a group that does not contain it."""
        differences: FloatArray = ((1 - self.vectors[rows] @ self._means[self._slot(group_id)]) / 2).astype(np.float64)
        return differences

    def rivals(self, group_id: int, n: int = N_RIVALS) -> tuple[IntArray, FloatArray]:
        """Ids of the nearest groups and the mean differences to them."""
        slots, differences = self._rivals.sorted(self._slot(group_id))
        return self._ids[slots[:n]], differences[:n]

    def nearest_others(self) -> tuple[IntArray, FloatArray]:
        """Of each of ``ids`` the nearest group that is not recorded as another character, 0 for none; and how far."""
        living, slot = self._living(), self._slots
        pairs = [[slot[each] for each in pair] for pair in self.apart if len(pair) == 2 and pair <= slot.keys()]
        slots, differences = self._rivals.nearest(living, np.array(pairs, np.int64).reshape(-1, 2))
        return np.where(slots < 0, UNASSIGNED, self._ids[slots]), differences

    def candidates(self, row: int, n: int = N_CANDIDATES) -> tuple[IntArray, FloatArray]:
        """Ids of the groups nearest to an image in no group, and the mean differences to them."""
        slots, differences = self._candidates.sorted(row)
        return self._ids[slots[:n]], differences[:n]

    def rival_pairs(self, limit: float = np.inf) -> tuple[IntArray, IntArray, FloatArray]:
        """All pairs of groups of which one is a rival of the other: ids, ids, mean differences up to a limit."""
        first, second, differences = self._rivals.flat(self._living(), limit)
        low, high = np.minimum(first, second), np.maximum(first, second)
        _, once = np.unique(low * len(self._ids) + high, return_index=True)
        return self._ids[low[once]], self._ids[high[once]], differences[once]

    def candidate_pairs(self) -> tuple[IntArray, IntArray, FloatArray]:
        """Images in no group with the groups nearest to them: rows, ids, mean differences."""
        rows, slots, differences = self._candidates.flat(self.unassigned(), np.inf)
        return rows, self._ids[slots], differences

    def sizes_of(self, group_ids: IntArray) -> IntArray:
        """Numbers of images of groups."""
        return self._sizes[self._slots_of(group_ids)]

    def insides_of(self, group_ids: IntArray) -> FloatArray:
        """Mean differences between the images of groups; NaN for groups of one image."""
        return self._insides[self._slots_of(group_ids)]

    def around(self, rows: IntArray) -> tuple[FloatArray, IntArray]:
        """Mean difference inside of the group of each image, and its size; of images that are in a group."""
        slots = self._slot_of[rows]
        return self._insides[slots], self._sizes[slots]

    def nearest_to(self, rows: IntArray, mean: NDArray[np.floating], n: int, *, farthest: bool = False) -> IntArray:
        """The rows nearest to a mean, or farthest from it."""
        alike = self.vectors[rows] @ mean
        return rows[np.argsort(alike if farthest else -alike, kind="stable")[:n]]

    def nearest(self, rows: IntArray, to_group: int, n: int) -> IntArray:
        """The rows nearest to a group."""
        return rows[np.argsort(self.to_group(rows, to_group), kind="stable")[:n]]

    def typical(self, group_id: int, n: int) -> IntArray:
        """Rows of a group nearest to its mean, nearest first."""
        rows = self.members(group_id)
        return rows[np.argsort(self.difference[rows], kind="stable")[:n]]

    def doubtful(self, group_id: int, n: int) -> IntArray:
        """Rows of a group that fit least: far from the others compared with the nearest rival; confirmed ones last."""
        rows = self.members(group_id)
        margin = np.nan_to_num(self.rival_difference[rows] - self.difference[rows], posinf=1.0)
        return rows[np.lexsort((margin, self.confirmed[rows]))[:n]]

    def assign(self, rows: ArrayLike, group_id: int, confirmed: bool = True) -> None:
        """Moves images to a group, a new one if there is none of that id; 0 for no group.

        A group that moves as a whole hands on its kept-apart pairs and rejections; one that becomes empty is gone.
        """
        rows = _rows(rows, len(self.group_of))
        moved = np.unique(self.group_of[rows])
        self.group_of[rows], self.confirmed[rows], self.ignored[rows] = group_id, confirmed, False
        if group_id:
            self.rejected.get(group_id, set()).difference_update(rows.tolist())
        self._update({*moved.tolist(), int(group_id)} - {UNASSIGNED}, rows)
        for each in moved.tolist():
            if each not in self._slots and group_id and each not in (UNASSIGNED, group_id):
                self._hand_on(each, int(group_id))

    def ignore(self, rows: ArrayLike) -> None:
        """Takes images that show no character out of all means and questions."""
        rows = _rows(rows, len(self.group_of))
        self.ignored[rows] = True
        self._update(set(self.group_of[rows].tolist()) - {UNASSIGNED}, rows)

    def confirm(self, rows: ArrayLike) -> None:
        """Marks images as confirmed by a person."""
        self.confirmed[_rows(rows, len(self.group_of))] = True
        self.revision += 1

    def keep_apart(self, a: int, b: int, is_apart: bool = True) -> None:
        """Records that two groups are different characters, or no longer."""
        (self.apart.add if is_apart else self.apart.discard)(frozenset((int(a), int(b))))
        self.revision += 1

    def reject(self, rows: ArrayLike, group_id: int) -> None:
        """Records that images do not belong to a group, and takes those that are in it out of it."""
        rows = _rows(rows, len(self.group_of))
        self.rejected.setdefault(int(group_id), set()).update(rows.tolist())
        self.has_rejections[rows] = True
        inside = rows[self.group_of[rows] == group_id]
        if len(inside):
            self.assign(inside, UNASSIGNED, confirmed=False)
        self.revision += 1

    def is_apart(self, a: int, b: int) -> bool:
        """Whether two groups are recorded as different characters."""
        return frozenset((a, b)) in self.apart

    def is_rejected(self, row: int, group_id: int) -> bool:
        """Whether an image is recorded as not belonging to a group."""
        return row in self.rejected.get(group_id, ())

    def _build(self) -> None:
        rows = np.flatnonzero((self.group_of != UNASSIGNED) & ~self.ignored)
        rows = rows[np.argsort(self.group_of[rows], kind="stable")]
        ids, starts = np.unique(self.group_of[rows], return_index=True)
        k, dim = len(ids), self.vectors.shape[1]
        self._members = np.split(rows, starts[1:]) if k else []
        self._slots = {int(each): slot for slot, each in enumerate(ids)}
        self._free: list[int] = []
        self._order: tuple[IntArray, IntArray] | None = None
        self._ids, self._sizes = ids.astype(np.int64), np.array([len(m) for m in self._members], np.int64)
        self._means = np.zeros((k, dim), np.float32)
        self._insides = np.full(k, np.nan)
        self._slot_of = np.full(len(self.group_of), -1)
        for slot in range(k):
            self._average(slot)
        self._rivals = NearestLists(k, N_RIVALS, SPARE)
        self._candidates = NearestLists(len(self.group_of), N_CANDIDATES)
        for block in blocks(np.arange(k)):
            self._rivals.set_rows(block, self._to_all(block))
        for block in blocks(self.unassigned()):
            self._candidates.set_rows(block, self._images_to_all(block))
        for slot in range(k):
            self._measure(slot)

    def _living(self) -> IntArray:
        return np.flatnonzero(self._sizes)

    def _slot(self, group_id: int) -> int:
        if group_id not in self._slots:
            raise ParameterError("group_id", group_id, "the id of a group with images")
        return self._slots[group_id]

    def _slots_of(self, group_ids: IntArray) -> IntArray:
        if self._order is None:
            order = np.argsort(self._ids, kind="stable")
            self._order = self._ids[order], order
        slots: IntArray = self._order[1][np.searchsorted(self._order[0], group_ids, side="right") - 1]
        return slots

    def _to_all(self, slots: IntArray) -> Vectors:
        differences: Vectors = np.asarray((1 - self._means[slots] @ self._means.T) / 2, np.float32)
        differences[:, self._sizes == 0] = np.inf
        differences[np.arange(len(slots)), slots] = np.inf
        return differences

    def _images_to_all(self, rows: IntArray) -> Vectors:
        differences: Vectors = np.asarray((1 - self.vectors[rows] @ self._means.T) / 2, np.float32)
        differences[:, self._sizes == 0] = np.inf
        return differences

    def _average(self, slot: int) -> None:
        """Mean of a group, and mean difference inside of it."""
        members = self._members[slot]
        n, mean = len(members), self.vectors[members].mean(axis=0, dtype=np.float64)
        self._means[slot], self._slot_of[members] = mean, slot
        self._insides[slot] = (1 - (n * float(mean @ mean) - 1) / (n - 1)) / 2 if n > 1 else np.nan

    def _measure(self, slot: int) -> None:
        """Differences of a group's images to each other and to the rivals."""
        rows = self._members[slot]
        n, vectors = len(rows), self.vectors[rows]
        alike = vectors @ self._means[slot]
        self.difference[rows] = (1 - (n * alike - 1) / (n - 1)) / 2 if n > 1 else np.nan
        rivals = self._rivals.sorted(slot)[0]
        best = (vectors @ self._means[rivals].T).max(axis=1) if len(rivals) else np.full(n, -np.inf)
        self.rival_difference[rows] = (1 - best) / 2

    def _update(self, group_ids: set[int], rows: IntArray) -> None:
        """Computes changed groups, and what depends on them."""
        self.revision += 1
        self.touched += group_ids
        self._order = None
        # The rows that left or entered, and the members before: no pass over all images.
        pool = [self._members[self._slots[each]] for each in group_ids if each in self._slots]
        pooled = np.unique(np.concatenate([rows, *pool]))
        pooled = pooled[~self.ignored[pooled]]
        changed: list[int] = []
        gone: list[int] = []
        for each in sorted(group_ids):
            members = pooled[self.group_of[pooled] == each]
            slot = self._slots[each] if each in self._slots else self._new_slot(each) if len(members) else -1
            if slot < 0:
                continue
            self._members[slot], self._sizes[slot] = members, len(members)
            (changed if len(members) else gone).append(slot)
            if len(members):
                self._average(slot)
            else:
                self._free.append(slot)
                self._ids[slot] = UNASSIGNED
                del self._slots[each]
        free = rows[(self.group_of[rows] != UNASSIGNED) | self.ignored[rows]]
        self.difference[rows], self.rival_difference[rows] = np.nan, np.inf
        self._candidates.clear(free)
        self._update_lists(np.array(changed, np.int64), np.array(gone, np.int64), rows)

    def _update_lists(self, changed: IntArray, gone: IntArray, rows: IntArray) -> None:
        both = np.concatenate([changed, gone])
        before = np.unique(self._rivals.slots[both])
        concerned = np.concatenate([both, before[before >= 0]])
        had_them = self._rivals.naming(both)
        self._rivals.clear(gone)
        self._rivals.remove(both)
        to_all = self._to_all(changed)
        self._rivals.set_rows(changed, to_all)
        others = np.setdiff1d(self._living(), changed)
        for slot, differences in zip(changed.tolist(), to_all, strict=True):
            self._rivals.insert(slot, others, differences[others])
        short = self._rivals.short(others)
        self._rivals.set_rows(short, self._to_all(short))
        self._update_candidates(changed, both, concerned, rows)
        have_them = np.concatenate([changed, had_them, self._rivals.naming(changed)])
        for slot in np.intersect1d(have_them, self._living()).tolist():
            self._measure(slot)

    def _update_candidates(self, changed: IntArray, both: IntArray, concerned: IntArray, rows: IntArray) -> None:
        """Lists of images in no group: those that name a changed group or one that was near it."""
        new = rows[(self.group_of[rows] == UNASSIGNED) & ~self.ignored[rows]]
        self._candidates.set_rows(new, self._images_to_all(new))
        unassigned = np.setdiff1d(self.unassigned(), new)
        near = np.concatenate([concerned, self._rivals.slots[changed].ravel()])
        is_near = np.isin(self._candidates.slots[unassigned], near[near >= 0]).any(axis=1)
        is_near |= ~np.isfinite(self._candidates.differences[unassigned, 0])
        unassigned = unassigned[is_near]
        self._candidates.remove(both, unassigned)
        vectors = self.vectors[unassigned]
        for slot in changed.tolist():
            self._candidates.insert(slot, unassigned, (1 - vectors @ self._means[slot]) / 2)
        short = self._candidates.short(unassigned)
        self._candidates.set_rows(short, self._images_to_all(short))

    def _new_slot(self, group_id: int) -> int:
        if not self._free:
            n = len(self._ids)
            more = max(8, n // 8)
            self._ids = np.concatenate([self._ids, np.zeros(more, np.int64)])
            self._sizes = np.concatenate([self._sizes, np.zeros(more, np.int64)])
            self._insides = np.concatenate([self._insides, np.full(more, np.nan)])
            self._means = np.concatenate([self._means, np.zeros((more, self._means.shape[1]), np.float32)])
            self._members += [np.empty(0, np.int64)] * more
            self._rivals.grow(n + more)
            self._free = list(range(n + more - 1, n - 1, -1))
        slot = self._free.pop()
        self._ids[slot], self._slots[group_id] = group_id, slot
        return slot

    def _hand_on(self, old: int, new: int) -> None:
        self.merged.append((old, new))
        for pair in [pair for pair in self.apart if old in pair]:
            self.apart.discard(pair)
            (other,) = pair - {old} or {old}
            if other != new:
                self.apart.add(frozenset((new, other)))
        rejected = self.rejected.pop(old, set())
        kept = {row for row in rejected if self.group_of[row] != new}
        if kept:
            self.rejected.setdefault(new, set()).update(kept)


def _column(name: str, values: ArrayLike, n: int) -> NDArray[Any]:
    column = np.array(values)
    if column.shape != (n,):
        raise ParameterError(name, f"of shape {column.shape}", f"of shape ({n},), one value per vector")
    return column


def _rows(rows: ArrayLike, n: int) -> IntArray:
    result = np.unique(np.asarray(rows, np.int64).ravel())
    if len(result) and not 0 <= result[0] <= result[-1] < n:
        raise ParameterError("rows", f"{result[0]} to {result[-1]}", f"positions from 0 to {n - 1}")
    return result
