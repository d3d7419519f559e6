"""Errors of the database and its connection, as errors of this package."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

import fiftyone as fo
from fiftyone.core.collections import SampleCollection
from mongoengine.connection import ConnectionFailure
from mongoengine.errors import OperationError
from pymongo.errors import AutoReconnect, PyMongoError

from ..core.errors import CCIPError
from .internals import dataset_document, root_dataset
from .schema import DatasetGoneError
from .targets import Target

P = ParamSpec("P")
R = TypeVar("R")

_DETAILS = (" (configured timeouts", ", Timeout:", ", full error:")  # of pymongo, for its developers


class DatabaseError(CCIPError):
    """The database does not answer, or refuses.

    Attributes:
        problem: what it says
    """

    def __init__(self, problem: str):
        super().__init__(f"the database of FiftyOne: {problem}; FIFTYONE_DATABASE_URI, if set, is its address")
        self.problem = problem


def database_error(error: Exception) -> DatabaseError:
    """An error of the database as one sentence; a lost connection says what to do."""
    problem = str(error) or type(error).__name__
    for details in _DETAILS:
        problem = problem.partition(details)[0]
    if isinstance(error, AutoReconnect | ConnectionFailure):
        problem = f"it does not answer ({problem}). What was written is kept: start it and run this again"
    return DatabaseError(problem)


@contextlib.contextmanager
def database_errors(name: str | None = None) -> Iterator[None]:
    """Turns errors of the database into errors of this package, around what a person asked for.

    What fails when a dataset is deleted at that moment depends on the moment, and is often not the database: so any
    error counts as that where the dataset is gone.

    Args:
        name (None): the dataset that this is about

    Raises:
        DatabaseError: the database does not answer, or refuses
        DatasetGoneError: the dataset was deleted meanwhile
    """
    try:
        try:
            yield
        except (CCIPError, PyMongoError, ConnectionFailure, OperationError):
            raise
        except Exception as error:
            if name is None or fo.dataset_exists(name):
                raise
            raise DatasetGoneError(name) from error
    except (PyMongoError, ConnectionFailure, OperationError) as error:
        raise database_error(error) from error
    except ConnectionError as error:
        if type(error) is not ConnectionError:  # as FiftyOne raises it at its first connection
            raise
        raise database_error(error) from error


def with_database_errors(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator of public functions: turns errors of the database into errors of this package.

    A function whose dataset is deleted meanwhile may also end well, with results of a part, or miss something: that
    counts as deleted, too.

    Args:
        function: a function whose first argument, if any, is samples
    """

    @functools.wraps(function)
    def wrapper(*args: P.args, **keywords: P.kwargs) -> R:
        given = (*args[:2], *keywords.values())  # with the object of a method before it
        samples = next((each for each in given if isinstance(each, SampleCollection | Target)), None)
        with database_errors():
            if samples is None:
                return function(*args, **keywords)
            try:
                result = function(*args, **keywords)
            except (AutoReconnect, ConnectionFailure, DatabaseError, DatasetGoneError):
                raise
            except Exception as error:
                if _is_gone(samples):
                    raise DatasetGoneError(name_of(samples)) from error
                raise
            if _is_gone(samples):
                raise DatasetGoneError(name_of(samples))
            return result

    return wrapper


def _is_gone(samples: SampleCollection | Target) -> bool:
    if isinstance(samples, Target):
        samples = samples.dataset
    if isinstance(samples, fo.Dataset) and samples.deleted:  # then it answers nothing else
        return True
    dataset = root_dataset(samples)
    return bool(dataset.deleted) or dataset_document(dataset, "_id") is None


def name_of(samples: SampleCollection | Target) -> str:
    """The name of the dataset of samples, also of one that was deleted."""
    if isinstance(samples, Target):
        samples = samples.dataset
    return str(samples.name if isinstance(samples, fo.Dataset) else samples.dataset_name)
