"""Asks for the field with the embeddings and describes its content."""

from dataclasses import dataclass

from ...core.calibration import PublishedParameters
from ...core.calibration import load as load_published
from ...core.errors import CCIPError
from ...core.options import Choice
from ...embeddings.load import count_missing
from ...embeddings.provenance import Provenance, embeddings_fields
from ...embeddings.store import Coverage
from ...reports.facts import counted
from ..answers import text_of
from ..counts import is_countable, n_items, n_samples, remembered
from ..forms import Form, sentence
from .models import ask_model_folder, model_folder

COMPUTE_FIRST = "Run 'CCIP: compute embeddings' first."


@dataclass(frozen=True)
class EmbeddingsChoice:
    """The embeddings that a form is about.

    Attributes:
        field: the field (on detections: the attribute)
        provenance: the origin of the embeddings
        published: the published parameters of their model
        n_embedded: the number of items with an embedding, estimated in a large dataset
    """

    field: str
    provenance: Provenance
    published: PublishedParameters
    n_embedded: int


def ask_embeddings(
    form: Form, *, without: str = "will be in no group", opens_model: bool = True
) -> EmbeddingsChoice | None:
    """Asks for the field with the embeddings, where there is a choice, and shows its coverage.

    Args:
        form: the form, with its target
        without: what happens to items without an embedding
        opens_model (True): whether the function takes a folder of models, which is then asked for, too

    Returns:
        the embeddings; None when there are none, or a file of their model is damaged: then the form says so
    """
    fields = embeddings_fields(form.target)
    choices = [Choice(name, f"{name} ({provenance.model_name})") for name, provenance in fields.items()]
    default = next(iter(fields), None)
    if len(fields) > 1:
        form.choose("embeddings_field", "Embeddings field", choices, default=default, is_list=True)
    field = text_of(form.ctx, "embeddings_field") or default
    if field is None or field not in fields:
        form.error("embeddings", f"The {form.target.noun} have no CCIP embeddings yet. {COMPUTE_FIRST}")
        return None
    n_embedded = _show_coverage(form, field, fields[field].model_name, without)
    if opens_model:
        ask_model_folder(form)
    try:
        published = load_published(fields[field].model_name, model_dir=model_folder(form.ctx))
    except CCIPError as error:
        form.error("model", sentence(error))
        return None
    return EmbeddingsChoice(field, fields[field], published, n_embedded)


def coverage_of(form: Form, field: str) -> Coverage | None:
    """Counts the items with and without an embedding; None in a large dataset, and where an error is shown."""
    target = form.target
    if not is_countable(target.dataset):
        return None
    try:
        return remembered(
            target,
            field,
            lambda: count_missing(target.view, embeddings_field=field, patches_field=target.patches_field),
        )
    except CCIPError as error:
        form.error("embeddings_field", sentence(error))
        return None


def _show_coverage(form: Form, field: str, model_name: str, without: str) -> int:
    """Shows how many items have an embedding; gives that number."""
    coverage = coverage_of(form, field)
    if coverage is None:
        n = n_samples(form.target.dataset)
        form.hint("count", f"About {counted(n, 'image')}, embedded with {model_name}.")
        return n
    n_embedded = coverage.n_total - coverage.n_missing
    items = n_items(form.target, coverage.n_total)
    if not n_embedded:
        none = (
            f"None of the {items} has" if coverage.n_total > 1 else f"The {form.target.noun.removesuffix('s')} has not"
        )
        form.error("count", f"{none} an embedding in {field!r} yet. {COMPUTE_FIRST}")
    elif coverage.n_missing:
        form.hint(
            "count", f"{items}, {n_embedded:,} embedded with {model_name}; the other {coverage.n_missing:,} {without}."
        )
    else:
        form.hint("count", f"{items}, all embedded with {model_name}.")
    return n_embedded
