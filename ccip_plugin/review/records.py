"""The answers of people, kept with the dataset: what labels and groups do not say, such as "cannot tell".

Each is a value of its own in an execution store, by the ids of groups and items. An answer that changed something names
the change of the history: when that is undone, the answer does not count any more.
"""

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import fiftyone as fo
import numpy as np
from fiftyone.operators.store import ExecutionStore

from ..core.identity.groups import Registry
from ..core.review.answers import LATER
from ..core.review.kinds import IN, SAME, WHOLE, Question
from ..labels.history.hand_edits import HandEdit
from ..labels.journal import STORE as JOURNAL_STORE
from ..storage.internals import dataset_id, store_values
from .board import ReviewBoard

STORE, CLAIMS = "ccip_review", "ccip_review_claims"
_UNDONE = frozenset({"undone", "undoing", "pruned"})
_DIGITS = 8
_KEPT_SECONDS = 600  # after which the database deletes what a tab had in hand


@dataclass(frozen=True)
class Given:
    """An answer as it came.

    Attributes:
        kind: the kind of question
        groups: the ids of its groups; 0 for a tile that is a single image
        sizes: the numbers of images that they had
        members: which images these were, as digests; none of a group of which that was not shown
        items: the ids of its items, by side or tile
        said: what was said
        marked: the places of the marked tiles
        name: the name of the group, where one was typed
        difference: what the question said
        question: the id of the question
    """

    kind: str
    groups: tuple[int, ...]
    sizes: Mapping[int, int]
    items: tuple[tuple[str, ...], ...]
    said: str
    marked: tuple[int, ...] = ()
    name: str | None = None
    difference: float | None = None
    question: str = ""
    members: Mapping[int, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The same for answers that say the same of the same groups with the same images."""
        shown = sorted(self.sizes.items()), sorted(self.members.items())
        said = self.said, self.marked, self.name
        return members_digest([repr((self.kind, self.groups, self.items, shown, said))])

    def is_same(self, group_id: int, items: Iterable[str]) -> bool:
        """Whether a group has the images that it had when it was shown."""
        ids = list(items)
        return len(ids) == self.sizes.get(group_id) and self.members.get(group_id) in (None, members_digest(ids))


@dataclass(frozen=True)
class AnswerRecord:
    """An answer.

    Attributes:
        number: counts the answers of a field, from 1
        kind: the kind of question
        groups: the ids of its groups
        items: the ids of its items, by side or tile; none where there were too many
        said: what was said
        marked: the places of the marked tiles
        new_id: the id of the group that it made, 0 for none
        difference: what the question said
        features: what its probabilities were computed from, a row for each matter
        by: who said it, None where that is not known
        tab: the tab in which it was said
        at: when, in UTC
        change: the number of the change in the history, None where nothing was changed
        change_at: when that change was begun; numbers of undone changes are given again
        after: the number of the last change before an answer that changed nothing
        undone: whether an answer that changed nothing was undone
        key: tells answers apart that two processes gave the same number
        given: the digest of the answer as it came, empty where that is not known
    """

    number: int
    kind: str
    groups: tuple[int, ...]
    items: tuple[tuple[str, ...], ...]
    said: str
    marked: tuple[int, ...] = ()
    new_id: int = 0
    difference: float | None = None
    features: tuple[tuple[float, ...], ...] = ()
    by: str | None = None
    tab: str | None = None
    at: str = ""
    change: int | None = None
    change_at: str = ""
    after: int = 0
    undone: bool = False
    key: str = ""
    given: str = ""

    def stored(self) -> dict[str, Any]:
        """The answer as plain values."""
        lists = {name: [list(each) for each in getattr(self, name)] for name in ("items", "features")}
        return {**asdict(self), **lists, "groups": list(self.groups), "marked": list(self.marked)}

    @classmethod
    def from_stored(cls, values: Mapping[str, Any]) -> "AnswerRecord":
        """The opposite of :meth:`stored`; what later versions add is left out."""
        known = {each.name for each in fields(cls)}
        read = {name: value for name, value in values.items() if name in known}
        lists = {name: tuple(tuple(each) for each in read.get(name, ())) for name in ("items", "features")}
        return cls(**{**read, **lists, "groups": tuple(read["groups"]), "marked": tuple(read["marked"])})


class Records:
    """The answers about one field, oldest first; read once, then only the new ones.

    Args:
        dataset: the dataset
        path: the path of the field with the groups
    """

    def __init__(self, dataset: fo.Dataset, path: str):
        self._dataset, self._path = dataset, path
        self._store = ExecutionStore.create(STORE, dataset_id(dataset))
        self._records: dict[str, AnswerRecord] = {}
        self._undone = ""

    @property
    def n(self) -> int:
        """Number of answers, those that were undone as well."""
        return len(self._records)

    @property
    def state(self) -> tuple[int, str]:
        """Changes with every answer, and every one that is undone."""
        return len(self._records), self._undone

    def refresh(self) -> None:
        """Reads the answers that are new; all, where an earlier one was undone by another process."""
        number, prefix = self._last(), f"{self._path}/"
        undone = "".join(store_values(self._dataset, STORE, self._undone_key).values())
        if undone != self._undone:
            number, self._undone = 0, undone
        while found := store_values(self._dataset, STORE, f"{prefix}{number:0{_DIGITS}d}" if number else prefix):
            self._records |= {key: AnswerRecord.from_stored(values) for key, values in found.items()}
            if not number:
                return
            number += 1

    def heads(self) -> dict[int, Mapping[str, Any]]:
        """The heads of the changes of the history, by number."""
        heads = store_values(self._dataset, JOURNAL_STORE, f"{self._path}/").values()
        return {int(head["number"]): head for head in heads}

    def counted(self, heads: Mapping[int, Mapping[str, Any]]) -> list[AnswerRecord]:
        """The answers that were not undone.

        Args:
            heads: what :meth:`heads` gives now
        """
        oldest = min(heads, default=0)
        return [each for _, each in sorted(self._records.items()) if _counts(each, heads, oldest)]

    def last_without_change(self, tab: str | None) -> AnswerRecord | None:
        """The last answer of a tab that changed nothing and was not undone."""
        mine = (each for _, each in sorted(self._records.items()) if each.tab == tab)
        found = [each for each in mine if each.change is None and not each.undone]
        return found[-1] if found else None

    def kept(self, digest: str, tab: str | None, by: str | None) -> AnswerRecord | None:
        """The last record of an answer that counts, of a tab and a person.

        Args:
            digest: that of the answer as it came
            tab: the tab
            by: the person
        """
        mine = [each for each in self._records.values() if (each.given, each.tab, each.by) == (digest, tab, by)]
        counted = {each.key for each in self.counted(self.heads())} if mine else set()
        return max((each for each in mine if each.key in counted), key=lambda each: each.number, default=None)

    def is_last_of_tab(self, record: AnswerRecord) -> bool:
        """Whether a tab has said nothing since an answer, and nothing was changed but by answers in other tabs."""
        later = (each for each in self._records.values() if each.tab == record.tab and not each.undone)
        return all(each.number <= record.number for each in later) and self.is_last(record)

    def is_last(self, record: AnswerRecord) -> bool:
        """Whether nothing was changed after an answer, but for answers in other tabs."""
        elsewhere = {each.change for each in self._records.values() if each.tab != record.tab}
        done = {number for number, head in self.heads().items() if head.get("state") not in _UNDONE}
        return {number for number in done if number > (record.change or record.after)} <= elsewhere

    def add(self, record: AnswerRecord) -> AnswerRecord:
        """Keeps an answer, under the next number."""
        self.refresh()
        return self.put(replace(record, number=self._last() + 1, key=secrets.token_hex(4)))

    def _last(self) -> int:
        return max((each.number for each in self._records.values()), default=0)

    def undo(self, record: AnswerRecord) -> None:
        """Says of an answer that changed nothing that it was undone; other processes see it at their next refresh."""
        self.put(replace(record, undone=True))
        self._undone = secrets.token_hex(8)
        self._store.set(self._undone_key, self._undone)

    @property
    def _undone_key(self) -> str:
        """Where it is kept which answer was undone last: as a random text."""
        return f"{self._path}#undone"

    def put(self, record: AnswerRecord) -> AnswerRecord:
        """Writes an answer."""
        key = f"{self._path}/{record.number:0{_DIGITS}d}/{record.key}"
        self._store.set(key, record.stored())
        self._records[key] = record
        return record


def _counts(record: AnswerRecord, heads: Mapping[int, Mapping[str, Any]], oldest: int) -> bool:
    if record.change is None:
        return not record.undone
    head = heads.get(record.change)
    if head is None:
        return record.change < oldest  # too old to be undone; a later one is not there because it was undone
    return head.get("state") not in _UNDONE and head.get("at") == record.change_at


def begun_at(dataset: fo.Dataset, path: str, change: int) -> str:
    """When a change of the history was begun."""
    heads = store_values(dataset, JOURNAL_STORE, f"{path}/{change:0{_DIGITS}d}").values()
    return next((str(head.get("at", "")) for head in heads), "")


def claimed(dataset: fo.Dataset, path: str) -> dict[str, Mapping[str, Any]]:
    """What the tabs have in hand that answer questions: by tab the groups, the ids of items, and until when."""
    prefix = f"{path}/"
    return {key.removeprefix(prefix): value for key, value in store_values(dataset, CLAIMS, prefix).items()}


def claim(dataset: fo.Dataset, path: str, tab: str, held: Iterable[str], until: float) -> None:
    """Keeps what a tab has in hand.

    Args:
        dataset: the dataset
        path: the path of the field
        tab: the tab
        held: the groups and items, as texts
        until: until when, in seconds since 1970
    """
    ExecutionStore.create(CLAIMS, dataset_id(dataset)).set(
        f"{path}/{tab}", {"held": sorted(held), "until": until}, ttl=_KEPT_SECONDS
    )


def edited_groups(board: ReviewBoard, edits: Iterable[HandEdit], records: Iterable[AnswerRecord]) -> set[int]:
    """Groups with labels edited by hand, of which it was not said since whether all of it is one character.

    Args:
        board: the groups
        edits: the edits by hand
        records: the answers that count
    """
    found = set[int]()
    said = [each for each in records if each.kind == WHOLE and each.said != LATER]
    for edit in edits:
        later = [each for each in said if (each.change or each.after) >= edit.number and each.at >= edit.at]
        for group_id, items in edit.groups.items():
            root = _chain(board.registry, group_id)[-1]
            places = ((item, board.place.get(item)) for item in items)
            in_it = {item for item, row in places if row is not None and board.group_ids[row] == root}
            if in_it and not any(_is_about(each, root, in_it, board.registry) for each in later):
                found.add(root)
    return found


def _is_about(record: AnswerRecord, group_id: int, items: set[str], registry: Registry) -> bool:
    """Whether an answer about a whole group was about some items; of a large one, whether the group is the same."""
    if record.items:
        return not items.isdisjoint(item for part in record.items for item in part)
    return _chain(registry, record.groups[0])[-1] == group_id


def question_of(board: ReviewBoard, record: AnswerRecord) -> Question | None:
    """The question of an answer, with the groups of today; None where its items are gone.

    Of two groups that are one now, the second one is that which was merged last.
    """
    registry = board.registry
    groups = [_chain(registry, each)[-1] if each else 0 for each in record.groups]
    if record.kind in (SAME, IN):
        first, *others = record.groups
        groups[1:] = [
            _merged(registry, first, other) if other and root == groups[0] else root
            for other, root in zip(others, groups[1:], strict=True)
        ]
    parts = [np.array([board.place.get(item, -1) for item in part], np.int64) for part in record.items]
    if record.kind in (SAME, WHOLE):  # of large ones the items are not kept
        parts = parts or [np.empty(0, np.int64)] * 2
    if not parts or any((part < 0).any() for part in parts):
        return None
    features = tuple(np.array(each, np.float64) for each in record.features)
    return Question(
        record.kind, tuple(groups), tuple(parts), 0.0, record.difference or 0.0, 0.5, images=(), features=features
    )


def _chain(registry: Registry, group_id: int) -> list[int]:
    """A group, that into which it was merged, and so on."""
    chain = [group_id]
    while (group := registry.groups.get(chain[-1])) is not None and group.merged_into is not None:
        chain.append(group.merged_into)
    return chain


def _merged(registry: Registry, first: int, second: int) -> int:
    """Of two groups that are one now, the last of those that were merged into the other."""
    chains = _chain(registry, first), _chain(registry, second)
    own = [[each for each in chain if each not in other] for chain, other in zip(chains, chains[::-1], strict=True)]
    return max((each[-1] for each in own if each), default=first)


def members_digest(ids: Iterable[str]) -> str:
    """A short text that tells whether a group has the same images, whatever their order."""
    return hashlib.sha256("".join(sorted(ids)).encode()).hexdigest()[:16]
