"""The questions that are worth most, different ones for each tab."""

import datetime
import threading
import time
import weakref
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from ..core.arrays import IntArray
from ..core.identity.state import Status
from ..core.review.answers import LATER, TWO, learn
from ..core.review.answers import record as remember
from ..core.review.kinds import HALVES, IN, OUT, SAME, WHO, WHOLE
from ..core.review.memory import Contradicted, Memory
from ..core.review.probabilities import Probabilities
from ..core.review.progress import Estimate, estimate
from ..core.review.questions import KINDS, Question, Ranking
from ..labels.history import last_done
from ..labels.history.hand_edits import HandEdits
from .board import ReviewBoard
from .pictures import pictures_of, rounded
from .records import AnswerRecord, Records, begun_at, claim, claimed, edited_groups, members_digest, question_of

MOST_ITEMS = 1_500
"""The most ids of items that are kept with a question."""
CLAIM_SECONDS = 120.0
"""How long a tab has a question for itself."""
DONE = "Done: another answer is as likely to harm as to help."
TOO_FEW = "There are not two groups to compare: group again, with a smaller or larger distance."
_KEPT = 1_000  # questions that were asked, with what their probabilities were computed from
_EVERY = 10  # answers after which it is estimated again how many questions are left
_PAUSE = 0.001  # seconds; without it the thread that waits does not get a lock
_RANKED = 24  # questions that are ranked at once, more where others have some in hand


class ReviewQueue:
    """The questions about one board, and what was answered.

    Args:
        board: the groups

    Attributes:
        memory: what was said about which groups and images
        records: the answers as they are stored
        counted: those that were not undone, oldest first
    """

    def __init__(self, board: ReviewBoard):
        self._board = weakref.proxy(board)
        self._lock = threading.RLock()
        self._ranking, self._probabilities = Ranking(), Probabilities()
        self.memory, self._seen = Memory(), (-1, -1, (-1, ""))
        self._claims: dict[str, tuple[frozenset[str], float]] = {}
        self._features: dict[str, tuple[tuple[float, ...], ...]] = {}
        self._large: dict[str, tuple[tuple[str, ...], ...]] = {}
        self._estimated: tuple[Any, Estimate | None] = (None, None)
        self._is_estimating = False
        self._ranked: tuple[Any, list[Question]] = (None, [])
        self._contradicted: tuple[Any, list[Contradicted]] = (None, [])
        self.records = Records(board.store.target.dataset, board.store.path)
        self._hand_edits = HandEdits(board.store)
        self.counted: list[AnswerRecord] = []

    # -- what was answered

    def refresh(self) -> None:
        """Reads what was answered, and what was undone."""
        board = self._board
        with board.lock, self._lock:
            self.records.refresh()
            seen = board.generation, board.revision, self.records.state
            if self._seen == seen:
                return
            heads = self.records.heads()
            counted = self.records.counted(heads)
            known = [each.number for each in self.counted]
            if self._seen[0] != board.generation or [each.number for each in counted[: len(known)]] != known:
                self.memory, known = Memory(), []
                self._probabilities = Probabilities()
            for each in counted[len(known) :]:
                self._remember(each)
            if len(known) < len(counted):
                self._probabilities.fit()
            self.counted, self._seen = counted, seen
            self.memory.whole = edited_groups(board, self._hand_edits.among(heads.values()), counted)

    def _remember(self, record: AnswerRecord) -> None:
        question = question_of(self._board, record)
        if question is not None:
            remember(self.memory, question, record.said, record.marked, new_id=record.new_id)
            if len(question.features) == (len(question.matters) or 1):
                learn(self._probabilities, question, record.said, record.marked)
        else:
            self.memory.number += 1

    def add(self, record: AnswerRecord) -> None:
        """Keeps an answer."""
        at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self.records.add(replace(record, at=at))
        self.refresh()

    def undo_answer(self, tab: str | None) -> bool:
        """Undoes the last answer of a tab if it changed nothing; whether it did.

        Changes since then count, except for answers in other tabs.

        Args:
            tab: the tab, None for that of no tab
        """
        self.records.refresh()
        last = self.records.last_without_change(tab)
        if last is None or not self.records.is_last(last):
            return False
        self.records.undo(last)
        self.refresh()
        return True

    def last_change(self) -> int:
        """The number of the last change of the history, 0 without any."""
        change = last_done(self._board.store.target.dataset, self._board.store.path)
        return 0 if change is None else change.number

    def begun_at(self, change: int) -> str:
        """When a change of the history was begun."""
        return begun_at(self._board.store.target.dataset, self._board.store.path, change)

    # -- what is asked

    def next(
        self, tab: str | None, n: int, kinds: Sequence[str] | None = None, skip: Iterable[str] = ()
    ) -> list[Question]:
        """The best questions that no other tab has in hand.

        Args:
            tab: the tab that asks, None for a look without having them in hand
            n: how many
            kinds (None): of these kinds only
            skip (()): ids of questions that are being answered
        """
        self.refresh()
        self._divide()
        board, skipped = self._board, frozenset(skip)
        with board.lock, self._lock:
            held = self._held_by_others(tab)
            chosen: list[Question] = []
            for question in self._best(n + len(skipped), kinds, held):
                is_free = len(chosen) < n and matters_of(board, question).isdisjoint(held)
                if is_free and question_id(board, question) not in skipped:
                    chosen.append(question)
            if tab is not None:
                mine = frozenset().union(*(matters_of(board, each) for each in chosen))
                self._claims[tab] = mine, time.time() + CLAIM_SECONDS
            for question in chosen:
                key = question_id(board, question)
                self._features[key] = tuple(tuple(each.tolist()) for each in question.features)
                if is_large(question):
                    self._large[key] = tuple(tuple(board.ids[row] for row in part) for part in question.items)
            for kept in (self._features, self._large):
                while len(kept) > _KEPT:
                    kept.pop(next(iter(kept)))
            return chosen

    def features(self, question: str) -> tuple[tuple[float, ...], ...]:
        """What the probabilities of a question were computed from, where this process has asked it.

        Args:
            question: its id
        """
        return self._features.get(question, ())

    def items(self, question: str) -> tuple[tuple[str, ...], ...]:
        """The ids of the items of a question with too many to send them to the panel; none after a restart.

        Args:
            question: its id
        """
        return self._large.get(question, ())

    def keep_claim(self, tab: str | None) -> None:
        """Writes what a tab has in hand, for the tabs at other servers."""
        held, until = self._claims.get(tab or "", (frozenset(), 0.0))
        if tab is not None and held:
            target = self._board.store.target
            claim(target.dataset, self._board.store.path, tab, held, until)

    def _best(self, n: int, kinds: Sequence[str] | None, held: frozenset[str]) -> list[Question]:
        board, wanted = self._board, max(_RANKED, n + len(held))
        key = self._state(kinds)
        if self._ranked[0] != key or len(self._ranked[1]) < n:
            best = self._ranking.rank(board.board, self.memory, self._probabilities, n=wanted, kinds=kinds)
            if not best and kinds is None and self.memory.return_put_off():
                best = self._ranking.rank(board.board, self.memory, self._probabilities, n=wanted, kinds=kinds)
                key = self._state(kinds)
            self._ranked = key, best
        return self._ranked[1]

    def _state(self, kinds: Sequence[str] | None = None) -> tuple[Any, ...]:
        """What the ranked questions depend on."""
        memory = self.memory
        return self._board.version, memory.number, memory.n_returned, len(self.counted), tuple(kinds or KINDS)

    def _held_by_others(self, tab: str | None) -> frozenset[str]:
        now, board = time.time(), self._board
        self._claims = {key: value for key, value in self._claims.items() if value[1] > now}
        stored = claimed(board.store.target.dataset, board.store.path)
        others = {key: frozenset(value["held"]) for key, value in stored.items() if value["until"] > now}
        others |= {key: held for key, (held, _) in self._claims.items()}
        return frozenset().union(*(held for key, held in others.items() if key != tab))

    def estimate(self) -> Estimate | None:
        """How pure the groups are and how many questions are left, as it was a few answers ago; None before that is
        known. A thread computes it, in the background."""
        key = self._board.generation, len(self.counted) // _EVERY, self._board.version // _EVERY
        with self._lock:
            if self._estimated[0] != key and not self._is_estimating:
                self._is_estimating = True
                threading.Thread(target=self._estimate, args=(key,), name="ccip-review-estimate", daemon=True).start()
        found = self._estimated[1]
        if found is not None and self._ranked[0] == self._state() and self.is_empty():
            return replace(found, n_left=0, is_done=True)
        return found

    def _estimate(self, key: tuple[int, int, int]) -> None:
        try:
            self._divide()
            with self._board.lock, self._lock:
                found = estimate(self._board.board, self.memory, self._probabilities, self._ranking)
                self._estimated = key, found
        except ReferenceError:  # the board was read again, or forgotten
            pass
        finally:
            self._is_estimating = False

    def _divide(self) -> None:
        """Divides groups whose images changed, a few at a time: others get the lock in between."""
        is_left = True
        while is_left:
            with self._board.lock, self._lock:
                is_left = self._ranking.divide(self._board.board)
            time.sleep(_PAUSE if is_left else 0)

    def several(self) -> list[int]:
        """The rows of images of which it was said that they show several characters, the last ones first; not those
        that are in a group since. As of the last :meth:`refresh`."""
        board = self._board
        with board.lock:
            said = (each for each in reversed(self.counted) if each.said == TWO)
            items = dict.fromkeys(item for each in said for part in each.items for item in part)
            rows = (board.place[item] for item in items if item in board.place)
            return [row for row in rows if board.status[row] == Status.IGNORED and not board.group_ids[row]]

    def contradicted(self) -> list[Contradicted]:
        """What has answers of both kinds, the latest first. As of the last :meth:`refresh`."""
        with self._board.lock, self._lock:
            self.memory.follow(self._board.board)
            if self._contradicted[0] != self._seen:
                self._contradicted = self._seen, self.memory.contradicted()
            return self._contradicted[1]

    def answers_by_kind(self) -> dict[str, int]:
        """Numbers of answers by kind of question; to put a question off is none."""
        return dict(Counter(each.kind for each in self.counted if each.said != LATER))

    def is_empty(self) -> bool:
        """Whether there is nothing worth asking, of anybody."""
        return not self._ranked[1]


def queue_of(board: ReviewBoard) -> ReviewQueue:
    """The queue of a board, kept with it."""
    with board.lock:
        if board.queue is None:
            board.queue = ReviewQueue(board)
        queue: ReviewQueue = board.queue
    return queue


def matters_of(board: ReviewBoard, question: Question) -> frozenset[str]:
    """What a question is about, as texts: its groups and, in no group, its images."""
    groups = {f"g{each}" for each in question.groups if each}
    if question.kind in (IN, WHO):
        groups |= {board.ids[row] for part in question.items for row in part if not board.group_ids[row]}
        groups -= {f"g{each}" for each in question.groups} if question.kind == WHO else set()
    return frozenset(groups)


def question_id(board: ReviewBoard, question: Question) -> str:
    """The id of a question: the same as long as it is about the same groups and images."""
    items = () if question.kind == SAME else question.items
    return id_of_question(question.kind, question.groups, [[board.ids[row] for row in part] for part in items])


def id_of_question(kind: str, groups: Iterable[int], items: Iterable[Iterable[str]]) -> str:
    """The id of a question of a kind about groups and, but for two groups, the ids of items."""
    return f"{kind}-{members_digest([repr((kind, tuple(map(int, groups)), [list(each) for each in items]))])}"


def is_large(question: Question) -> bool:
    """Whether a question is about too many items to send their ids to the panel."""
    return question.kind != SAME and sum(map(len, question.items)) > MOST_ITEMS


def shown_of(board: ReviewBoard, question: Question) -> dict[str, Any]:
    """What is shown with a question: groups, their sizes, and items; an answer has it back."""
    items = [[board.ids[row] for row in part] for part in question.items]
    if question.kind == SAME or is_large(question):
        items = []
    groups = [each for each in question.groups if each]
    return {
        "kind": question.kind,
        "groups": list(question.groups),
        "sizes": {str(each): len(board.members(each)) for each in groups},
        "members": {str(each): members_digest(board.ids[row] for row in board.members(each)) for each in groups},
        "items": items,
        "revision": board.revision,
        "difference": rounded(question.difference),
    }


# -- as the panel takes them


def plain_questions(board: ReviewBoard, questions: Sequence[Question]) -> list[dict[str, Any]]:
    """Questions as the panel takes them, their pictures read together."""
    with board.lock:
        rows = [row for question in questions for part in _shown_rows(question) for row in part]
        pictures = pictures_of(board, rows)
        return [_plain(board, question, pictures) for question in questions]


def _shown_rows(question: Question) -> list[IntArray]:
    return [*question.images, *(question.items if question.kind in (OUT, WHO) else ())]


def _plain(board: ReviewBoard, question: Question, pictures: dict[int, dict[str, Any]]) -> dict[str, Any]:
    def seen(rows: Iterable[int]) -> list[dict[str, Any]]:
        return [pictures[int(row)] for row in rows if int(row) in pictures]

    kind, groups, images = question.kind, question.groups, question.images
    sides, tiles, image = [], [], None
    if kind == SAME:
        sides = [_side(board, each, seen(rows)) for each, rows in zip(groups, images, strict=True)]
    elif kind in (HALVES, WHOLE):
        name, named = board.name(groups[0]), board.is_named(groups[0])
        sides = [
            {"id": None, "name": name, "named": named, "size": len(part), "pictures": seen(rows)}
            for part, rows in zip(question.items, images, strict=True)
        ]
    elif kind == OUT:
        sides = [_side(board, groups[0], seen(images[0]))]
        tiles = [_tile(board.ids[row], None, 1, seen([row])) for row in question.rows]
    elif kind == IN:
        sides = [_side(board, groups[0], seen(images[0]))]
        for small, rows, shown in zip(groups[1:], question.items, images[1:], strict=True):
            tile_id = f"g{small}" if small else board.ids[rows[0]]
            tiles.append(_tile(tile_id, board.name(small) if small else None, len(rows), seen(shown)))
    else:
        image = next(iter(seen(question.rows)), None)
        for group_id, shown in zip(groups, images, strict=True):
            n = len(board.members(group_id))
            tiles.append(_tile(f"g{group_id}", board.name(group_id), n, seen(shown)))
    return {
        "id": question_id(board, question),
        "kind": kind,
        "sides": sides,
        "tiles": tiles,
        "image": image,
        "difference": rounded(question.difference),
        "limit": rounded(board.threshold),
        "gain": rounded(question.gain),
        "warning": _warning(board, question),
        "keeps": board.name(kept_of(board, groups)) if kind == SAME else None,
        "shown": shown_of(board, question),
    }


def kept_of(board: ReviewBoard, groups: Sequence[int]) -> int:
    """Which of some groups keeps its name when they become one: a named one, then the larger one."""
    return min(groups, key=lambda each: (not board.is_named(each), -len(board.members(each)), each))


def _warning(board: ReviewBoard, question: Question) -> str | None:
    if question.kind != SAME or not all(map(board.is_named, question.groups)):
        return None
    first, second = map(board.name, question.groups)
    return f"{first!r} and {second!r} are both names that people gave"


def _side(board: ReviewBoard, group_id: int, pictures: list[dict[str, Any]]) -> dict[str, Any]:
    size = len(board.members(group_id))
    name, named = board.name(group_id), board.is_named(group_id)
    return {"id": group_id, "name": name, "named": named, "size": size, "pictures": pictures}


def _tile(tile_id: str, name: str | None, size: int, pictures: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": tile_id, "name": name, "size": size, "pictures": pictures}
