"""The next questions to a person: those with the most images expected to be put right per answer."""

import heapq
from collections.abc import Callable, Iterable, Iterator

from ..errors import ParameterError
from .board import Board
from .halves import Halves
from .kinds import HALVES, IN, KINDS, OUT, SAME, WHO, WHOLE, Question
from .matters import Matters
from .memory import Memory
from .pairs import HalvesOfGroups, WholeGroups, halves_questions, same_questions
from .probabilities import Probabilities
from .strips import in_questions, out_questions, who_questions

__all__ = ["KINDS", "Question", "Ranking", "rank"]

_MANY = 100_000
_FOLLOWED_BY = 2.5  # questions that an open one leads to, itself included; measured by benchmarks/reviewer.py


class Ranking:
    """Ranks questions about one board again and again; keeps what did not change in between."""

    def __init__(self) -> None:
        self._halves, self._whole = HalvesOfGroups(), WholeGroups()

    def rank(
        self, board: Board, memory: Memory, probabilities: Probabilities, *, n: int, kinds: Iterable[str] | None = None
    ) -> list[Question]:
        """As :func:`rank`."""
        kinds = KINDS if kinds is None else tuple(kinds)
        if unknown := [kind for kind in kinds if kind not in KINDS]:
            raise ParameterError("kinds", unknown[0], f"of {', '.join(KINDS)}")
        memory.follow(board)
        matters = Matters(board, memory, probabilities)
        search: dict[str, Callable[[], Iterator[Question]]] = {
            SAME: lambda: same_questions(matters),
            HALVES: lambda: halves_questions(matters, self._halves),
            OUT: lambda: out_questions(matters),
            IN: lambda: in_questions(matters),
            WHO: lambda: who_questions(matters),
            WHOLE: lambda: self._whole.questions(matters),
        }
        return _independent(heapq.merge(*(search[kind]() for kind in kinds), key=lambda each: -each.gain), n)

    def n_left(self, board: Board, memory: Memory, probabilities: Probabilities) -> int:
        """About how many questions are left before the review is done; 0 where it is."""
        n_open = len(self.rank(board, memory, probabilities, n=_MANY))
        return round(n_open * _FOLLOWED_BY)

    def divide(self, board: Board) -> bool:
        """Divides some of the groups of which a ranking needs the halves; whether more are waiting."""
        return self._halves.divide(board)

    def halves_of(self, board: Board) -> dict[int, Halves]:
        """The two halves of each group that has any."""
        return self._halves.of(board)


def rank(
    board: Board, memory: Memory, probabilities: Probabilities, *, n: int, kinds: Iterable[str] | None = None
) -> list[Question]:
    """The best questions. None of them is about a group or an image that another one is about.

    Args:
        board: the groups
        memory: what was asked
        probabilities: of "one character"
        n: how many questions
        kinds (None): of these kinds only

    Returns:
        at most ``n`` questions, the best first; fewer where further answers are as likely to harm

    Raises:
        ParameterError: a kind is unknown
    """
    return Ranking().rank(board, memory, probabilities, n=n, kinds=kinds)


def _independent(questions: Iterable[Question], n: int) -> list[Question]:
    chosen: list[Question] = []
    groups: set[int] = set()
    for question in questions:
        mine = set(question.groups) - {0}
        rows = {-1 - int(row) for part in question.items for row in part} if question.kind in (IN, WHO) else set()
        if groups.isdisjoint(mine | rows):
            chosen.append(question)
            groups |= mine | rows
        if len(chosen) == n:
            break
    return chosen
