"""Finds the images and detections of a dataset that the decisions of a file are about."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...core.identity.boxes import Box, match_boxes
from ...core.progress import ProgressCallback, report
from ..store import LabelStore
from .document import Decisions, ItemEntry, content_hash
from .exporting import item_places

_REPORTED = 100  # files between two reports of progress


@dataclass
class Matches:
    """The items that entries of a file are about.

    Attributes:
        entries: for the ids of items what the file says of them
        n_by_path: number of these that are known by the path of their file alone, whose content is another one
        missing: entries about what is not in the dataset
        ambiguous: paths of images about which entries say different things, with what is unclear
    """

    entries: dict[str, ItemEntry] = field(default_factory=dict)
    n_by_path: int = 0
    missing: list[ItemEntry] = field(default_factory=list)
    ambiguous: dict[str, str] = field(default_factory=dict)


def match_items(store: LabelStore, decisions: Decisions, progress: ProgressCallback | None = None) -> Matches:
    """Finds what the entries of a file are about: by the content of image files, or else by their paths.

    Only files of a size that the entries have are read.

    Args:
        store: the field, of the whole dataset
        decisions: what the file says
        progress (None): called with the number of files
    """
    paths = dict(zip(*store.target.whole().view.values(["id", "filepath"]), strict=True))
    by_hash, by_path = _grouped(decisions.items, "sha256"), _grouped(decisions.items, "path")
    matches, used = Matches(), set[str]()
    of_sample: dict[str, list[ItemEntry]] = {}
    hashes = _hashes(paths, {entry.n_bytes for entry in decisions.items if entry.sha256}, progress)
    for sample_id, sha256 in hashes.items():
        entries = _one_source(by_hash.get(sha256, []), paths[sample_id])
        if entries is None:
            matches.ambiguous[paths[sample_id]] = "images of this content have several decisions"
        elif entries:
            of_sample[sample_id] = entries
        used.update(entry.path for entry in by_hash.get(sha256, []))
    for sample_id, path in paths.items():
        if sample_id not in of_sample and path in by_path and path not in used:
            of_sample[sample_id] = by_path[path]
            matches.n_by_path += 1
            used.add(path)
    matches.missing = [entry for entry in decisions.items if entry.path not in used]
    _match_boxes(store, of_sample, matches)
    return matches


def _grouped(entries: Iterable[ItemEntry], name: str) -> dict[str, list[ItemEntry]]:
    groups: dict[str, list[ItemEntry]] = defaultdict(list)
    for entry in entries:
        if getattr(entry, name) is not None:
            groups[getattr(entry, name)].append(entry)
    return dict(groups)


def _hashes(paths: dict[str, str], sizes: set[int], progress: ProgressCallback | None) -> dict[str, str]:
    """The hashes of the files that may be meant, by the ids of their samples."""
    hashes: dict[str, str] = {}
    for number, (sample_id, path) in enumerate(paths.items()):
        if number % _REPORTED == 0:
            report(progress, "comparing files", number, len(paths))
        try:
            is_meant = Path(path).stat().st_size in sizes
        except (OSError, ValueError):
            continue
        sha256 = content_hash(path)[0] if is_meant else None
        if sha256 is not None:
            hashes[sample_id] = sha256
    return hashes


def _one_source(entries: Sequence[ItemEntry], path: str) -> list[ItemEntry] | None:
    """The entries of one file with this content: of the path, of the name, or all say the same; None if unclear."""
    sources = _grouped(entries, "path")
    if len(sources) < 2:
        return list(entries)
    if path in sources:
        return sources[path]
    same_name = [each for each in sources if Path(each).name == Path(path).name]
    if len(same_name) == 1:
        return sources[same_name[0]]
    said = {tuple(entry.decision for entry in each) for each in sources.values()}
    return next(iter(sources.values())) if len(said) == 1 else None


def _match_boxes(store: LabelStore, of_sample: dict[str, list[ItemEntry]], matches: Matches) -> None:
    """Finds the items of samples: themselves, or their detections by the overlap of boxes."""
    if not store.target.is_patches:
        for sample_id, entries in of_sample.items():
            matches.entries.update((sample_id, entry) for entry in _agreed(entries, matches))
        return
    for sample_id, entries in of_sample.items():
        by_box: dict[Box, list[ItemEntry]] = defaultdict(list)
        for entry in entries:
            if entry.box is not None:
                by_box[entry.box].append(entry)
        old = [(entry, box) for box, same in by_box.items() for entry in _agreed(same, matches)]
        places = item_places(store, {sample_id})
        new = [(key, box) for key, (_, box) in places.items() if box is not None]
        pairs = match_boxes([box for _, box in old], [box for _, box in new])
        matches.entries |= {new[column][0]: old[row][0] for row, column in pairs}
        found = {row for row, _ in pairs}
        matches.missing += [entry for row, (entry, _) in enumerate(old) if row not in found]


def _agreed(entries: Sequence[ItemEntry], matches: Matches) -> Sequence[ItemEntry]:
    """Entries about one thing as one; none, and it is listed, if they say different things."""
    if len({entry.decision for entry in entries}) == 1:
        return entries[:1]
    for entry in entries[:1]:
        matches.ambiguous[entry.path] = "it has several decisions"
    return ()
