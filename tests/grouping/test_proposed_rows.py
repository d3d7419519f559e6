"""Rows of a proposal are taken one by one: each is checked by its own items and groups, and the others stay."""

import pytest

from ccip_plugin import (
    apply_proposal,
    confirm,
    group_characters,
    history,
    load_proposal,
    merge_groups,
    move,
    propose_groups,
    redo,
    reject,
    rename_group,
    undo,
)
from ccip_plugin.core.errors import ParameterError
from ccip_plugin.grouping.proposals import NoProposalError, pending_proposals
from ccip_plugin.labels.edits.proposed import RowOutdatedError
from ccip_plugin.labels.identities import StaleGroupsError
from tests.support.app.operator_tools import facts, form, problems, run, said
from tests.support.groups import embed, labels

pytestmark = pytest.mark.mongo

APPLY = "@ccip/characters/apply_proposal"
ONE, TWO, THREE = "char_0001", "char_0002", "char_0003"
BEFORE, AFTER = "aaaabbbcc d", "aaaaabbccce"


@pytest.fixture
def data(dataset):
    """A dataset with a proposal: two images move, one of no group joins."""
    new = dataset(*[f"/絵/{n}.png" for n in range(len(BEFORE))])
    embed(new, BEFORE)
    group_characters(new)
    embed(new, AFTER)
    propose_groups(new)
    return new


def texts(data):
    return dict(next(iter(pending_proposals(data))).rows)


def number_of(data, text):
    return next(number for number, each in texts(data).items() if each == text)


MOVES, JOINS = f"1 image from {TWO!r} to {ONE!r}", f"1 image into {THREE!r}"


def test_rows_speak_in_names(data):
    rename_group(data, ONE, "綾波 レイ")
    propose_groups(data)
    assert list(texts(data).values()) == [f"1 image from {TWO!r} to '綾波 レイ'", JOINS]
    assert load_proposal(data).facts()["Row 2"] == JOINS


def test_taking_one_keeps_the_others(data):
    before = labels(data)
    done = apply_proposal(data, rows=[number_of(data, JOINS)])
    assert (done.n_changed, done.groups, done.is_done) == (1, {THREE: 1}, True)
    assert labels(data) == [*before[:9], THREE, before[10]]
    assert list(texts(data).values()) == [MOVES]
    moves, joins = number_of(data, MOVES), 3 - number_of(data, MOVES)
    left = f"apply what is left by its numbers, row {moves}, or"
    with pytest.raises(StaleGroupsError, match=f"row {joins} of it was applied already; {left}"):
        apply_proposal(data)
    apply_proposal(data, rows=[number_of(data, MOVES)])
    assert labels(data)[4] == ONE and data.values("character_group.status")[4] == "auto"
    with pytest.raises(NoProposalError):
        load_proposal(data)
    undo(data)
    undo(data)
    assert labels(data) == before


def test_a_row_that_is_undone_is_open_again(data):
    before, all_texts = labels(data), texts(data)
    for _ in range(2):
        apply_proposal(data, rows=[number_of(data, JOINS)])
        assert list(texts(data).values()) == [MOVES]
        undo(data)
        assert texts(data) == all_texts and labels(data) == before
    redo(data)
    assert list(texts(data).values()) == [MOVES] == [row.text("image") for row in load_proposal(data).rows]
    apply_proposal(data, rows=[number_of(data, MOVES)])
    assert not pending_proposals(data)
    undo(data)
    undo(data)
    rename_group(data, THREE, "アスカ")  # what was undone cannot be redone now
    assert list(texts(data)) == list(all_texts)
    apply_proposal(data, rows=list(all_texts))
    assert labels(data)[4] == ONE and labels(data)[9] == "アスカ"


def test_a_new_group_of_a_row_that_is_undone_is_made_again(dataset):
    new = dataset(*[f"/絵/{n}.png" for n in range(12)])
    embed(new, "aaaaaabbbbbb")
    group_characters(new)
    embed(new, "aaaaccbbbbcc")
    propose_groups(new)
    before = texts(new)
    apply_proposal(new, rows=[1])
    undo(new)
    assert list(texts(new)) == list(before) and all(row.is_new for row in load_proposal(new).rows)
    apply_proposal(new, rows=[2])
    (left,) = load_proposal(new).rows
    apply_proposal(new, rows=[1])
    assert not left.is_new and len({labels(new)[place] for place in (4, 5, 10, 11)}) == 1


def test_other_changes_do_not_stop_it(data):
    """Neither another group, nor another image."""
    rename_group(data, THREE, "アスカ")
    confirm(data[:1])
    apply_proposal(data, rows=[number_of(data, MOVES)])
    assert labels(data)[4] == ONE
    apply_proposal(data, rows=[number_of(data, JOINS)])
    assert labels(data)[9] == "アスカ", "under the name that the group has now"


@pytest.mark.parametrize("change", [confirm, reject, lambda view: move(view, THREE)], ids=["confirm", "reject", "move"])
def test_what_a_person_decided_stays(data, change):
    change(data[4:5])
    before = labels(data)
    done = apply_proposal(data, rows=[number_of(data, MOVES)])
    assert labels(data) == before and done.n_changed == 0
    assert done.details == {"Changed since, not taken": "1"}


def test_a_rejection_from_the_group_stays(data):
    move(data[4:5], ONE)
    reject(data[4:5])
    undo(data)
    undo(data)
    apply_proposal(data, rows=[1])
    assert labels(data)[4] == ONE


def test_a_group_that_is_gone_is_said(data):
    merge_groups(data, [ONE, THREE], name="アスカ")
    number = number_of(data, JOINS)
    with pytest.raises(RowOutdatedError, match="was merged, renamed or deleted since"):
        apply_proposal(data, rows=[number])
    assert len(texts(data)) == 2


def test_a_new_group_is_made_once(dataset):
    new = dataset(*[f"/絵/{n}.png" for n in range(12)])
    embed(new, "aaaaaabbbbbb")
    group_characters(new)
    embed(new, "aaaaccbbbbcc")
    propose_groups(new)
    assert len(texts(new)) == 2 and all("a new group (char_0003)" in text for text in texts(new).values())
    apply_proposal(new, rows=[1])
    first = labels(new)
    assert first.count("char_0003") == 2
    (left,) = texts(new).values()
    assert left.endswith("to 'char_0003'")
    apply_proposal(new, rows=[2])
    assert labels(new).count("char_0003") == 4
    assert len(history(new)) == 3


@pytest.mark.parametrize("rows", [[], (), [0], [99], [1, 99], [True], ["1"], 1, "1", [2**63]])
def test_rows_that_it_does_not_have_are_refused(data, rows):
    before = labels(data)
    with pytest.raises(ParameterError, match="rows"):
        apply_proposal(data, rows=rows)
    assert labels(data) == before and len(texts(data)) == 2


def test_in_the_app(data):
    inputs = form(APPLY, data)
    assert not problems(inputs) and inputs["row_1"]["view"]["label"] == texts(data)[1]
    number = number_of(data, JOINS)
    chosen = {f"row_{number}": True}
    assert said(form(APPLY, data, **chosen), "chosen_hint") == "Rows to be written: 1. The others stay proposed."
    shown = facts(run(APPLY, data, **chosen)["show_output"]["results"])
    assert shown["Groups"] == f"1 in {THREE!r}"
    (problem,) = problems(form(APPLY, data)).values()
    assert problem.endswith("propose it again, or take rows of it, which are checked one by one.")
    assert not problems(form(APPLY, data, **{f"row_{number_of(data, MOVES)}": True}))
