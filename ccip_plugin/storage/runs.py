"""Runs recorded with the dataset: readable in any process, with or without this plugin."""

import copy
import re
from collections.abc import Sequence
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


_RESERVED = (RunKind.REGISTRY, RunKind.PROPOSAL, RunKind.ANSWERS)


class RunKeyError(CCIPError, ValueError):
    """A run cannot be recorded under a key."""


def check_key(dataset: fo.Dataset, key: str, method: str, **about: Any) -> None:
    """Checks a key that somebody chose, before any work is done.

    Args:
        dataset: the dataset
        key: the key of the run
        method: what kind of run it is
        about: values of an earlier run of that key that must be the same, such as the field that it is for

    Raises:
        RunKeyError: no run can have that key, or another run has it, which would be lost
    """
    if not key.isidentifier():
        raise RunKeyError(f"{key!r} cannot be the key of a run: letters, digits and _ only, and no digit first")
    if key.startswith(_RESERVED):
        raise RunKeyError(f"the run key {key!r} is for what this plugin keeps under it itself; choose another")
    found = read_config(dataset, key, ("method", *about))
    if found is None:
        return
    if found.get("method") != method:
        kind = found.get("method")
        raise RunKeyError(f"the run {key!r} is of another kind, {kind}, and would be lost; choose another key")
    for name, value in about.items():
        if found.get(name) != value:
            other = f"{name} {found.get(name)!r}, not {value!r}"
            raise RunKeyError(f"the run {key!r} is of {other}, and would be lost; choose another key")


def key_of(prefix: str, path: str) -> str:
    """A run key for a field, e.g. ``ccip_registry_character_group``."""
    return f"{prefix}_{re.sub(r'[^0-9A-Za-z_]', '_', path)}"


def proposal_key(path: str) -> str:
    """The run key of the proposal for a field."""
    return key_of(RunKind.PROPOSAL, path)


def read_config(dataset: fo.Dataset, key: str, names: Sequence[str] | None = None) -> dict[str, Any] | None:
    """Reads the configuration of a run from the database as it is now, None when there is no such run.

    Args:
        dataset: the dataset
        key: the key of the run
        names (None): the values that are wanted, all by default
    """
    paths = ["config"] if names is None else [f"config.{name}" for name in names]
    document = run_document(dataset, key, paths)
    return document.get("config", {}) if document else None


def register(dataset: fo.Dataset, key: str, method: str, **config: Any) -> None:
    """Records a run, in place of an earlier one of the same key, whose results go.

    An earlier one is changed in one step: at any moment, other processes find it or this one. (``register_run`` with
    ``overwrite`` deletes it first, so that they may find nothing, or a reference to nothing.)

    Args:
        dataset: the dataset
        key: the key of the run
        method: what kind of run it is
        config: plain values
    """
    refresh_run(dataset, key)
    run_config = dataset.init_run(method=str(method), **config)
    if dataset.has_run(key):
        overwrite_run(dataset, key, run_config)
    else:
        dataset.register_run(key, run_config)


def keep(dataset: fo.Dataset, key: str, method: str, config: dict[str, Any], **results: Any) -> None:
    """Records a run as :func:`register` does, with results that are too large for its configuration.

    Args:
        dataset: the dataset
        key: the key of the run
        method: what kind of run it is
        config: plain values
        results: plain values; ``dataset.load_run_results(key)`` has them as attributes
    """
    register(dataset, key, method, **config)
    dataset.save_run_results(key, dataset.init_run_results(key, **results), cache=False)


def restore(dataset: fo.Dataset, key: str, config: dict[str, Any] | None) -> None:
    """Brings back a configuration that :func:`read_config` gave; None deletes the run."""
    if config is None:
        refresh_run(dataset, key)
        if dataset.has_run(key):
            delete_run(dataset, key)
        return
    values = copy.deepcopy(config)
    method = values.pop("method")
    register(dataset, key, method, **{name: value for name, value in values.items() if name not in ("cls", "type")})
