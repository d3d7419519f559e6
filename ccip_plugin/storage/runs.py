"""Custom runs: records kept with a dataset, which load in any process, with or without this plugin."""

import copy
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import fiftyone as fo

from ..core.errors import CCIPError
from .internals import delete_run, overwrite_run, refresh_run, run_document


class RunKind(StrEnum):
    """Kinds of runs that this plugin records: the ``method`` in the configuration of a run."""

    GROUPING = "ccip_groups"
    REGISTRY = "ccip_registry"
    PROPOSAL = "ccip_proposal"
    ANSWERS = "ccip_answers"
    CALIBRATION = "ccip_calibration"
    COMPARISON = "ccip_comparison"
    MODEL_EVALUATION = "ccip_model_evaluation"
    GROUP_EVALUATION = "ccip_group_evaluation"


_OF_ONE_RUN = ("at", "changes")  # what differs between two runs with the same result

_RESERVED = (RunKind.REGISTRY, RunKind.PROPOSAL, RunKind.ANSWERS)


class RunKeyError(CCIPError, ValueError):
    """A run cannot be recorded under this key."""


def check_key(dataset: fo.Dataset, key: str, method: str, **same: Any) -> None:
    """Checks a key chosen by a user, before any work is done.

    Args:
        dataset: the dataset
        key: the key of the run
        method: the kind of run
        same: values that an existing run of that key must have, such as its field

    Raises:
        RunKeyError: the key is invalid or reserved, or the run would overwrite another one
    """
    if not isinstance(key, str) or not key.isidentifier():
        raise RunKeyError(f"{key!r} cannot be a run key: use letters, digits and _ only, and no digit first")
    if key.startswith(_RESERVED):
        raise RunKeyError(f"the run key {key!r} is reserved for this plugin; choose another")
    recorded = read_config(dataset, key, ("method", *same))
    if recorded is None:
        return
    if recorded.get("method") != method:
        kind = recorded.get("method")
        raise RunKeyError(f"the run {key!r} is of another kind, {kind}, and would be overwritten; choose another key")
    for name, value in same.items():
        if recorded.get(name) != value:
            contrast = f"{name} {recorded.get(name)!r}, not {value!r}"
            raise RunKeyError(f"the run {key!r} is of {contrast}, and would be overwritten; choose another key")


def key_of(prefix: str, path: str) -> str:
    """A run key for a field, e.g. ``ccip_registry_character_group``."""
    return f"{prefix}_{re.sub(r'[^0-9A-Za-z_]', '_', path)}"


def proposal_key(path: str) -> str:
    """The run key of the proposal for a field."""
    return key_of(RunKind.PROPOSAL, path)


def read_config(dataset: fo.Dataset, key: str, names: Sequence[str] | None = None) -> dict[str, Any] | None:
    """Reads the stored configuration of a run; None when there is no such run.

    Args:
        dataset: the dataset
        key: the key of the run
        names (None): the values to read, all by default
    """
    paths = ["config"] if names is None else [f"config.{name}" for name in names]
    document = run_document(dataset, key, paths)
    return document.get("config", {}) if document else None


def register(dataset: fo.Dataset, key: str, method: str, **config: Any) -> None:
    """Records a run. It replaces an existing run of the same key, with its results, in one step.

    Args:
        dataset: the dataset
        key: the key of the run
        method: the kind of run
        config: plain values
    """
    refresh_run(dataset, key)
    run_config = dataset.init_run(method=str(method), **config)
    if dataset.has_run(key):
        overwrite_run(dataset, key, run_config)
    else:
        dataset.register_run(key, run_config)


def register_with_results(dataset: fo.Dataset, key: str, method: str, config: dict[str, Any], **results: Any) -> None:
    """Records a run like :func:`register`, with results: values that are too large for its configuration.

    Args:
        dataset: the dataset
        key: the key of the run
        method: the kind of run
        config: plain values
        results: plain values, attributes of ``dataset.load_run_results(key)``
    """
    register(dataset, key, method, **config)
    dataset.save_run_results(key, dataset.init_run_results(key, **results), cache=False)


def restore(dataset: fo.Dataset, key: str, config: dict[str, Any] | None) -> None:
    """Restores a configuration read by :func:`read_config`; None deletes the run."""
    if config is None:
        refresh_run(dataset, key)
        if dataset.has_run(key):
            delete_run(dataset, key)
        return
    values = copy.deepcopy(config)
    method = values.pop("method")
    register(dataset, key, method, **{name: value for name, value in values.items() if name not in ("cls", "type")})


def is_same_run(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> bool:
    """Whether a run has the result that the record of an earlier one has; also where there is neither."""
    if before is None or after is None:
        return before is after
    return all(before.get(name) == value for name, value in after.items() if name not in _OF_ONE_RUN)
