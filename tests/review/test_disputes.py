"""Answers that contradict each other, and images of several characters."""

import fiftyone as fo
import numpy as np
import pytest

from tests.review.tabs import loaded, restart, state
from tests.support.groups import vector

pytestmark = pytest.mark.mongo


@pytest.fixture
def alike(grouped):
    """Two groups that may be one character, and a third one."""
    from ccip_plugin import group_characters

    letters = "aaaaAAAAbbb"
    data = grouped(letters, persistent=True)
    vectors = [vector(letter, n) + 0.55 * vector(letter.lower(), 99) for n, letter in enumerate(letters)]
    data.set_values("ccip_embedding", [each / np.linalg.norm(each) for each in vectors])
    group_characters(data, method="dbscan", eps=0.03, min_samples=3)
    return data


def asked(tab, kind, *groups):
    """The question of a kind about some groups."""
    return next(each for each in tab.ask(12, kinds=[kind]) if set(groups) <= set(each["shown"]["groups"]))


def say(tab, kind, said, sizes, items, marked=()):
    """Answers a question that the server did not ask now, as another server may have."""
    groups = [*sizes, *([0] if kind == "in" else [])]
    shown = {"kind": kind, "groups": groups, "sizes": {str(each): n for each, n in sizes.items()}, "items": items}
    done = tab.answer({"id": "x", "kind": kind, "shown": {**shown, "difference": 0.1}}, said, marked)
    assert "problem" not in done, done
    return done


def said_twice(panel, data):
    """Two persons give opposite answers about two groups."""
    one, other = panel(data, "one"), panel(data, "other")
    question = asked(one, "same", 1, 2)
    assert one.answer(question, "different")["number"] == 2
    assert other.answer(question, "same")["number"] == 3
    return one, other


def test_a_disagreement_has_both_sides_and_what_holds(panel, alike):
    one, _ = said_twice(panel, alike)
    found = one.read("disputes")
    (row,) = found["rows"]
    assert (found["n"], row["kind"], row["groups"]) == (1, "disagreement", [1])
    assert "char_0001" in row["about"] and "char_0002" in row["about"] and row["now"] == "one group, 'char_0001'"
    sides = [(side["same"], side["said"], side["by"], side["number"]) for side in row["sides"]]
    assert sides == [(True, "one character", "person other", 3), (False, "different characters", "person one", 2)]
    assert all("T" in side["at"] for side in row["sides"])
    assert sorted(row["items"]) == sorted(alike.values("id")[:8])
    assert [picture["id"] for picture in row["pictures"]] == row["items"]
    assert one.read("groups")["progress"]["disputes"] == 1


def test_it_is_the_same_after_a_restart(panel, alike):
    one, _ = said_twice(panel, alike)
    before = one.read("disputes")
    restart()
    assert one.read("disputes") == before


def test_it_is_gone_when_a_side_is_undone(panel, alike):
    one, other = said_twice(panel, alike)
    assert other.write("undo")["progress"]["disputes"] == 0
    assert one.read("disputes") == {"rows": [], "n": 0}


def test_one_person_contradicts_oneself(panel, alike):
    tab = panel(alike)
    question = asked(tab, "same", 1, 2)
    tab.answer(question, "different")
    tab.answer(question, "same")
    assert [row["kind"] for row in tab.read("disputes")["rows"]] == ["contradiction"]


def test_persons_who_are_not_known_are_no_disagreement(panel, alike):
    one, other = panel(alike, "one", by=None), panel(alike, "other", by=None)
    question = asked(one, "same", 1, 2)
    one.answer(question, "different")
    other.answer(question, "same")
    assert [row["kind"] for row in one.read("disputes")["rows"]] == ["contradiction"]


def test_a_group_that_was_joined_and_divided_again(panel, alike):
    """It is listed once, though it is about two groups and about two parts of one."""
    data = alike
    one, other = panel(alike, "one"), panel(alike, "other")
    assert one.answer(asked(one, "same", 1, 2), "same")["number"] == 2
    ids = data.values("id")
    assert say(other, "halves", "different", {1: 8}, [ids[:4], ids[4:8]])["number"] == 3
    (row,) = one.read("disputes")["rows"]
    assert (row["kind"], row["about"], row["now"]) == ("disagreement", "two parts of 'char_0001'", "in 2 groups")
    assert len(row["groups"]) == 2 and sorted(row["items"]) == sorted(ids[:8])
    restart()
    assert [each["id"] for each in one.read("disputes")["rows"]] == [row["id"]]
    third = panel(data, "third")
    say(third, "same", "same", dict.fromkeys(row["groups"], 4), [])
    assert one.read("disputes")["rows"] == [], "the third answer settles it"
    restart()
    assert one.read("disputes")["rows"] == []
    assert third.write("undo")["progress"]["disputes"] == 1
    assert [each["id"] for each in one.read("disputes")["rows"]] == [row["id"]]


@pytest.mark.parametrize("verdict", ["same", "different"])
def test_a_later_answer_settles_it_and_undo_lists_it_again(panel, alike, verdict):
    """Also one about the two parts of the group that the two have become."""
    one, _ = said_twice(panel, alike)
    (row,) = one.read("disputes")["rows"]
    ids, third = alike.values("id"), panel(alike, "third")
    say(third, "halves", verdict, {1: 8}, [ids[:4], ids[4:8]])
    for _ in range(2):
        assert one.read("disputes") == {"rows": [], "n": 0}
        restart()
    assert third.write("undo")["progress"]["disputes"] == 1
    assert [each["id"] for each in one.read("disputes")["rows"]] == [row["id"]]


def test_cannot_tell_settles_nothing(panel, alike):
    one, _ = said_twice(panel, alike)
    ids = alike.values("id")
    say(panel(alike, "third"), "halves", "unsure", {1: 8}, [ids[:4], ids[4:8]])
    assert one.read("disputes")["n"] == 1


def test_a_fourth_answer_that_contradicts_the_third_lists_it_again(panel, made):
    data = made("aaaaaabbbbbb", persistent=True)
    tab, item = panel(data, "one"), data.values("id")[6]
    n = []
    for said, size, marked in (
        ("out", 6, [item]),
        ("in", 5, [item]),
        ("out", 6, []),
        ("out", 6, [item]),
        ("in", 5, [item]),
    ):
        say(tab, said, "done", {2: size}, [[item]], marked)
        n.append(tab.read("disputes")["n"])
    assert n == [0, 1, 0, 1, 0]


def test_an_image_and_a_group(panel, made):
    data = made("aaaaaabbbbbb", persistent=True)
    one, other, item = panel(data, "one"), panel(data, "other"), data.values("id")[6]
    say(one, "out", "done", {2: 6}, [[item]], [item])
    say(other, "in", "done", {2: 5}, [[item]], [item])
    (row,) = one.read("disputes")["rows"]
    assert (row["kind"], row["about"]) == ("disagreement", "image and 'char_0002'")
    assert (row["items"], row["groups"], row["now"]) == ([item], [2], "in 'char_0002'")
    assert [side["said"] for side in row["sides"]] == ["it is 'char_0002'", "not 'char_0002'"]


def test_no_more_than_were_asked_for(panel, alike):
    one, _ = said_twice(panel, alike)
    assert one.read("disputes", n=0)["problem"]["code"] == "invalid"
    assert one.read("disputes", n=101)["problem"]["code"] == "invalid"
    assert len(one.read("disputes", n=1)["rows"]) == 1


def test_answers_that_two_groups_are_one_teach_the_questions(panel, alike):
    tab = panel(alike)
    tab.answer(asked(tab, "same", 1, 2), "same")
    *_, board = loaded("review.board").BOARDS._boards.values()
    assert board.queue.memory.n_facts == 2  # about two groups, and about two parts of one
    restart()
    tab.read("questions")
    *_, board = loaded("review.board").BOARDS._boards.values()
    assert board.queue.memory.n_facts == 2


def test_disputes_in_python(panel, alike):
    from ccip_plugin import review_queue
    from ccip_plugin.core.errors import ParameterError

    one, _ = said_twice(panel, alike)
    (row,) = one.read("disputes")["rows"]
    del row["pictures"]
    assert review_queue(alike).disputes() == [row]
    with pytest.raises(ParameterError, match="1 to 100"):
        review_queue(alike).disputes(0)


def test_images_of_several_characters(panel, made):
    from ccip_plugin import review_queue

    data = made("aaabbb", persistent=True)
    tab, ids, before = panel(data), data.values("id"), state(data)
    done = tab.write("two", items=ids[:1])
    assert (done["number"], done["text"]) == (2, "the image shows two characters")
    assert (done["progress"]["several"], done["progress"]["answers"]) == (1, {"who": 1})
    label = state(data)[0]
    assert (label["label"], label["status"], label["group_id"]) == ("unassigned", "ignored", None)
    assert tab.write("two", items=ids[3:5])["text"] == "2 images show several characters"
    assert tab.read("show", several=True) == {"n": 3}
    assert review_queue(data).several().values("id") == [*ids[3:5], ids[0]]
    restart()
    assert tab.read("show", several=True) == {"n": 3}
    assert tab.write("move", items=ids[3:4], to=1)["progress"]["several"] == 2
    for _ in range(3):
        assert "problem" not in tab.write("undo")
    assert state(data) == before and tab.read("show", several=True) == {"n": 0}
    assert tab.read("groups")["progress"]["several"] == 0
    assert tab.write("two", items=["5" * 24])["problem"]["code"] == "gone"


def test_an_image_that_was_ignored_before_is_kept_as_well(panel, made):
    data = made("aaabbb", persistent=True)
    tab, ids = panel(data), data.values("id")
    tab.write("ignore", items=ids[:1])
    assert tab.write("two", items=ids[:1])["number"] is None
    assert tab.read("show", several=True) == {"n": 1}
    assert "changed nothing" in tab.write("undo")["text"]
    assert tab.read("show", several=True) == {"n": 0} and state(data)[0]["status"] == "ignored"


def test_the_answer_to_a_question_counts_as_well(panel, made):
    data = made("aaaaaaaB", persistent=True)
    tab = panel(data)
    question = next(iter(tab.ask(1, kinds=["who"])), None)
    if question is None:
        pytest.fail("no image is asked about")
    tab.answer(question, "two")
    assert tab.read("show", several=True) == {"n": 1}


def test_boxes_of_several_characters(panel, dataset):
    from ccip_plugin import review_queue
    from ccip_plugin.grouping import group_characters
    from tests.support.groups import embed

    data = dataset("/1.png", "/2.png", persistent=True)
    for sample in data:
        boxes = ([0, 0, 0.5, 1], [0.5, 0, 0.5, 1])
        sample["faces"] = fo.Detections(detections=[fo.Detection(label="face", bounding_box=box) for box in boxes])
        sample.save()
    embed(data, "aabb", "faces")
    group_characters(data, patches_field="faces")
    ids = data.values("faces.detections.id", unwind=True)
    assert panel(data).write("two", items=ids[1:2])["progress"]["several"] == 1
    view = review_queue(data, patches_field="faces").several()
    assert view.values("id") == ids[1:2]
    data.reload()
    assert data.values("faces.detections.character_status", unwind=True)[1] == "ignored"
