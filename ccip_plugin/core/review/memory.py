"""What was asked and answered, so that nothing is asked twice except to check an answer."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from ..arrays import FloatArray, IntArray
from .board import Board

LATER = 20
"""After how many further answers a question that was put off, or is asked again to check, comes back."""

_MOST_TIMES = 2  # an answer is checked once; a contradiction is put a third time
_SLIPS, _SLIPS_OF = 1.5, 100.0  # assumed slips of the reviewer, and in how many answers


@dataclass
class Evidence:
    """What people said about one matter: whether two groups, or an image and a group, are one character.

    Attributes:
        same: how often they said yes
        different: how often they said no
        last: number of the last answer about it
    """

    same: int = 0
    different: int = 0
    last: int = 0

    @property
    def n(self) -> int:
        """How often it was answered."""
        return self.same + self.different

    @property
    def is_contradictory(self) -> bool:
        """Whether there are answers of both kinds."""
        return bool(self.same and self.different)

    def add(self, is_same: bool, number: int) -> None:
        """Records an answer."""
        self.same, self.different = self.same + is_same, self.different + (not is_same)
        self.last = max(self.last, number)


@dataclass(frozen=True, eq=False)
class Cut:
    """Two parts of a group about which people said whether they are one character."""

    first: IntArray
    second: IntArray
    evidence: Evidence = field(default_factory=Evidence)

    def matches(self, first: IntArray, second: IntArray) -> bool:
        """Whether it is about the same division, up to a sixth of the images."""
        straight = np.isin(first, self.first).sum() + np.isin(second, self.second).sum()
        crossed = np.isin(first, self.second).sum() + np.isin(second, self.first).sum()
        return bool(max(straight, crossed) * 6 >= (len(first) + len(second)) * 5)


class Memory:
    """Answers by matter. Group ids follow the merges of the board.

    Attributes:
        number: number of the last answer
        pairs: evidence by pair of group ids
        images: evidence by image and group: ``(row, group id)``
        cuts: by group id, the divisions that were asked about
        unsure: keys of questions that were answered "cannot tell"
        whole: groups of which is to be asked whether all images are the character of the confirmed ones
        n_facts: number of matters answered; a strip is one per tile
        n_slips: how many of these answers others contradict
    """

    def __init__(self) -> None:
        self.number, self.n_facts, self.n_slips = 0, 0, 0
        self.pairs: dict[frozenset[int], Evidence] = {}
        self.images: dict[tuple[int, int], Evidence] = {}
        self.cuts: dict[int, list[Cut]] = {}
        self.unsure: set[object] = set()
        self.whole: set[int] = set()
        self.shown: dict[int, int] = {}
        self._later: dict[object, int] = {}
        self._n_merged = 0

    @property
    def slip_rate(self) -> float:
        """Estimated share of the reviewer's answers that are slips."""
        return (_SLIPS + self.n_slips) / (_SLIPS_OF + self.n_facts)

    def follow(self, board: Board) -> None:
        """Hands evidence about merged groups on to the groups into which they were merged."""
        for old, new in board.merged[self._n_merged :]:
            self._hand_on(old, new)
        self._n_merged = len(board.merged)

    def put_off(self, key: object) -> None:
        """Records "later"."""
        self._later[key] = self.number + LATER

    def is_open(self, key: object) -> bool:
        """Whether a question was neither put off nor answered "cannot tell"."""
        return key not in self.unsure and self._later.get(key, 0) <= self.number

    def times_shown(self, group_id: int) -> int:
        """How many strips a group had, so that each shows other examples."""
        return self.shown.get(group_id, 0)

    def about_pair(self, a: int, b: int) -> Evidence | None:
        """Evidence about two groups."""
        return self.pairs.get(frozenset((a, b)))

    def about_cut(self, group_id: int, first: IntArray, second: IntArray) -> Evidence | None:
        """Evidence about a division of a group."""
        return next((cut.evidence for cut in self.cuts.get(group_id, ()) if cut.matches(first, second)), None)

    def posterior(self, probability: float, evidence: Evidence | None) -> float | None:
        """Probability of "one character" with the answers so far.

        Returns:
            None if it is not to be asked: it was asked lately, or often enough
        """
        if evidence is None or not evidence.n:
            return probability
        if evidence.n >= _MOST_TIMES + evidence.is_contradictory or evidence.last + LATER > self.number:
            return None
        slips = self.slip_rate
        weight = np.log((1 - slips) / slips) * (evidence.same - evidence.different)
        odds = np.log(max(probability, 1e-12) / max(1 - probability, 1e-12)) + weight
        return float(1 / (1 + np.exp(-odds)))

    def record_pair(self, a: int, b: int, is_same: bool) -> None:
        """Records an answer about two groups."""
        self._add(self.pairs.setdefault(frozenset((a, b)), Evidence()), is_same)

    def record_images(self, rows: Iterable[int], group_id: int, is_same: bool) -> None:
        """Records an answer about images and a group."""
        for row in rows:
            self._add(self.images.setdefault((int(row), group_id), Evidence()), is_same)

    def record_cut(self, group_id: int, first: IntArray, second: IntArray, is_same: bool) -> None:
        """Records an answer about a division of a group."""
        evidence = self.about_cut(group_id, first, second)
        if evidence is None:
            self.cuts.setdefault(group_id, []).append(Cut(first, second))
            evidence = self.cuts[group_id][-1].evidence
        self._add(evidence, is_same)

    def _add(self, evidence: Evidence, is_same: bool) -> None:
        n_slips = min(evidence.same, evidence.different)
        evidence.add(is_same, self.number)
        self.n_facts += 1
        self.n_slips += min(evidence.same, evidence.different) - n_slips

    def _hand_on(self, old: int, new: int) -> None:
        for pair in [pair for pair in self.pairs if old in pair]:
            evidence, other = self.pairs.pop(pair), next(iter(pair - {old}), old)
            if other != new:
                self._join(self.pairs, frozenset((new, other)), evidence)
        for row in [row for row, group_id in self.images if group_id == old]:
            self._join(self.images, (row, new), self.images.pop((row, old)))
        self.cuts.setdefault(new, []).extend(self.cuts.pop(old, []))

    @staticmethod
    def _join(where: dict, key: object, evidence: Evidence) -> None:  # type: ignore[type-arg]
        present = where.setdefault(key, Evidence())
        present.same, present.different = present.same + evidence.same, present.different + evidence.different
        present.last = max(present.last, evidence.last)


def net_gain(probability: FloatArray | float, sizes: FloatArray | float, slip_rate: float) -> FloatArray:
    """Expected images put right by a question, less those that a slip of the reviewer puts wrong."""
    return np.asarray(sizes * (probability * (1 - slip_rate) - (1 - probability) * slip_rate))
