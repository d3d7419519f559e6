"""The form of an operator: its inputs, hints and errors."""

from collections.abc import Callable, Sequence
from typing import Any

import fiftyone as fo
from fiftyone.core.collections import SampleCollection
from fiftyone.core.patches import PatchesView
from fiftyone.operators import ViewTarget, types

from ..core.errors import CCIPError
from ..core.options import Choice
from ..reports.facts import counted
from ..storage.targets import Target, detection_fields, is_field_name, resolve
from .answers import WHOLE_IMAGES, number_of, patches_field_of, text_of
from .counts import COUNT_LIMIT, is_countable, n_samples
from .model_folders import in_app
from .selection import target_samples

RADIO_CHOICES = 5
"""More choices without descriptions are shown as a list."""
SEARCHED_CHOICES = 8
"""Longer lists can be searched."""
HALF = 6
"""Half of the width of a form, for two inputs beside each other."""
FIRST_TARGETS = (ViewTarget.CURRENT_VIEW, ViewTarget.BASE_VIEW, ViewTarget.DATASET)


class Form:
    """A form that is being built, and the answers so far. Building it never writes.

    Args:
        ctx: the execution context
        title: the title of the form
        button (None): the text of the button, "Execute" by default
    """

    def __init__(self, ctx: Any, title: str, button: str | None = None):
        self.ctx, self.button, self._title = ctx, button, title
        self.inputs = types.Object()
        self._target: Target | None = None

    @property
    def target(self) -> Target:
        """The items to work on, once they were asked for."""
        if self._target is None:
            raise LookupError("the form has not asked for its target")
        return self._target

    def as_property(self) -> types.Property:
        """The form as FiftyOne takes it."""
        button = {"submit_button_label": self.button} if self.button else {}
        return types.Property(self.inputs, view=types.PromptView(label=self._title, **button))

    # -- messages

    def error(self, name: str, text: str) -> None:
        """Shows a problem; the form cannot be submitted."""
        shown = self.inputs.view(f"{name}_error", types.Error(label=text))
        shown.invalid, shown.error_message = True, text

    def needs(self, name: str, text: str) -> None:
        """Says what has to be filled in; until then the form cannot be submitted."""
        shown = self.inputs.view(f"{name}_needed", types.Notice(label=text))
        shown.invalid, shown.error_message = True, text

    def warning(self, name: str, text: str) -> None:
        """Shows a warning; the form can be submitted."""
        self.inputs.view(f"{name}_warning", types.Warning(label=text))

    def hint(self, name: str, text: str) -> None:
        """Shows a hint."""
        self.inputs.view(f"{name}_hint", types.Notice(label=text))

    # -- inputs

    def choose(
        self,
        name: str,
        label: str,
        choices: Sequence[Choice],
        *,
        default: str | None = None,
        description: str | None = None,
        is_list: bool = False,
        is_half: bool = False,
        is_searchable: bool = False,
        problem: str | None = None,
    ) -> str | None:
        """Asks for one of some values.

        Args:
            name: the parameter
            label: the question
            choices: the values, with their labels
            default (None): the value that the form begins with
            description (None): one line more
            is_list (False): whether few values are a list, too
            is_half (False): whether the list takes half the width, beside another input
            is_searchable (False): whether a long list can be searched
            problem (None): why the answer cannot be used

        Returns:
            the answer, the default where nothing was chosen
        """
        width = {"space": HALF} if is_half else {}
        if is_searchable and len(choices) > SEARCHED_CHOICES:
            view = types.AutocompleteView()
        elif not is_list and (len(choices) <= RADIO_CHOICES or any(choice.description for choice in choices)):
            view = types.RadioGroup(orientation="vertical")
        else:
            view = types.Dropdown(**width)
        for choice in choices:
            view.add_choice(choice.value, label=choice.label, description=choice.description or None)
        shown: dict[str, Any] = {"label": label, "default": default, "description": description}
        _mark(self.inputs.enum(name, view.values(), view=view, **shown), problem)
        return text_of(self.ctx, name) or default

    def text(
        self,
        name: str,
        label: str,
        *,
        default: str | None = None,
        description: str | None = None,
        is_half: bool = False,
        problem: str | None = None,
    ) -> str | None:
        """Asks for a text, in half the width or the whole; gives the answer, the default where it is empty."""
        view = types.TextFieldView(space=HALF) if is_half else None
        _mark(self.inputs.str(name, label=label, default=default, description=description, view=view), problem)
        return text_of(self.ctx, name) or default

    def number(
        self,
        name: str,
        label: str,
        *,
        kind: type = float,
        default: float | None = None,
        placeholder: str | None = None,
        description: str | None = None,
        is_half: bool = False,
        problem: str | None = None,
    ) -> Any:
        """Asks for a number.

        Args:
            name: the parameter
            label: the question
            kind (float): or int
            default (None): the number that the form begins with
            placeholder (None): what an empty input shows
            description (None): one line more
            is_half (False): whether it takes half the width, as one with a placeholder does
            problem (None): why the answer cannot be used

        Returns:
            what was typed, None when the input is empty
        """
        view = None
        if placeholder is not None or is_half:
            view = types.TextFieldView(space=HALF, **({} if placeholder is None else {"placeholder": placeholder}))
        add = self.inputs.int if kind is int else self.inputs.float
        _mark(add(name, label=label, default=default, description=description, view=view), problem)
        return number_of(self.ctx, name)

    def switch(
        self,
        name: str,
        label: str,
        *,
        default: bool = False,
        description: str | None = None,
        problem: str | None = None,
    ) -> bool:
        """Asks yes or no; gives the answer."""
        view = types.SwitchView()
        _mark(self.inputs.bool(name, label=label, default=default, description=description, view=view), problem)
        answer = self.ctx.params.get(name)
        return default if answer is None else bool(answer)

    # -- what to work on

    def ask_target(self, action: str) -> Target | None:
        """Asks what to work on: the dataset, the view or the selected samples; and images or detections.

        Args:
            action: what will be done, one verb

        Returns:
            the items; None when there are none, and then the form says why
        """
        ctx = self.ctx
        if not self.has_dataset():
            return None
        asked = self.inputs.view_target(
            ctx,
            require_flat=True,
            action_description=action,
            dataset_description=f"{action} every image of the dataset",
            base_view_description=f"{action} all detections of this view",
            current_view_description=f"{action} the current view",
            selected_samples_description=f"{action} only the selection: {counted(len(ctx.selected), 'sample')}",
        )
        # FiftyOne's default is the selected samples, which may be selected for another reason
        available = asked.options.available_values()
        asked.default = next((choice for choice in FIRST_TARGETS if choice in available), None)
        return self.use_target(lambda: self.ask_items(target_samples(ctx)))

    def use_target(self, find: Callable[[], Target]) -> Target | None:
        """Sets the target of the form; an error is shown.

        Args:
            find: gives the items

        Returns:
            the items; None when they cannot be used or there are none, and then the form says why
        """
        try:
            target = find()
        except CCIPError as error:
            self.error("target", sentence(error))
            return None
        if not has_items(target):
            where = "dataset" if target.is_whole else "view"
            self.error("target", f"There are no {target.noun} in this {where}{_how_to_add(target)}")
            return None
        self._target = target
        self._say_part(target)
        return target

    def _say_part(self, target: Target) -> None:
        """Says where not all of the dataset is used: the view may have been left by something else."""
        if target.is_whole or not is_countable(target.dataset):
            return
        path = target.path("id")
        n, n_all = target.view.count(path), target.whole().view.count(path)
        if n < n_all:
            self.warning("part", f"Only {n:,} of the {counted(n_all, target.noun.removesuffix('s'))} are used.")

    def ask_items(self, samples: SampleCollection) -> Target:
        """Asks for images or detections of samples.

        Raises:
            TargetError: they cannot be worked on
        """
        return resolve(samples, self._ask_patches_field(samples))

    def has_dataset(self) -> bool:
        """Whether a dataset is open; else the form says so."""
        if self.ctx.dataset is None:
            self.error("dataset", "Open a dataset first.")
        return self.ctx.dataset is not None

    def _ask_patches_field(self, samples: SampleCollection) -> str | None:
        """Asks for images or detections, where the dataset has both; a patches view answers this itself."""
        if isinstance(samples, PatchesView):
            return None
        fields = detection_fields(self.ctx.dataset)
        if fields:
            choices = [
                Choice(WHOLE_IMAGES, "Whole images", "one character in each image"),
                *(Choice(name, f"Detections in {name!r}", "one character in each box") for name in fields),
            ]
            self.choose(
                "patches_field",
                "Images or detections",
                choices,
                default=WHOLE_IMAGES,
                is_list=len(choices) > RADIO_CHOICES,
            )
        return patches_field_of(self.ctx)


def has_items(target: Target) -> bool:
    """Whether there are items; the detections of a large dataset are not looked for."""
    samples = target.view
    if target.is_patches and n_samples(target.dataset) <= COUNT_LIMIT:
        samples = samples.match(fo.ViewField(target.labels_path).length() > 0)
    return bool(samples.limit(1).values("id"))


def _how_to_add(target: Target) -> str:
    if target.is_patches:
        return ": run a detector first, or choose whole images."
    return ": add images first, e.g. with 'ccip FOLDER --dataset NAME'." if target.is_whole else "."


def name_problem(target: Target, name: str, kind: type, content: str) -> str | None:
    """Why a field (on detections: an attribute) cannot be used; None when it can.

    Args:
        target: the items
        name: the name of the field
        kind: the type of its values if it exists: a field type or the class of labels
        content: the values, as text
    """
    if not is_field_name(name):
        return "Letters, digits and _ only, a letter first"
    field = target.dataset.get_field(target.path(name))
    if field is None or kind in (type(field), getattr(field, "document_type", None)):
        return None
    return f"{name!r} contains other values, not {content}: choose another name"


def vector_field_problem(target: Target, name: str) -> str | None:
    """Why a field cannot hold embeddings; None when it can."""
    return name_problem(target, name, fo.VectorField, "vectors")


def group_field_problem(target: Target, name: str) -> str | None:
    """Why a field cannot hold character groups; None when it can."""
    return name_problem(target, name, fo.StringField if target.is_patches else fo.Classification, "character groups")


def field_description(target: Target) -> str:
    """What a field is for a kind of item."""
    return "An attribute of each detection" if target.is_patches else "A field of each image"


def sentence(error: Exception | str) -> str:
    """The text of an error with a capital letter, in the words of the App."""
    text = in_app(error)
    return text[:1].upper() + text[1:]


def _mark(asked: types.Property, problem: str | None) -> None:
    if problem is not None:
        asked.invalid, asked.error_message = True, problem
