"""Makes answers true: each is one change of labels and groups, or none, and is kept."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..core.review.answers import LATER, NEW, NO, NONE, PICK, SAID, TWO, UNSURE, YES
from ..core.review.kinds import HALVES, IN, KINDS, OUT, SAME, WHO, WHOLE, is_question
from ..labels.edits.chosen import Edit, GroupRef, edit
from ..labels.edits.members import named_items, stored_rows
from ..labels.edits.merging import merge
from ..labels.edits.names import check_free
from ..labels.edits.report import EditReport
from ..labels.edits.splitting import split
from ..labels.identities import check_name
from ..labels.store import LabelStore
from ..labels.tables import GroupLabel
from ..storage.fields import STATUS_AUTO, STATUS_CONFIRMED, STATUS_IGNORED, UNASSIGNED
from ..storage.targets import items_view
from .board import ReviewBoard
from .past import name_of, words_of
from .problems import ReviewError
from .queue import MOST_ITEMS, ReviewQueue, id_of_question, kept_of
from .records import AnswerRecord, Given

KINDS_ASKED = KINDS
"""The kinds of questions."""
WORDS_SAID = tuple(sorted({said for each in SAID.values() for said in each}))
"""What can be said."""
KEPT = "it was kept already"
"""What is said of an answer that came twice."""


@dataclass(frozen=True)
class Answered:
    """Result of an answer.

    Attributes:
        number: the number of the change, None where nothing was changed
        text: what it did
        lifted: earlier decisions that it lifted
    """

    number: int | None
    text: str
    lifted: tuple[str, ...] = ()


def given_of(
    question: str,
    kind: str,
    said: str,
    marked: Sequence[str],
    shown: Mapping[str, Any],
    name: str | None,
    kept: Sequence[Sequence[str]] = (),
) -> Given:
    """Reads an answer.

    Args:
        question: the id of the question
        kind: the kind of question
        said: what was said
        marked: the ids of the marked tiles
        shown: what was shown with the question
        name: the name of the group, None where none was typed
        kept (()): the ids of its items where there are too many to send them to the panel

    Raises:
        ReviewError: this is no answer to that question
    """
    try:
        groups = tuple(_whole(each) for each in shown["groups"])
        sizes = {int(key): _whole(n) for key, n in shown["sizes"].items()}
        members = {int(key): str(each) for key, each in shown.get("members", {}).items()}
        items = tuple(tuple(str(each) for each in part) for part in shown["items"] or kept)
        difference = shown.get("difference")
        is_fine = shown["kind"] == kind and said in SAID[kind] and is_question(kind, groups, items)
    except (KeyError, TypeError, ValueError, AttributeError):
        is_fine = False
    if not is_fine:
        raise ReviewError("invalid", f"{said!r} is no answer to the question that was shown")
    places = _places(kind, groups, items, marked)
    number = difference if isinstance(difference, float) else None
    return Given(kind, groups, sizes, items, said, places, name, number, question, members)


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(value)
    return value


def _places(kind: str, groups: Sequence[int], items: Sequence[Sequence[str]], marked: Sequence[str]) -> tuple[int, ...]:
    """The places of tiles."""
    if kind == OUT:
        tiles = list(items[0]) if items else []
    elif kind == IN:
        tiles = [f"g{small}" if small else part[0] for small, part in zip(groups[1:], items, strict=True)]
    else:
        tiles = [f"g{each}" for each in groups] if kind == WHO else []
    if others := [each for each in marked if each not in tiles]:
        raise ReviewError("invalid", f"{others[0]!r} was not shown as a tile")
    return tuple(sorted({tiles.index(each) for each in marked}))


def answer(board: ReviewBoard, queue: ReviewQueue, given: Given, *, tab: str | None, by: str | None) -> Answered:
    """Makes an answer true and keeps it.

    Args:
        board: the groups
        queue: the questions about them
        given: the answer
        tab: the tab in which it was given
        by: who gave it

    Raises:
        ReviewError: the question is about something that is not so any more
    """
    known = kept_before(board, queue, given, tab=tab, by=by)
    if known is not None:
        return Answered(known.change, KEPT)
    if given.said == PICK and len(given.marked) != 1:
        raise ReviewError("invalid", "one of the groups has to be picked")
    words = words_of(board, given)
    items = _both(board, given) if given.kind == SAME else given.items
    is_asked = given.question == id_of_question(given.kind, given.groups, given.items)
    record = AnswerRecord(
        0,
        given.kind,
        given.groups,
        items,
        given.said,
        given.marked,
        difference=given.difference,
        features=queue.features(given.question) if is_asked else (),
        by=by,
        tab=tab,
        given=given.digest,
    )
    report = None if given.said in (UNSURE, LATER) else _write(board, given, words)
    board.refresh()
    return keep(queue, replace(record, new_id=_new_id(board, given)), report, words)


def kept_before(
    board: ReviewBoard, queue: ReviewQueue, given: Given, *, tab: str | None, by: str | None
) -> AnswerRecord | None:
    """The record of the very same answer of a tab, as when the server was killed before it could say that it is kept.

    It is not looked for where it may be said once more on purpose: something was changed since, and it still fits; or
    the question was put off, and has come back.

    Args:
        board: the groups
        queue: the questions about them
        given: the answer
        tab: the tab in which it was given
        by: who gave it

    Raises:
        ReviewError: there is none, and the question is about something that is not so any more
    """
    queue.records.refresh()
    known = None if given.said == LATER else queue.records.kept(given.digest, tab, by)
    try:
        check_current(board, given)
    except ReviewError:
        if known is None:
            raise
        return known
    return known if known is not None and queue.records.is_last_of_tab(known) else None


def keep(queue: ReviewQueue, record: AnswerRecord, report: EditReport | None, words: str) -> Answered:
    """Keeps an answer with the change that it made.

    Args:
        queue: the questions
        record: the answer
        report: the change, None where it made none
        words: what it did
    """
    number = None if report is None else report.number
    at = {"after": queue.last_change()} if number is None else {"change": number, "change_at": queue.begun_at(number)}
    queue.add(replace(record, **at))
    return Answered(number, words, () if report is None else (*_pairs(report), *report.lifted))


def _both(board: ReviewBoard, given: Given) -> tuple[tuple[str, ...], ...]:
    """The items of two groups; none where there are too many to keep."""
    rows = [board.members(each) for each in given.groups]
    if sum(map(len, rows)) > MOST_ITEMS:
        return ()
    return tuple(tuple(board.ids[row] for row in part) for part in rows)


def _pairs(report: EditReport) -> list[str]:
    return [f"{one} / {other}" for one, other in report.parted]


def _new_id(board: ReviewBoard, given: Given) -> int:
    if (given.kind, given.said) not in ((HALVES, NO), (WHO, NEW)):
        return 0
    row = board.place.get(given.items[-1][0], -1)
    return int(board.group_ids[row]) if row >= 0 else 0


def check_current(board: ReviewBoard, given: Given) -> None:
    """Checks that what was shown with a question is still so.

    Raises:
        ReviewError: it is not
    """
    for group_id in filter(None, given.groups):
        n, shown = len(board.members(group_id)), given.sizes.get(group_id)
        if not n:
            raise _stale(f"{name_of(board, group_id)} has no images any more: it was merged, moved or ignored")
        if shown != n:
            raise _stale(f"{board.name(group_id)!r} had {shown} images when it was shown, and has {n} now")
        if not given.is_same(group_id, [board.ids[row] for row in board.members(group_id)]):
            raise _stale(f"{board.name(group_id)!r} had other images when it was shown")
    owners = _owners(given)
    for item_id, owner in owners.items():
        row = board.place.get(item_id, -1)
        if row < 0:
            raise _stale("an image was deleted")
        if board.group_ids[row] != owner:
            raise _stale("an image is in another group now")
    if given.kind not in (SAME, WHOLE) and not owners:
        raise _stale("the server was started again, and the question was too large to keep")


def _owners(given: Given) -> dict[str, int]:
    """The group in which each item was shown, 0 for none."""
    if given.kind == IN:
        tiles = zip(given.groups[1:], given.items, strict=True)
        return {item_id: small for small, part in tiles for item_id in part}
    owner = 0 if given.kind == WHO or not given.groups else given.groups[0]
    return {item_id: owner for part in given.items for item_id in part}


def _stale(why: str) -> ReviewError:
    return ReviewError("stale", f"this question is out of date, and nothing was changed: {why}")


# -- writing


def _write(board: ReviewBoard, given: Given, words: str) -> EditReport | None:
    """Writes the change of an answer, with what it says for the history; None where there is none."""
    if given.kind == SAME:
        return _write_pair(board, given, words)
    if given.kind == HALVES and given.said == NO:
        return split(board.store, board.reference(given.groups[0]), [given.items[1]])
    if given.kind == HALVES:
        return _of_groups(board, given, words, lambda made, ids: made.draft.hold(ids[0]))
    if given.kind == WHOLE:
        return _of_groups(board, given, words, _confirm_all) if given.said == YES else None
    plans = {OUT: _plan_out, IN: _plan_in, WHO: _plan_who}
    return _of_items(board, given, words, plans[given.kind])


def _write_pair(board: ReviewBoard, given: Given, words: str) -> EditReport:
    if given.said == NO:
        return _of_groups(board, given, words, lambda made, ids: made.draft.keep_apart(ids))
    name = given.name or board.name(kept_of(board, given.groups))
    return _of_groups(board, given, words, lambda made, ids: merge(made, ids, name.strip()), others=[name.strip()])


def _of_groups(
    board: ReviewBoard,
    given: Given,
    about: str,
    plan: Callable[[Edit, list[int]], None],
    others: Sequence[GroupRef] = (),
) -> EditReport:
    references = [board.reference(each) for each in given.groups]

    def checked(made: Edit) -> None:
        ids = made.resolve_all(references)
        members: dict[int | None, list[str]] = {}
        for item_id, _, label in made.rows:
            members.setdefault(made.group_of(label), []).append(item_id)
        for shown, group_id in zip(given.groups, ids, strict=True):
            if not given.is_same(shown, members.get(group_id, ())):
                raise _stale(f"{made.draft.groups[group_id].name!r} was changed at this moment")
        plan(made, ids)
        made.about = about

    return edit(board.store, "answer", checked, groups=references, others=others, dry_run=False, progress=None)


def _confirm_all(made: Edit, ids: list[int]) -> None:
    for item_id, sample_id, label in made.rows:
        if label is not None:
            made.draft.lift(ids[0], [item_id])
            made.write(item_id, sample_id, label, label.confirmed(ids[0]))


def _of_items(
    board: ReviewBoard, given: Given, about: str, plan: Callable[[Edit, Given, list[int]], None]
) -> EditReport:
    target, owners = board.store.target, _owners(given)
    store = LabelStore(replace(target, view=items_view(target, list(owners))), board.store.group_field)
    references = {each: board.reference(each) for each in given.groups if each}

    def checked(made: Edit) -> None:
        ids = {0: 0, **{each: made.resolve(reference) for each, reference in references.items()}}
        if {item_id for item_id, _, _ in made.rows} != owners.keys():
            raise _stale("an image was deleted")
        for item_id, _, label in made.rows:
            if (made.group_of(label) or 0) != ids[owners[item_id]]:
                raise _stale("an image was moved at this moment")
        plan(made, given, [ids[each] for each in given.groups])
        made.about = about

    others = [*references.values(), *([given.name.strip()] if given.name else [])]
    return edit(store, "answer", checked, groups=None, others=others, dry_run=False, progress=None)


def _plan_out(made: Edit, given: Given, ids: list[int]) -> None:
    """The marked images are not of the group; the others are confirmed."""
    out = {given.items[0][place] for place in given.marked}
    for item_id, sample_id, label in made.rows:
        if label is None:
            continue
        if item_id in out:
            made.draft.reject(ids[0], [item_id])
            made.write(item_id, sample_id, label, GroupLabel(UNASSIGNED, None, STATUS_AUTO, assigned=UNASSIGNED))
        else:
            made.draft.lift(ids[0], [item_id])
            made.write(item_id, sample_id, label, label.confirmed(ids[0]))


def _plan_in(made: Edit, given: Given, ids: list[int]) -> None:
    """The marked tiles are of the group, those that are not marked are not."""
    group_id, *small = ids
    joined = {item_id for place in given.marked for item_id in given.items[place]}
    for place, (tile, part) in enumerate(zip(small, given.items, strict=True)):
        if place not in given.marked and tile:
            made.draft.keep_apart([group_id, tile])
        elif place not in given.marked:
            made.draft.reject(group_id, part)
        elif tile:
            _check_whole(made, tile, set(part))
            made.draft.absorb(tile, group_id)
            made.gone.append(made.draft.groups[tile].name)
    _put_into(made, group_id, joined)


def _check_whole(made: Edit, group_id: int, items: set[str]) -> None:
    """Checks that a group has these images, and no others."""
    store = LabelStore(made.store.target.whole(), made.store.group_field)
    rows = stored_rows(store, named_items(store, {group_id}, [made.draft.groups[group_id].name]))
    if {item_id for item_id, _, label in rows if made.group_of(label) == group_id} != items:
        raise _stale(f"{made.draft.groups[group_id].name!r} was changed at this moment")


def _plan_who(made: Edit, given: Given, ids: list[int]) -> None:
    """The image is of the picked group or a new one, and of none of the others; or it shows no single character."""
    if given.said in (NONE, TWO):
        ((item_id, sample_id, label),) = made.rows
        made.write(item_id, sample_id, label, GroupLabel(UNASSIGNED, None, STATUS_IGNORED, assigned=UNASSIGNED))
        return
    name = None if given.name is None else given.name.strip()
    if given.said == NEW and name is not None:
        check_name(name)
        check_free(made, name)
    into = made.draft.new_group(name) if given.said == NEW else ids[given.marked[0]]
    for other in ids:
        if other != into:
            made.draft.reject(other, [given.items[0][0]])
    _put_into(made, into, set(given.items[0]))


def _put_into(made: Edit, group_id: int, items: set[str]) -> None:
    name = made.draft.groups[group_id].name
    for item_id, sample_id, label in made.rows:
        if item_id in items:
            made.draft.lift(group_id, [item_id])
            made.write(item_id, sample_id, label, GroupLabel(name, group_id, STATUS_CONFIRMED, assigned=name))
