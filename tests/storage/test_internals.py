"""What ``storage/internals.py`` assumes of FiftyOne, checked against the FiftyOne that is installed."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import fiftyone as fo
import numpy as np
import pymongo.database
import pytest
from bson import ObjectId
from fiftyone import ViewField as F
from fiftyone.operators.executor import ExecutionContext

from ccip_plugin.storage import internals

pytestmark = pytest.mark.mongo

SEEN_IN = "1.22.1"
"""The version of FiftyOne in which all of these assumptions were seen to hold."""


@contextlib.contextmanager
def assumed(what: str, *needed_by: object) -> Iterator[None]:
    """Says, when an assumption does not hold, which one, where it was seen and which functions rest on it."""
    try:
        yield
    except Exception as error:
        functions = ", ".join(f"internals.{each.__name__}" for each in needed_by)
        pytest.fail(
            f"FiftyOne {fo.__version__} differs from {SEEN_IN}: {what}. Adapt {functions} "
            f"(ccip_plugin/storage/internals.py).\n{type(error).__name__}: {error}"
        )


@pytest.fixture
def samples(dataset, tmp_path):
    """Three samples, of which the first two have a detection in ``boxes``."""
    data = dataset(*(tmp_path / f"{number}.png" for number in range(3)))
    for sample in data[:2]:
        sample["boxes"] = fo.Detections(detections=[fo.Detection(label="face", bounding_box=[0, 0, 1, 1])])
        sample.save()
    return data


def test_reports_what_differs():
    with (
        pytest.raises(pytest.fail.Exception, match=rf"differs from {SEEN_IN}: it is red. Adapt internals.database"),
        assumed("it is red", internals.database),
    ):
        raise AttributeError("no red")


def test_only_a_worker_gives_an_operation_its_id():
    with assumed("ExecutionContext._delegated_operation_id is the operation that is run", internals.is_run_by_worker):
        assert internals.is_run_by_worker(ExecutionContext({"params": {}}, delegated_operation_id=ObjectId()))
        forged = {"params": {}, "delegated": True, "run_doc": "x", "delegated_operation_id": "x"}
        assert not internals.is_run_by_worker(ExecutionContext(forged))


def test_every_function_has_a_contract_test():
    own = {name for name, value in vars(internals).items() if getattr(value, "__module__", "") == internals.__name__}
    public = {name for name in own if not name.startswith("_")}
    text = Path(__file__).read_text(encoding="utf-8")
    tested = {name for name in public if f"internals.{name}" in text}
    assert tested == public


# -- the database


def test_the_database_is_that_of_fiftyone(samples):
    with assumed("odm.get_db_conn gives the pymongo database", internals.database):
        database = internals.database()
        assert isinstance(database, pymongo.database.Database)
        assert database.name == fo.config.database_name
        assert database.datasets.find_one({"name": samples.name})["_id"] == internals.dataset_id(samples)


def test_sample_documents_hold_fields_under_their_names(samples):
    with assumed("Dataset._sample_collection holds a document for each sample", internals.sample_documents):
        documents = list(internals.sample_documents(samples).find())
        assert [str(document["_id"]) for document in documents] == samples.values("id")
        assert [document["filepath"] for document in documents] == samples.values("filepath")
        assert documents[0]["boxes"]["detections"][0]["label"] == "face"
        assert isinstance(documents[0]["boxes"]["detections"][0]["_id"], ObjectId)
        assert all(document["last_modified_at"] is not None for document in documents)


@pytest.mark.parametrize(
    "part, n",
    [
        pytest.param(lambda data: data, 3, id="a dataset"),
        pytest.param(lambda data: data[1:], 2, id="a view"),
        pytest.param(lambda data: data.filter_labels("boxes", F("label") == "face"), 2, id="filtered labels"),
    ],
)
def test_aggregates_the_samples_of_a_collection(samples, part, n):
    with assumed("_aggregate(post_pipeline=) appends stages to those of the view", internals.aggregate):
        assert list(internals.aggregate(part(samples), [{"$count": "n"}])) == [{"n": n}]


def test_a_dataset_document_lists_declared_fields_with_their_properties(samples):
    samples.add_sample_field("boxes.detections.score", fo.FloatField, info={"by": "us"}, read_only=True)
    with assumed("the collection `datasets` has sample_fields, nested by `fields`", internals.dataset_document):
        fields = internals.dataset_document(samples, "sample_fields")["sample_fields"]
        for name in ("boxes", "detections", "score"):
            (field,) = (field for field in fields if field["name"] == name)
            fields = field.get("fields")
        assert (field["info"], field["read_only"]) == ({"by": "us"}, True)


def test_a_deleted_dataset_has_no_document(dataset):
    data = dataset()
    internals.database().datasets.delete_one({"name": data.name})
    with assumed("a dataset is deleted when its document is", internals.dataset_document):
        assert internals.dataset_document(data, "name") is None


def test_values_of_an_execution_store_are_read_by_the_beginning_of_their_keys(samples, dataset):
    from fiftyone.operators.store import ExecutionStore

    of_dataset = "the collection `execution_store` has store_name, dataset_id, key and value"
    for data, word in ((samples, "ours"), (dataset(), "of another dataset")):
        for name in ("store", "another"):
            store = ExecutionStore.create(name, internals.dataset_id(data))
            for key in ("a.b/2", "a.b/1", "aXb/3", "c"):
                store.set(key, {"of": word, "store": name, "key": key})
    with assumed(of_dataset, internals.store_values):
        found = internals.store_values(samples, "store", "a.b/")
        assert list(found.items()) == [
            (key, {"of": "ours", "store": "store", "key": key}) for key in ("a.b/1", "a.b/2")
        ]
    with assumed(of_dataset, internals.aggregate_values):
        found = internals.aggregate_values(
            samples,
            "store",
            "a.b/",
            {"n": {"$sum": 1}, "last": {"$last": "$value.key"}, "all": {"$push": "$value.key"}},
        )
        assert (found["n"], found["last"], found["all"]) == (2, "a.b/2", ["a.b/1", "a.b/2"])
        assert internals.aggregate_values(samples, "store", "c/", {"n": {"$sum": 1}}) == {}
    with assumed(of_dataset, internals.delete_values):
        assert list(internals.store_values(samples, "store", "a.b/", limit=1)) == ["a.b/1"]
        internals.delete_values(samples, "store", "a.b/1")
        assert list(internals.store_values(samples, "store", "a")) == ["a.b/2", "aXb/3"]
        assert len(internals.store_values(samples, "another", "a")) == 3


def test_the_stores_of_a_dataset_are_found_and_deleted(samples, dataset):
    from fiftyone.operators.store import ExecutionStore

    other = dataset("/a.png")
    for data in (samples, other):
        for name in ("ccip_a", "ccip_b", "mine"):
            ExecutionStore.create(name, internals.dataset_id(data)).set("key", 1)
    with assumed("execution_store has store_name and dataset_id", internals.stores_of):
        assert internals.stores_of(samples, "ccip_") == ("ccip_a", "ccip_b")
    with assumed("execution_store has store_name and dataset_id", internals.delete_values):
        internals.delete_values(samples, "ccip_a")
        assert internals.stores_of(samples, "ccip_") == ("ccip_b",)
        assert internals.stores_of(other, "ccip_") == ("ccip_a", "ccip_b")


# -- datasets and views


def test_the_id_of_a_dataset_survives_renaming(samples):
    with assumed("Dataset._doc.id is the id of the dataset", internals.dataset_id):
        before = internals.dataset_id(samples)
        name, samples.name = samples.name, f"{samples.name} renamed"
        assert isinstance(before, ObjectId)
        assert internals.dataset_id(samples) == before
        samples.name = name


@pytest.mark.parametrize(
    "part, is_generated",
    [
        pytest.param(lambda data: data, False, id="a dataset"),
        pytest.param(lambda data: data[:2], False, id="a view"),
        pytest.param(lambda data: data.to_patches("boxes"), True, id="patches"),
        pytest.param(lambda data: data.to_patches("boxes")[:1], True, id="a view of patches"),
    ],
)
def test_root_dataset_and_generated_copies(samples, part, is_generated):
    with assumed(
        "_root_dataset and _is_generated tell copies from their source", internals.root_dataset, internals.is_generated
    ):
        assert internals.root_dataset(part(samples)) is samples
        assert internals.is_generated(part(samples)) is is_generated


def test_frames_of_videos_are_generated(dataset, tmp_path):
    video = fo.Sample(str(tmp_path / "film.mp4"))
    video.frames[1] = fo.Frame(filepath=str(tmp_path / "frame.png"))
    data = dataset()
    data.add_sample(video)
    with assumed("_is_generated holds for frames", internals.is_generated):
        assert not internals.is_generated(data)
        assert internals.is_generated(data.to_frames())


def test_dynamic_groups(samples):
    with assumed("_is_dynamic_groups holds for group_by only", internals.is_dynamic_groups):
        assert internals.is_dynamic_groups(samples.group_by("filepath")) is True
        assert internals.is_dynamic_groups(samples.group_by("filepath").flatten()) is False
        assert internals.is_dynamic_groups(samples) is False


def test_stages_and_views_without_some_of_them(samples):
    with assumed("DatasetView._stages and _base_view rebuild a view", internals.stages, internals.filter_stages):
        view = samples.select_fields("tags").skip(1).limit(1)
        assert [type(stage) for stage in internals.stages(view)] == [fo.SelectFields, fo.Skip, fo.Limit]
        rest = internals.filter_stages(view, lambda stage: not isinstance(stage, fo.SelectFields))
        assert rest == samples.skip(1).limit(1)
        assert len(internals.stages(view)) == 3


def test_views_of_a_grouped_dataset_stay_in_their_slice(dataset, tmp_path):
    data = dataset()
    data.add_group_field("group", default="front")
    for name in ("front", "back"):
        data.add_sample(fo.Sample(str(tmp_path / f"{name}.png"), group=fo.Group().element(name)))
    with assumed("DatasetView._base_view keeps the group slice", internals.filter_stages):
        view = data.select_fields("tags")
        view.group_slice = "back"
        assert internals.filter_stages(view, lambda _: False).first().filename == "back.png"


def test_equal_views_have_one_key(samples):
    with assumed("DatasetView._serialize(include_uuids=False) describes the stages", internals.view_key):
        key = internals.view_key(samples.limit(1))
        assert internals.view_key(fo.load_dataset(samples.name).limit(1)) == key
        others = [samples, samples.limit(2), samples.skip(1), samples.limit(1).skip(1)]
        assert len({key, *map(internals.view_key, others)}) == 5


@pytest.mark.slow
def test_reloads_the_schema_but_no_samples(samples, run_python):
    sample = samples.first()
    sample.tags = ["unsaved"]
    samples.persistent = True
    declare = "import sys, fiftyone as fo; fo.load_dataset(sys.argv[1]).add_sample_field('late', fo.StringField)"
    run_python(declare, samples.name)
    with assumed("Dataset._reload(hard=True) reads the schema only", internals.reload_schema):
        assert not samples.has_field("late")
        internals.reload_schema(samples)
        assert samples.has_field("late")
        assert sample.tags == ["unsaved"]
        assert samples.first() is sample


# -- samples in memory


def test_lists_the_sample_objects_of_a_dataset(samples, dataset):
    with assumed("Sample._instances has the objects of a collection by id", internals.samples_in_memory):
        first, last = samples.first(), samples.last()
        assert dict(internals.samples_in_memory(samples)) == {first.id: first, last.id: last}
        assert internals.samples_in_memory(samples)[first.id] is first
        assert not internals.samples_in_memory(dataset())


def test_reloads_some_fields_of_a_sample(samples):
    sample = samples.first()
    sample.tags = ["unsaved"]
    written = {"$set": {"boxes": None, "tags": ["written"]}}
    internals.sample_documents(samples).update_one({"_id": ObjectId(sample.id)}, written)
    with assumed("Sample._doc.reload(*names) reads these fields only", internals.reload_fields):
        internals.reload_fields(sample, ["boxes"])
        assert (sample.boxes, sample.tags) == (None, ["unsaved"])
        internals.reload_fields(sample, ["tags"])
        assert sample.tags == ["written"]


def test_tells_what_is_unsaved(samples):
    sample = samples.first()
    sample["faces"] = fo.Detections(detections=[fo.Detection(label="a", bounding_box=[0, 0, 1, 1])])
    sample.save()
    with assumed("Sample._doc._get_changed_fields lists paths", internals.has_unsaved):
        assert not internals.has_unsaved(sample, "faces")
        sample["faces_of_others"] = 1
        assert not internals.has_unsaved(sample, "faces")
        sample.faces.detections[0].label = "b"
        assert internals.has_unsaved(sample, "faces")
        sample.save()
        assert not internals.has_unsaved(sample, "faces")
        sample["faces"] = None
        assert internals.has_unsaved(sample, "faces")


def test_reloads_some_attributes_of_detections(samples):
    sample = samples.first()
    sample["faces"] = fo.Detections(detections=[fo.Detection(label="a", bounding_box=[0, 0, 1, 1], mine=1)])
    sample.save()
    sample.faces.detections[0].label = "unsaved"
    written = {"$set": {"faces.detections.0.label": "b", "faces.detections.0.name": "Rei"}}
    internals.sample_documents(samples).update_one({"_id": ObjectId(sample.id)}, written)
    with assumed("Sample._doc._qs reads as Sample._doc.reload does", internals.reload_attributes):
        internals.reload_attributes(sample, "faces", ["name", "nothing"])
        detection = sample.faces.detections[0]
        assert (detection.label, detection["name"], detection["mine"]) == ("unsaved", "Rei", 1)
        assert sample._doc._get_changed_fields() == ["faces.detections.0.label"]
        internals.sample_documents(samples).delete_one({"_id": ObjectId(sample.id)})
        internals.reload_attributes(sample, "faces", ["name"])
        assert detection["name"] == "Rei"


def test_sample_objects_that_cannot_be_reloaded_stay_as_they_are(samples):
    deleted, old = samples.first(), samples.last()
    internals.sample_documents(samples).delete_one({"_id": ObjectId(deleted.id)})
    with assumed("Sample._doc.reload raises DoesNotExist or LookUpError", internals.reload_fields):
        internals.reload_fields(deleted, ["tags"])
        internals.reload_fields(old, ["declared_by_another_process"])
        assert deleted.filename == "0.png"


# -- runs


def register(data: fo.Dataset, key: str, **config: object) -> None:
    data.register_run(key, data.init_run(method="test", **config))
    data.save_run_results(key, data.init_run_results(key, labels=["a"]))


def n_files() -> int:
    return internals.database()["fs.files"].count_documents({})


def test_reads_and_changes_stored_runs(dataset):
    data = dataset()
    register(data, "mine", revision=1, names={"7": "Rei"})
    with assumed(
        "the collection `runs` has _dataset_id, key and config", internals.run_document, internals.update_run_document
    ):
        stored = internals.run_document(data, "mine", ["config.revision", "config.method"])
        assert stored["config"] == {"revision": 1, "method": "test"}
        assert internals.run_document(data, "other", ["config"]) is None
        assert [each["config"] for each in internals.run_documents(data, "test", ["config.revision"])] == [
            {"revision": 1}
        ]
        assert internals.run_documents(data, "other", ["config"]) == []
        change = {"$set": {"config.names.8": "Asuka"}, "$inc": {"config.revision": 1}}
        assert internals.update_run_document(data, "mine", {"config.revision": 1}, change)
        assert not internals.update_run_document(data, "mine", {"config.revision": 1}, change)
        data.reload()
        assert data.get_run_info("mine").config.names == {"7": "Rei", "8": "Asuka"}


@pytest.mark.slow
def test_refreshes_runs_that_another_process_has_changed(dataset, run_python):
    data = dataset(persistent=True)
    code = """
        import sys, fiftyone as fo
        data = fo.load_dataset(sys.argv[1])
        data.register_run("mine", data.init_run(method="test", n=int(sys.argv[2])), overwrite=True)
        data.save_run_results("mine", data.init_run_results("mine", n=int(sys.argv[2])))
    """
    with assumed("Dataset._doc.runs holds references to documents, _run_cache the results", internals.refresh_run):
        internals.refresh_run(data, "mine")
        assert data.list_runs() == []
        for n in (1, 2):
            run_python(code, data.name, n)
            internals.refresh_run(data, "mine")
            assert (data.get_run_info("mine").config.n, data.load_run_results("mine").n) == (n, n)
        internals.update_run_document(data, "mine", {}, {"$set": {"config.n": 3}})
        internals.refresh_run(data, "mine")
        assert data.get_run_info("mine").config.n == 3
        run_python("import sys, fiftyone as fo; fo.load_dataset(sys.argv[1]).delete_run('mine')", data.name)
        internals.refresh_run(data, "mine")
        assert data.list_runs() == []


def test_forgotten_runs_are_read_at_their_next_use(dataset, run_python):
    data = dataset(persistent=True)
    for key in ("mine", "other"):
        data.register_run(key, data.init_run(method="test", n=1))
    data.save_run_results("mine", data.init_run_results("mine", n=1))
    internals.update_run_document(data, "mine", {}, {"$set": {"config.n": 2}})
    with assumed("Dataset._doc._data holds references until the first use of a run", internals.forget_runs):
        internals.forget_runs(data)
        assert not any(hasattr(each, "config") for each in data._doc._data["runs"].values())
        data.add_sample_field("number", fo.IntField)  # saves what was changed
        assert (data.list_runs(), data.get_run_info("mine").config.n) == (["mine", "other"], 2)
        internals.forget_runs(data)
        assert data.clone().get_run_info("mine").config.n == 2
        internals.forget_runs(data)
        data.register_run("new", data.init_run(method="test"))
        data.delete_run("other")
        internals.forget_runs(data)
        assert data.list_runs() == ["mine", "new"]
        assert data.load_run_results("mine").n == 1
        run_python("import sys, fiftyone as fo; fo.load_dataset(sys.argv[1]).delete_run('mine')", data.name)
        internals.forget_runs(data)
        assert data.list_runs() == ["new"]


def test_overwrites_and_deletes_runs_without_a_moment_in_between(dataset):
    data, n_before = dataset(), n_files()
    register(data, "mine", n=1)
    with assumed(
        "Dataset._doc.runs[key] has config, version, timestamp, results", internals.overwrite_run, internals.delete_run
    ):
        (before,) = internals.database().runs.find({"key": "mine", "_dataset_id": internals.dataset_id(data)})
        internals.overwrite_run(data, "mine", data.init_run(method="test", n=2))
        (after,) = internals.database().runs.find({"key": "mine", "_dataset_id": internals.dataset_id(data)})
        assert after["_id"] == before["_id"]
        assert after["timestamp"] > before["timestamp"]
        assert (after["config"]["n"], after["version"]) == (2, fo.__version__)
        assert data.get_run_info("mine").config.n == 2
        assert n_files() == n_before
        register(data, "other")
        assert n_files() == n_before + 1
        internals.delete_run(data, "other")
        data.reload()
        assert data.list_runs() == ["mine"]
        assert internals.run_document(data, "other", ["_id"]) is None
        assert n_files() == n_before


def test_brain_runs(samples):
    samples.add_sample_field("vector", fo.VectorField)
    samples.set_values("vector", list(np.eye(3, dtype=np.float32)))
    import fiftyone.brain as fob

    fob.compute_similarity(samples, embeddings="vector", brain_key="index", backend="sklearn")
    fob.compute_similarity(samples, embeddings=False, brain_key="empty", backend="sklearn")
    with assumed(
        "Dataset._doc.brain_methods holds runs with results, _brain_cache loaded ones",
        internals.reload_brain_runs,
        internals.has_brain_results,
        internals.forget_brain_results,
    ):
        loaded = samples.load_brain_results("index")
        assert samples.load_brain_results("index") is loaded
        internals.forget_brain_results(samples, "index")
        internals.forget_brain_results(samples, "index")
        assert samples.load_brain_results("index") is not loaded
        assert internals.has_brain_results(samples, "index")
        document = internals.database().datasets.find_one({"_id": internals.dataset_id(samples)})
        change = {"$unset": {"brain_methods.empty": ""}}
        internals.database().datasets.update_one({"_id": document["_id"]}, change)
        internals.reload_brain_runs(samples)
        assert samples.list_brain_runs() == ["index"]


# -- the model zoo


def test_reads_changed_manifests_of_the_model_zoo(tmp_path, monkeypatch):
    import json

    import fiftyone.zoo as foz
    import fiftyone.zoo.models as fozm

    monkeypatch.setattr(fo.config, "model_zoo_dir", str(tmp_path))
    monkeypatch.setattr(fo.config, "model_zoo_manifest_cache_enabled", True)
    with assumed(
        "zoo.models._invalidate_zoo_models_manifest drops manifests in memory", internals.forget_zoo_manifests
    ):
        assert callable(fozm._invalidate_zoo_models_manifest)
        assert foz.list_zoo_models(tags="contract") == []
        model = {"base_name": "contract-model", "base_filename": "model.json", "tags": ["contract"]}
        (tmp_path / "contract").mkdir()
        manifest = {"name": "contract", "models": [model]}
        (tmp_path / "contract" / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        internals.forget_zoo_manifests()
        assert foz.list_zoo_models(tags="contract") == ["contract-model"]
    internals.forget_zoo_manifests()
