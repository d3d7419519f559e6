"""Similarity search by exact CCIP differences: by images of the dataset, a character group, or other images."""

import difflib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
from fiftyone import ViewField as F
from fiftyone.core.collections import SampleCollection
from fiftyone.core.media import GROUP
from numpy.typing import NDArray
from PIL import Image

from ..core.arrays import Vectors
from ..core.calibration import load as load_calibration
from ..core.encoder.encoder import Encoder
from ..core.errors import CCIPError, check_type
from ..core.preprocessing import MAX_PIXELS, READING_POLICY, load_image
from ..core.progress import ProgressCallback, report
from ..core.ranking import COMBINE, MEAN, NEAREST, combined_differences
from ..embeddings.cache import VECTORS
from ..embeddings.load import Embeddings, load_embeddings
from ..embeddings.provenance import Provenance
from ..labels.reports import refused_text
from ..labels.store import LabelStore
from ..labels.tables import spellings_of
from ..reports.facts import Facts, counted
from ..storage.connection import with_database_errors
from ..storage.fields import EMBEDDINGS_FIELD, GROUP_FIELD, STATUS_IGNORED
from ..storage.targets import Target, check_field_name, resolve
from .difference_field import field_problem, write_differences

LIMIT = 100
NAMED_IDS = 5


class QueryError(CCIPError, ValueError):
    """A similarity search has no query, or an invalid one."""


@dataclass(frozen=True, eq=False)
class Similar:
    """The result of :func:`find_similar`.

    Attributes:
        target: the searched items
        ids: the ids of the ``n`` images or detections found, most similar first
        sample_ids: the ids of their samples
        differences: ``(n,)`` float32, in the same order
        threshold: the difference up to which two images show one character
        n_within: the number of searched items with a difference up to the threshold
        n_searched: the number of searched embeddings
        n_missing: the number of items without embedding, which are not searched
        n_queries: the number of query images or detections
        combine: how the differences to several queries are combined
        model_name: the model of the embeddings
        difference_field: the path of the field with the differences, None when none was requested
        query_ids: the ids of the query images or detections of the dataset; they are found as well, as FiftyOne's
            similarity search finds them
        refused: the ids of items whose difference cannot be written, with the reason
    """

    target: Target
    ids: list[str]
    sample_ids: list[str]
    differences: Vectors
    threshold: float
    n_within: int
    n_searched: int
    n_missing: int
    n_queries: int
    combine: str
    model_name: str
    difference_field: str | None = None
    query_ids: frozenset[str] = frozenset()
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def view(self) -> fo.DatasetView:
        """The items found, most similar first; detections as patches."""
        target = self.target
        if target.patches_field is None:
            return target.view.select(self.ids, ordered=True)
        # not from the view: a patches view names all of its ids
        whole = target.view if target.dataset.media_type == GROUP else target.dataset
        samples = whole.select(list(dict.fromkeys(self.sample_ids)))
        samples = samples.select_labels(ids=self.ids, fields=target.patches_field)
        return samples.to_patches(target.patches_field).select(self.ids, ordered=True)

    def facts(self) -> Facts:
        """The result as text."""
        noun = self.target.noun
        combined = {MEAN: "the mean difference to all", NEAREST: "the difference to the nearest"}[self.combine]
        n_found = sum(item_id in self.query_ids for item_id in self.ids)
        return Facts.of(
            f"{len(self.ids):,} of {self.n_searched:,} {noun}, {self.n_within:,} within the threshold of "
            f"{self.threshold:.4f}",
            [
                ("Found", f"{len(self.ids):,}, most similar first"),
                ("Query", counted(self.n_queries, noun[:-1])),
                ("Compared by", combined if self.n_queries > 1 else None),
                ("Same character", f"{self.n_within:,} of {self.n_searched:,} {noun}"),
                ("Threshold", f"{self.threshold:.4f}"),
                ("Found, though in the query", n_found or None),
                ("Without embedding, not searched", self.n_missing or None),
                ("Differences written to", self.difference_field),
                ("Cannot be written", refused_text(self.refused)),
                ("Model", self.model_name),
            ],
        )

    def verdict(self, place: int) -> str:
        """The result for an item found: ``query``, ``same character`` or ``different``.

        Args:
            place: its place in :attr:`ids`
        """
        if self.ids[place] in self.query_ids:
            return "query"
        return "same character" if float(self.differences[place]) <= self.threshold else "different"

    def __str__(self) -> str:
        return str(self.facts())


@with_database_errors
def find_similar(
    samples: SampleCollection,
    *,
    ids: Any = None,
    group: str | None = None,
    images: Any = None,
    combine: str = MEAN,
    limit: int | None = LIMIT,
    only_same: bool = False,
    threshold: float | None = None,
    difference_field: str | None = None,
    patches_field: str | None = None,
    embeddings_field: str = EMBEDDINGS_FIELD,
    group_field: str = GROUP_FIELD,
    model_dir: str | Path | None = None,
    revision: str | None = None,
    provider: str = "auto",
    max_pixels: int | None = MAX_PIXELS,
    progress: ProgressCallback | None = None,
) -> Similar:
    """Finds the images, or detections, that are most similar to the queries, by exact CCIP differences.

    ``ids``, ``group`` and ``images`` are the queries; several may be given together. The differences to several queries
    are combined: with ``combine="mean"`` by their mean, with ``"nearest"`` by their minimum. Queries that are among
    ``samples`` are found as well.

    Needs no index. The embeddings of the dataset, up to about 350,000, stay in memory for the next call, which reads
    only those that have changed.

    Nothing is written, unless ``difference_field`` is given: then the differences of the items found are written to
    that field. It holds the differences of the last call only.

    Args:
        samples: a dataset, a view or a patches view to search
        ids (None): ids of samples or, with detections, of detections: one or several, or the objects themselves,
            anywhere in the dataset
        group (None): the name of a character group: all its members, anywhere in the dataset
        images (None): one or several images, in the dataset or not: paths, bytes, arrays or PIL images. They are read
            and embedded like those of the dataset
        combine ("mean"): or ``nearest``
        limit (100): the maximum number of results, None for all
        only_same (False): return only items within the threshold
        threshold (None): the difference up to which two images show one character, that of the model by default
        difference_field (None): a field (on detections: an attribute) to write the differences to
        patches_field (None): the field with the detections to search, None for whole images
        embeddings_field ("ccip_embedding"): the field (on detections: the attribute) with the embeddings
        group_field ("character_group"): the field (on detections: the attribute) with the groups
        model_dir (None): a folder of models
        revision (None): of the hub repository of the model, for ``images``
        provider ("auto"): the execution provider, for ``images``
        max_pixels: the maximum size of ``images``, None for no limit
        progress (None): receives progress

    Returns:
        a :class:`Similar`; its ``view`` shows the items found

    Raises:
        QueryError: there is no query, it has no embedding, or there is no such group
        UnreadableImageError: an image cannot be read
        TargetError: the samples or the field are not supported
        CCIPError: the embeddings or the model cannot be used; the text says why
    """
    target = resolve(samples, patches_field)
    _check(target, combine, limit, threshold, max_pixels, difference_field)
    stored = embeddings_of(target, embeddings_field, progress)
    if stored.provenance is None:
        raise QueryError(f"there are no embeddings in {target.path(embeddings_field)!r}: compute embeddings first")
    model_name = stored.provenance.model_name
    if threshold is None:
        threshold = load_calibration(model_name, model_dir=model_dir, revision=revision).threshold
    query_ids = _ids_of(ids)
    queries = list(_vectors_of(stored, target, embeddings_field, query_ids))
    if group is not None:
        members = _members(target, group_field, group)
        queries.extend(_vectors_of(stored, target, embeddings_field, members, is_each_needed=False))
        query_ids += members
    if pictures := _images_of(images, max_pixels):
        report(progress, "loading the model", 0, None)
        with Encoder.open(model_name, model_dir=model_dir, provider=provider, revision=revision) as encoder:
            _check_model(encoder, stored.provenance, target.path(embeddings_field))
            queries.extend(encoder.embed(pictures, max_pixels=None))
    if not queries:
        raise QueryError("there is no query: give ids, the name of a group, or images")
    report(progress, "comparing", 0, None)
    searched = _within(target, stored)
    apart = combined_differences(searched.vectors, np.stack(queries), combine=combine)
    rows = _nearest(apart, limit, threshold if only_same else None)
    similar = Similar(
        target=target,
        ids=[searched.ids[i] for i in rows],
        sample_ids=[searched.sample_ids[i] for i in rows],
        differences=apart[rows],
        threshold=threshold,
        n_within=_n_within(apart, threshold),
        n_searched=len(apart),
        n_missing=searched.n_missing,
        n_queries=len(queries),
        combine=combine,
        model_name=model_name,
        query_ids=frozenset(query_ids),
    )
    return similar if difference_field is None else _written(similar, difference_field)


def _written(similar: Similar, name: str) -> Similar:
    refused = write_differences(similar.target, name, similar.ids, similar.sample_ids, similar.differences)
    return replace(similar, difference_field=similar.target.path(name), refused=refused)


def embeddings_of(target: Target, embeddings_field: str, progress: ProgressCallback | None = None) -> Embeddings:
    """The embeddings of the dataset, from memory if possible; of a grouped dataset, those of the view."""
    check_field_name(embeddings_field)
    if target.dataset.media_type == GROUP:
        return load_embeddings(target.view, embeddings_field=embeddings_field, patches_field=target.patches_field)
    return VECTORS.load(target.whole(), embeddings_field, progress)


def _check(
    target: Target,
    combine: str,
    limit: int | None,
    threshold: float | None,
    max_pixels: int | None,
    difference_field: str | None,
) -> None:
    check_type("threshold", threshold, int | float | None, "a difference from 0 to 1, or None for that of the model")
    check_type("max_pixels", max_pixels, int | float | None, "a number of pixels, or None for no limit")
    if combine not in COMBINE:
        raise QueryError(f"unknown combine {combine!r}; available: {', '.join(COMBINE)}")
    check_type("limit", limit, int | None, "a whole number, or None for no limit")
    if limit is not None and limit < 1:
        raise QueryError(f"limit is {limit}; it must be at least 1, or None for no limit")
    if difference_field is not None and (problem := field_problem(target, difference_field)):
        raise QueryError(f"{difference_field!r} cannot hold the differences: {problem}")


def _vectors_of(
    stored: Embeddings, target: Target, embeddings_field: str, ids: Sequence[str], *, is_each_needed: bool = True
) -> Vectors:
    """The ``(m, dim)`` vectors of the items of these ids.

    Raises:
        QueryError: an item (without ``is_each_needed``: every item) has no embedding
    """
    places = dict(zip(stored.ids, itertools.count()))
    rows = [places[key] for key in ids if key in places]
    if len(rows) < len(ids) and (is_each_needed or not rows):
        absent = [key for key in ids if key not in places]
        named = ", ".join(absent[:NAMED_IDS])
        others = f" and {len(absent) - NAMED_IDS:,} more" if len(absent) > NAMED_IDS else ""
        what = "detections, by their own ids" if target.is_patches else "images"
        raise QueryError(
            f"no embedding in {target.path(embeddings_field)!r} of {named}{others}. Queries are {what}; compute "
            "embeddings first, or choose others"
        )
    return stored.vectors[rows]


def _ids_of(ids: Any) -> list[str]:
    """The ids from one or several ids or objects with an id."""
    if ids is None:
        return []
    if isinstance(ids, str) or not isinstance(ids, Iterable) or hasattr(ids, "id"):
        ids = [ids]
    return list(dict.fromkeys(str(getattr(item, "id", item)) for item in ids))


def _images_of(images: Any, max_pixels: int | None) -> list[Image.Image]:
    """The query images, read like those of the dataset."""
    if images is None:
        return []
    is_single = isinstance(images, str | Path | bytes | bytearray | memoryview | np.ndarray | Image.Image)
    if is_single or hasattr(images, "read"):
        images = [images]
    check_type("images", images, Iterable, "an image or several: paths, bytes, arrays or PIL images")
    return [load_image(image, max_pixels=max_pixels) for image in images]


def _members(target: Target, group_field: str, name: str) -> list[str]:
    """The ids of the members of a character group."""
    check_type("group", name, str, "the name of a character group")
    everywhere = target if target.dataset.media_type == GROUP else target.whole()
    store = LabelStore(everywhere, group_field)
    path = store.attribute_path("label")
    if target.dataset.get_field(path) is None:
        raise QueryError(f"there are no character groups in {store.path!r}: run group_characters first")
    label, status = (
        path.removeprefix(f"{target.labels_path}.") if target.is_patches else path
        for path in (path, store.attribute_path("status"))
    )
    texts = store.documents.distinct(path)
    is_member = F(label).is_in(spellings_of(name, texts))
    if target.dataset.get_field(store.attribute_path("status")) is not None:
        is_member &= F(status) != STATUS_IGNORED
    view = everywhere.view
    view = view.filter_labels(target.patches_field, is_member) if target.is_patches else view.match(is_member)
    ids: list[str] = view.values(target.path("id"), unwind=target.is_patches)
    if not ids:
        close = difflib.get_close_matches(name, [each for each in texts if isinstance(each, str)], n=3)
        hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
        raise QueryError(f"no character group {name!r} in {store.path!r}{hint}")
    return ids


def _check_model(encoder: Encoder, recorded: Provenance, path: str) -> None:
    now = replace(recorded, sha256=encoder.fingerprint, reading_policy=READING_POLICY)
    if contrast := now.contrast(recorded):
        raise QueryError(f"images cannot be compared with the embeddings in {path!r}: {contrast}")


def _within(target: Target, stored: Embeddings) -> Embeddings:
    """The embeddings of the searched items."""
    if target.is_whole or target.dataset.media_type == GROUP:
        return stored
    ids, _, _ = target.values()
    rows = dict(zip(stored.ids, itertools.count()))
    searched = stored.select([rows[key] for key in ids if key in rows])
    return replace(searched, n_missing=len(ids) - len(searched.ids))


def _n_within(apart: Vectors, threshold: float) -> int:
    return int((apart.astype(np.float64) <= threshold).sum())


def _nearest(apart: Vectors, limit: int | None, threshold: float | None) -> NDArray[np.intp]:
    """The indices of the smallest differences, in ascending order of these."""
    order = np.argsort(apart, kind="stable")
    if threshold is not None:
        order = order[: _n_within(apart, threshold)]
    return order[:limit]
