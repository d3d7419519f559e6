"""Errors of the database and its connection, as errors of this package."""

import contextlib
from collections.abc import Iterator

import fiftyone as fo
from fiftyone.core.collections import SampleCollection
from mongoengine.connection import ConnectionFailure
from mongoengine.errors import OperationError
from pymongo.errors import AutoReconnect, PyMongoError

from ..core.errors import CCIPError
from .schema import DatasetGoneError

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


def name_of(samples: SampleCollection) -> str:
    """The name of the dataset of samples, also of one that was deleted."""
    return str(samples.name if isinstance(samples, fo.Dataset) else samples.dataset_name)
