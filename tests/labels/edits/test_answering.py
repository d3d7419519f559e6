"""Answers about two images go through the history: they correct the groups, and undo takes back both."""

import pytest

from ccip_plugin import Questions, history, load_answers, redo, undo
from ccip_plugin.core.errors import ParameterError
from tests.support.database.edits import ONE, TWO

pytestmark = pytest.mark.mongo


def ids_of(data):
    return data.store.read()[0]


def answer(data, one, other, is_same, **options):
    ids = ids_of(data)
    return data.call(Questions, data.data, **options).answer(ids[one], ids[other], is_same)


def kept(data):
    places = {item_id: place for place, item_id in enumerate(ids_of(data))}
    return [(places[each.first], places[each.second], each.is_same) for each in data.call(load_answers, data.data)]


@pytest.mark.parametrize(
    ("pair", "is_same", "names", "statuses"),
    [
        ((0, 1), True, [ONE, ONE], ["confirmed"] * 2),
        ((0, 8), True, [ONE, ONE], ["confirmed"] * 2),
        ((0, 4), True, [ONE, ONE], ["confirmed"] * 2),
        ((0, 1), False, [ONE, "char_0003"], ["auto", "confirmed"]),
        ((0, 4), False, [ONE, TWO], ["auto", "auto"]),
        ((0, 1), None, [ONE, ONE], ["auto", "auto"]),
    ],
)
def test_what_an_answer_means(grouped, pair, is_same, names, statuses):
    before = grouped.stored()
    answer(grouped, *pair, is_same)
    now = [grouped.names()[place] for place in pair], [grouped.statuses()[place] for place in pair]
    assert now == (names, statuses)
    assert kept(grouped) == [(*pair, is_same)]
    change = grouped.call(history, grouped.data)[0]
    assert change.action == "answer"
    grouped.call(undo, grouped.data)
    assert (grouped.stored(), kept(grouped)) == (before, [])
    grouped.call(redo, grouped.data)
    now = [grouped.names()[place] for place in pair], [grouped.statuses()[place] for place in pair]
    assert (now, kept(grouped)) == ((names, statuses), [(*pair, is_same)])
    grouped.run()
    groups = [grouped.names()[place] for place in pair]
    assert groups == names, "a later run keeps it"


def test_no_run_brings_together_what_is_different(grouped):
    answer(grouped, 0, 1, False)
    for method in ({}, {"method": "dbscan", "eps": 0.9, "min_samples": 1}):
        grouped.run(**method)
        assert grouped.ids()[0] != grouped.ids()[1]


def test_on_second_thoughts(grouped):
    answer(grouped, 0, 1, False)
    answer(grouped, 1, 0, True)
    assert kept(grouped) == [(1, 0, True)]
    assert len({grouped.ids()[0], grouped.ids()[1]}) == 1
    grouped.call(undo, grouped.data)
    assert [is_same for *_, is_same in kept(grouped)] == [False]
    assert grouped.ids()[0] != grouped.ids()[1]
    assert answer(grouped, 0, 1, False).number is None, "nothing to write"


def test_an_older_answer_is_undone_alone(grouped):
    answer(grouped, 0, 1, True)
    answer(grouped, 4, 5, True)
    number = grouped.call(history, grouped.data)[1].number
    grouped.call(undo, grouped.data, number=number)
    assert kept(grouped) == [(4, 5, True)]


def test_answers_only(grouped):
    before = grouped.stored()
    assert answer(grouped, 0, 1, False, group_field=None) is None
    assert (grouped.stored(), kept(grouped)) == (before, [(0, 1, False)])
    assert grouped.call(history, grouped.data)[0].action == "group_characters"


def test_ids_of_nothing(grouped):
    ids, questions = ids_of(grouped), grouped.call(Questions, grouped.data)
    for pair in ((ids[0], ids[0]), (ids[0], "0" * 24), ("x", ids[0]), (ids[0], None)):
        with pytest.raises(ParameterError):
            questions.answer(*pair, True)
    grouped.data.delete_samples(grouped.data.values("id")[-1:])
    with pytest.raises(ParameterError):
        questions.answer(ids[0], ids[-1], True)
    assert kept(grouped) == []
