"""The repository as a source of zoo models: as FiftyOne downloads it, copied, offline, in fresh processes."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import fiftyone as fo
import fiftyone.brain as fob
import fiftyone.operators as foo
import fiftyone.zoo as foz
import fiftyone.zoo.models as fozm
import numpy as np
import pytest
from fiftyone.operators.executor import ExecutionContext, Executor
from PIL import Image

from ccip_plugin.core.registry import DEFAULT_MODEL, DEMO_MODEL, MODELS
from ccip_plugin.zoo import source
from ccip_plugin.zoo.registration import register_model
from tests.support import tiny_models
from tests.support.published import copy_source, served_archive
from tests.support.tiny_hub import NAME, TinyHub

pytestmark = pytest.mark.mongo

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def zoo_dir(tmp_path, monkeypatch):
    """An empty folder of zoo models."""
    folder = tmp_path / "zoo"
    folder.mkdir()
    monkeypatch.setattr(fo.config, "model_zoo_dir", str(folder))
    monkeypatch.setattr(fo.config, "show_progress_bars", False)
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == source.SOURCE_NAME]:
        del sys.modules[name]


@pytest.fixture
def models(model_dir, monkeypatch):
    """Tiny models, where CCIP_MODEL_DIR says."""
    monkeypatch.setenv("CCIP_MODEL_DIR", str(model_dir))
    return model_dir


# -- the manifest


def test_the_manifest_is_that_of_the_registry():
    """If it is not: make readme ARGS=reference."""
    assert (ROOT / "manifest.json").read_text(encoding="utf-8") == source.manifest_text()


def test_the_manifest_names_all_models_with_what_people_ask_for():
    entries = {entry["base_name"]: entry for entry in json.loads(source.manifest_text())["models"]}
    assert entries.keys() == MODELS.keys()
    assert DEMO_MODEL in entries
    for name, entry in entries.items():
        assert entry["license"] == MODELS[name].license
        assert entry["size_bytes"] == MODELS[name].size_mb * 10**6
        assert "embeddings" in entry["tags"]
        assert "/" not in entry["base_filename"]
        assert "version" not in entry  # or the name would not be the bare one
    assert len({entry["base_filename"] for entry in entries.values()}) == len(entries)
    assert "stand-in" in entries[DEMO_MODEL]["description"]


def test_the_requirements_are_those_of_the_plugin():
    lines = (ROOT / "requirements.txt").read_text().split()
    named = {package.partition("|")[0] for package in source.PACKAGES}
    assert named == {line for line in lines if not line.startswith("fiftyone")}


# -- in a fresh process, as FiftyOne's users have it

LOAD_TWICE = """
    import sys
    import fiftyone as fo, fiftyone.zoo as foz

    fo.config.model_zoo_dir, fo.config.show_progress_bars = sys.argv[1], False
    model = foz.load_zoo_model(sys.argv[2])
    again = foz.load_zoo_model(sys.argv[2])
    fresh = foz.load_zoo_model(sys.argv[2], cache=False)
    assert again is model and fresh is not model
    import numpy as np
    vector = model.embed(np.zeros((9, 9, 3), np.uint8))
    assert np.array_equal(vector, fresh.embed(np.zeros((9, 9, 3), np.uint8)))
    print(type(model).__name__, vector.shape, float(vector @ vector))
"""


@pytest.mark.slow
@pytest.mark.parametrize("is_copy", [True, False], ids=["copied source", "registered"])
def test_loads_twice_with_the_marker_there_and_not(is_copy, run_python, zoo_dir, models):
    if is_copy:
        copy_source(zoo_dir / source.SOURCE_NAME)
    else:
        register_model()
    marker = zoo_dir / source.SOURCE_NAME / f"{DEFAULT_MODEL}.json"
    assert not marker.exists()
    for _ in range(2):  # the second time it is there
        said = run_python(LOAD_TWICE, zoo_dir, DEFAULT_MODEL).stdout.split()
        assert said[:2] == ["CCIPModel", "(768,)"]
        assert float(said[2]) == pytest.approx(1, abs=1e-6)
        assert json.loads(marker.read_text())["source"] == "model_dir"


@pytest.mark.slow
def test_files_in_the_cache_of_the_hub_need_no_network(run_python, zoo_dir, tmp_path, network):
    """The guard of the tests lets nobody out; here nobody even asks the hub on this machine."""
    published = tiny_models.write_model_dir(tmp_path / "published", name=NAME)
    folders = {"HF_HOME": str(tmp_path / "hf"), "CCIP_CACHE_DIR": str(tmp_path / "ours")}
    copy_source(zoo_dir / source.SOURCE_NAME)
    with TinyHub(published) as hub:
        run_python(LOAD_TWICE, zoo_dir, NAME, HF_ENDPOINT=hub.endpoint, **folders)
        assert f"{NAME}/model_feat.onnx" in hub.asked_for()
        (zoo_dir / source.SOURCE_NAME / f"{NAME}.json").unlink()
        hub.requests.clear()
        run_python(LOAD_TWICE, zoo_dir, NAME, HF_ENDPOINT=hub.endpoint, **folders)
        assert hub.requests == []
    found = json.loads((zoo_dir / source.SOURCE_NAME / f"{NAME}.json").read_text())
    assert (found["source"], found["revision"]) == ("hub", MODELS[NAME].revision)


def test_the_stand_in_comes_along_and_needs_nothing(zoo_dir):
    copy_source(zoo_dir / source.SOURCE_NAME)
    model = foz.load_zoo_model(DEMO_MODEL, cache=False)
    assert model.embed(np.zeros((9, 9, 3), np.uint8)).shape == (768,)
    assert json.loads((zoo_dir / source.SOURCE_NAME / f"{DEMO_MODEL}.json").read_text())["source"] == "bundled"


def test_without_files_and_network_it_says_what_to_do(zoo_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("CCIP_MODEL_DIR", str(tmp_path / "empty"))
    register_model()
    with pytest.raises(FileNotFoundError, match=r"model_feat.onnx"):
        foz.load_zoo_model(DEFAULT_MODEL, cache=False)
    assert not (zoo_dir / source.SOURCE_NAME / f"{DEFAULT_MODEL}.json").exists()


def test_files_that_went_away_are_missed_when_loading(zoo_dir, models):
    register_model()
    foz.load_zoo_model(DEFAULT_MODEL, cache=False)
    shutil.rmtree(models / DEFAULT_MODEL)
    with pytest.raises(FileNotFoundError, match=DEFAULT_MODEL):
        foz.load_zoo_model(DEFAULT_MODEL, cache=False)


# -- downloaded as an archive


@pytest.fixture
def archive_url(tmp_path):
    """The repository as a zip on this machine."""
    with served_archive(tmp_path / "www") as url:
        yield url


def test_a_zip_can_be_registered_used_and_deleted(archive_url, zoo_dir, models):
    foz.register_zoo_model_source(archive_url)
    assert foz.list_zoo_model_sources() == [archive_url]
    assert foz.list_zoo_models(source=archive_url) == sorted(MODELS)
    model = foz.load_zoo_model(DEFAULT_MODEL, cache=False)
    assert model.embed(np.zeros((9, 9, 3), np.uint8)).shape == (768,)
    foz.delete_zoo_model(DEFAULT_MODEL)
    assert not foz.is_zoo_model_downloaded(DEFAULT_MODEL)
    foz.delete_zoo_model_source(archive_url)
    assert not (zoo_dir / source.SOURCE_NAME).exists()


def test_a_model_of_a_zip_can_be_loaded_at_once(archive_url, models):
    assert foz.load_zoo_model(archive_url, DEFAULT_MODEL, cache=False).has_embeddings


# -- what FiftyOne's tools do with it


def test_is_listed_where_models_with_embeddings_are_offered(models):
    register_model()
    assert set(MODELS) <= set(foz.list_zoo_models(tags="embeddings"))
    manifest = fozm._list_zoo_models()  # as the brain and zoo plugins go through them
    assert set(MODELS) <= {model.name for model in manifest if model.has_tag("embeddings")}
    assert set(MODELS) <= {model.name for model in manifest if "embeddings" in (model.tags or [])}
    openrail = foz.list_zoo_models(tags="anime", license="openrail")
    assert set(openrail) == {spec.name for spec in MODELS.values() if not spec.is_stand_in}


def test_an_index_made_by_name_answers_with_the_model_of_that_name(models, dataset, images):
    register_model()
    samples = dataset(*images("abab"))
    index = fob.compute_similarity(samples, model=DEFAULT_MODEL, brain_key="index", metric="euclidean")
    assert samples.get_brain_info("index").config.model == DEFAULT_MODEL
    query = foz.load_zoo_model(index.config.model).embed(np.asarray(Image.open(images("b")[0])))
    assert query.shape == (768,)
    first = samples.first().id
    assert samples.sort_by_similarity(first, k=2, brain_key="index").values("filepath")[1].count("a ") == 1


def test_an_index_of_patches_made_by_name(models, dataset, images):
    register_model()
    samples = dataset(*images("ab"))
    for sample in samples:
        boxes = ([0, 0, 0.5, 1], [0.5, 0, 0.5, 1])
        sample["faces"] = fo.Detections(detections=[fo.Detection(label="face", bounding_box=box) for box in boxes])
        sample.save()
    fob.compute_similarity(samples, patches_field="faces", model=DEFAULT_MODEL, brain_key="index")
    patches = samples.to_patches("faces")
    found = patches.sort_by_similarity(patches.first().id, k=2, brain_key="index")
    assert found.values("sample_id") == [samples.first().id] * 2


def test_options_reach_the_model(models, images):
    register_model()
    paths = images("a")
    model = foz.load_zoo_model(DEFAULT_MODEL, cache=False, references={"a": paths}, threshold=0.1)
    assert model.predict(np.asarray(Image.open(paths[0]))).label == "a"
    with pytest.raises(TypeError, match="reference"):
        foz.load_zoo_model(DEFAULT_MODEL, cache=False, reference={"a": paths})


# -- in the App


def ask(model_name, **params):
    ctx = ExecutionContext({"params": params}, executor=Executor())
    model = foz.get_zoo_model(model_name)
    form = model.resolve_input(ctx).to_json()["type"]["properties"]
    model.parse_parameters(ctx, params)
    return form, params


@pytest.mark.parametrize(
    "answers, options",
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param({"references": "", "threshold": None, "provider": "auto"}, {"provider": "auto"}, id="left empty"),
        pytest.param({"references": " /絵/x ", "references_field": " "}, {"references": "/絵/x"}, id="a folder"),
        pytest.param({"threshold": 0.0, "stand_in": None}, {"threshold": 0.0}, id="0 is 0"),
    ],
)
def test_what_is_typed_becomes_options(answers, options, models):
    register_model()
    form, params = ask(DEFAULT_MODEL, **answers)
    assert set(form) == {"references", "references_field", "threshold", "provider"}
    assert not any(field["required"] for field in form.values())
    assert params == options


def test_the_form_says_that_a_stand_in_is_one(models):
    register_model()
    assert "only knows" in ask(DEMO_MODEL)[0]["stand_in"]["view"]["label"]


# -- the file in the root


def test_the_root_only_points_elsewhere():
    """It is run again for each request of the App: it imports nothing, and keeps nothing."""
    foo.get_operator("@ccip/characters/register_model")  # as after the first time, when everything is imported
    spec = importlib.util.spec_from_file_location("root_again", ROOT / "__init__.py")
    before = set(sys.modules)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert set(sys.modules) == before
    hooks = {"download_model", "load_model", "resolve_input", "parse_parameters", "register"}
    assert hooks == {name for name in vars(module) if not name.startswith("_")}
