"""Labels that cannot be written are refused alone, with their ids and the reason; nothing else suffers."""

import bson
import fiftyone as fo
import numpy as np
import pytest

from ccip_plugin.labels.edits import confirm, ignore, move, reject
from ccip_plugin.labels.history import history, redo, undo
from ccip_plugin.labels.identities import RegistryFullError
from ccip_plugin.labels.journal import Journal
from ccip_plugin.labels.store import LabelStore
from ccip_plugin.storage import updates
from ccip_plugin.storage.targets import resolve
from ccip_plugin.storage.updates import MAX_BYTES
from tests.support.full_samples import fill
from tests.support.planned_labels import apply
from tests.support.planned_labels import plan_names as plan

pytestmark = pytest.mark.mongo

FIELD = "character_group"


def names_in(store):
    return [label and label.label for label in store.read()[2]]


def crowded(dataset, numbers, room):
    """Samples with these numbers of detections, of which the first is full up to ``room`` bytes."""
    data = dataset(*[f"/絵/{number}.png" for number in range(len(numbers))])
    for sample, n in zip(data, numbers, strict=True):
        boxes = [fo.Detection(label="girl", bounding_box=[0, 0, 0.1, 0.1]) for _ in range(n)]
        sample["boxes"] = fo.Detections(detections=boxes)
        sample.save()
    store = LabelStore(resolve(data, "boxes"), FIELD)
    store.declare()
    fill(data, data.first(), room)
    return data, store


@pytest.mark.parametrize(
    "room, fewest, most",
    [
        pytest.param(60, 0, 0, id="none fits"),
        pytest.param(30_000, 50, 250, id="some fit"),
        pytest.param(400_000, 450, 450, id="all fit"),
    ],
)
def test_detections_of_a_full_sample(dataset, room, fewest, most):
    data, store = crowded(dataset, [450, 3], room)
    done = apply(store, plan(store, ["Rei"] * 453))
    names = names_in(store)
    n = sum(name == "Rei" for name in names[:450])
    assert fewest <= n <= most
    assert (done.n_written, len(done.refused), done.n_left) == (n + 3, 450 - n, 0)
    ids = store.read()[0]
    assert set(done.refused) == {item_id for item_id, name in zip(ids, names, strict=True) if name is None}
    assert all("16 MB" in reason for reason in done.refused.values())
    assert names[450:] == ["Rei"] * 3
    assert ("Cannot be written" in str(done)) == bool(done.refused)
    assert data.values("boxes_characters") == [["Rei"] if n else None, ["Rei"]]

    (change,) = history(data, patches_field="boxes")
    assert (change.refused, change.problem) == (done.refused, None)
    undone = undo(data, patches_field="boxes")
    assert (undone.n_written, undone.n_left) == (n + 3, 0)
    assert names_in(store) == [None] * 453
    assert redo(data, patches_field="boxes").refused.keys() == done.refused.keys()
    assert names_in(store) == names


def test_a_full_sample_blocks_no_other(dataset):
    data = dataset(*[f"/絵/{n}.png" for n in range(4)])
    store = LabelStore(resolve(data), FIELD)
    store.declare()
    full = data.first()
    fill(data, full, 20)
    done = apply(store, plan(store, "aabb"))
    assert (done.n_written, list(done.refused)) == (3, [full.id])
    assert names_in(store) == [None, "a", "b", "b"]
    assert apply(store, plan(store, "abab")).n_written == 2
    assert reject(data.skip(1).limit(1)).n_rejected == 1
    assert undo(data).n_written == 1
    assert all(entry.state == "done" for entry in Journal(data, store.path).entries()[:-1])


@pytest.mark.parametrize("edit", [lambda view: move(view, "Rei"), ignore, confirm], ids=["move", "ignore", "confirm"])
def test_an_edit_counts_what_it_changed_only(dataset, edit):
    data = dataset("/絵/1.png", "/絵/2.png")
    store = LabelStore(resolve(data), FIELD)
    if edit is confirm:
        apply(store, plan(store, "ab"))
    store.declare()
    fill(data, data.first(), 1)
    done = edit(data.select(data.values("id")))
    assert (set(done.refused), done.n_changed) == ({data.first().id}, 1)
    assert done.facts().headline.endswith(": 1 image")


def test_a_full_sample_that_is_deleted_at_the_same_moment(dataset, monkeypatch):
    data, store = crowded(dataset, [300, 3], 200)
    planned = plan(store, ["Rei"] * 303)
    first = bson.ObjectId(data.first().id)
    fitting = updates._n_fitting

    def deleted_first(*arguments):
        data._sample_collection.delete_one({"_id": first})
        return fitting(*arguments)

    monkeypatch.setattr(updates, "_n_fitting", deleted_first)
    assert apply(store, planned).n_written == 3
    assert names_in(store) == ["Rei"] * 3


def test_there_is_no_room_for_the_list_of_names(dataset):
    data, store = crowded(dataset, [1, 1], 150_000)
    apply(store, plan(store, ["a", "a"]))
    fill(data, data.first(), 5)
    names = [name * 20 for name in ("Rei", "Asuka")]
    done = apply(store, plan(store, names))
    assert set(done.refused) & {data.first().id, store.read()[0][0]}
    assert names_in(store)[1] == names[1]


def test_a_value_in_the_place_of_a_label_is_refused_alone(dataset):
    data = dataset(*[f"/絵/{n}.png" for n in range(3)])
    data.set_values("boxes", [fo.Detections(detections=[fo.Detection(label="girl")]) for _ in range(3)])
    store = LabelStore(resolve(data, "boxes"), FIELD)
    store.declare()
    planned = plan(store, "aab")
    data._sample_collection.update_one({}, {"$set": {"boxes.detections": "text"}})
    done = apply(store, planned)
    assert (done.n_written, done.n_left) == (2, 0)


def test_a_label_that_is_too_large_for_the_history(dataset):
    data = dataset(*[f"/絵/{n}.png" for n in range(3)])
    logits = np.zeros(8_000_000 // 4, np.float32)
    logits[:] = np.random.default_rng(0).standard_normal(len(logits))
    data.set_values(FIELD, [fo.Classification(label="Rei", logits=logits), None, None])
    store = LabelStore(resolve(data), FIELD)
    done = apply(store, plan(store, "aab", is_automatic=False))
    assert (done.n_written, list(done.refused)) == (2, [data.first().id])
    assert names_in(store) == ["Rei", "a", "b"]
    undo(data)
    assert names_in(store) == ["Rei", None, None]


def test_a_registry_that_others_have_filled(dataset):
    """What cannot be completed is set aside, and blocks nothing."""
    data = dataset(*[f"/絵/{n}.png" for n in range(4)])
    store = LabelStore(resolve(data), FIELD)
    apply(store, plan(store, "aabb"))
    runs = fo.core.odm.get_db_conn().runs
    size = len(bson.encode(runs.find_one({"key": "ccip_registry_character_group", "_dataset_id": data._doc.id})))
    place = {"key": "ccip_registry_character_group", "_dataset_id": data._doc.id}
    runs.update_one(place, {"$set": {"config.filling": "x" * (MAX_BYTES - size - 60)}})
    with pytest.raises(RegistryFullError):
        apply(store, plan(store, ["a", "a", "a new one", "a new one"]))
    newest, first = history(data)
    assert "is full: others keep values in it" in newest.problem and first.problem is None
    assert undo(data).n_written == 2
    assert names_in(store) == list("aabb")
    runs.update_one(place, {"$unset": {"config.filling": ""}})
    assert apply(store, plan(store, "aaaa")).n_written == 2
