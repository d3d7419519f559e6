"""The history: what, when, how many, by whom; rows of quick corrections; undo of an earlier change alone."""

import csv
import re

import pytest

import ccip_plugin as ccip
from ccip_plugin.labels.history import History, LaterChangesError, NothingToUndoError, history, redo, undo
from ccip_plugin.labels.identities import load_registry
from ccip_plugin.labels.reports import PastChange
from ccip_plugin.reports.export import FileNotWrittenError
from ccip_plugin.storage.person import current_person, working_as
from tests.support.app.operator_tools import choices, form, problems, run
from tests.support.groups import labels

pytestmark = pytest.mark.mongo

HISTORY = "@ccip/characters/history"
ONE, TWO = "char_0001", "char_0002"


@pytest.fixture
def grouped(embedded):
    data = embedded("aaaabbb")
    ccip.group_characters(data)
    return data


def change(number, action="confirm", *, at=0, by="Rei", **values):
    minutes, seconds = divmod(at, 60)
    return PastChange(number, action, f"2026-01-31T12:{minutes:02}:{seconds:02}+00:00", 1, by=by, **values)


# -- by whom


@pytest.mark.parametrize(
    "name, want",
    [
        pytest.param("綾波 レイ 💙", "綾波 レイ 💙", id="any script"),
        pytest.param("  a\n\tb\x00  ", "a b", id="one line"),
        pytest.param("x" * 300, "x" * 100, id="bounded"),
        pytest.param("a\ud800", "a", id="half a character"),
    ],
)
def test_a_name_is_one_that_can_be_stored(monkeypatch, name, want):
    with working_as(name):
        assert current_person() == want


def test_who_works(grouped, monkeypatch):
    monkeypatch.setenv("CCIP_USER", "綾波 レイ")
    ccip.confirm(grouped[:1])
    with working_as("shinji@example.org"):
        ccip.ignore(grouped[1:2])
    monkeypatch.delenv("CCIP_USER")
    monkeypatch.setenv("LOGNAME", "asuka")
    ccip.reject(grouped[2:3])
    assert [each.by for each in history(grouped)][:3] == ["asuka", "shinji@example.org", "綾波 レイ"]


def test_an_unknown_user_is_no_obstacle(grouped, monkeypatch):
    def unknown():
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr("getpass.getuser", unknown)
    ccip.confirm(grouped[:1])
    assert history(grouped)[0].by is None and history(grouped).text().splitlines()[1].endswith("done")


# -- rows


def test_the_table_says_what_when_how_many_by_whom_and_the_state(grouped, monkeypatch):
    monkeypatch.setenv("CCIP_USER", "綾波")
    ccip.rename_group(grouped, ONE, "Rei")
    undo(grouped)
    title, renamed, _ = str(history(grouped)).splitlines()
    assert title.split() == ["change", "time", "action", "about", "labels", "by", "state"]
    local = history(grouped)[0].local_time
    assert re.fullmatch(rf"\s*2\s+{local}\s+rename group\s+'{ONE}' is 'Rei' now\s+4\s+綾波\s+undone", renamed)
    assert repr(history(grouped)) == str(history(grouped)), "a notebook shows it, too"
    assert str(History()) == "no changes"


def test_corrections_within_a_minute_are_one_row_that_unfolds():
    changes = History(
        [
            change(9, at=200),
            change(8, "reject", at=150),
            change(7, at=140),
            change(6, "rename_group", at=139),
            change(5, at=138),
            change(4, at=137, is_undone=True),
            change(3, at=136, by="Asuka"),
            change(2, at=135, by="Asuka", refused={"a" * 24: "full"}),
            change(1, "group_characters", at=134),
        ]
    )
    rows = changes.rows()
    assert [(row.number, row.action, row.n_labels) for row in rows] == [
        ("7-9", "confirm (2), not this character (1)", 3),
        ("6", "rename group", 1),
        ("5", "confirm", 1),
        ("4", "confirm", 1),
        ("3", "confirm", 1),
        ("2", "confirm", 1),
        ("1", "group by character", 1),
    ]
    assert [row.number for row in changes.rows(each=True)] == [str(number) for number in range(9, 0, -1)]
    assert "a" * 24 in changes.text()


def test_a_row_is_never_longer_than_a_minute():
    changes = History([change(3, at=90), change(2, at=45), change(1, at=0)])
    assert [row.number for row in changes.rows()] == ["2-3", "1"]


def test_the_file(grouped, tmp_path, monkeypatch):
    monkeypatch.setenv("CCIP_USER", "=HYPERLINK(1)")
    ccip.confirm(grouped[:2])
    path = history(grouped).to_csv(tmp_path / "履歴.csv")
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["change"], row["action"], row["labels"]) for row in rows] == [
        ("2", "confirm", "2"),
        ("1", "group by character", "7"),
    ]
    assert rows[0]["by"] == "'=HYPERLINK(1)", "spreadsheets run no formula"
    assert rows[0]["time_utc"].endswith("+00:00") and rows[0]["time"] == history(grouped)[0].local_time


@pytest.mark.parametrize("place", ["", "no folder/a.csv", "a\x00b"])
def test_a_file_that_cannot_be_written(grouped, tmp_path, place):
    with pytest.raises(FileNotWrittenError, match=r"cannot be written: .*; choose another file"):
        history(grouped).to_csv(f"{tmp_path}/{place}")


# -- undo of an earlier change alone


def test_an_earlier_change_is_undone_alone_and_redone(grouped):
    before = grouped.values("character_group")
    ccip.confirm(grouped[:1])
    ccip.confirm(grouped[4:5])
    after = grouped.values("character_group")
    done = undo(grouped, number=2)
    assert (done.n_written, done.n_left) == (1, 0)
    assert grouped.values("character_group") == [before[0], *after[1:]]
    assert [each.state for each in history(grouped)] == ["done", "undone", "done"]
    redo(grouped)
    assert grouped.values("character_group") == after


def test_redo_goes_back_in_the_order_of_undo(grouped):
    ids = grouped.values("id")
    for item in ids[:3]:
        ccip.confirm(grouped.select(item))
    for number in (3, None, 2):
        undo(grouped, number=number)
    order = []
    for _ in range(3):
        before = {each.number for each in history(grouped) if each.is_undone}
        redo(grouped)
        order += before - {each.number for each in history(grouped) if each.is_undone}
    assert order == [2, 4, 3]
    with pytest.raises(NothingToUndoError, match="to redo: after an undo, any other change ends that"):
        redo(grouped)


def refused(data, number, **field):
    before = data.values("character_group")
    with pytest.raises(LaterChangesError) as error:
        undo(data, number=number, **field)
    assert data.values("character_group") == before
    return error.value


def test_it_is_refused_where_a_later_change_wrote_one_of_its_labels(grouped):
    first, second = grouped.values("id")[:2]
    ccip.confirm(grouped[:2])
    ccip.confirm(grouped[5:6])
    ccip.ignore(grouped.select(second))
    error = refused(grouped, 2)
    assert (error.later, error.ids, error.groups) == ([4], [second], [])
    assert f"the labels of 1 ({second}): 4 (ignore). Undo those first, from the newest on" in str(error)
    undo(grouped)
    undo(grouped, number=2)
    assert grouped.select(first).values("character_group.status") == ["auto"]


def test_it_is_refused_where_a_later_change_uses_a_group_that_it_made(grouped):
    ccip.move(grouped[:1], "Rei")
    ccip.move(grouped[1:2], "Rei")
    error = refused(grouped, 2)
    assert (error.later, error.groups, error.ids) == ([3], ["Rei"], [])
    assert "the groups 1 (Rei): 3 (move to a group)" in str(error)


def test_it_is_refused_where_a_later_change_renamed_its_group(grouped):
    ccip.rename_group(grouped, ONE, "Rei")
    ccip.rename_group(grouped, "Rei", "綾波")
    error = refused(grouped, 2)
    assert (error.later, error.groups, len(error.ids)) == ([3], ["綾波"], 4)


def test_a_run_under_a_later_run_is_not_undone_alone(grouped):
    ccip.group_characters(grouped, eps=0.1)
    ccip.group_characters(grouped, eps=0.19, method="dbscan")
    assert refused(grouped, 1).later


def test_rejections_of_other_images_are_no_obstacle(grouped):
    ccip.reject(grouped[:1])
    ccip.reject(grouped[1:2])
    undo(grouped, number=2)
    assert labels(grouped)[0] == ONE
    rejected = load_registry(grouped, "character_group").rejections
    assert rejected == {1: frozenset([grouped.values("id")[1]])}


def test_a_label_that_was_edited_since_is_left(grouped):
    ccip.confirm(grouped[:2])
    ccip.confirm(grouped[5:6])
    first = grouped.first()
    first.character_group.label = "綾波"
    first.save()
    done = undo(grouped, number=2)
    assert (done.n_written, done.n_left, done.n_gone) == (1, 1, 0)
    assert done.facts()["Edited since, not changed"] == "1"


def test_images_that_are_gone_were_not_edited(grouped):
    ccip.confirm(grouped[:2])
    grouped.delete_samples(grouped[:1])
    done = undo(grouped)
    assert (done.n_written, done.n_left, done.n_gone) == (1, 1, 1)
    assert done.facts()["Deleted since, or replaced by others"] == "1"
    assert "Edited since, not changed" not in dict(done.facts().pairs)


@pytest.mark.parametrize("number", [2, 99, 0, -1, 2**63])
def test_a_change_that_is_not_there(grouped, number):
    with pytest.raises(NothingToUndoError, match=f"there is no change {number} of 'character_group' to undo"):
        undo(grouped, number=number)


def test_a_change_that_is_undone_already(grouped):
    ccip.confirm(grouped[:1])
    undo(grouped)
    with pytest.raises(NothingToUndoError, match=r"^change 2 of 'character_group' is undone already: redo repeats"):
        undo(grouped, number=2)


# -- in the App


def rows(data, **answers):
    return [row["change"] for row in run(HISTORY, data, **answers)["show_output"]["results"]["history"]]


def test_the_operator_lists_and_undoes(grouped, monkeypatch):
    monkeypatch.setenv("CCIP_USER", "綾波")
    ccip.confirm(grouped[:1])
    ccip.confirm(grouped[5:6])
    assert list(choices(form(HISTORY, grouped), "change")) == ["nothing", "3", "2", "1"]
    assert rows(grouped) == ["2-3", "1"]
    assert rows(grouped, each=True) == ["3", "2", "1"]
    assert "alone_hint" in form(HISTORY, grouped, change="2") and "alone_hint" not in form(HISTORY, grouped, change="3")
    run(HISTORY, grouped, change="2")
    assert grouped.values("character_group.status")[0] == "auto"
    assert list(choices(form(HISTORY, grouped), "change"))[:2] == ["nothing", "redo"]
    run(HISTORY, grouped, change="redo")
    assert grouped.values("character_group.status")[0] == "confirmed"


def test_the_operator_without_groups(dataset):
    assert "There is no history" in str(problems(form(HISTORY, dataset("/a.png"))))


# -- what it was about


ABOUT = [
    pytest.param(lambda data: ccip.move(data[:3], "Rei"), "3 images to 'Rei'", id="move"),
    pytest.param(lambda data: ccip.confirm(data[3:6]), f"2 images of '{TWO}', 1 of '{ONE}'", id="confirm"),
    pytest.param(lambda data: ccip.ignore(data[:1]), f"1 image of '{ONE}'", id="ignore"),
    pytest.param(lambda data: ccip.reject(data[:2]), f"2 images of '{ONE}'", id="reject"),
    pytest.param(lambda data: ccip.rename_group(data, ONE, "綾波"), f"'{ONE}' is '綾波' now", id="rename"),
    pytest.param(lambda data: ccip.merge_groups(data, [ONE, TWO], name="Rei"), f"'{TWO}' into 'Rei'", id="merge"),
    pytest.param(
        lambda data: ccip.split_group(data, ONE, parts=[data[:2]], names=["Rei"]),
        f"'{ONE}' into '{ONE}', 'Rei'",
        id="split",
    ),
    pytest.param(lambda data: ccip.keep_apart(data, groups=[ONE, TWO]), f"'{ONE}', '{TWO}'", id="keep apart"),
    pytest.param(lambda data: ccip.keep_together(data, groups=ONE), f"'{ONE}'", id="keep together"),
    pytest.param(lambda data: ccip.set_cover(data[:1]), f"of '{ONE}'", id="cover"),
]


@pytest.mark.parametrize("act, about", ABOUT)
def test_a_change_says_what_it_was_about(grouped, tmp_path, act, about):
    act(grouped)
    newest, run_before = history(grouped)
    assert (newest.about, run_before.about) == (about, "2 character groups with 7 images")
    assert f"({about})" in str(newest) and about in str(history(grouped))
    with history(grouped).to_csv(tmp_path / "a.csv").open(encoding="utf-8-sig", newline="") as file:
        assert next(csv.DictReader(file))["about"].lstrip("'") == about.lstrip("'")
    undo(grouped)
    assert history(grouped)[0].about == about


def test_an_edit_by_hand_says_what_it_was_about(grouped):
    grouped[:2].set_values("character_group.label", ["Rei", "Rei"])
    ccip.confirm(grouped[6:])
    assert history(grouped)[1].about == "2 images to 'Rei'"


def test_what_it_was_about_is_short(embedded):
    data = embedded("aabbccddeeffgghh")
    ccip.group_characters(data)
    ccip.rename_group(data, ONE, "綾" * 200)
    ccip.merge_groups(data, range(1, 9))
    merged, renamed, _ = history(data)
    assert renamed.about == f"'{ONE}' is '{'綾' * 37}...' now"
    assert merged.about == f"'{TWO}', 'char_0003', 'char_0004', and 4 more groups into '{'綾' * 37}...'"
    assert History([change(n, about=f"{n}") for n in (4, 3, 2, 1)]).rows()[0].about == "4; 3; and 2 more"


def test_changes_of_earlier_versions_have_none(grouped):
    from ccip_plugin.labels.journal import STORE
    from ccip_plugin.storage.internals import database

    query = {"store_name": STORE, "key": "character_group/00000001"}
    assert database().execution_store.update_one(query, {"$unset": {"value.about": True}}).modified_count == 1
    ccip.confirm(grouped[:1])
    assert [each.about for each in history(grouped)] == [f"1 image of '{ONE}'", ""]
