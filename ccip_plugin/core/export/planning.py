"""Plans an export: which images, in which folders, how often, with which captions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..arrays import Vectors
from ..errors import ParameterError
from ..plain import canonical_name
from .balance import diverse, duplicates, repeats_for
from .captions import CaptionRules, caption_of
from .names import file_stems, folder_names
from .records import ExportError, Plan, PlannedFolder, PlannedImage, TrainingImage

IGNORED, UNCONFIRMED = "ignored", "not confirmed"
EQUAL, SIMILAR, OVER_CAP = "duplicate of {}", "near-duplicate of {}", "over the limit of images"


@dataclass(frozen=True)
class ExportOptions:
    """How an export is planned.

    Attributes:
        with_unconfirmed (False): export images with an automatic label as well
        excluded_doubts: leave out images with one of these doubts
        cap (None): limit of the images of a character; those that differ most are kept
        balance (True): repeat the images of small characters
        target (None): images of a character in an epoch, those of the largest character by default
        max_repeats (10): limit of the repeats
        without_duplicates (True): leave out equal files and near-duplicates within a character
        max_bits (4): largest number of different bits of the hashes of near-duplicates
        max_difference (0.02): largest difference of near-duplicates
        margin (0): fraction by which the boxes of detections are enlarged
        captions: what captions are made of
    """

    with_unconfirmed: bool = False
    excluded_doubts: frozenset[str] = frozenset()
    cap: int | None = None
    balance: bool = True
    target: int | None = None
    max_repeats: int = 10
    without_duplicates: bool = True
    max_bits: int = 4
    max_difference: float = 0.02
    margin: float = 0.0
    captions: CaptionRules = field(default_factory=CaptionRules)

    def __post_init__(self) -> None:
        if self.cap is not None and self.cap < 1:
            raise ParameterError("cap", self.cap, "None or at least 1")


def plan_export(
    images: Sequence[TrainingImage],
    options: ExportOptions | None = None,
    *,
    vectors: Vectors | None = None,
    escape: Callable[[str, bool], str] | None = None,
) -> Plan:
    """Plans an export. Nothing is read or written.

    The plan does not depend on the order of the images.

    Args:
        images: ``n`` images, with different keys
        options (None): :class:`ExportOptions`, as they are by default
        vectors (None): ``(n, dim)`` embeddings of unit length, NaN for images without one; without any, only equal
            files are duplicates, and caps keep the first images
        escape (None): how the trainer wants a part of a caption written, see :mod:`.layouts`

    Returns:
        the plan

    Raises:
        ExportError: two images have one key, or there is not one vector for each image
        ParameterError: an option is out of its range
    """
    options = options or ExportOptions()
    if len({image.key for image in images}) < len(images):
        raise ExportError("two images have the same key")
    if vectors is not None and len(vectors) != len(images):
        raise ExportError(f"there are {len(vectors):,} vectors for {len(images):,} images")
    left_out = {image.key: reason for image in images if (reason := _why_excluded(image, options))}
    members: dict[str, list[int]] = {}
    for row in sorted(range(len(images)), key=lambda row: images[row].key):
        if images[row].key not in left_out:
            members.setdefault(canonical_name(images[row].character), []).append(row)
    rows = np.full((len(images), 1), np.nan, np.float32) if vectors is None else vectors
    for character, own in members.items():
        members[character] = _chosen(images, own, rows, options, left_out)
    return Plan(_folders(images, members, options, escape), left_out, options.margin)


def _why_excluded(image: TrainingImage, options: ExportOptions) -> str | None:
    if image.status == "ignored":
        return IGNORED
    if image.status != "confirmed" and not options.with_unconfirmed:
        return UNCONFIRMED
    return min(image.doubts & options.excluded_doubts, default=None)


def _chosen(
    images: Sequence[TrainingImage], rows: list[int], vectors: Vectors, options: ExportOptions, left_out: dict[str, str]
) -> list[int]:
    """The images of a character to export; why the others are not is added to ``left_out``."""
    if options.without_duplicates:
        best_first = sorted(rows, key=lambda row: (images[row].status != "confirmed", -images[row].n_pixels))
        kept = set(_without_duplicates(images, best_first, vectors, options, left_out))
        rows = [row for row in rows if row in kept]
    if options.cap is not None and len(rows) > options.cap:
        kept = {rows[each] for each in diverse(vectors[rows], options.cap)}
        left_out.update({images[row].key: OVER_CAP for row in rows if row not in kept})
        rows = [row for row in rows if row in kept]
    return rows


def _without_duplicates(
    images: Sequence[TrainingImage], rows: list[int], vectors: Vectors, options: ExportOptions, left_out: dict[str, str]
) -> list[int]:
    first: dict[object, int] = {}
    for row in rows:
        image = images[row]
        same = first.setdefault((image.content, image.box) if image.content is not None else image.key, row)
        if same != row:
            left_out[image.key] = EQUAL.format(images[same].key)
    rows = list(first.values())
    looks = [images[row].look for row in rows]
    originals = duplicates(
        np.array([look or 0 for look in looks], np.uint64),
        np.array([look is not None for look in looks], np.bool_),
        vectors[rows],
        max_bits=options.max_bits,
        max_difference=options.max_difference,
    )
    for row, original in zip(rows, originals.tolist(), strict=True):
        if original >= 0:
            left_out[images[row].key] = SIMILAR.format(images[rows[original]].key)
    return [row for row, original in zip(rows, originals.tolist(), strict=True) if original < 0]


def _folders(
    images: Sequence[TrainingImage],
    members: dict[str, list[int]],
    options: ExportOptions,
    escape: Callable[[str, bool], str] | None,
) -> tuple[PlannedFolder, ...]:
    characters = sorted(character for character, rows in members.items() if rows)
    counts = np.array([len(members[character]) for character in characters], np.int64)
    repeats = repeats_for(counts, target=options.target, max_repeats=options.max_repeats)
    names = folder_names(characters)
    stems = file_stems({images[row].key: character for character in characters for row in members[character]})
    folders = []
    for character, n in zip(characters, repeats.tolist(), strict=True):
        planned = [
            PlannedImage(images[row], stems[images[row].key], _caption(images[row], character, options, escape))
            for row in members[character]
        ]
        folders.append(PlannedFolder(character, names[character], n if options.balance else 1, tuple(planned)))
    return tuple(folders)


def _caption(
    image: TrainingImage, character: str, options: ExportOptions, escape: Callable[[str, bool], str] | None
) -> str:
    return caption_of(character, companions=image.companions, tags=image.tags, rules=options.captions, escape=escape)
