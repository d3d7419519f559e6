"""A detector runs again: its detections take over what users decided about those that they replace."""

import pytest

from ccip_plugin.grouping import group_characters, propose_groups
from ccip_plugin.labels.edits import ignore, move, reject
from ccip_plugin.labels.history import history, redo, undo
from ccip_plugin.labels.identities import load_registry
from tests.support.boxes import BOXES, FIELD, chosen, decide, detect, fill, lists, moved, names

pytestmark = pytest.mark.mongo

ONE, TWO = "char_0001", "char_0002"


@pytest.fixture
def data(dataset):
    new = dataset()
    fill(new, "ab", "ab", "ab")
    group(new)
    return new


def group(data, **options):
    return group_characters(data, patches_field=FIELD, **options)


def actions(data):
    return [(change.action, change.n_labels) for change in history(data, patches_field=FIELD)]


DECISIONS = [
    pytest.param({"status": "confirmed"}, [ONE + "!", TWO], id="confirmed"),
    pytest.param({"group": "初音ミク"}, ["初音ミク!", TWO], id="named"),
    pytest.param({"group": "Rei", "status": "confirmed"}, ["Rei!", TWO], id="named and confirmed"),
    pytest.param({"group": TWO}, [TWO + "!", TWO], id="moved to another group"),
    pytest.param({"status": "ignored"}, [ONE + "x", TWO], id="ignored"),
    pytest.param({"group": "unassigned"}, ["unassigned!", TWO], id="none of the characters"),
    pytest.param({"group": ""}, ["!", TWO], id="cleared"),
]


@pytest.mark.parametrize("values, expected", DECISIONS)
def test_user_labels_come_back(data, values, expected):
    decide(data, 0, **values)
    group(data)
    before = names(data)
    assert before[0] == expected
    detect(data.first(), "ab", [moved(box) for box in BOXES])
    assert names(data)[0] == [None, None]
    report = group(data)
    assert names(data) == before
    assert report.n_taken_over == 1
    assert report.facts()["Decisions taken over by new boxes"] == "1"
    assert "decisions taken over by new boxes" in str(history(data, patches_field=FIELD)[1])
    assert group(data).n_taken_over == 0 and names(data) == before


def test_undo_and_redo(data):
    decide(data, 0, group="Rei")
    decide(data, 2, status="confirmed")
    group(data)
    reject(chosen(data, 1), patches_field=FIELD)
    before = lists(data)
    for sample in data:
        detect(sample, "ab")
    gone = lists(data)
    assert gone == before
    group(data)
    after, labels = lists(data), names(data)
    assert labels[:2] == [["Rei!", "unassigned"], [ONE + "!", TWO]]
    registry = load_registry(data, f"{FIELD}.detections.character_group")
    undo(data, patches_field=FIELD)
    undo(data, patches_field=FIELD)
    assert lists(data) == gone
    assert names(data) == [[None, None]] * 3
    redo(data, patches_field=FIELD)
    redo(data, patches_field=FIELD)
    assert (lists(data), names(data)) == (after, labels)
    again = load_registry(data, f"{FIELD}.detections.character_group")
    assert (again.groups, again.rejections) == (registry.groups, registry.rejections)
    undo(data, patches_field=FIELD)
    undo(data, patches_field=FIELD)
    assert group(data).n_taken_over == 3
    assert names(data) == labels


def to_mari(data):
    move(chosen(data, 0), "Mari", patches_field=FIELD)


@pytest.mark.parametrize(
    "decide_later, expected",
    [
        pytest.param(to_mari, "Mari!", id="moved"),
        pytest.param(lambda data: ignore(chosen(data, 0), patches_field=FIELD), "unassignedx", id="ignored"),
    ],
)
def test_of_two_decisions_the_later_one_counts(data, decide_later, expected):
    """The detector comes back to the first boxes, which the older decision fits better."""
    move(chosen(data, 0), "Rei", patches_field=FIELD)
    detect(data.first(), "ab", [moved(box, 0.04) for box in BOXES])
    decide_later(data)
    group(data)
    assert all(each["label"] != "Rei" for each in lists(data)[0] if "label" in each)
    detect(data.first(), "ab")
    group(data)
    assert names(data)[0][0] == expected


def test_rejections_hold_for_the_new_detections(data):
    """The group forms again from their embeddings, and the rejected one stays out of it."""
    reject(chosen(data, 0), patches_field=FIELD)
    for sample in data:
        detect(sample, "ab")
    ids = data.values(f"{FIELD}.detections.id", unwind=True)
    assert group(data).n_taken_over == 1
    assert ids[0] in load_registry(data, f"{FIELD}.detections.character_group").rejections[1]
    assert names(data) == [["unassigned", TWO], [ONE, TWO], [ONE, TWO]]
    undo(data, patches_field=FIELD)
    undo(data, patches_field=FIELD)
    assert ids[0] not in load_registry(data, f"{FIELD}.detections.character_group").rejections[1]


def test_a_rejection_of_a_detection_that_was_named(data):
    reject(chosen(data, 0), patches_field=FIELD)
    decide(data, 0, group="Rei")
    group(data)
    detect(data.first(), "ab")
    group(data)
    assert names(data)[0] == ["Rei!", TWO]
    decide(data, 0, group=None, status=None, assigned=None)  # the label is deleted: a run decides again
    group(data)
    assert names(data)[0] == ["unassigned", TWO], "the rejection still counts"


A, B, C = BOXES
HALF = [A[0], A[1], A[2], A[3] / 2]
MOST = [A[0], A[1], A[2], A[3] * 0.7]
REST = [A[0], A[1] + A[3] * 0.7, A[2], A[3] * 0.3]
TWICE = [A[0], A[1], A[2], A[3] * 2]


@pytest.mark.parametrize(
    "letters, boxes, expected",
    [
        pytest.param("ab", [A, B], ["Asuka!", "Rei!"], id="same places"),
        pytest.param("ba", [B, A], ["Rei!", "Asuka!"], id="in another order"),
        pytest.param("ab", [moved(A, 0.05), moved(B, -0.05)], ["Asuka!", "Rei!"], id="jitter"),
        pytest.param("abc", [A, B, C], ["Asuka!", "Rei!", "unassigned"], id="one more"),
        pytest.param("b", [B], ["Rei!"], id="one less"),
        pytest.param("", [], [], id="none"),
        pytest.param("aab", [moved(A, 0.05), A, B], [ONE, "Asuka!", "Rei!"], id="two candidates"),
        pytest.param("aab", [A, A, B], ["Asuka!", ONE, "Rei!"], id="two candidates in the same place"),
        pytest.param("ab", [HALF, B], [ONE, "Rei!"], id="half of it"),
        pytest.param("ab", [TWICE, B], [ONE, "Rei!"], id="twice as large"),
        pytest.param("aab", [MOST, REST, B], ["Asuka!", ONE, "Rei!"], id="split in two"),
        pytest.param("ab", [B, A], ["Rei!", "Asuka!"], id="whatever they look like"),
        pytest.param("c", [C], ["unassigned"], id="elsewhere"),
        pytest.param("ab", [A, [0.9, 0.9, 0, 0]], ["Asuka!", TWO], id="no area"),
    ],
)
def test_which_detection_takes_over(data, letters, boxes, expected):
    decide(data, 0, group="Asuka")
    decide(data, 1, group="Rei")
    group(data)
    decided = {each["label"]: each["box"] for each in lists(data)[0]}
    assert decided == {"Asuka": A, "Rei": B}
    detect(data.first(), letters, boxes)
    group(data, same_image="ignore")
    assert names(data)[0] == expected
    left = {each["label"] for each in lists(data)[0]}
    assert left == {"Asuka", "Rei"}, "what no detection takes over stays in the list"
    assert names(data)[1:] == [[ONE, TWO]] * 2
    group(data, same_image="ignore")
    assert names(data)[0] == expected


def test_one_that_was_not_found_in_between(data):
    decide(data, 0, group="Asuka")
    group(data)
    detect(data.first(), "b", [B])
    group(data)
    assert names(data)[0] == [TWO]
    detect(data.first(), "ab", [A, B])
    group(data)
    assert names(data)[0] == ["Asuka!", TWO]


def test_detections_that_still_exist_take_nothing_over(dataset):
    """One of two that overlap is deleted: the other one was there before."""
    data = dataset()
    near = moved(A, 0.02)
    fill(data, "ab", "ab", boxes=[A, near])
    group(data)
    decide(data, 0, group="Asuka")
    group(data)
    sample = data.first()
    sample[FIELD].detections = sample[FIELD].detections[1:]
    sample.save()
    assert group(data).n_taken_over == 0
    assert names(data)[0] == [TWO]
    detect(data.first(), "a", [A])
    group(data)
    assert names(data)[0] == ["Asuka!"]


def test_a_later_decision_counts(data):
    """A user has named the new detection before the next run."""
    decide(data, 0, group="Asuka")
    decide(data, 1, group="Rei")
    group(data)
    detect(data.first(), "ab")
    decide(data, 0, group="Misato")
    group(data)
    assert names(data)[0] == ["Misato!", "Rei!"]
    assert sorted(each["label"] for each in lists(data)[0]) == ["Misato", "Rei"]


def test_a_copy_of_a_detection_keeps_label_and_rejections(data):
    """Tools that write all detections again, with new ids and the attributes of the old ones."""
    reject(chosen(data, 0), patches_field=FIELD)
    decide(data, 0, group="Asuka")
    group(data)
    sample = data.first()
    sample[FIELD].detections = [each.copy() for each in sample[FIELD].detections]
    sample.save()
    assert group(data).n_taken_over == 1
    assert names(data)[0] == ["Asuka!", TWO]
    assert len(lists(data)[0]) == 1 and lists(data)[0][0]["rejected"] == [{"group_id": 1, "label": ONE}]


def test_a_part_of_the_dataset(data):
    for place, name in [(0, "Asuka"), (2, "Asuka"), (3, "Rei")]:
        decide(data, place, group=name)
    group(data)
    for sample in data:
        detect(sample, "ab")
    assert group(data.limit(1)).n_taken_over == 1
    assert names(data) == [["Asuka!", "unassigned"], [None, None], [None, None]]
    assert group(chosen(data, 3)).n_taken_over == 1
    assert names(data)[1] == [None, "Rei!"]
    assert group(data).n_taken_over == 1
    assert names(data) == [["Asuka!", "Rei"], ["Asuka!", "Rei!"], ["Asuka", "Rei"]]


def test_a_proposal_takes_nothing_over_and_says_so(data):
    decide(data, 0, group="Asuka")
    group(data)
    detect(data.first(), "ab")
    before = lists(data)
    proposal = propose_groups(data, patches_field=FIELD)
    assert any("1 decision of replaced detections" in warning for warning in proposal.report.warnings)
    assert names(data)[0] == [None, None] and lists(data) == before
    group(data)
    assert names(data)[0] == ["Asuka!", TWO]
    assert not any("decision" in warning for warning in propose_groups(data, patches_field=FIELD).report.warnings)
