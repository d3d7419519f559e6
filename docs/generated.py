"""Parts of the documentation that are made from the code: options, functions, operators, models, methods, ``--help``.

Between markers, on lines of their own::

    <!-- generated: models -->
    <!-- /generated -->
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import os
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

_BLOCK = re.compile(r"^<!-- generated: (?P<name>[\w-]+) -->\n.*?^<!-- /generated -->$", flags=re.MULTILINE | re.DOTALL)
_ARGUMENT = re.compile(r"^(?P<name>\w+)(?: \((?P<default>.*?)\))?: (?P<text>.*)$")
_COLUMNS = 80  # of a terminal, for --help
_LICENSES = {"openrail": "OpenRAIL"}


class UnknownPartError(ValueError):
    """A marker names a part that nothing makes."""


def fill(text: str) -> str:
    """Makes the parts between markers.

    Args:
        text: a Markdown page

    Raises:
        UnknownPartError: a marker has a name that is not in :data:`PARTS`
    """

    def made(block: re.Match[str]) -> str:
        name = block["name"]
        if name not in PARTS:
            raise UnknownPartError(f"nothing makes {name!r}; there are: {', '.join(PARTS)}")
        return f"<!-- generated: {name} -->\n\n{PARTS[name]().rstrip()}\n\n<!-- /generated -->"

    return _BLOCK.sub(made, text)


def functions() -> str:
    """The public functions, with the first sentence of what they say about themselves."""
    import ccip_plugin

    names = [name for name in ccip_plugin.__all__ if not name.startswith("_")]
    return _table(
        ("function", "what it does"),
        [(f"`{name}`", _markdown(_summary(getattr(ccip_plugin, name)))) for name in sorted(names, key=str.lower)],
    )


def options_of(name: str) -> str:
    """The options of a public function, from its signature and its docstring.

    Args:
        name: the function
    """
    import ccip_plugin

    function = getattr(ccip_plugin, name)
    about = _arguments(function)
    rows = [
        (f"`{option.name}`", f"`{_default(option.default)}`", _markdown(about.get(option.name, "")))
        for option in inspect.signature(function).parameters.values()
        if option.kind is option.KEYWORD_ONLY
    ]
    return _table(("option", "default", "meaning"), rows)


def operators() -> str:
    """The operators in the order in which they are registered."""
    found: list[Any] = []

    class Plugin:
        def register(self, operator: type) -> None:
            found.append(operator())

    from ccip_plugin.operators import register

    register(Plugin())
    configs = [operator.config for operator in found]
    rows = [
        (
            f"`{config.name}`",
            _markdown(config.label),
            _markdown(config.description),
            str(getattr(config.risk_level, "value", config.risk_level)).upper(),
            "yes" if config.allow_delegated_execution else "",
        )
        for config in configs
        if not config.unlisted
    ]
    return _table(("name", "label", "what it does", "risk", "delegated"), rows)


def chosen_models() -> str:
    """The models to choose from first: the default, the one with the best scores, the one of the demo."""
    from ccip_plugin.core.registry import DEFAULT_MODEL, DEMO_MODEL, MODELS

    best = max(MODELS.values(), key=lambda spec: spec.f1 or 0)
    chosen = {DEFAULT_MODEL: "default", best.name: "best published scores", DEMO_MODEL: "knows only the demo drawings"}
    rows = []
    for name, words in chosen.items():
        spec = MODELS[name]
        f1 = "" if spec.f1 is None else f"{spec.f1:.3f}"
        rows.append((f"`{name}`", words, f"{spec.size_mb} MB", f1, _LICENSES.get(spec.license, spec.license)))
    return _table(("model", "", "size", "published F1", "license"), rows)


def models() -> str:
    """The registry of models."""
    from ccip_plugin.core.registry import DEFAULT_MODEL, MODELS

    def score(value: float | None) -> str:
        return "" if value is None else f"{value:.3f}"

    rows = [
        (
            f"`{spec.name}`" + (" (default)" if spec.name == DEFAULT_MODEL else ""),
            str(spec.size_mb),
            *(score(value) for value in (spec.f1, spec.precision, spec.recall)),
            f"{spec.threshold:.4f}",
            *(score(value) for value in (spec.cluster_2, spec.cluster_free)),
        )
        for spec in MODELS.values()
    ]
    head = ("model", "MB", "F1", "precision", "recall", "threshold", "Cluster_2", "Cluster_Free")
    return _table(head, rows, numbers_from=1)


def methods() -> str:
    """The registry of clustering methods, with the parameters for the default model."""
    from ccip_plugin.core import calibration
    from ccip_plugin.core.clustering import METHODS
    from ccip_plugin.core.clustering.methods import DEFAULT_METHOD
    from ccip_plugin.core.registry import DEFAULT_MODEL

    published, rows = calibration.load(DEFAULT_MODEL), []
    for method in METHODS.values():
        eps, min_samples = method.parameters(published)
        rows.append(
            (
                f"`{method.name}`" + (" (default)" if method.name == DEFAULT_METHOD else ""),
                method.label,
                method.description,
                f"{eps:.4f}, {min_samples}",
                "yes" if method.keeps_constraints else "",
                "" if method.needs_all_neighbors else "yes",
            )
        )
    head = ("`method`", "name", "what it does", "`eps`, `min_samples`", "keeps constraints", "approximate search")
    return _table(head, rows)


def command_line() -> str:
    """``--help`` of every command."""
    from ccip_plugin.cli.parsers import COMMANDS

    return "\n\n".join(
        f"### `{' '.join(['ccip', *words])}`\n\n```text\n{help_of(*words)}\n```"
        for words in (
            (),
            *((name,) for name in COMMANDS),
            ("models", "check"),
            ("models", "download"),
            ("cache", "clean"),
        )
    )


def help_of(*words: str, prog: str = "ccip") -> str:
    """What ``--help`` prints on a terminal of 80 columns.

    Args:
        words: a command, none for the list of commands
        prog: the name of the program
    """
    from ccip_plugin.cli import parsers

    before, text = os.environ.get("COLUMNS"), io.StringIO()
    os.environ["COLUMNS"] = str(_COLUMNS)
    try:
        with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
            parsers.parse([*words, "--help"], prog)
        return text.getvalue().rstrip()
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def packages() -> str:
    """The packages and who may import whom, as a diagram: the table of the architecture test, without what follows."""
    from tests.test_architecture import IMPORTS

    def package(name: str) -> str:
        return name.partition(".")[0]

    allowed: dict[str, set[str]] = {}
    for name, others in IMPORTS.items():
        if not name.startswith("__"):
            allowed.setdefault(package(name), set()).update({package(other) for other in others} - {package(name)})
    edges = [
        (name, other)
        for name, others in allowed.items()
        for other in sorted(others)
        if not any(other in allowed[between] for between in others - {other})
    ]
    lines = [f'    {name}["{name}/<br>{_purpose(name)}"]' for name in reversed(allowed)]
    lines += [f"    {name} --> {other}" for name, other in reversed(edges)]
    return "\n".join(["```mermaid", "flowchart TD", *lines, "```"])


def _purpose(package: str) -> str:
    """The first sentence of a package about itself."""
    module = importlib.import_module(f"ccip_plugin.{package}")
    text = _summary(module).partition(". ")[0].rstrip(".")
    return "<br>".join(textwrap.wrap(text, 34))


def package_table() -> str:
    """The packages and what they are for."""
    from tests.test_architecture import IMPORTS

    names = dict.fromkeys(name.partition(".")[0] for name in IMPORTS if not name.startswith("__"))
    rooms = {name: dict.fromkeys(each for each in IMPORTS if each.startswith(f"{name}.")) for name in names}
    rows = []
    for name in names:
        rows.append((f"`{name}/`", _summary(importlib.import_module(f"ccip_plugin.{name}"))))
        for room in rooms[name]:
            module = importlib.import_module(f"ccip_plugin.{room}")
            ending = "/" if hasattr(module, "__path__") else ""
            rows.append((f"`{room.replace('.', '/')}{ending}`", _markdown(_summary(module))))
    return _table(("package", "what it is for"), rows)


PARTS: Mapping[str, Callable[[], str]] = {
    "functions": functions,
    "embedding-options": lambda: options_of("compute_embeddings"),
    "detection-options": lambda: options_of("detect_characters"),
    "grouping-options": lambda: options_of("group_characters"),
    "operators": operators,
    "models": models,
    "chosen-models": chosen_models,
    "methods": methods,
    "command-line": command_line,
    "packages": packages,
    "package-table": package_table,
}


def _summary(function: Any) -> str:
    paragraph, _, _ = inspect.getdoc(function).partition("\n\n")
    return " ".join(paragraph.split())


def _arguments(function: Any) -> dict[str, str]:
    """What a docstring says of each argument."""
    _, _, rest = inspect.getdoc(function).partition("Args:\n")
    found: dict[str, str] = {}
    name = ""
    for line in rest.splitlines():
        if not line.startswith("    "):
            break
        start = _ARGUMENT.match(line.removeprefix("    "))
        if start:
            name = start["name"]
        found[name] = f"{found.get(name, '')} {start['text'] if start else line.strip()}".strip()
    return found


def _default(value: Any) -> str:
    return repr(value) if not isinstance(value, int) or isinstance(value, bool) else f"{value:,}"


def _markdown(text: str) -> str:
    """A docstring as a table cell: roles and double backticks become single ones, nothing is HTML."""
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", text).replace("``", "`")
    return text.replace("|", "\\|").replace("<", "&lt;")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers_from: int | None = None) -> str:
    rule = ["--:" if numbers_from is not None and n >= numbers_from else "---" for n in range(len(head))]
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join(rule)}|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])
