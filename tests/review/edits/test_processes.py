"""What one process undoes is seen by the questions of another one."""

import pytest

from ccip_plugin.core.review.kinds import SAME
from ccip_plugin.review.board import ReviewBoard
from ccip_plugin.review.queue import queue_of
from ccip_plugin.review.sources import Source, store_of
from tests.review.tabs import loaded

pytestmark = pytest.mark.mongo
SOURCE = Source("character_group")
UNDO = """
import sys
import fiftyone as fo
from ccip_plugin.operators.review.methods import call_method

data = fo.load_dataset(sys.argv[1])
token = call_method(data, "open")["token"]
for _ in range(int(sys.argv[2])):
    done = call_method(data, "undo", {"tab": "one"}, token)
    assert "changed nothing" in done["text"], done
"""


@pytest.fixture
def queues(grouped):
    """``queues(n)`` gives boards and queues of so many processes, about groups that are each near another one."""
    import numpy as np

    from ccip_plugin import group_characters
    from tests.support.groups import vector

    letters = "".join(letter * 4 for letter in "aAbBcC")
    data = grouped(letters, persistent=True)
    vectors = [vector(letter, n) + 0.55 * vector(letter.lower(), 99) for n, letter in enumerate(letters)]
    data.set_values("ccip_embedding", [each / np.linalg.norm(each) for each in vectors])
    group_characters(data, method="dbscan", eps=0.03, min_samples=3)

    def make(n):
        boards = [ReviewBoard(store_of(data, SOURCE), SOURCE) for _ in range(n)]
        return data, [(board, queue_of(board)) for board in boards]

    return make


def pairs(queue):
    """The groups about which it is asked whether they are one."""
    return {frozenset(each.groups) for each in queue.next("one", 12, [SAME])}


def say(tab, groups, said, asked=None):
    questions = (asked or tab).ask(12, kinds=["same"])
    (question,) = [each for each in questions if set(each["shown"]["groups"]) == groups]
    assert tab.answer(question, said)["number"] is None


@pytest.mark.parametrize("n_undone", [1, 2, 3])
def test_cannot_tell_that_another_process_undoes(panel, queues, start_python, n_undone):
    data, ((board, queue),) = queues(1)
    tab, asked = panel(data, "one"), pairs(queue)
    assert len(asked) == 3
    said = sorted(map(sorted, asked))
    for groups in said:
        say(tab, set(groups), "unsure")
    assert pairs(queue) == set() and len(queue.counted) == 3
    process = start_python(UNDO, data.name, n_undone)
    assert process.wait(60) == 0, process.stderr.read()
    board.refresh()
    assert pairs(queue) == set(map(frozenset, said[3 - n_undone :])) and len(queue.counted) == 3 - n_undone
    again = tab.read("questions", n=12, kinds=["same"])["questions"]  # and by the server that the answers came to
    assert {frozenset(each["shown"]["groups"]) for each in again} == set(map(frozenset, said[3 - n_undone :]))


def test_an_undone_answer_before_others_of_another_tab(panel, queues):
    data, ((_board, queue), (_other_board, other)) = queues(2)
    one, two = panel(data, "one"), panel(data, "two")
    first, second, _ = sorted(map(sorted, pairs(queue)))
    pairs(other)
    say(one, set(first), "unsure")
    say(two, set(second), "unsure", asked=one)
    assert frozenset(first) not in pairs(queue) and frozenset(first) not in pairs(other)
    assert other.undo_answer("one")
    assert frozenset(first) in pairs(queue) and frozenset(second) not in pairs(queue)
    assert frozenset(first) in {frozenset(each["shown"]["groups"]) for each in one.ask(12, kinds=["same"])}


def test_answers_of_a_field_whose_name_begins_like_another_one_are_its_own(queues):
    data, _ = queues(1)
    records = loaded("review.records")
    mine, other = (records.Records(data, name) for name in ("character", "character_group"))
    kept = mine.add(records.AnswerRecord(0, "same", (1, 2), (), "unsure", tab="one"))
    mine.undo(kept)
    other.refresh()
    assert other.state == (0, "") and mine.last_without_change("one") is None
