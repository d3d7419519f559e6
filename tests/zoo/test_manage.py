"""The models on this machine: the function and the operator, against a hub that is on this machine, too."""

import fiftyone.operators as foo
import pytest

from ccip_plugin.core.errors import ParameterError, UnknownModelError
from ccip_plugin.core.registry import DEFAULT_MODEL, DEMO_MODEL, MODELS
from ccip_plugin.zoo.manage import ModelsError, manage_models
from tests.support import tiny_models
from tests.support.app.operator_tools import choices, facts, form, problems, run, said
from tests.support.tiny_hub import NAME, TinyHub

pytestmark = pytest.mark.mongo

MANAGE = "@ccip/characters/manage_models"


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch):
    """A hub that has a model, and empty caches."""
    monkeypatch.setenv("CCIP_CACHE_DIR", str(tmp_path / "ours"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "their cache"))
    with TinyHub(tiny_models.write_model_dir(tmp_path / "published", name=NAME)) as server:
        # not in our code: the plugin that FiftyOne loads is another copy of it
        address = f"{server.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", address)
        yield server


@pytest.fixture
def data(dataset):
    """A dataset, as the App has one open."""
    return dataset()


def is_here(report, name=NAME):
    return {row.name: row.is_cached for row in report.rows}[name]


def test_lists_all_and_asks_nobody(hub):
    report = manage_models()
    assert [row.name for row in report.rows] == list(MODELS)
    assert (is_here(report), is_here(report, DEMO_MODEL), hub.requests) == (False, True, [])
    assert DEFAULT_MODEL in f"{report}"


def test_downloads_checks_and_deletes(hub):
    stages = []
    report = manage_models("download", NAME, progress=lambda step: stages.append(step.stage))
    assert is_here(report) and stages
    assert (report.folder / "model_feat.onnx").is_file()
    hub.requests.clear()
    report = manage_models("check", NAME)
    assert report.checks
    assert hub.requests == [], "what is here is not asked for"
    report = manage_models("remove", NAME)
    assert report.n_bytes > 10_000
    assert not is_here(report)
    assert manage_models("remove", NAME).n_bytes == 0


def test_a_folder_of_the_user_is_not_deleted_from(tmp_path):
    folder = tiny_models.write_model_dir(tmp_path / "模型", name=NAME)
    assert is_here(manage_models(model_dir=folder))
    with pytest.raises(ModelsError, match=r"cannot be deleted: models are read from your folder .*模型"):
        manage_models("remove", NAME, model_dir=folder)
    assert is_here(manage_models(model_dir=folder))


@pytest.mark.parametrize(
    "arguments, error, text",
    [
        pytest.param(("fetch",), ParameterError, "list, download, check, remove", id="action"),
        pytest.param(("download",), ModelsError, "model_name is required to download", id="no model"),
        pytest.param(("check", "ccip"), UnknownModelError, "ccip-caformer-24-randaug-pruned", id="unknown model"),
        pytest.param(("remove", DEMO_MODEL), ModelsError, "bundled with the plugin", id="stand-in"),
    ],
)
def test_says_why_not(arguments, error, text):
    with pytest.raises(error, match=text):
        manage_models(*arguments)


# -- the operator


def test_the_form_asks_for_what_it_needs(data, hub, tmp_path, monkeypatch):
    asked = form(MANAGE, data)
    assert list(choices(asked, "action")) == ["list", "download", "check", "remove"]
    assert "model_name" not in asked
    asked = form(MANAGE, data, action="download")
    assert list(choices(asked, "model_name")) == list(MODELS)
    assert said(asked, "model_hint") == f"{DEFAULT_MODEL} is not on this machine: 150 MB will be downloaded first."
    assert said(form(MANAGE, data, action="download", model_name=DEMO_MODEL), "model_hint").endswith("on this machine.")
    hub.requests.clear()
    monkeypatch.setenv("CCIP_MODEL_DIR", str(tmp_path))
    assert f"taken from {tmp_path}" in said(form(MANAGE, data), "folder_hint")
    assert "nothing is downloaded" in problems(form(MANAGE, data, action="download"))["model_error"]
    assert hub.requests == [], "a form needs no network"


def test_only_models_on_this_machine_can_be_deleted(data, hub, tmp_path, monkeypatch):
    asked = form(MANAGE, data, action="remove")
    assert problems(asked) == {"model_error": "No downloaded model is on this machine."} and "model_name" not in asked
    manage_models("download", NAME)
    asked = form(MANAGE, data, action="remove")
    assert problems(asked) == {} and list(choices(asked, "model_name")) == [NAME]
    assert asked["model_name"]["default"] == NAME
    assert said(asked, "model_warning").endswith("made with this model are kept.")
    refused = form(MANAGE, data, action="remove", model_name=DEFAULT_MODEL)
    assert problems(refused) == {"model_error": f"{DEFAULT_MODEL} cannot be deleted: it is not on this machine."}
    monkeypatch.setenv("CCIP_MODEL_DIR", str(tmp_path))
    assert "delete the files there yourself" in problems(form(MANAGE, data, action="remove"))["model_error"]
    monkeypatch.delenv("CCIP_MODEL_DIR")
    manage_models("remove", NAME)
    part = next((tmp_path / "their cache").rglob("blobs")) / f"{NAME}.0.incomplete"
    part.write_bytes(b"part")
    asked = form(MANAGE, data, action="remove")
    assert choices(asked, "model_name") == {NAME: f"{NAME}: under 1 MB on this machine"}
    run(MANAGE, data, action="remove", model_name=NAME)
    assert not part.exists() and "model_name" not in form(MANAGE, data, action="remove")


def test_nothing_is_deleted_without_a_name(data, hub):
    manage_models("download", NAME)
    shown = run(MANAGE, data, action="remove")
    assert "model_name is required" in str(shown["show_output"]["results"]["errors"])


@pytest.mark.parametrize(
    "params, name, text",
    [
        pytest.param({"action": "fetch"}, "action_error", "There is no action 'fetch'.", id="action"),
        pytest.param({"action": "check", "model_name": "x"}, "model_error", "There is no model 'x'.", id="model"),
        pytest.param(
            {"action": "remove", "model_name": DEMO_MODEL},
            "model_error",
            "ccip-demo cannot be deleted: it is bundled with the plugin.",
            id="stand-in",
        ),
    ],
)
def test_answers_are_checked(data, params, name, text):
    assert problems(form(MANAGE, data, **params)) == {name: text}


def test_shows_the_table(data):
    shown = run(MANAGE, data)
    table = shown["show_output"]["results"]["models"]
    assert "facts" not in shown["show_output"]["outputs"]["type"]["properties"], "no empty table"
    assert [row["model"].partition(" ")[0] for row in table] == list(MODELS)
    assert f"{DEFAULT_MODEL} (default)" in [row["model"] for row in table]
    assert shown["notify"]["message"] == f"CCIP: 1 of {len(MODELS)} models are on this machine"
    assert "reload_dataset" not in shown


def test_does_what_was_chosen(data):
    shown = run(MANAGE, data, action="download", model_name=NAME)
    assert facts(shown["show_output"]["results"])["Model"] == NAME
    assert run(MANAGE, data)["notify"]["message"].startswith("CCIP: 2 of")
    shown = run(MANAGE, data, action="check", model_name=NAME)
    assert {row["ok"] for row in shown["show_output"]["results"]["checks"]} <= {
        "passed",
        "FAILED",
        "not checked",
    }
    assert shown["notify"]["variant"] == "warning", "a tiny model is not the published one"
    shown = run(MANAGE, data, action="remove", model_name=NAME)
    assert " MB freed" in shown["notify"]["message"]


def test_from_python():
    assert f"{foo.get_operator(MANAGE)()}" == f"{manage_models()}"
    assert foo.get_operator(MANAGE).config.to_json()["risk_level"] == "high"
