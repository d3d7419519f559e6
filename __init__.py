"""Entry points of the FiftyOne plugin. This file runs again for every request of the App: it only points elsewhere."""


def register(plugin):
    """Called by FiftyOne to learn what operators there are."""
    from .ccip_plugin.operators import register as register_operators

    register_operators(plugin)
