"""The rules of the code: who imports what, what importing costs, what FiftyOne finds in the plugin."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "ccip_plugin"
MODULES = {
    path.relative_to(PACKAGE).with_suffix("").as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
}
CORE = sorted(name for name in MODULES if name.startswith("core/"))
# Which modules stand how high; a module imports from its own level and from below. Anything else is level 1.
ADAPTERS, WHOLE_ROADS, ENTRY_POINTS = 1, 2, 3
LEVELS = {
    **dict.fromkeys(("grouping", "deleting"), WHOLE_ROADS),
    **dict.fromkeys(("panel", "cli", "summary", "__main__", "__init__"), ENTRY_POINTS),
}
CORE_PACKAGES = {"numpy", "PIL", "sklearn", "scipy"}
ONLY_IN = {
    "onnxruntime": "core/encoder/session",
    "huggingface_hub": "core/hub",
    "filelock": "core/system",
    "faiss": "core/neighbors/cells",
}
HEAVY = {"sklearn", "scipy", "onnxruntime"}
LONGEST_FUNCTION = 60
# The parts of fiftyone.operators that know no operator and no context.
NO_OPERATORS = {"fiftyone.operators.store", "fiftyone.operators.types"}


def imports(tree: ast.AST, *, at_module_level: bool = False) -> Iterator[tuple[int, str, int]]:
    """Every import as ``(dots, module, line)``; dots is 0 for an absolute one, names follow ``from . import``."""
    for node in _module_level(tree) if at_module_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module is None:
                yield from ((node.level, alias.name, node.lineno) for alias in node.names)
            else:
                yield node.level, node.module, node.lineno


def siblings(name: str, *, at_module_level: bool = False) -> Iterator[tuple[str, int]]:
    """The modules of the package that a module imports relatively, as ``(name, line)``; "" is the package itself."""
    folder = name.split("/")[:-1]
    for dots, module, line in imports(MODULES[name], at_module_level=at_module_level):
        if dots:
            parts = [*folder[: len(folder) - dots + 1], *module.split(".")]
            yield _existing(parts), line


def _existing(parts: list[str]) -> str:
    for end in range(len(parts), 0, -1):
        for candidate in ("/".join(parts[:end]), "/".join([*parts[:end], "__init__"])):
            if candidate in MODULES:
                return candidate
    return "__init__"


def _module_level(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when the module is imported; what stands under TYPE_CHECKING does not."""
    for node in ast.iter_child_nodes(tree):
        is_for_checker = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if is_for_checker or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        yield node
        yield from _module_level(node)


def level(name: str) -> int:
    if name.startswith("core/"):
        return 0
    return ENTRY_POINTS if name.startswith("operators/") else LEVELS.get(name, ADAPTERS)


@pytest.mark.parametrize("name", CORE)
def test_core_stands_alone(name):
    """It imports itself, the standard library and a few packages; compiled heavyweights inside functions only."""
    tree = MODULES[name]
    for dots, module, line in imports(tree):
        top = module.split(".")[0]
        assert dots <= name.count("/"), f"{name}:{line} reaches out of the core"
        if not dots and top not in sys.stdlib_module_names:
            assert top in CORE_PACKAGES or ONLY_IN.get(top) == name, f"{name}:{line} imports {module}"
    for dots, module, line in imports(tree, at_module_level=True):
        assert dots or module.split(".")[0] not in HEAVY, f"{name}:{line} imports {module} at once"


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_one_way(name):
    for dots, module, line in imports(MODULES[name]):
        top = module.split(".")[0]
        assert dots or top != "ccip_plugin", f"{name}:{line} imports our package by its name, not relatively"
        assert ONLY_IN.get(top, name) == name, f"{name}:{line} imports {module}, which is for {ONLY_IN[top]}"
        if not dots and level(name) < ENTRY_POINTS and module.startswith("fiftyone.operators"):
            assert module in NO_OPERATORS, f"{name}:{line} imports {module}: operators do not reach down here"
    for other, line in siblings(name):
        if not other.endswith("__init__"):
            assert level(other) <= level(name), f"{name}:{line} imports {other}, which stands above it"


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("operators/") or name == "panel"])
def test_operators_reach_the_core_through_the_other_modules(name):
    assert [f"{name}:{line} {other}" for other, line in siblings(name) if other.startswith("core/")] == []


def test_no_module_imports_itself_through_others():
    needs = {name: {other for other, _ in siblings(name, at_module_level=True)} - {name} for name in MODULES}
    while free := [name for name, others in needs.items() if not others & needs.keys()]:
        for name in free:
            del needs[name]
    assert needs == {}, "these import each other in a circle"


@pytest.mark.parametrize("name", MODULES)
def test_functions_are_short(name):
    for node in ast.walk(MODULES[name]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            length = node.end_lineno - first.lineno + 1
            assert length <= LONGEST_FUNCTION, f"{name}:{node.lineno} {node.name} has {length} lines"


def test_the_root_imports_inside_its_functions():
    tree = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
    ours = [f"line {line}: {module}" for dots, module, line in imports(tree, at_module_level=True) if dots]
    assert ours == []
    assert {module.split(".")[0] for _, module, _ in imports(tree, at_module_level=True)} <= sys.stdlib_module_names


IMPORT_ALL = """
import importlib, importlib.util, socket, sys
from pathlib import Path

root, *names = sys.argv[1:]

class NoSocket(socket.socket):
    def __init__(self, *args, **kwargs):
        raise AssertionError("a socket was opened")

socket.socket = NoSocket
for name in names:
    importlib.import_module(name)
spec = importlib.util.spec_from_file_location("plugin_root", Path(root) / "__init__.py",
                                              submodule_search_locations=[root])
spec.loader.exec_module(importlib.util.module_from_spec(spec))
print(*sorted({name.split(".")[0] for name in sys.modules}))
"""


def test_importing_is_light_and_opens_no_socket(run_python):
    names = ["ccip_plugin", *(f"ccip_plugin.{name.replace('/', '.').removesuffix('.__init__')}" for name in CORE)]
    loaded = set(run_python(IMPORT_ALL, ROOT, *names).stdout.split())
    assert "ccip_plugin" in loaded
    assert loaded.isdisjoint({*HEAVY, "fiftyone", "torch", "pymongo"})


@pytest.fixture(scope="module")
def plugin(mongo):
    """The plugin as FiftyOne loads it."""
    from fiftyone.operators.registry import OperatorRegistry

    registry = OperatorRegistry(enabled=True)
    assert registry.list_errors() == []
    (found,) = [context for context in registry.plugin_contexts if context.name == "@ccip/characters"]
    return found


class Names:
    """Takes what a plugin registers, listed or not; FiftyOne drops what is not listed without a word."""

    def __init__(self) -> None:
        self.operators: list[str] = []
        self.panels: list[str] = []

    def register(self, cls: type) -> None:
        from fiftyone.operators.panel import Panel

        (self.panels if issubclass(cls, Panel) else self.operators).append(cls().name)


@pytest.mark.mongo
@pytest.mark.parametrize("kind", ["operators", "panels"])
def test_what_is_listed_is_what_is_registered(plugin, kind):
    listed = yaml.safe_load((ROOT / "fiftyone.yml").read_text(encoding="utf-8")).get(kind, [])
    registered = Names()
    sys.modules["fiftyone.plugins.orgs.ccip.characters"].register(registered)
    assert sorted(listed) == sorted(getattr(registered, kind))
    assert set(listed) <= {each.name for each in plugin.instances}


@pytest.mark.mongo
def test_operators_introduce_themselves(plugin):
    from fiftyone.operators.panel import Panel

    configs = [each.config for each in plugin.instances if not isinstance(each, Panel)]
    assert configs
    for config in configs:
        assert config.label.startswith("CCIP: "), config.name
        assert config.description, config.name


@pytest.mark.mongo
def test_plugin_and_package_have_one_version(plugin):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert plugin.plugin_definition.version == project["version"]


@pytest.mark.mongo
def test_each_declares_its_risk(plugin):
    from fiftyone.operators.panel import Panel

    risks = {each.name: each.config.to_json()["risk_level"] for each in plugin.instances if not isinstance(each, Panel)}
    assert "dangerous" not in risks.values(), "what FiftyOne takes where nothing is said"
    assert [name for name, risk in risks.items() if risk == "high"] == ["delete_grouping", "manage_models"]


@pytest.mark.mongo
def test_the_skill_names_operators_that_are_there(plugin):
    from fiftyone.plugins import list_skills

    (skill,) = list_skills(plugin="@ccip/characters")
    assert skill.name == "anime-characters" and skill.description
    there = {each.name for each in plugin.instances}
    table = [line.split("|")[2] for line in skill.content.splitlines() if line.startswith("| ")][1:]
    named = {word.partition("(")[0] for cell in table for word in cell.split("`")[1::2] if "." not in word}
    assert named and named <= there, f"not there: {named - there}"
