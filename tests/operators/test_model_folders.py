"""Forms offer the folders of models inside CCIP_MODEL_DIRS, and say what a user of the App can do without a model."""

import inspect
import shutil

import fiftyone.operators as foo
import pytest

from ccip_plugin.app.model_folders import in_app
from ccip_plugin.app.route import from_python
from ccip_plugin.core.hub import how_to_fetch
from ccip_plugin.core.registry import DEFAULT_MODEL
from ccip_plugin.grouping import group_characters
from tests.support import faults, tiny_models
from tests.support.app.operator_tools import choices, context, form, problems, run, said

pytestmark = pytest.mark.mongo

URI = "@ccip/characters/"
FOR_PYTHON = ("pass model_dir=", "before the App is started", "ccip_plugin.core")


def takes_folder(uri):
    return "model_dir" in inspect.signature(foo.get_operator(uri).function).parameters


OPEN_MODELS = sorted(uri.removeprefix(URI) for uri in faults.uris() if takes_folder(uri))
WITH_FILES = {"add_and_group", "name_characters", "save_library"}  # they run on files and folders of their own tests


@pytest.fixture
def folder(model_dir, tmp_path, monkeypatch):
    """A folder of models that can be chosen; nothing is configured."""
    folder = tmp_path / "shared" / "published"
    shutil.move(model_dir, folder)
    monkeypatch.delenv("CCIP_MODEL_DIR", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "empty"))
    monkeypatch.setenv("CCIP_MODEL_DIRS", str(folder.parent))
    return folder


@pytest.fixture
def data(dataset, images):
    """A dataset with everything that operators work on."""
    data = faults.fill(dataset(*images(faults.LETTERS), persistent=True))
    group_characters(data, group_field="second_group", run_key="second")
    return data


def answers_of(name, data):
    """What makes a form ask for everything."""
    return {"selected": data.values("id")[:2], **({"action": "check"} if name == "manage_models" else {})}


def test_all_that_open_a_model_are_tried():
    assert {"compute_embeddings", "group_characters", "find_similar", "calibrate", "manage_models"} <= set(OPEN_MODELS)


@pytest.mark.parametrize("name", sorted({*OPEN_MODELS} - {"name_characters"}))  # which asks where images are embedded
def test_folders_are_offered_and_no_others_taken(data, folder, tmp_path, name, monkeypatch):
    answers = answers_of(name, data)
    assert list(choices(form(URI + name, data, **answers), "model_dir")) == ["default", str(folder)]
    for wrong in (str(folder.parent), f"{folder}/..", "/etc", str(tmp_path / "no")):
        found = problems(form(URI + name, data, model_dir=wrong, **answers))
        assert "model_dir: choose one of the offered folders" in found["parameters_error"]
    assert problems(form(URI + name, data, model_dir=str(folder), **answers)) == {}
    monkeypatch.delenv("CCIP_MODEL_DIRS")
    assert "model_dir" not in form(URI + name, data, **answers)


@pytest.mark.parametrize("chosen", ["default", "folder"])
@pytest.mark.parametrize("name", sorted({*OPEN_MODELS} - {"evaluate_model", *WITH_FILES}))
def test_they_run_with_the_folder_and_as_configured(data, folder, name, chosen, monkeypatch):
    answers = answers_of(name, data)
    needed = {
        "calibrate": {"evidence": "truth", "ground_truth_field": "who"},
        "compare_runs": {"first": "character_group", "second": "second_group"},
        "compute_embeddings": {"existing": "overwrite"},
        "find_similar": {"look_for": "ticked"},
        "manage_models": {"model_name": tiny_models.NAME},
    }
    if chosen == "default":
        monkeypatch.setenv("CCIP_MODEL_DIR", str(folder))
    value = "default" if chosen == "default" else str(folder)
    shown = run(URI + name, data, model_dir=value, **answers, **needed.get(name, {}))
    assert "errors" not in shown["show_output"]["results"], shown["show_output"]["results"]


def test_images_are_embedded_with_the_model_of_the_folder(dataset, images, folder):
    data = dataset(*images("a"))
    run(f"{URI}compute_embeddings", data, model_dir=str(folder))
    assert data.count("ccip_embedding") == 1


def test_a_worker_gets_the_answers_of_the_form(dataset, images, folder, monkeypatch):
    monkeypatch.setenv("CCIP_MODEL_DIR", str(folder))
    data, operator = dataset(*images("a")), foo.get_operator(f"{URI}compute_embeddings")
    for answer in ("default", str(folder)):
        with from_python():  # trusted, as a worker is
            ctx = context(data, model_dir=answer, existing="overwrite")
            assert operator.keep_answers(ctx) == {}
        for _ in operator.execute(ctx):
            pass
        assert data.count("ccip_embedding") == 1


@pytest.mark.parametrize("folders", [True, False])
def test_a_model_that_is_not_on_this_machine_offline(dataset, images, folder, monkeypatch, offline, folders):
    data, uri = dataset(*images("a")), f"{URI}compute_embeddings"
    if not folders:
        monkeypatch.delenv("CCIP_MODEL_DIRS")
    assert "MB will be downloaded first" in said(form(uri, data), "model_hint")
    (error,) = run(uri, data)["show_output"]["results"]["errors"]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (in_form,) = problems(form(uri, data)).values()
    for text in (error["reason"], in_form):
        assert (
            "ask whoever runs the server of the App to give it network access once, or to put model_feat.onnx" in text
        )
        assert "'CCIP: manage models' lists them" in text
        assert ("choose a folder that has the model under 'Models from'" in text) == folders
        assert not any(words in text for words in FOR_PYTHON), text


def test_a_folder_without_the_model(dataset, images, folder):
    data, uri = dataset(*images("a")), f"{URI}compute_embeddings"
    (folder / DEFAULT_MODEL / "model_feat.onnx").unlink()
    (error,) = problems(form(uri, data, model_dir=str(folder))).values()
    assert "Choose another model or folder, or ask whoever runs the server of the App to put its files there." in error
    (error,) = run(uri, data, model_dir=str(folder))["show_output"]["results"]["errors"]
    assert "ask whoever runs the server of the App" in error["reason"]
    assert not any(words in error["reason"] for words in FOR_PYTHON)


@pytest.mark.parametrize("name", ["ccip-caformer-24-randaug-pruned", "ccip-caformer_b36-24"])
def test_other_text_stays(name):
    text = how_to_fetch(name)
    assert in_app(f"a. {text} b") == f"a. {in_app(text)} b" and in_app("put a into b") == "put a into b"
    assert in_app(f"ccip_plugin.core.hub.remove({name!r}) deletes it").startswith("'CCIP: manage models' deletes it")
