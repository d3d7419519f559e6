"""CCIP models in FiftyOne's model zoo."""

from typing import TYPE_CHECKING

from ..core.lazy import lazy_names

__all__ = [
    "download_model",
    "load_model",
    "manage_models",
    "parse_parameters",
    "register_model",
    "resolve_input",
    "unregister_model",
]

if TYPE_CHECKING:
    from .manage import manage_models
    from .registration import register_model, unregister_model
    from .source import download_model, load_model, parse_parameters, resolve_input

_MODULES = {
    "manage": ("manage_models",),
    "registration": (
        "register_model",
        "unregister_model",
    ),
    "source": (
        "download_model",
        "load_model",
        "parse_parameters",
        "resolve_input",
    ),
}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
