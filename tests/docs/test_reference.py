"""The reference pages say what the code does: generated parts are current, names and options are all there."""

import re

import pytest

import ccip_plugin
from ccip_plugin.cli import parsers
from docs import figures, generated
from tests.docs.pages import PAGES, README, ROOT, blocks

GENERATED = [page for page in PAGES if "<!-- generated: " in page.read_text(encoding="utf-8")]
VARIABLE = re.compile(r"\bCCIP_[A-Z_]+\b")


@pytest.mark.mongo
@pytest.mark.parametrize("page", GENERATED, ids=lambda page: str(page.relative_to(ROOT)))
def test_generated_parts_are_current(page):
    text = page.read_text(encoding="utf-8")
    assert generated.fill(text) == text, "make readme ARGS=reference"


def test_every_part_is_in_a_page():
    text = "".join(page.read_text(encoding="utf-8") for page in GENERATED)
    assert {name for name in generated.PARTS if f"<!-- generated: {name} -->" not in text} == set()


def test_an_unknown_part_is_an_error():
    with pytest.raises(generated.UnknownPartError, match="nothing makes 'poems'; there are: functions,"):
        generated.fill("<!-- generated: poems -->\n<!-- /generated -->\n")


def test_options_have_their_meaning():
    for name in ("compute_embeddings", "group_characters"):
        rows = generated.options_of(name).splitlines()[2:]
        assert rows and [row for row in rows if row.endswith("|  |")] == []


def test_the_readme_names_every_operator():
    config = (ROOT / "fiftyone.yml").read_text(encoding="utf-8").partition("operators:\n")[2].partition("skills:")[0]
    names = re.findall(r"- (\w+)", config)
    assert len(names) > 10
    assert [name for name in names if f"`{name}`" not in README.read_text(encoding="utf-8")] == []


def test_the_short_table_has_the_figures_of_the_other_pages():
    pages = [page.read_text(encoding="utf-8") for page in PAGES if page != README]
    text = README.read_text(encoding="utf-8")
    assert figures.fill(text, {figures.GLANCE: figures.glance(*pages)})[0] == text, "make readme ARGS=figures"


def test_environment_variables():
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "ccip_plugin").rglob("*.py"))
    page = (ROOT / "docs" / "reference" / "environment.md").read_text(encoding="utf-8")
    assert set(VARIABLE.findall(code)) - set(VARIABLE.findall(page)) == set()


PYTHON = [
    pytest.param(block.text, id=f"{page.relative_to(ROOT)}:{n}")
    for page in PAGES
    for n, block in enumerate(blocks(page.read_text(encoding="utf-8"), "python"))
]


@pytest.mark.parametrize("text", PYTHON)
def test_examples_compile_and_use_public_names(text):
    compile(text, "example", "exec")
    if "import ccip_plugin as ccip" in text:
        assert set(re.findall(r"\bccip\.(\w+)", text)) <= set(ccip_plugin.__all__)


CODE = {
    path.relative_to(ROOT / "ccip_plugin"): path.read_text(encoding="utf-8")
    for path in (ROOT / "ccip_plugin").rglob("*.py")
}
PACKAGES = "|".join(sorted({path.parts[0] for path in CODE if len(path.parts) > 1}))
NAMED = re.compile(rf"`(?:ccip_plugin[./])?(?P<name>(?:{PACKAGES})(?:[./][\w<>]+)*)/?(?:\.py)?[`(]")


def is_there(name: str) -> bool:
    """Whether a package, a module, or a name in one exists: ``core.encoder.pipeline``, ``storage/fields.py``."""
    parts = re.split(r"[./]", name.removesuffix(".py"))
    folder = ROOT / "ccip_plugin"
    return any(
        (folder.joinpath(*parts[:n]).is_dir() or folder.joinpath(*parts[:n]).with_suffix(".py").is_file())
        and (
            n == len(parts)
            or (
                n == len(parts) - 1
                and any(re.search(rf"^(?:def |class )?{parts[-1]}\b", text, re.M) for text in texts(parts[:n]))
            )
        )
        for n in range(len(parts), 0, -1)
    )


def texts(parts: list[str]) -> list[str]:
    """The texts of a module, or of the modules of a package."""
    return [text for path, text in CODE.items() if path.with_suffix("").parts[: len(parts)] == tuple(parts)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_modules_that_are_named_are_there(page):
    names = {match["name"] for match in NAMED.finditer(page.read_text(encoding="utf-8"))}
    assert sorted(name for name in names if "<" not in name and not is_there(name)) == []


def test_identifiers_of_the_glossary_are_those_of_the_code():
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").partition("## Wording")[0]
    rows = [line.split("|") for line in glossary.splitlines() if line.startswith("| ")][1:]
    words = {
        word for row in rows for token in re.findall(r"`([^`]+)`", row[2]) for word in re.findall(r"[A-Za-z]\w+", token)
    }
    code = "\n".join(CODE.values())
    assert len(words) > 30
    assert sorted(word for word in words if word not in code) == []


COMMANDS = [
    pytest.param(line.partition(" #")[0].split()[1:], id=f"{page.relative_to(ROOT)}: {line.partition(' #')[0].strip()}")
    for page in PAGES
    for block in blocks(page.read_text(encoding="utf-8"), "shell")
    for line in block.text.splitlines()
    if line.startswith("ccip ")
]


@pytest.mark.parametrize("arguments", COMMANDS)
def test_commands_are_understood(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parsers.parse(arguments, "ccip").command in parsers.COMMANDS


def test_make_targets_are_there():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.M)) <= targets, page


@pytest.mark.mongo
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_operators_are_called_by_their_labels(page):
    labels = {row.split(" | ")[1] for row in generated.operators().splitlines()[2:]}
    text = " ".join(page.read_text(encoding="utf-8").split())
    named = set(re.findall(r"(?:\*\*|\")(CCIP: [a-z][^*\"]+)(?:\*\*|\")", text))
    assert named - labels == set()
