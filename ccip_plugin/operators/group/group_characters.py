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
from ...app.ask.models import MODEL_FOLDER
from ...app.ask.options import AskOption, ask_option, ask_options, given_options
from ...app.counts import is_countable, n_items, remembered
from ...app.forms import Form, group_field_problem
from ...app.operator import CCIPOperator
from ...app.outputs import Output
from ...core.errors import CCIPError
from ...core.options import Choice, Option
from ...grouping.calibrated import calibrated_parameters
from ...grouping.constraints import track_fields
from ...grouping.options import CALIBRATED, PUBLISHED, GroupingOptions, method_choices
from ...grouping.parameters import GroupingParameters, choose_parameters
from ...grouping.report import GroupingReport
from ...grouping.run import group_characters, propose_groups
from ...labels.store import LabelStore
from .results import show_report


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
