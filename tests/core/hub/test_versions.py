"""The tests of downloads with older versions of huggingface_hub, down to the oldest that is allowed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support import services

ROOT = Path(__file__).resolve().parents[3]
OLDEST, BEFORE_HTTPX = "0.24.0", "0.36.0"
TESTS = ("core/hub/test_download.py", "core/hub/test_files.py", "core/datasets/test_character_similarity.py")


@pytest.mark.install
@pytest.mark.slow
@pytest.mark.parametrize("version", [OLDEST, BEFORE_HTTPX])
def test_downloads_work_with(version, pip, tmp_path):
    pip(
        "install", "--quiet", "--no-deps", "--no-compile", "--target", tmp_path / "older", f"huggingface_hub=={version}"
    )
    environment = services.INHERITED | {"PYTHONPATH": str(tmp_path / "older"), "HF_HOME": str(tmp_path / "home")}

    def run(*arguments: object) -> str:
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    assert run("-c", "import huggingface_hub; print(huggingface_hub.__version__)").strip() == version
    summary = run("-m", "pytest", "-q", "-p", "no:cacheprovider", *(ROOT / "tests" / name for name in TESTS))
    assert " passed" in summary and "skipped" not in summary


def test_the_oldest_is_the_one_that_is_allowed():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    (hub,) = (Requirement(line) for line in lines if line.startswith("huggingface"))
    assert hub.specifier.contains(OLDEST) and not hub.specifier.contains("0.23.5")
    assert os.environ.get("HF_HUB_OFFLINE") is None, "or nothing is downloaded in these tests"
