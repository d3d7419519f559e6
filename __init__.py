"""Entry points of the FiftyOne plugin and of the source of zoo models.

FiftyOne runs this file again for every request of the App and for every model that it loads: it only points elsewhere.
"""


def register(plugin):
    """Called by FiftyOne to learn what operators there are."""
    from .ccip_plugin.operators import register as register_operators

    register_operators(plugin)


def download_model(model_name, model_path):
    """Called by FiftyOne's model zoo to fetch a model."""
    from .ccip_plugin import zoo

    zoo.download_model(model_name, model_path)


def load_model(model_name, model_path, **kwargs):
    """Called by FiftyOne's model zoo to load a model."""
    from .ccip_plugin import zoo

    return zoo.load_model(model_name, model_path, **kwargs)


def resolve_input(model_name, ctx):
    """Called by the App to learn what can be chosen for a model."""
    from .ccip_plugin import zoo

    return zoo.resolve_input(model_name, ctx)


def parse_parameters(model_name, ctx, params):
    """Called by the App to turn what was chosen into arguments of :func:`load_model`."""
    from .ccip_plugin import zoo

    zoo.parse_parameters(model_name, ctx, params)
