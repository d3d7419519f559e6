"""The similarity backends of FiftyOne: which exist, which can be used and what they need."""

import importlib
from dataclasses import dataclass, field

from ..core.errors import CCIPError

SKLEARN, LANCEDB = "sklearn", "lancedb"
METRIC = "euclidean"  # between unit vectors, it has the order of the differences


class SimilarityError(CCIPError, ValueError):
    """A similarity index cannot be created."""


class BackendError(SimilarityError):
    """A backend cannot be used or failed.

    Attributes:
        backend: its name
        problem: what is wrong
    """

    def __init__(self, backend: str, problem: str):
        super().__init__(f"the similarity backend {backend!r} {problem}")
        self.backend, self.problem = backend, problem


@dataclass(frozen=True)
class Backend:
    """A similarity backend of FiftyOne.

    Attributes:
        name: the ``backend`` of ``fob.compute_similarity``
        is_set_up: whether it needs no server, or FiftyOne's configuration names one
        problem: why it cannot be used, None when no reason is known
        is_exact: whether a query by an image from outside the dataset has the order of the differences, too
        place: where it stores the index, if its configuration says so
    """

    name: str
    is_set_up: bool
    problem: str | None = None
    is_exact: bool = True
    place: str | None = field(default=None, compare=False)


def backends() -> list[Backend]:
    """The similarity backends of FiftyOne: those that need no server first, then the others by name."""
    import fiftyone.brain as fob  # here and below: it imports scikit-learn

    names = sorted(fob.brain_config.similarity_backends, key=lambda name: (name != SKLEARN, name != LANCEDB, name))
    return [_backend(name) for name in names]


def check_backend(name: str) -> None:
    """Checks that a backend exists and can be used.

    Raises:
        SimilarityError: there is no backend of this name
        BackendError: it cannot be used
    """
    import fiftyone.brain as fob

    names = fob.brain_config.similarity_backends
    if not isinstance(name, str) or name not in names:
        raise SimilarityError(f"unknown backend {name!r}; available: {', '.join(sorted(names))}")
    problem = _backend(name).problem
    if problem is not None:
        raise BackendError(name, problem)


def incomplete(name: str, n_held: int, n_vectors: int) -> BackendError:
    """The error for a backend that holds fewer vectors than it was given."""
    hint = ""
    if name == LANCEDB:
        hint = (
            ": FiftyOne reads only the first ten tables of a LanceDB folder. Set another folder in the environment "
            "variable FIFTYONE_BRAIN_SIMILARITY_LANCEDB_URI of every process that uses this index, or delete an index"
        )
    return BackendError(name, f"holds {n_held:,} of {n_vectors:,} vectors{hint}")


def first_line(error: Exception) -> str:
    """The first line of the text of an error; its type if it has no text."""
    return (str(error) or type(error).__name__).strip().partition("\n")[0]


def _backend(name: str) -> Backend:
    import fiftyone.brain as fob

    parameters = {**fob.brain_config.similarity_backends[name]}
    module, _, class_name = parameters.pop("config_cls", "").rpartition(".")
    is_set_up = name in (SKLEARN, LANCEDB) or bool(parameters)
    is_exact = name != SKLEARN
    place = parameters.get("uri") or parameters.get("url")
    try:
        config = getattr(importlib.import_module(module), class_name)(metric=METRIC)
        config.build().ensure_requirements()
    except ImportError as error:
        return Backend(name, is_set_up, _missing_package(name, error), is_exact, place)
    except (TypeError, ValueError) as error:
        return Backend(name, is_set_up, f"does not support the metric {METRIC!r}: {error}", is_exact, place)
    return Backend(name, is_set_up, None, is_exact, place or getattr(config, "uri", None))


def _missing_package(name: str, error: ImportError) -> str:
    if name == LANCEDB:
        return "needs the package lancedb, which is not installed: pip install lancedb"
    return f"needs a package that is not installed: {first_line(error)}"
