"""Applies the decisions of a file to the images of a dataset."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from fiftyone.core.collections import SampleCollection

from ...core.errors import check_type
from ...core.identity.planning import Plan
from ...core.progress import ProgressCallback
from ...reports.facts import Facts, counted
from ...storage.connection import with_database_errors
from ...storage.fields import GROUP_FIELD
from ...storage.targets import resolve
from ..changes import apply
from ..edits.by_hand import record_by_hand
from ..edits.report import about_groups
from ..identities import StaleGroupsError
from ..reports import refused_text
from ..snapshot import read_state
from ..store import LabelStore
from ..tables import table_of
from .document import Decisions, DecisionsFileError, read_decisions
from .import_plan import DecisionConflict, ImportPlan
from .matching import Matches, match_items

ACTION = "import_decisions"
_SHOWN = 20  # conflicts and groups that are listed


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
        n_unknown: number of rejections, and of pairs of groups to keep apart, of groups of which no image is here
        conflicts: where the dataset says otherwise; what it says stays, unless the file was to be preferred
        n_left: labels that another user changed meanwhile, not overwritten
        refused: the ids of items whose labels cannot be written, with the reason
        number: the number of the change, None when nothing was written
        is_done: False for a dry run
        n_by_hand: number of labels that were edited by hand, and that were recorded before as a change of their own
        n_apart: number of pairs of groups that are kept apart from now on
    """

    path: str
    groups: Mapping[str, int]
    n_items: int
    n_found: int
    n_by_path: int = 0
    n_rejected: int = 0
    n_unknown: int = 0
    conflicts: tuple[DecisionConflict, ...] = ()
    n_left: int = 0
    refused: Mapping[str, str] = field(default_factory=dict)
    number: int | None = None
    is_done: bool = False
    n_by_hand: int = 0
    n_apart: int = 0

    @property
    def n_changed(self) -> int:
        """Number of changed labels."""
        return sum(self.groups.values())

    def facts(self) -> Facts:
        """The report as text."""
        shown = [f"{n:,} in {name!r}" for name, n in list(self.groups.items())[:_SHOWN]]
        more = [f"and {counted(len(self.groups) - _SHOWN, 'other group')}"] if len(self.groups) > _SHOWN else []
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
                ("Not this character, so no run puts them into that group", self.n_rejected or None),
                ("Pairs of groups kept apart", self.n_apart or None),
                ("Not applied, as no image of the group is here", self.n_unknown or None),
                ("Conflicts", len(self.conflicts) or None),
                ("Changed meanwhile, not overwritten", self.n_left or None),
                ("Edited by hand before, confirmed", self.n_by_hand or None),
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
    overlap by more than a half. A default name in the file means the group that has most of its images here, or a new
    one. Where users of this dataset have decided otherwise, about an image or a group, that stays and is listed.

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
    n_by_hand = 0 if dry_run else record_by_hand(store)
    try:
        done = _import(store, decisions, matches, overwrite, dry_run, progress)
    except StaleGroupsError:  # as after a change that was interrupted, which is finished by now
        done = _import(store, decisions, matches, overwrite, dry_run, progress)
    return replace(done, n_by_hand=n_by_hand)


def _import(
    store: LabelStore,
    decisions: Decisions,
    matches: Matches,
    overwrite: bool,
    dry_run: bool,
    progress: ProgressCallback | None,
) -> DecisionsImport:
    made = ImportPlan(read_state(store), decisions, matches, overwrite=overwrite)
    identities = made.draft.changes()
    report = DecisionsImport(
        store.path,
        dict(made.groups.most_common()),
        len(decisions.items),
        len(decisions.items) - len(matches.missing),
        matches.n_by_path,
        sum(map(len, identities.rejected.values())),
        made.n_unknown,
        tuple(made.conflicts),
        n_apart=made.n_apart,
    )
    if dry_run:
        return report
    plan = Plan(table_of(made.changed), identities)
    about = about_groups(report.groups, store.target.noun[:-1], "to")
    done = apply(store, plan, action=ACTION, is_automatic=False, about=about, progress=progress)
    return replace(report, n_left=done.n_left, refused=done.refused, number=done.number, is_done=True)
