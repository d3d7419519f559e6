"""After labels of a group were edited by hand it is asked whether the whole group is one character."""

import pytest

from tests.review.tabs import loaded, restart, state

pytestmark = pytest.mark.mongo


def edit(data, place, name):
    """Edits a label as the App's editor does."""
    sample = data[data.values("id")[place]]
    sample["character_group"].label = name
    sample.save()


def whole(tab):
    """The groups of which it is asked."""
    return [question["shown"]["groups"][0] for question in tab.ask(12, kinds=["whole"])]


@pytest.fixture
def edited(made, panel):
    """A label of the second group was edited by hand into the first, and the next correction has recorded it."""
    data = made("aaaaabbbbbccccc", persistent=True)
    tab = panel(data)
    edit(data, 5, "char_0001")
    assert whole(tab) == []  # nobody has recorded it
    assert tab.write("confirm", groups=[3])["number"] == 3
    return data


def test_yes_confirms_the_rest_and_undo_asks_again(edited, panel):
    tab = panel(edited)
    (question,) = tab.ask(12, kinds=["whole"])
    assert [side["size"] for side in question["sides"]] == [1, 5] and question["shown"]["groups"] == [1]
    assert tab.ask(1)[0]["kind"] == "whole"
    before = state(edited)
    done = tab.answer(question, "same")
    assert done["number"] == 4 and "all of 'char_0001' is confirmed" in done["text"] and whole(tab) == []
    assert [label["status"] for label in state(edited)[:6]] == ["confirmed"] * 6
    assert tab.write("undo")["number"] == 4
    assert state(edited) == before and whole(tab) == [1]


@pytest.mark.parametrize("said", ["different", "unsure", "later"])
def test_other_answers_change_nothing_and_are_kept(edited, panel, said):
    tab, before = panel(edited), state(edited)
    (question,) = tab.ask(12, kinds=["whole"])
    assert tab.answer(question, said)["number"] is None
    assert state(edited) == before and whole(tab) == []
    restart()  # as a process that was started again
    assert whole(tab) == []
    assert "changed nothing" in tab.write("undo")["text"]
    assert whole(tab) == [1]


def test_later_is_asked_again_after_other_answers(edited, panel):
    tab = panel(edited)
    tab.answer(tab.ask(12, kinds=["whole"])[0], "later")
    *_, board = loaded("review.board").BOARDS._boards.values()
    board.queue.memory.number += 21
    assert whole(tab) == [1]


def test_it_is_known_after_a_restart(edited, panel):
    restart()
    assert whole(panel(edited)) == [1]


def test_it_follows_a_merge(edited, panel):
    tab = panel(edited)
    tab.write("merge", groups=[2, 1], name="Rei")
    (group,) = whole(tab)
    restart()
    assert whole(tab) == [group]
    tab.write("undo")
    assert whole(tab) == [1]


def test_it_is_gone_with_the_edit(edited, panel):
    tab = panel(edited)
    tab.write("undo", number=2)
    assert whole(tab) == []
    restart()
    assert whole(tab) == []


def test_it_is_gone_when_the_edited_image_is_elsewhere(edited, panel):
    tab = panel(edited)
    tab.write("move", items=[edited.values("id")[5]], to=2)
    assert whole(tab) == []


def test_another_edit_asks_again(edited, panel):
    tab = panel(edited)
    tab.answer(tab.ask(12, kinds=["whole"])[0], "different")
    edit(edited, 6, "char_0001")
    tab.write("keep_apart", groups=[1, 3])
    assert whole(tab) == [1]
    restart()
    assert whole(tab) == [1]


def test_an_answer_about_one_group_is_none_about_another_that_it_joined(edited, panel):
    tab = panel(edited)
    edit(edited, 10, "char_0002")
    tab.write("keep_apart", groups=[1, 3])
    questions = {question["shown"]["groups"][0]: question for question in tab.ask(12, kinds=["whole"])}
    assert set(questions) == {1, 2}
    tab.answer(questions[2], "different")
    assert whole(tab) == [1]
    tab.write("merge", groups=[1, 2])
    assert len(whole(tab)) == 1


def test_a_group_that_is_confirmed_as_a_whole_is_not_asked_about(edited, panel):
    tab = panel(edited)
    tab.write("confirm", groups=[1])
    assert whole(tab) == []


def test_ignored_images_stay_ignored(edited, panel):
    tab = panel(edited)
    tab.write("ignore", items=[edited.values("id")[0]])
    (question,) = tab.ask(12, kinds=["whole"])
    assert "problem" not in tab.answer(question, "same")
    assert [label["status"] for label in state(edited)[:6]] == ["ignored"] + ["confirmed"] * 5


def test_large_groups_are_asked_about_and_answered(edited, panel, monkeypatch):
    """The ids of their images are not sent to the panel."""
    monkeypatch.setattr(loaded("review.queue"), "MOST_ITEMS", 3)
    tab = panel(edited)
    (question,) = tab.ask(12, kinds=["whole"])
    assert question["shown"]["items"] == []
    assert tab.answer(question, "different")["number"] is None and whole(tab) == []
    restart()
    assert whole(tab) == []
    tab.write("undo")
    assert tab.answer(question, "same")["number"] == 4


def test_halves_of_a_large_group_are_answered(grouped, panel, monkeypatch):
    """The server keeps the ids of their images, and the answer counts after a restart."""
    from ccip_plugin import group_characters, merge_groups

    data = grouped("aaaaAAAA", persistent=True)
    group_characters(data, method="dbscan", eps=0.03, min_samples=3)
    merge_groups(data, [1, 2])
    monkeypatch.setattr(loaded("review.queue"), "MOST_ITEMS", 3)
    tab = panel(data)
    (question,) = tab.ask(1, kinds=["halves"])
    assert question["shown"]["items"] == []
    assert tab.answer(question, "same")["text"] == "'char_0001' is one character"
    assert tab.ask(1, kinds=["halves"]) == []
    restart()
    assert tab.ask(1, kinds=["halves"]) == []
