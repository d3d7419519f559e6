"""New detections take over what users decided about those that they replace, as when a detector runs again."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ...core.identity.boxes import match_boxes
from ...core.identity.groups import Draft
from ...core.identity.ids import ids_of, places_of, texts_of
from ...core.identity.planning import Plan
from ...core.identity.state import NONE, State
from ...core.plain import canonical_name
from ...core.progress import ProgressCallback
from ...storage.fields import STATUS_AUTO, STATUS_CONFIRMED, STATUS_IGNORED, UNASSIGNED
from ...storage.lease import SHORT_SECONDS, lease
from ...storage.targets import batched
from ..changes import apply, recover
from ..identities import StaleGroupsError, registry_revision
from ..snapshot import read_state
from ..store import LabelStore
from ..tables import GroupLabel, table_of
from .field import is_declared
from .lists import Listed, current, read_lists, update, write_updates
from .records import Decision, TakeOver

logger = logging.getLogger(__name__)

ACTION = "take_over_decisions"

_ATTEMPTS = 3
_Rejected = Mapping[str, Mapping[int, str]]


class Match(NamedTuple):
    """A decision, the detection that takes it over, and the label that this one has.

    If a user has labeled this one otherwise, the later decision counts: nothing is taken over, and the other is gone.
    """

    taken: TakeOver
    label: GroupLabel | None
    is_overruled: bool


def take_over(store: LabelStore, state: State, *, progress: ProgressCallback | None = None) -> tuple[int, State]:
    """Lets new detections take over the decisions about those that they replaced.

    A detection replaces one that is gone if their boxes overlap by more than a half (intersection over union), and if
    it did not exist beside it before; the greatest overlap first, one to one. Its label becomes the user label of the
    other one, unless it has a user label itself, and it is rejected from the same groups. This is a change of its own
    in the history. Decisions without such a detection stay in the list of their sample.

    Before that, lists that are not current are updated: those of earlier versions, and those of moved boxes. Costs time
    for the samples with decisions.

    Args:
        store: where the labels are; other detections than those of its target stay as they are
        state: the labels and groups
        progress (None): called with the number of labels written

    Returns:
        the number of decisions that were taken over, and the labels and groups after it: the same object if there are
        none

    Raises:
        StaleGroupsError: the groups kept changing meanwhile
        LeaseHeldError: another process is writing
    """
    if not store.target.is_patches:
        return 0, state
    dataset = store.target.dataset
    with lease(dataset, store.path, ttl=SHORT_SECONDS) as held:
        recover(store, held)  # an unfinished change may be of decisions
    if registry_revision(dataset, store.path) != state.registry.revision:
        state = read_state(store)
    for attempt in range(_ATTEMPTS):
        rejected = _rejected(state)
        matches, outdated = _scan(store, state, rejected)
        _update(store, outdated, rejected)
        if not matches:
            return 0, state
        taken = [match.taken for match in matches]
        try:
            done = apply(store, _plan(state, matches), action=ACTION, taken_over=taken, progress=progress)
        except StaleGroupsError:
            if attempt == _ATTEMPTS - 1:
                raise
            state = read_state(store)
            continue
        kept = [match for match in matches if not match.is_overruled and match.taken.detection not in done.refused]
        return len(kept), read_state(store)
    raise AssertionError("unreachable")


def count_waiting(store: LabelStore, state: State) -> int:
    """The number of decisions that :func:`take_over` would let others take over. Nothing is written."""
    matches = _scan(store, state, _rejected(state))[0] if store.target.is_patches else []
    return sum(not match.is_overruled for match in matches)


def _rejected(state: State) -> dict[str, dict[int, str]]:
    """For the ids of detections the groups that they were rejected from, names by id."""
    rejected: dict[str, dict[int, str]] = defaultdict(dict)
    for group_id, ids in state.registry.rejections.items():
        if group_id in state.registry.groups:
            for item_id in ids:
                rejected[item_id][group_id] = state.registry.groups[group_id].name
    return dict(rejected)


def _scan(store: LabelStore, state: State, rejected: _Rejected) -> tuple[list[Match], list[str]]:
    """The decisions that are taken over, and the ids of other samples whose lists are not current."""
    matches, outdated = [], []
    wanted = None if store.target.is_whole else set(texts_of(state.labels.ids[state.target_rows]))
    for chunk in batched(sorted(_samples_with_decisions(store, state, rejected))):
        for listed in read_lists(store, chunk):
            found = [match for match in _matches(listed) if wanted is None or match.taken.detection in wanted]
            matches += found
            if not found and _is_outdated(store, listed, rejected):
                outdated.append(str(listed.sample_id))
    return matches, outdated


def _samples_with_decisions(store: LabelStore, state: State, rejected: _Rejected) -> set[str]:
    """The ids of the samples with decisions among those of the target."""
    labels, rows = state.labels, state.target_rows
    decided = rows[state.is_user_label[rows]]
    places = places_of(ids_of(sorted(rejected)), labels.ids)
    found = {*texts_of(labels.sample_ids[decided]), *texts_of(labels.sample_ids[places[places != NONE]])}
    name = f"{store.decisions_field}"
    if is_declared(store.target.dataset, name):
        found.update(str(document["_id"]) for document in store.documents.find({name: {"$nin": [None, []]}}, ["_id"]))
    return found if store.target.is_whole else found.intersection(texts_of(labels.sample_ids[rows]))


def _matches(listed: Listed) -> Iterator[Match]:
    """What detections of a sample take over: those that its list does not know yet, or that users decided otherwise."""
    lost = [decision for decision in listed.lost if decision]
    old = [(decision, decision.box) for decision in lost if decision.box is not None]
    known = {decision.detection for decision in listed.decisions}
    new = [(key, each.box) for key, each in listed.detections.items() if each.box is not None]
    apart = {
        (row, column)
        for row, (decision, _) in enumerate(old)
        for column, (key, _) in enumerate(new)
        if key in decision.beside
    }
    for row, column in match_boxes([box for _, box in old], [box for _, box in new], apart=apart):
        key, decision = new[column][0], old[row][0]
        label = listed.detections[key].label
        is_overruled = _contradicts(decision, label)
        if is_overruled or key not in known:
            yield Match(TakeOver(str(listed.sample_id), key, decision), label, is_overruled)


def _contradicts(decision: Decision, label: GroupLabel | None) -> bool:
    """Whether a user has given the new detection another label: the later decision counts."""
    if decision.label is None or label is None or not label.is_human:
        return False
    name = label.group_name or label.label or ""
    is_same_status = label.is_ignored == (decision.status == STATUS_IGNORED)
    return not is_same_status or canonical_name(name) != canonical_name(decision.label)


def _is_outdated(store: LabelStore, listed: Listed, rejected: _Rejected) -> bool:
    return update(listed, _decisions(store, listed, rejected), f"{store.decisions_field}") is not None


def _decisions(store: LabelStore, listed: Listed, rejected: _Rejected) -> list[Decision]:
    return [*current(listed, store.group_field, rejected), *filter(None, listed.lost)]


def _update(store: LabelStore, sample_ids: list[str], rejected: _Rejected) -> None:
    """Brings lists up to date; one that its sample has no room for is left out, and said."""
    refused: dict[str, str] = {}
    for chunk in batched(sample_ids):
        with lease(store.target.dataset, store.path, ttl=SHORT_SECONDS):
            updates = [
                (listed, each)
                for listed in read_lists(store, chunk)
                if (each := update(listed, _decisions(store, listed, rejected), f"{store.decisions_field}")) is not None
            ]
            refused |= write_updates(store, updates)
    if sample_ids:
        store.refresh()
    for sample_id, reason in refused.items():
        logger.warning("the decisions in sample %s cannot be listed: %s", sample_id, reason)


def _plan(state: State, matches: list[Match]) -> Plan:
    """The labels and rejections of detections that take over decisions."""
    draft, names = Draft(state.registry), state.registry.ids_by_name()
    rows, barred = [], _roots(draft)
    for taken, label, _ in matches:
        decision, key = taken.decision, taken.detection
        new = None if decision.label is None or (label and label.is_human) else _label(decision, draft, names)
        if new is not None and new.group_id in barred[key]:
            new = None  # it was rejected from that group since
        kept = new or label
        own = None if kept is None else names.get(canonical_name(kept.group_name or ""))
        roots = (_find(group_id, name, draft, names) for group_id, name in decision.rejected.items())
        rejected = {group_id for group_id in roots if group_id is not None}
        for group_id in rejected - {own if kept is not None and kept.is_human else None}:
            draft.reject(group_id, [key])
        if new is None and own is not None and own in rejected and not (label and label.is_human):
            new = GroupLabel(UNASSIGNED, None, STATUS_AUTO, assigned=UNASSIGNED)
        if new is not None:
            rows.append((key, taken.sample_id, new))
    return Plan(table_of(rows), draft.changes())


def _roots(draft: Draft) -> dict[str, set[int]]:
    """For the ids of items the groups that they were rejected from before."""
    roots: dict[str, set[int]] = defaultdict(set)
    for group_id, ids in draft.registry.rejections.items():
        for item_id in ids:
            roots[item_id].add(draft.root(group_id))
    return roots


def _label(decision: Decision, draft: Draft, names: dict[str, int]) -> GroupLabel:
    """The label of a detection that takes over a user label: with the name that the group has now."""
    text = f"{decision.label}"
    if decision.status == STATUS_IGNORED or text.strip() in ("", UNASSIGNED):
        return GroupLabel(text, None, decision.status, assigned=text)
    group_id = _find(decision.group_id, text, draft, names)
    if group_id is None:
        group_id = names[canonical_name(text)] = draft.new_group(text)
    name = draft.groups[group_id].name
    return GroupLabel(name, group_id, STATUS_CONFIRMED, assigned=name)


def _find(group_id: int | None, name: str, draft: Draft, names: Mapping[str, int]) -> int | None:
    """The group that a decision is about: merged into another, or renamed, or of a dataset where it has another id.

    A dataset that was merged from several, or a clone of a view, gives other ids to the same names.
    """
    group = None if group_id is None else draft.groups.get(group_id)
    if group is None or canonical_name(group.name) != canonical_name(name):
        by_name = names.get(canonical_name(name))
        if by_name is not None or group is None:
            return by_name
    assert group_id is not None
    root = draft.root(group_id)
    return root if root in draft.groups else None
