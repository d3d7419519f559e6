"""What a caller sends comes back shortened, and as valid text."""

import json

import fiftyone.operators as foo
import pytest

from tests.review.tabs import loaded

pytestmark = pytest.mark.mongo
LONG = 600


def told(result):
    """The message of a problem, as it is sent."""
    problem = result["problem"]
    json.dumps(result, ensure_ascii=False).encode()
    return problem["code"], problem["message"]


@pytest.mark.parametrize(
    "args",
    [
        pytest.param({"x" * 30_000: 1}, id="a long name"),
        pytest.param({f"{n:05d}{'x' * 90}": n for n in range(5_000)}, id="many names"),
        pytest.param({"\ud800": 1, "\0\n": 2}, id="no valid text"),
    ],
)
def test_unknown_arguments(panel, made, args):
    tab = panel(made("aaabbb"))
    code, message = told(tab.call(tab.data, "groups", **args))
    assert code == "invalid" and "no such argument" in message and len(message) < LONG


def test_many_unknown_arguments_are_counted(panel, made):
    tab = panel(made("aaabbb"))
    _, message = told(tab.call(tab.data, "groups", **{f"x{n}": n for n in range(12)}))
    assert "'x0'" in message and "'x3'" not in message and "9 more" in message


@pytest.mark.parametrize("name", ["\ud800", "x" * 50_000, "\0", "x\ud800" * 9_000])
def test_a_dataset_that_nobody_can_have(name):
    from tests.support.app.operator_tools import uri

    operator = foo.get_operator(uri("review"))
    request = {"dataset_name": name, "params": {"method": "open", "args": {}}}
    code, message = told(operator.execute(foo.executor.ExecutionContext(request)))
    assert code == "gone" and "was deleted" in message and len(message) < LONG
    opener = foo.get_operator(uri("open_review"))
    assert opener.execute(foo.executor.ExecutionContext({"dataset_name": name, "params": {}})) == {}


@pytest.mark.parametrize(
    "method, args",
    [
        ("groups", {"source": {"group_field": "x" * 1000, "patches_field": "y" * 1000}}),
        ("rename", {"group": 1, "name": "x" * 1000}),
        ("move", {"items": ["5" * 24], "name": "x" * 1000}),
        ("answer", {"question": "x", "kind": "same", "said": "same", "shown": {}, "marked": ["g1" * 3]}),
        ("confirm", {"groups": [1], "sizes": {"9" * 1000: 1}}),
    ],
)
def test_what_is_said_of_arguments_is_short(panel, made, method, args):
    tab = panel(made("aaabbb", persistent=True))
    _, message = told(tab.write(method, **args))
    assert len(message) < LONG


def test_any_other_message_is_cut():
    problems = loaded("review.problems")
    message = problems.problem_of(problems.ReviewError("gone", f"x\ud800{'y' * 9_000}"))["message"]
    assert len(message.encode()) < 1_100 and message.endswith("...")
