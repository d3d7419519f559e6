"""Plain values for JSON."""

import json
import math

import pytest

from ccip_plugin.core.plain import number, plain


@pytest.mark.parametrize(
    "value, expected",
    [
        pytest.param(math.nan, None, id="NaN"),
        pytest.param(-math.inf, None, id="infinity"),
        pytest.param(0.0, 0.0, id="zero"),
        pytest.param((1, (2.5, math.nan)), [1, [2.5, None]], id="tuples"),
        pytest.param({"a": {"b": [math.inf, "x"]}}, {"a": {"b": [None, "x"]}}, id="nested"),
        pytest.param(None, None, id="None"),
        pytest.param(True, True, id="a truth value"),
    ],
)
def test_plain(value, expected):
    assert plain(value) == expected
    json.dumps(plain(value), allow_nan=False)


def test_numbers_come_back():
    assert math.isnan(number(None)) and number(0.0) == 0.0
