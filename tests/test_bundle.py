"""The committed bundle of the review panel: built from the sources beside it, small, every word in every language."""

import hashlib
import json
import re
from pathlib import Path

import pytest

UI = Path(__file__).resolve().parents[1] / "ui"
BUNDLE = UI / "dist" / "index.umd.js"
REBUILD = "run `npm ci && npm run build` in ui/ and commit ui/dist"
LANGUAGES = ("en", "ja", "zh")
LARGEST = 40_000


def hash_of_sources() -> str:
    """As ``ui/build.mjs`` computes it."""
    names = ["build.mjs", "package-lock.json", *(f"src/{path.name}" for path in (UI / "src").iterdir())]
    digest = hashlib.sha256()
    for name in sorted(names):
        text = (UI / name).read_bytes().replace(b"\r\n", b"\n")
        digest.update(name.encode() + b"\0" + text + b"\0")
    return digest.hexdigest()


def test_the_bundle_was_built_from_these_sources():
    sources = hash_of_sources()
    for path in (BUNDLE, BUNDLE.with_name("panel.css")):
        first_line = path.read_text(encoding="utf-8").splitlines()[0]
        assert first_line == f"/*! ccip-review sources-sha256: {sources} */", REBUILD
    for language in LANGUAGES:
        assert words_of(language)["sources"] == sources, REBUILD


def words_of(language: str) -> dict[str, str]:
    return json.loads((BUNDLE.parent / f"words.{language}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_is_there_in_every_language_with_the_same_values(language):
    english, words = words_of("en"), words_of(language)
    assert words.keys() == english.keys()
    for key, text in words.items():
        assert text, key
        assert set(re.findall(r"{\w+}", text)) <= set(re.findall(r"{\w+}", english[key])), key


def test_the_bundle_is_small():
    assert BUNDLE.stat().st_size <= LARGEST


def test_the_sources_are_one_flat_folder_of_small_files():
    paths = list((UI / "src").iterdir())
    assert all(path.is_file() for path in paths)
    assert {path.name: n for path in paths if (n := len(path.read_text(encoding="utf-8").splitlines())) > 400} == {}


def test_the_plugin_names_the_bundle():
    manifest = (UI.parent / "fiftyone.yml").read_text(encoding="utf-8")
    assert re.search(r"^js_bundle: (.*)$", manifest, re.MULTILINE)[1] == BUNDLE.relative_to(UI.parent).as_posix()


@pytest.mark.parametrize("section", ["dependencies", "devDependencies"])
def test_versions_are_exact_and_nothing_names_a_server(section):
    package = json.loads((UI / "package.json").read_text(encoding="utf-8"))
    for name, version in package.get(section, {}).items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), name
    assert '"resolved"' not in (UI / "package-lock.json").read_text(encoding="utf-8")
