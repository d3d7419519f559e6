"""Names groups and images after known characters: of reference images, another dataset, or a character library."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from fiftyone.core.collections import SampleCollection

from ..core.calibration import load as load_calibration
from ..core.differences import differences
from ..core.encoder.encoder import Encoder
from ..core.errors import CCIPError, ParameterError, check_type
from ..core.library.matching import Gallery
from ..core.library.records import Library
from ..core.preprocessing import READING_POLICY
from ..core.progress import ProgressCallback, report
from ..core.references import SHARE, References
from ..labels.edits.chosen import GroupRef, as_groups
from ..library.members import Members, read_members
from ..library.naming import Known, propose, write_accepted
from ..library.report import NamingReport
from ..library.saving import load_library
from ..reports.facts import counted
from ..storage.connection import with_database_errors
from ..storage.fields import EMBEDDINGS_FIELD, GROUP_FIELD
from ..zoo.recognition import gather


class NoNamesError(CCIPError, ValueError):
    """There are no known characters to compare with."""

    mentions = ("references", "library")


class ReferencesOfOtherModelError(CCIPError, ValueError):
    """References would be embedded by another model than the images."""


@with_database_errors
def name_characters(
    samples: SampleCollection,
    references: Any = None,
    *,
    library: Library | str | Path | None = None,
    references_field: str | None = None,
    accept: GroupRef | Sequence[GroupRef] | None = None,
    above: float | None = None,
    images: bool = False,
    confirm: bool = False,
    threshold: float | None = None,
    min_margin: float | None = None,
    share: float = SHARE,
    group_field: str = GROUP_FIELD,
    patches_field: str | None = None,
    embeddings_field: str = EMBEDDINGS_FIELD,
    model_dir: str | Path | None = None,
    revision: str | None = None,
    provider: str = "auto",
    dry_run: bool = False,
    progress: ProgressCallback | None = None,
) -> NamingReport:
    """Proposes names for character groups, from references or a library; writes those that are accepted.

    Without ``accept`` and ``above``, nothing is written: the report has a row for each group with the nearest
    known character, a score, the margin to the second nearest, the least sure images and the estimated number of slips.
    A group matches if the mean difference of its members to the character is within the limit, the second nearest
    character is further by the margin, and most members are nearest to it. Others are unknown and stay open.

    Accepted rows are one change, which ``undo`` undoes. A group gets the name in all of the dataset; groups that users
    named keep their names unless they are chosen. Where another group has the name, the row proposes to merge the two,
    and is not written. With ``images``, images in no group that match are proposed as well: an accepted one becomes a
    member of the group of that name, with the status ``auto``, the source ``references`` or ``library``, its score and
    difference. With ``confirm``, the labels are confirmed.

    Args:
        samples: a dataset or view with groups and embeddings
        references (None): a folder with one subfolder of images per character; a mapping of names to images or
            embeddings; a dataset, a view or the name of a dataset with labels; or the file of a library
        library (None): a character library or its file; with ``references``, these come first
        references_field (None): if the references are a dataset, the field with the names
        accept (None): names or ids of groups, and ids of images, whose rows are accepted, also below the limit
        above (None): accept all proposals with at least this score, from 0 to 1
        images (False): also compare images in no group
        confirm (False): confirm the labels of accepted rows
        threshold (None): the difference up to which two images show one character, that of the model by default
        min_margin (None): by how much the second nearest character has to be further, 0.1 thresholds by default
        share (0.5): share of a character's reference images whose mean difference counts: the nearest ones
        group_field ("character_group"): the field (on detections: the attribute) with the groups
        patches_field (None): the field with the detections, when they were grouped
        embeddings_field ("ccip_embedding"): the field (on detections: the attribute) with the embeddings
        model_dir (None): a folder of models, for reference images
        revision (None): of the hub repository of the model
        provider ("auto"): the execution provider, for reference images
        dry_run (False): write nothing, only say what accepted rows would change
        progress (None): receives progress

    Returns:
        a :class:`~ccip_plugin.library.report.NamingReport` with ``rows``; ``above(score)`` previews what that would
        accept, ``view(...)`` shows images

    Raises:
        NoNamesError: neither references nor a library were given
        NoEmbeddingsError: the images have no embeddings
        OtherModelError: the library is of another model
        NoSuchGroupError: no row has the name or id of an accepted one
        NameTakenError: another group has the name of a chosen row
        CCIPError: the references, the library or the model cannot be used; the text says why
    """
    _check(images=images, confirm=confirm, dry_run=dry_run)
    for name, number in (("above", above), ("min_margin", min_margin), ("share", share)):
        _check_number(name, number)
    chosen = as_groups(accept)
    if isinstance(references, str | os.PathLike) and _is_library_file(references) and library is None:
        references, library = None, os.fspath(references)
    if references is None and library is None:
        raise NoNamesError("there are no names to compare with: give references, or a library")
    read = load_library(library) if library is not None and not isinstance(library, Library) else library
    members = read_members(samples, group_field, patches_field, embeddings_field, progress)
    model_name = members.provenance.model_name
    if threshold is None:
        threshold = load_calibration(model_name, model_dir=model_dir, revision=revision).threshold
    _check_number("threshold", threshold)
    if read is not None:
        read.origin.check(members.origin)
    with ExitStack() as stack:
        encoder = None
        if not isinstance(references, References | None) or not members.provenance.closed_form:
            report(progress, "loading the model", 0, None)
            opened = Encoder.open(model_name, model_dir=model_dir, revision=revision, provider=provider)
            encoder = stack.enter_context(opened)
            _check_model(encoder, members)
        report(progress, "reading references", 0, None)
        known = _known(references, read, encoder, references_field, embeddings_field, share)
        report(progress, "comparing", 0, None)
        proposed = propose(members, known, threshold=threshold, min_margin=min_margin, images=images)
    options = {"chosen": chosen, "above": above, "confirm": confirm, "dry_run": dry_run}
    return write_accepted(members, proposed, progress=progress, **options)  # type: ignore[arg-type]


def _known(
    references: Any,
    library: Library | None,
    encoder: Encoder | None,
    references_field: str | None,
    embeddings_field: str,
    share: float,
) -> Known:
    """The characters of references, and those of a library that the references do not have."""
    galleries, sources, aliases = [], [], {}
    if references is not None:
        if isinstance(references, References):
            gathered = references
        else:
            assert encoder is not None
            gathered = gather(references, encoder, field=references_field, embeddings_field=embeddings_field)
        galleries.append(Gallery.of_references(gathered, share=share))
        sources.append(f"references of {counted(len(gathered.names), 'character')}")
    if library is not None:
        galleries.append(Gallery.of_library(library))
        sources.append(f"a library of {counted(len(library), 'character')}")
        aliases = {character.name: character.aliases for character in library.characters}
    gallery = galleries[0] if len(galleries) == 1 else galleries[0].joined(galleries[1])
    measure = differences if encoder is None else encoder.differences
    origin = "library" if references is None else "references"
    return Known(gallery, aliases, " and ".join(sources), origin, measure)


def _check_model(encoder: Encoder, members: Members) -> None:
    recorded = members.provenance
    now = replace(recorded, sha256=encoder.fingerprint, reading_policy=READING_POLICY)
    if contrast := now.contrast(recorded):
        raise ReferencesOfOtherModelError(f"references cannot be compared with the embeddings: {contrast}")


def _is_library_file(path: str | os.PathLike[str]) -> bool:
    text = os.fspath(path)
    return isinstance(text, str) and text.lower().endswith(".zip")


def _check(**switches: object) -> None:
    for name, value in switches.items():
        check_type(name, value, bool, "True or False")


def _check_number(name: str, value: object) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1):
        raise ParameterError(name, value, "a number from 0 to 1")
