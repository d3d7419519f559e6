"""What the command line understands: commands, the short form, folders named like commands, help."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

import ccip_plugin
from ccip_plugin.__main__ import main
from ccip_plugin.cli.parsers import COMMANDS, make_parser, parse
from docs.generated import help_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working folder, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "line, expected",
    [
        pytest.param("group a b --dataset x", {"command": "group", "images": ["a", "b"]}, id="group"),
        pytest.param("a b --dataset x", {"command": "group", "images": ["a", "b"]}, id="short for group"),
        pytest.param("--dataset x a", {"command": "group", "images": ["a"]}, id="short, an option first"),
        pytest.param("--dataset x", {"command": "group", "images": [], "propose": False}, id="no images"),
        pytest.param("--dataset=x -- --a", {"command": "group", "images": ["--a"]}, id="a name like an option"),
        pytest.param("./undo --dataset x", {"command": "group", "images": ["./undo"]}, id="a path like a command"),
        pytest.param("apply --dataset x", {"command": "apply", "group_field": None}, id="apply"),
        pytest.param("undo --dataset x --patches-field p", {"command": "undo", "patches_field": "p"}, id="undo"),
        pytest.param("redo --dataset x --group-field g", {"command": "redo", "group_field": "g"}, id="redo"),
        pytest.param("models", {"command": "models", "action": None, "model_dir": None}, id="models"),
        pytest.param("models list", {"command": "models", "action": "list"}, id="models list"),
        pytest.param("models --model-dir . list", {"action": "list", "model_dir": "."}, id="models list, a folder"),
        pytest.param("models download m", {"action": "download", "name": "m", "quiet": False}, id="models download"),
        pytest.param("models --quiet download m", {"action": "download", "quiet": True}, id="an option before"),
        pytest.param("models download m --quiet", {"action": "download", "quiet": True}, id="an option after"),
        pytest.param("models --model-dir . check m", {"model_dir": ".", "images": None}, id="a folder before"),
        pytest.param("models check m --images a b", {"action": "check", "images": ["a", "b"]}, id="models check"),
        pytest.param(
            "character-similarity images_test_v1 --revision r",
            {"command": "character-similarity", "subset": "images_test_v1", "dataset": None, "revision": "r"},
            id="character-similarity",
        ),
    ],
)
def test_parse(line, expected):
    options = vars(parse(line.split(), "ccip"))
    assert {name: options[name] for name in expected} == expected


@pytest.mark.parametrize("command", COMMANDS)
def test_a_word_that_is_a_command_and_a_folder_is_an_error(command, folder, capsys):
    (folder / command).mkdir()
    with pytest.raises(SystemExit, match="2"):
        parse([command, "--dataset", "x"], "ccip")
    assert f"{command!r} is a command, and also a folder here: write ./{command}" in capsys.readouterr().err
    assert parse([f"./{command}", "--dataset", "x"], "ccip").images == [f"./{command}"]


def test_a_file_named_like_a_command_is_in_nobodys_way(folder):
    (folder / "models").touch()
    assert parse(["models"], "ccip").command == "models"


@pytest.mark.parametrize(
    "line, error",
    [
        pytest.param("histroy", "'histroy' is neither a file or folder nor a command: group, apply, undo", id="typo"),
        pytest.param("histroy --quiet", "'histroy' is neither a file or folder nor a command", id="typo, options"),
        pytest.param(".", "the following arguments are required: --dataset", id="no dataset"),
        pytest.param("undo", "ccip undo: error: the following arguments are required: --dataset", id="undo what"),
        pytest.param("models chuck", "invalid choice: 'chuck'", id="no such action"),
        pytest.param("undo --dataset x --eps 1", "unrecognized arguments: --eps", id="an option of another command"),
        pytest.param("--dataset x --model-dir no", "argument --model-dir: there is no folder 'no'", id="no folder"),
        pytest.param("models --model-dir no", "argument --model-dir: there is no folder 'no'", id="models, no folder"),
        pytest.param("--dataset x --workers 0", "'0' is not a whole number, at least 1", id="workers"),
        pytest.param("--dataset x --eps 2", "'2' is not a difference from 0 to 1", id="eps"),
    ],
)
def test_wrong_usage(line, error, capsys):
    with pytest.raises(SystemExit, match="2"):
        parse(line.split(), "ccip")
    assert error in capsys.readouterr().err


def test_a_path_that_does_not_exist_is_for_the_command_to_report():
    assert parse(["nowhere", "--dataset", "x"], "ccip").images == ["nowhere"]


def actions(parser: argparse.ArgumentParser, name: str = ""):
    """All options of all commands, as ``(command, action)``."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, subparser in action.choices.items():
                yield from actions(subparser, f"{name} {word}".strip())
        else:
            yield name, action


def test_every_option_is_described():
    described = [
        (name, action.option_strings or action.dest, action.help) for name, action in actions(make_parser("x"))
    ]
    assert len(described) > 50
    assert [(name, option) for name, option, text in described if not text or len(text) < 5] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_describes_it(command):
    text = help_of(command)
    assert COMMANDS[command].description.split(".")[0].split("\n")[0] in text
    assert text.startswith(f"usage: ccip {command}")


def test_the_short_form_has_the_help_of_group():
    assert help_of(".") == help_of("group")


def test_help_imports_nothing_heavy():
    """Not even numpy: the list of commands answers at once."""
    code = """if True:
        import contextlib, sys
        from ccip_plugin.__main__ import main
        with contextlib.suppress(SystemExit):
            main(["--help"])
        heavy = {"numpy", "PIL", "sklearn", "scipy", "onnxruntime", "huggingface_hub", "fiftyone", "tqdm", "tabulate"}
        print(sorted(heavy & set(sys.modules)))
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("flag", ["-V", "--version"])
def test_version(flag, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([flag])
    assert capsys.readouterr().out == f"ccip {ccip_plugin.__version__}\n"
