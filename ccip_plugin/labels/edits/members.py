"""The items of groups as they are stored, and what becomes of a group that loses the last one."""

import contextlib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import replace

from bson import ObjectId
from bson.regex import Regex
from fiftyone import ViewField as F

from ...core.identity.groups import Draft, is_too_long
from ...core.plain import BLANKS, canonical_name
from ...storage.targets import Target, TargetError, batched, named_ids
from ..store import LabelStore
from ..tables import GroupLabel
from ..writer import Raw

Move = tuple[str, int | None, int | None]
"""The id of an item, the group that it was in and the one that it comes to; None for none."""

Rows = Sequence[tuple[str, str, GroupLabel | None]]
"""Items: their ids, those of their samples, and their labels."""

_condition: ContextVar[Callable[[Rows, Draft], None] | None] = ContextVar("ccip_condition_of_edits", default=None)


class ItemsGoneError(TargetError):
    """None of the images or detections that a view names by their ids is in the dataset any more."""

    def __init__(self, noun: str, ids: Sequence[str]):
        what = f"the {noun[:-1]} {ids[0]} is not" if len(ids) == 1 else f"none of these {len(ids):,} {noun} is"
        such = "" if len(ids) == 1 else f", such as {ids[0]}"
        super().__init__(f"{what} in the dataset any more{such}: deleted meanwhile")
        self.ids = tuple(ids)


@contextlib.contextmanager
def only_if(check: Callable[[Rows, Draft], None]) -> Iterator[None]:
    """Edits inside are written only if a check of the items and groups that they name raises nothing.

    They are checked as they are read. When another process changes groups before an edit has the lease, it reads again,
    and is checked again: what is written is what was checked.

    Args:
        check: it takes the items and the groups
    """
    token = _condition.set(check)
    try:
        yield
    finally:
        _condition.reset(token)


def check_condition(rows: Rows, draft: Draft) -> None:
    """Checks what an edit has read, see :func:`only_if`; raises what the check raises."""
    check = _condition.get()
    if check is not None:
        check(rows, draft)


def stored_rows(store: LabelStore, target: Target) -> list[tuple[str, str, GroupLabel | None]]:
    """The items of a target with their labels as they are stored: a view can show others."""
    ids, sample_ids, _ = store.read(target)
    stored: dict[str, Raw | None] = {}
    for rows in batched(zip(ids, sample_ids, strict=True)):
        stored |= store.read_raw(*map(list, zip(*rows, strict=True)))
    return [
        (item_id, sample_id, store.from_raw(stored.get(item_id)))
        for item_id, sample_id in zip(ids, sample_ids, strict=True)
    ]


def chosen_rows(store: LabelStore) -> list[tuple[str, str, GroupLabel | None]]:
    """The items of a view with their labels.

    Raises:
        ItemsGoneError: it names them by their ids, and none is in the dataset any more
    """
    rows = stored_rows(store, store.target)
    ids = [] if rows else named_ids(store.target)
    if ids and not _has_any(store, ids):
        raise ItemsGoneError(store.target.noun, ids)
    return rows


def _has_any(store: LabelStore, ids: Iterable[str]) -> bool:
    """Whether the dataset has any of some items."""
    path = store.target.path("_id") if store.target.is_patches else "_id"
    wanted = [ObjectId(each) for each in ids if ObjectId.is_valid(each)]
    return store.documents.find_one({path: {"$in": wanted}}, {"_id": True}) is not None


def name_forms(names: Iterable[str]) -> list[str | Regex]:
    """Names in the forms in which users may have typed them, for the database.

    Blanks after a name are found among the labels that begin with it, blanks before it among those that begin with a
    blank, which are few: both are ranges of the index.
    """
    forms = {unicodedata.normalize(form, name.strip()) for name in names for form in ("NFC", "NFD")}
    blank = [Regex(f"^{re.escape(form)}[{BLANKS}]") for form in forms if not is_too_long(form) and "\0" not in form]
    return [*forms, *blank, *(Regex(f"^{re.escape(character)}") for character in BLANKS)]


def named_items(store: LabelStore, ids: set[int], names: list[str]) -> Target:
    """The items whose labels have these ids or names, as the indexes of the database find them."""
    target = store.target
    paths = {name: store.attribute_path(name) for name in ("group_id", "label")}
    query = {"$or": [{paths["group_id"]: {"$in": sorted(ids)}}, {paths["label"]: {"$in": name_forms(names)}}]}
    found = target.view.mongo([{"$match": query}])  # an expression of FiftyOne would use no index
    if not target.is_patches:
        return replace(target, view=found)
    group_id, label = (path.rpartition(".")[2] for path in paths.values())
    wanted, members = set(map(canonical_name, names)), []
    for document in store.documents.find(query, [target.path("_id"), *paths.values()]):
        for each in document[target.patches_field]["detections"]:
            if each.get(group_id) in ids or canonical_name(str(each.get(label))) in wanted:
                members.append(each.get("_id"))
    return replace(target, view=found.filter_labels(target.patches_field, F("_id").is_in(members)))


def group_in(draft: Draft, label: GroupLabel | None) -> int | None:
    """The id of the group that a label names, None for none."""
    return None if label is None else draft.id_of(label.group_name, label.group_id)


def follow_last_images(store: LabelStore, draft: Draft, moves: Sequence[Move]) -> list[tuple[str, str, bool]]:
    """Makes groups with default names, from which the last images are moved, a part of the group that gets these.

    What users said of them holds there then: which images were rejected, which groups are kept apart. With images that
    are rejected from their group when they are moved, users say that it is another character: that one is just empty.

    Args:
        store: where the labels are
        draft: the groups, with the other changes
        moves: the items that are moved; one that comes to None stays

    Returns:
        the names of these groups, of those that they are a part of now, and whether the two were kept apart
    """
    before, found = Draft(draft.registry), []
    moved = {item_id for item_id, _, into in moves if into is not None}
    for group_id, counts in _left(draft, moves).items():
        group = draft.groups.get(group_id)
        if group is None or group.merged_into is not None or not group.is_auto_named:
            continue
        whole = LabelStore(store.target.whole(), store.group_field)
        rows = stored_rows(whole, named_items(whole, {group_id}, [group.name]))
        if any(item_id not in moved and group_in(before, label) == group_id for item_id, _, label in rows):
            continue
        into = min(counts, key=lambda each: (-counts[each], each))
        found.append((group.name, draft.groups[into].name, draft.are_apart(group_id, into)))
        draft.absorb(group_id, into)
        draft.lift(into, [item_id for item_id, _, after in moves if after == into])
    return found


def _left(draft: Draft, moves: Sequence[Move]) -> dict[int, Counter[int]]:
    """For groups of which users said something, how many of their images are moved into which other groups."""
    registry, rejected = draft.registry, draft.changes().rejected
    told = {group_id for group_id, group in registry.groups.items() if group.apart} | registry.rejections.keys()
    left: dict[int, Counter[int]] = {}
    for item_id, group_id, into in moves if told else ():
        if group_id in told and into not in (None, group_id) and item_id not in rejected.get(group_id or 0, ()):
            left.setdefault(group_id or 0, Counter()).update([into or 0])
    return left
