"""The evidence that docs/rubric.md names is there: files, and tests by their names."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "rubric.md").read_text(encoding="utf-8")
TESTS = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
FILE = re.compile(r"`((?:[\w-]+/)*[\w-]+\.(?:py|md|yml|json|txt))`")
NAME = re.compile(r"-k (?:\"([^\"]+)\"|(\w+))")


@pytest.mark.parametrize("name", sorted(set(FILE.findall(TEXT))))
def test_files_are_there(name):
    assert (ROOT / name).is_file() or any(any((ROOT / folder).rglob(name)) for folder in ("ccip_plugin", "tests"))


@pytest.mark.parametrize(
    "name", sorted({word for found in NAME.findall(TEXT) for word in "".join(found).split(" or ")})
)
def test_tests_are_there(name):
    assert re.search(rf"def test_\w*{name.removeprefix('test_')}|class \w*{name}", TESTS)
