"""Taking a grouping away: what runs wrote goes, what people decided stays, and all of it comes back."""

import fiftyone as fo
import fiftyone.operators as foo
import pytest

from ccip_plugin.grouping import group_characters, propose_groups
from ccip_plugin.labels.deletion import delete_grouping
from ccip_plugin.labels.history import redo, undo
from ccip_plugin.labels.identities import load_registry, registry_key
from tests.support.app.operator_tools import facts, form, problems, run, said

pytestmark = pytest.mark.mongo

DELETE, UNDO = "@ccip/characters/delete_grouping", "@ccip/characters/undo"


def labels(data, path="character_group.label"):
    data.reload()
    return data.values(path, unwind=True) if data.get_field(path) is not None else None


def test_goes_without_a_trace_and_comes_back(embedded):
    data = embedded("aabbc")
    group_characters(data)
    before = data.values("character_group.label")
    planned = delete_grouping(data, dry_run=True)
    assert (planned.n_labels, planned.n_kept, planned.n_groups, planned.is_done) == (5, 0, 2, False)
    assert (planned.run_keys, planned.fields) == (("ccip_groups",), ("character_group",))
    assert labels(data) == before, "a dry run changes nothing"

    done = delete_grouping(data)
    assert (done.n_labels, done.n_kept, done.fields, done.is_done) == (5, 0, ("character_group",), True)
    assert labels(data) is None
    assert data.list_runs() == [registry_key("character_group")], "ids are not used again"
    assert data.count("ccip_embedding") == 5

    undo(data)
    assert labels(data) == before
    assert data.get_run_info("ccip_groups").config.method == "ccip_groups"
    redo(data)
    assert data.count("character_group") == 0


def test_broken_off_it_goes_on_and_comes_back_all_the_same(embedded):
    data = embedded("aabbc")
    group_characters(data)
    before = data.values("character_group.label")

    def stop(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        delete_grouping(data, progress=stop)
    assert delete_grouping(data).is_done
    assert labels(data) is None
    assert data.list_runs() == [registry_key("character_group")]
    undo(data)
    assert labels(data) == before


def test_what_people_decided_stays(embedded):
    data = embedded("aabbc")
    group_characters(data)
    first, last = data.first(), data.last()
    first.character_group.label = "惣流アスカ"
    first.save()
    last.character_group.status = "ignored"
    last.save()
    done = delete_grouping(data)
    assert (done.n_labels, done.n_kept, done.n_groups, done.fields) == (3, 2, 2, ())
    assert labels(data) == ["惣流アスカ", None, None, None, "unassigned"]
    assert {group.name for group in load_registry(data, "character_group").groups.values()} == {"惣流アスカ"}
    group_characters(data)
    assert labels(data)[:2] == ["惣流アスカ", "惣流アスカ"], "the next run begins with what was decided"
    assert labels(data)[2] == "char_0004", "under a new id"


def test_detections(with_faces):
    data = with_faces("ab")
    data.add_sample_field("faces.detections.mood", fo.StringField)
    group_characters(data, patches_field="faces")
    before = labels(data, "faces.detections.character_group")
    done = delete_grouping(data.limit(1), patches_field="faces")
    assert (done.path, done.n_labels, done.n_kept) == ("faces.detections.character_group", 4, 0)
    fields = data.reload() or data.get_field_schema(flat=True)
    assert not [name for name in fields if "character" in name]
    assert "faces.detections.mood" in fields
    assert data.count_values("faces.detections.label") == {"face": 4}
    undo(data, patches_field="faces")
    assert labels(data, "faces.detections.character_group") == before
    assert data.first().faces_characters == sorted(set(before[:2]))


def test_a_proposal_for_it_goes_too(embedded):
    data = embedded("aabb")
    group_characters(data)
    propose_groups(data, eps=0.01)
    assert delete_grouping(data).run_keys == ("ccip_groups", "ccip_proposal_character_group")
    data.reload()
    assert data.list_runs() == [registry_key("character_group")]


def test_where_nothing_is_nothing_happens(embedded):
    data = embedded("ab")
    done = delete_grouping(data)
    assert (done.n_labels, done.n_kept, done.n_groups, done.run_keys, done.fields) == (0, 0, 0, (), ())
    data.add_sample_field("character_group", fo.EmbeddedDocumentField, embedded_doc_type=fo.Classification)
    data.set_values("character_group", [fo.Classification(label="Rei"), None])
    done = delete_grouping(data)
    assert (done.n_labels, done.n_kept, done.fields) == (0, 1, ())
    assert labels(data) == ["Rei", None], "what was there before us stays"


# -- the operator


@pytest.mark.parametrize("n_images", [0, 1])
@pytest.mark.parametrize("patches_field", [None, "faces"])
def test_where_nothing_is_no_field_is_made(dataset, n_images, patches_field):
    data = dataset(*["/絵/1.png"][:n_images])
    data.add_sample_field("faces", fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)
    for sample in data:
        sample["faces"] = fo.Detections(detections=[fo.Detection(label="face", bounding_box=[0, 0, 1, 1])])
        sample.save()
    before = set(data.get_field_schema(flat=True)), data.list_indexes()
    assert delete_grouping(data, patches_field=patches_field).fields == ()
    assert (set(data.get_field_schema(flat=True)), data.list_indexes()) == before


def test_the_form_shows_what_will_go(embedded):
    data = embedded("aab")
    assert problems(form(DELETE, data)) == {
        "nothing_error": "There is nothing to delete: this dataset has no character groups. "
        "Run 'CCIP: group by character' first."
    }
    group_characters(data)
    asked = form(DELETE, data)
    assert said(asked, "deleted_warning") == "To be deleted, as runs wrote them: 3 labels and 1 group."
    assert said(asked, "kept_hint").endswith("so the field 'character_group' is deleted, too.")
    first = data.first()
    first.character_group.label = "Rei"
    first.save()
    assert said(form(DELETE, data), "kept_hint") == "User labels to be kept, with their groups: 1."
    run(DELETE, data)
    data.reload()
    found = problems(form(DELETE, data))
    assert found == {"nothing_error": "There is nothing to delete: no label in 'character_group' was written by a run."}


def test_the_operator_deletes_and_can_be_undone(with_faces):
    data = with_faces("ab")
    group_characters(data, patches_field="faces")
    before = labels(data, "faces.detections.character_group")
    shown = run(DELETE, data)
    assert shown["notify"]["message"] == "CCIP: 4 labels deleted, 0 kept"
    assert facts(shown["show_output"]["results"])["Runs deleted"].startswith("ccip_groups")
    run(UNDO, data)
    assert labels(data, "faces.detections.character_group") == before


def test_from_python(embedded):
    data = embedded("aab")
    group_characters(data)
    operator = foo.get_operator(DELETE)
    assert operator(data, dry_run=True).n_labels == 3
    assert operator(data).is_done
    assert operator.config.to_json()["risk_level"] == "high"
