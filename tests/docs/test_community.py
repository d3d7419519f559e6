"""Files that forges and tools read: they parse, and say what the project says elsewhere."""

import subprocess
from typing import Any

import pytest
import yaml

import ccip_plugin
from tests.docs.pages import ROOT

FILES = sorted(
    [*(ROOT / ".github").rglob("*.yml"), ROOT / ".pre-commit-config.yaml", ROOT / "CITATION.cff", ROOT / "fiftyone.yml"]
)


def loaded(name: str) -> Any:
    """The content of a YAML file."""
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_parse(path):
    assert loaded(str(path.relative_to(ROOT)))


def test_one_version():
    assert str(loaded("CITATION.cff")["version"]) == ccip_plugin.__version__
    assert f"## {ccip_plugin.__version__}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_one_license():
    assert loaded("CITATION.cff")["license"] == loaded("fiftyone.yml")["license"] == "Apache-2.0"


def test_the_workflow_runs_what_ci_runs():
    (job,) = loaded(".github/workflows/ci.yml")["jobs"].values()
    assert job["steps"][-1]["run"] == ".ci/run"
    assert job["container"] == "debian:12" and "Debian 12" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_hooks_run_what_make_check_runs():
    (repo,) = loaded(".pre-commit-config.yaml")["repos"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for hook in repo["hooks"]:
        tool, *rest = hook["entry"].removeprefix(".venv/bin/python -m ").split()
        command = rest[0] if tool == "ruff" else " ".join(rest)
        assert any(f"-m {tool} {command}" in line for line in makefile.splitlines()), hook["id"]


def test_forms_ask_for_something_by_different_names():
    for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*_*.yml"):
        ids = [part["id"] for part in loaded(str(path.relative_to(ROOT)))["body"] if part["type"] != "markdown"]
        assert ids and len(ids) == len(set(ids))


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no repository")
def test_text_files_end_lines_with_lf():
    command = ["git", "-c", "safe.directory=*", "ls-files", "--eol"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    endings = {line.split()[0] for line in listed}
    assert endings <= {"i/lf", "i/-text", "i/none"} and len(listed) > 100
