"""The methods of the panel that only read; they do not wait for those that write."""

from collections.abc import Callable, Mapping
from typing import Any

from ...labels.edits.by_hand import count_by_hand
from ...review.cards import group_page, groups_page, names_like, progress_of
from ...review.past import history_page
from ...review.pictures import pictures_of
from ...review.problems import problem_of
from ...review.sources import Source, chosen_source, sources_of, store_of
from .calls import Call


def opened(call: Call) -> dict[str, Any]:
    """What there is to review; the token for the writing methods."""
    dataset = call.dataset
    sources = sources_of(dataset)
    answer: dict[str, Any] = {
        "token": call.token(),
        "sources": [{**each.plain(), "label": each.label, "n_items": _n_labels(call, each)} for each in sources],
        "source": None,
        "progress": None,
        "threshold": None,
        "by_hand": 0,
        "is_view": call.is_view,
    }
    try:
        source = chosen_source(dataset, call.source)
        answer["source"] = source.plain()
        board, table = call.groups()
        answer["progress"] = progress_of(board, table)
        answer["threshold"] = round(board.threshold, 4)
        answer["by_hand"] = count_by_hand(store_of(dataset, source))
    except Exception as error:
        answer["problem"] = problem_of(error)
    return answer


def _n_labels(call: Call, source: Source) -> int:
    """Number of items with a label."""
    store = store_of(call.dataset, source)
    return int(store.target.view.count(store.attribute_path("label")))


def groups(
    call: Call, *, sort: str = "rival", show: str = "all", find: str = "", page: int = 0, per_page: int = 24
) -> dict[str, Any]:
    """A page of groups."""
    board, table = call.groups()
    with board.lock:
        found = groups_page(board, table, sort=sort, show=show, find=find, page=page, per_page=per_page)
        return {**found, "progress": progress_of(board, table)}


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
    "group": group,
    "names": names,
    "history": history,
    "pictures": pictures,
}
