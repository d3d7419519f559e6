"""Says that images are not of the group that they are in, so that no run puts them there again."""

import itertools
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from fiftyone.core.collections import SampleCollection

from ...core.errors import CCIPError
from ...core.identity.groups import Draft
from ...core.identity.planning import Plan
from ...core.progress import ProgressCallback
from ...reports.facts import Facts, counted
from ...storage.connection import with_database_errors
from ...storage.fields import GROUP_FIELD, STATUS_AUTO, UNASSIGNED
from ...storage.targets import TargetError, resolve
from ..changes import apply, finish_interrupted
from ..identities import StaleGroupsError, load_registry_of
from ..reports import action_text, refused_text
from ..store import LabelStore
from ..tables import GroupLabel, table_of
from .by_hand import record_by_hand
from .members import check_condition, chosen_rows
from .report import about_groups

_NAMED = 5  # groups that are named in a sentence


class NothingToRejectError(CCIPError):
    """None of the images is in a group."""

    def __init__(self, path: str, n_items: int):
        who = "the chosen item is not" if n_items == 1 else f"none of the {n_items:,} chosen is"
        super().__init__(f"{who} in a group of {path!r}: there is nothing to reject it from")
        self.path, self.n_items = path, n_items


@dataclass(frozen=True)
class Rejection:
    """Result of a rejection, or of its dry run.

    Attributes:
        path: the path of the field with the groups
        groups: number of rejected items by name of their group, largest first
        n_without: number of items in no group, unchanged
        n_left: labels that another user changed during the run, not overwritten; the rejection is recorded
        refused: the ids of items whose labels cannot be written, with the reason; the rejection is recorded
        is_done: False for a dry run
        n_by_hand: number of labels that were edited by hand, and that were recorded before as a change of their own
        number: the number of the change, None for a dry run
    """

    path: str
    groups: Mapping[str, int]
    n_without: int
    n_left: int = 0
    refused: Mapping[str, str] = field(default_factory=dict)
    is_done: bool = False
    n_by_hand: int = 0
    number: int | None = None

    @property
    def n_rejected(self) -> int:
        """Number of rejected items."""
        return sum(self.groups.values())

    @property
    def counts(self) -> str:
        """The number of rejected items of each group as text; of many groups the largest numbers."""
        named = [f"{n:,} of {name!r}" for name, n in itertools.islice(self.groups.items(), _NAMED)]
        n_more = len(self.groups) - len(named)
        return ", ".join(named) + (f", and of {counted(n_more, 'other group')}" if n_more else "")

    @property
    def words(self) -> str:
        """As :attr:`counts`, which it is called now."""
        warnings.warn("words of a rejection is now called counts", DeprecationWarning, stacklevel=2)
        return self.counts

    def facts(self) -> Facts:
        """The report as text."""
        return Facts.of(
            f"rejected: {self.counts}" if self.is_done else f"to be rejected: {self.counts}",
            [
                ("Action", None if self.number is None else f"{action_text('reject')} (change {self.number})"),
                ("Removed from their group" if self.is_done else "To be removed from their group", self.counts),
                ("In no group before", self.n_without or None),
                ("Changed during the run, not overwritten", self.n_left or None),
                ("Edited by hand before, confirmed", self.n_by_hand or None),
                ("Cannot be written", refused_text(self.refused)),
            ],
        )

    def __str__(self) -> str:
        return str(self.facts())


@with_database_errors
def reject(
    samples: SampleCollection,
    *,
    group_field: str = GROUP_FIELD,
    patches_field: str | None = None,
    dry_run: bool = False,
    progress: ProgressCallback | None = None,
) -> Rejection:
    """Says that images are not of the group that they are in.

    They are in no group then, until a run finds another for them; none puts them into this one again, nor into the one
    that it becomes a part of. That a person puts one of them there is another decision, and counts.
    :func:`~ccip_plugin.labels.history.undo` takes a rejection back. Costs time for the view, not for the dataset.

    Args:
        samples: a view of the images, or of the detections, e.g. ``dataset.select(ids)``
        group_field ("character_group"): the field with the groups
        patches_field (None): the field with the detections, when they were grouped
        dry_run (False): change nothing, only say what would be rejected
        progress (None): called with the number of labels written

    Returns:
        a :class:`Rejection`

    Raises:
        NothingToRejectError: none of them is in a group
        TargetError: a whole dataset was given, or what cannot have groups
        StaleGroupsError: the groups were changed by another process meanwhile; try again
        LeaseHeldError: another process is writing
    """
    store = LabelStore(resolve(samples, patches_field), group_field)
    if store.target.is_whole:
        raise TargetError(
            "that would reject every image of the dataset: give a view of those that are not of their group"
        )
    store.check()
    n_by_hand = 0 if dry_run else record_by_hand(store)
    try:
        return replace(_reject(store, dry_run, progress), n_by_hand=n_by_hand)
    except StaleGroupsError:  # as after a change that was interrupted, which is finished by now
        return replace(_reject(store, dry_run, progress), n_by_hand=n_by_hand)
    except NothingToRejectError:
        if not dry_run:
            finish_interrupted(store)  # as when this very rejection was interrupted after it had written the labels
        raise


def _reject(store: LabelStore, dry_run: bool, progress: ProgressCallback | None) -> Rejection:
    labels = chosen_rows(store)
    draft = Draft(load_registry_of(store.target.dataset, store.path, [label for _, _, label in labels]))
    check_condition(labels, draft)
    removed = GroupLabel(UNASSIGNED, None, STATUS_AUTO, assigned=UNASSIGNED)
    rows = []
    groups: Counter[str] = Counter()
    for item_id, sample_id, label in labels:
        group_id = None if label is None else draft.id_of(label.group_name, label.group_id)
        if group_id is not None:
            draft.reject(group_id, [item_id])
            groups[draft.groups[group_id].name] += 1
            rows.append((item_id, sample_id, removed))
    if not rows:
        raise NothingToRejectError(store.path, len(labels))
    rejection = Rejection(store.path, dict(groups.most_common()), len(labels) - len(rows))
    if dry_run:
        return rejection
    plan = Plan(table_of(rows), draft.changes())
    about = about_groups(rejection.groups, store.target.noun[:-1], "of")
    done = apply(store, plan, action="reject", is_automatic=False, about=about, progress=progress)
    return replace(rejection, n_left=done.n_left, refused=done.refused, is_done=True, number=done.number)
