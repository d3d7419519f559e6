"""Proposes names of known characters for groups and images, and writes those that are accepted."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np

from ..core.arrays import IntArray
from ..core.identity.groups import GroupNameError
from ..core.identity.state import NONE as NO_PLACE
from ..core.library.matching import NONE, Gallery, GroupMatches, compared_members, match_groups, slip_chances
from ..core.plain import canonical_name
from ..core.progress import ProgressCallback
from ..core.references import Measure
from ..labels.edits.chosen import GroupRef, NoSuchGroupError
from ..labels.edits.matches import ImageName, write_names
from ..labels.edits.names import NameTakenError
from ..labels.identities import check_name
from .members import Members
from .report import NameRow, NamingReport, RowStatus

LEAST_SURE = 5
"""Number of the least sure members that a row names."""

_ORDER = tuple(RowStatus)


@dataclass(frozen=True, eq=False)
class Known:
    """The known characters.

    Attributes:
        gallery: their vectors
        aliases: other names by name
        source: what they are from, as text
        origin: the same as one word, for labels: ``references`` or ``library``
        measure: computes differences
    """

    gallery: Gallery
    aliases: Mapping[str, Sequence[str]]
    source: str
    origin: str
    measure: Measure


def propose(
    members: Members, known: Known, *, threshold: float, min_margin: float | None, images: bool
) -> NamingReport:
    """Compares groups, and with ``images`` also images in no group, with known characters.

    Args:
        members: the groups
        known: the known characters
        threshold: the difference up to which two images show one character
        min_margin: the smallest margin, None for the default
        images: whether images in no group are compared as well
    """
    rows_by_group = members.rows_by_group
    group_ids: list[int | None] = [*rows_by_group]
    parts = list(rows_by_group.values())
    if images:
        singles = members.open_rows
        parts += list(singles[:, None])
        group_ids += [None] * len(singles)
    vectors = [members.vectors(rows[compared_members(len(rows))]) for rows in parts]
    options = {"threshold": threshold, "min_margin": min_margin, "measure": known.measure}
    matches = match_groups(vectors, known.gallery, **options)  # type: ignore[arg-type]
    naming = _Naming(members, known, matches, threshold)
    rows = [naming.row(number, group_id, parts[number]) for number, group_id in enumerate(group_ids)]
    rows = naming.without_doubles(rows)
    rows.sort(key=lambda row: (_ORDER.index(row.status), row.group_id is None, -row.score, -row.n_images))
    n_missing = int((members.places[members.state.target_rows] == NO_PLACE).sum())
    return NamingReport(
        members.store.target,
        tuple(rows),
        known.source,
        len(known.gallery.names),
        threshold,
        members.provenance.model_name,
        n_missing,
        known.origin,
    )


class _Naming:
    """Turns matches into rows.

    Args:
        members: the groups
        known: the known characters
        matches: of the groups with these
        threshold: the difference up to which two images show one character
    """

    def __init__(self, members: Members, known: Known, matches: GroupMatches, threshold: float) -> None:
        self._members, self._known, self._matches, self._threshold = members, known, matches, threshold
        self._ids = {canonical_name(group.name): group_id for group_id, group in members.groups.items()}
        self._draft = members.state.draft()
        self._rejections = self._draft.rejections

    def row(self, number: int, group_id: int | None, rows: IntArray) -> NameRow:
        """The row of a group or an image.

        Args:
            number: its place in the matches
            group_id: the id of the group, None for an image
            rows: the labels of its members
        """
        matches, names = self._matches, self._known.gallery.names
        own, margins = matches.member_differences[number], matches.member_margins[number]
        name, second = names[int(matches.nearest[number])], int(matches.second[number])
        chances = slip_chances(own, margins, float(matches.limit[number]), self._threshold)
        compared = rows[compared_members(len(rows))]
        unsure = compared[np.argsort(-chances, kind="stable")[:LEAST_SURE]]
        nearest = self._members.item_ids(compared[[int(own.argmin())]])[0]
        other_id = self._id_of(name)
        status = RowStatus.UNKNOWN
        if matches.character[number] != NONE:
            status = self._status(group_id, name, other_id, nearest)
        return NameRow(
            status,
            None if group_id is None else self._members.groups[group_id].name,
            group_id,
            name,
            float(matches.score[number]),
            float(matches.difference[number]),
            None if second == NONE else names[second],
            None if second == NONE else float(matches.second_difference[number]),
            float(matches.agreeing[number]),
            len(rows),
            nearest,
            tuple(self._members.item_ids(unsure)),
            float(chances.mean() * len(rows)),
            other_id if other_id != group_id else None,
        )

    def _id_of(self, name: str) -> int | None:
        """The group that has the name of a known character, or one of its aliases."""
        for each in (name, *self._known.aliases.get(name, ())):
            if (group_id := self._ids.get(canonical_name(each))) is not None:
                return group_id
        return None

    def _status(self, group_id: int | None, name: str, other_id: int | None, item_id: str) -> RowStatus:
        if not _is_name(name):
            return RowStatus.NO_NAME
        if group_id is None:
            is_rejected = other_id is not None and item_id in self._rejections.get(other_id, ())
            return RowStatus.REJECTED if is_rejected else RowStatus.PROPOSED
        if other_id == group_id:
            return RowStatus.HAS_NAME
        if not self._members.groups[group_id].is_auto_named:
            return RowStatus.OTHER_NAME
        return RowStatus.PROPOSED if other_id is None else self._in_use(group_id, other_id)

    def _in_use(self, group_id: int, other_id: int) -> RowStatus:
        """The status of a group that would get the name of another one."""
        return RowStatus.APART if self._draft.are_apart(group_id, other_id) else RowStatus.NAME_IN_USE

    def without_doubles(self, rows: Sequence[NameRow]) -> list[NameRow]:
        """Of several groups that would get one name, the surest gets it; the others are to be merged with it."""
        taken: dict[str, int] = {}
        for row in sorted(rows, key=lambda row: (-row.score, -row.n_images)):
            if row.status == RowStatus.PROPOSED and row.group_id is not None:
                taken.setdefault(canonical_name(row.name), row.group_id)
        return [
            replace(row, status=self._in_use(row.group_id, other_id), other_id=other_id)
            if row.status == RowStatus.PROPOSED
            and row.group_id is not None
            and row.group_id != (other_id := taken[canonical_name(row.name)])
            else row
            for row in rows
        ]


def _is_name(name: str) -> bool:
    """Whether a group can have the name of a known character: default ones of another dataset identify nothing here."""
    try:
        check_name(name)
    except GroupNameError:
        return False
    return True


# -- accepting


def write_accepted(
    members: Members,
    proposed: NamingReport,
    *,
    chosen: Sequence[GroupRef] | None,
    above: float | None,
    confirm: bool,
    dry_run: bool,
    progress: ProgressCallback | None,
) -> NamingReport:
    """Writes accepted rows in one change.

    Args:
        members: the groups
        proposed: the rows
        chosen: names or ids of groups and ids of images to accept, also below the limit
        above: accept all proposals of at least this score
        confirm: confirm the labels
        dry_run: plan only
        progress: called with the number of labels written

    Raises:
        NoSuchGroupError: no row has that name or id
        NameTakenError: another group has the name of a chosen row: merge them, unless users keep them apart
    """
    accepted = _accepted(members, proposed, chosen or (), above)
    if not accepted:
        return proposed
    groups = {row.group_id: row.name for row in proposed.rows if row.group_id in accepted and row.group_id is not None}
    images = {
        row.item_id: _image_name(members, row)
        for row in proposed.rows
        if row.group_id is None and row.item_id in accepted
    }
    options = {"confirm": confirm, "dry_run": dry_run}
    edit = write_names(
        members.store, groups, images, action="name_characters", source=proposed.origin, progress=progress, **options
    )
    rows = tuple(
        replace(row, is_accepted=True) if (row.item_id if row.group_id is None else row.group_id) in accepted else row
        for row in proposed.rows
    )
    return replace(proposed, rows=rows, edit=edit)


def _image_name(members: Members, row: NameRow) -> ImageName:
    """The label of an image; in the group that has one of the names of the character, where there is one."""
    name = row.name if row.other_id is None else members.groups[row.other_id].name
    margin = None if row.margin is None else round(row.margin, 6)
    return ImageName(name, round(row.score, 6), round(row.difference, 6), margin)


def _accepted(
    members: Members, proposed: NamingReport, chosen: Sequence[GroupRef], above: float | None
) -> Set[int | str]:
    """The ids of the accepted groups and images."""
    accepted: set[int | str] = set()
    if above is not None:
        for row in proposed.above(above).rows:
            accepted.add(row.item_id if row.group_id is None else row.group_id)
    by_ref: dict[GroupRef, NameRow] = {}
    for row in proposed.rows:
        if row.group_id is None:
            by_ref[row.item_id] = row
        else:
            by_ref[row.group_id] = by_ref[canonical_name(row.group or "")] = row
    for ref in chosen:
        chosen_row = by_ref.get(canonical_name(ref) if isinstance(ref, str) else ref)
        if chosen_row is None:
            raise NoSuchGroupError(members.store.path, ref)
        is_apart = chosen_row.status == RowStatus.APART
        if (is_apart or chosen_row.status == RowStatus.NAME_IN_USE) and chosen_row.other_id is not None:
            raise NameTakenError(chosen_row.name, chosen_row.other_id, is_apart=is_apart)
        accepted.add(chosen_row.item_id if chosen_row.group_id is None else chosen_row.group_id)
    return accepted
