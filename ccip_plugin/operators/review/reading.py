"""The methods of the panel that only read; they do not wait for those that write."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...labels.edits.by_hand import count_by_hand
from ...review.board import ReviewBoard
from ...review.cards import group_page, groups_page, list_groups, names_like
from ...review.overview.preview import n_labels, table_now
from ...review.past import disputes_page, history_page
from ...review.pictures import pictures_of
from ...review.problems import problem_of
from ...review.queue import DONE, TOO_FEW, ReviewQueue, plain_questions, queue_of
from ...review.single import answered_items, doubtful_items, image_page, ordered_view, several_items
from ...review.sources import Source, chosen_source, sources_of, store_of
from ...review.work import WORKS
from .calls import Call, progress


def opened(call: Call) -> dict[str, Any]:
    """What there is to review; the token for the writing methods."""
    dataset = call.dataset
    sources = sources_of(dataset)
    answer: dict[str, Any] = {
        "token": call.token(),
        "source": None,
        "progress": None,
        "threshold": None,
        "by_hand": 0,
        "is_view": call.is_view,
    }
    known: dict[str, int] = {}
    try:
        source = chosen_source(dataset, call.source)
        answer["source"] = source.plain()
        shelf = call.shelf()
        known[source.path] = n_labels(shelf)
        answer["progress"] = progress(shelf)
        answer["threshold"] = round(shelf.threshold, 4)
        answer["by_hand"] = count_by_hand(store_of(dataset, source))
    except Exception as error:
        answer["problem"] = problem_of(error)
    counts = [known[each.path] if each.path in known else _n_labels(call, each) for each in sources]
    listed = zip(sources, counts, strict=True)
    answer["sources"] = [{**each.plain(), "label": each.label, "n_items": n} for each, n in listed]
    return answer


def _n_labels(call: Call, source: Source) -> int:
    """Number of items with a label."""
    store = store_of(call.dataset, source)
    return int(store.target.view.count(store.attribute_path("label")))


def groups(
    call: Call,
    *,
    sort: str = "rival",
    show: str = "all",
    find: str = "",
    page: int = 0,
    per_page: int = 24,
    ids: Sequence[int] | None = None,
    newest: int = 0,
) -> dict[str, Any]:
    """A page of groups; with those that are on it already, they stay where they are."""
    what: dict[str, Any] = {"sort": sort, "show": show, "find": find, "page": page, "per_page": per_page}
    shelf = call.shelf()
    with shelf.lock:
        found = groups_page(shelf, table_now(shelf), **what, ids=ids or (), newest=newest)
        return {**found, "find": find, "progress": progress(shelf)}


def listing(call: Call, *, sort: str = "rival", show: str = "all") -> dict[str, Any]:
    """All groups in short, in the order of their pages."""
    shelf = call.shelf()
    with shelf.lock:
        return {"rows": list_groups(shelf, table_now(shelf), sort=sort, show=show)}


def group(call: Call, *, id: int, page: int = 0) -> dict[str, Any]:
    """The images of a group, the most doubtful first."""
    board, table = call.groups()
    with board.lock:
        return group_page(board, table, id, page)


def names(call: Call, *, text: str) -> dict[str, Any]:
    """Names that are proposed while one types."""
    _, table = call.groups()
    return {"names": names_like(table, text)}


def history(call: Call, *, n: int = 20, skip: int = 0) -> dict[str, Any]:
    """The last changes."""
    source = chosen_source(call.dataset, call.source)
    return history_page(store_of(call.dataset, source).target, source.group_field, n=n, skip=skip)


def disputes(call: Call, *, n: int = 20) -> dict[str, Any]:
    """Answers that contradict each other, and what holds now."""
    board = call.board()
    with board.lock:
        return disputes_page(board, queue_of(board), n=n)


def asked(
    board: ReviewBoard,
    queue: ReviewQueue,
    tab: str | None,
    n: int,
    kinds: Sequence[str] | None,
    skip: Sequence[str],
) -> dict[str, Any]:
    """The next questions of a tab."""
    if not n:  # the tab keeps what it has in hand
        return {"questions": [], "done": None}
    chosen = queue.next(tab, n, kinds, skip)
    none = TOO_FEW if len(board.names) < 2 and not queue.counted else DONE
    done = none if not chosen and queue.is_empty() else None
    return {"questions": plain_questions(board, chosen), "done": done}


def questions(
    call: Call, *, n: int = 8, kinds: Sequence[str] | None = None, skip: Sequence[str] = ()
) -> dict[str, Any]:
    """The questions that are worth most; no other tab gets them."""
    board = call.board()
    found = asked(board, queue_of(board), call.tab, n, kinds, skip)
    return {**found, "progress": progress(board)}


def image(call: Call, *, id: str) -> dict[str, Any]:
    """An image: its group, why, its rivals, and what lies beside it."""
    board, table = call.groups()
    return image_page(board, table, id)


def show(
    call: Call,
    *,
    groups: Sequence[int] | None = None,
    items: Sequence[str] | None = None,
    answers: bool | None = None,
    several: bool | None = None,
) -> dict[str, Any]:
    """Shows groups or images in the grid, the most doubtful first; the whole dataset without any."""
    board, _ = call.groups()
    queue = queue_of(board)
    shown = several_items(board, queue) if several else answered_items(queue) if answers else items
    if not groups and shown is None:
        if call.ctx is not None:
            call.ctx.ops.clear_view()
        return {"n": len(board.ids)}
    with board.lock:
        ids = doubtful_items(board, groups) if groups else [each for each in shown or () if each in board.place]
    if call.ctx is not None:
        call.ctx.ops.set_view(view=ordered_view(board.store.target, ids))
    return {"n": len(ids)}


def work(call: Call, *, id: str) -> dict[str, Any]:
    """How far some work is."""
    return WORKS.get(id).plain()


def cancel(call: Call, *, id: str) -> dict[str, Any]:
    """Cancels some work."""
    WORKS.get(id).cancel()
    return WORKS.get(id).plain()


def pictures(call: Call, *, ids: list[str]) -> dict[str, Any]:
    """The pictures of some items, also those made meanwhile."""
    board, _ = call.groups()
    with board.lock:
        rows = [board.place[each] for each in ids if each in board.place]
        found = pictures_of(board, rows)
        return {"pictures": {board.ids[row]: picture for row, picture in found.items()}}


READING: Mapping[str, Callable[..., dict[str, Any]]] = {
    "open": opened,
    "groups": groups,
    "listing": listing,
    "group": group,
    "names": names,
    "history": history,
    "disputes": disputes,
    "pictures": pictures,
    "questions": questions,
    "image": image,
    "show": show,
    "work": work,
    "cancel": cancel,
}
