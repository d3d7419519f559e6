"""Datasets that version 0.1.0 left behind, in every state: they open, go on, and lose no decision of people.

``make_v0_1_0.py`` says how the data was made. Only what is public is used here, and what labels have to be is literal,
so that these tests stay as they are whatever becomes of the code.

Labels of many items are written as one text, in their order: ``1`` for ``character_0001`` or ``char_0001``, ``.`` for
unassigned, ``-`` for no label, else the first letter of a name that a person gave; after it ``!`` for confirmed and
``x`` for ignored.
"""

import datetime
import os
import time
from pathlib import Path

import pytest

from tests.compat.opened import (
    Opened,
    answers,
    call,
    contents,
    edit,
    everything,
    exploration,
    fitted_threshold,
    forms,
    group_ids,
    is_refused,
    labels,
    names,
    nearest,
    operate,
    proposal,
    registration,
    repair_box,
    run_parameters,
    values,
    work_through_the_queue,
    zoo_model,
)

pytestmark = pytest.mark.mongo

ARCHIVE = Path(__file__).with_name("v0_1_0.bson.gz")
MODEL = "ccip-caformer-24-randaug-pruned"
IMAGES = ["a1", "a2", "a3", "A1", "A2", "A3", "b1", "b2", "b3", "c1", "c2", "e1", "x1"]
LOOSE = 0.3  # eps: what begins with a and with A is one character
NAMES = {f"{kind}_{n:04d}": str(n) for kind in ("character", "char") for n in range(1, 10)}
CODES = NAMES | {"unassigned": ".", None: "-"}
STATES = {"confirmed": "!", "ignored": "x", "auto": "", None: ""}


@pytest.fixture(scope="module")
def untouched(mongo, tmp_path_factory):
    """The data of version 0.1.0 in a database of its own, for tests that change nothing."""
    yield from restored(mongo, tmp_path_factory.mktemp("untouched"), "untouched")


@pytest.fixture(scope="module")
def old(mongo, tmp_path_factory):
    """The data of version 0.1.0 in a database of its own; each test changes other fields."""
    yield from restored(mongo, tmp_path_factory.mktemp("old"), "old")


def restored(mongo, folder, name):
    with Opened(ARCHIVE, folder, os.environ["FIFTYONE_DATABASE_URI"], f"{mongo.name}_{name}") as copy:
        yield copy


def groups(copy, name, field="character_group", patches_field=None):
    """The labels as the head of this file says."""
    found = copy(labels, name, field, patches_field).values()
    return "".join(CODES.get(label, (label or "-")[0]) + STATES[status] for label, status in found)


# -- nothing is changed


def test_every_dataset_opens(untouched):
    assert untouched(names) == ["detections", "frames", "samples", "videos"]
    kinds = "ccip_groups", "ccip_registry"
    fields = ("prepared", "proposed", "pruned", "redoing", "undoing", "writing")
    assert untouched(contents, "samples") == {
        "samples": 13,
        "runs": {
            "ccip_answers": "ccip_answers",
            "ccip_calibration_ccip_embedding": "ccip_calibration",
            "ccip_evaluation": "ccip_model_evaluation",
            "ccip_evaluation_character_group": "ccip_group_evaluation",
            "ccip_groups": "ccip_groups",
            "ccip_proposal_proposed": "ccip_proposal",
            "ccip_registry_character_group": "ccip_registry",
            **{f"{kind}_{field}": kind for kind in kinds for field in fields},
        },
        "brain": {"ccip_similarity": 12, "ccip_visualization": 12},
        "views": {"not confirmed": 9},
        "edited in": ["character_group", *fields],
    }
    of_people = {f"{kind}_people_detections_character_group": kind for kind in kinds}
    assert untouched(contents, "detections") == {
        "samples": 3,
        "runs": of_people,
        "brain": {"ccip_similarity_people_detections_ccip_embedding": 8},
        "views": {"people": 9},
        "edited in": ["heads", "people"],
    }
    assert untouched(contents, "frames") == {
        "samples": 4,
        "runs": of_people,
        "brain": {},
        "views": {},
        "edited in": ["people"],
    }


@pytest.mark.parametrize(
    "name, field, patches_field, expected",
    [
        pytest.param("samples", "character_group", None, ".22惣22綾!綾!綾!真4!.x-", id="edits, a rejection, merged"),
        pytest.param("samples", "prepared", None, "洞1112惣綾3344.-", id="a run that is half written"),
        pytest.param("samples", "undoing", None, "111211綾!3344.-", id="half undone"),
        pytest.param("samples", "redoing", None, "111122綾3344.-", id="half redone"),
        pytest.param("detections", "character_group", "people", ".綾!3x惣綾!-真綾!.", id="detections"),
        pytest.param("detections", "character_group", "heads", "12--", id="detections, half written"),
        pytest.param("frames", "character_group", "people", "綾!122", id="frames"),
    ],
)
def test_the_labels_are_those_of_then(name, field, patches_field, expected, untouched):
    """What the tests below start from."""
    assert groups(untouched, name, field, patches_field) == expected


@pytest.mark.parametrize("name", ["samples", "detections", "frames"])
def test_every_operator_has_a_form(name, untouched):
    found = untouched(forms, name)
    assert len(found) >= 18
    assert all(found.values()), found


@pytest.mark.parametrize(
    "name, options, expected",
    [
        pytest.param("samples", {}, (13, 1, 1), id="images, one of them failed"),
        pytest.param("samples", {"embeddings_field": "old_vectors"}, (13, 1, 1), id="adopted"),
        pytest.param("detections", {"patches_field": "people"}, (9, 1, 1), id="detections, one of them failed"),
        pytest.param("frames", {"patches_field": "people"}, (4, 0, 0), id="frames"),
    ],
)
def test_embeddings_are_counted(name, options, expected, untouched):
    found = untouched(call, "count_missing", name, **options)
    assert (found["n_total"], found["n_missing"], found["n_failed"]) == expected


def test_nothing_is_embedded_twice(untouched):
    found = untouched(call, "compute_embeddings", "samples", keys=IMAGES[:-1], verify=True)
    assert (found["n_computed"], found["n_skipped"]) == (0, 12)
    found = untouched(call, "compute_embeddings", "samples", keys=IMAGES[:-1], embeddings_field="old_vectors")
    assert (found["n_computed"], found["n_skipped"], found["model_name"]) == (0, 12, MODEL)
    found = untouched(
        call, "compute_embeddings", "frames", patches_field="people", embeddings_field="wide", verify=True
    )
    assert (found["n_computed"], found["n_skipped"]) == (0, 4), "boxes are enlarged as they were"
    other = {"model_name": "ccip-caformer-2_fp32", "keys": IMAGES[:2]}
    assert untouched(is_refused, "compute_embeddings", "samples", **other), "a part of them would be of another model"
    found = untouched(call, "compute_embeddings", "samples")  # tries what failed again
    assert (found["n_computed"], found["n_skipped"], found["n_failed"]) == (0, 12, 1)
    reasons = untouched(values, "samples", "ccip_error")
    assert reasons[:-1] == [None] * 12 and "not an image" in reasons[-1]


@pytest.mark.parametrize(
    "name, options, n",
    [
        pytest.param("samples", {}, 12, id="images"),
        pytest.param("detections", {"patches_field": "people"}, 8, id="detections"),
    ],
)
def test_the_similarity_index_is_the_same(name, options, n, untouched):
    found = untouched(call, "compute_similarity", name, **options)
    assert (found["n_vectors"], found["n_missing"], found["is_new"]) == (n, 1, False)
    assert set(untouched(nearest, name, "b1", brain_key=found["brain_key"], **options)) == {"b1", "b2", "b3"}


def test_the_visualization_is_the_same(untouched):
    found = untouched(call, "compute_visualization", "samples", method="pca")
    assert (found["n_points"], found["is_new"]) == (12, False)


def test_the_graph_of_neighbors_is_used_again(untouched):
    assert untouched(exploration, "samples", LOOSE) == [(0.1, 4), (0.2, 3), (0.3, 3)]
    assert len(list((untouched.folder / "ccip-cache" / "graphs").iterdir())) == 1


def test_evaluations_load(untouched):
    found = untouched(call, "load_evaluation", "samples")  # the usual key
    assert (found["ground_truth_field"], found["embeddings_fields"]) == ("truth", {MODEL: "ccip_embedding"})
    for number in ("0.6897", "0.5263", "0.1785"):  # at the published threshold: f1, precision, and itself
        assert number in found["text"]
    found = untouched(call, "load_evaluation", "samples", "ccip_evaluation_character_group")
    assert (found["moves"], found["merges"], found["n_ignored"]) == (2, 0, 1)
    for number in ("0.5769", "0.6949", "0.8275"):  # adjusted Rand index, mutual information, B-cubed F1
        assert number in found["text"]


# -- answers and calibration


def test_answers_go_on(old):
    found = old(answers, "samples")
    images = IMAGES[:-1]
    pairs = [(first, second) for place, first in enumerate(images) for second in images[place + 1 :]]
    expected = [(first, second, first[0].lower() == second[0].lower()) for first, second in pairs]
    assert found == [*expected[:-1], ("c2", "e1", None)]
    assert old(fitted_threshold, "samples") == pytest.approx(0.1787, abs=1e-4)


def test_calibrated_parameters_are_used(old):
    found = old(call, "load_calibrated", "samples")
    assert (found["model_name"], found["evidence"]) == (MODEL, "confirmed groups")
    assert found["published_threshold"] == pytest.approx(0.17847511429108218)
    assert "0.1787" in found["text"] and "0.9924" in found["text"]
    done = old(call, "group_characters", "samples", group_field="calibrated", parameters="calibrated")
    assert old(run_parameters, "samples", done["run_key"]) == ("linkage", pytest.approx(0.1787, abs=1e-4))
    assert groups(old, "samples", "calibrated") == "11111122233.-"


def test_adopted_vectors_are_grouped(old):
    old(call, "group_characters", "samples", group_field="adopted", embeddings_field="old_vectors")
    assert groups(old, "samples", "adopted") == "11111122233.-"


# -- changes go on


def test_images_with_every_kind_of_decision(old):
    """Names, confirmations, ignored and rejected images, edits that no run has seen; merged and empty groups."""
    before = old(everything, "samples", "character_group")
    assert old(run_parameters, "samples", "ccip_groups") == ("linkage", LOOSE)
    assert (old(call, "redo", "samples")["n_left"], groups(old, "samples")) == (2, "777惣22綾!綾!綾!真4!.x-")
    assert old(run_parameters, "samples", "ccip_groups") == ("dbscan", 0.1)
    assert old(call, "undo", "samples")["n_left"] == 2
    assert old(run_parameters, "samples", "ccip_groups") == ("linkage", LOOSE)
    assert old(everything, "samples", "character_group") == before

    old(call, "group_characters", "samples", eps=LOOSE)
    assert groups(old, "samples") == ".22惣!22綾!綾!綾!真!4!.x-"
    assert old(values, "samples", "character_group.tags")[9] == ["by hand"]
    ids = old(group_ids, "samples")
    assert sorted([ids.pop("A1"), ids.pop("c1")]) == [8, 9], "of new groups: 7 was used by the run that was undone"
    expected = {"a2": 2, "a3": 2, "A2": 2, "A3": 2, "b1": 5, "b2": 5, "b3": 5, "c2": 4}
    assert {key: number for key, number in ids.items() if number is not None} == expected
    assert old(call, "group_characters", "samples", eps=LOOSE)["n_written"] == 0

    old(edit, "samples", "A3", "nobody any more")  # the name of a group that has no images
    old(call, "group_characters", "samples", eps=LOOSE)
    assert old(group_ids, "samples")["A3"] == 6

    found = [(old(call, "undo", "samples")["number"], groups(old, "samples")) for _ in range(9)]
    assert found == [
        (10, ".22惣!2n!綾!綾!綾!真!4!.x-"),
        (9, ".22惣!22綾!綾!綾!真!4!.x-"),  # what was edited by hand is a change of its own
        (8, ".22惣!22綾!綾!綾!真!4!.x-"),
        (7, ".22222綾!綾!綾!44!.x-"),  # as are the edits that the earlier version had not seen
        (5, ".11222綾!綾!綾!44!.x-"),
        (4, "111222綾!綾!綾!44!.x-"),
        (3, "111222綾!綾!綾!44!.x-"),
        (2, "111222綾綾綾44!.x-"),
        (1, "------綾綾綾-4!.x-"),
    ]
    assert old(is_refused, "undo", "samples")
    assert old(run_parameters, "samples", "ccip_groups") is None


@pytest.mark.parametrize(
    "field, turns, forgotten",
    [
        pytest.param(
            "writing",
            ["undo ------綾------", "undo", "redo 111222綾3344.-", "redo"],
            "writing/00000002",
            id="writing: as if it had not begun",
        ),
        pytest.param(
            "prepared",
            [
                "undo 洞1122惣綾3344.-",
                "redo 洞1111惣綾!3344.-",
                "redo",
                "undo 洞1122惣綾3344.-",
                "undo 洞----惣綾------",
                "undo",
            ],
            None,
            id="prepared: finished, but for what people edited after the crash",
        ),
        pytest.param(
            "undoing",
            ["undo ------綾------", "redo 111222綾3344.-", "redo 111111綾!3344.-", "redo"],
            None,
            id="undoing: undone",
        ),
        pytest.param(
            "redoing",
            ["undo 111222綾3344.-", "redo 111111綾!3344.-", "redo", "undo 111222綾3344.-", "undo ------綾------"],
            None,
            id="redoing: redone",
        ),
        pytest.param(
            "pruned",
            ["undo 111222綾3344.-", "undo", "redo 111111綾!3344.-", "redo"],
            "pruned/00000001",
            id="pruned: forgotten",
        ),
    ],
)
def test_unfinished_changes(field, turns, forgotten, old):
    """Each turn is an undo or redo with the labels after it, or without any where there must be nothing to do."""
    for turn in turns:
        action, _, expected = turn.partition(" ")
        if expected:
            old(call, action, "samples", group_field=field)
            assert (turn, groups(old, "samples", field)) == (turn, expected)
        else:
            assert old(is_refused, action, "samples", group_field=field)
    if forgotten is not None:
        kept = old.database["execution_store"].distinct("key")
        assert [key for key in kept if key.startswith(forgotten)] == []
    of_people = [letter for letter in groups(old, "samples", field) if letter in "洞惣綾"]
    old(call, "delete_grouping", "samples", group_field=field)
    assert [letter for letter in groups(old, "samples", field) if letter not in "-!"] == of_people


def test_a_proposal_is_applied(old):
    """Somebody named an image after it was made."""
    before = old(everything, "samples", "proposed")
    counts, merged = old(proposal, "samples", "proposed")
    assert {kind: n for kind, n in counts.items() if n} == {"unchanged": 9, "merged": 3}
    assert merged == ["A1", "A2", "A3"]
    old(operate, "apply_proposal", "samples", path="proposed")
    assert groups(old, "samples", "proposed") == "111111綾!a344.-"
    assert old(is_refused, "apply_proposal", "samples", group_field="proposed")
    old(operate, "undo", "samples", path="proposed")
    assert old(everything, "samples", "proposed") == before


def test_queued_operations_run(old):
    assert old(work_through_the_queue) == {
        "@ccip/characters/group_characters": ("completed", None),
        "@ccip/characters/compute_visualization": ("completed", None),
    }
    assert groups(old, "samples", "queued") == "11111122233.-"
    assert old(contents, "samples")["runs"]["queued_run"] == "ccip_groups"
    assert "ccip_visualization_people_detections_ccip_embedding" in old(contents, "detections")["brain"]


def test_detections_with_every_kind_of_decision(old):
    def people():
        return groups(old, "detections", patches_field="people")

    def turn(action):
        old(call, action, "detections", patches_field="people")
        return people()

    assert turn("redo") == ".綾!3x惣綾!-真綾!綾"
    assert turn("undo") == ".綾!3x惣綾!-真綾!."
    assert turn("group_characters") == "真綾!3x惣!綾!-真!綾!."
    expected = [["真希波", "綾波レイ"], ["惣流", "綾波レイ"], ["真希波", "綾波レイ"]]
    assert old(values, "detections", "people_characters") == expected
    assert set(old(values, "detections", "people.detections.label")[0]) == {"person"}
    assert turn("group_characters") == "真綾!3x惣!綾!-真!綾!."
    undone = [turn("undo") for _ in range(5)]
    by_hand = [".綾!3x惣!綾!-真!綾!.", ".綾!3x1綾!-1綾!."]  # a change of its own
    assert undone == [*by_hand, "1綾!3x1綾!-1綾!.", "1綾3x1綾-1綾3", "-綾3x-綾--綾-"]
    assert old(is_refused, "undo", "detections", patches_field="people")

    old(repair_box, "detections", "people", "x2")
    done = old(call, "compute_embeddings", "detections", patches_field="people")
    assert (done["n_computed"], done["n_skipped"], done["n_failed"]) == (1, 8, 0)


def test_the_first_run_that_was_killed_while_another_machine_still_holds_its_lease(old):
    """The lease is made to end in two seconds: until then the process that has died may be alive for all we know."""
    lease = {"_id": {"$regex": r"/heads\.detections\.character_group$"}}
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=2)
    assert old.database["ccip_leases"].update_one(lease, {"$set": {"until": until}}).matched_count == 1
    started = time.monotonic()
    assert old(is_refused, "redo", "detections", patches_field="heads")
    assert 1 < time.monotonic() - started < 15
    assert groups(old, "detections", patches_field="heads") == "1212"
    both = ["character_0001", "character_0002"]
    assert old(values, "detections", "heads_characters") == [both, both, None]
    old(call, "undo", "detections", patches_field="heads")
    assert groups(old, "detections", patches_field="heads") == "----"
    assert old(values, "detections", "heads_characters") == [None, None, None]


def test_frames_with_tracks(old):
    options = {"patches_field": "people", "tracks": "sample_id"}
    assert old(call, "group_characters", "frames", **options)["n_written"] == 0
    for action, expected in [("undo", "綾122"), ("undo", "綾---"), ("redo", "綾122"), ("redo", "綾!122")]:
        old(call, action, "frames", patches_field="people")
        assert groups(old, "frames", patches_field="people") == expected


def test_a_registration_that_links_to_the_code(old):
    folder = old.folder / "model-zoo" / "ccip_characters"
    assert (folder / "ccip_plugin").is_symlink()
    assert old(zoo_model, MODEL, "samples", "a1") == ("ccip_characters", pytest.approx(0, abs=1e-6))
    found = old(registration, True)
    assert found["is_ours"] and found["is_linked"] and found["is_current"]
    assert old(zoo_model, MODEL, "samples", "a1") == ("ccip_characters", pytest.approx(0, abs=1e-6))
    assert old(registration, False)["is_ours"]
    assert not folder.exists()
