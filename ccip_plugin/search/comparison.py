"""Pairwise comparison of a few images or detections."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from bson import ObjectId
from fiftyone.core.collections import SampleCollection
from numpy.typing import NDArray

from ..core.calibration import load as load_calibration
from ..core.differences import differences
from ..core.errors import CCIPError, ParameterError, check_type
from ..core.progress import ProgressCallback, report
from ..core.ranking import similarity_order
from ..embeddings.load import load_embeddings
from ..embeddings.store import EmbeddingStore
from ..reports.charts import Heatmap
from ..reports.facts import Facts
from ..storage.connection import with_database_errors
from ..storage.fields import EMBEDDINGS_FIELD
from ..storage.targets import Target, resolve
from .heatmap import difference_heatmap, thumbnail

MIN_ITEMS, MAX_ITEMS = 2, 50


class ComparisonError(CCIPError, ValueError):
    """The images cannot be compared."""


class Pair(NamedTuple):
    """Two images or detections.

    Attributes:
        a: the index of the first
        b: the index of the second
        difference: their difference
        is_same: whether it is within the threshold
    """

    a: int
    b: int
    difference: float
    is_same: bool


@dataclass(frozen=True, eq=False)
class Comparison:
    """The result of :func:`compare_images`.

    Attributes:
        target: the compared items
        ids: the ``n`` ids of the images or detections, in the order in which they were given
        names: ``n`` distinct names: of the files, with a number for each detection in it
        filepaths: the ``n`` files
        boxes: ``n`` boxes of detections, ``[x, y, width, height]`` relative to the image; None for whole images
        differences: ``(n, n)`` float32
        threshold: the difference up to which two images show one character
        missing: the ids of those without embedding, which were not compared
        model_name: the model of the embeddings
    """

    target: Target
    ids: list[str]
    names: list[str]
    filepaths: list[str]
    boxes: list[list[float] | None]
    differences: NDArray[np.float32]
    threshold: float
    missing: list[str]
    model_name: str

    @property
    def same(self) -> NDArray[np.bool_]:
        """``(n, n)``: which pairs are within the threshold."""
        return self.differences.astype(np.float64) <= self.threshold

    @property
    def pairs(self) -> list[Pair]:
        """All pairs, most similar first."""
        rows, columns = np.triu_indices(len(self.ids), 1)
        apart, same = self.differences[rows, columns], self.same[rows, columns]
        order = np.argsort(apart, kind="stable")
        return [Pair(int(rows[i]), int(columns[i]), float(apart[i]), bool(same[i])) for i in order]

    @property
    def order(self) -> list[int]:
        """The indices in an order that puts similar images side by side."""
        return [int(place) for place in similarity_order(self.differences)]

    def table(self) -> list[dict[str, str]]:
        """Every pair, the most similar first."""
        return [
            {
                "a": self.names[pair.a],
                "b": self.names[pair.b],
                "difference": f"{pair.difference:.4f}",
                "verdict": "same character" if pair.is_same else "different",
            }
            for pair in self.pairs
        ]

    def chart(self, *, with_thumbnails: bool = True) -> Heatmap:
        """The differences as a heatmap, similar images next to each other.

        Args:
            with_thumbnails (True): read the images; one that cannot be read has no thumbnail
        """
        order = self.order
        pictures = [thumbnail(self.filepaths[i], self.boxes[i]) for i in order] if with_thumbnails else []
        names = [self.names[i] for i in order]
        return difference_heatmap(names, self.differences[order][:, order], self.threshold, pictures)

    def facts(self) -> Facts:
        """The result as text."""
        pairs = self.pairs
        n_same = sum(pair.is_same for pair in pairs)
        return Facts.of(
            f"{len(self.ids)} {self.target.noun}: {n_same:,} of {len(pairs):,} pairs show the same character",
            [
                ("Compared", f"{len(self.ids):,} {self.target.noun}"),
                ("Pairs of the same character", f"{n_same:,} of {len(pairs):,}"),
                ("Threshold", f"{self.threshold:.4f}"),
                ("Without embedding, left out", len(self.missing) or None),
                ("Model", self.model_name),
            ],
        )

    def __str__(self) -> str:
        return str(self.facts())


@with_database_errors
def compare_images(
    samples: SampleCollection,
    *,
    ids: Sequence[str] | None = None,
    threshold: float | None = None,
    patches_field: str | None = None,
    embeddings_field: str = EMBEDDINGS_FIELD,
    model_dir: str | Path | None = None,
    progress: ProgressCallback | None = None,
) -> Comparison:
    """Compares 2 to 50 images or detections pairwise. Writes nothing.

    Args:
        samples: a dataset, a view or a patches view
        ids (None): ids of samples or, with detections, of detections; all of ``samples`` by default
        threshold (None): the difference up to which two images show one character, that of the model by default
        patches_field (None): the field with the detections, None for whole images
        embeddings_field ("ccip_embedding"): the field (on detections: the attribute) with the embeddings
        model_dir (None): a folder of models, for the threshold beside them
        progress (None): called when the embeddings are read

    Returns:
        a :class:`Comparison`

    Raises:
        ComparisonError: fewer than 2 or more than 50 items, unknown ids, or fewer than 2 items with an embedding
        TargetError: the samples or the field are not supported
        CCIPError: the embeddings cannot be used; the text says why
    """
    check_type("threshold", threshold, int | float | None, "a difference from 0 to 1, or None for that of the model")
    target, requested = _selected(resolve(samples, patches_field), ids)
    noun = target.noun
    n = EmbeddingStore(target, embeddings_field).coverage().n_total  # before anything is read: there may be a million
    if not MIN_ITEMS <= n <= MAX_ITEMS:
        raise ComparisonError(f"{n:,} {noun} cannot be compared, only {MIN_ITEMS} to {MAX_ITEMS}")
    files, boxes = _sources(target)
    keys = [key for key in requested if key in files] if requested is not None else list(files)
    if requested is not None and len(keys) < len(requested):
        absent = ", ".join([key for key in requested if key not in files][:MAX_ITEMS])
        raise ComparisonError(f"there are no {noun} with the ids {absent}")
    report(progress, "reading embeddings", 0, None)
    embeddings = load_embeddings(target.view, embeddings_field=embeddings_field, patches_field=target.patches_field)
    places = {key: place for place, key in enumerate(embeddings.ids)}
    embedded = [key for key in keys if key in places]
    if len(embedded) < MIN_ITEMS or embeddings.provenance is None:
        raise ComparisonError(
            f"{len(embedded)} of the {len(keys)} {noun} have an embedding in {target.path(embeddings_field)!r}, at "
            f"least {MIN_ITEMS} are needed: compute embeddings first"
        )
    model_name = embeddings.provenance.model_name
    if threshold is None:
        threshold = load_calibration(model_name, model_dir=model_dir).threshold
    return Comparison(
        target=target,
        ids=embedded,
        names=_names([files[key] for key in embedded]),
        filepaths=[files[key] for key in embedded],
        boxes=[boxes[key] for key in embedded],
        differences=differences(embeddings.vectors[[places[key] for key in embedded]]),
        threshold=threshold,
        missing=[key for key in keys if key not in places],
        model_name=model_name,
    )


def _selected(target: Target, ids: Sequence[str] | None) -> tuple[Target, list[str] | None]:
    """The items to compare and, if ids were given, these ids without repetitions."""
    if ids is None:
        return target, None
    check_type("ids", ids, Iterable, "ids of samples or detections")
    unique = list(dict.fromkeys(ids))
    if not all(map(ObjectId.is_valid, unique)):
        raise ParameterError("ids", ids, "ids of samples or detections")
    if target.patches_field is None:
        view = target.view.select(unique)
    else:
        view = target.view.select_labels(ids=unique, fields=target.patches_field)
    return Target(target.dataset, view, target.patches_field), unique


def _sources(target: Target) -> tuple[dict[str, str], dict[str, list[float] | None]]:
    """The files and the boxes of the items, by id."""
    ids, sample_ids, columns = target.values("bounding_box")
    files = dict(zip(*target.view.values(["id", "filepath"]), strict=True))
    of_items = {key: files[sample_id] for key, sample_id in zip(ids, sample_ids, strict=True)}
    return of_items, dict(zip(ids, columns["bounding_box"], strict=True))


def _names(filepaths: Sequence[str]) -> list[str]:
    """The names of files, with a number where several have one name."""
    names = [Path(path).name for path in filepaths]
    counts, seen = Counter(names), Counter[str]()
    for place, name in enumerate(names):
        seen[name] += 1
        if counts[name] > 1:
            names[place] = f"{name} #{seen[name]}"
    return names
