"""The committed bundle of the review panel: built from the sources that are beside it, small, and in one piece."""

import hashlib
import json
import re
from pathlib import Path

import pytest

UI = Path(__file__).resolve().parents[1] / "ui"
BUNDLE = UI / "dist" / "index.umd.js"
REBUILD = "run `npm ci && npm run build` in ui/ and commit ui/dist/index.umd.js"
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
    first_line = BUNDLE.read_text(encoding="utf-8").splitlines()[0]
    assert first_line == f"/*! ccip-review sources-sha256: {hash_of_sources()} */", REBUILD


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
