"""Plain field English: the words to avoid of docs/glossary.md are not in docstrings, messages and documentation."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GLOSSARY = ROOT / "docs" / "glossary.md"
CODE = ROOT / "ccip_plugin"
AVOID = "words to avoid"
IDENTIFIER = re.compile(r"[a-z_]+")  # a key, or the name of a kind


def words_to_avoid(text: str) -> list[str]:
    """The phrases in the column *words to avoid* of the tables of a Markdown page."""
    phrases, column = [], None
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            column = None
        elif AVOID in cells:
            column = cells.index(AVOID)
        elif column is not None and column < len(cells):
            phrases += re.findall(r"`([^`]+)`", cells[column])
    return phrases


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """Docstrings and all other string constants of a module, with their lines, without what is code in them."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and not IDENTIFIER.fullmatch(node.value):
            yield node.lineno, re.sub(r"``[^`]*``", "", node.value)


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """The text of a Markdown page by paragraph, without code, parts made from the code, and the words to avoid."""
    text = re.sub(
        r"```.*?```|<!-- generated: .*?<!-- /generated -->",
        lambda code: "\n" * code[0].count("\n"),
        path.read_text(encoding="utf-8"),
        flags=re.S,
    )
    if path == GLOSSARY:
        text = re.sub(r"^\|.*$", "", text, flags=re.M)
    line = 1
    for paragraph in re.split(r"(\n\s*\n)", text):
        yield line, re.sub(r"`[^`]*`", "", paragraph)
        line += paragraph.count("\n")


PATTERN = re.compile(
    rf"(?<![\w-])(?:{'|'.join(map(re.escape, words_to_avoid(GLOSSARY.read_text(encoding='utf-8'))))})(?![\w-])",
    re.IGNORECASE,
)


def found(path: Path, *, root: Path = ROOT) -> list[str]:
    """Where a file uses words to avoid, as ``file:line: word``."""
    texts = strings(path) if path.suffix == ".py" else prose(path)
    name = path.relative_to(root)
    return [
        f"{name}:{line}: {match[0]!r}" for line, text in texts for match in PATTERN.finditer(" ".join(text.split()))
    ]


MODULES = sorted(CODE.rglob("*.py"))
TOOLS = sorted(
    path for name in ("benchmarks", "demo", "docs", "parity", "scripts") for path in (ROOT / name).glob("*.py")
)
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "skills").rglob("*.md")])


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_strings_of_the_code(path):
    assert found(path) == []


@pytest.mark.parametrize("path", TOOLS, ids=lambda path: str(path.relative_to(ROOT)))
def test_strings_of_the_tools(path):
    assert found(path) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_documentation(path):
    assert found(path) == []


@pytest.mark.parametrize(
    "text, expected",
    [
        pytest.param(
            "| a | words to avoid |\n|---|---|\n| x | `ticked`, `so many` |", ["ticked", "so many"], id="a table"
        ),
        pytest.param("| `x` | b |\n|---|---|\n| `y` | z |", [], id="a table of other things"),
        pytest.param("| words to avoid |\n|---|\n| `a` |\n\n| n |\n|---|\n| `b` |", ["a"], id="ends with its table"),
    ],
)
def test_reads_the_glossary(text, expected):
    assert words_to_avoid(text) == expected


@pytest.mark.parametrize(
    "text, is_found",
    [
        pytest.param("the Ticked samples", True, id="any case"),
        pytest.param("selected samples", False, id="clean"),
        pytest.param("ticket", False, id="a part of another word"),
        pytest.param("so\n    many", True, id="over two lines"),
    ],
)
def test_finds_words(tmp_path, text, is_found):
    (tmp_path / "module.py").write_text(f'def f():\n    """{text}"""\n', encoding="utf-8")
    (tmp_path / "page.md").write_text(f"{text}\n", encoding="utf-8")
    assert [bool(found(tmp_path / name, root=tmp_path)) for name in ("module.py", "page.md")] == [is_found, is_found]
