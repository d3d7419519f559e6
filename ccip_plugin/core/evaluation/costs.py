"""Errors of a clustering by image, group and character, and the clicks it takes to correct them."""

from dataclasses import dataclass

import numpy as np

from ..arrays import BoolArray, IntArray
from ..errors import ParameterError
from .labels import Names, encode_labels, noise_as_singletons


@dataclass(frozen=True)
class GroupRow:
    """A group.

    Attributes:
        name: name of the group
        character: character that the group is assigned to
        n_images: number of images
        purity: share of the images that are of that character
        n_wrong: number of the other images
        other: most frequent character of these, None without any
        clicks: moves and merges to correct the group
    """

    name: object
    character: object
    n_images: int
    purity: float
    n_wrong: int
    other: object | None
    clicks: int


@dataclass(frozen=True)
class CharacterRow:
    """A character.

    Attributes:
        name: name of the character
        n_images: number of images
        n_groups: number of groups with images of it
        n_pieces: number of groups assigned to it, images in no group included
        n_unassigned: number of its images in no group
        group: group with most of its images, None if all are in no group
        recall: share of its images in that group
        precision: share of that group that is of the character
        clicks: moves and merges to collect it in one group
    """

    name: object
    n_images: int
    n_groups: int
    n_pieces: int
    n_unassigned: int
    group: object | None
    recall: float
    precision: float
    clicks: int


@dataclass(frozen=True, eq=False)
class GroupCosts:
    """What it takes to turn groups into characters.

    Attributes:
        moves: number of images grouped with another character
        merges: number of superfluous groups of characters
        misplaced: ``(n,)`` whether an image has to be moved
        to_join: ``(n,)`` whether an image is in a group that has to be merged into a larger one of the same character,
            or in no group although its character has another image or group
        groups: the groups, the most expensive first
        characters: the characters, the most expensive first
    """

    moves: int
    merges: int
    misplaced: BoolArray
    to_join: BoolArray
    groups: tuple[GroupRow, ...]
    characters: tuple[CharacterRow, ...]

    @property
    def clicks(self) -> int:
        """Clicks to clean: moves and merges."""
        return self.moves + self.merges


def group_costs(labels_pred: Names, labels_true: Names) -> GroupCosts:
    """Counts the clicks to clean: the minimum number of moves and merges that leave one group for each character.

    A *move* takes one image out of its group, into another or a new one. A *merge* joins two groups. An image in no
    group counts as a group of its own, so assigning it to a group is a merge. Each group is assigned to its most
    frequent character; in a tie, such that as many characters as possible have a group. Then every image of another
    character is a move, and every group of a character but one is a merge.

    Args:
        labels_pred: ``(n,)`` group of each image, as numbers or names; None, NaN, "" and negative numbers for none
        labels_true: ``(n,)`` character of each image, likewise; images without a known character are ignored

    Raises:
        ParameterError: the arguments differ in length
    """
    (pred, group_names), (true, names) = encode_labels(labels_pred), encode_labels(labels_true)
    if len(pred) != len(true):
        raise ParameterError("labels_pred", f"{len(pred)} labels", f"as many as labels_true: {len(true)}")
    known = np.flatnonzero(true >= 0)
    table = _ContingencyTable(pred[known], true[known], len(group_names))
    misplaced, to_join = np.zeros((2, len(pred)), np.bool_)
    misplaced[known] = table.character_of_image() != table.true
    to_join[known] = table.is_spare[table.pred] & ~misplaced[known]
    groups, characters = table.group_rows(group_names, names), table.character_rows(group_names, names)
    return GroupCosts(int(misplaced.sum()), int(table.is_spare.sum()), misplaced, to_join, groups, characters)


class _ContingencyTable:
    """Numbers of images by group and character. Groups from ``n_named`` on are images in no group."""

    def __init__(self, pred: IntArray, true: IntArray, n_named: int) -> None:
        self.n_named, self.true = n_named, true
        self.pred = noise_as_singletons(pred, start=n_named)
        n_groups, self.n_characters = n_named + int((pred < 0).sum()), int(true.max(initial=-1)) + 1
        self.sizes, self.totals = np.bincount(self.pred, minlength=n_groups), np.bincount(true)
        cells, self.shared = np.unique(self.pred * np.int64(max(self.n_characters, 1)) + true, return_counts=True)
        self.group, self.character = np.divmod(cells, max(self.n_characters, 1))
        self.largest = np.zeros(n_groups, np.int64)  # images of the most frequent character
        np.maximum.at(self.largest, self.group, self.shared)
        self.assigned = _assign_characters(
            self.group, self.character, self.shared == self.largest[self.group], n_groups
        )
        self.is_spare = self._spare_groups()

    def character_of_image(self) -> IntArray:
        return self.assigned[self.pred]

    def group_rows(self, group_names: list[object], names: list[object]) -> tuple[GroupRow, ...]:
        others = self._second_characters()
        rows = [
            GroupRow(
                group_names[group],
                names[self.assigned[group]],
                int(self.sizes[group]),
                float(self.largest[group] / self.sizes[group]),
                int(self.sizes[group] - self.largest[group]),
                names[others[group]] if others[group] >= 0 else None,
                int(self.sizes[group] - self.largest[group] + self.is_spare[group]),
            )
            for group in range(self.n_named)
            if self.sizes[group]
        ]
        return tuple(sorted(rows, key=lambda row: (-row.clicks, -row.n_images, str(row.name))))

    def character_rows(self, group_names: list[object], names: list[object]) -> tuple[CharacterRow, ...]:
        main, n_main = np.full((2, self.n_characters), -1)
        order = np.lexsort((self.sizes[self.group], -self.shared, self.group >= self.n_named))[::-1]
        main[self.character[order]], n_main[self.character[order]] = self.group[order], self.shared[order]
        is_named = self.group < self.n_named
        n_groups = np.bincount(self.character[is_named], minlength=self.n_characters)
        n_alone = np.bincount(self.character[~is_named], minlength=self.n_characters)
        n_pieces = np.bincount(self.assigned[self.sizes > 0], minlength=self.n_characters)
        n_merges = np.bincount(self.assigned[self.is_spare], minlength=self.n_characters)
        is_wrong = self.assigned[self.group] != self.character
        n_moves = np.bincount(self.character[is_wrong], self.shared[is_wrong], self.n_characters).astype(np.int64)
        rows = [
            CharacterRow(
                name,
                n_images=int(self.totals[i]),
                n_groups=int(n_groups[i]),
                n_pieces=int(n_pieces[i]),
                n_unassigned=int(n_alone[i]),
                group=group_names[main[i]] if main[i] < self.n_named else None,
                recall=float(n_main[i] / self.totals[i]),
                precision=float(n_main[i] / self.sizes[main[i]]),
                clicks=int(n_moves[i] + n_merges[i]),
            )
            for i, name in enumerate(names)
            if self.totals[i]
        ]
        return tuple(sorted(rows, key=lambda row: (-row.clicks, -row.n_images, str(row.name))))

    def _spare_groups(self) -> BoolArray:
        """Whether a group has to be merged: all of a character but the largest; named ones rather stay."""
        groups = np.flatnonzero(self.sizes)
        order = groups[np.lexsort((-self.largest[groups], groups >= self.n_named, self.assigned[groups]))]
        is_first = np.append(True, self.assigned[order][1:] != self.assigned[order][:-1])[: len(order)]
        is_spare = np.zeros(len(self.sizes), np.bool_)
        is_spare[order[~is_first]] = True
        return is_spare

    def _second_characters(self) -> IntArray:
        """The most frequent character of each group besides its own, -1 for none."""
        is_other = self.character != self.assigned[self.group]
        order = np.flatnonzero(is_other)[np.argsort(self.shared[is_other], kind="stable")]
        others = np.full(len(self.sizes), -1)
        others[self.group[order]] = self.character[order]
        return others


def _assign_characters(group: IntArray, character: IntArray, is_largest: BoolArray, n_groups: int) -> IntArray:
    """The most frequent character of each group; in a tie, such that as many characters as possible have a group."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import maximum_bipartite_matching

    rows, cols = group[is_largest], character[is_largest]
    assigned = np.full(n_groups, -1, np.int64)
    assigned[rows[::-1]] = cols[::-1]
    if not len(rows):
        return assigned
    matrix = coo_matrix((np.ones(len(rows), np.int8), (rows, cols)), shape=(n_groups, int(character.max()) + 1))
    matched = maximum_bipartite_matching(matrix.tocsr(), perm_type="column")
    return np.where(matched >= 0, matched, assigned).astype(np.int64)
