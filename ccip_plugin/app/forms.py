"""Pieces of forms that several operators share, and how their answers are read."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar, cast

import fiftyone as fo
import fiftyone.core.media as fomm
from fiftyone.core.patches import PatchesView
from fiftyone.operators import ViewTarget, types

from ..embeddings.load import count_missing
from ..embeddings.provenance import Provenance
from ..embeddings.store import Coverage
from ..storage.internals import sample_documents, view_key
from ..storage.targets import CCIPError, Target, detection_fields, is_field_name, resolve
from ..zoo.table import DEFAULT_MODEL, ModelRow
from ..zoo.table import model_folder as model_folder_of
from ..zoo.table import rows as model_rows

WHOLE_IMAGES = "(whole images)"
"""Stands for "no patches_field" in forms; no field can have this name."""
COUNT_LIMIT = 50_000
"""Forms are built again at each keystroke; in larger datasets they do not count."""
FIRST_CHOICES = (ViewTarget.CURRENT_VIEW, ViewTarget.BASE_VIEW, ViewTarget.DATASET)
MAX_COUNTS = 50
ICONS = {
    "icon": "/assets/ccip.svg",
    "light_icon": "/assets/ccip-light.svg",
    "dark_icon": "/assets/ccip-dark.svg",
}
AT_ONCE = {
    **ICONS,
    "dynamic": True,
    "execute_as_generator": True,
    "allow_immediate_execution": True,
    "allow_delegated_execution": False,
}
"""What operators have in common that are done while people wait, and show how far they are."""

T = TypeVar("T")

_COUNTS: dict[Any, Any] = {}  # keys name a state of the database: another copy of this module costs time only


class Form:
    """A form that is being built, and what was answered so far.

    Args:
        ctx: the execution context
        title: the head of the form
    """

    def __init__(self, ctx: Any, title: str):
        self.ctx, self._title = ctx, title
        self.inputs = types.Object()

    def property(self, button: str | None = None) -> types.Property:
        """The form as FiftyOne wants it.

        Args:
            button (None): what the button says, "Execute" by default
        """
        view = types.PromptView(label=self._title, **({"submit_button_label": button} if button else {}))
        return types.Property(self.inputs, view=view)

    def error(self, name: str, text: str) -> None:
        """Says what is wrong; the form cannot be submitted."""
        found = self.inputs.view(f"{name}_error", types.Error(label=text))
        found.invalid, found.error_message = True, text

    def warning(self, name: str, text: str) -> None:
        """Says what to think of; the form can be submitted."""
        self.inputs.view(f"{name}_warning", types.Warning(label=text))

    def hint(self, name: str, text: str) -> None:
        """Says something that helps to answer."""
        self.inputs.view(f"{name}_hint", types.Notice(label=text))

    def target(self, action: str) -> Target | None:
        """Asks for what to work on: the dataset or the view, else the ticked tiles; and for images or detections.

        Args:
            action: what will be done, one verb

        Returns:
            the answer, None when there is nothing to work on; then the form says why
        """
        ctx = self.ctx
        if ctx.dataset is None:
            self.error("dataset", "Open a dataset first.")
            return None
        asked = self.inputs.view_target(
            ctx,
            require_flat=True,
            action_description=action,
            dataset_description=f"{action} every image of the dataset",
            base_view_description=f"{action} all detections of this view",
            current_view_description=f"{action} what the App shows now",
            selected_samples_description=f"{action} the {len(ctx.selected):,} ticked tiles only",
        )
        # a few tiles that happen to be ticked are not what people mean without saying so
        available = asked.options.available_values()
        asked.default = next((choice for choice in FIRST_CHOICES if choice in available), None)
        try:
            samples = ctx.target_view(require_flat=True)
            return resolve(samples, self.patches_field(samples))
        except CCIPError as error:
            self.error("target", sentence(error))
            return None

    def model(self, recorded: Provenance | None) -> str:
        """Asks for the model; the one of the embeddings that are there is proposed.

        Args:
            recorded: where those come from

        Returns:
            its name
        """
        folder = model_folder(self.ctx)
        known = {row.name: row for row in model_rows(folder)}
        default = recorded.model_name if recorded is not None and recorded.model_name in known else DEFAULT_MODEL
        choices = types.Dropdown()
        for row in known.values():
            choices.add_choice(row.name, label=f"{row.name}: {describe_model(row, is_in_folder=folder is not None)}")
        self.inputs.enum("model_name", choices.values(), label="Model", default=default, view=choices)
        chosen = self.ctx.params.get("model_name") or default
        if chosen not in known:
            self.error("model", f"There is no model {chosen!r}.")
        elif not known[chosen].is_cached:
            self._say_not_here(known[chosen], folder)
        return chosen

    def coverage(self, target: Target, embeddings_field: str) -> Coverage | None:
        """Counts the items with and without embedding, when that is quick; errors are shown."""
        if n_samples(target.dataset) > COUNT_LIMIT:
            return None

        def count() -> Coverage:
            return count_missing(target.view, embeddings_field=embeddings_field, patches_field=target.patches_field)

        try:
            return remembered(target, embeddings_field, count)
        except CCIPError as error:
            self.error("embeddings_field", sentence(error))
            return None

    def _say_not_here(self, row: ModelRow, folder: Path | None) -> None:
        if folder is None:
            self.hint("model", f"{row.name} is not on this machine: {row.size_mb:.0f} MB will be downloaded first.")
        else:
            self.error(
                "model",
                f"{row.name} is not in the folder of models {folder} (CCIP_MODEL_DIR), and with such a folder nothing "
                "is downloaded. Choose another model, or put its files there.",
            )

    def patches_field(self, samples: Any) -> str | None:
        """Asks for images or detections, where there is a choice; None for images, and for a view of patches."""
        if isinstance(samples, PatchesView):
            return None  # the view says it
        fields = detection_fields(self.ctx.dataset)
        if not fields:
            return patches_field_of(self.ctx)
        choices = types.RadioGroup() if len(fields) < 4 else types.Dropdown()
        choices.add_choice(WHOLE_IMAGES, label="Whole images", description="one character in each image")
        for name in fields:
            choices.add_choice(name, label=f"Detections in {name!r}", description="one character in each box")
        default = WHOLE_IMAGES
        self.inputs.enum("patches_field", choices.values(), label="Look at", default=default, view=choices)
        return patches_field_of(self.ctx)


def describe_model(row: ModelRow, *, is_in_folder: bool = False) -> str:
    """What to know of a model when choosing one, in a few words.

    Args:
        row: the model
        is_in_folder (False): whether models are taken from a folder, so that none is downloaded
    """
    if row.f1 is None:
        return "stand-in, knows only the demo drawings"
    words = [f"F1 {row.f1:.3f}", f"{row.size_mb:.0f} MB" if row.size_mb >= 1 else "under 1 MB"]
    if row.name == DEFAULT_MODEL:
        words.insert(0, "default")
    absent = "not in the folder of models" if is_in_folder else "will be downloaded"
    words.append("on this machine" if row.is_cached else absent)
    return ", ".join(words)


def model_folder(ctx: Any) -> Path | None:
    """The folder that models are taken from instead of the hub."""
    return model_folder_of(text_of(ctx, "model_dir"))


def patches_field_of(ctx: Any) -> str | None:
    """The answer to images or detections; None for images."""
    answer = ctx.params.get("patches_field")
    return None if answer in (None, "", WHOLE_IMAGES) else answer


def text_of(ctx: Any, name: str, default: str | None = None) -> str | None:
    """A text that was typed; an empty one means the default."""
    answer = ctx.params.get(name)
    return answer.strip() or default if isinstance(answer, str) else answer or default


def number_of(ctx: Any, name: str) -> Any:
    """A number that was typed, None when the field is empty."""
    answer = ctx.params.get(name)
    return None if answer == "" else answer


def name_problem(target: Target, name: str, kind: type, what: str) -> str | None:
    """Why a field, on detections an attribute, cannot be used; None when it can be.

    Args:
        target: the items
        name: of the field
        kind: the type of its values if it exists: a field type or, for labels, their class
        what: the values in words
    """
    if not is_field_name(name):
        return "Letters, digits and _ only, a letter first"
    found = target.dataset.get_field(target.path(name))
    if found is None or kind in (type(found), getattr(found, "document_type", None)):
        return None
    return f"{name!r} has something else in it, not {what}: choose another name"


def flat(ctx: Any) -> Any:
    """The dataset; of a grouped one, the slices that the App shows."""
    return ctx.dataset if ctx.dataset.media_type != fomm.GROUP else ctx.flatten_group_slices(ctx.view)


def n_samples(dataset: fo.Dataset) -> int:
    """How many samples a dataset has, from what the database remembers of it."""
    return sample_documents(dataset).estimated_document_count()


def things(target: Target, n: int) -> str:
    """So many images, or detections, in words."""
    return counted(n, "detection" if target.is_patches else "image")


def counted(n: int, noun: str) -> str:
    """So many of something, in words."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def options(ctx: Any, names: Iterable[str]) -> dict[str, Any]:
    """The parameters of these names that were given; the defaults of the others are those of the function called."""
    return {name: ctx.params[name] for name in names if ctx.params.get(name) not in (None, "")}


def remembered(target: Target, what: str, count: Callable[[], T]) -> T:
    """What ``count`` gives; it is called again only when samples have changed, as forms ask at each keystroke.

    Args:
        target: what is counted
        what: tells one count of a target from another
        count: the slow count
    """
    samples = sample_documents(target.dataset)
    newest = samples.find_one({}, {"last_modified_at": True}, sort=[("last_modified_at", -1)])  # has an index
    version = (n_samples(target.dataset), newest and newest.get("last_modified_at"))
    key = (samples.name, version, view_key(target.view), target.patches_field, what)
    if (value := _COUNTS.get(key)) is None:
        value = count()
        if len(_COUNTS) >= MAX_COUNTS:
            _COUNTS.clear()
        _COUNTS[key] = value
    return cast(T, value)


def sentence(error: Exception) -> str:
    """The text of an error with a capital."""
    text = str(error)
    return text[:1].upper() + text[1:]
