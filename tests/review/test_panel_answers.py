"""Questions and answers of the review panel, called as the panel calls it."""

import random
import time
import unicodedata

import fiftyone as fo
import numpy as np
import pytest

from tests.review.tabs import restart, state
from tests.support.groups import vector

pytestmark = pytest.mark.mongo


def characters(data):
    """The true character of each item of the dataset: the last letter of the file name, in lower case."""
    return {sample.id: sample.filepath[-5].lower() for sample in data}


def said_by(truth, question):
    """What somebody says who knows the characters of all images."""

    def of(pictures):
        return max(letters := [truth[each["id"]] for each in pictures], key=letters.count)

    kind, tiles = question["kind"], question["tiles"]
    if kind in ("same", "halves", "whole"):
        first, second = (of(side["pictures"]) for side in question["sides"])
        return ("same" if first == second else "different"), []
    if kind == "who":
        own = truth[question["image"]["id"]]
        picked = [tile["id"] for tile in tiles if of(tile["pictures"]) == own]
        return ("pick", picked[:1]) if picked else ("new", [])
    right = of(question["sides"][0]["pictures"])
    is_marked = (lambda each: each == right) if kind == "in" else (lambda each: each != right)
    return "done", [tile["id"] for tile in tiles if is_marked(of(tile["pictures"]))]


@pytest.fixture
def doubtful(grouped):
    """Groups, some of which are one character: capitals are near their small letters."""
    from ccip_plugin.grouping import group_characters

    letters = "aaaaaaaaAAAAAAAA" + "bbbbbbbbBBBBBBBB" + "ccccc" + "ddddd" + "AB"
    data = grouped(letters, persistent=True)
    vectors = [vector(letter, n) + 0.55 * vector(letter.lower(), 99) for n, letter in enumerate(letters)]
    data.set_values("ccip_embedding", [each / np.linalg.norm(each) for each in vectors])
    group_characters(data, method="dbscan", eps=0.03, min_samples=3)
    return data


def test_every_kind_of_answer_is_a_change_that_undo_restores(panel, doubtful):
    truth, tab = characters(doubtful), panel(doubtful)
    states, kinds = [state(doubtful)], []
    for _ in range(30):
        questions = tab.ask(1)
        if not questions:
            break
        (question,) = questions
        said, marked = said_by(truth, question)
        done = tab.answer(question, said, marked)
        assert "problem" not in done, (question, said, marked, done)
        kinds.append((question["kind"], said, done["number"]))
        states.append(state(doubtful))
    print(kinds)
    assert kinds
    for before, (_, _, number) in zip(states[-2::-1], kinds[::-1], strict=True):
        assert tab.write("undo")["number"] == number
        assert state(doubtful) == before


def test_tabs_get_different_questions(panel, doubtful):
    one, other = panel(doubtful, "one"), panel(doubtful, "other")
    first = one.ask(1)
    second = other.ask(1)
    assert first and {each["id"] for each in first}.isdisjoint(each["id"] for each in second)
    assert [each["id"] for each in one.ask(1)] == [each["id"] for each in first]


def test_a_stale_answer_is_refused_with_the_reason(panel, doubtful):
    from ccip_plugin import ignore

    one = panel(doubtful)
    question = one.ask(1)[0]
    members = question["shown"]["groups"][0]
    ignore(doubtful.match(fo.ViewField("character_group.group_id") == members)[:1])
    before = state(doubtful)
    problem = one.answer(question, "same" if question["kind"] in ("same", "halves") else "done")["problem"]
    assert problem["code"] == "stale" and "nothing was changed" in problem["message"]
    assert state(doubtful) == before


def test_an_answer_about_a_group_with_other_images_now_is_refused(panel, doubtful):
    """As many as before, which its size does not show."""
    tab = panel(doubtful)
    question = next(each for each in tab.ask(8) if each["kind"] == "same")
    first = question["shown"]["groups"][0]
    groups = dict(zip(doubtful.values("id"), doubtful.values("character_group.group_id"), strict=True))
    one = next(item for item, group in groups.items() if group == first)
    other = next(item for item, group in groups.items() if group and group not in question["shown"]["groups"])
    assert tab.write("move", items=[one], to=groups[other])["number"]
    assert tab.write("move", items=[other], to=first)["number"]
    before = state(doubtful)
    problem = tab.answer(question, "different")["problem"]
    assert problem["code"] == "stale" and "other images" in problem["message"]
    assert state(doubtful) == before


def test_cannot_tell_is_remembered_after_a_restart_and_undone(panel, doubtful):
    tab = panel(doubtful)
    question = tab.ask(1)[0]
    before = state(doubtful)
    assert tab.answer(question, "unsure")["number"] is None
    assert state(doubtful) == before
    restart()  # as a process that was started again
    assert question["id"] not in {each["id"] for each in tab.ask(12)}
    assert "changed nothing" in tab.write("undo")["text"]
    restart()
    assert question["id"] in {each["id"] for each in tab.ask(12)}


def test_what_was_put_off_comes_back_when_nothing_else_is_left(panel, doubtful):
    tab, first = panel(doubtful), None
    seen = []
    while len(seen) < 60 and (questions := tab.ask(1)):
        seen.append(questions[0]["id"])
        first = first or questions[0]
        tab.answer(questions[0], "later")
    assert len(seen) == 2 * len(set(seen)), "each once more, and then the review ends"
    assert tab.read("questions", n=1)["done"] and tab.read("open")["progress"]["answers"] == {}
    restart()
    assert [each["id"] for each in panel(doubtful).ask(1)], "they are asked again in another process"


def test_what_was_done_is_said(panel, doubtful):
    tab = panel(doubtful)
    (question,) = tab.ask(1, kinds=["same"])
    names = " and ".join(repr(side["name"]) for side in question["sides"])
    tab.answer(question, "different")
    assert tab.read("history")["rows"][0]["text"] == f"answer a question: different characters: {names}"
    assert tab.write("undo")["text"] == f"undid answer a question: different characters: {names}"
    tab.write("rename", group=1, name="Rei")
    assert tab.write("undo")["text"] == "undid rename group: 'char_0001' is 'Rei' now"


def test_undo_takes_back_what_this_tab_said(panel, doubtful):
    one, other = panel(doubtful, "one"), panel(doubtful, "other")
    mine, theirs = one.ask(1)[0], other.ask(1)[0]
    assert one.answer(mine, "unsure")["number"] is None
    number = other.answer(theirs, "different")["number"]
    assert one.write("undo")["number"] is None
    assert [row["undone"] for row in one.read("history")["rows"] if row["number"] == number] == [False]
    assert mine["id"] in {each["id"] for each in one.ask(12)}
    assert one.write("undo")["number"] == number


def test_undo_elsewhere_brings_the_question_back(panel, doubtful):
    from ccip_plugin import undo

    tab = panel(doubtful)
    question = next(each for each in tab.ask(8) if each["kind"] == "same")
    assert tab.answer(question, "different")["number"]
    assert question["id"] not in {each["id"] for each in tab.ask(12)}
    undo(doubtful)
    assert question["id"] in {each["id"] for each in tab.ask(12)}


def test_writing_wants_the_token(call, panel, doubtful):
    question = panel(doubtful).ask(1)[0]
    before = state(doubtful)
    for token in (None, "", "x", 5, ["a"], "é" * 10):
        shown = {"question": question["id"], "kind": question["kind"], "shown": question["shown"]}
        assert call(doubtful, "answer", token=token, **shown, said="unsure")["problem"]["code"] == "token"
        assert call(doubtful, "confirm", token=token, groups=[1])["problem"]["code"] == "token"
    assert state(doubtful) == before and call(doubtful, "history")["rows"][0]["text"].startswith("group by character")


def test_a_name_typed_in_other_characters_that_look_the_same_is_merged(panel, made):
    tab = panel(made("aaaabbbb"))
    assert tab.write("rename", group=1, name="ガガ")["number"]
    twin = unicodedata.normalize("NFD", "ガガ")
    assert tab.write("rename", group=2, name=twin)["problem"]["code"] == "choose"
    assert tab.write("rename", group=2, name=twin, merge=True)["number"]
    assert [card["name"] for card in tab.read("groups")["cards"]] == ["ガガ"]


def test_edits(panel, made):
    data = made("aaaabbbbcccc")
    tab = panel(data)
    ids = data.values("id")
    assert tab.write("rename", group=1, name="綾波 レイ")["number"]
    problem = tab.write("rename", group=2, name="綾波 レイ")["problem"]
    assert problem["code"] == "choose" and problem["action"]["params"]["merge"]
    assert tab.write("merge", groups=[2, 3], sizes={"2": 9, "3": 4})["problem"]["code"] == "stale"
    assert tab.write("confirm", groups=[1])["progress"]["confirmed"] == 4
    assert tab.write("keep_apart", groups=[2, 3])["number"]
    assert tab.write("cover", group=1, items=ids[2:3])["number"]
    assert tab.read("groups", sort="size")["cards"][0]["pictures"][0]["id"] == ids[2]
    assert tab.write("move", items=ids[:1], name="Asuka")["number"]
    assert tab.write("reject", items=ids[4:5])["number"]
    assert tab.write("ignore", items=ids[8:9])["progress"]["ignored"] == 1
    assert tab.write("split", group=2, parts=[ids[5:6]])["number"]
    assert tab.write("rename", group=3, name="綾波 レイ", merge=True)["number"]
    image = tab.read("image", id=ids[1])
    assert image["group"]["name"] == "綾波 レイ" and image["status"] == "confirmed" and image["neighbours"]
    assert tab.read("show", groups=[1])["n"] and tab.read("show")["n"] == 12
    rows = tab.read("history")["rows"]
    assert {row["by"] for row in rows if row["number"] > 1} == {"person one"}
    for _ in range(9):
        assert "problem" not in tab.write("undo")
    assert set(state_names(data)) == {"char_0001", "char_0002", "char_0003"}
    assert "problem" not in tab.write("redo")


def state_names(data):
    data.reload()
    return data.values("character_group.label")


def test_a_batch_on_closing(panel, doubtful):
    tab = panel(doubtful)
    questions = tab.ask(3)
    batch = [
        {"question": each["id"], "kind": each["kind"], "shown": each["shown"], "said": "unsure"} for each in questions
    ]
    results = tab.write("answers", answers=batch)["results"]
    assert [each["number"] for each in results] == [None] * len(questions)


def test_a_visitor_changes_nothing(panel, call, doubtful):
    from ccip_plugin.storage import internals
    from tests.app.test_operator import stored

    call(doubtful, "open")
    before = stored(internals.database())
    for method, args in (
        ("open", {"tab": "x"}),
        ("groups", {}),
        ("group", {"id": 1}),
        ("questions", {"tab": "x", "n": 8}),
        ("image", {"id": doubtful.first().id}),
        ("history", {}),
        ("disputes", {}),
        ("names", {"text": "c"}),
        ("pictures", {"ids": doubtful.values("id")}),
    ):
        assert "problem" not in call(doubtful, method, **args)
    after = stored(internals.database())
    assert after.keys() == before.keys() and [key for key in before if after[key] != before[key]] == []


HOSTILE = ["", "x" * 30_000, "\0", "$where", -1, 2**63, True, 1.5, None, [], {}, [[["x"]]], {"$gt": ""}, [None] * 3000]


@pytest.mark.parametrize("seed", range(3))
def test_malformed_arguments_are_problems(panel, doubtful, seed):
    from ccip_plugin.operators.review.methods import COMMON, METHODS

    generator, tab = random.Random(seed), panel(doubtful)
    print(f"seed {seed}")
    before = state(doubtful)
    for name, method in METHODS.items():
        for _ in range(4):
            names = [*method.checks, *COMMON, "other"]
            args = {each: generator.choice(HOSTILE) for each in generator.sample(names, min(2, len(names)))}
            result = tab.call(doubtful, name, token=tab.token, **args)
            problem = result.get("problem")
            assert problem is None or (problem["code"] != "failed" and "Traceback" not in problem["message"]), (
                name,
                args,
                problem,
            )
    for method in HOSTILE:
        assert tab.call(doubtful, method)["problem"]["code"] == "invalid"
    assert state(doubtful) == before or tab.read("history")["rows"][0]["text"]


def test_a_group_that_was_deleted_and_made_again_asks_anew(panel, doubtful):
    """Records name groups by ids, which are not used again."""
    from ccip_plugin import delete_grouping, group_characters

    tab = panel(doubtful)
    question = next(each for each in tab.ask(8) if each["kind"] == "same")
    tab.answer(question, "unsure")
    delete_grouping(doubtful)
    assert tab.read("groups")["problem"]["code"] == "no_groups"
    group_characters(doubtful, method="dbscan", eps=0.03, min_samples=3)
    assert "same" in {each["kind"] for each in tab.ask(8)}


def test_when_nothing_is_asked_no_questions_are_left(panel, doubtful):
    truth, tab = characters(doubtful), panel(doubtful)
    until = time.monotonic() + 20
    while not tab.read("questions", n=1)["progress"]["left"]:  # a thread estimates it
        assert time.monotonic() < until
        time.sleep(0.1)
    for _ in range(60):
        questions = tab.ask(1)
        if not questions:
            break
        said, marked = said_by(truth, questions[0])
        tab.answer(questions[0], said, marked)
    done = tab.read("questions", n=1)
    assert done["questions"] == [] and done["done"]
    assert done["progress"]["left"] == 0
