"""Options: defined once, checked, and taken as keywords."""

import inspect
from dataclasses import dataclass

import numpy as np
import pytest

from ccip_plugin.core.errors import ParameterError
from ccip_plugin.core.options import Choice, Options, option, takes


@dataclass(frozen=True)
class Sample(Options):
    """Options of a test."""

    mode: str = option("all", "what may change", choices=(Choice("all", "All"), Choice("add", "Add")))
    eps: float | None = option(None, "the largest difference", noun="a difference", minimum=0, maximum=1)
    least: int = option(2, "the smallest group", minimum=1, flag="--smallest")
    is_loud: bool = option(False, "whether to log", is_recorded=False)
    folder: str | None = option(None, "where the files are", choices=())


@takes(Sample)
def work(samples, *, options: Sample, progress=None):
    """Works.

    Args:
        samples: a dataset
        {options}
        progress: called
    """
    return samples, options, progress


@pytest.mark.parametrize(
    "name, value, expected",
    [
        pytest.param("mode", "new", "one of all, add", id="no choice"),
        pytest.param("mode", None, "one of all, add", id="None where there is no None"),
        pytest.param("eps", 1.5, "a difference from 0 to 1", id="too large"),
        pytest.param("eps", float("nan"), "a difference from 0 to 1", id="no number"),
        pytest.param("eps", "0.5", "a difference from 0 to 1", id="a text"),
        pytest.param("eps", True, "a difference from 0 to 1", id="True is no number"),
        pytest.param("least", 0, "a whole number, at least 1", id="too small"),
        pytest.param("least", 2.5, "a whole number, at least 1", id="a float"),
        pytest.param("is_loud", 2, "True or False", id="2 is not True"),
        pytest.param("folder", 3, "a text", id="no text"),
    ],
)
def test_invalid_values_are_refused(name, value, expected):
    with pytest.raises(ParameterError) as caught:
        Sample(**{name: value})
    assert (caught.value.name, caught.value.expected) == (name, expected)


@pytest.mark.parametrize(
    "name, value, expected",
    [
        pytest.param("least", 3.0, 3, id="a whole number as float"),
        pytest.param("least", 1e9, 10**9, id="in powers of ten"),
        pytest.param("is_loud", 1, True, id="1"),
        pytest.param("is_loud", 0, False, id="0"),
        pytest.param("is_loud", np.bool_(True), True, id="of numpy"),
    ],
)
def test_equal_values_of_another_type_are_converted(name, value, expected):
    found = getattr(Sample(**{name: value}), name)
    assert found == expected and type(found) is type(expected)


def test_numbers_of_numpy_are_numbers(tmp_path):
    options = Sample(eps=np.float32(0.5), least=np.int64(3), folder=tmp_path)
    assert (options.eps, options.least, options.folder) == (0.5, 3, tmp_path)


def test_a_function_takes_them_as_keywords():
    assert work("images", eps=0.5, progress=print) == ("images", Sample(eps=0.5), print)
    with pytest.raises(TypeError, match="unexpected keyword argument 'epsilon'"):
        work("images", epsilon=0.5)


def test_the_signature_names_them():
    parameters = inspect.signature(work).parameters
    assert list(parameters) == ["samples", "mode", "eps", "least", "is_loud", "folder", "progress"]
    assert (parameters["eps"].default, parameters["least"].annotation) == (None, int)


def test_the_docstring_describes_them():
    lines = [line.strip() for line in work.__doc__.splitlines()]
    assert "eps (None): the largest difference" in lines and "mode ('all'): what may change" in lines
    assert lines[lines.index("samples: a dataset") + 1] == "mode ('all'): what may change"


def test_records():
    options = Sample(eps=0.25, is_loud=True)
    assert options.record() == {"mode": "all", "eps": 0.25, "least": 2, "folder": None}
    assert Sample.from_record({**options.record(), "method": "dbscan"}) == Sample(eps=0.25)


@pytest.mark.parametrize("name, flag", [("least", "--smallest"), ("is_loud", "--is-loud")])
def test_flags(name, flag):
    assert {each.name: each.flag for each in Sample.all()}[name] == flag


@pytest.mark.parametrize("name, label", [("least", "Least"), ("is_loud", "Is loud")])
def test_labels_are_words(name, label):
    assert {each.name: each.label for each in Sample.all()}[name] == label
