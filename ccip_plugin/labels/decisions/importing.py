"""Applies the decisions of a file to the images of a dataset."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from fiftyone.core.collections import SampleCollection

from ...core.errors import check_type
from ...core.identity.groups import looks_default
from ...core.identity.ids import ids_of, places_of
from ...core.identity.planning import Plan
from ...core.identity.state import NONE, State
from ...core.plain import canonical_name
from ...core.progress import ProgressCallback
from ...reports.facts import Facts, counted
from ...storage.connection import with_database_errors
from ...storage.fields import GROUP_FIELD, STATUS_AUTO, STATUS_CONFIRMED, STATUS_IGNORED, UNASSIGNED
from ...storage.targets import resolve
from ..changes import apply
from ..identities import StaleGroupsError
from ..reports import refused_text
from ..snapshot import read_state
from ..store import LabelStore
from ..tables import GroupLabel, rows_of, table_of
from .document import Decisions, DecisionsFileError, ItemEntry, read_decisions
from .matching import Matches, match_items

ACTION = "import_decisions"
_SHOWN = 20  # conflicts and groups that are listed


@dataclass(frozen=True)
class DecisionConflict:
    """Where a file and a dataset say different things.

    Attributes:
        path: the image
        item_id: the id of the image or detection, None where it is not clear which one is meant
        said: what the file says
        kept: what the dataset says
    """

    path: str
    item_id: str | None
    said: str
    kept: str

    def __str__(self) -> str:
        return f"{self.path}: {self.said} in the file, {self.kept} in the dataset"


@dataclass(frozen=True)
class DecisionsImport:
    """Result of importing decisions, or of its dry run.

    Attributes:
        path: the path of the field with the groups
        groups: number of changed labels by the name of their group afterwards, largest first
        n_items: number of images or detections in the file
        n_found: number of these that are in the dataset
        n_by_path: number of images that are known by their paths alone: their content is another one
        n_rejected: number of rejections that are added
        conflicts: where the dataset says otherwise; what it says stays, unless the file was to be preferred
        n_left: labels that another user changed meanwhile, not overwritten
        refused: the ids of items whose labels cannot be written, with the reason
        number: the number of the change, None when nothing was written
        is_done: False for a dry run
    """

    path: str
    groups: Mapping[str, int]
    n_items: int
    n_found: int
    n_by_path: int = 0
    n_rejected: int = 0
    conflicts: tuple[DecisionConflict, ...] = ()
    n_left: int = 0
    refused: Mapping[str, str] = field(default_factory=dict)
    number: int | None = None
    is_done: bool = False

    @property
    def n_changed(self) -> int:
        """Number of changed labels."""
        return sum(self.groups.values())

    def facts(self) -> Facts:
        """The report as text."""
        shown = [f"{n:,} in {name!r}" for name, n in list(self.groups.items())[:_SHOWN]]
        more = [f"and {len(self.groups) - _SHOWN:,} other groups"] if len(self.groups) > _SHOWN else []
        conflicts = [f"the dataset says otherwise: {each}" for each in self.conflicts[:_SHOWN]]
        if len(self.conflicts) > _SHOWN:
            conflicts.append(f"and {len(self.conflicts) - _SHOWN:,} more conflicts")
        return Facts.of(
            f"import decisions: {counted(self.n_changed, 'label')}" + ("" if self.is_done else ", not written"),
            [
                ("Change", self.number),
                ("Found in the dataset", f"{self.n_found:,} of {self.n_items:,}"),
                ("Known by their paths alone", self.n_by_path or None),
                ("Labels changed" if self.is_done else "Labels to be changed", self.n_changed),
                ("Groups", ", ".join([*shown, *more]) or None),
                ("Rejections added", self.n_rejected or None),
                ("Conflicts", len(self.conflicts) or None),
                ("Changed meanwhile, not overwritten", self.n_left or None),
                ("Cannot be written", refused_text(self.refused)),
            ],
            conflicts,
        )

    def __str__(self) -> str:
        return str(self.facts())


@with_database_errors
def import_decisions(
    samples: SampleCollection,
    path: str | Path,
    *,
    overwrite: bool = False,
    group_field: str = GROUP_FIELD,
    patches_field: str | None = None,
    dry_run: bool = False,
    progress: ProgressCallback | None = None,
) -> DecisionsImport:
    """Applies the decisions of a file that :func:`export_decisions` wrote, as one change that can be undone.

    Images are found by the content of their files, or else by their paths; detections by their image and by boxes that
    overlap by more than a half. Where users of this dataset have decided otherwise, that stays and is listed.

    Args:
        samples: the dataset, or any view of it; decisions are applied to the whole dataset
        path: the file
        overwrite (False): let the file decide where users of this dataset have decided otherwise
        group_field ("character_group"): the field with the groups
        patches_field (None): the field with the detections, for decisions about detections
        dry_run (False): change nothing, only say what would be
        progress (None): called with the number of files that are compared, and of labels written

    Returns:
        a :class:`DecisionsImport`

    Raises:
        DecisionsFileError: it is no such file, or too large
        StaleGroupsError: the groups were changed by another process meanwhile; try again
        LeaseHeldError: another process is writing
    """
    check_type("overwrite", overwrite, bool, "True or False")
    decisions = read_decisions(path)
    store = LabelStore(resolve(samples, patches_field).whole(), group_field)
    store.check()
    if (decisions.patches_field is None) == store.target.is_patches:
        wanted = "whole images, and not about detections" if store.target.is_patches else "detections: name their field"
        raise DecisionsFileError(path, f"they are about {wanted}")
    matches = match_items(store, decisions, progress)
    try:
        return _import(store, decisions, matches, overwrite, dry_run, progress)
    except StaleGroupsError:  # as after a change that was interrupted, which is finished by now
        return _import(store, decisions, matches, overwrite, dry_run, progress)


def _import(
    store: LabelStore,
    decisions: Decisions,
    matches: Matches,
    overwrite: bool,
    dry_run: bool,
    progress: ProgressCallback | None,
) -> DecisionsImport:
    made = _Import(read_state(store), matches, overwrite)
    made.plan(decisions)
    identities = made.draft.changes()
    report = DecisionsImport(
        store.path,
        dict(made.groups.most_common()),
        len(decisions.items),
        len(decisions.items) - len(matches.missing),
        matches.n_by_path,
        sum(map(len, identities.rejected.values())),
        tuple(made.conflicts),
    )
    if dry_run:
        return report
    plan = Plan(table_of(made.changed), identities)
    done = apply(store, plan, action=ACTION, is_automatic=False, progress=progress)
    return replace(report, n_left=done.n_left, refused=done.refused, number=done.number, is_done=True)


class _Import:
    """Plans the labels and groups.

    Args:
        state: the labels and groups as they are
        matches: the items that the file is about
        overwrite: whether the file decides
    """

    def __init__(self, state: State, matches: Matches, overwrite: bool):
        self.state, self.matches, self.overwrite = state, matches, overwrite
        self.draft = state.draft()
        self.changed: list[tuple[str, str, GroupLabel | None]] = []
        self.groups: Counter[str] = Counter()
        self.conflicts = [
            DecisionConflict(path, None, "images of this content have several decisions", "it stays")
            for path in matches.ambiguous
        ]
        places = places_of(ids_of(list(matches.entries)), state.labels.ids)
        rows = places[places != NONE]
        self.rows = list(zip(rows.tolist(), rows_of(state.labels.take(rows)), strict=True))
        self._group_ids: dict[str, int] = {}

    def plan(self, decisions: Decisions) -> None:
        """Plans all changes."""
        before = self.draft.rejections
        self._default_names(decisions)
        for _, (item_id, _, label) in self.rows:
            entry = self.matches.entries[item_id]
            if entry.name is not None and not (entry.status == STATUS_AUTO and label is not None and label.is_human):
                self._group(entry.name)  # before rejections from it
        for row, (item_id, sample_id, label) in self.rows:
            entry = self.matches.entries[item_id]
            after = self._label(entry, item_id, label, int(self.state.group_ids[row]), before)
            after = self._reject(entry, item_id, label, after)
            if after is not None and after != label:
                self.changed.append((item_id, sample_id, after))
                self.groups[after.label or ""] += 1
        self._shape(decisions)

    def _default_names(self, decisions: Decisions) -> None:
        """A default name of the file means the group here that has most of its images; a new one if none has any."""
        named: dict[str, Counter[int]] = {}
        for row, (item_id, _, _) in self.rows:
            name, group_id = self.matches.entries[item_id].name, int(self.state.group_ids[row])
            if name is not None and looks_default(name):
                named.setdefault(canonical_name(name), Counter()).update([group_id] if group_id != NONE else [])
        for key, counts in named.items():
            mine = [group_id for group_id, _ in counts.most_common() if self.draft.groups[group_id].is_auto_named]
            self._group_ids[key] = mine[0] if mine else self.draft.new_group()

    def _group(self, name: str, *, is_new: bool = True) -> int | None:
        """The group of a name in the file."""
        key = canonical_name(name)
        if key not in self._group_ids:
            group_id = None if looks_default(name) else self.draft.id_of_name(name)
            if group_id is None and (not is_new or looks_default(name)):
                return None
            self._group_ids[key] = self.draft.new_group(name) if group_id is None else group_id
        return self._group_ids[key]

    def _label(
        self,
        entry: ItemEntry,
        item_id: str,
        label: GroupLabel | None,
        current: int,
        rejections: Mapping[int, frozenset[str]],
    ) -> GroupLabel | None:
        """The label that an item gets, None for the one that it has."""
        is_human = label is not None and label.is_human
        if entry.status is None or (entry.status == STATUS_AUTO and (is_human or entry.name is None)):
            return None
        if entry.status == STATUS_IGNORED:
            after = GroupLabel(UNASSIGNED, None, STATUS_IGNORED, assigned=UNASSIGNED)
        elif entry.name is None:
            after = GroupLabel(UNASSIGNED, None, STATUS_CONFIRMED, assigned=UNASSIGNED)
        else:
            group_id = self._group(entry.name)
            assert group_id is not None
            if current == group_id and label is not None:
                after = label.confirmed(group_id) if entry.status == STATUS_CONFIRMED else label
            else:
                name = self.draft.groups[group_id].name
                after = GroupLabel(name, group_id, entry.status, assigned=name)
            if item_id in rejections.get(group_id, ()):
                if entry.status == STATUS_AUTO:
                    return None
                if not self._is_taken(entry, item_id, _said(after), f"not {self.draft.groups[group_id].name!r}"):
                    return None
                self.draft.lift(group_id, [item_id])
        is_other = label is not None and is_human and _said(label) != _said(after)
        if is_other and label is not None and not self._is_taken(entry, item_id, _said(after), _said(label)):
            return None
        return after

    def _reject(
        self, entry: ItemEntry, item_id: str, label: GroupLabel | None, after: GroupLabel | None
    ) -> GroupLabel | None:
        """Adds the rejections of an entry; gives the label that the item gets."""
        final = after or label
        for name in entry.rejected:
            group_id = self._group(name, is_new=False)
            if group_id is None:
                continue  # no image here is of that group
            is_in = final is not None and canonical_name(final.group_name or "") == canonical_name(
                self.draft.groups[group_id].name
            )
            is_decided = is_in and final is not None and final.is_human
            if is_decided and (after is not None or not self._is_taken(entry, item_id, f"not {name!r}", repr(name))):
                continue
            if is_in:
                after = final = GroupLabel(UNASSIGNED, None, STATUS_AUTO, assigned=UNASSIGNED)
            self.draft.reject(group_id, [item_id])
        return after

    def _is_taken(self, entry: ItemEntry, item_id: str, said: str, kept: str) -> bool:
        """Whether the file decides; the conflict is listed."""
        self.conflicts.append(DecisionConflict(entry.path, item_id, said, kept))
        return self.overwrite

    def _shape(self, decisions: Decisions) -> None:
        """What the file says of whole groups, as far as they are here."""
        for entry in decisions.groups:
            group_id = self._group(entry.name, is_new=False)
            if group_id is None:
                continue
            if entry.is_held and self.draft.groups[group_id].held_by is None:
                self.draft.hold(group_id)
            for name in entry.apart:
                other = self._group(name, is_new=False)
                if other not in (None, group_id) and not self.draft.are_apart(group_id, int(other or 0)):
                    self.draft.keep_apart([group_id, int(other or 0)])


def _said(label: GroupLabel) -> str:
    if label.is_ignored:
        return "ignored"
    return "in no group" if label.group_name is None else repr(canonical_name(label.group_name))
