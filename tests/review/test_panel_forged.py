"""Answers that no panel gives: forged, mixed from two questions, stale in ways that sizes do not show."""

import random

import pytest

from tests.review.tabs import restart, state

pytestmark = pytest.mark.mongo


@pytest.fixture
def groups(made):
    """Four groups of four images."""
    return made("aaaaAAAAbbbbBBBB", persistent=True)


def forge(tab, kind, said, groups, items, sizes=None, marked=(), question="forged"):
    shown = {"kind": kind, "groups": groups, "sizes": sizes or {str(each): 4 for each in groups}, "items": items}
    return tab.write("answer", question=question, kind=kind, said=said, shown=shown, marked=list(marked))


def test_forged_answers_are_refused_and_break_nothing(panel, groups):
    tab, ids = panel(groups), groups.values("id")
    a = ids[:4]
    group_a, group_b = groups.values("character_group.group_id")[:5:4]
    tab.write("move", items=ids[15:], name=None)
    tab.write("undo")
    before = state(groups)
    cases = [
        (kind, said, named, items)
        for kind, all_said in (
            ("same", ["same", "different", "unsure"]),
            ("halves", ["same", "different", "unsure", "later"]),
            ("whole", ["same", "different", "unsure", "later"]),
            ("out", ["done", "unsure"]),
            ("in", ["done", "unsure"]),
            ("who", ["new", "none", "two", "unsure"]),
        )
        for said in all_said
        for named in ([], [0], [0, 0], [group_a, group_a], [0, group_a], [group_a, 0], [group_a, group_a, group_b])
        for items in ([], [[]], [[], []], [a[:1]], [a[:1], a[:1]], [a[:1], []], [[], [], []], [a, a, a])
    ]
    for kind, said, named, items in random.Random(7).sample(cases, 100):
        done = forge(tab, kind, said, named, items)
        problem = done.get("problem")
        case = kind, said, named, [len(each) for each in items], done
        assert problem is None or problem["code"] in ("invalid", "stale"), case
        asked = tab.read("questions", n=3)
        assert "problem" not in asked, (case, asked)
        if done.get("number"):
            tab.write("undo")
            assert state(groups) == before, case
    restart()
    assert "problem" not in tab.read("questions", n=3)


def test_features_of_another_question_are_not_learned_from(panel, made):
    data = made("aaaaAAAAbbbb" + "AB", persistent=True)
    tab = panel(data)
    for question in tab.ask(8):
        groups = data.values("character_group.group_id")
        members = [each for each, group in zip(data.values("id"), groups, strict=True) if group == groups[0]]
        done = forge(
            tab, "out", "done", [groups[0]], [members[:1]], {str(groups[0]): len(members)}, question=question["id"]
        )
        assert "problem" not in done and "problem" not in tab.read("questions", n=3), question


def test_a_rejected_image_is_not_asked_about_with_its_former_group(panel, made):
    tab = panel(data := made("aaaaaaAAAAAA", persistent=True))
    groups, ids = data.values("character_group.group_id"), data.values("id")
    tab.write("reject", items=ids[:1])
    assert all(groups[0] not in each["shown"]["groups"] for each in tab.ask(12) if [ids[0]] in each["shown"]["items"])
    restart()
    questions = [each for each in tab.ask(12) if [ids[0]] in each["shown"]["items"]]
    assert all(groups[0] not in each["shown"]["groups"] for each in questions)


def test_a_dataset_made_anew_under_the_same_name_wants_another_token(panel, made, grouped):
    import fiftyone as fo

    from ccip_plugin.grouping import group_characters

    data = made("aaaaAAAAcccc", name="made anew", persistent=True)
    old = panel(data)
    fo.delete_dataset("made anew")
    new = grouped("aaaaAAAAcccc", name="made anew", persistent=True)
    group_characters(new)
    old.data, before = new, state(new)
    assert old.write("confirm", groups=[1])["problem"]["code"] == "token"
    assert state(new) == before
    new.name = "renamed"
    tab = panel(new)
    new.name = "made anew"
    assert tab.write("confirm", groups=[1])["number"]
