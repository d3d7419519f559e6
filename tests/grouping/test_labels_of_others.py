"""Labels as other tools, file systems and people leave them: names in other Unicode forms, and any numbers."""

import fiftyone as fo
import pytest
from bson import Int64, ObjectId

from ccip_plugin import delete_grouping, evaluate_groups, group_characters, history, propose_groups, reject, undo
from ccip_plugin.labels.edits import NothingToRejectError
from ccip_plugin.labels.identities import NewerGroupsError, load_registry, registry_key
from ccip_plugin.storage.internals import update_run_document
from ccip_plugin.storage.runs import RunKeyError
from tests.support.groups import embed, partition

pytestmark = pytest.mark.mongo

FIELD = "character_group"
GA, NFD_GA = "\u30ac", "\u30ab\u3099"


@pytest.fixture
def data(grouped):
    return grouped("aaabbb")


def test_one_name_in_two_unicode_forms_is_one_group(data):
    group_characters(data)
    for sample, name in zip(data, [f"{GA}", f"{NFD_GA}", f"{GA}"], strict=False):
        sample[FIELD].label = name
        sample.save()
    group_characters(data)
    labels = data.values(FIELD)
    assert [label.label for label in labels[:3]] == [GA] * 3, "in the first spelling"
    assert len({label.group_id for label in labels[:3]}) == 1
    groups = [group.name for group in load_registry(data, FIELD).groups.values() if group.merged_into is None]
    assert sum(name in (GA, NFD_GA) for name in groups) == 1
    assert group_characters(data).n_written == 0


def test_names_of_the_ground_truth_in_two_unicode_forms(data):
    group_characters(data)
    data.set_values("truth", [GA, NFD_GA, GA, "b", "b", "b"])
    report = evaluate_groups(data, FIELD, "truth")
    assert (report.metrics.n_characters, report.metrics.ari) == (2, 1)


@pytest.mark.parametrize("value", [Int64(2**63 - 1), Int64(2**62), Int64(-7), 0, "7", 2.5, True, [7], {"a": 1}])
@pytest.mark.parametrize("name", ["group_id", "confidence"])
def test_any_number_may_come_with_a_label(data, name, value):
    group_characters(data)
    _, other, *_ = data.values("id")
    document = {"label": "Rei", "_cls": "Classification", "_id": ObjectId(), "tags": [], name: value}
    data._sample_collection.update_one({"_id": ObjectId(other)}, {"$set": {FIELD: document}})
    for _ in range(2):
        group_characters(data)
    label = fo.load_dataset(data.name)[other][FIELD] if isinstance(value, int) else None
    ids = [group_id for group_id in load_registry(data, FIELD).groups if group_id > 100]
    assert ids == []
    assert load_registry(data, FIELD).next_id < 100
    assert label is None or label.label == "Rei"


@pytest.mark.parametrize("letter, n", [("x", 90_000), ("絵", 30_000), ("x", 201)])
def test_texts_too_long_for_a_name_stay_as_they_are(data, letter, n):
    """They name no group and stop no run; nobody's label is overwritten."""
    samples = list(data)
    texts = [f"{number}{letter * n}" for number in range(3)]
    for sample, text in zip(samples, texts, strict=False):
        sample[FIELD] = fo.Classification(label=text)
        sample.save()
    for _ in range(2):
        report = group_characters(data)
        assert data.values(f"{FIELD}.label")[:3] == texts
        assert any(
            "labels longer than 200 characters" in each and "(3 of the images)" in each for each in report.warnings
        )
    assert report.n_written == 0
    assert all(len(group.name) < 20 for group in load_registry(data, FIELD).groups.values())
    assert data.values(f"{FIELD}.status")[:3] == [None] * 3
    with pytest.raises(NothingToRejectError):
        reject(data.limit(3))
    undo(data)
    assert data.values(f"{FIELD}.label")[:3] == texts
    for sample in samples[:3]:
        sample[FIELD] = fo.Classification(label="Rei")
        sample.save()
    group_characters(data)
    assert data.count_values(f"{FIELD}.label")["Rei"] == 3


def test_a_long_text_in_place_of_the_name_of_a_group(data):
    group_characters(data)
    first = data.first()
    first[FIELD].label = "Rei " * 100
    first.save()
    group_characters(data)
    assert data.values(f"{FIELD}.label")[0] == "Rei " * 100
    assert len(load_registry(data, FIELD).groups) == 2


@pytest.mark.parametrize("named_by, is_kept", [("person", True), (None, False)])
def test_a_group_without_images_is_kept_if_a_person_named_it(data, named_by, is_kept):
    """It is recorded who named it, and does not depend on what the name looks like."""
    group_characters(data)
    (group_id,) = data.limit(1).values(f"{FIELD}.group_id")
    update_run_document(data, registry_key(FIELD), {}, {"$set": {f"config.delta.groups.{group_id}.named_by": named_by}})
    data.delete_samples(data.limit(3).values("id"))
    group_characters(data)
    assert (group_id in load_registry(data, FIELD).groups) == is_kept


def test_groups_of_a_newer_version_are_refused_in_a_sentence(data):
    """Whatever that version has instead of the list of groups: nothing is renumbered, nothing is written."""
    group_characters(data)
    place = {"$set": {"config.version": 3, "config.base": "x"}, "$unset": {"config.delta": "", "config.n_parts": ""}}
    update_run_document(data, registry_key(FIELD), {}, place)
    before = data.values(f"{FIELD}.label"), data.values("last_modified_at")
    for call in (group_characters, undo, delete_grouping, propose_groups, lambda data: reject(data.limit(1))):
        with pytest.raises(NewerGroupsError, match="newer version of this plugin; update this one"):
            call(data)
    assert (data.values(f"{FIELD}.label"), data.values("last_modified_at")) == before
    update_run_document(data, registry_key(FIELD), {}, {"$set": {"config.version": 1, "config.groups": {}}})
    assert history(data)[0].problem is None


def others(letters, dataset, tmp_path):
    samples = dataset(*(tmp_path / f"{letters}{n}.png" for n in range(len(letters))))
    embed(samples, letters)
    group_characters(samples)
    return samples


@pytest.mark.parametrize("is_new", [True, False], ids=["into a new dataset", "into the first one"])
def test_default_names_of_two_datasets_are_kept_apart(dataset, tmp_path, is_new):
    """Both have a char_0001; which images belong together is in the images."""
    first, second = (others(letters, dataset, tmp_path) for letters in ("aaaabb", "ccccdd"))
    assert first.values(f"{FIELD}.label") == second.values(f"{FIELD}.label")
    merged = dataset() if is_new else first
    if is_new:
        merged.add_collection(first)
    merged.add_collection(second)
    done = group_characters(merged)
    assert partition(merged) == [0] * 4 + [1] * 2 + [2] * 4 + [3] * 2
    assert merged.values(f"{FIELD}.group_id") == [1] * 4 + [2] * 2 + [3] * 4 + [4] * 2
    assert (done.changes["split"], done.warnings) == (6, ())


def test_labels_in_a_clone_of_a_view_keep_their_names(dataset, tmp_path):
    """It has no registry."""
    clone = others("aaaabbb", dataset, tmp_path)[1:].clone()
    try:
        before = clone.values(f"{FIELD}.label")
        group_characters(clone)
        assert clone.values(f"{FIELD}.label") == before == ["char_0001"] * 3 + ["char_0002"] * 3
    finally:
        clone.delete()


def test_decided_labels_with_default_names_of_two_datasets_are_said(dataset, tmp_path):
    merged = dataset()
    for letters in ("aaaabb", "ccccdd"):
        part = others(letters, dataset, tmp_path)
        labels = part.values(FIELD)
        labels[0].status = "confirmed"
        part.set_values(FIELD, labels)
        merged.add_collection(part)
    (warning,) = group_characters(merged).warnings
    assert "labels of 2 images, decided by users, have default names" in warning
    assert merged.values(f"{FIELD}.label")[0] == merged.values(f"{FIELD}.label")[6] == "char_0001"
    assert group_characters(merged).warnings == ()


def test_a_run_of_others_in_the_place_of_the_groups_is_refused_in_a_sentence(data):
    data.register_run(registry_key(FIELD), data.init_run(method="another tool", groups=[1]))
    for call in (group_characters, propose_groups):
        with pytest.raises(RunKeyError, match="'ccip_registry_character_group' holds something else, another tool"):
            call(data)
    data.rename_run(registry_key(FIELD), "theirs")
    group_characters(data)
    assert data.get_run_info("theirs").config.groups == [1]


@pytest.mark.parametrize("mode", ["all", "add"])
@pytest.mark.parametrize("status", ["ignored", "confirmed", "todo"])
def test_a_status_that_a_person_gave_without_a_label_counts(data, mode, status):
    group_characters(data)
    first = data.first()
    first[FIELD] = fo.Classification(status=status)
    first.save()
    assert group_characters(data, mode=mode).n_human == 1
    first.reload()
    if mode == "add":
        assert (first[FIELD].status, first[FIELD].label) == (status, None)
        return
    expected = "ignored" if status == "ignored" else "confirmed"
    assert (first[FIELD].status, first[FIELD].label, first[FIELD].group_id) == (expected, "unassigned", None)
    undo(data)
    first.reload()
    assert (first[FIELD].status, first[FIELD].label) == (status, None)
    assert delete_grouping(data).n_kept == 1
    assert (first[FIELD].status, first[FIELD].label) == (status, None)


def test_a_status_that_a_person_gave_a_detection_without_a_label_counts(with_faces):
    data = with_faces("ab")
    faces = {"patches_field": "faces"}
    group_characters(data, **faces)
    first = data.values("faces.detections.id", unwind=True)[0]
    data.set_label_values(f"faces.detections.{FIELD}", {first: None})
    data.set_label_values("faces.detections.character_status", {first: "ignored"})
    for _ in range(2):
        assert group_characters(data, **faces).n_ignored == 1
    assert data.values(f"faces.detections.{FIELD}", unwind=True)[0] == "unassigned"
    assert data.values("faces.detections.character_status", unwind=True)[0] == "ignored"


@pytest.mark.parametrize("group_id", [None, 99])
def test_the_id_in_a_confirmed_label_is_that_of_its_group(data, group_id):
    group_characters(data)
    sample = data.first()
    sample[FIELD] = fo.Classification(label=NFD_GA, status="confirmed", assigned=NFD_GA, group_id=group_id, mine="kept")
    sample.save()
    undone = data.values(FIELD)
    group_characters(data)
    after = data.first()[FIELD]
    groups = {group.name: group_id for group_id, group in load_registry(data, FIELD).groups.items()}
    assert (after.label, after.assigned, after.status, after.mine) == (NFD_GA, NFD_GA, "confirmed", "kept")
    assert after.group_id == groups[NFD_GA]
    undo(data)
    assert data.values(FIELD) == undone


def test_an_ignored_label_is_in_no_group(data):
    group_characters(data)
    sample = data.first()
    sample[FIELD].status = "ignored"
    sample.save()
    name = sample[FIELD].label
    group_characters(data)
    after = data.first()[FIELD]
    assert (after.label, after.status, after.group_id) == (name, "ignored", None)
    assert group_characters(data).n_written == 0
