"""Operator: the similarity index of a dataset."""

from typing import Any

import fiftyone.operators as foo
from fiftyone.core.patches import PatchesView
from fiftyone.operators import types

from ...app import ask_embeddings, execution, forms, outputs
from ...brain.backends import LANCEDB, SKLEARN, Backend, backends
from ...brain.runs import BrainKeyError, default_key, find_run
from ...brain.similarity import SimilarityReport, compute_similarity
from ...storage.fields import EMBEDDINGS_FIELD, SIMILARITY_KEY
from ...storage.targets import CCIPError, Target, resolve
from ...zoo.registration import find_registration

TITLE = "CCIP: compute similarity"
WORDS = {
    SKLEARN: ("Built in (sklearn)", "exact for images of the dataset, not for uploaded ones; needs nothing"),
    LANCEDB: ("LanceDB", "exact for uploaded images, too"),
}


class ComputeSimilarity(execution.FunctionOperator):
    """Makes an index or brings it up to date; see :func:`~ccip_plugin.brain.similarity.compute_similarity`."""

    function = staticmethod(compute_similarity)

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="compute_similarity",
            label=TITLE,
            description="Let the App sort by similarity to an image: makes the index for it, or brings it up to date",
            **forms.ICONS,
            dynamic=True,
            execute_as_generator=True,
            allow_immediate_execution=True,
            allow_delegated_execution=True,
            risk_level=types.RiskLevel.MEDIUM,
        )

    def resolve_input(self, ctx: Any) -> types.Property:
        form = forms.Form(ctx, TITLE)
        target = _ask_for_items(form)
        found = ask_embeddings.ask(form, target, without="will not be in the index") if target is not None else None
        if target is not None and found is not None:
            key = ask_for_key(form, default_key(SIMILARITY_KEY, target.path(found[0])))
            _ask_for_backend(form, _run(form, target, key))
        return form.property()

    def execute(self, ctx: Any) -> Any:
        def work(progress: Any) -> SimilarityReport:
            options = forms.options(ctx, ("brain_key", "backend"))
            options["embeddings_field"] = forms.text_of(ctx, "embeddings_field", EMBEDDINGS_FIELD)
            patches_field = forms.patches_field_of(ctx)
            return compute_similarity(_samples(ctx), patches_field=patches_field, progress=progress, **options)

        return execution.execute(
            ctx,
            work,
            title="CCIP could not make the similarity index",
            results_of=_results,
            outputs_of=_outputs,
            is_clean=lambda report: not report.n_missing,
            message_of=_message,
        )

    def resolve_output(self, ctx: Any) -> types.Property:
        return _outputs(ctx.results)


def ask_for_key(form: forms.Form, default: str) -> str:
    """Asks for the key of a brain run."""
    asked = form.inputs.str("brain_key", label="Key", description="The name of it in the App", default=default)
    key = forms.text_of(form.ctx, "brain_key", default) or default
    if not key.isidentifier():
        asked.invalid, asked.error_message = True, "Letters, digits and _ only"
    return key


def _samples(ctx: Any) -> Any:
    """The whole dataset, which an index always covers; a view of patches says which detections, one of slices which."""
    if isinstance(ctx.view, PatchesView):
        return ctx.view
    return forms.flat(ctx)


def _ask_for_items(form: forms.Form) -> Target | None:
    if form.ctx.dataset is None:
        form.error("dataset", "Open a dataset first.")
        return None
    try:
        samples = _samples(form.ctx)
        return resolve(samples, form.patches_field(samples)).whole()
    except CCIPError as error:
        form.error("target", forms.sentence(error))
        return None


def _run(form: forms.Form, target: Target, key: str) -> Any:
    """The configuration of the index that is there; says what will become of it."""
    try:
        found = find_run(target.dataset, key, "similarity") if key.isidentifier() else None
    except BrainKeyError as error:
        form.error("brain_key", forms.sentence(error))
        return None
    if found is not None:
        form.hint("update", f"There is an index {key!r} ({found.method}): it will be brought up to date.")
    return found


def _ask_for_backend(form: forms.Form, found: Any) -> None:
    offered = {backend.name: backend for backend in backends() if backend.is_set_up}
    default = found.method if found is not None and found.method in offered else SKLEARN
    choices = types.RadioGroup(orientation="vertical")
    for name, backend in offered.items():
        label, description = WORDS.get(name, (name, "as it is set up in FiftyOne's configuration"))
        choices.add_choice(name, label=label, description=_described(backend, description))
    form.inputs.enum("backend", choices.values(), label="Kept by", default=default, view=choices)
    chosen = offered.get(form.ctx.params.get("backend") or default)
    if chosen is None:
        form.error("backend", "There is no such backend.")
    elif chosen.problem is not None:
        form.error("backend", f"{chosen.name} {chosen.problem}.")
    elif found is not None and found.method != chosen.name:
        form.warning("backend", f"The index is kept by {found.method} so far; it will be made anew.")
    if chosen is not None and chosen.is_exact and find_registration() is None:
        form.hint(
            "register", "To search with an uploaded image in the App's own panel, run 'CCIP: register models' as well."
        )


def _described(backend: Backend, description: str) -> str:
    if backend.problem is not None:
        return f"{description}; {backend.problem}"
    return f"{description}; keeps a copy of the vectors in {backend.place}" if backend.place else description


def _message(report: SimilarityReport) -> str:
    done = "made" if report.is_new else "up to date"
    return f"CCIP: similarity index {report.brain_key!r} {done}, {report.n_vectors:,} embeddings"


def _results(report: SimilarityReport) -> dict[str, Any]:
    pairs = [
        ("Index", f"{report.brain_key} ({'made now' if report.is_new else 'brought up to date'})"),
        ("Embeddings in it", report.n_vectors),
        ("Not in it, without embedding", report.n_missing or None),
        ("Kept by", report.backend),
        ("Use it", "tick an image, then 'Sort by similarity' over the tiles"),
        ("In Python", f'dataset.sort_by_similarity(id, brain_key="{report.brain_key}")'),
    ]
    return {"facts": outputs.facts(pairs)}


def _outputs(results: dict[str, Any]) -> types.Property:
    shown = types.Object()
    outputs.add_facts(shown, "CCIP: similarity index")
    return types.Property(shown, view=types.View(label=TITLE))
