"""Merges what a detector finds with the boxes that an image has, of which people edited, added or deleted some.

FiftyOne does not mark edits. So each image has a record of what the detector wrote: id, box and class. A box in the
record that is still the same is the detector's. Everything else is a person's: a box that is not as it was written, one
that was not written, and one that is gone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.identity.boxes import Box, box_of, match_boxes, overlapping
from ..storage.fields import STATUS_CONFIRMED, STATUS_IGNORED

Document = Mapping[str, Any]

ROUNDING = 1e-6
"""Boxes that differ by less (of the image's width or height) are the same."""

_MASKS = ("mask", "mask_path")  # the detector writes none


@dataclass
class Merged:
    """The boxes of an image after a run.

    Attributes:
        documents: the detections, as they are stored
        record: what the detector wrote: of each box its id, its box and its class
        n_detector: number of boxes that the detector found now
        n_new: number of those that are new
        n_people: number of boxes that people edited or added
        n_dropped: number of boxes that the detector found where people edited, added or deleted one
        n_removed: number of boxes that the detector wrote before and did not find again
    """

    documents: list[Document] = field(default_factory=list)
    record: list[dict[str, Any]] = field(default_factory=list)
    n_detector: int = 0
    n_new: int = 0
    n_people: int = 0
    n_dropped: int = 0
    n_removed: int = 0


def merge_boxes(
    documents: Sequence[Document], record: Any, detections: Sequence[Document], *, vector_names: Sequence[str] = ()
) -> Merged:
    """Replaces the boxes that a detector wrote by those that it finds now; what people did stays.

    Each new detection is matched with the box that it overlaps most (intersection over union above 0.5), one to one:

    - with one that the detector wrote: this one stays, with its id and all that is stored with it, and gets the new
      box, class and confidence. If the box moved, its vectors are set to None, as they were of other pixels
    - with one that a person edited (as it is, or as it was before the edit), added or deleted: it is dropped; so is one
      that is matched with none, but overlaps such a box
    - with none: it is added

    A box that the detector wrote and does not find again is removed, unless it has a tag or a character that a person
    confirmed or ignored.

    Args:
        documents: the detections of the image, as they are stored
        record: what the detector wrote, see :class:`Merged`
        detections: what it found now, as it would be stored
        vector_names (()): the attributes of detections that hold vectors
    """
    people, entries, deleted = _split(documents, record)
    written = [number for number in range(len(documents)) if number not in people]
    protected = [*_people_boxes(documents, people, entries), *deleted]
    places = [(number, box) for number in written if (box := box_of(documents[number].get("bounding_box")))]
    matches, added = _match([box for _, box in places], list(_boxes(protected)), detections)
    matched = {places[place][0]: detections[new] for place, new in matches.items()}
    merged = Merged(record=[dict(entry) for entry in deleted], n_detector=len(matched) + len(added))
    merged.n_new, merged.n_people = len(added), len(people)
    merged.n_dropped = len(detections) - merged.n_detector
    for number, document in enumerate(documents):
        if number in people:
            merged.documents.append(document)
            merged.record += [dict(entries[number])] if number in entries else []
        elif number in matched or _is_decided(document):
            kept = _updated(document, matched[number], vector_names) if number in matched else document
            merged.documents.append(kept)
            merged.record.append(entry_of(kept))
        else:
            merged.n_removed += 1
    merged.documents += [detections[new] for new in added]
    merged.record += [entry_of(detections[new]) for new in added]
    return merged


def entry_of(document: Document) -> dict[str, Any]:
    """What is recorded of a box that the detector wrote."""
    return {"id": str(document["_id"]), "box": list(document["bounding_box"]), "label": document.get("label")}


def _split(documents: Sequence[Document], record: Any) -> tuple[set[int], dict[int, Document], list[Document]]:
    """Finds what people did.

    Returns:
        the places of boxes that people edited or added, the record of each box that has one, and the records of boxes
        that were deleted
    """
    left = {entry["id"]: entry for entry in record or () if _is_entry(entry)} if isinstance(record, list) else {}
    entries: dict[int, Document] = {}
    for number, document in enumerate(documents):
        if (entry := left.pop(str(document.get("_id")), None)) is not None:
            entries[number] = entry
    for number, document in enumerate(documents):  # copies of a sample have boxes with other ids
        if number not in entries and (same := next((key for key in left if _is_same(document, left[key])), None)):
            entries[number] = left.pop(same)
    people = {
        number
        for number, document in enumerate(documents)
        if number not in entries or not _is_same(document, entries[number]) or any(map(document.get, _MASKS))
    }
    return people, entries, list(left.values())


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, Mapping) and isinstance(entry.get("id"), str) and box_of(entry.get("box")) is not None


def _is_same(document: Document, entry: Document) -> bool:
    box = box_of(document.get("bounding_box"))
    return box is not None and document.get("label") == entry.get("label") and _is_near(box, entry["box"])


def _is_near(left: Sequence[float], right: Sequence[float]) -> bool:
    return all(abs(a - b) <= ROUNDING for a, b in zip(left, right, strict=True))


def _people_boxes(
    documents: Sequence[Document], people: set[int], entries: Mapping[int, Document]
) -> Iterator[Document]:
    """The boxes that people edited or added, and where edited ones were before."""
    for number in people:
        yield {"box": documents[number].get("bounding_box")}
        if number in entries:
            yield entries[number]


def _boxes(entries: Sequence[Document]) -> Iterator[Box]:
    return (box for entry in entries if (box := box_of(entry["box"])) is not None)


def _match(
    written: Sequence[Box], protected: Sequence[Box], detections: Sequence[Document]
) -> tuple[dict[int, int], list[int]]:
    """The new detection of written boxes, by their places, and the new detections that are added."""
    found = [(new, box) for new, detection in enumerate(detections) if (box := box_of(detection["bounding_box"]))]
    boxes = [box for _, box in found]
    pairs = match_boxes([*written, *protected], boxes)
    matches = {old: found[place][0] for old, place in pairs if old < len(written)}
    taken = {found[place][0] for _, place in pairs}
    taken |= {found[place][0] for place in overlapping(boxes, protected)[0].tolist()}
    return matches, [new for new, _ in found if new not in taken]


def _updated(document: Document, detection: Document, vector_names: Sequence[str]) -> Document:
    """A box of the detector as it found it now; all else that is stored with it stays."""
    values = {"label": detection["label"], "confidence": detection["confidence"]}
    if not _is_near(document["bounding_box"], detection["bounding_box"]):
        values |= {name: None for name in vector_names if name in document}
        values["bounding_box"] = detection["bounding_box"]
    return {**document, **values}


def _is_decided(document: Document) -> bool:
    statuses = (value for name, value in document.items() if name.endswith("_status"))
    return bool(document.get("tags")) or any(value in (STATUS_CONFIRMED, STATUS_IGNORED) for value in statuses)
