"""What is wrong with groups, where it is known who is who: image by image, group by group, character by character."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..arrays import IntArray
from ..errors import ParameterError
from .labels import Names, codes_of


@dataclass(frozen=True)
class GroupRow:
    """A group.

    Attributes:
        name: of the group
        character: the character that it is taken to be of
        n_images: its images
        purity: which share of them is of that character
        n_wrong: the others
        other: the character that most of these are of, None without any
        clicks: moves and merges that it takes to put it right
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
        name: of the character
        n_images: its images
        n_groups: groups that it has images in
        n_pieces: groups that are taken to be of it; in how many pieces it is
        n_unassigned: its images in no group
        group: the group that has most of it, None when all its images are in no group
        recall: which share of its images that group has
        precision: which share of that group it is
        clicks: moves and merges that it takes to bring it together
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
    """What it takes to get from groups to characters.

    Attributes:
        moves: images that are with another character
        merges: groups of one character too many
        misplaced: ``(n,)`` images that have to be moved
        to_join: ``(n,)`` images in a group that has to be merged with a larger one of the same character; and images in
            no group, of characters that have others
        groups: the groups, those that cost most first
        characters: the characters, those that cost most first
    """

    moves: int
    merges: int
    misplaced: NDArray[np.bool_]
    to_join: NDArray[np.bool_]
    groups: tuple[GroupRow, ...]
    characters: tuple[CharacterRow, ...]

    @property
    def clicks(self) -> int:
        """Clicks to clean: moves and merges."""
        return self.moves + self.merges


def group_costs(labels_pred: Names, labels_true: Names) -> GroupCosts:
    """Counts the clicks to clean: the fewest moves and merges from groups to one group for each character.

    A *move* takes one image out of its group and into another, or sets it apart. A *merge* makes one group of two. An
    image in no group is a group of its own: giving it a group is a merge. Each group is taken to be of the character
    that most of its images are of; where several have as many, so that as many characters as possible have a group.
    Then every image of another character is a move, and every group of a character beyond its first is a merge.

    Args:
        labels_pred: ``(n,)`` the group of each image, as numbers or names; None, NaN, "" and negative for none
        labels_true: ``(n,)`` the character of each image, likewise; images without a known one are left out

    Raises:
        ParameterError: the two have different lengths
    """
    (pred, group_names), (true, names) = codes_of(labels_pred), codes_of(labels_true)
    if len(pred) != len(true):
        raise ParameterError("labels_pred", f"{len(pred)} labels", f"as many as labels_true: {len(true)}")
    known = np.flatnonzero(true >= 0)
    table = _Table(pred[known], true[known], len(group_names))
    misplaced, to_join = np.zeros((2, len(pred)), np.bool_)
    misplaced[known] = table.owner_of_image() != table.true
    to_join[known] = table.is_spare[table.pred] & ~misplaced[known]
    groups, characters = table.group_rows(group_names, names), table.character_rows(group_names, names)
    return GroupCosts(int(misplaced.sum()), int(table.is_spare.sum()), misplaced, to_join, groups, characters)


class _Table:
    """Images by group and character. IntArray of groups from ``n_named`` on are images in no group."""

    def __init__(self, pred: IntArray, true: IntArray, n_named: int) -> None:
        self.n_named, self.true = n_named, true
        self.pred = pred.copy()
        is_alone = pred < 0
        self.pred[is_alone] = n_named + np.arange(int(is_alone.sum()))
        n_groups, self.n_characters = n_named + int(is_alone.sum()), int(true.max(initial=-1)) + 1
        self.sizes, self.totals = np.bincount(self.pred, minlength=n_groups), np.bincount(true)
        cells, self.shared = np.unique(self.pred * np.int64(max(self.n_characters, 1)) + true, return_counts=True)
        self.group, self.character = np.divmod(cells, max(self.n_characters, 1))
        self.most = np.zeros(n_groups, np.int64)
        np.maximum.at(self.most, self.group, self.shared)
        self.owner = _owners(self.group, self.character, self.shared == self.most[self.group], n_groups)
        self.is_spare = self._spare()

    def owner_of_image(self) -> IntArray:
        return self.owner[self.pred]

    def group_rows(self, group_names: list[object], names: list[object]) -> tuple[GroupRow, ...]:
        others = self._others()
        rows = [
            GroupRow(
                group_names[group],
                names[self.owner[group]],
                int(self.sizes[group]),
                float(self.most[group] / self.sizes[group]),
                int(self.sizes[group] - self.most[group]),
                names[others[group]] if others[group] >= 0 else None,
                int(self.sizes[group] - self.most[group] + self.is_spare[group]),
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
        there = self.sizes > 0
        n_pieces = np.bincount(self.owner[there], minlength=self.n_characters)
        n_merges = np.bincount(self.owner[self.is_spare], minlength=self.n_characters)
        is_wrong = self.owner[self.group] != self.character
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

    def _spare(self) -> NDArray[np.bool_]:
        """The groups that are to be merged: all of a character but the largest; named ones stay rather than others."""
        there = np.flatnonzero(self.sizes)
        order = there[np.lexsort((-self.most[there], there >= self.n_named, self.owner[there]))]
        is_first = np.append(True, self.owner[order][1:] != self.owner[order][:-1])[: len(order)]
        spare = np.zeros(len(self.sizes), np.bool_)
        spare[order[~is_first]] = True
        return spare

    def _others(self) -> IntArray:
        """The character that is the second most frequent in each group, -1 for none."""
        is_other = self.character != self.owner[self.group]
        order = np.flatnonzero(is_other)[np.argsort(self.shared[is_other], kind="stable")]
        others = np.full(len(self.sizes), -1)
        others[self.group[order]] = self.character[order]
        return others


def _owners(group: IntArray, character: IntArray, is_most: NDArray[np.bool_], n_groups: int) -> IntArray:
    """The character of each group: the most frequent; of several, so that as many characters as can be have a group."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import maximum_bipartite_matching

    rows, cols = group[is_most], character[is_most]
    owners = np.full(n_groups, -1, np.int64)
    owners[rows[::-1]] = cols[::-1]
    if not len(rows):
        return owners
    matrix = coo_matrix((np.ones(len(rows), np.int8), (rows, cols)), shape=(n_groups, int(character.max()) + 1))
    matched = maximum_bipartite_matching(matrix.tocsr(), perm_type="column")
    return np.where(matched >= 0, matched, owners).astype(np.int64)
