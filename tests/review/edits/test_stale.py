"""Cards that are out of date when another process writes between the key and the lease: nothing is written."""

import time

import fiftyone as fo
import pytest

from tests.review.tabs import state

pytestmark = pytest.mark.mongo

WRITER = """
import pathlib, sys, time
import fiftyone as fo
import ccip_plugin as ccip
from ccip_plugin.labels import changes

write = changes.write_entry

def write_later(*args, **options):  # with the lease
    print("holds", flush=True)
    while not pathlib.Path(sys.argv[2]).exists():
        time.sleep(0.02)
    return write(*args, **options)

changes.write_entry = write_later
data = fo.load_dataset(sys.argv[1])
ids = data.values("id")
ccip.move(data.select([ids[0], ids[11]]), 2)
"""


CASES = [
    pytest.param("confirm", {"groups": [2], "sizes": {"2": 6}}, id="confirm"),
    pytest.param("ignore", {"groups": [2], "sizes": {"2": 6}}, id="ignore groups"),
    pytest.param("ignore", {"items": [0, 1], "group": 1}, id="ignore images"),
    pytest.param("merge", {"groups": [1, 3], "sizes": {"1": 6, "3": 3}}, id="merge"),
    pytest.param("split", {"group": 2, "k": 2, "sizes": {"2": 6}}, id="split"),
    pytest.param("split", {"group": 1, "parts": [[1]], "sizes": {"1": 6}}, id="split off"),
    pytest.param("rename", {"group": 2, "name": "Rei", "sizes": {"2": 6}}, id="rename"),
    pytest.param("rename", {"group": 3, "name": "char_0002", "merge": True, "sizes": {"2": 6}}, id="join by name"),
    pytest.param("keep_apart", {"groups": [2, 3], "sizes": {"2": 6}}, id="keep apart"),
    pytest.param("keep_together", {"groups": [2], "sizes": {"2": 6}}, id="keep together"),
    pytest.param("move", {"items": [0, 1], "to": 3, "group": 1}, id="move"),
    pytest.param("move", {"items": [0], "name": "Rei", "group": 1}, id="move to a new group"),
    pytest.param("reject", {"items": [0, 1], "group": 1}, id="reject"),
    pytest.param("cover", {"items": [0], "group": 1}, id="cover"),
]
WITH_A_WRITER = ("confirm", "merge", "split off", "join by name", "move", "reject")


def test_an_image_is_moved_from_wherever_it_is(panel, made):
    from ccip_plugin import confirm, ignore, reject

    data = made("aaabbbcccd", persistent=True)
    ids, tab = data.values("id"), panel(data)
    ignore(data.select(ids[0]))
    reject(data.select(ids[3]))
    confirm(data.select(ids[6]))
    data.add_sample(fo.Sample(filepath="/no embedding.png"))
    for item in data.values("id"):
        for name in ("Asuka", "Rei"):
            shown = tab.read("image", id=item)["group"]
            moved = tab.write("move", items=[item], group=shown["id"] if shown else 0, name=name)
            assert "problem" not in moved, (item, moved)


def with_ids(data, args):
    """Arguments with ids in place of positions."""
    ids, args = data.values("id"), dict(args)
    if "items" in args:
        args["items"] = [ids[each] for each in args["items"]]
    if "parts" in args:
        args["parts"] = [[ids[each] for each in part] for part in args["parts"]]
    return args


def finished(tab, done):
    """The problem of some work, None where it has none."""
    until = time.monotonic() + 60
    while "work" in done:
        done = tab.read("work", id=done["work"])
        if done["state"] != "running":
            return None if done["state"] == "done" else done["text"]
        assert time.monotonic() < until
        done = {"work": done["id"]}
        time.sleep(0.05)
    return done.get("problem")


@pytest.mark.parametrize("method, args", [each for each in CASES if each.id in WITH_A_WRITER])
def test_another_process_writes_between(panel, made, start_python, tmp_path, method, args):
    data = made("aaaaaabbbbbbccc", persistent=True)
    tab, go = panel(data), tmp_path / "go"
    writer = start_python(WRITER, data.name, go)
    assert writer.stdout.readline() == "holds\n", writer.stderr.read()
    done = tab.write(method, **with_ids(data, args))
    assert "work" in done, done  # it is as it was shown, and waits for the lease
    go.touch()
    problem = finished(tab, done)
    assert writer.wait(60) == 0
    assert problem is not None and "out of date, and nothing was changed" in problem, problem
    expected = [1] * 6 + [2] * 6 + [3] * 3
    expected[0] = 2
    assert [label["group_id"] for label in state(data)] == expected
    assert [label["status"] for label in state(data)].count("confirmed") == 2
    assert len(tab.read("history")["rows"]) == 2


@pytest.mark.parametrize("method, args", CASES)
def test_what_was_changed_since_it_was_shown(panel, made, method, args):
    from ccip_plugin import move

    data = made("aaaaaabbbbbbccc", persistent=True)
    tab, ids = panel(data), data.values("id")
    tab.read("groups")
    move(data.select([ids[0], ids[11]]), 2)
    before = state(data)
    problem = tab.write(method, **with_ids(data, args))["problem"]
    assert problem["code"] == "stale" and "nothing was changed" in problem["message"]
    assert state(data) == before and len(tab.read("history")["rows"]) == 2


def test_what_is_as_it_was_shown_is_written(panel, made, start_python, tmp_path):
    """The other process writes other groups."""
    data = made("aaaaaabbbbbbccc", persistent=True)
    tab, go = panel(data), tmp_path / "go"
    writer = start_python(WRITER, data.name, go)
    assert writer.stdout.readline() == "holds\n", writer.stderr.read()
    done = tab.write("rename", group=3, name="Rei", sizes={"3": 3})
    assert "work" in done, done
    go.touch()
    assert finished(tab, done) is None and writer.wait(60) == 0
    assert [label["label"] for label in state(data)][-3:] == ["Rei"] * 3


@pytest.mark.parametrize("method, args", [("confirm", {"groups": [1]}), ("merge", {"groups": [1, 2]})])
def test_numbers_of_other_groups_are_refused(panel, made, method, args):
    tab = panel(made("aaabbbccc", persistent=True))
    assert tab.write(method, **args, sizes={"3": 3})["problem"]["code"] == "invalid"
