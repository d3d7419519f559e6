"""Selections that the App does not send are refused in a sentence, in every form and by every operator."""

import fiftyone.operators as foo
import pytest

from tests.support import faults
from tests.support.app.operator_tools import context, problems, run

pytestmark = pytest.mark.mongo

URIS = faults.uris()
MALFORMED = {
    "selected": [["x"], [1], [None], [["a"]], [{"a": 1}], {"a": 1}, "abc", 5],
    "selected_labels": [
        ["x"],
        [{"field": 1, "label_id": "0" * 24}],
        [{"field": "f"}],
        [{"label_id": "x"}],
        {"a": 1},
        5,
    ],
    "current_sample": ["x", 5, ["a"], {"a": 1}],
}


@pytest.fixture
def data(dataset, images):
    return faults.fill(dataset(*images(faults.LETTERS), persistent=True))


def sent(data, name, value):
    ctx = context(data)
    ctx.request_params[name] = value
    return ctx


@pytest.mark.parametrize("uri", URIS)
def test_malformed_selections(data, uri):
    operator = foo.get_operator(uri)
    for name, values in MALFORMED.items():
        for value in values:
            inputs = operator.resolve_type(sent(data, name, value), "inputs").to_json()["type"]["properties"]
            assert any(f"{name}: " in problem for problem in problems(inputs).values()), (name, value)


@pytest.mark.parametrize("uri", [uri for uri in URIS if foo.get_operator(uri).is_live])
def test_they_are_not_executed(data, uri):
    before = data.values("character_group.label")
    shown = run(uri, data, selected=["x"])
    (error,) = shown["show_output"]["results"]["errors"]
    assert "selected: a list of the ids of samples is expected" in error["reason"]
    assert data.values("character_group.label") == before
