"""Similarity indexes over CCIP embeddings, with the backends that FiftyOne has: they load in any process."""

from dataclasses import dataclass
from typing import Any

import fiftyone as fo
import fiftyone.brain as fob
from fiftyone.core.brain import BrainMethod

from .core.errors import CCIPError
from .core.progress import ProgressCallback, report
from .embeddings import count_missing
from .fields import EMBEDDINGS_FIELD, SIMILARITY_KEY
from .lease import lease
from .provenance import UnknownOriginError, read_provenance
from .runs import key_of
from .targets import Target, resolve

SKLEARN = "sklearn"
METRIC = "euclidean"  # of unit vectors: the order of the differences, exactly


class SimilarityError(CCIPError, ValueError):
    """An index that cannot be made."""


class BrainKeyError(CCIPError, ValueError):
    """A brain key that cannot be used."""


@dataclass(frozen=True)
class SimilarityReport:
    """What :func:`compute_similarity` did.

    Attributes:
        brain_key: the key of the index
        backend: the backend that holds it
        n_vectors: the images or detections that it holds
        n_missing: those that it lacks, as they have no embedding
        is_new: whether it was made now; otherwise it was there and was brought up to date
    """

    brain_key: str
    backend: str
    n_vectors: int
    n_missing: int
    is_new: bool


def compute_similarity(
    samples: Any,
    *,
    embeddings_field: str = EMBEDDINGS_FIELD,
    patches_field: str | None = None,
    brain_key: str | None = None,
    backend: str | None = None,
    progress: ProgressCallback | None = None,
) -> SimilarityReport:
    """Makes the similarity index of a dataset, or brings it up to date.

    ``dataset.sort_by_similarity(id, brain_key=...)`` and the App then sort by the CCIP difference to an image. Only
    queries by ids are exact: for a query by a vector the ``sklearn`` backend gives another order.

    The index always covers the whole dataset. It reads the embeddings from their field, so that it holds what the
    field holds: a dataset object that was loaded before sees new vectors after this call, another process after it
    loads the dataset anew.

    Args:
        samples: a dataset, or any view of it
        embeddings_field ("ccip_embedding"): the field (on detections: the attribute) with the embeddings
        patches_field (None): the field with the detections, None for whole samples
        brain_key (None): the key of the index, ``ccip_similarity`` for whole images in the default field; an index that
            is there under this key and is about something else is replaced
        backend (None): ``sklearn``, the default, is the only one so far
        progress (None): told that the work has begun

    Returns:
        a :class:`SimilarityReport`

    Raises:
        SimilarityError: no embeddings, or another backend
        BrainKeyError: the key is no identifier, or that of another kind of run
        UnknownOriginError: nothing is recorded about where the vectors come from
    """
    if backend not in (None, SKLEARN):
        raise SimilarityError(f"unknown backend {backend!r}; available: {SKLEARN}")
    target = resolve(samples, patches_field).whole()
    report(progress, "indexing embeddings", 0, None)
    coverage = count_missing(target.dataset, embeddings_field=embeddings_field, patches_field=target.patches_field)
    n_vectors = coverage.n_total - coverage.n_missing
    path = target.path(embeddings_field)
    if not n_vectors:
        raise SimilarityError(f"none of the {coverage.n_total:,} images has an embedding in {path!r}")
    if read_provenance(target.dataset, path) is None:
        raise UnknownOriginError(path, n_vectors)
    brain_key = brain_key or default_key(SIMILARITY_KEY, path)
    with lease(target.dataset, brain_key):
        is_new = _index(target, embeddings_field, brain_key)
    return SimilarityReport(brain_key, SKLEARN, n_vectors, coverage.n_missing, is_new)


def default_key(prefix: str, path: str) -> str:
    """The key of a brain run about the embeddings at a path: with the path in it, unless that is the usual one."""
    return prefix if path == EMBEDDINGS_FIELD else key_of(prefix, path)


def find_run(dataset: fo.Dataset, brain_key: str, kind: str) -> Any:
    """The configuration of a brain run as the database has it now, None when there is none.

    Args:
        dataset: the dataset
        brain_key: the key
        kind: what kind of run it has to be, such as ``similarity``

    Raises:
        BrainKeyError: the key is no identifier, or that of another kind of run
    """
    if not brain_key.isidentifier():
        raise BrainKeyError(f"{brain_key!r} cannot be a brain key: letters, digits and _ only")
    dataset._doc.reload("brain_methods")
    if brain_key not in dataset.list_brain_runs():
        return None
    config = dataset.get_brain_info(brain_key).config
    if config.type != kind:
        raise BrainKeyError(f"the brain key {brain_key!r} is that of a {config.type} run; choose another one")
    return config


def _index(target: Target, embeddings_field: str, brain_key: str) -> bool:
    """Brings the results in memory up to date, or makes the index; True when it was made."""
    dataset = target.dataset
    found = find_run(dataset, brain_key, "similarity")
    wanted = (SKLEARN, METRIC, embeddings_field, target.patches_field)
    if found is not None:
        known = (found.method, getattr(found, "metric", None), found.embeddings_field, found.patches_field)
        if known == wanted and dataset._doc.brain_methods[brain_key].results:
            if BrainMethod.has_cached_run_results(dataset, brain_key):
                dataset.load_brain_results(brain_key).reload()
            return False
        dataset.delete_brain_run(brain_key)
    fob.compute_similarity(
        dataset,
        embeddings=embeddings_field,
        patches_field=target.patches_field,
        brain_key=brain_key,
        backend=SKLEARN,
        metric=METRIC,
        progress=False,
    )
    return True
