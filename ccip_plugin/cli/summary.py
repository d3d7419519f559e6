"""The table that the command line prints when it is done, or as far as it got."""

import itertools
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import fiftyone as fo

from ..brain.similarity import SimilarityReport
from ..brain.visualization import VisualizationReport
from ..core.registry import get_spec
from ..embeddings.compute import EmbeddingsReport
from ..embeddings.load import count_missing
from ..embeddings.store import Coverage
from ..grouping.options import CALIBRATED
from ..grouping.report import GroupingReport, in_words
from ..io.images import IngestReport
from ..reports.words import printable
from ..storage.fields import EMBEDDINGS_FIELD, ERROR_FIELD
from ..storage.targets import field_path

N_EXAMPLES = 5


@dataclass
class Summary:
    """What a run of the command has done so far; a stage that was not reached is None.

    Attributes:
        dataset: the name of the dataset
        patches_field: the field with the detections, None for whole images
        embeddings_field: the field with the embeddings, None for the default
        ingest: the loading of files
        embeddings: the embedding
        coverage: how many have an embedding; counted when the embedding was stopped
        failures: the first files that could not be embedded, with the reasons
        grouping: the grouping
        similarity: the similarity index
        visualization: the map
        problems: why a stage failed that the groups do not need, by its name
        seconds: how long each stage took
    """

    dataset: str
    patches_field: str | None = None
    embeddings_field: str | None = None
    ingest: IngestReport | None = None
    embeddings: EmbeddingsReport | None = None
    coverage: Coverage | None = None
    failures: Sequence[tuple[str, str]] = ()
    grouping: GroupingReport | None = None
    similarity: SimilarityReport | None = None
    visualization: VisualizationReport | None = None
    problems: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def render(summary: Summary) -> str:
    """The summary as aligned lines of text."""
    found = [row for part in (_loaded, _embedded, _grouped, _brain, _times) for row in part(summary)]
    width = max((len(name) for name, _ in found), default=0)
    return "\n".join(f"{name:<{width}}  {printable(text)}".rstrip() for name, text in found)


def counted(summary: Summary) -> Summary:
    """The summary with what is in the database, for work that was stopped in the middle."""
    if fo.dataset_exists(summary.dataset):
        dataset = fo.load_dataset(summary.dataset)
        embeddings_field = summary.embeddings_field or EMBEDDINGS_FIELD
        summary.coverage = count_missing(
            dataset, embeddings_field=embeddings_field, patches_field=summary.patches_field
        )
    return summary


def name_failures(
    dataset: fo.Dataset, report: EmbeddingsReport, patches_field: str | None = None
) -> list[tuple[str, str]]:
    """The first failures with the file that they are about, and the reason."""
    failures = dict(itertools.islice(report.failures.items(), N_EXAMPLES))
    if not failures:
        return []
    if patches_field is None:
        ids, paths = dataset.select(list(failures)).values(["id", "filepath"])
        names = dict(zip(ids, paths, strict=True))
    else:
        view = dataset.select_labels(ids=list(failures), fields=patches_field)
        paths, nested = view.values(["filepath", field_path("id", patches_field)])
        names = {key: f"{path} (detection {key})" for path, keys in zip(paths, nested, strict=True) for key in keys}
    return [(names.get(key, key), reason) for key, reason in failures.items()]


def app_command(dataset: str) -> str:
    """What to type to look at a dataset."""
    return f"fiftyone app launch {shlex.quote(dataset)}"


def _loaded(summary: Summary) -> Iterator[tuple[str, str]]:
    yield "dataset", summary.dataset
    if summary.ingest is None:
        return
    ingest = summary.ingest
    yield "images", f"{ingest.n_found:,} found, {ingest.n_added:,} of them new"
    if ingest.skipped:
        yield "skipped", f"{len(ingest.skipped):,} files and folders"
        yield from _examples([f"{path}: {reason}" for path, reason in ingest.skipped], len(ingest.skipped))


def _embedded(summary: Summary) -> Iterator[tuple[str, str]]:
    things = f"detections in {summary.patches_field!r}" if summary.patches_field else "images"
    done = summary.embeddings
    if done is None:
        if summary.coverage is not None:
            there = summary.coverage.n_total - summary.coverage.n_missing
            yield "embeddings", f"{there:,} of {summary.coverage.n_total:,} {things}"
        return
    yield "embeddings", f"{done.n_computed:,} {things} embedded now, {done.n_skipped:,} before"
    is_stand_in = get_spec(done.model_name).is_stand_in
    yield "", done.model_name + (" (a stand-in that knows only the demo drawings)" if is_stand_in else "")
    yield "", _speed(done)
    yield "failures", f"{done.n_failed:,}"
    yield from _examples([f"{name}: {reason}" for name, reason in summary.failures], done.n_failed)
    if done.n_failed:
        yield "", f"the reason of each is in the field {ERROR_FIELD!r}; {_find(summary)} has them all"
    if done.n_gone:
        yield "deleted", f"{done.n_gone:,} while this was running"


def _grouped(summary: Summary) -> Iterator[tuple[str, str]]:
    done = summary.grouping
    if done is None:
        return
    used = done.parameters
    largest = f", the largest has {max(done.sizes):,}" if done.sizes else ""
    yield "groups", f"{done.n_groups:,} with {done.n_grouped:,} images{largest}"
    source = ", calibrated" if used.source == CALIBRATED else ""
    yield "", f"{used.method}, eps {used.eps:.4f}, min_samples {used.min_samples}{source}"
    if done.quality is not None:
        yield "", f"approximate graph: {in_words(done.quality)}"
    yield "unassigned", f"{done.n_unassigned:,}"
    if done.proposal_key is None:
        written = f"{done.n_written:,} written to {done.group_field!r}"
    else:
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in done.changes.items() if n)
        written = f"none written to {done.group_field!r}, proposed: {kinds or 'nothing'}; the command apply writes it"
    yield "labels", f"{written}, {done.n_human:,} decided by people and kept"
    for warning in done.warnings:
        yield "warning", warning


def _brain(summary: Summary) -> Iterator[tuple[str, str]]:
    if summary.similarity is not None:
        index = summary.similarity
        lacks = f", lacks {index.n_missing:,}" if index.n_missing else ""
        yield "similarity", f"{index.n_vectors:,} images in {index.brain_key!r}{lacks}"
    elif "similarity" in summary.problems:
        yield "similarity", f"FAILED: {summary.problems['similarity']}"
    if summary.visualization is not None:
        shown = summary.visualization
        note = f" ({shown.note})" if shown.note else ""
        points = f"{shown.n_points:,} images in {shown.brain_key!r}, by {shown.method}"
        yield "visualization", f"{points if shown.method else 'none'}{note}"
    elif "visualization" in summary.problems:
        yield "visualization", f"FAILED: {summary.problems['visualization']}"


def _times(summary: Summary) -> Iterator[tuple[str, str]]:
    if summary.seconds:
        stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in summary.seconds.items())
        yield "seconds", f"{sum(summary.seconds.values()):.1f}: {stages}"


def _speed(done: EmbeddingsReport) -> str:
    if done.provider is None:
        return "nothing left to do, so no model was loaded"
    if not done.n_computed:
        return f"only the failures were tried again, on {done.provider}"
    return f"{done.images_per_second:.1f} images/s on {done.provider}"


def _find(summary: Summary) -> str:
    if summary.patches_field:
        return f"dataset.filter_labels({summary.patches_field!r}, F({ERROR_FIELD!r}) != None)"
    return f"dataset.exists({ERROR_FIELD!r})"


def _examples(texts: Sequence[str], n: int) -> Iterator[tuple[str, str]]:
    for text in texts[:N_EXAMPLES]:
        yield "", text
    if n > N_EXAMPLES:
        yield "", f"and {n - N_EXAMPLES:,} more"
