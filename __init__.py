"""Entry points of the FiftyOne plugin and of the source of zoo models.

FiftyOne runs this file again for each request of the App and each model that it loads, so imports are inside functions.
"""


def register(plugin):
    """Called by FiftyOne to register the operators and panels."""
    from .ccip_plugin.operators import register as register_operators
    from .ccip_plugin.panels import register as register_panels

    register_operators(plugin)
    register_panels(plugin)
    _require_restart_after_update(getattr(plugin, "instances", ()))


def _require_restart_after_update(operators):
    """Makes operators ask for a restart, and do nothing else, if this folder was updated since its code was loaded.

    FiftyOne runs this file again at once, but keeps using the modules below it: old and new code would be mixed.
    """
    import re
    from pathlib import Path

    from . import ccip_plugin

    try:
        text = Path(__file__).with_name("ccip_plugin").joinpath("__init__.py").read_text(encoding="utf-8")
    except OSError:  # in the middle of an update
        return
    version = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    if version is None or version[1] == ccip_plugin.__version__:
        return
    message = f"The CCIP plugin was updated from version {ccip_plugin.__version__} to {version[1]}. Restart the App."
    for operator in operators:
        if hasattr(operator, "outdated"):  # it says so itself
            operator.outdated = message
        else:
            operator.resolve_input = lambda ctx: _error_form(message)


def _error_form(message):
    """A form that shows a message and cannot be executed."""
    from fiftyone.operators import types

    inputs = types.Object()
    error = inputs.view("restart", types.Error(label=message))
    error.invalid, error.error_message = True, message
    return types.Property(inputs)


def download_model(model_name, model_path):
    """Called by FiftyOne's model zoo to download a model."""
    from .ccip_plugin import zoo

    zoo.download_model(model_name, model_path)


def load_model(model_name, model_path, **kwargs):
    """Called by FiftyOne's model zoo to load a model."""
    from .ccip_plugin import zoo

    return zoo.load_model(model_name, model_path, **kwargs)


def resolve_input(model_name, ctx):
    """Called by the App to show the options of a model."""
    from .ccip_plugin import zoo

    return zoo.resolve_input(model_name, ctx)


def parse_parameters(model_name, ctx, params):
    """Called by the App to convert the chosen options to arguments of :func:`load_model`."""
    from .ccip_plugin import zoo

    zoo.parse_parameters(model_name, ctx, params)
