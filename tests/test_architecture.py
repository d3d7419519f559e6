"""The rules of the code: which package may import which, how long things are, what importing costs.

``IMPORTS`` is the floor plan. The whole import graph equals it: imports inside functions and under ``TYPE_CHECKING``
count. A new edge, and one that is gone, is a change of this table.
"""

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "ccip_plugin"
MODULES = {
    path.relative_to(PACKAGE).with_suffix("").as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
}

IMPORTS: dict[str, set[str]] = {
    "core.errors": set(),
    "core.lazy": set(),
    "core.plain": set(),
    "core.arrays": set(),
    "core.progress": {"core.errors"},
    "core.options": {"core.errors"},
    "core.system": set(),
    "core.differences": {"core.arrays", "core.errors"},
    "core.preprocessing": {"core.arrays", "core.errors"},
    "core.thumbnails": {"core.errors", "core.preprocessing", "core.system"},
    "core.registry": {"core.errors"},
    "core.ranking": {"core.arrays", "core.differences", "core.errors"},
    "core.references": {"core.arrays", "core.differences", "core.errors"},
    "core.hub": {"core.errors", "core.progress", "core.registry", "core.system"},
    "core.neighbors": {"core.arrays", "core.differences", "core.errors", "core.progress", "core.system"},
    "core.evaluation": {"core.arrays", "core.differences", "core.errors", "core.plain", "core.progress"},
    "core.calibration": {"core.errors", "core.hub", "core.registry"},
    "core.datasets": {"core.errors", "core.hub", "core.progress", "core.system"},
    "core.encoder": {
        "core.arrays",
        "core.calibration",
        "core.differences",
        "core.errors",
        "core.hub",
        "core.preprocessing",
        "core.progress",
        "core.registry",
        "core.system",
        "core.thumbnails",
    },
    "core.detection": {"core.arrays", "core.encoder", "core.errors", "core.hub", "core.preprocessing", "core.progress"}
    | {"core.system"},
    "core.clustering": {
        "core.arrays",
        "core.calibration",
        "core.differences",
        "core.errors",
        "core.neighbors",
        "core.progress",
        "core.registry",
        "core.system",
    },
    "core.identity": {
        "core.arrays",
        "core.clustering",
        "core.differences",
        "core.errors",
        "core.neighbors",
        "core.plain",
    },
    "core.library": {"core.arrays", "core.differences", "core.errors", "core.plain", "core.references", "core.system"},
    "core.tuning": {
        "core.arrays",
        "core.calibration",
        "core.clustering",
        "core.differences",
        "core.errors",
        "core.evaluation",
        "core.neighbors",
        "core.plain",
        "core.progress",
        "core.registry",
    },
    "core.review": {"core.arrays", "core.errors"},
    "core.export": {"core.arrays", "core.errors", "core.plain", "core.preprocessing", "core.progress", "core.system"},
    "storage": {"core.errors"},
    "reports": {"core.errors", "core.plain", "core.progress"},
    "embeddings": {
        "core.differences",
        "core.encoder",
        "core.errors",
        "core.lazy",
        "core.neighbors",
        "core.options",
        "core.preprocessing",
        "core.progress",
        "core.registry",
        "core.system",
        "core.thumbnails",
        "reports",
        "storage",
    },
    "detection": {
        "core.detection",
        "core.encoder",
        "core.errors",
        "core.identity",
        "core.lazy",
        "core.options",
        "core.preprocessing",
        "core.progress",
        "reports",
        "storage",
    },
    "labels": {
        "core.arrays",
        "core.errors",
        "core.identity",
        "core.lazy",
        "core.plain",
        "core.progress",
        "core.review",
        "core.tuning",
        "reports",
        "storage",
    },
    "grouping": {
        "core.arrays",
        "core.calibration",
        "core.clustering",
        "core.errors",
        "core.evaluation",
        "core.identity",
        "core.lazy",
        "core.neighbors",
        "core.options",
        "core.plain",
        "core.progress",
        "core.tuning",
        "embeddings",
        "labels",
        "reports",
        "storage",
    },
    "search": {
        "core.arrays",
        "core.calibration",
        "core.differences",
        "core.encoder",
        "core.errors",
        "core.lazy",
        "core.preprocessing",
        "core.progress",
        "core.ranking",
        "embeddings",
        "labels",
        "reports",
        "storage",
    },
    "library": {
        "core.arrays",
        "core.calibration",
        "core.differences",
        "core.errors",
        "core.identity",
        "core.lazy",
        "core.library",
        "core.plain",
        "core.preprocessing",
        "core.progress",
        "core.references",
        "core.thumbnails",
        "embeddings",
        "labels",
        "reports",
        "storage",
    },
    "brain": {"core.errors", "core.progress", "embeddings", "reports", "storage"},
    "io": {"core.datasets", "core.errors", "core.hub", "core.preprocessing", "core.progress", "reports", "storage"},
    "zoo": {
        "core.arrays",
        "core.calibration",
        "core.clustering",
        "core.differences",
        "core.encoder",
        "core.errors",
        "core.hub",
        "core.lazy",
        "core.plain",
        "core.preprocessing",
        "core.progress",
        "core.references",
        "core.registry",
        "core.system",
        "embeddings",
        "io",
        "reports",
        "storage",
    },
    "review": {"core.arrays", "core.calibration", "core.errors", "core.identity", "core.plain", "core.progress"}
    | {"core.review", "core.thumbnails", "core.tuning", "embeddings", "labels", "storage"},
    "evaluation": {
        "core.arrays",
        "core.calibration",
        "core.clustering",
        "core.errors",
        "core.evaluation",
        "core.lazy",
        "core.neighbors",
        "core.plain",
        "core.progress",
        "core.registry",
        "core.tuning",
        "embeddings",
        "grouping",
        "labels",
        "reports",
        "storage",
    },
    "jobs": {
        "core.calibration",
        "core.differences",
        "core.encoder",
        "core.errors",
        "core.library",
        "core.preprocessing",
        "core.progress",
        "core.references",
        "detection",
        "embeddings",
        "grouping",
        "io",
        "labels",
        "library",
        "reports",
        "storage",
        "zoo",
        "brain",
        "core.neighbors",
        "core.registry",
        "core.system",
        "core.thumbnails",
        "search",
    },
    "app": {
        "brain",
        "core.calibration",
        "core.errors",
        "core.hub",
        "core.options",
        "core.plain",
        "core.progress",
        "core.registry",
        "embeddings",
        "evaluation",
        "labels",
        "reports",
        "storage",
        "zoo",
    },
    "cli": {
        "brain",
        "core.encoder",
        "core.errors",
        "core.hub",
        "core.options",
        "core.preprocessing",
        "core.progress",
        "core.registry",
        "core.system",
        "embeddings",
        "grouping",
        "io",
        "jobs",
        "labels",
        "reports",
        "storage",
        "zoo",
    },
    "operators": {
        "app",
        "brain",
        "core.errors",
        "core.options",
        "core.registry",
        "embeddings",
        "evaluation",
        "grouping",
    }
    | {"jobs", "labels", "library", "review", "search", "storage", "zoo"},
    "panels": {"app"},
    "__init__": {
        "brain",
        "core.lazy",
        "detection",
        "embeddings",
        "evaluation",
        "grouping",
        "io",
        "jobs",
        "labels",
        "library",
        "review",
        "search",
        "zoo",
    },
    "__main__": {"__init__", "cli"},
}
NEVER_FROM_OPERATORS = {"labels/journal", "labels/identities", "labels/changes"}
CORE_PACKAGES = {"numpy", "PIL", "sklearn", "scipy", "tqdm"}
ONLY_IN = {
    "onnxruntime": "core/encoder/session",
    "huggingface_hub": "core/hub/download",
    "filelock": "core/system",
    "faiss": "core/neighbors/cells",
    "pillow_heif": "core/preprocessing/readers",
}
HEAVY = {"sklearn", "scipy", "onnxruntime"}
# The parts of fiftyone.operators that know no operator and no context.
NO_OPERATORS = {"fiftyone.operators.store", "fiftyone.operators.types"}
MOST_MODULES, MOST_LINES, MOST_LINES_OF_TESTS, LONGEST_BODY = 13, 400, 600, 40


def imports(tree: ast.AST, *, at_module_level: bool = False) -> Iterator[tuple[int, str, list[str], int]]:
    """Every import as ``(dots, module, names, line)``; dots is 0 for an absolute one."""
    for node in _module_level(tree) if at_module_level else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name, [], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or "", [alias.name for alias in node.names], node.lineno


def siblings(name: str, *, at_module_level: bool = False) -> Iterator[tuple[str, int]]:
    """The modules of the package that a module imports relatively, as ``(name, line)``."""
    folder = name.split("/")[:-1]
    for dots, module, names, line in imports(MODULES[name], at_module_level=at_module_level):
        if dots:
            parts = [*folder[: len(folder) - dots + 1], *(module.split(".") if module else ())]
            for each in names:
                yield _existing([*parts, each]), line


def _existing(parts: list[str]) -> str:
    for end in range(len(parts), -1, -1):
        for candidate in ("/".join(parts[:end]), "/".join([*parts[:end], "__init__"])):
            if candidate in MODULES:
                return candidate
    raise LookupError(parts)


def _module_level(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when the module is imported; what stands under TYPE_CHECKING does not."""
    for node in ast.iter_child_nodes(tree):
        is_for_checker = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if is_for_checker or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        yield node
        yield from _module_level(node)


def package(name: str) -> str:
    """E.g. ``core.encoder`` of ``core/encoder/session``; modules that lie in ``core/`` itself are packages each."""
    parts = name.removesuffix("/__init__").split("/")
    return ".".join(parts[:2]) if parts[0] == "core" else parts[0]


def edges() -> dict[tuple[str, str], list[str]]:
    """Which package imports which, and where."""
    found: dict[tuple[str, str], list[str]] = {}
    for name in MODULES:
        for other, line in siblings(name):
            if package(name) != package(other):
                found.setdefault((package(name), package(other)), []).append(f"{name}:{line} imports {other}")
    return found


def test_the_import_graph_is_the_table():
    graph: dict[str, set[str]] = {package(name): set() for name in MODULES if name != "core/__init__"}
    for importer, imported in edges():
        graph[importer].add(imported)
    assert graph == IMPORTS, {edge: places for edge, places in edges().items() if edge[1] not in IMPORTS[edge[0]]}


def test_packages_import_what_stands_above_them_in_the_table():
    order = list(IMPORTS)
    assert [(name, other) for name in order for other in IMPORTS[name] if order.index(other) > order.index(name)] == []


@pytest.mark.parametrize("is_at_import", [True, False], ids=["when imported", "inside functions too"])
def test_no_module_imports_itself_through_others(is_at_import):
    graph = {name: {other for other, _ in siblings(name, at_module_level=is_at_import)} - {name} for name in MODULES}
    graph = {name: others for name, others in graph.items() if name != "__init__"}
    while free := [name for name, others in graph.items() if not others & graph.keys()]:
        for name in free:
            del graph[name]
    assert graph == {}, "these import each other in a circle"


@pytest.mark.parametrize("name", sorted(name for name in MODULES if name.startswith("core/")))
def test_core_stands_alone(name):
    """It imports itself, the standard library and a few packages; compiled heavyweights inside functions only."""
    for dots, module, _, line in imports(MODULES[name]):
        top = module.split(".")[0]
        assert dots <= name.count("/"), f"{name}:{line} reaches out of the core"
        if not dots and top not in sys.stdlib_module_names:
            assert top in CORE_PACKAGES or top in ONLY_IN, f"{name}:{line} imports {module}"
    for dots, module, _, line in imports(MODULES[name], at_module_level=True):
        assert dots or module.split(".")[0] not in HEAVY, f"{name}:{line} imports {module} at once"


@pytest.mark.parametrize("name", MODULES)
def test_outer_packages_have_their_place(name):
    for dots, module, _, line in imports(MODULES[name]):
        top = module.split(".")[0]
        assert dots or top != "ccip_plugin", f"{name}:{line} imports our package by its name, not relatively"
        place = ONLY_IN.get(top, name)
        assert name == place or name.startswith(f"{place}/"), f"{name}:{line} imports {module}, which is for {place}"
        if not dots and module.startswith("fiftyone.operators") and package(name) not in ("app", "operators", "panels"):
            assert module in NO_OPERATORS, f"{name}:{line} imports {module}: operators do not reach down here"


def test_operators_reach_neither_the_journal_nor_identities_nor_the_changes():
    reached = [
        f"{name}:{line} imports {other}"
        for name in MODULES
        if name.startswith("operators/")
        for other, line in siblings(name)
        if other in NEVER_FROM_OPERATORS
    ]
    assert reached == []


def private_uses(name: str) -> list[str]:
    """Attributes that begin with ``_`` of anything but ``self`` and ``cls``, and imports of such names."""
    uses = []
    for node in ast.walk(MODULES[name]):
        is_attribute = isinstance(node, ast.Attribute) and ast.unparse(node.value) not in ("self", "cls")
        if is_attribute and _is_private(node.attr):
            if node.attr not in ("_fields", "_asdict", "_replace"):  # public methods of named tuples
                uses.append(f"line {node.lineno}: {ast.unparse(node)}")
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr", "setattr", "delattr"):
            attribute = node.args[1]
            is_private = isinstance(attribute, ast.Constant) and _is_private(str(attribute.value))
            if is_private and not name.startswith("core/"):  # which knows no FiftyOne
                uses.append(f"line {node.lineno}: {ast.unparse(node)}")
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names if _is_private(alias.name)]
            uses += [f"line {node.lineno}: imports {each}" for each in names]
            if (node.module or "").startswith("fiftyone.core.odm"):
                uses.append(f"line {node.lineno}: imports {node.module}")
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.startswith("fiftyone.core.odm")]
            uses += [f"line {node.lineno}: imports {each}" for each in names]
    return uses


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


@pytest.mark.parametrize("name", [name for name in MODULES if name != "storage/internals"])
def test_private_parts_are_used_in_one_module(name):
    """Those of FiftyOne in ``storage/internals``, each with a contract test; those of our modules nowhere else."""
    assert private_uses(name) == []


def test_folders_hold_few_modules():
    paths = [path for folder in (PACKAGE, ROOT / "tests") for path in folder.rglob("*.py")]
    folders = Counter(path.parent.relative_to(ROOT).as_posix() for path in paths if path.stem != "__init__")
    assert {folder: n for folder, n in folders.items() if n > MOST_MODULES} == {}


def test_modules_are_short():
    lines = {name: len((PACKAGE / f"{name}.py").read_text(encoding="utf-8").splitlines()) for name in MODULES}
    assert {name: n for name, n in lines.items() if n > MOST_LINES} == {}
    tests = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in (ROOT / "tests").rglob("*.py")
    }
    assert {name: n for name, n in tests.items() if n > MOST_LINES_OF_TESTS} == {}


@pytest.mark.parametrize("name", MODULES)
def test_functions_are_short(name):
    for node in ast.walk(MODULES[name]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            length = node.end_lineno - first.lineno + 1
            assert length <= LONGEST_BODY, f"{name}:{node.lineno} {node.name} has {length} lines"


def test_no_module_is_called_like_a_public_name_that_its_package_hands_on():
    """Else the attribute of the package is the function or the module, whichever was imported first."""
    for name, tree in MODULES.items():
        if name.endswith("__init__") and name != "__init__":
            handed_on = next(
                (ast.literal_eval(node.value) for node in tree.body if _assigns(node, "__all__")),
                [],
            )
            folder = name.removesuffix("__init__")
            assert [each for each in handed_on if f"{folder}{each}" in MODULES] == [], name


def _assigns(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name


def test_the_root_imports_inside_its_functions():
    tree = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
    ours = [f"line {line}: {module}" for dots, module, _, line in imports(tree, at_module_level=True) if dots]
    assert ours == []
    assert {module.split(".")[0] for _, module, _, _ in imports(tree, at_module_level=True)} <= sys.stdlib_module_names


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
    names = [
        "ccip_plugin",
        *(
            f"ccip_plugin.{name.replace('/', '.').removesuffix('.__init__')}"
            for name in MODULES
            if name.startswith("core/")
        ),
    ]
    loaded = set(run_python(IMPORT_ALL, ROOT, *names).stdout.split())
    assert "ccip_plugin" in loaded
    assert loaded.isdisjoint({*HEAVY, "fiftyone", "torch", "pymongo"})
