"""The commands: each calls functions of the package with the parsed options."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..core.errors import CCIPError
from ..core.progress import Cancelled
from .options import given
from .work import DONE, NOT_DONE, PARTLY_DONE, Work, problem_of, start_fiftyone

if TYPE_CHECKING:
    import fiftyone as fo

    from .summary import Summary

logger = logging.getLogger(__name__)


def group(work: Work) -> int:
    """Adds files to a dataset, then embeds, groups and indexes it.

    Args:
        work: a command with the options of ``ccip group``

    Returns:
        the exit status
    """
    from ..core.registry import get_spec

    options = work.options
    if options.model_name is not None:
        get_spec(options.model_name)  # an unknown name is an error before FiftyOne starts
    _check_paths(options.images)
    started = time.monotonic()
    start_fiftyone(work)
    from .summary import Summary, app_command, counted, render, results

    summary = Summary(options.dataset, options.patches_field, options.embeddings_field)
    summary.seconds["start"] = time.monotonic() - started
    work.before_stop = lambda: work.print(f"{render(counted(summary))}\n")
    _check_field_names(work)
    dataset = _load(work, summary)
    _check_grouping(work, dataset)
    work.before_failure = lambda: work.print_if(results(summary))
    work.kept = f"The dataset {options.dataset!r} is kept. The same command continues."
    run_stages(work, dataset, summary)
    work.print(f"{render(summary)}\n\nopen in the App:  {app_command(options.dataset)}")
    return PARTLY_DONE if summary.problems else DONE


def run_stages(work: Work, samples: "fo.SampleCollection", summary: "Summary") -> None:
    """Embeds, groups, indexes and visualizes a dataset or a view.

    Args:
        work: a command with the options of ``ccip group``
        samples: a dataset or a view
        summary: takes the report of each stage
    """
    for stage in (_embed, _group, _index, _visualize):
        stage(work, samples, summary)


def apply(work: Work) -> int:
    """Writes the labels of a proposal.

    Args:
        work: a command with the options of ``ccip apply``

    Returns:
        the exit status
    """
    dataset = _open_dataset(work)
    from ..grouping.proposals import apply_proposal

    return _change(work, dataset, apply_proposal)


def undo(work: Work) -> int:
    """Reverts the last change of the groups.

    Args:
        work: a command with the options of ``ccip undo``

    Returns:
        the exit status
    """
    dataset = _open_dataset(work)
    from ..labels import history

    return _change(work, dataset, history.undo, **_given(work, "number"))


def redo(work: Work) -> int:
    """Applies the last undone change again.

    Args:
        work: a command with the options of ``ccip redo``

    Returns:
        the exit status
    """
    dataset = _open_dataset(work)
    from ..labels import history

    return _change(work, dataset, history.redo)


def history(work: Work) -> int:
    """Lists the changes of the groups; deletes one that was set aside.

    Args:
        work: a command with the options of ``ccip history``

    Returns:
        the exit status
    """
    dataset = _open_dataset(work)
    from ..labels import history
    from ..reports.facts import counted

    options = _given(work, "patches_field", "group_field")
    if work.options.drop is not None:
        work.print(f"dropped {history.drop_change(dataset, work.options.drop, **options)}")
        return DONE
    changes = history.history(dataset, **options)
    if work.options.csv is not None:
        work.print(f"{counted(len(changes), 'change')} written into {changes.to_csv(work.options.csv)}")
    else:
        work.print(changes.text(each=work.options.each))
    return DONE


def decisions(work: Work) -> int:
    """Writes the decisions of users into a file, or applies those of a file.

    Args:
        work: a command with the options of ``ccip decisions``

    Returns:
        the exit status
    """
    dataset = _open_dataset(work)
    options = {**_given(work, "patches_field", "group_field"), "progress": work.progress}
    if work.options.action == "export":
        from ..labels.decisions.exporting import export_decisions

        work.print(str(export_decisions(dataset, work.options.file, **options)))
        return DONE
    from ..labels.decisions.importing import import_decisions

    options |= {"overwrite": work.options.overwrite, "dry_run": work.options.dry_run}
    work.print(str(import_decisions(dataset, work.options.file, **options)))
    return DONE


def remove(work: Work) -> int:
    """Lists what is kept with a dataset, and removes it.

    Args:
        work: a command with the options of ``ccip remove``

    Returns:
        the exit status
    """
    dataset = _open_dataset(work)
    from ..jobs.removal import remove_ccip

    done = remove_ccip(dataset, dry_run=not work.options.yes, progress=work.progress)
    work.print(str(done))
    if done.ours and not done.is_done:
        work.print("\nnothing was changed: --yes removes it, and cannot be undone")
    return DONE


def models(work: Work) -> int:
    """Lists the models; checks or downloads one.

    Args:
        work: a command with the options of ``ccip models``

    Returns:
        the exit status
    """
    from ..zoo import table

    options = work.options
    if action := {"check": _check_model, "download": _download_model}.get(options.action):
        return action(work)
    work.print(table.render(table.rows(options.model_dir)))
    if source := table.source(options.model_dir):
        work.print(f"\n{source}")
    return DONE


def cache(work: Work) -> int:
    """Says what is in the cache folder; deletes it.

    Args:
        work: a command with the options of ``ccip cache``

    Returns:
        the exit status
    """
    from ..jobs.cache_folder import cache_report, clean_cache

    if work.options.action == "clean":
        options = {**_given(work, "unused_days"), "dry_run": work.options.dry_run}
        work.print(str(clean_cache(*work.options.parts, **options)))
    else:
        work.print(str(cache_report()))
    return DONE


def load_character_similarity(work: Work) -> int:
    """Makes a dataset of the published evaluation images.

    Args:
        work: a command with the options of ``ccip character-similarity``

    Returns:
        the exit status
    """
    start_fiftyone(work)
    from ..io.character_similarity import TRUTH_FIELD, load_character_similarity
    from ..reports.facts import counted

    options = _given(work, "folder", "revision")
    dataset = load_character_similarity(
        work.options.subset, name=work.options.dataset, progress=work.progress, **options
    )
    n_characters = len(dataset.distinct(f"{TRUTH_FIELD}.label"))
    what = f"{counted(len(dataset), 'image')} of {counted(n_characters, 'character')}"
    work.print(f"{what} in {dataset.name!r}, field {TRUTH_FIELD!r}")
    return DONE


class MissingPathError(CCIPError, FileNotFoundError):
    """A path of an image or a folder does not exist."""


def _check_paths(paths: Sequence[str]) -> None:
    """Raises an error for a path that does not exist before FiftyOne starts."""
    from ..core.preprocessing import why_missing

    if problem := next(filter(None, map(why_missing, paths)), None):
        raise MissingPathError(problem)


def _check_field_names(work: Work) -> None:
    """Raises an error for an invalid name of a field before hours of work."""
    from ..storage.targets import check_field_name

    for name in _given(work, "embeddings_field", "group_field").values():
        check_field_name(name)


def _check_grouping(work: Work, dataset: "fo.Dataset") -> None:
    """Raises an error for options that grouping would refuse, before hours of embedding."""
    from ..grouping.checks import check_options
    from ..grouping.options import GroupingOptions
    from ..labels.store import LabelStore
    from ..storage.targets import resolve

    options = GroupingOptions(**given(work.options, GroupingOptions))
    check_options(LabelStore(resolve(dataset, work.options.patches_field), options.group_field), options)


def _load(work: Work, summary: "Summary") -> "fo.Dataset":
    from ..io.images import add_images, open_dataset

    options = work.options
    with _timed(summary, "load"):
        if options.images:
            recursive = not options.no_recursive
            summary.ingest = add_images(options.dataset, *options.images, recursive=recursive, progress=work.progress)
        dataset = open_dataset(options.dataset, create=False)
        if not dataset.persistent:
            dataset.persistent = True
    work.watch(dataset)
    return dataset


def _embed(work: Work, samples: "fo.SampleCollection", summary: "Summary") -> None:
    from ..embeddings.compute import compute_embeddings
    from ..embeddings.options import EmbeddingOptions
    from .summary import name_failures

    options = {**_given(work, "patches_field"), **given(work.options, EmbeddingOptions)}
    with _timed(summary, "embed"):
        summary.embeddings = compute_embeddings(samples, progress=work.progress, **options)
        summary.failures = name_failures(samples, summary.embeddings, work.options.patches_field)


def _group(work: Work, samples: "fo.SampleCollection", summary: "Summary") -> None:
    from ..grouping.options import GroupingOptions
    from ..grouping.run import group_characters, propose_groups

    options = {**_given(work, "patches_field"), **given(work.options, GroupingOptions)}
    with _timed(summary, "group"):
        if work.options.propose:
            summary.grouping = propose_groups(samples, progress=work.progress, **options).report
        else:
            summary.grouping = group_characters(samples, progress=work.progress, **options)


def _index(work: Work, samples: "fo.SampleCollection", summary: "Summary") -> None:
    from ..brain.similarity import compute_similarity

    if not work.options.no_similarity:
        options = _given(work, "patches_field", "embeddings_field")
        with _timed(summary, "similarity"), _optional(summary, "similarity"):
            summary.similarity = compute_similarity(samples, progress=work.progress, **options)


def _visualize(work: Work, samples: "fo.SampleCollection", summary: "Summary") -> None:
    from ..brain.visualization import compute_visualization

    if not work.options.no_visualization:
        options = _given(work, "patches_field", "embeddings_field")
        with _timed(summary, "visualization"), _optional(summary, "visualization"):
            summary.visualization = compute_visualization(samples, progress=work.progress, **options)


@contextlib.contextmanager
def _timed(summary: "Summary", stage: str) -> Iterator[None]:
    started = time.monotonic()
    try:
        yield
    finally:
        summary.seconds[stage] = time.monotonic() - started


@contextlib.contextmanager
def _optional(summary: "Summary", stage: str) -> Iterator[None]:
    """Lets the command continue when a stage fails that the groups do not need; the summary reports it."""
    try:
        yield
    except Cancelled:
        raise
    except Exception as error:
        logger.debug("%s failed:", stage, exc_info=True)
        summary.problems[stage] = problem_of(error)


def _open_dataset(work: Work) -> "fo.Dataset":
    start_fiftyone(work)
    from ..io.images import open_dataset

    dataset = open_dataset(work.options.dataset, create=False)
    work.watch(dataset)
    return dataset


def _change(work: Work, dataset: "fo.Dataset", function: Callable[..., object], **options: Any) -> int:
    options |= _given(work, "patches_field", "group_field")
    work.print(str(function(dataset, progress=work.progress, **options)))
    return DONE


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


def _given(work: Work, *names: str) -> dict[str, Any]:
    """The options that were given, by name; the functions have defaults for the others."""
    values = {name: getattr(work.options, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}
