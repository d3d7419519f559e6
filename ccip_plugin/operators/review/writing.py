"""The methods of the panel that write, each by one function that Python has as well."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from ...grouping import split_group
from ...labels.edits import confirm as confirm_items
from ...labels.edits import (
    ignore,
    keep_apart,
    keep_together,
    merge_groups,
    move,
    reject,
    rename_group,
    set_cover,
)
from ...labels.edits.members import only_if
from ...labels.history import last_done, redo, undo
from ...labels.reports import ApplyReport, action_text
from ...review.answers import answer as answer_question
from ...review.answers import given_of
from ...review.board import ReviewBoard
from ...review.problems import ReviewError, action, answered
from ...review.queue import queue_of
from ...review.single import say_several
from ...review.work import WORKS, ProgressCallback, in_turn
from ...storage.person import working_as
from ...storage.targets import items_view
from .calls import Call, progress
from .expected import Shown
from .reading import asked

Result = dict[str, Any]


def _do(call: Call, task: Callable[[ReviewBoard, ProgressCallback], Result]) -> Result:
    """Does some work, as a person; one after the other on one field."""
    board = call.board()

    def work(report: ProgressCallback) -> Result:
        with in_turn(board.writing, report), working_as(call.by):
            done = task(board, report)
        board.refresh()
        return {**done, "progress": progress(board)}

    return WORKS.do(work)


def _edit(
    call: Call, function: Callable[..., Any], *arguments: Any, shown: Shown | None = None, **options: Any
) -> Result:
    """Calls an edit of the whole dataset, or of some items of it, if they are as they were shown."""

    def task(board: ReviewBoard, progress: ProgressCallback) -> Result:
        ids = options.get("items")
        others = {name: value for name, value in options.items() if name != "items"}
        target = board.store.target
        view = target.view if ids is None else items_view(target, ids)
        path = {"group_field": board.source.group_field, "patches_field": target.patches_field}
        reference = _reference(board)
        condition = nullcontext() if shown is None else only_if(lambda rows, draft: shown.check(rows, draft, reference))
        with condition:
            report = function(view, *map(reference, arguments), **others, **path, progress=progress)
        return _reported(board, report)

    return _do(call, task)


def _reference(board: ReviewBoard) -> Callable[[Any], Any]:
    """Groups by their ids as the edits take them."""

    def of(value: Any) -> Any:
        if isinstance(value, list):
            return [of(each) for each in value]
        return board.reference(value) if isinstance(value, int) and value in board.names else value

    return of


def _reported(board: ReviewBoard, report: Any) -> Result:
    number = getattr(report, "number", None)
    if not hasattr(report, "number"):  # a rejection does not say it
        change = last_done(board.store.target.dataset, board.store.path)
        number = None if change is None else change.number
    parted = [f"{one} / {other}" for one, other in getattr(report, "parted", ())]
    lifted = [*parted, *getattr(report, "lifted", ())]
    return {"number": number, "text": report.facts().headline, "lifted": lifted}


def answer(
    call: Call,
    *,
    question: str,
    kind: str,
    said: str,
    shown: Result,
    marked: Sequence[str] = (),
    name: str | None = None,
    n: int = 8,
    skip: Sequence[str] = (),
) -> Result:
    """Makes an answer true; gives the next questions."""
    kept = queue_of(call.board()).items(question)
    given = given_of(question, kind, said, marked, shown, name or None, kept)

    def task(board: ReviewBoard, progress: ProgressCallback) -> Result:
        queue = queue_of(board)
        done = answer_question(board, queue, given, tab=call.tab, by=call.by)
        following = asked(board, queue, call.tab, n, None, [question, *skip])
        queue.keep_claim(call.tab)
        return {"number": done.number, "text": done.text, "lifted": list(done.lifted), **following}

    return _do(call, task)


def answers(call: Call, *, answers: list[Result]) -> Result:
    """Makes several answers true, in order; one that is out of date does not stop the others."""
    results = [answered(lambda each=each: answer(call, **{**each, "n": 0})) for each in answers]  # type: ignore[misc]
    return {"results": results}


Sizes = Mapping[str, int] | None
"""The numbers of images of groups as they were shown, by their ids."""


def _of_groups(
    call: Call, function: Callable[..., Any], about: list[int], /, *arguments: Any, sizes: Sizes, **options: Any
) -> Result:
    """Calls an edit of some groups, if they have as many images as when they were shown."""
    shown = Shown(sizes)
    shown.check_names(about)
    return _edit(call, function, *arguments, shown=shown, **options)


def confirm(call: Call, *, groups: list[int], sizes: Sizes = None) -> Result:
    """Confirms all images of groups."""
    return _of_groups(call, confirm_items, groups, sizes=sizes, groups=_reference(call.board())(groups))


def ignore_all(
    call: Call,
    *,
    groups: list[int] | None = None,
    items: list[str] | None = None,
    sizes: Sizes = None,
    group: int | None = None,
) -> Result:
    """Ignores images, or all of groups."""
    if (groups is None) == (items is None):
        raise ReviewError("invalid", "groups or items are expected, one of the two")
    if groups is None:
        return _edit(call, ignore, items=items, shown=Shown(group=group, items=items))
    return _of_groups(call, ignore, groups, sizes=sizes, groups=_reference(call.board())(groups))


def rename(call: Call, *, group: int, name: str, merge: bool = False, sizes: Sizes = None) -> Result:
    """Names a group; with a name that another one has, the two can be merged."""
    if merge:
        other = call.board().named(name, but=group)
        if other is not None:
            groups = [group, other]
            return _of_groups(call, merge_groups, groups, groups, name=name, sizes=sizes)
    done = _of_groups(call, rename_group, [group], group, name, sizes=sizes)
    problem = done.get("problem")
    if problem and problem["code"] == "choose":
        problem["action"] = action("Merge the two", "rename", group=group, name=name, merge=True)
    return done


def merge(call: Call, *, groups: list[int], name: str | None = None, sizes: Sizes = None) -> Result:
    """Merges groups."""
    return _of_groups(call, merge_groups, groups, groups, name=name or None, sizes=sizes)


def split(
    call: Call, *, group: int, k: int | None = None, parts: list[list[str]] | None = None, sizes: Sizes = None
) -> Result:
    """Divides a group, along its own linkage or as given."""
    return _of_groups(call, split_group, [group], group, k=k, parts=parts, sizes=sizes)


def part(call: Call, *, groups: list[int], sizes: Sizes = None) -> Result:
    """Keeps groups apart."""
    return _of_groups(call, keep_apart, groups, groups, sizes=sizes)


def join(call: Call, *, groups: list[int], sizes: Sizes = None) -> Result:
    """Keeps a group, or several, together."""
    return _of_groups(call, keep_together, groups, groups, sizes=sizes)


def put(
    call: Call, *, items: list[str], to: int | None = None, name: str | None = None, group: int | None = None
) -> Result:
    """Moves images to a group, a named one or a new one."""
    shown = Shown(group=group, items=items)
    return _edit(call, move, to if to is not None else (name or None), items=items, shown=shown)


def refuse(call: Call, *, items: list[str], group: int | None = None) -> Result:
    """Says that images are not of their group."""
    return _edit(call, reject, items=items, shown=Shown(group=group, items=items))


def cover(call: Call, *, group: int, items: list[str]) -> Result:
    """Chooses the cover of a group."""
    return _edit(call, set_cover, items=items, shown=Shown(group=group, items=items))


def two(call: Call, *, items: list[str]) -> Result:
    """Says that images show several characters: they are ignored, in no group, and kept for a detector."""

    def task(board: ReviewBoard, progress: ProgressCallback) -> Result:
        done = say_several(board, queue_of(board), items, tab=call.tab, by=call.by, progress=progress)
        return {"number": done.number, "text": done.text, "lifted": list(done.lifted)}

    return _do(call, task)


def take_back(call: Call, *, number: int | None = None) -> Result:
    """Undoes the last change or answer, or an earlier change alone."""

    def task(board: ReviewBoard, progress: ProgressCallback) -> Result:
        if number is None and queue_of(board).undo_answer(call.tab):
            return {"number": None, "text": "undid an answer that changed nothing", "left": []}
        field, patches_field = board.source.group_field, board.source.patches_field
        chosen, heads = number or queue_of(board).last_change(), queue_of(board).records.heads()
        done = undo(
            board.store.target.view, number=number, group_field=field, patches_field=patches_field, progress=progress
        )
        return _turned(done, str(heads.get(chosen, {}).get("about") or ""))

    return _do(call, task)


def repeat(call: Call) -> Result:
    """Repeats what was undone last."""

    def task(board: ReviewBoard, progress: ProgressCallback) -> Result:
        field, patches_field = board.source.group_field, board.source.patches_field
        return _turned(redo(board.store.target.view, group_field=field, patches_field=patches_field, progress=progress))

    return _do(call, task)


def _turned(report: ApplyReport, about: str = "") -> Result:
    left = f"{report.n_left:,} labels were edited or deleted since, and stay" if report.n_left else None
    text = f"{action_text(report.action)}: {about}" if about else action_text(report.action)
    return {"number": report.number, "text": text, "left": [left] if left else []}


WRITING: Mapping[str, Callable[..., Result]] = {
    "answer": answer,
    "answers": answers,
    "confirm": confirm,
    "ignore": ignore_all,
    "rename": rename,
    "merge": merge,
    "split": split,
    "keep_apart": part,
    "keep_together": join,
    "move": put,
    "reject": refuse,
    "cover": cover,
    "two": two,
    "undo": take_back,
    "redo": repeat,
}
