"""The commands: each runs the functions of the package with the options of its parser."""

import argparse
import contextlib
import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..core.progress import Cancelled

if TYPE_CHECKING:
    from .summary import Summary
from .options import given
from .work import DONE, NOT_DONE, PARTLY_DONE, Work, start_fiftyone

logger = logging.getLogger(__name__)


def group(work: Work) -> int:
    """Loads files into a dataset and does the whole job on it.

    Args:
        work: a command with the options of :func:`~ccip_plugin.cli.parsers.group_parser`

    Returns:
        the exit status
    """
    from ..core.registry import get_spec

    options = work.options
    if options.model_name is not None:
        get_spec(options.model_name)  # the name is looked up before anything else is done
    started = time.monotonic()
    start_fiftyone(work)
    from .summary import Summary, app_command, counted, render

    summary = Summary(options.dataset, options.patches_field, options.embeddings_field)
    summary.seconds["start"] = time.monotonic() - started
    work.before_stop = lambda: work.print(render(counted(summary)))
    _check_fields(options)
    dataset = _load(work, summary)
    _check_group_field(dataset, options)
    work.before_failure = lambda: work.print(render(summary))
    run_stages(work, dataset, summary)
    work.print(f"{render(summary)}\n\nlook at the groups:  {app_command(options.dataset)}")
    return PARTLY_DONE if summary.problems else DONE


def _check_fields(options: argparse.Namespace) -> None:
    """Refuses what cannot be the name of a field before hours of work."""
    from ..storage.targets import check_field_name

    for name in (options.embeddings_field, options.group_field):
        if name is not None:
            check_field_name(name)


def _check_group_field(dataset: Any, options: argparse.Namespace) -> None:
    from ..labels.store import LabelStore
    from ..storage.fields import GROUP_FIELD
    from ..storage.targets import resolve

    LabelStore(resolve(dataset, options.patches_field), options.group_field or GROUP_FIELD).check()


def run_stages(work: Work, samples: Any, summary: "Summary") -> None:
    """Embeds, groups, indexes and maps a dataset or a view.

    Args:
        work: a command with the options of :func:`~ccip_plugin.cli.parsers.group_parser`
        samples: a dataset or a view
        summary: told what was done, stage by stage
    """
    for stage in (_embed, _group_images, _index, _map):
        stage(work, samples, summary)


def _load(work: Work, summary: "Summary") -> Any:
    from ..io.images import add_images, open_dataset

    options = work.options
    with _timed(summary, "load"):
        if options.images:
            recursive = not options.no_recursive
            summary.ingest = add_images(options.dataset, *options.images, recursive=recursive, progress=work.progress)
        dataset = open_dataset(options.dataset, create=False)
        if not dataset.persistent:
            dataset.persistent = True
    return dataset


def _embed(work: Work, dataset: Any, summary: "Summary") -> None:
    from ..embeddings.compute import compute_embeddings
    from ..embeddings.options import EmbeddingOptions
    from .summary import name_failures

    patches_field = work.options.patches_field
    with _timed(summary, "embed"):
        summary.embeddings = compute_embeddings(
            dataset, patches_field=patches_field, progress=work.progress, **given(work.options, EmbeddingOptions)
        )
        summary.failures = name_failures(dataset, summary.embeddings, patches_field)


def _group_images(work: Work, dataset: Any, summary: "Summary") -> None:
    from ..grouping.options import GroupingOptions
    from ..grouping.run import group_characters, propose_groups

    with _timed(summary, "group"):
        options = {"patches_field": work.options.patches_field, **given(work.options, GroupingOptions)}
        if work.options.propose:
            summary.grouping = propose_groups(dataset, progress=work.progress, **options).report
        else:
            summary.grouping = group_characters(dataset, progress=work.progress, **options)


def _index(work: Work, dataset: Any, summary: "Summary") -> None:
    from ..brain.similarity import compute_similarity

    if not work.options.no_similarity:
        with _timed(summary, "similarity"), _noted(summary, "similarity"):
            summary.similarity = compute_similarity(dataset, progress=work.progress, **_where(work))


def _map(work: Work, dataset: Any, summary: "Summary") -> None:
    from ..brain.visualization import compute_visualization

    if not work.options.no_visualization:
        with _timed(summary, "visualization"), _noted(summary, "visualization"):
            summary.visualization = compute_visualization(dataset, progress=work.progress, **_where(work))


def _where(work: Work) -> dict[str, Any]:
    return {"patches_field": work.options.patches_field, **_given(work, "embeddings_field")}


def _given(work: Work, *names: str) -> dict[str, Any]:
    """The options that were given, by name; the functions know the defaults of the others."""
    values = {name: getattr(work.options, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


@contextlib.contextmanager
def _timed(summary: "Summary", stage: str) -> Iterator[None]:
    started = time.monotonic()
    try:
        yield
    finally:
        summary.seconds[stage] = time.monotonic() - started


@contextlib.contextmanager
def _noted(summary: "Summary", stage: str) -> Iterator[None]:
    """Lets the command go on when something fails that the groups do not need; the table and the exit status say it."""
    try:
        yield
    except Cancelled:
        raise
    except Exception as error:
        logger.debug("%s failed:", stage, exc_info=True)
        summary.problems[stage] = str(error) or type(error).__name__


def apply(work: Work) -> int:
    start_fiftyone(work)
    from ..grouping.proposals import apply_proposal
    from ..io.images import open_dataset

    options = work.options
    dataset = open_dataset(options.dataset, create=False)
    where = {"patches_field": options.patches_field, **_given(work, "group_field")}
    work.print(str(apply_proposal(dataset, progress=work.progress, **where)))
    return DONE


def turn(work: Work, name: str) -> int:
    start_fiftyone(work)
    from ..io.images import open_dataset
    from ..labels import history

    options = work.options
    turn = getattr(history, name)
    dataset = open_dataset(options.dataset, create=False)
    where = {"patches_field": options.patches_field, **_given(work, "group_field")}
    done = turn(dataset, progress=work.progress, **where)
    work.print(str(done))
    return DONE


def models(work: Work) -> int:
    from ..zoo import table

    options = work.options
    if options.what is None:
        work.print(table.render(table.rows(options.model_dir)))
        if source := table.source(options.model_dir):
            work.print(f"\n{source}")
        return DONE
    return {"check": _check_model, "download": _download_model}[options.what](work)


def _check_model(work: Work) -> int:
    from ..core.encoder import verification
    from ..zoo import table

    options = work.options
    images = options.images[0] if options.images and len(options.images) == 1 else options.images
    results = verification.check_model(options.name, model_dir=options.model_dir, images=images, progress=work.progress)
    work.print(table.render_checks(results))
    return DONE if verification.is_ok(results) else NOT_DONE


def _download_model(work: Work) -> int:
    from ..core import hub

    files = hub.find_files(work.options.name, model_dir=work.options.model_dir, progress=work.progress)
    work.print(f"{work.options.name} is in {files.feat.parent} (sha256 of {files.feat.name}: {files.fingerprint})")
    return DONE


def load_character_similarity(work: Work) -> int:
    start_fiftyone(work)
    from ..io.character_similarity import TRUTH_FIELD, load_character_similarity

    options = work.options
    where = _given(work, "folder", "revision")
    dataset = load_character_similarity(options.what, name=options.dataset, progress=work.progress, **where)
    n_characters = len(dataset.distinct(f"{TRUTH_FIELD}.label"))
    work.print(f"{len(dataset):,} images of {n_characters:,} characters in {dataset.name!r}, field {TRUTH_FIELD!r}")
    return DONE
