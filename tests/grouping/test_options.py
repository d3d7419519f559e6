"""An option is defined once: one more field of the class is in the signature, the form, the help and the run."""

import json
import shutil
from pathlib import Path

import pytest

from ccip_plugin.grouping.options import GroupingOptions

ROOT = Path(__file__).resolve().parents[2]
ANOTHER = """
    colour: str = option(
        "any",
        "the colour of the hair",
        label="Hair",
        choices=(Choice("any", "Any colour"), Choice("blue", "Blue hair")),
    )
"""
PROGRAM = """
import contextlib, inspect, io, json, sys
import fiftyone as fo
import fiftyone.operators as foo
from fiftyone.operators.executor import ExecutionContext, Executor
import ccip_plugin
from ccip_plugin.__main__ import main
from ccip_plugin.operators.group.group_characters import GroupCharacters

dataset = fo.load_dataset(sys.argv[1])
shown = {"signature": {}, "form": None, "help": io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)}
for name in ("group_characters", "propose_groups"):
    shown["signature"][name] = inspect.signature(getattr(ccip_plugin, name)).parameters["colour"].default
request = {"dataset_name": dataset.name, "params": {"colour": "blue"}, "view": []}
operator = GroupCharacters()
inputs = operator.resolve_input(ExecutionContext(request)).to_json()["type"]["properties"]
shown["form"] = [inputs["colour"]["view"]["label"], [each["value"] for each in inputs["colour"]["view"]["choices"]]]
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(shown["help"]):
    main(["group", "--help"])
shown["help"] = "--colour" in shown["help"].buffer.getvalue().decode()
for _ in operator.execute(ExecutionContext(request, executor=Executor())):
    pass
dataset.reload()
shown["run"] = dataset.get_run_info("ccip_groups").config.parameters["colour"]
print(json.dumps(shown))
"""


@pytest.fixture
def with_one_more(tmp_path):
    """A copy of the package in which the class has one more field; no other line differs."""
    folder = tmp_path / "changed"
    shutil.copytree(ROOT / "ccip_plugin", folder / "ccip_plugin", ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "ccip_plugin" / "grouping" / "options.py"
    path.write_text(path.read_text(encoding="utf-8").rstrip("\n") + "\n" + ANOTHER, encoding="utf-8")
    return folder


@pytest.mark.mongo
def test_an_option_more_is_everywhere(with_one_more, grouped, run_python):
    samples = grouped("aab")
    program = f"import sys; sys.path.insert(0, {str(with_one_more)!r})\n{PROGRAM}"
    shown = json.loads(run_python(program, samples.name).stdout.splitlines()[-1])
    assert shown == {
        "signature": {"group_characters": "any", "propose_groups": "any"},
        "form": ["Hair", ["any", "blue"]],
        "help": True,
        "run": "blue",
    }


def test_names_are_public():
    assert set(GroupingOptions.names()) == {
        "embeddings_field",
        "eps",
        "graph",
        "group_field",
        "method",
        "min_samples",
        "mode",
        "model_dir",
        "parameters",
        "same_image",
        "tracks",
    }
