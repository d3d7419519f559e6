"""What was asked and answered, so that nothing is asked twice except to check an answer."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from ..arrays import FloatArray, IntArray
from .board import Board

LATER = 20
"""After how many further answers a question that was put off, or is asked again to check, comes back."""

Matter = frozenset[int] | tuple[int, int]
"""Two group ids; or an image and a group: row and group id."""

Said = tuple[int, bool]
"""The number of an answer, and whether it was that it is one character."""

_MOST_TIMES = 2  # an answer is checked once; a contradiction is put a third time
_SLIPS, _SLIPS_OF = 15.0, 1000.0  # assumed slips of the reviewer, and in how many answers
_FOUND = 2.0  # a slip that another answer contradicts stands for so many
_FOREVER = 1 << 60


@dataclass
class Evidence:
    """What people said about one matter.

    Attributes:
        same: how often they said that it is one character
        different: how often they said no
        last: number of the last answer about it
        closed_until: number of the answer after which it may be asked about again
        answers: numbers of the answers, each with whether it was that it is one character
    """

    same: int = 0
    different: int = 0
    last: int = 0
    closed_until: int = 0
    answers: list[Said] = field(default_factory=list)

    @property
    def n(self) -> int:
        """How often it was answered."""
        return self.same + self.different

    @property
    def n_slips(self) -> int:
        """How many of the answers the others contradict."""
        return min(self.same, self.different)

    @property
    def is_open(self) -> bool:
        """Whether the last answer contradicts the ones before; the next answer settles it."""
        return _is_open(self.answers)

    def add(self, is_same: bool, number: int) -> None:
        """Records an answer."""
        self.same, self.different = self.same + is_same, self.different + (not is_same)
        self.last = max(self.last, number)
        self.answers.append((number, is_same))
        if self.n >= _MOST_TIMES + bool(self.n_slips):
            self.closed_until = _FOREVER
        else:
            self.closed_until = max(self.closed_until, self.last + LATER)

    def remove(self, is_same: bool) -> None:
        """Forgets an answer; the matter is open again."""
        self.same, self.different = max(0, self.same - is_same), max(0, self.different - (not is_same))
        self.closed_until = 0
        last = [place for place, (_, said) in enumerate(self.answers) if said == is_same][-1:]
        self.answers = [each for place, each in enumerate(self.answers) if place not in last]

    def join(self, other: "Evidence") -> None:
        """Adds what was said about another group that is this one now."""
        self.same, self.different = self.same + other.same, self.different + other.different
        self.last, self.closed_until = max(self.last, other.last), max(self.closed_until, other.closed_until)
        self.answers = sorted([*self.answers, *other.answers])


@dataclass(frozen=True, eq=False)
class Cut:
    """Two parts of a group about which people were asked whether they are one character."""

    first: IntArray
    second: IntArray
    evidence: Evidence = field(default_factory=Evidence)

    def matches(self, first: IntArray, second: IntArray) -> bool:
        """Whether it is about the same division, up to a sixth of the images."""
        straight = np.isin(first, self.first).sum() + np.isin(second, self.second).sum()
        crossed = np.isin(first, self.second).sum() + np.isin(second, self.first).sum()
        return bool(max(straight, crossed) * 6 >= (len(first) + len(second)) * 5 > 0)


Contradicted = tuple[Matter | tuple[int, Cut], Evidence]
"""A matter with answers of both kinds; of a division of a group, the group and the division."""


class Memory:
    """Answers by matter. Group ids follow the merges of the board.

    Attributes:
        number: number of the last answer
        whole: groups of which is to be asked whether all images are the character of the confirmed ones
        n_facts: number of matters answered; a strip is one per tile
        n_slips: how many of these answers others contradict
        n_returned: how often questions that were put off came back
    """

    def __init__(self) -> None:
        self.number, self.n_facts, self.n_slips = 0, 0, 0
        self.whole: set[int] = set()
        self._whole_closed: dict[int, int] = {}
        self.n_returned = 0
        self._put_off: list[Evidence | int] = []  # what comes back when nothing else is left to ask
        self._returned: set[int] = set()
        self._pairs: dict[frozenset[int], Evidence] = {}
        self._images: dict[tuple[int, int], Evidence] = {}
        self._cuts: dict[int, list[Cut]] = {}
        self._shown: dict[int, int] = {}
        self._n_merged = 0
        self._rows: IntArray | None = None

    @property
    def slip_rate(self) -> float:
        """Estimated share of the reviewer's answers that are slips."""
        return min(0.3, (_SLIPS + _FOUND * self.n_slips) / (_SLIPS_OF + self.n_facts))

    def follow(self, board: Board) -> None:
        """Hands evidence about merged groups on to the groups into which they were merged."""
        for old, new in board.merged[self._n_merged :]:
            self._hand_on(old, new)
        self._n_merged = len(board.merged)

    def known_pairs(self) -> Iterable[frozenset[int]]:
        """Pairs of groups about which people were asked."""
        return self._pairs.keys()

    def known_rows(self) -> IntArray:
        """Images about which people were asked."""
        if self._rows is None:
            self._rows = np.fromiter({row for row, _ in self._images}, np.int64)
        return self._rows

    def about(self, matter: Matter) -> Evidence:
        """Evidence about a matter."""
        if isinstance(matter, frozenset):
            return self._pairs.get(matter) or Evidence()
        return self._images.get(matter) or Evidence()

    def about_cut(self, group_id: int, first: IntArray, second: IntArray) -> Evidence:
        """Evidence about a division of a group."""
        cut = self._cut(group_id, first, second)
        return Evidence() if cut is None else cut.evidence

    def posterior(self, probability: float, matter: Matter, *, is_decided: bool = False) -> float:
        """Probability of "one character" with the answers so far.

        Args:
            probability: without them
            matter: what it is about
            is_decided: whether it was decided; it is asked about only to check an answer

        Returns:
            NaN if it is not to be asked: decided, put off, not to be told, asked lately, or often enough
        """
        evidence = self.about(matter)
        return float("nan") if is_decided and not evidence.n else self.with_evidence(probability, evidence)

    def with_evidence(self, probability: float, evidence: Evidence) -> float:
        """As :meth:`posterior`."""
        return float("nan") if evidence.closed_until > self.number else self.belief(probability, evidence)

    def belief(self, probability: float, evidence: Evidence) -> float:
        """Probability of "one character" with the answers so far, whether it may be asked about or not."""
        slips = self.slip_rate
        weight = math.log((1 - slips) / slips) * (evidence.same - evidence.different)
        odds = math.log(max(probability, 1e-12) / max(1 - probability, 1e-12)) + weight
        return 1 / (1 + math.exp(-odds))

    def record(self, matter: Matter, is_same: bool) -> None:
        """Records an answer about a matter."""
        self._add(self._evidence(matter), is_same)

    def contradictions(self) -> list[tuple[Matter, Evidence]]:
        """Matters whose last answer contradicts the ones before, the latest first."""
        both: list[tuple[Matter, Evidence]] = [*self._pairs.items(), *self._images.items()]
        return sorted((each for each in both if each[1].is_open), key=lambda each: -each[1].last)

    def contradicted(self) -> list[Contradicted]:
        """What has answers that contradict each other, divisions of groups as well, the latest first.

        Two groups can be parts of one before or after: what has all its answers from another matter is left out, and
        what an answer about the other one has settled.
        """
        found: list[Contradicted] = [*self.contradictions(), *self.contradicted_cuts()]
        told = _Told(self._pairs.values(), [cut.evidence for each in self._cuts.values() for cut in each])
        found = [each for each in found if _is_image(each[0]) or _is_open(told.with_others(each[1]))]
        answers = [frozenset(evidence.answers) for _, evidence in found]
        once = [
            each
            for place, each in enumerate(found)
            if _is_image(each[0])
            or not any(
                answers[place] < other or (answers[place] == other and n < place) for n, other in enumerate(answers)
            )
        ]
        return sorted(once, key=lambda each: -each[1].last)

    def contradicted_cuts(self) -> list[tuple[tuple[int, Cut], Evidence]]:
        """Divisions of groups whose last answer contradicts the ones before, each with its group, the latest first."""
        cuts = [(group_id, cut) for group_id, each in self._cuts.items() for cut in each if cut.evidence.is_open]
        cuts.sort(key=lambda each: -each[1].evidence.last)
        return [(each, each[1].evidence) for each in cuts]

    def forget(self, matter: Matter, is_same: bool) -> None:
        """Forgets an answer about a matter, as it was undone."""
        self._remove(self._evidence(matter), is_same)

    def forget_cut(self, group_id: int, first: IntArray, second: IntArray, is_same: bool) -> None:
        """Forgets an answer about a division of a group."""
        self._remove(self._new_cut(group_id, first, second).evidence, is_same)

    def record_cut(self, group_id: int, first: IntArray, second: IntArray, is_same: bool) -> None:
        """Records an answer about a division of a group."""
        self._add(self._new_cut(group_id, first, second).evidence, is_same)

    def close(self, matters: Iterable[Matter], *, forever: bool) -> None:
        """Does not ask about matters, ever or until later."""
        for matter in matters:
            self._close(self._evidence(matter), forever)

    def _close(self, evidence: Evidence, forever: bool) -> None:
        evidence.closed_until = _FOREVER if forever else self.number + LATER
        if not forever and id(evidence) not in self._returned:
            self._put_off.append(evidence)

    def return_put_off(self) -> bool:
        """Asks at once about what was put off, once each; whether there is anything."""
        returned, self._put_off = self._put_off, []
        for each in returned:
            if isinstance(each, int):
                self._whole_closed.pop(each, None)
            elif each.closed_until < _FOREVER:
                each.closed_until = each.last + LATER if each.last else 0
            self._returned.add(each if isinstance(each, int) else id(each))
        self.n_returned += bool(returned)
        return bool(returned)

    def reopen(self, matters: Iterable[Matter]) -> None:
        """May ask about matters again."""
        for matter in matters:
            self._evidence(matter).closed_until = 0

    def reopen_cut(self, group_id: int, first: IntArray, second: IntArray) -> None:
        """May ask about a division of a group again."""
        self._new_cut(group_id, first, second).evidence.closed_until = 0

    def close_cut(self, group_id: int, first: IntArray, second: IntArray, *, forever: bool) -> None:
        """Does not ask about a division of a group, ever or until later."""
        self._close(self._new_cut(group_id, first, second).evidence, forever)

    def whole_to_ask(self) -> list[int]:
        """Groups of which is to be asked now whether they are one character; not those that were put off."""
        return sorted(each for each in self.whole if self._whole_closed.get(each, 0) <= self.number)

    def put_off_whole(self, group_id: int) -> None:
        """Does not ask about a whole group until later."""
        self._whole_closed[group_id] = self.number + LATER
        if group_id not in self._returned:
            self._put_off.append(group_id)

    def count_strip(self, group_id: int) -> None:
        """Records that a group had a strip."""
        self._shown[group_id] = self.times_shown(group_id) + 1

    def times_shown(self, group_id: int) -> int:
        """How many strips a group had, so that each shows other examples."""
        return self._shown.get(group_id, 0)

    def _evidence(self, matter: Matter) -> Evidence:
        if isinstance(matter, frozenset):
            return self._pairs.setdefault(matter, Evidence())
        self._rows = None
        return self._images.setdefault(matter, Evidence())

    def _cut(self, group_id: int, first: IntArray, second: IntArray) -> Cut | None:
        return next((cut for cut in self._cuts.get(group_id, ()) if cut.matches(first, second)), None)

    def _new_cut(self, group_id: int, first: IntArray, second: IntArray) -> Cut:
        cut = self._cut(group_id, first, second)
        if cut is None:
            cut = Cut(first, second)
            self._cuts.setdefault(group_id, []).append(cut)
        return cut

    def _add(self, evidence: Evidence, is_same: bool) -> None:
        before = evidence.n_slips
        evidence.add(is_same, self.number)
        self.n_facts, self.n_slips = self.n_facts + 1, self.n_slips + evidence.n_slips - before

    def _remove(self, evidence: Evidence, is_same: bool) -> None:
        before = evidence.n_slips, evidence.n
        evidence.remove(is_same)
        self.n_slips -= before[0] - evidence.n_slips
        self.n_facts -= before[1] - evidence.n

    def _hand_on(self, old: int, new: int) -> None:
        for pair in [pair for pair in self._pairs if old in pair]:
            others = pair - {old, new}
            if others:  # what was said about the two that are one now stays
                self._pairs.setdefault(frozenset((new, *others)), Evidence()).join(self._pairs.pop(pair))
        for row in [row for row, group_id in self._images if group_id == old]:
            self._images.setdefault((row, new), Evidence()).join(self._images.pop((row, old)))
        self._cuts.setdefault(new, []).extend(self._cuts.pop(old, []))
        if old in self.whole:
            self.whole = (self.whole - {old}) | {new}


class _Told:
    """Answers about two groups and about two parts of one, where both are about the same images.

    An answer that two groups are one is kept for the two groups and for the two parts that they are now.
    """

    def __init__(self, pairs: Iterable[Evidence], cuts: Iterable[Evidence]):
        self._pairs, self._cuts = _by_answer(pairs), _by_answer(cuts)

    def with_others(self, evidence: Evidence) -> list[Said]:
        """All answers about the same images, in order."""
        told, waiting = set(evidence.answers), list(evidence.answers)
        while waiting:
            for cut in self._cuts.get(waiting.pop(), ()):
                pairs = [pair for answer in cut.answers for pair in self._pairs.get(answer, ())]
                new = {answer for each in (cut, *pairs) for answer in each.answers} - told
                told |= new
                waiting += new
        return sorted(told)


def _by_answer(evidences: Iterable[Evidence]) -> dict[Said, list[Evidence]]:
    found: dict[Said, list[Evidence]] = {}
    for evidence in evidences:
        for answer in evidence.answers:
            found.setdefault(answer, []).append(evidence)
    return found


def _is_open(answers: Iterable[Said]) -> bool:
    """Whether the last of some answers contradicts the ones before it, and no later one has settled that."""
    holds: bool | None = None
    is_open = False
    for _, is_same in answers:
        is_open = not is_open and holds is not None and is_same != holds
        holds = is_same
    return is_open


def _is_image(matter: Matter | tuple[int, Cut]) -> bool:
    return isinstance(matter, tuple) and not isinstance(matter[1], Cut)


def net_gain(probability: FloatArray | float, sizes: FloatArray | float, slip_rate: float) -> FloatArray:
    """Expected images put right by a question, less those that a slip of the reviewer puts wrong."""
    return np.asarray(sizes * (probability * (1 - slip_rate) - (1 - probability) * slip_rate))
