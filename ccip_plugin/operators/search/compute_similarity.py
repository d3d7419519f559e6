"""Operator: the similarity index of a dataset."""

from typing import Any

from fiftyone.core.patches import PatchesView
from fiftyone.operators import types

from ...app import route
from ...app.answers import whole_dataset
from ...app.ask.brain_key import ask_brain_key
from ...app.ask.embeddings import ask_embeddings
from ...app.forms import Form
from ...app.operator import CCIPOperator
from ...app.outputs import Output
from ...brain.backends import LANCEDB, SKLEARN, Backend, backends
from ...brain.similarity import SimilarityReport, compute_similarity, similarity_key
from ...core.options import Choice
from ...zoo.registration import find_registration

BACKENDS = {
    SKLEARN: ("Built in (sklearn)", "exact for images of the dataset, not for uploaded ones; needs no package"),
    LANCEDB: ("LanceDB", "exact for uploaded images, too"),
}


class ComputeSimilarity(CCIPOperator):
    """Creates or updates an index; see :func:`~ccip_plugin.brain.similarity.compute_similarity`."""

    name, label = "compute_similarity", "CCIP: compute similarity"
    description = "Let the App sort by similarity to an image: creates the index for it, or updates it"
    risk = types.RiskLevel.MEDIUM
    failure = "CCIP could not create the similarity index"
    function = staticmethod(compute_similarity)
    asks = route.asked(patches_field=route.text, embeddings_field=route.text, brain_key=route.text, backend=route.text)
    parameters = ("brain_key", "backend", "embeddings_field")
    is_delegable = True

    def ask(self, form: Form) -> None:
        if not form.has_dataset():
            return
        if form.use_target(lambda: form.ask_items(self.samples(form.ctx)).whole()) is None:
            return
        embeddings = ask_embeddings(form, without="will not be in the index", opens_model=False)
        if embeddings is not None:
            key, run = ask_brain_key(form, similarity_key(form.target.path(embeddings.field)), "similarity")
            if run is not None:
                form.hint("update", f"The index {key!r} exists ({run.method}): it will be updated.")
            _ask_backend(form, None if run is None else run.method)

    def samples(self, ctx: Any) -> Any:
        """The whole dataset, which an index always covers; a patches view names the detections."""
        return ctx.view if isinstance(ctx.view, PatchesView) else whole_dataset(ctx)

    def show(self, report: SimilarityReport, out: Output) -> None:
        out.facts(report.facts(), "CCIP: similarity index")
        out.is_clean = not report.n_missing


def _ask_backend(form: Form, current: str | None) -> None:
    offered = {backend.name: backend for backend in backends() if backend.is_set_up}
    choices = []
    for name, backend in offered.items():
        label, description = BACKENDS.get(name, (name, "as configured in FiftyOne"))
        choices.append(Choice(name, label, _described(backend, description)))
    default = current if current in offered else SKLEARN
    chosen = offered.get(form.choose("backend", "Backend", choices, default=default) or default)
    if chosen is None:
        form.error("backend", "There is no such backend.")
        return
    if chosen.problem is not None:
        form.error("backend", f"{chosen.name} {chosen.problem}.")
    elif current not in (None, chosen.name):
        form.warning("backend", f"The backend of the index is {current} so far; the index will be created again.")
    if chosen.is_exact and find_registration() is None:
        text = "To search with an uploaded image in the App's own panel, run 'CCIP: register models' as well."
        form.hint("register", text)


def _described(backend: Backend, description: str) -> str:
    if backend.problem is not None:
        return f"{description}; {backend.problem}"
    return f"{description}; keeps a copy of the vectors in {backend.place}" if backend.place else description
