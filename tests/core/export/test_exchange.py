"""Exports that are killed: the next start completes or reverts them, and nothing of either export is lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ccip_plugin.core.export.exchange import Places, exchange, recover, start_new, swap
from ccip_plugin.core.export.manifest import Manifest, write_manifest

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "tests" / "support" / "export" / "killed.py"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="ends child processes in the middle")
@pytest.mark.parametrize("how", ["first", "second", "two renames"])
def test_killed_at_any_moment(tmp_path, how):
    command = [sys.executable, str(SCRIPT), str(tmp_path), how]
    run = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)
    assert result["moments"] > 20
    expected = {"first": {"old, reverted", "new, completed"}, "second": {"old, reverted", "new, completed"}}
    assert expected.get(how, expected["second"]) <= result["outcomes"].keys(), result


def folder(path, generation):
    path.mkdir()
    (path / "file").write_text(str(generation))
    write_manifest(path, Manifest("kohya", generation, ""))


def test_exchange_without_the_system_call(tmp_path, monkeypatch):
    monkeypatch.setattr("ccip_plugin.core.export.exchange.swap", lambda left, right: False)
    places = Places.of(tmp_path / "out")
    for path, generation in ((places.old, 1), (places.target, 2), (places.new, 3)):
        folder(path, generation)
    exchange(places)
    assert [(path / "file").read_text() for path in (places.target, places.old)] == ["3", "2"]
    assert {path.name for path in tmp_path.iterdir()} == {"out", "out.old"}


@pytest.mark.skipif(sys.platform != "linux", reason="a system call of Linux")
def test_swap(tmp_path):
    left, right = tmp_path / "left", tmp_path / "right"
    folder(left, 1)
    folder(right, 2)
    if not swap(left, right):
        pytest.skip("this file system cannot exchange folders")
    assert (left / "file").read_text() == "2"
    assert not swap(left, tmp_path / "nothing")


def test_a_new_folder_without_a_complete_manifest_is_deleted(tmp_path):
    places = Places.of(tmp_path / "out")
    start_new(places)
    (places.new / "file").write_text("")
    assert recover(places) == "reverted"
    assert [*tmp_path.iterdir()] == []


def test_nothing_to_recover(tmp_path):
    places = Places.of(tmp_path / "out")
    folder(places.target, 1)
    assert recover(places) is None
