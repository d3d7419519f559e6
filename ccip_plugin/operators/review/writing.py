"""The methods of the panel that write, each by one function that Python has as well."""

from collections.abc import Callable, Mapping
from typing import Any

WRITING: Mapping[str, Callable[..., dict[str, Any]]] = {}
