"""Command line options made from the fields of a class of options."""

import argparse
from dataclasses import dataclass

import pytest

from ccip_plugin.cli.options import add_options, given
from ccip_plugin.core.options import Choice, Options, option


@dataclass(frozen=True)
class Cooking(Options):
    """Options for tests."""

    minutes: int | None = option(None, "how long, 100 % done", minimum=1, metavar="N")
    heat: float = option(0.5, "how hot", noun="a heat", minimum=0, maximum=1, metavar="X")
    way: str = option("boil", "the way", choices=(Choice("boil", "Boil"), Choice("fry", "Fry")))
    pot: str | None = option(None, "the pot", metavar="NAME", choices=(Choice("wok", "Wok"),))
    stir: bool = option(False, "stir it")
    servings: int | None = option(4, "how many plates, None for a pot", minimum=1, metavar="N")
    salt: float | None = option(0.1, "how salty", noun="an amount", minimum=0, metavar="X")
    shelf: str | None = option(None, "a folder", metavar="DIR", flag="--place")
    secret: int = option(7, "for Python only", on_command_line=False)


def parser(**selection):
    made = argparse.ArgumentParser(prog="cook", exit_on_error=False)
    add_options(made, Cooking, **selection)
    return made


@pytest.mark.parametrize(
    "line, expected",
    [
        pytest.param("", {}, id="nothing is given"),
        pytest.param("--minutes 3 --heat 0.2", {"minutes": 3, "heat": 0.2}, id="numbers"),
        pytest.param("--way fry --stir", {"way": "fry", "stir": True}, id="a choice, a switch"),
        pytest.param("--servings None", {"servings": None}, id="None, as in Python"),
        pytest.param("--salt none", {"salt": None}, id="none, as on the command line"),
        pytest.param("--minutes none", {"minutes": None}, id="None where it is the default"),
        pytest.param("--place .", {"shelf": "."}, id="a name of its own"),
    ],
)
def test_given(line, expected):
    assert given(parser().parse_args(line.split()), Cooking) == expected


@pytest.mark.parametrize(
    "line, error",
    [
        pytest.param("--minutes 0", "'0' is not a whole number, at least 1", id="too small"),
        pytest.param("--minutes x", "'x' is not a whole number, at least 1", id="no number"),
        pytest.param("--heat nan", "'nan' is not a heat from 0 to 1", id="not a number"),
        pytest.param("--heat none", "'none' is not a heat from 0 to 1", id="None where it is no value"),
        pytest.param("--servings 0", "'0' is not a whole number, at least 1, or none", id="too small; or none"),
        pytest.param("--place none", "there is no folder 'none'", id="a text is no None"),
        pytest.param("--way burn", "invalid choice: 'burn'", id="no choice"),
        pytest.param("--place nowhere", "there is no folder 'nowhere'", id="no folder"),
    ],
)
def test_invalid_values(line, error):
    with pytest.raises(argparse.ArgumentError, match=error):
        parser().parse_args(line.split())


def test_help():
    text = " ".join(parser().format_help().split())
    for part in (
        "--minutes N how long, 100 % done",
        "--heat X how hot; default: 0.5",
        "--way {boil,fry} the way; default: boil",
        "--pot NAME wok: the pot",
        "--stir stir it",
        "--place DIR a folder",
    ):
        assert part in text
    assert "secret" not in text


@pytest.mark.parametrize(
    "selection, expected",
    [
        pytest.param({"only": ("heat", "stir")}, {"heat", "stir"}, id="only"),
        pytest.param(
            {"without": ("heat", "way", "pot", "servings", "salt", "shelf")}, {"minutes", "stir"}, id="without"
        ),
    ],
)
def test_some_of_the_options(selection, expected):
    assert set(vars(parser(**selection).parse_args([]))) == expected


def test_more_arguments_of_argparse():
    assert vars(parser(default=argparse.SUPPRESS).parse_args(["--stir"])) == {"stir": True}
