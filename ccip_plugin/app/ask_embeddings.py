"""What forms ask and say about embeddings that are there."""

from ..core.calibration import PublishedParameters
from ..core.calibration import load as load_calibration
from ..embeddings.provenance import Provenance, embeddings_fields
from ..embeddings.store import Coverage
from ..storage.targets import CCIPError, Target
from . import forms

COMPUTE_FIRST = "Run 'CCIP: compute embeddings' first."


def ask(
    form: forms.Form, target: Target, *, without: str = "will have no group"
) -> tuple[str, Provenance, PublishedParameters] | None:
    """Asks for the field with the embeddings, where there is a choice, and says what is in it.

    Args:
        form: the form
        target: the items
        without: what will become of those that have no embedding

    Returns:
        the field, where its embeddings come from, and what is published about their model; None when there are no
        embeddings, or the model has a damaged file: then the form says so
    """
    fields = embeddings_fields(target)
    chosen = forms.text_of(form.ctx, "embeddings_field") or next(iter(fields), None)
    if len(fields) > 1:
        _choose(form, fields)
    if chosen is None or chosen not in fields:
        form.error("embeddings", f"The {target.noun} have no CCIP embeddings yet. {COMPUTE_FIRST}")
        return None
    _say_what_is_there(form, target, chosen, fields[chosen], form.coverage(target, chosen), without)
    try:
        known = load_calibration(fields[chosen].model_name, model_dir=forms.model_folder(form.ctx))
    except CCIPError as error:
        form.error("model", str(error))
        return None
    return chosen, fields[chosen], known


def _choose(form: forms.Form, fields: dict[str, Provenance]) -> None:
    choices = forms.types.Dropdown()
    for name, provenance in fields.items():
        choices.add_choice(name, label=f"{name} ({provenance.model_name})")
    default = next(iter(fields))
    form.inputs.enum(
        "embeddings_field", choices.values(), label="Embeddings in the field", default=default, view=choices
    )


def _say_what_is_there(
    form: forms.Form, target: Target, field: str, provenance: Provenance, coverage: Coverage | None, without: str
) -> None:
    of = f"embedded with {provenance.model_name}"
    if coverage is None:
        form.hint("count", f"About {forms.n_samples(target.dataset):,} images, {of}.")
        return
    there = coverage.n_total - coverage.n_missing
    all_of_them = forms.things(target, coverage.n_total)
    if not there:
        form.error("count", f"None of the {all_of_them} has an embedding in {field!r} yet. {COMPUTE_FIRST}")
    elif coverage.n_missing:
        rest = f"{coverage.n_missing:,} without an embedding {without}."
        form.hint("count", f"{all_of_them}, {there:,} of them {of}; {rest}")
    else:
        form.hint("count", f"{all_of_them}, all {of}.")
