"""The report of names that were found for groups and images."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import fiftyone as fo

from ..core.errors import check_type
from ..labels.edits.report import EditReport
from ..labels.reports import refused_text
from ..reports.facts import Facts, counted
from ..storage.targets import Target, items_view

_NAMED = 5  # rows that a printed preview names


class RowStatus(StrEnum):
    """What a row proposes."""

    PROPOSED = "proposed"
    NAME_IN_USE = "name in use"  # by another group: a merge of the two
    OTHER_NAME = "has another name"  # that a user gave
    HAS_NAME = "has this name"
    REJECTED = "rejected before"  # by a user, from the group of that name
    APART = "kept apart"  # by a user, from the group of that name
    NO_NAME = "no name for a group"  # as a default name is none, or 'unassigned'
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class NameRow:
    """What was found for a group, or for an image in no group.

    Attributes:
        status: what it proposes
        group: the name of the group, None for an image
        group_id: its id, None for an image
        name: the nearest known character; the proposed name unless the status is ``unknown``
        score: 0.5 where the match is at the limit or not clearer than the margin, 1 for the nearest possible
        difference: to that character
        second: the second nearest character, None without one
        second_difference: to that one, None without one
        agreeing: share of the members that are nearest to ``name``
        n_images: number of members
        item_id: the member nearest to the character: an image to show
        least_sure: the ids of the members with the highest chance of a slip, that one first
        slips: the estimated number of members that are not this character
        other_id: the id of the group that has the name, None without one
        is_accepted: whether it was accepted
    """

    status: RowStatus
    group: str | None
    group_id: int | None
    name: str
    score: float
    difference: float
    second: str | None
    second_difference: float | None
    agreeing: float
    n_images: int
    item_id: str
    least_sure: tuple[str, ...]
    slips: float
    other_id: int | None = None
    is_accepted: bool = False

    @property
    def margin(self) -> float | None:
        """Difference to the second nearest character minus that to the nearest; None without a second one."""
        return None if self.second_difference is None else self.second_difference - self.difference

    def as_dict(self) -> dict[str, object]:
        """Plain values, for tables and exports."""
        return {
            "group": self.group or "",
            "images": self.n_images,
            "name": self.name if self.status != RowStatus.UNKNOWN else "",
            "status": "accepted" if self.is_accepted else str(self.status),
            "score": round(self.score, 3),
            "difference": round(self.difference, 4),
            "margin": None if self.margin is None else round(self.margin, 4),
            "nearest": self.name,
            "second": self.second or "",
            "slips": round(self.slips, 2),
            "id": self.item_id,
        }


@dataclass(frozen=True)
class Preview:
    """What accepting all rows of at least a score would do.

    Attributes:
        score: the score
        rows: the rows
        n_images: number of their images
        slips: the estimated number of images that are not the character; an estimate, no promise
        least_sure: the ids of the images with the highest chances of a slip
    """

    score: float
    rows: tuple[NameRow, ...]
    n_images: int
    slips: float
    least_sure: tuple[str, ...]

    def __str__(self) -> str:
        images = f"{counted(self.n_images, 'image')} in {counted(len(self.rows), 'row')}"
        names = ", ".join(dict.fromkeys(row.name for row in self.rows[:_NAMED]))
        more = f" and {len(self.rows) - _NAMED:,} more rows" if len(self.rows) > _NAMED else ""
        what = f": {names}{more}" if names else ""
        return f"from score {self.score:g}: {images}, about {self.slips:.1f} of them wrong{what}"

    def __repr__(self) -> str:
        return f"<Preview {self}>"


@dataclass(frozen=True, eq=False)
class NamingReport:
    """The result of :func:`~ccip_plugin.jobs.naming.name_characters`.

    Attributes:
        target: the items
        rows: what was found: proposals first, surest first; then what needs a decision; unknown ones last
        source: what the names are from, as text
        n_known: number of known characters
        threshold: the difference up to which two images show one character
        model_name: the model of the embeddings
        n_missing: number of items without embedding
        origin: what the names are from as one word: ``references`` or ``library``
        edit: what was written, or would be in a dry run; None without accepted rows
    """

    target: Target
    rows: tuple[NameRow, ...]
    source: str
    n_known: int
    threshold: float
    model_name: str
    n_missing: int = 0
    origin: str = "references"
    edit: EditReport | None = None

    @property
    def proposed(self) -> list[NameRow]:
        """The rows that can be accepted as they are."""
        return [row for row in self.rows if row.status == RowStatus.PROPOSED]

    @property
    def accepted(self) -> list[NameRow]:
        """The rows that were accepted."""
        return [row for row in self.rows if row.is_accepted]

    def above(self, score: float) -> Preview:
        """What accepting all proposals of at least a score would do, with the least sure images."""
        check_type("score", score, int | float, "a number from 0 to 1")
        rows = tuple(row for row in self.proposed if row.score >= score)
        unsure = sorted(rows, key=lambda row: row.slips / row.n_images, reverse=True)
        least_sure = dict.fromkeys(item_id for row in unsure for item_id in row.least_sure[:2])
        slips = sum(row.slips for row in rows)
        return Preview(score, rows, sum(row.n_images for row in rows), slips, tuple(least_sure)[:20])

    def view(self, rows: Sequence[NameRow | str] | Preview | None = None) -> fo.DatasetView:
        """The images of some rows (the nearest of each and the least sure ones), by default of all proposals."""
        if isinstance(rows, Preview):
            ids = list(rows.least_sure)
        else:
            chosen: Sequence[Any] = self.proposed if rows is None else rows
            ids = []
            for row in chosen:
                ids += [row] if isinstance(row, str) else [row.item_id, *row.least_sure]
        return items_view(self.target, list(dict.fromkeys(ids)))

    def facts(self) -> Facts:
        """The report as text."""
        n_groups = sum(row.group_id is not None for row in self.rows)
        numbers = Counter(row.status for row in self.rows)
        noun, preview, edit = self.target.noun, self.above(0), self.edit
        headline = f"names proposed for {counted(numbers[RowStatus.PROPOSED], 'row')} of {len(self.rows):,}"
        if edit is not None:
            what = "named" if edit.is_done else "would be named"
            headline = f"{counted(len(self.accepted), 'row')} {what}, {counted(edit.n_changed, 'label')}"
        return Facts.of(
            headline,
            [
                ("Names from", self.source),
                ("Known characters", self.n_known),
                ("Groups compared", n_groups or None),
                (f"Single {noun} compared", len(self.rows) - n_groups or None),
                ("Proposed", numbers[RowStatus.PROPOSED]),
                (
                    "Estimated slips among their images",
                    f"{preview.slips:.1f} of {preview.n_images:,}" if preview.rows else None,
                ),
                ("Name is that of another group: merge them?", numbers[RowStatus.NAME_IN_USE] or None),
                ("Users gave another name", numbers[RowStatus.OTHER_NAME] or None),
                ("Have the name already", numbers[RowStatus.HAS_NAME] or None),
                ("Rejected by users before", numbers[RowStatus.REJECTED] or None),
                ("Users keep them apart from the group of that name", numbers[RowStatus.APART] or None),
                ("Nearest to what is no name for a group", numbers[RowStatus.NO_NAME] or None),
                ("Unknown, left open", numbers[RowStatus.UNKNOWN] or None),
                (
                    "Labels changed" if edit is not None and edit.is_done else "Labels to be changed",
                    edit and edit.n_changed,
                ),
                ("Change", edit and edit.number),
                ("Changed meanwhile, not written", (edit and edit.n_left) or None),
                ("Cannot be written", refused_text(edit.refused) if edit is not None else None),
                (f"{noun.capitalize()} without embedding", self.n_missing or None),
                ("Threshold", f"{self.threshold:.4f}"),
                ("Model", self.model_name),
            ],
        )

    def __str__(self) -> str:
        return str(self.facts())
