"""The overview that is kept with a dataset: its cards are those of the board, or it is not used."""

import contextlib
import itertools
import json
import random
import threading

import fiftyone as fo
import pytest
from fiftyone.operators.store import ExecutionStore

import ccip_plugin as ccip
from ccip_plugin.core.errors import CCIPError
from ccip_plugin.embeddings.cache import VECTORS
from ccip_plugin.labels.overview.stored import STORE, load_overview, marks_of, save_overview
from ccip_plugin.operators.review.calls import progress
from ccip_plugin.operators.review.methods import call_method
from ccip_plugin.review.board import BOARDS, ReviewBoard
from ccip_plugin.review.cards import SHOWS, SORTS, groups_page
from ccip_plugin.review.overview.keeping import KEEPER, board_of
from ccip_plugin.review.overview.preview import PREVIEWS, n_labels, table_now
from ccip_plugin.review.sources import Source, store_of
from ccip_plugin.storage.internals import database, dataset_id, sample_documents, store_values, stores_of
from tests.support.groups import embed

pytestmark = pytest.mark.mongo

UNKNOWN = dict.fromkeys(("purity", "left", "several", "disputes"))
"""What only the board knows of the progress."""

IMAGES = Source("character_group")
LETTERS = "aaaaaaaaaaAAAAbbbbbbbBBcccccddddDDDeeefffggghhhhiijjjkk"


@pytest.fixture(autouse=True)
def new_process():
    """As in a process that has just started."""
    forget()
    yield
    forget()


def forget():
    for cache in (BOARDS, PREVIEWS, VECTORS):
        cache.clear()


@pytest.fixture
def detections(dataset):
    """A dataset with two detections in each image, grouped by character."""
    data = dataset(*(f"/絵/{n}.png" for n in range(len(LETTERS) // 2)))
    for sample in data.iter_samples(autosave=True):
        boxes = ([0, 0, 0.5, 1], [0.5, 0, 0.5, 1])
        sample["faces"] = fo.Detections(detections=[fo.Detection(label="face", bounding_box=box) for box in boxes])
    embed(data, LETTERS[: len(LETTERS) // 2 * 2], "faces")
    ccip.group_characters(data, patches_field="faces", same_image="ignore")
    return data


def shown(shelf):
    """Everything that the panel shows of the groups before one is opened."""
    pages = {}
    for sort, show in itertools.product(SORTS, SHOWS):
        for page in range(3):
            query = {"sort": sort, "show": show, "find": "", "page": page, "per_page": 5}
            pages[sort, show, page] = groups_page(shelf, table_now(shelf), **query)
    pages["found"] = groups_page(shelf, table_now(shelf), sort="name", show="all", find="1", page=0, per_page=9)
    told = {**progress(shelf), **UNKNOWN}
    return pages, told, shelf.threshold, n_labels(shelf)


def kept(data, source=IMAGES):
    """What is shown from the overview; None where it is not used."""
    PREVIEWS.clear()
    preview = PREVIEWS.get(data, source)
    return None if preview is None else shown(preview)


def of_board(data, source=IMAGES):
    """What is shown from a board that is read anew."""
    return shown(ReviewBoard(store_of(data, source), source))


def chunks(data, path="character_group"):
    return store_values(data, STORE, f"{path}/chunk/")


def test_after_a_run_the_cards_are_there(made):
    data = made(LETTERS)
    assert kept(data) == of_board(data)
    assert kept(data)[0]["size", "all", 0]["n"] > 9


def test_after_a_run_on_detections(detections):
    faces = Source("character_group", "faces")
    assert kept(detections, faces) == of_board(detections, faces)
    (card, *_) = kept(detections, faces)[0]["size", "all", 0]["cards"]
    assert card["pictures"][0]["box"][2:] == [0.5, 1.0]


def edits(data, rng, path):
    """A random correction, as people make them in the panel, in Python and in the history."""
    ids = data.values("id" if path["patches_field"] is None else "faces.detections.id", unwind=True)
    board = board_of(data, Source("character_group", path["patches_field"]))
    groups = [int(each) for each in rng.sample(board.board.ids.tolist(), 3)]
    target = board.target

    def some(n):
        from ccip_plugin.storage.targets import items_view

        return items_view(target, rng.sample(ids, n))

    return [
        lambda: ccip.merge_groups(data, groups[:2], **path),
        lambda: ccip.keep_apart(data, groups[:2], **path),
        lambda: ccip.confirm(some(4), **path),
        lambda: ccip.confirm(data, groups=groups[:1], **path),
        lambda: ccip.move(some(3), groups[0], **path),
        lambda: ccip.move(some(2), f"Name {rng.random()}", **path),
        lambda: ccip.reject(some(2), **path),
        lambda: ccip.ignore(some(1), **path),
        lambda: ccip.rename_group(data, groups[0], f"名 {rng.random()}", **path),
        lambda: ccip.set_cover(some(1), **path),
        lambda: ccip.split_group(data, groups[0], k=2, **path),
        lambda: ccip.undo(data, **path),
    ]


@pytest.mark.parametrize("patches_field", [None, "faces"], ids=["images", "detections"])
@pytest.mark.parametrize("seed", range(3))
def test_after_random_edits_the_cards_are_those_of_a_board_that_is_read_anew(made, request, seed, patches_field):
    data = made(LETTERS) if patches_field is None else request.getfixturevalue("detections")
    path = {"group_field": "character_group", "patches_field": patches_field}
    source, rng = Source("character_group", patches_field), random.Random(seed)
    n_done = 0
    for _ in range(25):
        board = board_of(data, source)
        with contextlib.suppress(CCIPError):  # such as "all of them are in no group"
            rng.choice(edits(data, rng, path))()
            n_done += 1
        if board_of(data, source).version == board.version and rng.random() < 0.5:
            continue  # several edits are kept together
        KEEPER.keep_now(board)
        assert kept(data, source) == of_board(data, source)
    assert n_done > 12


def test_an_answer_writes_the_groups_concerned_only(made):
    data = made("".join(letter * 3 for letter in "abcdefghijklmnopqrstuvwxyz" * 2))
    before = chunks(data)
    groups = board_of(data, IMAGES).board.ids.tolist()
    assert len(before) > 1 and len(groups) == 26
    ccip.confirm(data, groups=groups[:1])
    n_bytes = KEEPER.keep_now(board_of(data, IMAGES))
    after = chunks(data)
    assert len(before.keys() - after.keys()) == len(after.keys() - before.keys()) == 1 and 0 < n_bytes < 5_000
    assert kept(data) == of_board(data)


def by_hand(data):
    sample = data.first()
    sample["character_group"].label = "Asuka"
    sample.save()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(by_hand, id="a label is edited by hand"),
        pytest.param(lambda data: ccip.rename_group(data, 1, "綾波"), id="a correction in Python"),
        pytest.param(lambda data: ccip.keep_apart(data, [1, 2]), id="a correction without labels"),
        pytest.param(lambda data: ccip.undo(data), id="undo"),
        pytest.param(lambda data: data.delete_samples(data.first().id), id="an image is deleted"),
        pytest.param(lambda data: data.add_sample(fo.Sample(filepath="/new.png")), id="an image is added"),
        pytest.param(lambda data: embed(data, LETTERS[::-1]), id="other embeddings"),
    ],
)
def test_what_others_change_makes_it_not_match(made, change):
    data = made(LETTERS)
    assert kept(data) is not None
    change(data)
    data.reload()
    assert kept(data) is None
    board = board_of(data, IMAGES) if "character_group" in data.get_field_schema() else None
    if board is not None and not board.has_names_of_labels:
        KEEPER.keep_now(board)
        assert kept(data) == of_board(data)


def test_names_that_only_labels_have_are_not_kept(made):
    data = made(LETTERS)
    by_hand(data)
    board = board_of(data, IMAGES)
    assert board.has_names_of_labels and KEEPER.keep_now(board) == 0 and kept(data) is None
    ccip.confirm(data[3:4])
    KEEPER.keep_now(board_of(data, IMAGES))
    assert kept(data) == of_board(data)


class BrokenError(Exception):
    """The process ends here."""


@pytest.mark.parametrize("n", range(5))
def test_a_crash_while_it_is_written_never_gives_wrong_cards(made, monkeypatch, n):
    data = made("".join(letter * 3 for letter in "abcdefghijklmnopqrstuvwxyz" * 2))
    ccip.confirm(data, groups=[1, 26])
    board = board_of(data, IMAGES)
    for name in ("set", "delete"):
        monkeypatch.setattr(ExecutionStore, name, counted(getattr(ExecutionStore, name), itertools.count(), n))
    with contextlib.suppress(BrokenError):
        KEEPER.keep_now(board)
    monkeypatch.undo()
    is_written = kept(data) is not None
    assert kept(data) in (None, of_board(data)) and is_written == (n >= 3), "two chunks, then the head"
    KEEPER.watch(board)
    ccip.rename_group(data, 1, "綾波")
    KEEPER.keep_now(board_of(data, IMAGES))
    assert kept(data) == of_board(data) and len(chunks(data)) == 2


def counted(function, numbers, last):
    """A function that works so many times, and then never again."""

    def call(self, *args, **kwargs):
        if self.store_name == STORE and next(numbers) >= last:
            raise BrokenError
        return function(self, *args, **kwargs)

    return call


@pytest.mark.parametrize("n", range(6))
def test_two_processes_that_write_at_once(made, monkeypatch, n):
    """The other one writes all of a newer state after the n-th step of the first."""
    data = made("".join(letter * 3 for letter in "abcdefghijklmnopqrstuvwxyz" * 2))
    ccip.confirm(data[:9])
    first = board_of(data, IMAGES)
    old = overview_of(data)
    steps, own = itertools.count(), ExecutionStore.set

    def step(self, *args, **kwargs):
        if self.store_name == STORE and next(steps) == n:
            monkeypatch.undo()
            ccip.confirm(data[9:30])
            other = ReviewBoard(store_of(data, IMAGES), IMAGES)
            KEEPER.keep_now(other)
        return own(self, *args, **kwargs)

    monkeypatch.setattr(ExecutionStore, "set", step)
    save_overview(first.store, old)
    monkeypatch.undo()
    assert kept(data) in (None, of_board(data))
    BOARDS.clear()
    KEEPER.keep_now(board_of(data, IMAGES))
    assert kept(data) == of_board(data)


def overview_of(data):
    board = ReviewBoard(store_of(data, IMAGES), IMAGES)
    KEEPER.keep_now(board)
    overview = load_overview(board.store)
    database().execution_store.delete_many({"dataset_id": dataset_id(data), "store_name": STORE})
    return overview


def test_many_at_once_end_with_one_that_is_whole(made):
    data = made(LETTERS)
    boards = [ReviewBoard(store_of(data, IMAGES), IMAGES) for _ in range(4)]
    for n in range(3):
        ccip.confirm(data[n * 9 : n * 9 + 9])
        for board in boards:
            board.refresh()
        threads = [threading.Thread(target=KEEPER.keep_now, args=[board]) for board in boards]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert kept(data) in (None, of_board(data))
    assert kept(data) == of_board(data)


@pytest.mark.parametrize("what", ["cut", "other bytes", "missing", "another format"])
def test_what_is_damaged_is_not_used(made, what):
    data = made(LETTERS)
    stored, query = database().execution_store, {"dataset_id": dataset_id(data), "store_name": STORE}
    chunk = stored.find_one({**query, "key": {"$regex": "chunk"}})
    value = {"cut": chunk["value"][:-1], "other bytes": "A" * len(chunk["value"])}.get(what)
    if what == "missing":
        stored.delete_one({"_id": chunk["_id"]})
    elif value is None:
        stored.update_one({**query, "key": "character_group/head"}, {"$set": {"value.format": 99}})
    else:
        stored.update_one({"_id": chunk["_id"]}, {"$set": {"value": value}})
    assert kept(data) is None
    KEEPER.keep_now(board_of(data, IMAGES))
    assert (kept(data) is None) == (value is not None), "a name says what is in a chunk: it is not written again"


def test_the_app_can_make_json_of_what_is_kept(made):
    data = made(LETTERS)
    board_of(data, IMAGES)
    kept_here = list(database().execution_store.find({"dataset_id": dataset_id(data)}))
    assert STORE in {each["store_name"] for each in kept_here}
    for each in kept_here:
        assert json.loads(json.dumps(each["value"])) == each["value"], each["store_name"]


def test_the_first_cards_need_no_embeddings(made):
    data = made(LETTERS)
    board_of(data, IMAGES)
    full = {method: call_method(data, method) for method in ("open", "groups")}
    sample_documents(data).update_many({}, {"$set": {"ccip_embedding": "broken"}})  # past FiftyOne: nothing tells of it
    for method, expected in full.items():
        forget()
        found = call_method(data, method)
        assert {**found, "progress": 0} == {**expected, "progress": 0}
        assert {**expected["progress"], **UNKNOWN} == found["progress"]
        wait_for_the_board()
        assert "not arrays" in call_method(data, method)["problem"]["message"], "it is told why there is no board"


def wait_for_the_board():
    for thread in threading.enumerate():
        if thread.name == "ccip-review-board":
            thread.join()


def test_the_board_is_read_meanwhile(made):
    data = made(LETTERS)
    first = call_method(data, "groups")
    wait_for_the_board()
    assert BOARDS.peek(data, IMAGES) is not None
    assert call_method(data, "groups")["cards"] == first["cards"]


def test_it_goes_with_the_grouping_and_the_dataset(made, dataset):
    data = made(LETTERS)
    clone = data.clone(persistent=False)
    assert chunks(data) and not chunks(clone) and kept(clone) is None
    KEEPER.keep_now(board_of(clone, IMAGES))
    assert kept(clone) == of_board(clone)
    clone.delete()
    ccip.delete_grouping(data)
    assert not store_values(data, STORE, "")
    ccip.group_characters(data)
    assert chunks(data)
    ccip.remove_ccip(data)
    assert stores_of(data, "ccip_") == ()


def test_a_run_does_not_fail_for_it(made, monkeypatch, caplog):
    monkeypatch.setattr(ExecutionStore, "set", counted(ExecutionStore.set, itertools.count(), 0))
    data = made(LETTERS)
    assert data.count("character_group.label") == len(LETTERS)
    assert "the overview of 'character_group' cannot be kept" in caplog.text
    monkeypatch.undo()
    assert kept(data) is None


def test_marks_are_of_before(made):
    data = made(LETTERS)
    store = store_of(data, IMAGES)
    assert load_overview(store).marks == marks_of(store)
