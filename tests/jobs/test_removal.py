"""Everything of ours goes, nothing else: the dataset is as it was before."""

import fiftyone as fo
import fiftyone.brain as fob
import numpy as np
import pytest
from fiftyone import ViewField as F

import ccip_plugin as ccip
from ccip_plugin.__main__ import main
from ccip_plugin.core.errors import CCIPError
from ccip_plugin.storage import internals
from ccip_plugin.storage.lease import lease
from tests.support import faults
from tests.support.app.operator_tools import form, problems, run
from tests.support.groups import embed

pytestmark = pytest.mark.mongo

REMOVE = "@ccip/characters/remove_ccip"
_TIMES = ("last_modified_at", "last_loaded_at", "last_deletion_at")


def without_times(value):
    if isinstance(value, dict):
        return {key: without_times(each) for key, each in value.items() if key not in _TIMES}
    return [without_times(each) for each in value] if isinstance(value, list) else value


def everything(dataset):
    """Every document of the database that belongs to a dataset, and its indexes."""
    database, key = internals.database(), internals.dataset_id(dataset)
    samples = internals.sample_documents(dataset)
    document = without_times(database.datasets.find_one({"_id": key}))
    kept = {"dataset": {name: value for name, value in document.items() if value not in (None, [], {})}}
    kept["samples"] = [without_times(each) for each in samples.find().sort("_id")]
    kept["indexes"] = sorted(samples.index_information())
    for name, query in {
        "runs": {"_dataset_id": key},
        "views": {"_dataset_id": key},
        "execution_store": {"dataset_id": key},
        "ccip_leases": {"_id": {"$regex": f"^{key}/"}},
    }.items():
        kept[name] = [without_times(each) for each in database[name].find(query).sort("_id")]
    since = {"uploadDate": {"$gte": dataset.created_at}}  # FiftyOne deletes older ones of others when it likes
    kept["files"] = sorted(str(each["_id"]) for each in database["fs.files"].find(since, ["_id"]))
    return kept


def differences(before, after):
    """What differs, by where it is."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted(before.keys() | after.keys())
        parts = {key: differences(before.get(key), after.get(key)) for key in keys}
        return {key: part for key, part in parts.items() if part != {}}
    return {} if before == after else (before, after)


def of_others(data):
    """What others keep with a dataset: fields, detections, runs, views, an index, a label schema, a store."""
    data.set_values("who", [fo.Classification(label=f"人 {n}") for n in range(len(data))])
    data.set_values("vectors", list(np.eye(len(data), 4)))
    for sample in data.iter_samples(autosave=True):
        box = fo.Detection(label="face", bounding_box=[0.1, 0.1, 0.5, 0.5], confidence=0.5, smiles=True)
        sample["faces"] = fo.Detections(detections=[box])
    data.add_dynamic_sample_fields()
    data.create_index("who.label")
    data.save_view("CCIP: my view", data.match(F("who.label") == "人 1"))
    data.save_view("mine", data.limit(2))
    fob.compute_similarity(data, embeddings="vectors", brain_key="others", progress=False)
    data.register_run("other_run", data.init_run(method="another tool", value=1))
    data.update_label_schema("who", {"type": "classification", "component": "text"})
    fo.operators.store.ExecutionStore.create("other_store", internals.dataset_id(data)).set("key", 1)
    data.app_config.color_scheme = fo.ColorScheme(color_by="value", fields=[{"path": "who", "fieldColor": "#ff0000"}])
    data.save()


@pytest.fixture
def data(dataset, images, model_dir, monkeypatch, tmp_path):
    monkeypatch.setenv("CCIP_MODEL_DIR", str(model_dir))
    monkeypatch.setenv("CCIP_CACHE_DIR", str(tmp_path / "cache"))
    new = dataset(*images(faults.LETTERS), persistent=True)
    of_others(new)
    return new


def use(data):
    """Everything that this plugin can write."""
    embed(data, faults.LETTERS)
    ccip.group_characters(data)
    ccip.group_characters(data, eps=0.2)
    ccip.undo(data)
    ccip.propose_groups(data, method="dbscan")
    group = data.distinct("character_group.label")[0]
    ccip.confirm(data[:2])
    ccip.rename_group(data, group, "綾波")
    ccip.reject(data[2:3])
    ccip.compute_similarity(data)
    ccip.compute_visualization(data, method="pca")
    ccip.evaluate_groups(data, "character_group", "who_text")
    ccip.find_similar(data, group="綾波", difference_field="ccip_difference")
    ccip.save_answers(data, [])
    ccip.save_views(data)
    embed(data, faults.LETTERS, patches_field="faces")
    ccip.group_characters(data, patches_field="faces")
    ccip.confirm(data[:2], patches_field="faces")
    ccip.save_views(data, patches_field="faces")


def test_the_dataset_is_as_before(data):
    data.set_values("who_text", list(faults.LETTERS))
    before = everything(data)
    use(data)
    used = everything(data)
    planned = ccip.remove_ccip(data, dry_run=True)
    assert differences(used, everything(data)) == {}, "a dry run changes nothing"
    done = ccip.remove_ccip(data[:1])
    assert (done.ours, done.is_done, planned.is_done) == (planned.ours, True, False)
    assert differences(before, everything(data)) == {}
    assert not ccip.remove_ccip(data, dry_run=True).ours
    assert str(ccip.remove_ccip(data)) == "nothing of CCIP is in this dataset"
    ccip.compute_embeddings(data)
    ccip.group_characters(data)
    assert len(ccip.history(data)) == 1


def test_what_it_lists(data):
    data.set_values("who_text", list(faults.LETTERS))
    use(data)
    facts = ccip.remove_ccip(data, dry_run=True).facts()
    assert facts.headline.endswith("fields, runs, indexes, views and stores to be removed")
    fields = facts["Fields"].split(", ")
    wanted = {"character_group", "ccip_embedding", "ccip_difference", "faces_characters", "faces_decisions"}
    assert wanted <= set(fields) and not {"who", "vectors", "faces"} & set(fields)
    assert "faces.detections.character_group" in fields and "faces.detections.smiles" not in fields
    assert (facts["User labels in them"], facts["History"][:11]) == ("4", "all changes")
    assert facts["Similarity indexes and visualizations"] == "ccip_similarity, ccip_visualization"
    assert "CCIP: my view" not in facts["Saved views"]


def test_names_that_were_there_before_stay(data):
    before = [fo.Classification(label="綾波"), fo.Classification(label="惣流"), *[None] * 4]
    data.add_sample_field("character_group", fo.EmbeddedDocumentField, embedded_doc_type=fo.Classification)
    data.set_values("character_group", before)
    embed(data, faults.LETTERS)
    ccip.group_characters(data)
    ccip.move(data[3:4], "Rei")
    planned = ccip.remove_ccip(data, dry_run=True)
    assert "character_group" not in planned.ours.fields
    assert planned.facts()["Kept: character_group"].startswith("it had labels before the first run")
    ccip.remove_ccip(data)
    data.reload()
    names = [label and label.label for label in data.values("character_group")]
    assert names == ["綾波", "惣流", None, "Rei", None, None]
    stored = internals.sample_documents(data).find_one()["character_group"]
    assert not {"status", "group_id", "assigned"} & stored.keys()
    assert not ccip.remove_ccip(data, dry_run=True).ours


def test_vectors_that_were_adopted_stay(data):
    data.set_values("mine", list(np.eye(len(data), 768)))
    data.add_sample_field("mine2", fo.VectorField)
    before = everything(data)
    with pytest.raises(CCIPError):
        ccip.compute_embeddings(data, embeddings_field="mine")
    ccip.compute_embeddings(data, embeddings_field="mine", adopt=True, model_name="ccip-caformer-24-randaug-pruned")
    ccip.group_characters(data, embeddings_field="mine")
    assert "mine" in ccip.remove_ccip(data, dry_run=True).ours.kept
    ccip.remove_ccip(data)
    assert differences(before, everything(data)) == {}


REPLACED = {
    "text": (fo.StringField, {}, "mine"),
    "numbers": (fo.ListField, {"subfield": fo.IntField}, [1, 2]),
    "regression": (fo.EmbeddedDocumentField, {"embedded_doc_type": fo.Regression}, fo.Regression(value=1)),
    "classification": (
        fo.EmbeddedDocumentField,
        {"embedded_doc_type": fo.Classification},
        fo.Classification(label="m"),
    ),
}


@pytest.mark.parametrize("kind", REPLACED)
def test_a_field_of_the_user_in_place_of_ours_stays(data, kind):
    data.set_values("who_text", list(faults.LETTERS))
    use(data)
    field, options, value = REPLACED[kind]
    data.delete_sample_field("character_group")
    data.add_sample_field("character_group", field, **options)
    data.set_values("character_group", [value] * len(data))
    mine = data.get_field("character_group")
    mine.read_only = True  # nobody writes there
    mine.save()
    before = [each["character_group"] for each in internals.sample_documents(data).find()]
    planned = ccip.remove_ccip(data, dry_run=True)
    assert planned.facts()["Kept: character_group"] == "it is not the field that this plugin made there"
    ccip.remove_ccip(data)
    assert [each["character_group"] for each in internals.sample_documents(data).find()] == before
    assert not ccip.remove_ccip(data, dry_run=True).ours


@pytest.mark.parametrize("name", ["faces_characters", "faces_decisions"])
def test_a_field_of_the_user_in_place_of_one_beside_detections_stays(data, name):
    data.set_values("who_text", list(faults.LETTERS))
    use(data)
    data.delete_sample_field(name)
    data.add_sample_field(name, fo.StringField)
    data.set_values(name, ["mine"] * len(data))
    ccip.remove_ccip(data)
    assert data.values(name) == ["mine"] * len(data)
    assert not ccip.remove_ccip(data, dry_run=True).ours


def test_an_attribute_of_the_user_in_place_of_ours_stays(data):
    data.set_values("who_text", list(faults.LETTERS))
    use(data)
    path = "faces.detections.character_margin"
    data.delete_sample_field(path)
    data.set_label_values(path, dict.fromkeys(data.values("faces.detections.id", unwind=True), "wide"), dynamic=True)
    ccip.remove_ccip(data)
    assert set(data.values(path, unwind=True)) == {"wide"}
    assert not ccip.remove_ccip(data, dry_run=True).ours


def test_an_index_of_others_on_our_vectors_is_said(data):
    embed(data, faults.LETTERS)
    fob.compute_similarity(data, embeddings="ccip_embedding", brain_key="own_index", progress=False)
    planned = ccip.remove_ccip(data, dry_run=True)
    assert planned.ours.dependent == ("own_index",) and "own_index" in planned.facts().warnings[0]
    ccip.remove_ccip(data)
    assert data.list_brain_runs() == ["others", "own_index"]


def test_an_interrupted_removal_is_finished(data, monkeypatch):
    data.set_values("who_text", list(faults.LETTERS))
    before = everything(data)
    use(data)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("ccip_plugin.jobs.removal._runs", interrupt)
        ccip.remove_ccip(data)
    ccip.remove_ccip(data)
    assert differences(before, everything(data)) == {}


def interrupt(*_):
    raise KeyboardInterrupt


def test_a_read_only_field_is_refused_before_anything_is_removed(data):
    embed(data, faults.LETTERS)
    ccip.group_characters(data)
    field = data.get_field("ccip_embedding")
    field.read_only = True
    field.save()
    before = everything(data)
    with pytest.raises(CCIPError, match="'ccip_embedding' is read-only"):
        ccip.remove_ccip(data)
    assert differences(before, everything(data)) == {}


def test_who_works_on_it_is_waited_for(data, monkeypatch):
    embed(data, faults.LETTERS)
    with lease(data, "ccip_embedding"):
        assert ccip.remove_ccip(data, dry_run=True).ours.n_leases == 1


def test_the_command(data, capsys):
    embed(data, faults.LETTERS)
    assert main(["remove", "--dataset", data.name]) == 0
    out = capsys.readouterr().out
    assert "ccip_embedding" in out and "nothing was changed: --yes removes it" in out
    assert main(["remove", "--dataset", data.name, "--yes"]) == 0
    assert "stores removed" in capsys.readouterr().out
    assert main(["remove", "--dataset", data.name]) == 0
    assert capsys.readouterr().out.strip() == "nothing of CCIP is in this dataset"


def test_the_operator(data):
    assert "CCIP keeps nothing with this dataset" in str(problems(form(REMOVE, data)))
    embed(data, faults.LETTERS)
    inputs = form(REMOVE, data)
    assert "Fields: ccip_embedding" in str(inputs) and "sure_error" in problems(inputs)
    assert "'is sure' is empty" in str(run(REMOVE, data)) and data.has_field("ccip_embedding")
    assert not problems(form(REMOVE, data, is_sure=True))
    run(REMOVE, data, is_sure=True)
    assert not data.has_field("ccip_embedding")
