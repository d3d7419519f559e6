"""What a person has changed in sample objects and not saved stays, whatever is written meanwhile."""

import fiftyone as fo
import pytest

from ccip_plugin.embeddings import compute_embeddings
from ccip_plugin.grouping import group_characters
from ccip_plugin.labels.edits import reject
from ccip_plugin.labels.history import undo
from ccip_plugin.search import find_similar

pytestmark = pytest.mark.mongo

NEW_BOX = [0.25, 0.25, 0.5, 0.5]


def label(detections):
    detections[0].label = "Rei"


def attribute(detections):
    detections[0]["pose"] = "standing"


def tag(detections):
    detections[0].tags.append("mine")


def box(detections):
    detections[0].bounding_box = NEW_BOX


def added(detections):
    detections.append(fo.Detection(label="new", bounding_box=NEW_BOX))


def removed(detections):
    detections.pop(0)


def moved(detections):
    detections.reverse()


EDITS = (label, attribute, tag, box, added, removed, moved)


def seen(detections):
    """What a person sees of detections, without what this plugin writes."""
    return [
        (
            each.id,
            each.label,
            list(each.bounding_box),
            list(each.tags),
            each["pose"] if each.has_field("pose") else None,
        )
        for each in detections
    ]


def groups(detections):
    return {each.id: each["character_group"] for each in detections if "character_group" in each.to_dict()}


def stored(data):
    """What another program reads."""
    collection = data._sample_collection
    return {str(raw["_id"]): raw for document in collection.find() for raw in document["faces"]["detections"]}


@pytest.fixture
def data(with_faces):
    return with_faces("ab")


@pytest.mark.parametrize("edit", EDITS)
def test_of_detections_while_they_are_grouped(data, edit):
    sample = data.first()
    detections = sample.faces.detections
    edit(detections)
    mine = seen(detections)
    group_characters(data, patches_field="faces")
    kept = sample.faces.detections
    assert seen(kept) == mine
    in_database = stored(data)
    assert all(in_database[key]["character_group"] == name for key, name in groups(kept).items())
    assert len(groups(kept)) == len([each for each in kept if each.label != "new"])
    sample.save()
    del sample, detections, kept
    data.reload()
    again = data.first().faces.detections
    assert seen(again) == mine
    assert {key: name for key, name in groups(again).items() if name} == {
        key: in_database[key]["character_group"] for key, *_ in mine if key in in_database
    }


@pytest.mark.parametrize("edit", EDITS)
def test_of_detections_while_a_grouping_is_undone(data, edit):
    group_characters(data, patches_field="faces")
    sample = data.first()
    edit(sample.faces.detections)
    mine = seen(sample.faces.detections)
    undo(data, patches_field="faces")
    assert seen(sample.faces.detections) == mine and groups(sample.faces.detections) == {}
    sample.save()
    assert seen(data.first().faces.detections) == mine
    assert [key for key, raw in stored(data).items() if raw.get("character_group") is not None] == []


@pytest.mark.parametrize("edit", EDITS)
def test_of_detections_that_are_embedded_and_compared(data, model_dir, edit):
    sample = data.first()
    edit(sample.faces.detections)
    mine = seen(sample.faces.detections)
    ids = [next(iter(stored(data)))]
    find_similar(data, ids=ids, patches_field="faces", difference_field="difference")
    compute_embeddings(data, patches_field="faces", model_dir=model_dir, overwrite=True)
    assert seen(sample.faces.detections) == mine
    assert all(each["difference"] is not None for each in sample.faces.detections if each.label != "new")
    sample.save()
    assert seen(data.first().faces.detections) == mine


def test_a_group_that_was_given_by_hand_stays(data):
    sample = data.first()
    first, second = sample.faces.detections
    first["character_group"] = "Rei"
    group_characters(data, patches_field="faces")
    assert (first["character_group"], second["character_group"]) == ("Rei", stored(data)[second.id]["character_group"])
    sample.save()
    assert stored(data)[first.id]["character_group"] == "Rei"


def test_of_detections_while_one_is_rejected(data):
    group_characters(data, patches_field="faces")
    sample = data.first()
    first, second = sample.faces.detections
    second.label = "Rei"
    reject(data.to_patches("faces").select(first.id))
    assert second.label == "Rei" and first["character_group"] == stored(data)[first.id]["character_group"]


def test_detections_that_were_not_changed_are_those_of_the_database(data):
    """Such as one that another process has added."""
    sample, other = data
    other.tags = ["unsaved"]
    document = data._sample_collection.find_one({"_id": other._id})
    document["faces"]["detections"].pop(0)
    data._sample_collection.replace_one({"_id": other._id}, document)
    group_characters(data, patches_field="faces")
    assert (len(sample.faces.detections), len(other.faces.detections), other.tags) == (2, 1, ["unsaved"])


def test_of_detections_while_they_are_grouped_and_undone_again_and_again(data):
    sample = data.first()
    label(sample.faces.detections)
    for _ in range(2):
        group_characters(data, patches_field="faces")
        assert len(groups(sample.faces.detections)) == 2
        undo(data, patches_field="faces")
        assert groups(sample.faces.detections) == {}
    assert sample.faces.detections[0].label == "Rei"
