"""No error of another library reaches a person from an operator or the command line, whatever is broken.

The operators and commands are found, not listed: a new one is tried as well.
"""

import fiftyone as fo
import pymongo
import pytest
from fiftyone.operators import types

from ccip_plugin.app.operator import CCIPOperator
from ccip_plugin.storage.connection import DatabaseError
from ccip_plugin.storage.schema import DatasetGoneError
from tests.support import faults, tiny_models
from tests.support.app.operator_tools import context

pytestmark = pytest.mark.mongo

URIS = faults.uris()


@pytest.fixture
def data(dataset, images):
    """A dataset with everything that operators work on."""
    return faults.fill(dataset(*images(faults.LETTERS), persistent=True))


@pytest.fixture
def models(model_dir, monkeypatch):
    """A tiny model, where CCIP_MODEL_DIR says."""
    monkeypatch.setenv("CCIP_MODEL_DIR", str(model_dir))
    return model_dir


@pytest.fixture
def unwritable(data, models, tmp_path, monkeypatch):
    """Where folders of caches, models and datasets would be is a file."""
    (tmp_path / "file").touch()
    for name in ("CCIP_CACHE_DIR", "HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "file" / name))
    for name in ("model_zoo_dir", "dataset_zoo_dir", "default_dataset_dir"):
        monkeypatch.setattr(fo.config, name, str(tmp_path / "file" / name))
    return data


@pytest.fixture
def without_model(data, models):
    """The folder of models has none."""
    (models / tiny_models.NAME / "model_feat.onnx").unlink()
    return data


@pytest.fixture
def without_network(data, tmp_path, monkeypatch, offline):
    """No model is on this machine, and none can be downloaded."""
    monkeypatch.delenv("CCIP_MODEL_DIR", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "empty"))
    return data


@pytest.fixture
def taken(data, models):
    """Every field and run of the plugin is something else, made by another tool."""
    paths = [path for path in data.get_field_schema() if path.startswith(("ccip", "character"))]
    data.delete_sample_fields(paths)
    for path in {*paths, "ccip_error", "ccip_source", "ccip_difference"}:
        data.add_sample_field(path, fo.DictField)
        data.set_values(path, [{"of": "another tool"}] * len(data))
    for key in data.list_runs():
        data.delete_run(key)
        data.register_run(key, fo.RunConfig(method="another tool"))
    return data


@pytest.fixture
def read_only(data, models):
    """Every field can be read only."""
    for path, field in data.get_field_schema().items():
        if path not in ("id", "filepath", "created_at", "last_modified_at"):
            field.read_only = True
            field.save()
    return data


FAULTS = ("unwritable", "without_model", "without_network", "taken", "read_only")


@pytest.mark.parametrize("fault", ["models", *FAULTS])
@pytest.mark.parametrize("uri", URIS)
def test_operators(request, data, models, uri, fault):
    tried, ids = faults.answers(uri, data), data.values("id")[:2]
    request.getfixturevalue(fault)
    for params in tried:
        told = [faults.told_by_form(uri, data, ids, **params), faults.told_by_operator(uri, data, ids, **params)]
        assert [each for each in told if each.raw] == []


@pytest.fixture
def faces(dataset, images, models):
    """A dataset with everything that operators work on, for detections."""
    return faults.fill_detections(dataset(*images(faults.LETTERS), persistent=True))


@pytest.fixture
def taken_detections(faces):
    """Every attribute and run of the plugin is something else."""
    names = [name for name in ("character_group", "ccip_embedding") if faces.get_field(f"faces.detections.{name}")]
    faces.delete_sample_fields([f"faces.detections.{name}" for name in names])
    ids = faces.values("faces.detections.id", unwind=True)
    for name in names:
        faces.set_label_values(f"faces.detections.{name}", dict.fromkeys(ids, 5), dynamic=True)
    for key in faces.list_runs():
        faces.delete_run(key)
        faces.register_run(key, fo.RunConfig(method="another tool"))
    return faces


@pytest.mark.parametrize("fault", ["models", "taken_detections"])
@pytest.mark.parametrize("uri", URIS)
def test_operators_on_detections(request, faces, uri, fault):
    request.getfixturevalue(fault)
    ids = faces.values("id")[:2]
    params = {**faults.answers(uri, faces)[0], "patches_field": "faces"}
    told = [faults.told_by_form(uri, faces, ids, **params), faults.told_by_operator(uri, faces, ids, **params)]
    told += [
        faults.told_by_operator(uri, faces.to_patches("faces"), faces.values("faces.detections.id", unwind=True)[:2])
    ]
    assert [each for each in told if each.raw] == []


@pytest.mark.parametrize("fault", ["models", *FAULTS])
def test_commands(request, data, models, images, tmp_path, fault):
    request.getfixturevalue(fault)
    values = {"dataset": data.name, "images": images("a")[0], "subset": tmp_path / "no.tar", "name": tiny_models.NAME}
    values |= {"file": tmp_path / "decisions.json", "parts": "thumbnails"}
    told = [faults.told_by_command(words) for words in faults.command_lines(values)]
    assert [each for each in told if each.raw] == []


class Unreachable(CCIPOperator):
    """An operator that meets an error of the database or a deleted dataset."""

    name, label, failure = "unreachable", "CCIP: unreachable", "CCIP could not"
    description, risk = "Fails", types.RiskLevel.LOW
    takes_samples = is_live = False

    def ask(self, form):
        self.function()

    def options(self, ctx):
        return {}


def lost(progress=None):
    """What pymongo raises when its server is gone."""
    with pymongo.MongoClient("mongodb://127.0.0.1:9", serverSelectionTimeoutMS=1) as client:
        client.server_info()


@pytest.mark.parametrize("is_form", [True, False], ids=["form", "execution"])
def test_a_lost_database_is_one_sentence(data, is_form):
    operator = type("Lost", (Unreachable,), {"function": staticmethod(lost)})()
    if is_form:
        inputs = operator.resolve_input(context(data)).to_json()["type"]["properties"]
        text = inputs["operator_error"]["error_message"]
    else:
        with pytest.raises(DatabaseError) as caught:
            operator.execute(context(data))
        text = str(caught.value)
    assert "does not answer (127.0.0.1:9" in text and "run this again" in text and "Topology" not in text


def test_a_dataset_deleted_meanwhile_is_one_sentence(data):
    def delete(progress=None):
        fo.delete_dataset(data.name)
        raise TypeError("None is not subscriptable")

    operator = type("Deleted", (Unreachable,), {"function": staticmethod(delete)})()
    with pytest.raises(DatasetGoneError, match=data.name):
        operator.execute(context(data))
