"""Indexes of the labels: the App's "Sort by" offers doubt after the first run, and nothing is left of a deleted one."""

import fiftyone as fo
import pytest

from ccip_plugin import confirm, delete_grouping, group_characters, redo, undo
from ccip_plugin.storage.indexes import ensure_indexes
from tests.support.groups import embed

pytestmark = pytest.mark.mongo

ON_SAMPLES = {f"character_group.{name}" for name in ("label", "group_id", "confidence", "margin")}
ATTRIBUTES = ("character_group", "character_group_id", "character_confidence", "character_margin")
ON_DETECTIONS = {f"faces.detections.{name}" for name in ATTRIBUTES}


@pytest.fixture(params=[None, "faces"], ids=["samples", "detections"])
def made(request, dataset, tmp_path):
    """A dataset with embeddings, the field with the detections, and the fields to be indexed."""
    new = dataset(*(tmp_path / f"{n}.png" for n in range(5)))
    if request.param:
        for sample in new:
            sample[request.param] = fo.Detections(detections=[fo.Detection(label="x", bounding_box=[0, 0, 1, 1])])
            sample.save()
    embed(new, "aabbc", request.param)
    return new, request.param, ON_DETECTIONS if request.param else ON_SAMPLES


def indexed(data):
    return {name for name in data.get_index_information() if "character_" in name}


def test_they_come_with_the_first_run_and_go_with_it(made):
    data, patches_field, paths = made
    assert not indexed(data)
    group_characters(data, patches_field=patches_field)
    assert indexed(data) == paths
    group_characters(data, patches_field=patches_field, eps=0.3)
    confirm(data[:1], patches_field=patches_field)
    assert indexed(data) == paths
    for _ in range(3):
        assert indexed(data) == paths
        undo(data, patches_field=patches_field)
    assert not indexed(data), "the first run is undone"
    redo(data, patches_field=patches_field)
    assert indexed(data) == paths


@pytest.mark.parametrize("keeps", [False, True], ids=["nothing is kept", "user labels are kept"])
def test_deleted_groups_leave_none(made, keeps):
    data, patches_field, paths = made
    group_characters(data, patches_field=patches_field)
    if keeps:
        confirm(data[:1], patches_field=patches_field)
    delete_grouping(data, patches_field=patches_field)
    assert not indexed(data)
    undo(data, patches_field=patches_field)
    assert indexed(data) == paths


def test_indexes_of_others_stay(embedded):
    data = embedded("aabbc")
    data.create_index("filepath")
    group_characters(data)
    data.create_index("character_group.status")
    delete_grouping(data)
    assert "filepath" in data.get_index_information()


def test_the_most_doubtful_come_first(embedded):
    data = embedded("aaaab")
    group_characters(data)
    order = data.sort_by("character_group.confidence").values("character_group.confidence")
    assert order == sorted(order, key=lambda each: (each is not None, each))
    assert len(order) == 5


def test_a_database_with_no_room_for_more_still_groups(embedded, caplog):
    data = embedded("aabbc")
    for number in range(63 - len(data._sample_collection.index_information())):
        data._sample_collection.create_index(f"other_{number}")
    group_characters(data)
    assert data.count("character_group.label") == 5
    assert "has no indexes for the order in the App" in caplog.text


def test_what_is_indexed_is_not_indexed_again(embedded):
    data = embedded("ab")
    ensure_indexes(data, ["filepath", "_vector"])
    before = data._sample_collection.index_information()
    ensure_indexes(data, ["filepath", "_vector"])
    assert data._sample_collection.index_information() == before
