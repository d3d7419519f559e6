"""Lazy public names of a package (PEP 562): a module is imported when one of its names is first used."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(
    package: str, modules: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Creates the ``__getattr__`` and ``__dir__`` of a package.

    Args:
        package: the ``__name__`` of the package
        modules: the public names by module

    Returns:
        the two functions
    """
    owners = {name: module for module, names in modules.items() for name in names}

    def get(name: str) -> Any:
        if name not in owners:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            module = importlib.import_module(f".{owners[name]}", package)
        except AttributeError as error:  # in the module; Python would report a missing name of the package
            raise ImportError(f"{package}.{owners[name]}: {error}") from error
        return getattr(module, name)

    def names_of_package() -> list[str]:
        return sorted({*vars(importlib.import_module(package)), *owners})

    return get, names_of_package
