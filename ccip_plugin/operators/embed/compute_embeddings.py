"""Operator: CCIP embeddings of images or detections."""

from collections.abc import Callable
from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.operators import types

from ...app import execution, forms, outputs
from ...app.ask_options import ask_option, given_options
from ...core.options import Option
from ...embeddings.compute import EmbeddingsReport, compute_embeddings
from ...embeddings.options import EmbeddingOptions, provider_choices
from ...embeddings.provenance import Provenance, read_provenance
from ...embeddings.speeds import recall
from ...embeddings.store import Coverage
from ...storage.fields import EMBEDDINGS_FIELD, ERROR_FIELD
from ...storage.targets import Target, split_path

TITLE = "CCIP: compute embeddings"
KEEP, VERIFY, OVERWRITE, ADOPT = "keep", "verify", "overwrite", "adopt"
N_FAILURES = 50
PROVIDER = "ExecutionProvider"


class ComputeEmbeddings(execution.FunctionOperator):
    """Embeds what has no embedding; see :func:`~ccip_plugin.embeddings.compute.compute_embeddings`."""

    function = staticmethod(compute_embeddings)

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="compute_embeddings",
            label=TITLE,
            description="Describe each image, or each detection, by a CCIP vector: the first step to character groups",
            **forms.ICONS,
            dynamic=True,
            execute_as_generator=True,
            allow_immediate_execution=True,
            allow_delegated_execution=True,
            risk_level=types.RiskLevel.MEDIUM,
        )

    def resolve_input(self, ctx: Any) -> types.Property:
        form = forms.Form(ctx, TITLE)
        target = form.target("Embed")
        if target is None:
            return form.property()
        special = _special_inputs(form, target)
        for option in EmbeddingOptions.all():
            if option.spec.in_form and (target.is_patches or not option.spec.for_patches):
                special.get(option.name, lambda option: ask_option(form, option))(option)
        return form.property()

    def execute(self, ctx: Any) -> Any:
        def work(progress: Any) -> EmbeddingsReport:
            return compute_embeddings(ctx.target_view(require_flat=True), progress=progress, **_options(ctx))

        return execution.execute(
            ctx,
            work,
            title="CCIP could not compute the embeddings",
            results_of=lambda report: _results(report, ctx.dataset),
            outputs_of=_outputs,
            message_of=lambda report: f"CCIP: {report.facts().headline}",
            is_clean=lambda report: not report.n_failed,
        )

    def resolve_output(self, ctx: Any) -> types.Property:
        return _outputs(ctx.results)


def _special_inputs(form: forms.Form, target: Target) -> dict[str, Callable[[Option], None]]:
    """The inputs that depend on the dataset."""
    field = forms.text_of(form.ctx, "embeddings_field", EMBEDDINGS_FIELD) or EMBEDDINGS_FIELD
    problem = forms.name_problem(target, field, fo.VectorField, "vectors")
    recorded = None if problem is not None else read_provenance(target.dataset, target.path(field))

    def ask_model(option: Option) -> None:
        """The model, and what becomes of the stored embeddings."""
        if problem is not None:
            return
        coverage = form.coverage(target, field)
        _say_what_is_there(form, target, coverage)
        model_name = form.model(recorded)
        is_same = recorded is None or recorded.model_name == model_name
        if recorded is not None and not is_same:
            _say_what_goes(form, target, recorded, coverage)
        else:
            _ask_for_existing(form, coverage, recorded)
        _say_how_long(form, coverage, model_name, is_same=is_same)

    return {
        "embeddings_field": lambda option: ask_option(form, option, problem=problem),
        "model_name": ask_model,
        "alpha": lambda option: ask_option(form, option, default=(recorded.alpha if recorded else None) or 0.0),
        "force_square": lambda option: ask_option(form, option, default=bool(recorded and recorded.force_square)),
        "provider": lambda option: ask_option(form, option, choices=provider_choices()),
    }


def _say_what_is_there(form: forms.Form, target: Target, coverage: Coverage | None) -> None:
    if coverage is None:
        form.hint("count", f"The dataset has about {forms.n_samples(target.dataset):,} images.")
        return
    words = f"{forms.things(target, coverage.n_total)}, {coverage.n_missing:,} without an embedding"
    if coverage.n_failed:
        words += f"; {coverage.n_failed:,} of those failed before and will be tried again"
    form.hint("count", f"{words}.")


def _say_what_goes(form: forms.Form, target: Target, recorded: Provenance, coverage: Coverage | None) -> None:
    """A field has embeddings of one model: those of another one have to go."""
    n = "The" if coverage is None else f"The {coverage.n_total - coverage.n_missing:,}"
    words = f"{n} embeddings that are there are from {recorded.model_name}, and a field holds those of one model only"
    if target.is_whole:
        form.warning("model", f"{words}: they will be replaced. Choose another field to keep them.")
    else:
        form.warning("model", f"{words}: choose the whole dataset, which replaces all of them, or another field.")


def _ask_for_existing(form: forms.Form, coverage: Coverage | None, recorded: Provenance | None) -> None:
    has_some = coverage is None or coverage.n_missing < coverage.n_total
    if not has_some:
        return
    choices = types.RadioGroup(orientation="vertical")
    choices.add_choice(KEEP, label="Keep them, embed what has none")
    choices.add_choice(VERIFY, label="Keep them unless the file or the box has changed since")
    choices.add_choice(OVERWRITE, label="Compute all of them again")
    is_unknown = recorded is None and coverage is not None
    if is_unknown:
        choices.add_choice(ADOPT, label="Keep them: they are from the model that is chosen above")
    form.inputs.enum("existing", choices.values(), label="Embeddings that are there", default=KEEP, view=choices)
    if is_unknown and form.ctx.params.get("existing", KEEP) in (KEEP, VERIFY):
        form.error(
            "existing",
            "Nothing is recorded about where the vectors in this field are from: say that they are from the chosen "
            "model, or compute all of them again, or choose another field.",
        )


def _say_how_long(form: forms.Form, coverage: Coverage | None, model_name: str, *, is_same: bool) -> None:
    """Says how long it will take, where this model has worked on this machine before."""
    speed, asked = recall(model_name), forms.text_of(form.ctx, "provider", "auto")
    if coverage is None or speed is None or asked not in ("auto", speed.provider.removesuffix(PROVIDER).lower()):
        return
    is_all = not is_same or form.ctx.params.get("existing") == OVERWRITE
    n = coverage.n_total if is_all else coverage.n_missing
    if n:
        form.hint("cost", f"{n:,} to embed: {speed.words(n)}.")


def _options(ctx: Any) -> dict[str, Any]:
    """The arguments of the function; a script may give them by the names that they have there."""
    options = {**given_options(ctx, EmbeddingOptions), "patches_field": forms.patches_field_of(ctx)}
    existing = ctx.params.get("existing", KEEP)
    return options if existing == KEEP else {**options, existing: True}


def _results(report: EmbeddingsReport, dataset: Any) -> dict[str, Any]:
    """The report as plain values."""
    patches_field, _ = split_path(report.embeddings_field)
    shown = dict(list(report.failures.items())[:N_FAILURES])
    names = outputs.filepaths(dataset, shown, patches_field) if shown else {}
    noun = "detections" if patches_field else "images"
    provider = (report.provider or "").removesuffix(PROVIDER)
    speed = f"{report.images_per_second:,.1f} {noun}/s on {provider}" if provider else None
    pairs = [
        ("Embedded now", report.n_computed),
        ("Already there", report.n_skipped),
        ("Failed", report.n_failed or None),
        ("Deleted meanwhile", report.n_gone or None),
        ("Model", report.model_name),
        ("Field", report.embeddings_field),
        ("Time", f"{report.seconds:.1f} s"),
        ("Speed", speed),
    ]
    return {
        "facts": outputs.facts(pairs),
        "failures": [{"image": names.get(key, key), "reason": reason} for key, reason in shown.items()],
        "n_failed": report.n_failed,
    }


def _outputs(results: dict[str, Any]) -> types.Property:
    shown = types.Object()
    outputs.add_facts(shown, "CCIP: embeddings computed")
    if results.get("failures"):
        n, n_shown = results["n_failed"], len(results["failures"])
        label = f"{n:,} failed" if n == n_shown else f"{n:,} failed, the first {n_shown}"
        outputs.add_failures(shown, f"{label}; filter by {ERROR_FIELD!r} in the sidebar to see them")
    return types.Property(shown, view=types.View(label=TITLE))
