"""What operators take from the App's route, posted to a real App server as anybody can post to it."""

import inspect
import json
import random
import urllib.error
import urllib.request

import fiftyone.operators as foo
import pytest
from fiftyone.operators.delegated import DelegatedOperationService
from fiftyone.operators.executor import ExecutionError

from ccip_plugin.app import route
from ccip_plugin.operators import register
from ccip_plugin.storage import internals
from tests.app.test_operator import PARAMS, Plugin, stored
from tests.support.app.operator_tools import context
from tests.support.groups import embed

pytestmark = pytest.mark.mongo

URI = "@ccip/characters/"
FOREIGN = {"Content-Type": "text/plain", "Origin": "https://other.example", "Host": "other.example"}
VALUES = {
    "max_pixels": 10**12,
    "workers": 100_000,
    "memory": 1,
    "revision": "refs/pr/1",
    "model_dir": "/tmp",
    "images": ["/etc/passwd"],
}
"""What a stranger would give; 7 and a text for any other parameter."""


def all_operators():
    plugin = Plugin()
    register(plugin)
    return plugin.operators


OPERATORS = all_operators()


def python_only():
    """Every operator with each parameter of its function that its form does not ask for."""
    for name, operator in OPERATORS.items():
        asked = {**operator.asks, **(route.answers_of(operator.asks_options) if operator.asks_options else {})}
        taken = [each for each in inspect.signature(operator.function).parameters if each not in asked]
        yield name, [each for each in taken if each != "samples"]


@pytest.fixture(scope="module")
def post(app_server):
    """``post(path, **body)`` posts to the App; gives the status and the text that came back."""

    def send(path, *, headers=None, **body):
        request = urllib.request.Request(
            f"{app_server.url}{path}", json.dumps(body).encode(), headers or {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    return send


@pytest.fixture
def data(dataset):
    """A persistent dataset with groups, something to undo and a proposal."""
    from ccip_plugin.grouping import group_characters, propose_groups

    new = dataset(*[f"/絵/{n}.png" for n in range(6)], persistent=True)
    embed(new, "aabbbc")
    new.set_values("who", list("aabbbc"))
    group_characters(new)
    sample = new.first()
    sample.character_group.label = "綾波 レイ"
    sample.save()
    propose_groups(new)
    return new


def body(name, data, /, **params):
    return {"operator_uri": URI + name, "dataset_name": data.name, "view": [], "params": params}


@pytest.mark.parametrize("name, parameters", [pytest.param(*case, id=case[0]) for case in python_only()])
def test_no_operator_takes_what_only_python_can_give(post, data, name, parameters):
    before = stored(internals.database())
    sent = body(name, data, **{each: VALUES.get(each, 7) for each in parameters})
    forged = {"delegated": True, "run_doc": data.first().id, "is_from_python": True}
    for path, headers, extra in (
        ("/operators/execute", None, {}),
        ("/operators/execute", FOREIGN, {"request_delegation": True}),
        ("/operators/execute/generator", FOREIGN, forged),
    ):
        _, text = post(path, headers=headers, **sent, **extra)
        for each in parameters:
            assert f"{each}: can be given from Python only" in text, (each, text)
    assert not DelegatedOperationService().list_operations(dataset_name=data.name)
    after = stored(internals.database())
    assert [key for key in before if after.get(key) != before[key]] == []


@pytest.mark.parametrize("name", OPERATORS)
def test_forms_ask_only_for_what_operators_take(data, name):
    operator = OPERATORS[name]
    asked = {**operator.asks, **(route.answers_of(operator.asks_options) if operator.asks_options else {})}
    ids = data.values("id")[:2]
    for params in ({}, {"advanced": True}, *PARAMS.get(name, ())):
        inputs = operator.resolve_input(context(data, selected=ids, **params)).to_json()["type"]["properties"]
        shown = {key for key, each in inputs.items() if each["type"]["name"] != "Void"} - {"view_target"}
        assert shown <= set(asked), name


def hostile(generator):
    """A value that no form sends."""
    texts = ["", "x" * 30_000, "../../etc", "\0", "$where", "名" * 2000]
    numbers = [float("nan"), float("inf"), 10**400, -1, 2**63, True]
    return generator.choice(
        [*texts, *numbers, [], {}, [[["x"]]], {"$gt": ""}, [None] * 2000, {"name": {}, "content": 3}, [{"a": 1}]]
    )


@pytest.mark.parametrize("seed", range(2))
def test_hostile_answers_never_raise_anything_of_another_library(post, data, seed):
    generator = random.Random(seed)
    print(f"seed {seed}")
    for name, operator in OPERATORS.items():
        asked = [*operator.asks, *(route.answers_of(operator.asks_options) if operator.asks_options else ())]
        for _ in range(2):
            params = {each: hostile(generator) for each in generator.sample(asked, min(2, len(asked)))}
            status, text = post("/operators/resolve-type", **body(name, data, **params), target="inputs")
            assert status == 200, (name, params, text)
            assert "Traceback" not in text, (name, params, text)


def test_answers_out_of_bounds_are_refused_before_anything_reads_them(post, data):
    for params in ({"eps": {"$gt": 0}}, {"group_field": ["x"]}, {"min_samples": 10**400}, {"method": "x" * 30_000}):
        (name,) = params
        _, text = post("/operators/execute", **body("group_characters", data, **params))
        assert f"{name}: " in text and "is expected" in text, text


def test_unknown_parameters_reach_nobody():
    params = {"brain_key": "one", "hint": 1, "graph": "exact", "workers": None}
    problems = route.keep_answers(params, {"brain_key": route.text}, ["graph", "workers"])
    assert (params, list(problems)) == ({"brain_key": "one"}, ["graph"])


def test_from_python_everything_can_be_given(data):
    explore = foo.get_operator(URI + "explore_parameters")
    assert explore(data, max_eps=0.3).marks
    explore(data, max_eps=0.3, graph="exact", delegate=True)
    service = DelegatedOperationService()
    service.execute_queued_operations(limit=1, log=False)
    (operation,) = service.list_operations(dataset_name=data.name)
    assert operation.run_state == "completed", operation.result.error
    assert operation.context.request_params["params"]["max_eps"] == 0.3
    with pytest.raises(ExecutionError, match="can be given from Python only"):
        foo.execute_operator(URI + "explore_parameters", {"dataset": data}, params={"max_eps": 0.3})


# -- a page of another site can post


def test_no_form_writes_when_another_site_asks_for_it(post, data):
    before = stored(internals.database())
    for name in OPERATORS:
        for params in ({}, *PARAMS.get(name, ())):
            sent = {**body(name, data, **params), "target": "inputs", "selected": data.values("id")[:2]}
            for path in ("/operators/resolve-type", "/operators/resolve-execution-options"):
                assert post(path, headers=FOREIGN, **sent)[0] == 200
    after = stored(internals.database())
    assert after.keys() == before.keys()
    assert [key for key in before if after[key] != before[key]] == []


def test_what_another_site_executes_stays_in_the_database(post, data, tmp_path):
    """FiftyOne gives operators no header of a request: SECURITY.md says what protects labels, which undo restores."""
    for name in ("compute_embeddings", "find_similar", "manage_models"):
        _, text = post("/operators/execute", headers=FOREIGN, **body(name, data, model_dir=str(tmp_path)))
        assert "model_dir: " in text
    assert not list(tmp_path.iterdir())
