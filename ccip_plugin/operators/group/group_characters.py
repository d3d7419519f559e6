"""Operator: character groups from embeddings."""

import contextlib
from collections.abc import Iterable
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone import ViewField as F
from fiftyone.operators import types

from ...app import ask_embeddings, execution, forms, outputs
from ...grouping.calibrated import calibrated_parameters
from ...grouping.constraints import APART, IGNORE, INDEX
from ...grouping.parameters import CALIBRATED, PUBLISHED
from ...grouping.report import GroupingReport, GroupShape, in_words
from ...grouping.run import APPROXIMATE, AUTO, EXACT, Calibration, Parameters, choose_parameters, group_characters
from ...labels.snapshot import ADD, ALL
from ...labels.store import LabelStore
from ...storage.fields import EMBEDDINGS_FIELD, GROUP_FIELD, STATUS_AUTO
from ...storage.targets import CCIPError, Target, is_field_name

TITLE = "CCIP: group by character"
METHODS = {
    "linkage": (
        "Average",
        "joins groups whose images are alike on average; needs no tuning, is the steadiest in large datasets, and "
        "keeps together and apart what people decided",
    ),
    "dbscan_2": ("Balanced", "two images that look alike make a group; a little stricter than the threshold"),
    "dbscan": ("Threshold", "joins all that are within the model's threshold for one character: fewer, larger groups"),
    "dbscan_free": ("Balanced, tuned freely", "like Balanced, with the smallest group size tuned as well"),
    "hdbscan": (
        "Large groups",
        "finds the groups that last longest while the limit grows, dense or thin; leaves many small ones alone",
    ),
    "optics_best": (
        "Crowds",
        "looks for crowds of images that are alike, wherever these get thinner; often one for each outfit of a "
        "character",
    ),
    "optics_cut": (
        "Crowds, cut",
        "like Crowds, with one limit for all groups, so that outfits of a character stay together",
    ),
    "optics": (
        "Crowds, untuned",
        "like Crowds, with the plain defaults of the method; needs much memory for many",
    ),
}
"""What a curator should know of a method; one that is not listed is shown by its name."""


_OPTIONS = (
    "method",
    "eps",
    "min_samples",
    "parameters",
    "graph",
    "mode",
    "same_image",
    "tracks",
    "apply",
    "run_key",
    "model_dir",
)
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
        _ask_for_method(form, target, field, calibration)
        _ask_for_group_field(form, target, field)
        _ask_what_to_do(form, target)
        _ask_more(form, target)
        if not target.is_whole:
            form.hint("part", "Only what is chosen above gets labels; it is compared with the groups that exist.")
        return form.property()

    def execute(self, ctx: Any) -> Any:
        def work(progress: Any) -> GroupingReport:
            return group_characters(ctx.target_view(require_flat=True), progress=progress, **_options(ctx))

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


def _ask_for_method(form: forms.Form, target: Target, embeddings_field: str, calibration: Calibration) -> None:
    default = choose_parameters(calibration).method
    known = _parameters(calibration, (default, *METHODS, *calibration.presets))
    choices = types.RadioGroup(orientation="vertical")
    for name in known:
        label, description = METHODS.get(name, (name, ""))
        label += " (recommended)" if name == default else ""
        choices.add_choice(name, label=label, description=description)
    form.inputs.enum("method", choices.values(), label="Method", default=default, view=choices)
    chosen = form.ctx.params.get("method") or default
    used = known.get(chosen, known[default])
    eps, min_samples = _ask_for_source(form, target, embeddings_field, used)
    _ask_for_eps(form, eps)
    _ask_for_min_samples(form, min_samples)


def _ask_for_source(
    form: forms.Form, target: Target, embeddings_field: str, published: Parameters
) -> tuple[float, int]:
    """Asks whether to take what was found for these images, where anything was; gives eps and min_samples."""
    found = calibrated_parameters(target, embeddings_field, published.method)
    is_asked = form.ctx.params.get("parameters") == CALIBRATED
    if found is None and not is_asked:
        return published.eps, published.min_samples
    known = {PUBLISHED: ("Published for the model", (published.eps, published.min_samples))}
    if found is not None:
        known[CALIBRATED] = ("Calibrated on your images", found)
    choices = types.RadioGroup(orientation="vertical")
    for name, (label, (eps, min_samples)) in known.items():
        choices.add_choice(name, label=label, description=f"eps {eps:.4f}, min_samples {min_samples}")
    asked = form.inputs.enum("parameters", choices.values(), label="Parameters", default=PUBLISHED, view=choices)
    if is_asked and found is None:
        asked.invalid, asked.error_message = True, "Calibration found nothing for this method: take what is published"
    return known[CALIBRATED if is_asked and found is not None else PUBLISHED][1]


def _parameters(calibration: Calibration, names: Iterable[str]) -> dict[str, Parameters]:
    """What each method would use for this model; those that it cannot use are left out."""
    found: dict[str, Parameters] = {}
    for name in names:
        with contextlib.suppress(CCIPError):
            found.setdefault(name, choose_parameters(calibration, method=name))
    return found


def _ask_for_eps(form: forms.Form, published: float) -> None:
    asked = form.inputs.float(
        "eps",
        label="Largest difference (eps)",
        description="Smaller makes stricter, smaller groups. Empty means the value shown",
        view=types.TextFieldView(placeholder=f"{published:.4f}", space=6),
    )
    eps = forms.number_of(form.ctx, "eps")
    if eps is not None and not (_is_number(eps) and 0 <= eps <= 1):
        asked.invalid, asked.error_message = True, "A difference is a number from 0 to 1"


def _ask_for_min_samples(form: forms.Form, published: int) -> None:
    asked = form.inputs.int(
        "min_samples",
        label="Smallest group (min_samples)",
        description="How many images alike make a group. Empty means the value shown",
        view=types.TextFieldView(placeholder=str(published), space=6),
    )
    n = forms.number_of(form.ctx, "min_samples")
    if n is not None and not (_is_number(n) and n == int(n) and n >= 1):
        asked.invalid, asked.error_message = True, "A whole number, 1 or more"


def _ask_for_group_field(form: forms.Form, target: Target, embeddings_field: str) -> None:
    asked = form.inputs.str(
        "group_field",
        label="Field for the groups",
        description="An attribute of each detection" if target.is_patches else "A field of each image",
        default=GROUP_FIELD,
    )
    name = forms.text_of(form.ctx, "group_field", GROUP_FIELD) or GROUP_FIELD
    kind = fo.StringField if target.is_patches else fo.Classification
    problem = forms.name_problem(target, name, kind, "character groups")
    if name == embeddings_field:
        problem = "This field has the embeddings"
    if problem is not None:
        asked.invalid, asked.error_message = True, problem
        return
    store = LabelStore(target, name)
    is_new = target.dataset.get_field(store.attribute_path("label")) is None
    if is_new or forms.n_samples(target.dataset) > forms.COUNT_LIMIT:
        return
    n = forms.remembered(target, store.path, lambda: _count_human(store))
    if n:
        form.hint("human", f"Kept as they are: {forms.things(target, n)} with a label in {name!r} that people decided.")


def _ask_what_to_do(form: forms.Form, target: Target) -> None:
    """Asks what may change and whether to write it, where there are groups already."""
    name = forms.text_of(form.ctx, "group_field", GROUP_FIELD) or GROUP_FIELD
    if not is_field_name(name) or not LabelStore(target, name).is_declared():
        return
    modes = types.RadioGroup(orientation="vertical")
    modes.add_choice(ALL, label="Group everything again", description="all but what people decided may change")
    modes.add_choice(ADD, label="Add new images only", description="what has a label keeps it")
    form.inputs.enum("mode", modes.values(), label="What may change", default=ALL, view=modes)
    form.inputs.bool(
        "apply",
        label="Write the labels at once",
        description="Off: only propose them. You see what would change, and 'CCIP: apply the proposal' writes it",
        default=True,
        view=types.SwitchView(),
    )


def _ask_more(form: forms.Form, target: Target) -> None:
    """Asks what few people need to say."""
    form.inputs.bool("advanced", label="Advanced", default=False, view=types.SwitchView())
    if not form.ctx.params.get("advanced"):
        return
    _ask_for_graph(form)
    if target.is_patches:
        _ask_about_detections(form, target)


def _ask_for_graph(form: forms.Form) -> None:
    graphs = types.RadioGroup(orientation="vertical")
    graphs.add_choice(AUTO, label="As many as it takes", description="nearly all pairs from 100,000 images on")
    graphs.add_choice(EXACT, label="All with all", description="exact, in time proportional to the square")
    graphs.add_choice(
        APPROXIMATE,
        label="Nearly all that are alike",
        description="a part of the time; how many were found is measured. Needs the extra 'index', not for Crowds",
    )
    form.inputs.enum("graph", graphs.values(), label="Compare images", default=AUTO, view=graphs)


def _ask_about_detections(form: forms.Form, target: Target) -> None:
    """Asks what it means that detections are in one image, or of one track."""
    rules = types.RadioGroup(orientation="vertical")
    rules.add_choice(APART, label="Are seldom one character", description="kept apart, unless they are much alike")
    rules.add_choice(IGNORE, label="May well be", description="for mirrors, comics, collages, character sheets")
    form.inputs.enum("same_image", rules.values(), label="Two boxes in one image", default=APART, view=rules)
    if target.dataset.get_field(target.path(INDEX)) is None:
        return
    fields = types.Dropdown()
    for name, field in target.dataset.get_field_schema().items():
        if isinstance(field, fo.StringField | fo.ObjectIdField) and name not in ("id", "filepath"):
            fields.add_choice(name, label=name)
    form.inputs.enum(
        "tracks",
        fields.values(),
        label="Frames of one video have the same",
        description="Boxes of one video with the same index are then held together. Empty: the index means nothing",
        view=fields,
    )


def _count_human(store: LabelStore) -> int:
    """How many labels people decided, as :attr:`~ccip_plugin.labels.store.GroupLabel.is_human` has it."""
    target = store.target
    paths = (store.attribute_path(name) for name in ("status", "label", "assigned"))
    status, label, assigned = (F(path.rpartition(".")[2] if target.is_patches else path) for path in paths)
    is_human = label.exists() & ((status.exists() & (status != STATUS_AUTO)) | (label != assigned))
    if not target.is_patches:
        return target.view.match(is_human).count()
    return target.view.filter_labels(target.patches_field, is_human).count(target.labels_path)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _options(ctx: Any) -> dict[str, Any]:
    """The arguments of the function."""
    options = forms.options(ctx, _OPTIONS)
    n = options.get("min_samples")
    if isinstance(n, float) and n.is_integer():  # all numbers of a form may come as such
        options["min_samples"] = int(n)
    options["patches_field"] = forms.patches_field_of(ctx)
    options["embeddings_field"] = forms.text_of(ctx, "embeddings_field", EMBEDDINGS_FIELD)
    options["group_field"] = forms.text_of(ctx, "group_field", GROUP_FIELD)
    return options


def message_of(report: GroupingReport) -> str:
    proposed = "" if report.proposal_key is None else ", proposed; nothing is written yet"
    return f"CCIP: {report.n_groups:,} character groups with {report.n_grouped:,} {report.noun}{proposed}"


def results_of(report: GroupingReport) -> dict[str, Any]:
    """The report as plain values."""
    used = report.parameters
    method = METHODS.get(used.method, (used.method, ""))[0]
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
        ("Approximate graph", None if report.quality is None else in_words(report.quality)),
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
