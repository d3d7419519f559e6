"""Loads stored embeddings with the ids of their items."""

import io
import itertools
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import fiftyone.core.utils as fou
import numpy as np
from fiftyone.core.collections import SampleCollection
from numpy.typing import NDArray

from ..core.errors import CCIPError
from ..core.neighbors.vectors import UnitVectors
from ..core.registry import DEFAULT_MODEL, get_spec
from ..storage.connection import with_database_errors
from ..storage.fields import EMBEDDINGS_FIELD
from ..storage.targets import resolve
from .provenance import Provenance, UnknownOriginError
from .store import Coverage, EmbeddingStore, Key, Keys

UNIT_TOLERANCE = 1e-3


NAMED_IDS = 5


class BadVectorsError(CCIPError, ValueError):
    """A field has vectors that are not valid CCIP embeddings."""

    mentions = ("compute_embeddings", "overwrite")

    def __init__(self, path: str, problem: str, ids: Sequence[str]):
        named = ", ".join(ids[:NAMED_IDS])
        others = f" and {len(ids) - NAMED_IDS:,} more" if len(ids) > NAMED_IDS else ""
        super().__init__(
            f"{path!r} has {len(ids):,} vectors that {problem} (ids {named}{others}); "
            "compute_embeddings with overwrite=True recomputes them"
        )
        self.path, self.problem, self.ids = path, problem, tuple(ids)


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Embeddings with the ids of their items.

    Attributes:
        ids: the ``n`` ids of the samples or detections
        sample_ids: the ``n`` ids of their samples
        vectors: ``(n, dim)`` float32, unit length
        provenance: their provenance; None if there are no embeddings
        n_missing: number of requested items without embedding
    """

    ids: list[str]
    sample_ids: list[str]
    vectors: NDArray[np.float32]
    provenance: Provenance | None
    n_missing: int

    @cached_property
    def unit(self) -> UnitVectors:
        """The vectors as a source of unit vectors: normalized and hashed once. May take as much memory again."""
        return UnitVectors(self.vectors)

    def select(self, indices: Sequence[int]) -> "Embeddings":
        """Selects embeddings by index."""
        ids, sample_ids = ([names[i] for i in indices] for names in (self.ids, self.sample_ids))
        return replace(self, ids=ids, sample_ids=sample_ids, vectors=self.vectors[np.asarray(indices, dtype=np.intp)])

    def joined(self, other: "Embeddings") -> "Embeddings":
        """Concatenates these and ``other`` embeddings of the same field."""
        return Embeddings(
            self.ids + other.ids,
            self.sample_ids + other.sample_ids,
            np.concatenate([self.vectors, other.vectors]),
            self.provenance or other.provenance,
            self.n_missing + other.n_missing,
        )


@with_database_errors
def load_embeddings(
    samples: SampleCollection, *, embeddings_field: str = EMBEDDINGS_FIELD, patches_field: str | None = None
) -> Embeddings:
    """Reads the embeddings of images or detections.

    Args:
        samples: a dataset or view of images; a patches view stands for its detections
        embeddings_field ("ccip_embedding"): the field (on detections: the attribute) with the embeddings
        patches_field (None): the field with the detections, None for whole images

    Returns:
        the :class:`Embeddings`; items without embedding are counted

    Raises:
        TargetError: these samples, or this field, cannot have embeddings
        UnknownOriginError: the provenance of the vectors is not recorded
        BadVectorsError: vectors have a wrong dimension, are not finite, or not of unit length; lists the ids
    """
    store = embedding_store(samples, embeddings_field, patches_field)
    coverage, provenance = store.coverage(), store.provenance
    n = coverage.n_total - coverage.n_missing
    if n and provenance is None:
        raise UnknownOriginError(store.path, n)
    dim = get_spec(provenance.model_name if provenance else DEFAULT_MODEL).dim
    vectors = np.empty((n, dim), np.float32)
    keys = Keys()
    for key, vector in checked_vectors(store.path, itertools.islice(store.vectors(), n), dim):
        vectors[len(keys)] = vector
        keys.append(key)
    ids = [key.item_id for key in keys]
    sample_ids = [str(key.sample_id) for key in keys] if store.target.is_patches else ids
    return Embeddings(ids, sample_ids, vectors[: len(ids)], provenance, coverage.n_total - len(ids))


def are_embedded(
    samples: SampleCollection,
    vectors: Mapping[str, NDArray[np.float32]],
    model_name: str,
    *,
    embeddings_field: str,
    patches_field: str | None,
) -> bool:
    """Whether these are the embeddings of images or detections, all of them. Reads them.

    Args:
        samples: a view of images
        vectors: a vector by the id of its item
        model_name: their model
        embeddings_field: the field (on detections: the attribute) with the embeddings
        patches_field: the field with the detections, None for whole images
    """
    found = load_embeddings(samples, embeddings_field=embeddings_field, patches_field=patches_field)
    if found.provenance is None or found.provenance.model_name != model_name or set(found.ids) != vectors.keys():
        return False
    return all(np.array_equal(vectors[key], vector) for key, vector in zip(found.ids, found.vectors, strict=True))


@with_database_errors
def count_missing(
    samples: SampleCollection, *, embeddings_field: str = EMBEDDINGS_FIELD, patches_field: str | None = None
) -> Coverage:
    """Counts images or detections without embedding, fast enough for a form.

    Args:
        samples: a dataset or view of images; a patches view stands for its detections
        embeddings_field ("ccip_embedding"): the field (on detections: the attribute) with the embeddings
        patches_field (None): the field with the detections, None for whole images

    Returns:
        a :class:`Coverage` with ``n_total``, ``n_missing`` and ``n_failed``
    """
    return embedding_store(samples, embeddings_field, patches_field).coverage()


def embedding_store(samples: SampleCollection, embeddings_field: str, patches_field: str | None) -> EmbeddingStore:
    return EmbeddingStore(resolve(samples, patches_field), embeddings_field)


def checked_vectors(
    path: str, rows: Iterable[tuple[Key, Any]], dim: int, *, unit: bool = True
) -> Iterator[tuple[Key, NDArray[Any]]]:
    """Yields the decoded vectors; raises BadVectorsError at the end if some are not valid embeddings."""
    bad: dict[str, list[str]] = {}
    for key, stored in rows:
        vector = _decode(stored)
        problem = _problem(vector, dim, unit)
        if vector is None or problem is not None:
            bad.setdefault(problem or "", []).append(key.item_id)
        else:
            yield key, vector
    for problem, ids in bad.items():
        raise BadVectorsError(path, problem, ids)


def _problem(vector: NDArray[Any] | None, dim: int, unit: bool) -> str | None:
    if vector is None:
        return "are not arrays"
    if vector.shape != (dim,):
        return f"do not have {dim} numbers"
    if not np.isfinite(vector).all():
        return "have NaN or infinite values"
    if not vector.any():
        return "are zero"
    return "do not have unit length" if unit and not is_unit(vector) else None


def is_unit(vector: NDArray[Any]) -> bool:
    return abs(float(np.dot(vector, vector)) - 1.0) <= 2 * UNIT_TOLERANCE


def _decode(stored: Any) -> NDArray[Any] | None:
    """Decodes an array stored by FiftyOne; float32 vectors of the usual size without the slow reader of numpy."""
    if not isinstance(stored, bytes):
        return None
    try:
        raw = zlib.decompress(stored)
        if raw.startswith(_HEADER):
            return np.frombuffer(raw, np.float32, offset=len(_HEADER))
        array: NDArray[Any] = np.load(io.BytesIO(raw))
        return array
    except (zlib.error, ValueError, EOFError):
        return None


def _header() -> bytes:
    """The first bytes of a serialized vector of the usual size."""
    vector = np.zeros(get_spec(DEFAULT_MODEL).dim, np.float32)
    return zlib.decompress(fou.serialize_numpy_array(vector))[: -vector.nbytes]


_HEADER = _header()
