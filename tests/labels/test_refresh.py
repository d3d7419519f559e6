"""Sample objects in memory see new labels, and keep what is theirs."""

import pytest
from bson import ObjectId

from ccip_plugin.grouping import group_characters
from ccip_plugin.labels.history import undo
from ccip_plugin.storage.internals import sample_documents

pytestmark = pytest.mark.mongo


def test_objects_of_images_see_labels_and_keep_unsaved_values(grouped):
    data = grouped("aabb")
    first, *_, last = held = list(data)
    first.tags = ["unsaved"]
    sample_documents(data).delete_one({"_id": ObjectId(last.id)})  # as another process does
    group_characters(data)
    assert all(sample.character_group.label for sample in held[:3])
    assert first.tags == ["unsaved"]
    undo(data)
    assert [sample.character_group for sample in held[:3]] == [None] * 3


def test_objects_of_detections_see_labels_and_names(with_faces):
    data = with_faces("ab")
    held = list(data)
    group_characters(data, patches_field="faces")
    for sample in held:
        assert all(face.character_group for face in sample.faces.detections)
        assert set(sample.faces_characters) <= {face.character_group for face in sample.faces.detections}
        assert all(face.ccip_embedding is not None for face in sample.faces.detections)
    undo(data, patches_field="faces")
    assert [sample.faces_characters for sample in held] == [None] * 2
