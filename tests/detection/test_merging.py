"""What becomes of boxes when a detector runs again: a table of cases, and random ones."""

import random

import pytest
from bson import ObjectId

from ccip_plugin.detection.merging import entry_of, merge_boxes
from tests.support.detection.boxes import pixels, relative

A, NEAR_A, B, FAR = (8, 8, 24, 40), (8, 8, 24, 44), (32, 8, 48, 40), (4, 50, 60, 60)


def document(corners, **values):
    box = relative(*corners)
    return {"_id": ObjectId(), "label": "person", "bounding_box": box, "confidence": 0.9, **values}


def merge(documents, record, *found, **options):
    return merge_boxes(documents, record, [document(corners) for corners in found], **options)


def corners(merged):
    return [pixels(each["bounding_box"]) for each in merged.documents]


def test_nothing_meets_nothing():
    assert merge([], None).documents == []


def test_a_first_run():
    merged = merge([], None, A, B)
    assert corners(merged) == [A, B]
    assert merged.record == [entry_of(each) for each in merged.documents]
    assert (merged.n_detector, merged.n_new, merged.n_people) == (2, 2, 0)


def test_the_same_boxes_keep_their_documents():
    first = merge([], None, A, B)
    again = merge(first.documents, first.record, B, A)
    assert again.documents == first.documents
    assert again.record == first.record
    assert again.n_new == 0


def test_a_box_that_moves_keeps_its_id_and_labels_but_no_vectors():
    old = document(A, character_group="Rei", vector=b"0", other=b"1")
    merged = merge([old], [entry_of(old)], NEAR_A, vector_names=["vector", "absent"])
    (new,) = merged.documents
    assert corners(merged) == [NEAR_A]
    assert new == {**old, "bounding_box": relative(*NEAR_A), "vector": None}
    assert merge([old], [entry_of(old)], A, vector_names=["vector"]).documents == [old]


def test_a_box_that_is_not_found_again_is_removed():
    old = document(A)
    merged = merge([old], [entry_of(old)], B)
    assert corners(merged) == [B]
    assert (merged.n_removed, len(merged.record)) == (1, 1)
    assert corners(merge(merged.documents, merged.record, A, B)) == [B, A], "nobody deleted it"


@pytest.mark.parametrize(
    "values, is_kept",
    [
        ({"character_status": "confirmed"}, True),
        ({"hero_status": "ignored"}, True),
        ({"character_status": "auto"}, False),
        ({"tags": ["mine"]}, True),
        ({"tags": []}, False),
        ({"mask_path": "mask.png"}, True),
    ],
    ids=str,
)
def test_what_a_person_decided_stays_even_where_nothing_is_found(values, is_kept):
    old = document(A, **values)
    assert corners(merge([old], [entry_of(old)])) == [A] * is_kept


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param({"bounding_box": relative(*NEAR_A)}, id="a little"),
        pytest.param({"bounding_box": relative(*FAR)}, id="to another place"),
        pytest.param({"label": "statue"}, id="its class"),
        pytest.param({"mask_path": "mask.png"}, id="a mask"),
        pytest.param({"bounding_box": [0.5, 0.5, 0, 0]}, id="to nothing"),
    ],
)
def test_an_edited_box_stays_as_it_is(edit):
    old = document(A)
    edited = {**old, **edit}
    merged = merge([edited], [entry_of(old)], A, B)
    assert merged.documents[0] == edited
    assert corners(merged)[1:] == [B]
    assert (merged.n_people, merged.n_dropped, merged.n_new) == (1, 1, 1)
    again = merge(merged.documents, merged.record, A, B)
    assert again.documents == merged.documents
    assert again.record == merged.record


def test_rounding_is_no_edit():
    old = document(A)
    rounded = {**old, "bounding_box": [number + 1e-8 for number in old["bounding_box"]]}
    merged = merge([rounded], [entry_of(old)], NEAR_A)
    assert (corners(merged), merged.n_people) == ([NEAR_A], 0)


def test_an_added_box_stays():
    added = document(A, label="mine")
    merged = merge([added], [], NEAR_A, B)
    assert merged.documents[0] == added
    assert corners(merged) == [A, B]
    assert (merged.n_people, merged.n_dropped) == (1, 1)


@pytest.mark.parametrize("label", [None, [], "text", [5, {"id": 1}, {"id": "a", "box": None}]], ids=str)
def test_without_a_record_all_boxes_are_a_persons(label):
    old = document(A)
    assert merge([old], label, A).documents == [old]


def test_a_deleted_box_does_not_come_back():
    first = merge([], None, A, B)
    merged = merge(first.documents[1:], first.record, NEAR_A, B)
    assert corners(merged) == [B]
    assert corners(merge(merged.documents, merged.record, A, B)) == [B], "not at the next run, either"


def test_of_two_boxes_that_overlap_the_deleted_one_stays_deleted_and_the_other_stays():
    """Detectors give boxes with an overlap up to 0.7."""
    kept, deleted = document((8, 8, 40, 40)), document((8, 8, 40, 56))
    merged = merge([kept], [entry_of(deleted), entry_of(kept)], (8, 8, 40, 40), (8, 8, 40, 56))
    assert merged.documents == [kept]
    assert (merged.n_dropped, merged.n_removed) == (1, 0)


def test_all_detections_of_a_deleted_box_are_left_out():
    """Detectors may give two boxes for one that is gone: one to one is not enough."""
    gone = document((8, 8, 40, 40))
    merged = merge([], [entry_of(gone)], (8, 8, 40, 40), (8, 8, 40, 50))
    assert (merged.documents, merged.n_dropped) == ([], 2)


def test_copies_of_a_sample_have_other_ids():
    first = merge([], None, A, B)
    copies = [{**each, "_id": ObjectId()} for each in first.documents]
    merged = merge(copies, first.record, NEAR_A, B)
    assert (corners(merged), merged.n_people) == ([NEAR_A, B], 0)


def test_each_new_box_goes_to_the_one_that_it_overlaps_most():
    left, right = document((0, 0, 32, 32)), document((8, 0, 40, 32))
    merged = merge([left, right], [entry_of(left), entry_of(right)], (9, 0, 41, 32), (1, 0, 33, 32))
    assert corners(merged) == [(1, 0, 33, 32), (9, 0, 41, 32)]
    assert [each["_id"] for each in merged.documents] == [left["_id"], right["_id"]]


@pytest.mark.parametrize("seed", range(30))
def test_what_people_did_survives_any_runs(seed):
    """Boxes are edited, added and deleted between runs of detectors that find different boxes."""
    chance = random.Random(seed)

    def box():
        left, top = chance.randrange(40), chance.randrange(40)
        return left, top, left + chance.randrange(4, 24), top + chance.randrange(4, 24)

    merged, people, deleted = merge([], None), {}, []
    for _ in range(6):
        merged = merge(merged.documents, merged.record, *[box() for _ in range(chance.randrange(6))])
        by_id = {each["_id"]: each for each in merged.documents}
        assert all(by_id[key] == each for key, each in people.items())
        assert not deleted or not {each["_id"] for each in deleted} & by_id.keys()
        assert len(by_id) == len(merged.documents)
        documents = list(merged.documents)
        for number, each in enumerate(documents):
            if chance.random() < 0.2:
                documents[number] = people[each["_id"]] = {**each, "bounding_box": relative(*box())}
        if documents and chance.random() < 0.5:
            gone = documents.pop(chance.randrange(len(documents)))
            people.pop(gone["_id"], None)
            deleted.append(gone)
        if chance.random() < 0.5:
            documents.append(document(box()))
            people[documents[-1]["_id"]] = documents[-1]
        merged.documents = documents
