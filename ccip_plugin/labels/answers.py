"""Questions to people: are these two images of one character? The answers are kept with the dataset."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fiftyone.core.collections import SampleCollection

from ..core.errors import check_type
from ..core.tuning.questions import Answer
from ..storage.connection import with_database_errors
from ..storage.fields import ANSWERS_KEY
from ..storage.lease import lease
from ..storage.runs import RunKind, key_of, read_config, register
from ..storage.targets import Target, resolve


@dataclass(frozen=True)
class PairAnswer:
    """What a person said of two items.

    Attributes:
        first: the id of the one
        second: the id of the other
        is_same: whether they show one character; None for "cannot tell"
    """

    first: str
    second: str
    is_same: bool | None

    @property
    def pair(self) -> frozenset[str]:
        """The two ids: an answer is about both, in any order."""
        return frozenset((self.first, self.second))


@with_database_errors
def load_answers(samples: SampleCollection, *, patches_field: str | None = None) -> list[PairAnswer]:
    """Reads the answers that are kept with a dataset, as they are now.

    Args:
        samples: the dataset, or any view of it
        patches_field (None): the field with the detections, None for whole samples
    """
    target = _target(samples, patches_field)
    config = read_config(target.dataset, _key(target)) or {}
    return [PairAnswer(first, second, is_same) for first, second, is_same in config.get("answers", ())]


@with_database_errors
def save_answers(samples: SampleCollection, answers: Iterable[PairAnswer], *, patches_field: str | None = None) -> None:
    """Adds answers to those that are kept with a dataset; a later one about the same pair takes the place of the first.

    Args:
        samples: the dataset, or any view of it
        answers: the answers
        patches_field (None): the field with the detections, None for whole samples

    Raises:
        LeaseHeldError: another process is saving answers all the time
    """
    check_type("answers", answers, Iterable, "answers about pairs")
    answers = list(answers)
    for each in answers:
        check_type("an answer", each, PairAnswer, "a PairAnswer")
    target = _target(samples, patches_field)
    with lease(target.dataset, _key(target)):
        known = {each.pair: each for each in load_answers(target)}
        _write(target, {**known, **{each.pair: each for each in answers}}.values())


def changed_answers(target: Target, answers: Iterable[PairAnswer]) -> list[list[Any]]:
    """Answers that differ from those that are kept, as the history has them: the two ids, the answer that is kept in a
    list, an empty one without it, and the new one in a list."""
    answers = list(answers)
    known = {each.pair: each for each in load_answers(target)} if answers else {}
    return [
        [each.first, each.second, [known[each.pair].is_same] if each.pair in known else [], [each.is_same]]
        for each in answers
        if each.pair not in known or known[each.pair].is_same is not each.is_same
    ]


def write_answers(target: Target, changes: Iterable[Sequence[Any]], *, is_backward: bool) -> None:
    """Keeps the answers of a change, or those before it. What was answered otherwise since stays.

    Args:
        target: the dataset
        changes: what :func:`changed_answers` gave
        is_backward: restore the answers of before
    """
    changes = [(first, second, *((new, old) if is_backward else (old, new))) for first, second, old, new in changes]
    if not changes:
        return
    with lease(target.dataset, _key(target)):
        known = {each.pair: each for each in load_answers(target)}
        for first, second, old, new in changes:
            pair = frozenset((first, second))
            if ([known[pair].is_same] if pair in known else []) != old:
                continue
            known.pop(pair, None)
            if new:
                known[pair] = PairAnswer(first, second, new[0])
        _write(target, known.values())


def answers_among(answers: Sequence[PairAnswer], ids: Sequence[str]) -> list[Answer]:
    """The answers about items with an embedding, by their places; the others are left out."""
    places = {key: place for place, key in enumerate(ids)}
    return [
        Answer(places[each.first], places[each.second], each.is_same)
        for each in answers
        if each.first in places and each.second in places and each.first != each.second
    ]


def _write(target: Target, answers: Iterable[PairAnswer]) -> None:
    plain = [[each.first, each.second, each.is_same] for each in answers]
    register(target.dataset, _key(target), RunKind.ANSWERS, patches_field=target.patches_field, answers=plain)


def _target(samples: SampleCollection, patches_field: str | None) -> Target:
    return samples if isinstance(samples, Target) else resolve(samples, patches_field)


def _key(target: Target) -> str:
    return key_of(ANSWERS_KEY, target.patches_field) if target.patches_field else ANSWERS_KEY
