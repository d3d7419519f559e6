"""The last reports of a dataset: of each field the last grouping, proposal, evaluation and comparison, to show again.

They are in an execution store of the dataset, as text, and are deleted with it. The head of a report is apart from its
content: a form that lists reports reads heads only.
"""

import datetime
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

import fiftyone as fo
from fiftyone.core.collections import SampleCollection
from fiftyone.operators.store import ExecutionStore

from ...core.errors import CCIPError, check_type
from ...reports.facts import Facts, counted
from ...reports.words import local_time
from ...storage.connection import with_database_errors
from ...storage.internals import dataset_id, root_dataset, store_values
from ...storage.targets import TargetError, resolve, split_path
from ..edits.by_hand import count_edited_after
from ..identities import registry_revision
from ..store import LabelStore

logger = logging.getLogger(__name__)

STORE = "ccip_reports"
MOST_CHARACTERS = 4_000_000
"""Reports with more text are not kept."""

_HEAD, _CONTENT = "head/", "content/"


class ReportKind(StrEnum):
    """What a report is about."""

    GROUPING = "grouping"
    PROPOSAL = "proposal"
    EVALUATION = "evaluation"
    COMPARISON = "comparison"
    NAMING = "naming"


class NoReportError(CCIPError, ValueError):
    """A dataset has no such report."""

    def __init__(self, report: str | None, available: list[str]):
        which = "no report is kept" if report is None else f"there is no report {report!r}"
        how = "group, propose, evaluate or compare first" if not available else f"available: {', '.join(available)}"
        super().__init__(f"{which}; {how}")
        self.report, self.available = report, tuple(available)


@dataclass(frozen=True)
class LastReport:
    """The last report of one kind about a field.

    Attributes:
        kind: see :class:`ReportKind`
        path: the field
        at: when it was made, in UTC
        headline: its result in one line
        pairs: what it states
        warnings: what needed attention
        revisions: of the fields with character groups that it is about, what the groups were
        content: what the App shows
        n_changed: number of samples with labels that were edited by hand since, as far as no change has recorded them
        is_outdated: whether the groups were changed since
    """

    kind: str
    path: str
    at: str
    headline: str
    pairs: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    revisions: Mapping[str, int] = field(default_factory=dict)
    content: Mapping[str, Any] = field(default_factory=dict, repr=False)
    n_changed: int = 0
    is_outdated: bool = False

    @property
    def name(self) -> str:
        """What :func:`last_report` finds it by."""
        return f"{self.kind} of {self.path}"

    @property
    def local_time(self) -> str:
        """When, in the time of this machine."""
        return local_time(self.at)

    @property
    def age(self) -> str | None:
        """That the labels are newer; None when they are not."""
        if self.is_outdated:
            return "this report is older than the labels: character groups were changed since, see the history"
        if self.n_changed:
            return f"labels of {counted(self.n_changed, 'sample')} were edited since this report"
        return None

    def facts(self) -> Facts:
        """The report as text."""
        warnings = self.warnings if self.age is None else (self.age, *self.warnings)
        made = [(f"{self.kind.capitalize()} of", self.path), ("Made", self.local_time)]
        return Facts.of(self.headline, [*made, *self.pairs], warnings)

    def __str__(self) -> str:
        return str(self.facts())


def keep_report(
    dataset: fo.Dataset,
    kind: ReportKind,
    path: str,
    facts: Facts,
    content: Mapping[str, Any],
    *,
    about: tuple[str, ...] | None = None,
) -> None:
    """Keeps a report; it replaces the last one of its kind about the field. Too large a one is not kept.

    Args:
        dataset: the dataset
        kind: what it is about
        path: the field
        facts: the report as text
        content: what the App shows, as plain values
        about (None): the fields with character groups that make it outdated when they change, the field by default
    """
    revisions = {each: registry_revision(dataset, each) for each in ((path,) if about is None else about)}
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
    report = LastReport(str(kind), path, now, facts.headline, facts.pairs, facts.warnings, revisions, content)
    head = {
        name: value for name, value in asdict(report).items() if name not in ("content", "n_changed", "is_outdated")
    }
    key, text = f"{kind}/{path}", json.dumps(content)
    if len(text) + len(json.dumps(head)) > MOST_CHARACTERS:
        logger.info("the report of %r is too large to be kept", path)
        return
    store = ExecutionStore.create(STORE, dataset_id(dataset))
    store.set(f"{_CONTENT}{key}", text)
    store.set(f"{_HEAD}{key}", json.dumps(head))


def last_reports(dataset: fo.Dataset) -> list[LastReport]:
    """The reports that are kept, newest first, without their content."""
    reports = [_loaded(head) for head in store_values(dataset, STORE, _HEAD).values()]
    return sorted((each for each in reports if each is not None), key=lambda each: each.at, reverse=True)


@with_database_errors
def last_report(samples: SampleCollection, report: str | None = None) -> LastReport:
    """The report of the last grouping, proposal, evaluation, comparison or naming; whether labels are newer.

    Args:
        samples: the dataset, or any view of it
        report (None): which one, such as ``"grouping of character_group"``; the newest by default

    Returns:
        a :class:`LastReport`, as text when printed

    Raises:
        NoReportError: there is none; names those that are kept
    """
    check_type("report", report, str | None, "the name of a report, or None for the newest")
    dataset = _dataset(samples)
    kept = last_reports(dataset)
    found = next((each for each in kept if report in (None, each.name)), None)
    if found is None:
        raise NoReportError(report, [each.name for each in kept])
    text = ExecutionStore.create(STORE, dataset_id(dataset)).get(f"{_CONTENT}{found.kind}/{found.path}")
    is_outdated = any(registry_revision(dataset, path) != revision for path, revision in found.revisions.items())
    values = {**_fields(found), "content": json.loads(text or "{}"), "is_outdated": is_outdated}
    return LastReport(**{**values, "n_changed": _n_changed(dataset, found)})


def _dataset(samples: SampleCollection) -> fo.Dataset:
    if not isinstance(samples, fo.Dataset | fo.DatasetView):
        raise TargetError(f"a {type(samples).__name__} is neither a dataset nor a view")
    return root_dataset(samples)


def _n_changed(dataset: fo.Dataset, report: LastReport) -> int:
    """The number of samples whose labels, of the fields that a report is about, were edited after it."""
    n_changed, at = 0, datetime.datetime.fromisoformat(report.at)
    for path in report.revisions:
        patches_field, group_field = split_path(path)
        if dataset.get_field(path) is not None:
            n_changed += count_edited_after(LabelStore(resolve(dataset, patches_field), group_field), at)
    return n_changed


def _fields(report: LastReport) -> dict[str, Any]:
    return {name: getattr(report, name) for name in report.__dataclass_fields__}


def _loaded(text: Any) -> LastReport | None:
    """A head that another version may have written; None when it cannot be read."""
    try:
        head = json.loads(text)
        pairs = tuple((str(label), str(value)) for label, value in head.pop("pairs"))
        return LastReport(**{**head, "pairs": pairs, "warnings": tuple(head["warnings"])})
    except (TypeError, ValueError, KeyError):
        logger.warning("a report cannot be read: %.80r", text)
        return None
