"""The base of the operators: configuration, form, execution, result and the call from Python, written once.

An operator is its name, label, description and risk, and four methods: what it asks, the options that it takes from the
answers, the function that it calls, and what it shows of the result::

    class Undo(CCIPOperator):
        name, label, button = "undo", "CCIP: undo", "Undo"
        description = "Undo the last change of character groups"
        risk = types.RiskLevel.MEDIUM
        failure = "CCIP could not undo the change"
        function = staticmethod(undo)

        def ask(self, form): ...
        def options(self, ctx): ...
        def show(self, report, out): ...
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import fiftyone.operators as foo
from fiftyone.core.collections import SampleCollection
from fiftyone.operators import types
from fiftyone.operators.message import GeneratedMessage

from ..core.errors import CCIPError
from ..core.options import Options
from ..core.progress import ProgressCallback
from ..storage.connection import database_errors, name_of
from ..storage.person import working_as
from . import execution, outputs, route
from .answers import given, patches_field_of
from .ask.models import with_chosen_folder
from .forms import Form, sentence
from .model_folders import OPERATORS
from .packages import MissingPackagesError, check_packages
from .selection import drop_malformed, target_samples

ICONS = {
    "icon": "/assets/ccip.svg",
    "light_icon": "/assets/ccip-light.svg",
    "dark_icon": "/assets/ccip-dark.svg",
}


class MissingAnswerError(CCIPError):
    """An input that has to be filled in is empty."""

    def __init__(self, name: str):
        super().__init__(f"{name.replace('_', ' ')!r} is empty: choose a value")
        self.name = name


class CCIPOperator(foo.Operator):
    """An operator of this plugin.

    Attributes:
        name: the name in its URI
        label: the label in the App
        description: one sentence for the list of operators
        risk: what FiftyOne tells agents; without it an operator counts as dangerous
        failure: the title of an error
        function: the function that it calls, as a ``staticmethod``
        asks: the names that its form asks for, and what each answer can be; the App can give no others
        asks_options: the class of options that its form asks for as well
        parameters: the parameters that :meth:`options` takes from the answers as they are
        button: the text of the button, "Execute" by default
        is_delegable: whether it can be delegated
        is_live: whether it shows its progress and its result in a dialog of its own
        reloads: whether the App has to reload the dataset afterwards
        takes_samples: whether its function works on samples
        is_listed: whether people find it in the list of operators
        toolbar_text: the text of a button above the grid, None for no button; the App draws it without an icon only
    """

    name: ClassVar[str]
    label: ClassVar[str]
    description: ClassVar[str]
    risk: ClassVar[types.RiskLevel]
    failure: ClassVar[str]
    function: ClassVar[Callable[..., Any]]
    asks: ClassVar[Mapping[str, route.Check]] = route.asked()
    asks_options: ClassVar[type[Options] | None] = None
    parameters: ClassVar[tuple[str, ...]] = ()
    button: ClassVar[str | None] = None
    is_delegable: ClassVar[bool] = False
    is_live: ClassVar[bool] = True
    reloads: ClassVar[bool] = True
    takes_samples: ClassVar[bool] = True
    is_listed: ClassVar[bool] = True
    toolbar_text: ClassVar[str | None] = None

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        if "function" in cls.__dict__ and "label" in cls.__dict__:
            OPERATORS.setdefault(cls.function.__name__, repr(cls.label))

    # -- what an operator says

    def ask(self, form: Form) -> None:
        """Adds the inputs to a form. It must not write: FiftyOne calls it at each keystroke."""
        raise NotImplementedError

    def samples(self, ctx: Any) -> Any:
        """The samples to work on, as the form asked for them."""
        return target_samples(ctx)

    def options(self, ctx: Any) -> dict[str, Any]:
        """The keywords of the function, from the answers; a script gives them under the same names."""
        return {**given(ctx, self.parameters), "patches_field": patches_field_of(ctx)}

    def call(self, samples: SampleCollection, progress: ProgressCallback, **options: Any) -> Any:
        """Calls the function."""
        given = (samples,) if self.takes_samples else ()
        return self.function(*given, progress=progress, **options)

    def show(self, report: Any, out: outputs.Output) -> None:
        """Shows what the function returned."""
        raise NotImplementedError

    # -- what FiftyOne asks

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name=self.name,
            label=self.label,
            description=self.description,
            dynamic=True,
            execute_as_generator=self.is_live,
            unlisted=not self.is_listed,
            allow_immediate_execution=True,
            allow_delegated_execution=self.is_delegable,
            risk_level=self.risk,
            view_target=self.is_listed,
            **ICONS,
        )

    def resolve_placement(self, ctx: Any) -> types.Placement | None:
        """The button above the grid. FiftyOne asks at each request: no database here."""
        if self.toolbar_text is None:
            return None
        button = types.Button(label=self.toolbar_text, prompt=True)
        return types.Placement(types.Places.SAMPLES_GRID_SECONDARY_ACTIONS, button)

    def resolve_input(self, ctx: Any) -> types.Property:
        form = Form(ctx, self.label, self.button)
        try:
            check_packages()
        except MissingPackagesError as error:
            form.error("packages", f"{sentence(error)}.")
            return form.as_property()
        try:
            with database_errors(_dataset_name(ctx)):
                if problems := self.keep_answers(ctx):
                    form.error("parameters", str(route.AnswerError(problems)))
                self.ask(form)
                self._ask_needed(form)
        except CCIPError as error:
            form.error("operator", sentence(error))
        return form.as_property()

    def execute(self, ctx: Any) -> outputs.Results | Iterator[GeneratedMessage]:
        problems = self.keep_answers(ctx)

        @database_errors(_dataset_name(ctx))
        def work(progress: ProgressCallback) -> Any:
            if problems:
                raise route.AnswerError(problems)
            samples = self.samples(ctx) if self.takes_samples else None
            options = with_chosen_folder(self.options(ctx))
            self._check_answers(options)
            with working_as(ctx.user_id):
                return self.call(samples, progress, **options)

        @database_errors(_dataset_name(ctx))
        def shown(report: Any) -> outputs.Output:
            out = outputs.Output(ctx, self.label, reloads=self.reloads)
            self.show(report, out)
            return out

        return execution.execute(ctx, work, shown, failure=self.failure, is_live=self.is_live)

    def resolve_output(self, ctx: Any) -> types.Property:
        return outputs.as_property(ctx.results)

    def keep_answers(self, ctx: Any) -> dict[str, str]:
        """Removes every parameter that the form does not ask for, unless it is from Python; gives what was refused."""
        problems = drop_malformed(ctx)
        if route.is_trusted(ctx):
            return problems
        options = {} if self.asks_options is None else route.answers_of(self.asks_options)
        wanted, parameters = {**options, **self.asks}, inspect.signature(self.function).parameters
        return {**problems, **route.keep_answers(ctx.params, wanted, parameters)}

    # -- from Python

    def __call__(self, samples: Any = None, *arguments: Any, delegate: bool = False, **options: Any) -> Any:
        """Calls the function as an ordinary call, without FiftyOne's time limit.

        Args:
            samples: a dataset or view
            arguments: further arguments of the function
            delegate (False): schedule the operator for a worker instead
            options: the keywords of the function

        Returns:
            what the function returns; what ``execute_operator`` returns for a delegated call

        Raises:
            MissingPackagesError: packages of this plugin are not installed
        """
        check_packages()
        given = (samples, *arguments) if self.takes_samples else arguments
        if not delegate:
            with database_errors(name_of(samples) if isinstance(samples, SampleCollection) else None):
                return self.function(*given, **options)
        names = list(inspect.signature(self.function).parameters)
        named = dict(zip(names[1:], arguments, strict=False))
        return execution.schedule(self.uri, samples, {**named, **options})

    def _ask_needed(self, form: Form) -> None:
        """Says which lists without a default have no choice yet, so that the form is not submitted without one."""
        for name in self._needed():
            asked = form.inputs.properties.get(name)
            is_list = asked is not None and isinstance(asked.type, types.Enum)
            if is_list and not asked.invalid and asked.default is None and not form.ctx.params.get(name):
                form.needs(name, f"Choose a value for {asked.view.label!r}.")

    def _check_answers(self, options: dict[str, Any]) -> None:
        """Raises :class:`MissingAnswerError` for an option without a default that has no value."""
        for name in self._needed():
            if name not in options:
                raise MissingAnswerError(name)

    def _needed(self) -> list[str]:
        """The options of the function without a default."""
        parameters = list(inspect.signature(self.function).parameters.values())[1 if self.takes_samples else 0 :]
        kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        return [each.name for each in parameters if each.default is each.empty and each.kind not in kinds]

    def default(self, option: str) -> Any:
        """The default of an option of the function."""
        return default_of(self.function, option)


def _dataset_name(ctx: Any) -> str | None:
    """The dataset that is open in the App."""
    name: str | None = ctx.request_params.get("dataset_name")
    return name


def default_of(function: Callable[..., Any], option: str) -> Any:
    """The default of an option of a function."""
    return inspect.signature(function).parameters[option].default
