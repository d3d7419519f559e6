"""Saves the named characters of a dataset as a library, reads libraries and merges them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from fiftyone.core.collections import SampleCollection

from ..core.arrays import IntArray
from ..core.calibration import load as load_calibration
from ..core.differences import differences
from ..core.errors import CCIPError, ParameterError, check_type
from ..core.library.files import LibraryExistsError, library_path, read_library, write_library
from ..core.library.merging import MergedLibrary, merge
from ..core.library.prototypes import MAX_APPEARANCES, choose_negatives, choose_prototypes, own_limit
from ..core.library.records import Character, Library, LibraryError
from ..core.plain import canonical_name
from ..core.progress import ProgressCallback, report
from ..embeddings.store import EmbeddingStore
from ..labels.edits.chosen import GroupRef, NoSuchGroupError, as_groups
from ..reports.facts import Facts, counted
from ..storage.connection import with_database_errors
from ..storage.fields import EMBEDDINGS_FIELD, GROUP_FIELD
from .members import Members, read_members
from .thumbnails import thumbnails_of

_SHOWN = 5  # names that are listed

Series = str | Mapping[str, str]


class NoCharactersError(LibraryError):
    """No group can be saved as a character."""

    mentions = ("all_images", "confirm", "rename_group")


@dataclass(frozen=True, eq=False)
class LibraryReport:
    """The result of :func:`save_library`.

    Attributes:
        path: the file
        library: what was saved
        n_images: number of images that the prototypes were made from
        unconfirmed: names of groups that were left out, as no user confirmed an image of them
        n_unnamed: number of groups that were left out, as no user named them
    """

    path: Path
    library: Library
    n_images: int = 0
    unconfirmed: Sequence[str] = field(default_factory=tuple)
    n_unnamed: int = 0

    def facts(self) -> Facts:
        """The report as text."""
        characters = self.library.characters
        names = ", ".join([*self.unconfirmed[:_SHOWN], *(["..."] if len(self.unconfirmed) > _SHOWN else [])])
        warnings = []
        if self.unconfirmed:
            warnings.append(
                f"{counted(len(self.unconfirmed), 'named group')} without a confirmed image left out: {names}. Confirm "
                "images of them, or save all images"
            )
        return Facts.of(
            f"{counted(len(characters), 'character')} saved to {self.path.name}",
            [
                ("File", str(self.path)),
                ("Characters", len(characters)),
                ("Prototypes", self.library.n_prototypes),
                ("Made from", counted(self.n_images, "image") if self.n_images else None),
                ("Rejected images kept", sum(len(each.negatives) for each in characters) or None),
                ("With thumbnails", sum(each.thumbnail is not None for each in characters) or None),
                ("Groups without a name, left out", self.n_unnamed or None),
                ("Model", self.library.origin.model_name),
            ],
            warnings,
        )

    def __str__(self) -> str:
        return str(self.facts())


@with_database_errors
def save_library(
    samples: SampleCollection | Library,
    path: str | Path,
    *,
    groups: GroupRef | Sequence[GroupRef] | None = None,
    all_images: bool = False,
    aliases: Mapping[str, Iterable[str]] | None = None,
    series: Series | None = None,
    thumbnails: bool = False,
    overwrite: bool = False,
    group_field: str = GROUP_FIELD,
    patches_field: str | None = None,
    embeddings_field: str = EMBEDDINGS_FIELD,
    model_dir: str | Path | None = None,
    progress: ProgressCallback | None = None,
) -> LibraryReport:
    """Saves the named characters of a dataset as a file that can be shared: names, prototypes, rejected images.

    The prototypes of a character are made from its confirmed images, one for each appearance. The file holds vectors
    and names: no images (unless ``thumbnails`` is set), no paths and no ids.

    Args:
        samples: a dataset or view whose groups are saved; or a library, e.g. after changes to it
        path: the file; ``.ccip.zip`` is appended to a name without that ending. Its folder must exist
        groups (None): names or ids of the groups to save; by default all that users named
        all_images (False): use all images of a group, not only the confirmed ones
        aliases (None): other names of characters by their names, e.g. ``{"綾波レイ": ["Rei Ayanami"]}``
        series (None): what the characters are from: one series for all, or by name
        thumbnails (False): also save a small image of each character, without metadata
        overwrite (False): replace an existing file
        group_field ("character_group"): the field (on detections: the attribute) with the groups; any field of
            classifications with names will do
        patches_field (None): the field with the detections, when they were grouped
        embeddings_field ("ccip_embedding"): the field (on detections: the attribute) with the embeddings
        model_dir (None): a folder of models
        progress (None): receives progress

    Returns:
        a :class:`LibraryReport`

    Raises:
        NoCharactersError: no group was named by a user and has confirmed images; says what would help
        NoSuchGroupError: there is no such group
        NoEmbeddingsError: there are no embeddings
        LibraryExistsError: the file exists
        LibraryWriteError: the file cannot be written
        TargetError: the samples or the field are not supported
    """
    file = library_path(path).expanduser()
    for name, value in (("all_images", all_images), ("thumbnails", thumbnails), ("overwrite", overwrite)):
        check_type(name, value, bool, "True or False")
    other_names, of_series = _aliases(aliases), _series(series)
    chosen = as_groups(groups)
    if isinstance(samples, Library):
        library = _described(samples, other_names, of_series)
        return LibraryReport(write_library(library, file, overwrite=overwrite), library)
    if file.is_file() and not overwrite:
        raise LibraryExistsError(file)
    members = read_members(samples, group_field, patches_field, embeddings_field, progress)
    threshold = load_calibration(members.provenance.model_name, model_dir=model_dir).threshold
    rows_by_group, unconfirmed, n_unnamed = _rows(members, chosen, all_images=all_images)
    if not rows_by_group:
        raise NoCharactersError(_why_none(members, unconfirmed, n_unnamed))
    report(progress, "choosing prototypes", 0, None)
    characters = _characters(members, rows_by_group, threshold)
    if thumbnails:
        characters = _with_thumbnails(members, rows_by_group, characters, embeddings_field)
    library = _described(Library(members.origin, characters), other_names, of_series)
    n_images = sum(map(len, rows_by_group.values()))
    write_library(library, file, overwrite=overwrite)
    return LibraryReport(file, library, n_images, tuple(unconfirmed), n_unnamed)


def load_library(path: str | Path | bytes) -> Library:
    """Reads a character library, which may come from anywhere.

    Args:
        path: the file, or its content

    Returns:
        a :class:`~ccip_plugin.core.library.records.Library`; its ``find`` searches names and aliases

    Raises:
        LibraryNotFoundError: the file does not exist
        LibraryFileError: it is no library, of a newer version, damaged, or exceeds a limit
    """
    return read_library(path)


def merge_libraries(
    first: Library | str | Path,
    second: Library | str | Path,
    *,
    threshold: float | None = None,
    model_dir: str | Path | None = None,
) -> MergedLibrary:
    """Merges two character libraries of one model; lists where they disagree. Nothing of either is lost.

    Characters of one name (or alias) are joined if a prototype of one is within the threshold of one of the other. Else
    both stay, the second one under another name. ``save_library(merged.library, path)`` saves the result.

    Args:
        first: a library, or its file; its names and series come first
        second: another one
        threshold (None): the difference up to which two images are one character, that of the model by default
        model_dir (None): a folder of models

    Returns:
        a :class:`~ccip_plugin.core.library.merging.MergedLibrary` with ``library`` and ``conflicts``

    Raises:
        OtherModelError: the libraries are of different models
        LibraryFileError: a file is no library
    """
    check_type("threshold", threshold, int | float | None, "a difference over 0 and at most 1, or None")
    libraries = [each if isinstance(each, Library) else read_library(each) for each in (first, second)]
    if threshold is None:
        threshold = load_calibration(libraries[0].origin.model_name, model_dir=model_dir).threshold
    return merge(*libraries, threshold=threshold)


# -- what is saved


def _rows(
    members: Members, chosen: Sequence[GroupRef] | None, *, all_images: bool
) -> tuple[dict[int, IntArray], list[str], int]:
    """The rows of the images of each group to save; names without confirmed images; number of unnamed groups."""
    ids = set(members.groups) if chosen is None else {_resolve(members, group) for group in chosen}
    saved: dict[int, IntArray] = {}
    unconfirmed, n_unnamed = [], 0
    for group_id in sorted(ids):
        rows = members.rows_by_group.get(group_id, np.empty(0, np.int64))
        if members.groups[group_id].is_auto_named:
            n_unnamed += bool(len(rows))
            continue
        used = rows if all_images else rows[members.state.is_user_label[rows]]
        if len(used):
            saved[group_id] = used
        elif len(rows):
            unconfirmed.append(members.groups[group_id].name)
    return saved, unconfirmed, n_unnamed


def _resolve(members: Members, group: GroupRef) -> int:
    for group_id, each in members.groups.items():
        if group == group_id or (isinstance(group, str) and canonical_name(group) == canonical_name(each.name)):
            return group_id
    raise NoSuchGroupError(members.store.path, group)


def _why_none(members: Members, unconfirmed: Sequence[str], n_unnamed: int) -> str:
    path = members.store.path
    if unconfirmed:
        return (
            f"no image of the {counted(len(unconfirmed), 'named group')} of {path!r} is confirmed: confirm images of "
            "them, or set all_images=True"
        )
    if n_unnamed:
        return f"the {counted(n_unnamed, 'group')} of {path!r} have no names yet: name them with rename_group"
    return f"there are no character groups with embeddings in {path!r}: group and name images first"


def _characters(members: Members, rows_by_group: Mapping[int, IntArray], threshold: float) -> tuple[Character, ...]:
    everything = np.concatenate(list(rows_by_group.values()))
    vectors = members.vectors(everything)
    owner = np.repeat(list(rows_by_group), [len(rows) for rows in rows_by_group.values()])
    rejections = members.state.draft().rejections
    characters = []
    for group_id in rows_by_group:
        own = vectors[owner == group_id]
        prototypes, counts = choose_prototypes(own, threshold, most=MAX_APPEARANCES)
        rejected = members.vectors_of(list(rejections.get(group_id, ())))
        others = np.concatenate([vectors[owner != group_id], rejected])
        characters.append(
            Character.of(
                members.groups[group_id].name,
                prototypes,
                counts=counts,
                negatives=choose_negatives(rejected, prototypes) if len(rejected) else None,
                limit=own_limit(own, others, prototypes, threshold),
            )
        )
    return tuple(characters)


def _with_thumbnails(
    members: Members, rows_by_group: Mapping[int, IntArray], characters: Sequence[Character], embeddings_field: str
) -> tuple[Character, ...]:
    """The characters with thumbnails of the images nearest to their first prototypes."""
    covers: dict[str, int] = {}
    for number, rows in enumerate(rows_by_group.values()):
        nearest = differences(members.vectors(rows), characters[number].prototypes[:1])[:, 0].argmin()
        covers[members.item_ids(rows[nearest : nearest + 1])[0]] = number
    made = thumbnails_of(EmbeddingStore(members.store.target, embeddings_field), covers)
    return tuple(replace(each, thumbnail=made.get(number)) for number, each in enumerate(characters))


# -- names and series that the caller gives


def _aliases(aliases: object) -> dict[str, list[str]]:
    expected = "lists of other names by name"
    if aliases is None:
        return {}
    if not isinstance(aliases, Mapping):
        raise ParameterError("aliases", aliases, expected)
    for name, others in aliases.items():
        if not isinstance(name, str) or isinstance(others, str | bytes) or not isinstance(others, Iterable):
            raise ParameterError("aliases", aliases, expected)
    return {name: list(others) for name, others in aliases.items()}


def _series(series: object) -> Series | None:
    if series is None or isinstance(series, str):
        return series
    is_by_name = isinstance(series, Mapping) and all(isinstance(each, str) for pair in series.items() for each in pair)
    if not is_by_name:
        raise ParameterError("series", series, "a text, or texts by name")
    return dict(series)  # type: ignore[call-overload, no-any-return]


def _described(library: Library, aliases: Mapping[str, list[str]], series: Series | None) -> Library:
    try:
        for name, others in aliases.items():
            library = library.described(name, aliases=others)
        by_name = dict.fromkeys(library.names, series) if isinstance(series, str) else dict(series or {})
        for name, text in by_name.items():
            library = library.described(name, series=text)
    except CCIPError as error:
        names = ", ".join(map(repr, library.names[:_SHOWN])) + (", ..." if len(library) > _SHOWN else "")
        raise LibraryError(f"{error}; the characters are {names}") from error
    return library
