"""The summary that the command line prints at the end, or when it was stopped."""

import itertools
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import fiftyone as fo

from ..brain.similarity import SimilarityReport
from ..brain.visualization import VisualizationReport
from ..embeddings.load import count_missing
from ..embeddings.report import EmbeddingsReport
from ..embeddings.store import Coverage
from ..grouping.report import GroupingReport
from ..io.images import IngestReport
from ..reports.facts import Facts
from ..reports.words import printable
from ..storage.fields import EMBEDDINGS_FIELD, ERROR_FIELD
from ..storage.targets import all_images, field_path

N_EXAMPLES = 5


@dataclass
class Summary:
    """Reports of the stages of ``ccip group``; None for a stage that was not reached.

    Attributes:
        dataset: the name of the dataset
        patches_field: the field with the detections, None for whole images
        embeddings_field: the field with the embeddings, None for the default
        ingest: report of adding files
        embeddings: report of computing embeddings
        coverage: number of embedded items, counted when computing embeddings was stopped
        failures: the first files that could not be embedded, with the reasons
        grouping: report of the grouping
        similarity: report of the similarity index
        visualization: report of the visualization
        problems: errors of the stages that the groups do not need, by stage
        seconds: duration of each stage
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
    """The summary as text: a block for each stage, with the facts of its report."""
    blocks = [f"Dataset: {printable(summary.dataset)}"]
    blocks += [
        "\n".join([title, *(f"  {line}" for line in lines)])
        for title, lines in (
            ("Images", _loaded(summary)),
            ("Embeddings", _embedded(summary)),
            ("Character groups", _grouped(summary)),
            ("Similarity index", _brain(summary, summary.similarity, "similarity")),
            ("Visualization", _brain(summary, summary.visualization, "visualization")),
            ("Time", _times(summary)),
        )
        if lines
    ]
    return "\n\n".join(blocks)


def results(summary: Summary) -> str:
    """The blocks of the stages that ended, for a command that failed; empty without one."""
    reports = (summary.ingest, summary.embeddings, summary.grouping)
    return render(replace(summary, seconds={})) if any(report is not None for report in reports) else ""


def counted(summary: Summary) -> Summary:
    """The summary with the number of stored embeddings, for a command that was stopped."""
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
    """The files of the first failures, and the reasons."""
    failures = dict(itertools.islice(report.failures.items(), N_EXAMPLES))
    if not failures:
        return []
    if patches_field is None:
        ids, paths = all_images(dataset).select(list(failures)).values(["id", "filepath"])
        names = dict(zip(ids, paths, strict=True))
    else:
        view = all_images(dataset).select_labels(ids=list(failures), fields=patches_field)
        paths, nested = view.values(["filepath", field_path("id", patches_field)])
        names = {key: f"{path} (detection {key})" for path, keys in zip(paths, nested, strict=True) for key in keys}
    return [(names.get(key, key), reason) for key, reason in failures.items()]


def app_command(dataset: str) -> str:
    """The command that opens a dataset in the App."""
    return f"fiftyone app launch {shlex.quote(dataset)}"


def _loaded(summary: Summary) -> list[str]:
    if summary.ingest is None:
        return []
    skipped = [f"{path}: {reason}" for path, reason in summary.ingest.skipped]
    return [*summary.ingest.facts().lines(), *_examples(skipped, len(skipped))]


def _embedded(summary: Summary) -> list[str]:
    report, coverage = summary.embeddings, summary.coverage
    if report is not None:
        failures = _examples([f"{name}: {reason}" for name, reason in summary.failures], report.n_failed)
        more = [f"the reasons are in the field {ERROR_FIELD!r}: {_find(summary)}"] if report.n_failed else []
        return [*report.facts().lines(), *failures, *more]
    if coverage is None:
        return []
    items = f"detections in {summary.patches_field!r}" if summary.patches_field else "images"
    return [f"{coverage.n_total - coverage.n_missing:,} of {coverage.n_total:,} {items} are embedded"]


def _grouped(summary: Summary) -> list[str]:
    report = summary.grouping
    if report is None:
        return []
    hint = [] if report.proposal_key is None else ["the command 'apply' writes the labels"]
    return [*report.facts().lines(), *hint]


def _brain(summary: Summary, report: SimilarityReport | VisualizationReport | None, stage: str) -> list[str]:
    if report is not None:
        return report.facts().lines()
    return [f"FAILED: {printable(summary.problems[stage])}"] if stage in summary.problems else []


def _times(summary: Summary) -> list[str]:
    if not summary.seconds:
        return []
    seconds = {**summary.seconds, "total": sum(summary.seconds.values())}
    return Facts.of("", [(stage, f"{value:.1f} s") for stage, value in seconds.items()]).lines()


def _find(summary: Summary) -> str:
    if summary.patches_field:
        return f"dataset.filter_labels({summary.patches_field!r}, F({ERROR_FIELD!r}) != None)"
    return f"dataset.exists({ERROR_FIELD!r})"


def _examples(texts: Sequence[str], n: int) -> list[str]:
    more = [f"  and {n - N_EXAMPLES:,} more"] if n > N_EXAMPLES else []
    return [*(f"  {printable(text)}" for text in texts[:N_EXAMPLES]), *more]
