"""The base of the operators: what each declares, forms that never write, execution, results, calls from Python."""

import json

import bson
import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators import types
from fiftyone.operators.delegated import DelegatedOperationService
from fiftyone.operators.executor import ExecutionContext, Executor
from fiftyone.operators.server import create_response_generator

from ccip_plugin.app import route
from ccip_plugin.app.operator import CCIPOperator, default_of
from ccip_plugin.grouping import group_characters, propose_groups
from ccip_plugin.operators import register
from ccip_plugin.reports.facts import Facts
from ccip_plugin.storage import internals
from tests.support.app.operator_tools import context
from tests.support.groups import embed

pytestmark = pytest.mark.mongo

LOW, MEDIUM, HIGH = types.RiskLevel.LOW, types.RiskLevel.MEDIUM, types.RiskLevel.HIGH


class Plugin:
    """Collects what is registered."""

    def __init__(self):
        self.operators = {}

    def register(self, cls):
        operator = cls()
        self.operators[operator.name] = operator


@pytest.fixture(scope="module")
def operators():
    plugin = Plugin()
    register(plugin)
    return plugin.operators


@pytest.mark.parametrize(
    "name, risk, is_delegable, is_live",
    [
        ("compute_embeddings", MEDIUM, True, True),
        ("add_and_group", MEDIUM, True, True),
        ("group_characters", MEDIUM, True, True),
        ("explore_parameters", LOW, True, True),
        ("apply_proposal", MEDIUM, False, True),
        ("save_views", MEDIUM, False, True),
        ("show_group", LOW, False, True),
        ("show_names", LOW, False, True),
        ("last_report", LOW, False, True),
        ("name_characters", MEDIUM, False, True),
        ("open_review", LOW, False, False),
        ("review", MEDIUM, False, False),
        ("rename_group", MEDIUM, False, True),
        ("merge_groups", MEDIUM, False, True),
        ("split_group", MEDIUM, False, True),
        ("save_library", MEDIUM, False, True),
        ("confirm", MEDIUM, False, True),
        ("move", MEDIUM, False, True),
        ("reject", MEDIUM, False, True),
        ("ignore", MEDIUM, False, True),
        ("keep_together", MEDIUM, False, True),
        ("keep_apart", MEDIUM, False, True),
        ("set_cover", MEDIUM, False, True),
        ("undo", MEDIUM, False, True),
        ("redo", MEDIUM, False, True),
        ("history", MEDIUM, False, True),
        ("delete_grouping", HIGH, False, True),
        ("find_similar", MEDIUM, False, True),
        ("compare_images", LOW, False, True),
        ("compute_similarity", MEDIUM, True, True),
        ("compute_visualization", MEDIUM, True, True),
        ("evaluate_model", MEDIUM, True, True),
        ("evaluate_groups", MEDIUM, True, True),
        ("calibrate", MEDIUM, True, True),
        ("compare_runs", LOW, True, True),
        ("export_decisions", LOW, False, True),
        ("import_decisions", MEDIUM, False, True),
        ("remove_ccip", HIGH, False, True),
        ("register_model", MEDIUM, False, False),
        ("manage_models", HIGH, False, True),
    ],
)
def test_configurations(operators, name, risk, is_delegable, is_live):
    operator = operators[name]
    assert isinstance(operator, CCIPOperator)
    config = operator.config.to_json()
    assert (config["name"], config["risk_level"]) == (name, risk.value)
    assert config["label"].startswith("CCIP: ") and config["description"] and operator.failure.startswith("CCIP could")
    assert (config["allow_delegated_execution"], config["execute_as_generator"]) == (is_delegable, is_live)
    assert config["dynamic"] and config["allow_immediate_execution"] and not config["default_choice_to_delegated"]


def test_every_operator_is_in_the_table(operators):
    assert len(operators) == 40


# -- forms never write


def stored(database):
    """Every document of a database; without the times at which FiftyOne loaded a dataset."""
    documents = {}
    for name in database.list_collection_names():
        for document in database[name].find():
            document.pop("last_loaded_at", None)
            documents[name, str(document["_id"])] = bson.encode(document)
    return documents


@pytest.fixture
def grouped(dataset):
    """A dataset with groups, a user label, a rejection to undo, a proposal, and detections with groups."""
    data = dataset(*[f"/絵/{n}.png" for n in range(6)])
    embed(data, "aabbbc")
    data.set_values("who", list("aabbbc"))
    for sample in data:
        sample["faces"] = fo.Detections(detections=[fo.Detection(label="face", bounding_box=[0, 0, 1, 1])])
        sample.save()
    group_characters(data)
    sample = data.first()
    sample.character_group.label = "綾波 レイ"
    sample.save()
    propose_groups(data)
    return data


PARAMS = {
    "group_characters": [{"advanced": True}, {"method": "dbscan", "advanced": True}, {"patches_field": "faces"}],
    "compute_embeddings": [{"existing": "overwrite"}, {"patches_field": "faces"}],
    "find_similar": [{"look_for": "group"}, {"look_for": "ticked"}, {"is_written": True}],
    "calibrate": [{"evidence": "truth"}],
    "manage_models": [{"action": "remove"}, {"action": "check"}],
    "compute_similarity": [{"brain_key": "another"}],
}


def test_forms_never_write(operators, grouped):
    database = internals.database()
    ids = grouped.values("id")
    before = stored(database)
    for name, operator in operators.items():
        for params in ({}, *PARAMS.get(name, ())):
            for samples, selected in ((grouped, ()), (grouped.limit(4), ids[:2])):
                form = operator.resolve_input(context(samples, selected=selected, **params))
                assert json.dumps(form.to_json())
        after = stored(database)
        assert after.keys() == before.keys(), name
        assert [key for key in before if after[key] != before[key]] == [], name


def test_forms_without_a_dataset(operators):
    for name, operator in operators.items():
        form = operator.resolve_input(ExecutionContext({"params": {}})).to_json()
        errors = [each["error_message"] for each in form["type"]["properties"].values() if each["invalid"]]
        assert errors == ([] if name in ("register_model", "manage_models", "review") else ["Open a dataset first."]), (
            name
        )


# -- an operator in few lines


def count(samples, power, *, step=1, progress=None):
    """Counts samples."""
    return len(samples) ** power // step


class Count(CCIPOperator):
    name, label, button = "count", "CCIP: count", "Count"
    description = "Count samples"
    risk = types.RiskLevel.LOW
    failure = "CCIP could not count"
    function = staticmethod(count)
    asks = route.asked(power=route.number, step=route.number)
    parameters = ("power", "step")

    def ask(self, form):
        if form.ask_target("Count") is not None:
            form.number("step", "Step", kind=int, default=self.default("step"))

    def options(self, ctx):
        options = super().options(ctx)
        options.pop("patches_field")
        return {"power": 1, **options}

    def show(self, report, out):
        out.facts(Facts.of(f"counted {report}", [("Samples", report)]), "CCIP: counted")


def test_the_form_has_the_inputs_the_title_and_the_button(dataset):
    form = Count().resolve_input(context(dataset("/a.png"))).to_json()
    assert "step" in form["type"]["properties"]
    assert (form["view"]["label"], form["view"]["submit_button_label"]) == ("CCIP: count", "Count")


def test_the_function_gets_the_samples_and_the_given_parameters(dataset):
    data = dataset("/a.png", "/b.png", "/c.png")
    messages = Count().execute(context(data, power=2, step="", other="ignored"))
    lines = [json.loads(line)["body"] for line in create_response_generator(messages)]
    shown = {line["operator_uri"]: line["params"] for line in lines}
    assert shown["notify"] == {"message": "CCIP: counted 9", "variant": "success"}
    assert shown["show_output"]["results"]["facts"] == [{"fact": "Samples", "value": "9"}]
    assert "reload_dataset" in shown


def test_a_delegated_run_returns_results_that_show_themselves(dataset):
    ctx = context(dataset("/a.png"))
    ctx.request_params["delegated"] = True
    results = json.loads(json.dumps(Count().execute(ctx)))
    shown = Count().resolve_output(ExecutionContext({"params": {}, "results": results})).to_json()
    assert list(shown["type"]["properties"]) == ["facts"]
    assert shown["view"]["label"] == "CCIP: count"


@pytest.mark.parametrize("results", [None, {}, {"facts": [{"fact": "Samples", "value": "1"}], "n_failed": 0}])
def test_results_of_another_version_are_shown_as_far_as_possible(results):
    shown = Count().resolve_output(ExecutionContext({"params": {}, "results": results})).to_json()
    assert list(shown["type"]["properties"]) == (["facts"] if results else [])


def test_an_operator_without_a_dialog_of_its_own_returns_its_results(dataset):
    operator = type("AtOnce", (Count,), {"is_live": False})()
    assert operator.execute(context(dataset("/a.png")))["facts"] == [{"fact": "Samples", "value": "1"}]
    assert not operator.config.to_json()["execute_as_generator"]


def test_calls_from_python_are_calls_of_the_function(dataset):
    data = dataset("/a.png", "/b.png")
    assert Count()(data, 3, step=2) == Count()(data, power=3, step=2) == 4
    with pytest.raises(TypeError, match="power"):
        Count()(data)


def test_defaults_are_those_of_the_function():
    assert (Count().default("step"), default_of(count, "progress")) == (1, None)


def test_positional_arguments_reach_a_delegated_run(dataset):
    data = dataset(*[f"/絵/{n}.png" for n in range(4)], persistent=True)
    embed(data, "aabb")
    data.set_values("who", list("aabb"))
    foo.get_operator("@ccip/characters/compare_runs")(data, "who", "ccip_embedding", delegate=True)
    service = DelegatedOperationService()
    service.execute_queued_operations(limit=1, log=False)
    (operation,) = service.list_operations(dataset_name=data.name)
    assert operation.run_state == "completed", operation.result
    assert operation.result.result["facts"][:2] == [
        {"fact": "First", "value": "who"},
        {"fact": "Second", "value": "ccip_embedding"},
    ]


def test_errors_of_options_are_shown_like_errors_of_the_work(dataset, caplog):
    class Broken(Count):
        def options(self, ctx):
            raise ValueError("no such answer")

    ctx = ExecutionContext({"dataset_name": dataset("/a.png").name, "view": [], "params": {}}, executor=Executor())
    lines = [json.loads(line)["body"] for line in create_response_generator(Broken().execute(ctx))]
    shown = {line["operator_uri"]: line["params"] for line in lines}
    assert shown["notify"] == {"message": "CCIP could not count", "variant": "error"}
    assert shown["show_output"]["results"]["errors"][0]["reason"] == "no such answer"
