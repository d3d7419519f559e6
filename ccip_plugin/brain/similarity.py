"""Similarity indexes over CCIP embeddings, in the backends of FiftyOne, so that any process can load them."""

from dataclasses import dataclass
from typing import Any

from fiftyone.core.brain import BrainMethod
from fiftyone.core.collections import SampleCollection

from ..core.progress import ProgressCallback, report
from ..embeddings.load import count_missing, load_embeddings
from ..embeddings.provenance import UnknownOriginError, read_provenance
from ..reports.facts import Facts
from ..storage.connection import with_database_errors
from ..storage.fields import EMBEDDINGS_FIELD, SIMILARITY_KEY
from ..storage.internals import forget_brain_results, has_brain_results
from ..storage.lease import lease
from ..storage.targets import Target, resolve
from .backends import METRIC, SKLEARN, BackendError, SimilarityError, check_backend, first_line, incomplete
from .runs import default_key, delete_brain_run, digest, find_run


@dataclass(frozen=True)
class SimilarityReport:
    """The result of :func:`compute_similarity`.

    Attributes:
        brain_key: the key of the index
        backend: the backend of the index
        n_vectors: the number of images or detections in the index
        n_missing: the number of those without embedding, which are not in the index
        is_new: whether the index was created; False when an existing one was updated
    """

    brain_key: str
    backend: str
    n_vectors: int
    n_missing: int
    is_new: bool

    def facts(self) -> Facts:
        """The report as text."""
        state = "created" if self.is_new else "updated"
        return Facts.of(
            f"similarity index {self.brain_key!r} {state}, {self.n_vectors:,} embeddings",
            [
                ("Index", f"{self.brain_key} ({state})"),
                ("Embeddings in the index", self.n_vectors),
                ("Without embedding, not in the index", self.n_missing or None),
                ("Backend", self.backend),
            ],
        )

    def __str__(self) -> str:
        return str(self.facts())


@with_database_errors
def compute_similarity(
    samples: SampleCollection,
    *,
    embeddings_field: str = EMBEDDINGS_FIELD,
    patches_field: str | None = None,
    brain_key: str | None = None,
    backend: str | None = None,
    progress: ProgressCallback | None = None,
) -> SimilarityReport:
    """Creates or updates the similarity index of a dataset.

    ``dataset.sort_by_similarity(id, brain_key=...)`` and the App then sort by the CCIP difference to an image. The
    index covers the whole dataset; of a grouped dataset, pass a view of one slice, and sort views of that slice. The
    index records the model of the embeddings: if that is in the model zoo
    (:func:`~ccip_plugin.zoo.registration.register_model`), the App can search with an uploaded image.

    - ``sklearn`` reads the embeddings from their field. Queries by id are exact; queries by a vector, such as an
      uploaded image, have another order. This dataset object sees new vectors after the call, other processes after
      they reload the dataset
    - ``lancedb`` (the package of that name) keeps a copy of the vectors in a folder; both kinds of query are exact
    - the other backends of FiftyOne keep a copy of the vectors on a server, set in FiftyOne's configuration; whether
      they are exact depends on the backend

    A copy is replaced when the embeddings have changed, else left unchanged.

    Args:
        samples: a dataset, or any view of it
        embeddings_field ("ccip_embedding"): the field (on detections: the attribute) with the embeddings
        patches_field (None): the field with the detections, None for whole samples
        brain_key (None): the key of the index, ``ccip_similarity`` for whole images in the default field; an existing
            index of this key on other embeddings is replaced
        backend (None): a name in ``fob.brain_config.similarity_backends``; by default the backend of the existing
            index, else ``sklearn``
        progress (None): receives progress

    Returns:
        a :class:`SimilarityReport`

    Raises:
        SimilarityError: there are no embeddings, or the backend is unknown or cannot be used
        BrainKeyError: the key is no identifier, or taken by another kind of run
        UnknownOriginError: the vectors have no recorded provenance
    """
    if backend is not None:
        check_backend(backend)
    target = resolve(samples, patches_field).whole()
    report(progress, "indexing embeddings", 0, None)
    coverage = count_missing(target.view, embeddings_field=embeddings_field, patches_field=target.patches_field)
    n_vectors = coverage.n_total - coverage.n_missing
    path = target.path(embeddings_field)
    if not n_vectors:
        raise SimilarityError(f"none of the {coverage.n_total:,} images has an embedding in {path!r}")
    provenance = read_provenance(target.dataset, path)
    if provenance is None:
        raise UnknownOriginError(path, n_vectors)
    brain_key = brain_key or similarity_key(path)
    with lease(target.dataset, brain_key):
        existing = find_run(target.dataset, brain_key, "similarity")
        backend = backend or (SKLEARN if existing is None else str(existing.method))
        check_backend(backend)
        index = _Index(target, embeddings_field, brain_key, backend, provenance.model_name)
        existing = existing if index.is_described_by(existing) else None
        if backend == SKLEARN:
            index.index_field(existing)
        else:
            index.copy_vectors(existing, progress)
    return SimilarityReport(brain_key, backend, n_vectors, coverage.n_missing, existing is None)


def similarity_key(path: str) -> str:
    """The default key of the similarity index of the embeddings at a path."""
    return default_key(SIMILARITY_KEY, path)


@dataclass(frozen=True)
class _Index:
    """A similarity index of FiftyOne, as it should be.

    Attributes:
        target: the items, all of the dataset or of slices of it
        embeddings_field: the field with their embeddings
        key: the brain key
        backend: the backend
        model_name: the model of the embeddings
    """

    target: Target
    embeddings_field: str
    key: str
    backend: str
    model_name: str

    def is_described_by(self, config: Any) -> bool:
        """Whether a stored configuration is of this index, and the index has results."""
        if config is None:
            return False
        wanted = (self.backend, METRIC, self.embeddings_field, self.target.patches_field)
        stored = (config.method, getattr(config, "metric", None), config.embeddings_field, config.patches_field)
        return stored == wanted and has_brain_results(self.target.dataset, self.key)

    def index_field(self, existing: Any) -> None:
        """Creates an index that reads the field, or reloads the existing one."""
        dataset = self.target.dataset
        if existing is None:
            self._delete()
            self._record(self._create(embeddings=self.embeddings_field))
            return
        if BrainMethod.has_cached_run_results(dataset, self.key):
            dataset.load_brain_results(self.key).reload()
        if existing.model != self.model_name:
            self._record(dataset.load_brain_results(self.key))

    def copy_vectors(self, existing: Any, progress: ProgressCallback | None) -> None:
        """Creates an index with a copy of the vectors, unless the existing one has the same vectors."""
        report(progress, "reading embeddings", 0, None)
        patches_field = self.target.patches_field
        embeddings = load_embeddings(
            self.target.view, embeddings_field=self.embeddings_field, patches_field=patches_field
        )
        origin, n_vectors = digest(embeddings, self.backend), len(embeddings.ids)
        if getattr(existing, "ccip_origin", None) == origin and self._n_held() == n_vectors:
            forget_brain_results(self.target.dataset, self.key)  # an earlier copy may be in memory
            return
        report(progress, f"copying {n_vectors:,} embeddings to {self.backend}", 0, None)
        self._delete()
        label_ids = embeddings.ids if patches_field else None
        try:
            results = self._create(embeddings=False, embeddings_field=self.embeddings_field)
            self._record(results, ccip_origin="")
            results.add_to_index(embeddings.vectors, embeddings.sample_ids, label_ids=label_ids)
        except Exception as error:  # each backend raises its own
            self._delete()
            raise BackendError(self.backend, f"failed: {first_line(error)}") from error
        self._record(results, ccip_origin=origin)
        if (n_held := self._n_held()) != n_vectors:
            raise incomplete(self.backend, n_held, n_vectors)

    def _create(self, **options: Any) -> Any:
        import fiftyone.brain as fob  # it imports scikit-learn

        return fob.compute_similarity(
            self.target.view,
            patches_field=self.target.patches_field,
            brain_key=self.key,
            backend=self.backend,
            metric=METRIC,
            progress=False,
            **options,
        )

    def _record(self, results: Any, **values: Any) -> None:
        """Records the model of the vectors, and other values, in the configuration of the index."""
        results.config.model = self.model_name
        for name, value in values.items():
            setattr(results.config, name, value)
        results.save_config()

    def _n_held(self) -> int:
        """The number of vectors in the backend, as other processes see it."""
        try:
            return int(self.target.dataset.load_brain_results(self.key, cache=False).total_index_size)
        except Exception as error:  # each backend raises its own
            raise BackendError(self.backend, f"failed: {first_line(error)}") from error

    def _delete(self) -> None:
        delete_brain_run(self.target.dataset, self.key)
