"""Brain runs: FiftyOne's records of similarity indexes and visualizations."""

import hashlib
import logging
from typing import Any

import fiftyone as fo

from ..core.errors import CCIPError
from ..embeddings.load import Embeddings
from ..storage.fields import EMBEDDINGS_FIELD
from ..storage.internals import reload_brain_runs
from ..storage.runs import key_of
from .backends import first_line

logger = logging.getLogger(__name__)


ORIGIN = "ccip_origin"
"""The value in the configuration of a brain run that says from what this plugin made it."""


class BrainKeyError(CCIPError, ValueError):
    """The brain key is invalid or taken."""


def default_key(prefix: str, path: str) -> str:
    """The default key of a brain run on embeddings: the prefix and, for another than the default field, its path."""
    return prefix if path == EMBEDDINGS_FIELD else key_of(prefix, path)


def find_run(dataset: fo.Dataset, brain_key: str, kind: str) -> Any:
    """The stored configuration of a brain run, None when there is no such run.

    Args:
        dataset: the dataset
        brain_key: the key
        kind: the required kind of run, such as ``similarity``

    Raises:
        BrainKeyError: the key is no identifier, or the run is of another kind
    """
    if not isinstance(brain_key, str) or not brain_key.isidentifier():
        raise BrainKeyError(f"{brain_key!r} cannot be a brain key: use letters, digits and _ only")
    reload_brain_runs(dataset)
    if brain_key not in dataset.list_brain_runs():
        return None
    config = dataset.get_brain_info(brain_key).config
    if config.type != kind:
        raise BrainKeyError(f"the brain key {brain_key!r} is taken by a {config.type} run; choose another")
    return config


def digest(embeddings: Embeddings, *options: object) -> str:
    """A hash of everything a brain run is made from: the embeddings, the ids of their items, options of the run."""
    sha256 = hashlib.sha256(f"{options} {embeddings.vectors.shape} {' '.join(embeddings.ids)}".encode())
    sha256.update(embeddings.vectors.tobytes())
    return sha256.hexdigest()


def delete_brain_run(dataset: fo.Dataset, brain_key: str) -> None:
    """Deletes a brain run, if it is there, and in its backend our copy of the vectors, which FiftyOne would leave."""
    if brain_key not in dataset.list_brain_runs():
        return
    config = dataset.get_brain_info(brain_key).config
    if config.type == "similarity" and hasattr(config, ORIGIN):
        try:
            dataset.load_brain_results(brain_key, cache=False).cleanup()
        except Exception as error:  # each backend raises its own; none is a reason to keep the run
            logger.warning("the vectors of index %r remain in %s: %s", brain_key, config.method, first_line(error))
    dataset.delete_brain_run(brain_key)
