"""Which field with groups a form begins with, in a dataset with groups of images and of detections."""

import fiftyone as fo
import pytest

from ccip_plugin import group_characters, ignore, move, rename_group, undo
from tests.support.app.operator_tools import form, problems, run, said, uri
from tests.support.groups import embed, labels

pytestmark = pytest.mark.mongo

IMAGES, PEOPLE = "character_group", "people.detections.character_group"


@pytest.fixture
def both(grouped):
    """Groups of the images, and after them of their detections."""
    new = grouped("aabb")
    for sample in new:
        box = [0.1, 0.1, 0.5, 0.5]
        sample["people"] = fo.Detections(detections=[fo.Detection(label="girl", bounding_box=box) for _ in range(2)])
        sample.save()
    embed(new, "aaaabbbb", "people")
    group_characters(new, patches_field="people")
    return new


def of_people(data):
    return data.values(PEOPLE, unwind=True)


FIELD_FORMS = (
    *("rename_group", "show_group", "save_views", "name_characters", "save_library", "export_decisions"),
    *("delete_grouping", "split_group", "confirm", "ignore", "set_cover"),
)


@pytest.mark.parametrize("name", FIELD_FORMS)
def test_in_a_patches_view_it_is_that_of_the_shown_detections(both, name):
    inputs = form(uri(name), both.to_patches("people"))
    assert "path" not in inputs or inputs["path"]["default"] == PEOPLE
    assert "path" not in (inputs := form(uri(name), both)) or inputs["path"]["default"] == IMAGES


def test_what_is_done_in_a_patches_view_is_done_there(both):
    patches = both.to_patches("people")
    run(uri("rename_group"), patches, selected=patches.values("id")[:1], name="綾波レイ")
    assert of_people(both)[:4] == ["綾波レイ"] * 4 and labels(both)[0] == "char_0001"


def test_with_labels_selected_in_an_opened_sample_it_is_theirs(both):
    label = {"label_id": both.first().people.detections[0].id, "field": "people"}
    assert form(uri("rename_group"), both, selected_labels=[label])["path"]["default"] == PEOPLE
    inputs = form(uri("rename_group"), both, selected_labels=[label], selected=both.values("id")[:1])
    assert inputs["path"]["default"] == IMAGES


def test_undo_begins_with_the_field_that_was_changed_last(both):
    for samples in (both, both.to_patches("people")):
        ignore(both.limit(1), patches_field="people")
        inputs = form(uri("undo"), samples)
        assert inputs["path"]["default"] == PEOPLE and said(inputs, "change_hint").startswith("Undo 'ignore'")
        before = labels(both)
        run(uri("undo"), samples)
        assert "unassigned" not in of_people(both) and labels(both) == before
    move(both.limit(1), "Rei")
    for samples in (both, both.to_patches("people")):
        assert form(uri("undo"), samples)["path"]["default"] == IMAGES
        assert form(uri("history"), samples)["path"]["default"] == IMAGES


def test_redo_begins_with_the_field_that_has_a_change_to_redo(both):
    rename_group(both, "char_0001", "Rei", patches_field="people")
    undo(both, patches_field="people")
    move(both.limit(1), "Asuka")
    inputs = form(uri("redo"), both)
    assert inputs["path"]["default"] == PEOPLE and not problems(inputs)
    run(uri("redo"), both)
    assert of_people(both)[0] == "Rei"


def test_names_are_shown_on_detections_only(both, grouped):
    inputs = form(uri("show_names"), both)
    assert "path" not in inputs and not problems(inputs), "there is one field with groups of detections"
    assert "reload_dataset" not in run(uri("show_names"), both)
    ((_, problem),) = problems(form(uri("show_names"), grouped("aa"))).items()
    assert problem == "There are no names to show on detections: images show the names of theirs anyway."
