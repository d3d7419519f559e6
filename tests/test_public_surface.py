"""What others may rely on: names, versions, documented commands. A change here is a change for them."""

import importlib
import re
import tomllib
from pathlib import Path

import pytest

import ccip_plugin
from ccip_plugin.cli import parsers
from docs.generated import help_of

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

FUNCTIONS = {
    "Questions",
    "add_and_group",
    "add_images",
    "apply_proposal",
    "calibrate",
    "compare_images",
    "compare_runs",
    "compute_embeddings",
    "compute_similarity",
    "compute_visualization",
    "confirm",
    "count_missing",
    "delete_grouping",
    "detect_characters",
    "drop_change",
    "evaluate_groups",
    "evaluate_model",
    "explore_parameters",
    "export_decisions",
    "find_images",
    "find_similar",
    "group_characters",
    "history",
    "ignore",
    "import_decisions",
    "keep_apart",
    "keep_together",
    "last_report",
    "load_answers",
    "load_calibrated",
    "load_character_similarity",
    "load_embeddings",
    "load_evaluation",
    "load_library",
    "load_proposal",
    "manage_models",
    "merge_libraries",
    "merge_groups",
    "move",
    "name_characters",
    "open_dataset",
    "propose_groups",
    "redo",
    "register_model",
    "reject",
    "remove_ccip",
    "rename_group",
    "rescued_view",
    "review_progress",
    "review_queue",
    "save_answers",
    "save_library",
    "save_views",
    "show_group",
    "show_names",
    "set_cover",
    "split_group",
    "undo",
    "unregister_model",
    "use_thumbnails_in_grid",
}
CORE = {
    "registry": {"MODELS", "get_spec", "DEFAULT_MODEL"},
    "preprocessing": {"load_image", "preprocess"},
    "encoder": {"Encoder"},
    "differences": {"difference", "differences", "same", "merge"},
    "calibration": {"load"},
    "neighbors": {"radius_graph", "NeighborGraph"},
    "clustering": {"cluster", "NOISE"},
    "references": {"References", "match"},
    "evaluation": {"pair_metrics", "group_metrics"},
}
OPTIONS = {
    "group": {
        "--dataset",
        "--no-recursive",
        "--patches-field",
        "--embeddings-field",
        "--group-field",
        "--model",
        "--model-dir",
        "--provider",
        "--workers",
        "--max-pixels",
        "--alpha",
        "--force-square",
        "--blank",
        "--overwrite",
        "--verify",
        "--method",
        "--eps",
        "--min-samples",
        "--parameters",
        "--graph",
        "--mode",
        "--propose",
        "--same-image",
        "--tracks",
        "--no-similarity",
        "--no-thumbnails",
        "--no-visualization",
        "--quiet",
        "--verbose",
    },
    "models": {"--model-dir", "--quiet", "--verbose"},
    "models list": {"--model-dir", "--quiet", "--verbose"},
    "models check": {"--images", "--model-dir", "--quiet", "--verbose"},
    "models download": {"--model-dir", "--quiet", "--verbose"},
    "apply": {"--dataset", "--patches-field", "--group-field", "--quiet", "--verbose"},
    "undo": {"--dataset", "--patches-field", "--group-field", "--number", "--quiet", "--verbose"},
    "redo": {"--dataset", "--patches-field", "--group-field", "--quiet", "--verbose"},
    "decisions": set(),
    "remove": {"--dataset", "--yes", "--quiet", "--verbose"},
    "history": {"--each", "--csv", "--dataset", "--patches-field", "--group-field", "--drop", "--quiet", "--verbose"},
    "cache": {"--quiet", "--verbose"},
    "cache list": {"--quiet", "--verbose"},
    "cache clean": {"--unused-days", "--dry-run", "--quiet", "--verbose"},
    "character-similarity": {"--dataset", "--folder", "--revision", "--quiet", "--verbose"},
}


def test_names():
    assert set(ccip_plugin.__all__) == FUNCTIONS | {"__version__"}
    assert set(dir(ccip_plugin)) >= FUNCTIONS


@pytest.mark.mongo
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_functions(name):
    assert getattr(ccip_plugin, name).__doc__


def test_other_names_are_not_there():
    with pytest.raises(AttributeError, match="no attribute 'regroup'"):
        ccip_plugin.regroup  # noqa: B018


@pytest.mark.parametrize("module", CORE)
def test_core(module):
    assert set(dir(importlib.import_module(f"ccip_plugin.core.{module}"))) >= CORE[module]


def test_version():
    assert ccip_plugin.__version__ == PROJECT["version"]


def test_console_script():
    module, _, function = PROJECT["scripts"]["ccip"].partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_importing_the_package_and_its_help_needs_no_fiftyone(run_python):
    code = """
        import contextlib, sys
        import ccip_plugin, ccip_plugin.__main__
        with contextlib.suppress(SystemExit):
            ccip_plugin.__main__.main(["--help"])
        assert {"fiftyone", "onnxruntime", "sklearn", "pymongo"}.isdisjoint(sys.modules), "heavy"
    """
    assert "exit status:" in run_python(code).stdout


class TestHelp:
    @pytest.mark.parametrize("command", OPTIONS)
    def test_names_every_option(self, command):
        text = help_of(*command.split())
        assert set(re.findall(r"^ +(?:-h, )?(--[a-z-]+)", text, re.MULTILINE)) == OPTIONS[command] | {"--help"}

    def test_lists_every_command_with_one_line_and_every_exit_status(self):
        text = help_of()
        listed = re.findall(r"^    ([a-z-]+)(?: +|\n +)\S", text.partition("commands:")[2], re.MULTILINE)
        assert listed == list(parsers.COMMANDS)
        assert set(listed) == {name for name in OPTIONS if " " not in name}
        assert re.findall(r"^  (\d+) ", text.partition("exit status:")[2], re.MULTILINE) == ["0", "1", "2", "3", "130"]

    @pytest.mark.parametrize("words", [[], ["group"]], ids=["all commands", "group"])
    def test_the_examples_are_commands(self, words):
        text = help_of(*words).partition("examples:")[2].partition("exit status")[0]
        examples = re.findall(r"^  ccip (.*)$", text, re.MULTILINE)
        assert len(examples) >= 5
        for example in examples:
            assert parsers.parse(example.split(), "ccip").command in parsers.COMMANDS

    @pytest.mark.parametrize("command", ["", *OPTIONS])
    def test_fits_a_narrow_terminal(self, command):
        assert max(map(len, help_of(*command.split(), prog="python -m ccip_plugin").splitlines())) <= 80


@pytest.mark.mongo
def test_names_of_version_0_1_0_warn():
    from ccip_plugin.core.errors import ParameterError
    from ccip_plugin.grouping.options import GroupingOptions
    from ccip_plugin.grouping.parameters import GroupingParameters
    from ccip_plugin.labels.edits import Rejection

    options = GroupingOptions(same_image="ignore", tracks="video")
    parameters = GroupingParameters("linkage", 0.1, 2, "model", options=options)
    rejection = Rejection("character_group", {"Rei": 2}, 0)
    for thing, old, value in (
        (parameters, "same_image", "ignore"),
        (parameters, "tracks", "video"),
        (rejection, "words", "2 of 'Rei'"),
        (ParameterError("eps", 2, "a difference"), "wanted", "a difference"),
    ):
        with pytest.warns(DeprecationWarning, match=old):
            assert getattr(thing, old) == value
    with pytest.raises(AttributeError, match="no attribute 'anything'"):
        parameters.anything  # noqa: B018
