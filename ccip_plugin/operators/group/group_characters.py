"""Operator: character groups from embeddings."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.operators import types

from ...app import ask_embeddings, execution, forms, outputs
from ...app.ask_options import ask_option, given_options
from ...core.calibration import PublishedParameters
from ...core.options import Choice, Option
from ...grouping.calibrated import calibrated_parameters
from ...grouping.constraints import INDEX
from ...grouping.options import CALIBRATED, PUBLISHED, GroupingOptions, method_choices, method_label
from ...grouping.parameters import GroupingParameters, choose_parameters
from ...grouping.report import GroupingReport, GroupShape, describe_quality
from ...grouping.run import group_characters, propose_groups
from ...labels.store import LabelStore
from ...storage.fields import GROUP_FIELD
from ...storage.targets import CCIPError, Target, is_field_name

TITLE = "CCIP: group by character"
_MOST_ROWS = 50

CHANGES = {
    "unchanged": "Stay where they are",
    "moved": "Move to another group",
    "new": "New in a group",
    "merged": "Go along as their group is merged",
    "split": "Go along as their group is split",
    "unassigned": "Newly unassigned",
}
"""What becomes of an item, in words."""


class GroupCharacters(execution.FunctionOperator):
    """Writes character groups; see :func:`~ccip_plugin.grouping.run.group_characters`."""

    function = staticmethod(group_characters)

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="group_characters",
            label=TITLE,
            description="Put images, or detections, that show the same character into groups, as labels to review",
            **forms.ICONS,
            dynamic=True,
            execute_as_generator=True,
            allow_immediate_execution=True,
            allow_delegated_execution=True,
            risk_level=types.RiskLevel.MEDIUM,
        )

    def resolve_placement(self, ctx: Any) -> types.Placement:
        button = types.Button(label=TITLE, icon=forms.ICONS["icon"], prompt=True)
        return types.Placement(types.Places.SAMPLES_GRID_SECONDARY_ACTIONS, button)

    def resolve_input(self, ctx: Any) -> types.Property:
        form = forms.Form(ctx, TITLE)
        target = form.target("Group")
        if target is None:
            return form.property()
        found = ask_embeddings.ask(form, target)
        if found is None:
            return form.property()
        field, _, calibration = found
        _ask_options(form, target, _special_inputs(form, target, field, calibration))
        if not target.is_whole:
            form.hint("part", "Only the selected part gets labels; it is compared with the groups that exist.")
        return form.property()

    def execute(self, ctx: Any) -> Any:
        def work(progress: Any) -> GroupingReport:
            options = {**given_options(ctx, GroupingOptions), **forms.options(ctx, ("run_key",))}
            samples, where = ctx.target_view(require_flat=True), forms.patches_field_of(ctx)
            if ctx.params.get("apply", True):
                return group_characters(samples, patches_field=where, progress=progress, **options)
            return propose_groups(samples, patches_field=where, progress=progress, **options).report

        return execution.execute(
            ctx,
            work,
            title="CCIP could not group the images",
            results_of=results_of,
            outputs_of=outputs_of,
            is_clean=lambda done: not done.warnings,
            message_of=message_of,
        )

    def resolve_output(self, ctx: Any) -> types.Property:
        return outputs_of(ctx.results)


def _ask_options(form: forms.Form, target: Target, special: Mapping[str, Callable[[Option], None]]) -> None:
    """Asks for each option; the advanced ones when they are wanted."""
    options = [option for option in GroupingOptions.all() if option.spec.in_form]
    options = [option for option in options if target.is_patches or not option.spec.for_patches]
    for option in options:
        if not option.spec.is_advanced:
            special.get(option.name, lambda option: ask_option(form, option))(option)
    form.inputs.bool("advanced", label="Advanced", default=False, view=types.SwitchView())
    for option in options:
        if option.spec.is_advanced and form.ctx.params.get("advanced"):
            special.get(option.name, lambda option: ask_option(form, option))(option)


def _special_inputs(
    form: forms.Form, target: Target, embeddings_field: str, calibration: PublishedParameters
) -> dict[str, Callable[[Option], None]]:
    """The inputs that depend on the dataset, its model, or other answers."""
    available = _available_methods(calibration)
    default = choose_parameters(calibration).method
    published = available.get(form.ctx.params.get("method") or default, available[default])
    sources = {PUBLISHED: (published.eps, published.min_samples)}
    if (calibrated := calibrated_parameters(target, embeddings_field, published.method)) is not None:
        sources[CALIBRATED] = calibrated
    eps, min_samples = sources.get(form.ctx.params.get("parameters"), sources[PUBLISHED])

    def ask_method(option: Option) -> None:
        choices = [
            replace(choice, label=f"{choice.label} (recommended)") if choice.value == default else choice
            for choice in option.choices
            if choice.value in available
        ]
        ask_option(form, option, choices=choices, default=default)

    return {
        "embeddings_field": lambda option: None,  # asked before
        "method": ask_method,
        "parameters": lambda option: _ask_source(form, option, sources),
        "eps": lambda option: ask_option(form, option, placeholder=f"{eps:.4f}"),
        "min_samples": lambda option: ask_option(form, option, placeholder=str(min_samples)),
        "group_field": lambda option: _ask_group_field(form, option, target, embeddings_field),
        "mode": lambda option: _ask_mode(form, option, target),
        "tracks": lambda option: _ask_tracks(form, option, target),
    }


def _available_methods(calibration: PublishedParameters) -> dict[str, GroupingParameters]:
    """What each method would use for this model, without those that it cannot use."""
    available: dict[str, GroupingParameters] = {}
    for name in (choice.value for choice in method_choices()):
        with contextlib.suppress(CCIPError):
            available[name] = choose_parameters(calibration, GroupingOptions(method=name))
    return available


def _ask_source(form: forms.Form, option: Option, sources: Mapping[str, tuple[float, int]]) -> None:
    """Asks for the source of eps and min_samples, where these images were calibrated."""
    is_missing = form.ctx.params.get("parameters") == CALIBRATED and CALIBRATED not in sources
    if len(sources) == 1 and not is_missing:
        return
    choices = [
        replace(choice, description="eps {:.4f}, min_samples {}".format(*sources[choice.value]))
        for choice in option.choices
        if choice.value in sources
    ]
    problem = "Calibration found nothing for this method: take what is published" if is_missing else None
    ask_option(form, option, choices=choices, problem=problem)


def _ask_group_field(form: forms.Form, option: Option, target: Target, embeddings_field: str) -> None:
    name = forms.text_of(form.ctx, option.name, GROUP_FIELD) or GROUP_FIELD
    kind = fo.StringField if target.is_patches else fo.Classification
    problem = forms.name_problem(target, name, kind, "character groups")
    if name == embeddings_field:
        problem = "This field has the embeddings"
    ask_option(form, option, problem=problem)
    if problem is not None:
        return
    store = LabelStore(target, name)
    is_new = target.dataset.get_field(store.attribute_path("label")) is None
    if is_new or forms.n_samples(target.dataset) > forms.COUNT_LIMIT:
        return
    n = forms.remembered(target, store.path, store.count_user_labels)
    if n:
        form.hint("human", f"Kept as they are: {forms.things(target, n)} with a label in {name!r} that people decided.")


def _ask_mode(form: forms.Form, option: Option, target: Target) -> None:
    """Asks what may change and whether to write it, where there are groups already."""
    name = forms.text_of(form.ctx, "group_field", GROUP_FIELD) or GROUP_FIELD
    if not is_field_name(name) or not LabelStore(target, name).is_declared():
        return
    ask_option(form, option)
    form.inputs.bool(
        "apply",
        label="Write the labels at once",
        description="Off: only propose them. You see what would change, and 'CCIP: apply the proposal' writes it",
        default=True,
        view=types.SwitchView(),
    )


def _ask_tracks(form: forms.Form, option: Option, target: Target) -> None:
    if target.dataset.get_field(target.path(INDEX)) is None:
        return
    names = [
        name
        for name, field in target.dataset.get_field_schema().items()
        if isinstance(field, fo.StringField | fo.ObjectIdField) and name not in ("id", "filepath")
    ]
    ask_option(form, option, choices=[Choice(name, name) for name in names])


def message_of(report: GroupingReport) -> str:
    proposed = "" if report.proposal_key is None else ", proposed; nothing is written yet"
    return f"CCIP: {report.n_groups:,} character groups with {report.n_grouped:,} {report.noun}{proposed}"


def results_of(report: GroupingReport) -> dict[str, Any]:
    """The report as plain values."""
    used = report.parameters
    method = method_label(used.method)
    pairs = [
        ("Character groups", report.n_groups),
        ("In a group", report.n_grouped),
        ("Unassigned", report.n_unassigned),
        ("Without embedding", report.n_without_embedding or None),
        ("Not a character (ignored)", report.n_ignored or None),
        ("Decided by people, kept", report.n_human),
        ("Rescued: alike to some of their group, to be looked at", report.n_rescued or None),
        *_changes(report),
        ("Labels written", report.n_written if report.proposal_key is None else "none: this is a proposal"),
        ("Changed by somebody meanwhile, left alone", report.n_left or None),
        ("Method", f"{method} ({used.method}, eps {used.eps:.4f}, min_samples {used.min_samples})"),
        ("Parameters", "calibrated on these images" if used.source == CALIBRATED else None),
        ("Approximate graph", None if report.quality is None else describe_quality(report.quality)),
        ("Embeddings", f"{used.embeddings_field}, {used.model_name}"),
        ("Field", report.group_field),
        ("Time", f"{sum(report.seconds.values()):.1f} s"),
    ]
    return {
        "facts": outputs.facts(pairs),
        "sizes": outputs.sizes_plot(report.sizes),
        "groups": outputs.group_changes([vars(change) for change in report.groups]),
        "shapes": [_row(shape) for shape in report.shapes[:_MOST_ROWS]],
        "warnings": list(report.warnings),
        "run_key": report.run_key,
    }


def outputs_of(results: dict[str, Any]) -> types.Property:
    shown = types.Object()
    outputs.add_warnings(shown, results.get("warnings") or ())
    outputs.add_facts(shown, "CCIP: character groups")
    if results.get("groups"):
        outputs.add_group_changes(shown)
    if results.get("sizes"):
        outputs.add_sizes(shown)
    if results.get("shapes"):
        outputs.add_table(shown, "shapes", _COLUMNS, f"The largest groups, up to {_MOST_ROWS}")
    return types.Property(shown, view=types.View(label=TITLE))


_COLUMNS = {
    "group": "Group",
    "n": "Images",
    "cohesion": "Mean difference inside",
    "diameter": "Largest difference inside",
    "rival": "Nearest other group",
    "apart": "Mean difference to it",
}


def _row(shape: GroupShape) -> dict[str, Any]:
    numbers = {"cohesion": shape.cohesion, "diameter": shape.diameter, "apart": shape.apart}
    words = {name: "" if number is None else f"{number:.3f}" for name, number in numbers.items()}
    return {"group": shape.name, "n": f"{shape.n_items:,}", "rival": shape.rival or "", **words}


def _changes(report: GroupingReport) -> list[tuple[str, int | None]]:
    """What becomes of the items, by kind; nothing on a first grouping, where all is new."""
    counts = report.changes
    if not sum(counts.get(kind, 0) for kind in CHANGES if kind not in ("new", "unassigned")):
        return []
    return [(words, counts.get(kind) or None) for kind, words in CHANGES.items()]
