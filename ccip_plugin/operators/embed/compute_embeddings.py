"""Operator: CCIP embeddings of images or detections."""

from collections.abc import Mapping
from typing import Any

from fiftyone.operators import types

from ...app import route
from ...app.answers import text_of
from ...app.ask.embeddings import coverage_of
from ...app.ask.models import MODEL_FOLDER, ask_model, ask_model_folder, show_location
from ...app.ask.options import AskOption, ask_option, ask_options, given_options
from ...app.counts import n_items, n_of, n_samples
from ...app.forms import Form, vector_field_problem
from ...app.operator import CCIPOperator
from ...app.outputs import MAX_ROWS, Output, file_paths
from ...core.options import Choice, Option
from ...embeddings.compute import compute_embeddings
from ...embeddings.options import EmbeddingOptions, provider_choices
from ...embeddings.provenance import Provenance, read_provenance
from ...embeddings.report import EmbeddingsReport
from ...embeddings.speeds import recall
from ...embeddings.store import Coverage

KEEP, VERIFY, OVERWRITE, ADOPT = "keep", "verify", "overwrite", "adopt"
EXISTING = (
    Choice(KEEP, "Keep them, embed the rest"),
    Choice(VERIFY, "Keep them unless the file or the box has changed"),
    Choice(OVERWRITE, "Compute all of them again"),
)
ADOPTED = Choice(ADOPT, "Keep them: they are from the model chosen above")


class ComputeEmbeddings(CCIPOperator):
    """Computes missing embeddings; see :func:`~ccip_plugin.embeddings.compute.compute_embeddings`."""

    name, label = "compute_embeddings", "CCIP: compute embeddings"
    description = "Compute the CCIP embedding of each image, or each detection: the first step to character groups"
    risk = types.RiskLevel.MEDIUM
    failure = "CCIP could not compute the embeddings"
    function = staticmethod(compute_embeddings)
    asks = route.asked(patches_field=route.text, existing=route.text, advanced=route.switch, **MODEL_FOLDER)
    asks_options = EmbeddingOptions
    is_delegable = True

    def ask(self, form: Form) -> None:
        if form.ask_target("Embed") is not None:
            ask_options(form, EmbeddingOptions, _special_inputs(form))

    def options(self, ctx: Any) -> dict[str, Any]:
        options = {**super().options(ctx), **given_options(ctx, EmbeddingOptions)}
        existing = text_of(ctx, "existing") or KEEP
        return options if existing == KEEP else {**options, existing: True}

    def show(self, report: EmbeddingsReport, out: Output) -> None:
        out.facts(report.facts(), "CCIP: embeddings computed")
        out.is_clean = not report.n_failed
        failures = dict(list(report.failures.items())[:MAX_ROWS])
        paths = file_paths(out.ctx.dataset, list(failures), report.patches_field)
        label = f"{report.n_failed:,} failed" + (f", the first {MAX_ROWS}" if report.n_failed > MAX_ROWS else "")
        out.table(
            "failures",
            f"{label}; filter by {report.error_field!r} in the sidebar to see them",
            [{"image": paths.get(item_id, item_id), "reason": reason} for item_id, reason in failures.items()],
            {"image": "Image", "reason": "Reason"},
        )


def _special_inputs(form: Form) -> Mapping[str, AskOption]:
    """The inputs that depend on the dataset."""
    target = form.target
    field = text_of(form.ctx, "embeddings_field") or EmbeddingOptions().embeddings_field
    problem = vector_field_problem(target, field)
    recorded = None if problem is not None else read_provenance(target.dataset, target.path(field))

    def ask_about_model(option: Option) -> None:
        if problem is None:
            _ask_about_model(form, field, recorded)

    return {
        "embeddings_field": lambda option: ask_option(form, option, problem=problem),
        "model_name": ask_about_model,
        "alpha": lambda option: ask_option(form, option, default=(recorded.alpha if recorded else None) or 0.0),
        "force_square": lambda option: ask_option(form, option, default=bool(recorded and recorded.force_square)),
        "provider": lambda option: ask_option(form, option, choices=provider_choices()),
    }


def _ask_about_model(form: Form, field: str, recorded: Provenance | None) -> None:
    """Asks for the model and what happens to existing embeddings; shows what is to be done."""
    coverage = coverage_of(form, field)
    _show_coverage(form, coverage)
    ask_model_folder(form)
    model = ask_model(form, default=None if recorded is None else recorded.model_name)
    if model is None:
        return
    show_location(form, model)
    is_same = recorded is None or recorded.model_name == model.name
    if recorded is not None and not is_same:
        _show_replacement(form, recorded, coverage)
    else:
        _ask_existing(form, coverage, recorded)
    _show_time(form, coverage, model.name, is_same=is_same)


def _show_coverage(form: Form, coverage: Coverage | None) -> None:
    if coverage is None:
        form.hint("count", f"The dataset has about {n_of(n_samples(form.target.dataset), 'image')}.")
        return
    text = f"{n_items(form.target, coverage.n_total)}, {coverage.n_missing:,} without an embedding"
    if coverage.n_failed:
        text += f"; {coverage.n_failed:,} of these failed before and will be tried again"
    form.hint("count", f"{text}.")


def _show_replacement(form: Form, recorded: Provenance, coverage: Coverage | None) -> None:
    """A field has embeddings of one model: those of another are replaced."""
    subject = "The" if coverage is None else f"The {coverage.n_total - coverage.n_missing:,}"
    text = f"{subject} existing embeddings are from {recorded.model_name}, and a field holds those of one model only"
    if form.target.is_whole:
        form.warning("model", f"{text}: they will be replaced. Choose another field to keep them.")
    else:
        form.warning("model", f"{text}: choose the whole dataset, which replaces all of them, or another field.")


def _ask_existing(form: Form, coverage: Coverage | None, recorded: Provenance | None) -> None:
    if coverage is not None and coverage.n_missing == coverage.n_total:
        return
    is_unknown = recorded is None and coverage is not None
    choices = (*EXISTING, ADOPTED) if is_unknown else EXISTING
    chosen = form.choose("existing", "Existing embeddings", choices, default=KEEP)
    if is_unknown and chosen in (KEEP, VERIFY):
        form.error(
            "existing",
            "The provenance of this field is not recorded: declare that its vectors are from the chosen model, or "
            "compute all of them again, or choose another field.",
        )


def _show_time(form: Form, coverage: Coverage | None, model_name: str, *, is_same: bool) -> None:
    """Estimates the time from the last run with this model on this machine."""
    speed = recall(model_name)
    if coverage is None or speed is None or not speed.is_of(text_of(form.ctx, "provider") or "auto"):
        return
    is_all = not is_same or form.ctx.params.get("existing") == OVERWRITE
    n = coverage.n_total if is_all else coverage.n_missing
    if n:
        form.hint("cost", f"{n_items(form.target, n)} to embed: {speed.estimate(n)}.")
