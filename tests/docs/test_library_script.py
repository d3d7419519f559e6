"""The script of the guide that reads a character library without this plugin."""

import subprocess
import sys

import numpy as np

from ccip_plugin.core.library.files import write_library
from ccip_plugin.core.library.records import Character, Library, Origin
from tests.docs.pages import ROOT, blocks


def test_ten_lines_read_a_library(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(4, 768))
    characters = (
        Character.of("綾波レイ", vectors[:2], aliases=["Rei"], series="EVA"),
        Character.of("Asuka", vectors[2:]),
    )
    path = write_library(Library(Origin("ccip-demo"), characters), tmp_path / "eva")
    page = (ROOT / "docs" / "guides" / "libraries.md").read_text(encoding="utf-8")
    (script,) = (block.text for block in blocks(page, "python") if "zipfile" in block.text)
    assert len([line for line in script.splitlines() if line.strip()]) <= 10
    (tmp_path / "read.py").write_text(script, encoding="utf-8")
    command = [sys.executable, "-I", "-X", "utf8", str(tmp_path / "read.py"), str(path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8").stdout
    assert printed.splitlines() == ["綾波レイ ['Rei'] EVA (2, 768)", "Asuka [] None (2, 768)"]
