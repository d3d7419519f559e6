"""Operator: character groups from embeddings."""

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fiftyone.core.collections import SampleCollection
from fiftyone.operators import types

from ...app import route
from ...app.answers import given, text_of
from ...app.ask.embeddings import EmbeddingsChoice, ask_embeddings
from ...app.ask.groups import path_arguments, whole_store
from ...app.ask.models import MODEL_FOLDER
from ...app.ask.options import AskOption, ask_option, ask_options, given_options
from ...app.counts import is_countable, n_items, remembered
from ...app.forms import Form, group_field_problem
from ...app.operator import CCIPOperator
from ...app.outputs import MAX_ROWS, Output, Picture, PictureRow
from ...core.errors import CCIPError
from ...core.options import Choice, Option
from ...grouping.calibrated import calibrated_parameters
from ...grouping.charts import size_chart
from ...grouping.constraints import track_fields
from ...grouping.options import CALIBRATED, PUBLISHED, GroupingOptions, method_choices
from ...grouping.parameters import GroupingParameters, choose_parameters
from ...grouping.report import GroupingReport, GroupShape, describe_group_change, nearest_pairs
from ...grouping.run import group_characters, propose_groups
from ...labels.store import LabelStore
from ...labels.views import examples

N_PAIRS, N_PICTURES = 8, 3
"""Rows of pictures, and pictures of each of their two groups."""

COLUMNS = {
    "group": "Group",
    "n": "Images",
    "cohesion": "Mean difference inside",
    "diameter": "Largest difference inside",
    "rival": "Nearest other group",
    "apart": "Mean difference to it",
}


class GroupCharacters(CCIPOperator):
    """Writes character groups; see :func:`~ccip_plugin.grouping.run.group_characters`."""

    name, label = "group_characters", "CCIP: group by character"
    description = "Group images, or detections, that show the same character, as labels to review"
    risk = types.RiskLevel.MEDIUM
    failure = "CCIP could not group the images"
    function = staticmethod(group_characters)
    asks = route.asked(patches_field=route.text, apply=route.switch, advanced=route.switch, **MODEL_FOLDER)
    asks_options = GroupingOptions
    is_delegable = True
    toolbar_text = "Group"

    def ask(self, form: Form) -> None:
        if form.ask_target("Group") is None:
            return
        embeddings = ask_embeddings(form)
        if embeddings is None:
            return
        ask_options(form, GroupingOptions, _special_inputs(form, embeddings))
        if not form.target.is_whole:
            form.hint("part", "Only the selected part gets labels; it is compared with the existing groups.")

    def options(self, ctx: Any) -> dict[str, Any]:
        is_written = ctx.params.get("apply", True)
        options = {**super().options(ctx), **given_options(ctx, GroupingOptions), **given(ctx, ("run_key",))}
        return {**options, "is_written": bool(is_written)}

    def call(
        self, samples: SampleCollection, progress: Any, *, is_written: bool = True, **options: Any
    ) -> GroupingReport:
        if is_written:
            return group_characters(samples, progress=progress, **options)
        return propose_groups(samples, progress=progress, **options).report

    def show(self, report: GroupingReport, out: Output) -> None:
        show_report(report, out)


def show_report(report: GroupingReport, out: Output) -> None:
    """Shows a grouping, or a proposal that was applied; of one that adds, the new items in the grid."""
    out.facts(report.facts(), "CCIP: character groups")
    if report.added is not None and report.added.n_items and len(report.added.ids):
        out.show_view(report.added.view(out.ctx.dataset, report.patches_field))
    changes = [
        {"group": change.name, "change": describe_group_change(change), "n": f"{change.n_items:,}"}
        for change in report.groups[:MAX_ROWS]
    ]
    out.pictures("pairs", "Likely the same character? A click shows the group", _pair_rows(report, out))
    out.table("groups", "Changed groups", changes, {"group": "Group", "change": "Change", "n": "Images"})
    if report.sizes:
        out.chart(size_chart(report.sizes))
    out.table("shapes", f"The largest groups, up to {MAX_ROWS}", map(_row, report.shapes[:MAX_ROWS]), COLUMNS)


def _pair_rows(report: GroupingReport, out: Output) -> list[PictureRow]:
    """A row with pictures of both groups for each likely pair; a proposal has no labels to find them by."""
    pairs = nearest_pairs(report, N_PAIRS) if report.proposal_key is None else []
    if not pairs:
        return []
    store = whole_store(out.ctx, **path_arguments(report.group_field))
    names = {shape.group_id: shape.name for shape in pairs} | {
        shape.rival_id or 0: shape.rival or "" for shape in pairs
    }
    files = examples(store, names, N_PICTURES)
    return [
        PictureRow(
            f"{shape.name} ({shape.n_items:,}) and {shape.rival}: mean difference {shape.apart:.3f}",
            [
                Picture(file, names[group_id], report.group_field)
                for group_id in (shape.group_id, shape.rival_id or 0)
                for file in files[group_id]
            ],
        )
        for shape in pairs
    ]


def _row(shape: GroupShape) -> dict[str, str]:
    numbers = {"cohesion": shape.cohesion, "diameter": shape.diameter, "apart": shape.apart}
    texts = {name: "" if number is None else f"{number:.3f}" for name, number in numbers.items()}
    return {"group": shape.name, "n": f"{shape.n_items:,}", "rival": shape.rival or "", **texts}


def _special_inputs(form: Form, embeddings: EmbeddingsChoice) -> Mapping[str, AskOption]:
    """The inputs that depend on the dataset, its model, or other answers."""
    available = _available_methods(embeddings)
    default = choose_parameters(embeddings.published).method
    published = available.get(text_of(form.ctx, "method") or default, available[default])
    sources = {PUBLISHED: (published.eps, published.min_samples)}
    if (calibrated := calibrated_parameters(form.target, embeddings.field, published.method)) is not None:
        sources[CALIBRATED] = calibrated
    eps, min_samples = sources.get(text_of(form.ctx, "parameters") or PUBLISHED, sources[PUBLISHED])

    def ask_method(option: Option) -> None:
        choices = [
            replace(choice, label=f"{choice.label} (recommended)") if choice.value == default else choice
            for choice in option.choices
            if choice.value in available
        ]
        ask_option(form, option, choices=choices, default=default, is_list=True)

    return {
        "embeddings_field": lambda option: None,  # asked before
        "method": ask_method,
        "parameters": lambda option: _ask_source(form, option, sources),
        "eps": lambda option: ask_option(form, option, placeholder=f"{eps:.4f}"),
        "min_samples": lambda option: ask_option(form, option, placeholder=str(min_samples)),
        "group_field": lambda option: _ask_group_field(form, option, embeddings.field),
        "mode": lambda option: _ask_mode(form, option),
        "tracks": lambda option: _ask_tracks(form, option),
    }


def _available_methods(embeddings: EmbeddingsChoice) -> dict[str, GroupingParameters]:
    """The parameters of each method that the model has parameters for."""
    available: dict[str, GroupingParameters] = {}
    for name in (choice.value for choice in method_choices()):
        with contextlib.suppress(CCIPError):
            available[name] = choose_parameters(embeddings.published, GroupingOptions(method=name))
    return available


def _ask_source(form: Form, option: Option, sources: Mapping[str, tuple[float, int]]) -> None:
    """Asks for the source of eps and min_samples, where these images were calibrated."""
    is_missing = text_of(form.ctx, "parameters") == CALIBRATED and CALIBRATED not in sources
    if len(sources) == 1 and not is_missing:
        return
    choices = [
        replace(choice, description="eps {:.4f}, min_samples {}".format(*sources[choice.value]))
        for choice in option.choices
        if choice.value in sources
    ]
    problem = "Calibration has no parameters for this method: use the published ones" if is_missing else None
    ask_option(form, option, choices=choices, problem=problem)


def _ask_group_field(form: Form, option: Option, embeddings_field: str) -> None:
    name = _group_field(form)
    problem = group_field_problem(form.target, name)
    if name == embeddings_field:
        problem = "This field contains the embeddings"
    ask_option(form, option, is_half=True, problem=problem)
    if problem is not None or not is_countable(form.target.dataset):
        return
    store = LabelStore(form.target, name)
    n = remembered(form.target, store.path, store.count_user_labels) if store.exists() else 0
    if n:
        form.hint("human", f"User labels to be kept: {n_items(form.target, n)} in {name!r}.")


def _ask_mode(form: Form, option: Option) -> None:
    """Asks what may change and whether to write it, where there are groups already."""
    name = _group_field(form)
    if group_field_problem(form.target, name) is not None or not LabelStore(form.target, name).is_declared():
        return
    ask_option(form, option, is_list=True, is_half=True)
    form.switch(
        "apply",
        "Write the labels at once",
        default=True,
        description="Off: only propose them; 'CCIP: apply the proposal' writes them",
    )


def _ask_tracks(form: Form, option: Option) -> None:
    if fields := track_fields(form.target):
        ask_option(form, option, choices=[Choice(name, name) for name in fields])


def _group_field(form: Form) -> str:
    return text_of(form.ctx, "group_field") or GroupingOptions().group_field
