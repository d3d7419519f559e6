"""Similarity indexes over CCIP embeddings, with the backends that FiftyOne has: they load in any process."""

import hashlib
import importlib
import logging
from dataclasses import dataclass, field
from typing import Any

import fiftyone as fo
from fiftyone.core.brain import BrainMethod

from ..core.errors import CCIPError
from ..core.progress import ProgressCallback, report
from ..embeddings.load import Embeddings, count_missing, load_embeddings
from ..embeddings.provenance import Provenance, UnknownOriginError, read_provenance
from ..reports.facts import Facts
from ..storage.fields import EMBEDDINGS_FIELD, SIMILARITY_KEY
from ..storage.internals import forget_brain_results, has_brain_results, reload_brain_runs
from ..storage.lease import lease
from ..storage.runs import key_of
from ..storage.targets import Target, resolve

logger = logging.getLogger(__name__)

SKLEARN, LANCEDB = "sklearn", "lancedb"
METRIC = "euclidean"  # of unit vectors: the order of the differences, exactly


class SimilarityError(CCIPError, ValueError):
    """An index that cannot be made."""


class BackendError(SimilarityError):
    """A backend that is not there, or does not work.

    Attributes:
        backend: its name
        problem: what is the matter
    """

    def __init__(self, backend: str, problem: str):
        super().__init__(f"the similarity backend {backend!r} {problem}")
        self.backend, self.problem = backend, problem


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


@dataclass(frozen=True)
class Backend:
    """A similarity backend that FiftyOne knows.

    Attributes:
        name: as ``fob.compute_similarity`` takes it
        is_set_up: whether it can be expected to work: it needs no server, or one was named in FiftyOne's configuration
        problem: why it cannot be used, None when nothing is known to be missing
        is_exact: whether a query by an image that is not in the dataset gives the order of the differences, too
        place: where it keeps the index, as far as it says
    """

    name: str
    is_set_up: bool
    problem: str | None = None
    is_exact: bool = True
    place: str | None = field(default=None, compare=False)


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

    ``dataset.sort_by_similarity(id, brain_key=...)`` and the App then sort by the CCIP difference to an image. The
    index always covers the whole dataset; of a grouped one give a view of a slice, and sort views of that slice. The
    model of the embeddings is recorded with it: where it is in the model zoo
    (:func:`~ccip_plugin.zoo.registration.register_model`), the App can search with an uploaded image.

    - ``sklearn`` reads the embeddings from their field. Only queries by ids are exact: for a query by a vector, such as
      an uploaded image, it gives another order. A dataset object that was loaded before sees new vectors after this
      call; another process, after it loads the dataset anew
    - ``lancedb`` (the package of that name) keeps a copy of the vectors in a folder, and is exact for both
    - the other backends of FiftyOne keep a copy of the vectors with a server, which FiftyOne's configuration names;
      how exact they are depends on them

    A copy is replaced when the embeddings have changed, and left alone otherwise.

    Args:
        samples: a dataset, or any view of it
        embeddings_field ("ccip_embedding"): the field (on detections: the attribute) with the embeddings
        patches_field (None): the field with the detections, None for whole samples
        brain_key (None): the key of the index, ``ccip_similarity`` for whole images in the default field; an index that
            is there under this key and is about something else is replaced
        backend (None): one of those of ``fob.brain_config.similarity_backends``; the one of the index that is there by
            default, and else ``sklearn``
        progress (None): told where the work is

    Returns:
        a :class:`SimilarityReport`

    Raises:
        SimilarityError: no embeddings, or the backend is not there or does not work
        BrainKeyError: the key is no identifier, or that of another kind of run
        UnknownOriginError: nothing is recorded about where the vectors come from
    """
    if backend is not None:
        _check_backend(backend)
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
    brain_key = brain_key or default_key(SIMILARITY_KEY, path)
    with lease(target.dataset, brain_key):
        index = _Index(target, embeddings_field, brain_key, backend, provenance)
        is_new = index.update(progress)
    return SimilarityReport(brain_key, index.backend, n_vectors, coverage.n_missing, is_new)


def backends() -> list[Backend]:
    """The similarity backends that FiftyOne knows: those that need no server first, then the others by name."""
    import fiftyone.brain as fob  # here and below: it loads scikit-learn

    names = sorted(fob.brain_config.similarity_backends, key=lambda name: (name != SKLEARN, name != LANCEDB, name))
    return [_backend(name) for name in names]


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
    reload_brain_runs(dataset)
    if brain_key not in dataset.list_brain_runs():
        return None
    config = dataset.get_brain_info(brain_key).config
    if config.type != kind:
        raise BrainKeyError(f"the brain key {brain_key!r} is that of a {config.type} run; choose another one")
    return config


def digest(embeddings: Embeddings, *options: object) -> str:
    """What a brain run depends on, as a short string: the embeddings, whose they are, and options of the run."""
    found = hashlib.sha256(f"{options} {embeddings.vectors.shape} {' '.join(embeddings.ids)}".encode())
    found.update(embeddings.vectors.tobytes())
    return found.hexdigest()


class _Index:
    """The index under a key.

    Args:
        target: the items, all of the dataset or of a slice of it
        embeddings_field: the field with their embeddings
        brain_key: the key
        backend: the one that is wanted, None for the one that is there
        provenance: of the embeddings
    """

    def __init__(
        self, target: Target, embeddings_field: str, brain_key: str, backend: str | None, provenance: Provenance
    ):
        self._target, self._field, self._key, self._provenance = target, embeddings_field, brain_key, provenance
        self._found = find_run(target.dataset, brain_key, "similarity")
        self.backend: str = backend or (SKLEARN if self._found is None else self._found.method)
        _check_backend(self.backend)

    def update(self, progress: ProgressCallback | None) -> bool:
        """Brings the index up to date, or makes it; True when it was made."""
        is_there = self._is_there()
        if self.backend != SKLEARN:
            return self._copy(is_there, progress)
        if is_there:
            self._refresh()
            return False
        self._delete()
        self._record(self._make(embeddings=self._field))
        return True

    def _is_there(self) -> bool:
        """Whether there is an index under the key that is about what is wanted, whole or not."""
        found = self._found
        if found is None:
            return False
        wanted = (self.backend, METRIC, self._field, self._target.patches_field)
        known = (found.method, getattr(found, "metric", None), found.embeddings_field, found.patches_field)
        return known == wanted and has_brain_results(self._target.dataset, self._key)

    def _refresh(self) -> None:
        """Lets an index that reads the field see what is there now."""
        dataset = self._target.dataset
        if BrainMethod.has_cached_run_results(dataset, self._key):
            dataset.load_brain_results(self._key).reload()
        if self._found.model != self._provenance.model_name:
            self._record(dataset.load_brain_results(self._key))

    def _copy(self, is_there: bool, progress: ProgressCallback | None) -> bool:
        """Brings an index that has a copy of the vectors up to date, or makes it; True when it was made."""
        report(progress, "reading embeddings", 0, None)
        patches_field = self._target.patches_field
        found = load_embeddings(self._target.view, embeddings_field=self._field, patches_field=patches_field)
        origin, n = digest(found, self.backend), len(found.ids)
        if is_there and getattr(self._found, "ccip_origin", None) == origin and self._n_held() == n:
            forget_brain_results(self._target.dataset, self._key)  # it may know the copy of before
            return False
        report(progress, f"copying {n:,} embeddings to {self.backend}", 0, None)
        self._delete()
        try:
            results = self._make(embeddings=False, embeddings_field=self._field)
            self._record(results, ccip_origin="")
            results.add_to_index(found.vectors, found.sample_ids, label_ids=found.ids if patches_field else None)
        except Exception as error:  # each backend has its own
            self._delete()
            raise BackendError(self.backend, f"does not work: {_words(error)}") from error
        self._record(results, ccip_origin=origin)
        if (n_held := self._n_held()) != n:
            raise BackendError(self.backend, f"holds {n_held:,} of {n:,} vectors{_hint(self.backend)}")
        return not is_there

    def _make(self, **options: Any) -> Any:
        import fiftyone.brain as fob

        return fob.compute_similarity(
            self._target.view,
            patches_field=self._target.patches_field,
            brain_key=self._key,
            backend=self.backend,
            metric=METRIC,
            progress=False,
            **options,
        )

    def _record(self, results: Any, **values: Any) -> None:
        """Records with the index which model its vectors are from, and other values."""
        results.config.model = self._provenance.model_name
        for name, value in values.items():
            setattr(results.config, name, value)
        results.save_config()

    def _n_held(self) -> int:
        """How many vectors the backend has, as a process finds them that has not made the index."""
        try:
            return self._target.dataset.load_brain_results(self._key, cache=False).total_index_size
        except Exception as error:
            raise BackendError(self.backend, f"does not work: {_words(error)}") from error

    def _delete(self) -> None:
        """Deletes the run, and the copy of the vectors where we made it: FiftyOne leaves that behind."""
        dataset = self._target.dataset
        if self._key not in dataset.list_brain_runs():
            return
        if hasattr(dataset.get_brain_info(self._key).config, "ccip_origin"):
            try:
                dataset.load_brain_results(self._key, cache=False).cleanup()
            except Exception as error:  # each backend has its own, and none is a reason to keep the run
                logger.warning("the copy of the vectors under the key %r stays: %s", self._key, _words(error))
        dataset.delete_brain_run(self._key)


def _backend(name: str) -> Backend:
    import fiftyone.brain as fob

    parameters = {**fob.brain_config.similarity_backends[name]}
    module, _, class_name = parameters.pop("config_cls", "").rpartition(".")
    is_set_up = name in (SKLEARN, LANCEDB) or bool(parameters)
    place = parameters.get("uri") or parameters.get("url")
    try:
        config = getattr(importlib.import_module(module), class_name)(metric=METRIC)
        config.build().ensure_requirements()
    except ImportError as error:
        return Backend(name, is_set_up, _package_hint(name, error), name != SKLEARN, place)
    except (TypeError, ValueError) as error:
        return Backend(name, is_set_up, f"does not take the metric {METRIC!r}: {error}", name != SKLEARN, place)
    return Backend(name, is_set_up, None, name != SKLEARN, place or getattr(config, "uri", None))


def _check_backend(name: str) -> None:
    """Raises a :class:`BackendError` where a backend cannot be used."""
    import fiftyone.brain as fob

    known = fob.brain_config.similarity_backends
    if name not in known:
        raise SimilarityError(f"unknown backend {name!r}; available: {', '.join(sorted(known))}")
    problem = _backend(name).problem
    if problem is not None:
        raise BackendError(name, problem)


def _package_hint(name: str, error: ImportError) -> str:
    if name == LANCEDB:
        return "needs the package lancedb, which is not installed: pip install lancedb"
    return f"needs a package that is not installed: {_words(error)}"


def _hint(backend: str) -> str:
    if backend != LANCEDB:
        return ""
    return (
        ": FiftyOne sees only the first ten tables of a folder of LanceDB. Give this one a folder of its own, in the "
        "environment variable FIFTYONE_BRAIN_SIMILARITY_LANCEDB_URI of every process that uses it, or delete an index"
    )


def _words(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().partition("\n")[0]
