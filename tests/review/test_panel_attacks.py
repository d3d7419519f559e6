"""The review panel with its server killed, and with two people and a run at once: no answer is lost or misapplied."""

import contextlib
import itertools
import json
import os
import random
import signal
import statistics
import urllib.request
from collections import Counter

import fiftyone as fo
import pytest

from ccip_plugin.core.review.answers import SAID
from ccip_plugin.core.review.kinds import KINDS
from ccip_plugin.labels.identities import load_registry
from ccip_plugin.storage.fields import GROUP_FIELD as FIELD
from tests.support import services
from tests.support.app.review_data import large_dataset
from tests.support.app.review_people import Person, check, labels_of, said_by

pytestmark = [pytest.mark.mongo, pytest.mark.browser, pytest.mark.slow]

N_IMAGES, N_GROUPS = 1_600, 400
N_ANSWERS, PAUSE_MS, WAIT_MS, SLIPS = 100, 120, 2_000, 0.15
SEED, N_BURST = 7, 6
BUSY = 3  # times as long as on a quiet machine
RUNS = """
import sys, time
import fiftyone as fo
from ccip_plugin import group_characters
from ccip_plugin.labels.identities import StaleGroupsError
n_done = n_refused = 0
while n_done < 2:
    try:
        group_characters(fo.load_dataset(sys.argv[1]), method="linkage")
        n_done += 1
    except StaleGroupsError:  # "run it again"
        n_refused += 1
    time.sleep(2)
print(n_done, "runs,", n_refused, "refused")
"""


@pytest.fixture
def data(mongo, tmp_path):
    data = large_dataset(N_IMAGES, N_GROUPS, tmp_path / "images", is_doubtful=True)
    yield data
    fo.delete_dataset(data.name)


@pytest.fixture
def people(tmp_path):
    """``people(url, "one", "other")`` gives people in browsers of their own."""
    if problem := services.why_no_browser():
        if services.is_required("browser"):
            pytest.fail(problem)
        pytest.skip(problem)
    with contextlib.ExitStack() as stack:

        def make(url, *names):
            pages = stack.enter_context(services.browser_pages(len(names)))
            return [Person(page, url, name, tmp_path / "shots") for page, name in zip(pages, names, strict=True)]

        yield make


def test_two_people_and_a_run_at_once(data, people, app_server, start_python):
    first = labels_of(data)
    both = people(app_server.url, "Rei", "Asuka")
    for person in both:
        person.open(data.name)
    run = start_python(RUNS, data.name)
    for number, person in enumerate(both):
        person.answer(N_ANSWERS, pause_ms=PAUSE_MS, seed=SEED + number)
    for person in both:
        person.wait()
    for person in both:
        person.review.all_kept()
    out, said = run.communicate(timeout=240)
    assert run.returncode == 0, said
    print(out.splitlines()[-1])
    data.reload()
    kept, n_given = check(data, first), 0
    for person in both:
        n_aside = person.review.cy("review-aside").count()
        given, records = Counter(person.given), said_by(kept.of(person.name))
        print(person.name, dict(records), "put aside:", (given - records).total())
        n_given += given.total()
        assert records <= given, "nothing that was not said"
        assert (given - records).total() == n_aside or n_aside == 5, "what was not done was put aside"
    assert n_given > N_ANSWERS and not kept.undescribed
    waits = sorted(both[0].waits + both[1].waits)
    p95 = waits[int(0.95 * len(waits))]
    print(
        f"{n_given} answers; waits: median {statistics.median(waits):.0f} ms, p95 {p95:.0f} ms, most {waits[-1]:.0f} ms"
    )
    assert p95 <= BUSY * WAIT_MS


@pytest.fixture
def server(mongo, tmp_path):
    """An App of our own, to be killed."""
    with services.AppServer(tmp_path / "server", port=services.free_port()) as server:
        yield server


def kill(server):
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    server.process = None


def test_the_server_is_killed_among_answers(data, people, server):
    first = labels_of(data)
    (person,) = people(server.url, "Rei")
    person.open(data.name)
    person.answer(4 * N_BURST, pause_ms=0, seed=SEED)
    person.page.wait_for_function(f"window.ccipGiven.length >= {N_BURST}")
    kill(server)
    person.page.evaluate("window.ccipStop = true")
    given, n_pending = person.given, person.n_pending(data.name)
    assert n_pending
    server.start()
    person.page.reload()
    person.review.app.cy("looker").first.wait_for()
    person.page.wait_for_timeout(2_000)  # the panel may be open, or not
    person.review.open()
    said = person.review.cy("review-notice").inner_text()
    assert str(n_pending) in said, said
    person.review.app.shot("killed")
    person.review.all_kept()
    n_aside = person.review.cy("review-aside").count()
    person.review.question()
    data.reload()
    kept = check(data, first)
    lost = Counter(given) - said_by(kept.records)
    print(f"{len(given)} given, {n_pending} on their way, {len(kept.records)} kept, {n_aside} put aside", lost)
    assert said_by(kept.records) <= Counter(given), "no answer counts twice"
    assert lost.total() <= n_pending
    assert len(kept.undescribed) <= 1, "at most the one that was being written"


# -- undo


class Tab:
    """A tab of the panel, without its browser."""

    def __init__(self, server, data):
        self.server, self.data, self.token = server, data, None

    def call(self, method, **args):
        params = {"method": method, "args": {"tab": "one", "by": "Rei", **args}, "token": self.token}
        body = {"operator_uri": "@ccip/characters/review", "dataset_name": self.data.name, "params": params}
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.server.url}/operators/execute", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=120) as response:
            answer = json.load(response)
        assert not answer.get("error") and "problem" not in answer["result"], answer
        return answer["result"]

    def open(self):
        self.token = self.call("open")["token"]

    def answers(self, n, rng):
        """Answers questions of all kinds in turn; gives kinds, what was said, and numbers of changes."""
        given, characters = [], {each.id: each.filepath.split(" ")[-1] for each in self.data.select_fields()}
        kinds = itertools.cycle(KINDS)
        for _ in range(4 * n):
            if len(given) == n:
                break
            asked = self.call("questions", n=1, kinds=[next(kinds)])["questions"]
            for question in asked:
                said, marked = _answer(question, characters, rng)
                shown = {"question": question["id"], "kind": question["kind"], "shown": question["shown"]}
                number = self.call("answer", **shown, said=said, marked=marked, n=0)["number"]
                given.append((question["kind"], said, number))
        return given


def _answer(question, characters, rng):
    """What somebody says who knows the characters, mostly."""

    def of(pictures):
        return max(found := [characters[each["id"]] for each in pictures], key=found.count)

    kind, tiles = question["kind"], question["tiles"]
    if rng.random() < SLIPS:
        return rng.choice([each for each in SAID[kind] if each not in ("later", "pick")]), []
    if kind == "who":
        same = [tile["id"] for tile in tiles if of(tile["pictures"]) == of([question["image"]])]
        return ("pick", same[:1]) if same else ("new", [])
    sides = [of(side["pictures"]) for side in question["sides"]]
    if len(sides) == 2:
        return ("same" if sides[0] == sides[1] else "different"), []
    return "done", [tile["id"] for tile in tiles if (of(tile["pictures"]) == sides[0]) == (kind == "in")]


def everything(data):
    """Labels, groups and rejections, as they are stored."""
    data.reload()
    registry = load_registry(data, FIELD)
    return labels_of(data), registry.groups, {key: set(ids) for key, ids in registry.rejections.items() if ids}


@pytest.mark.parametrize("is_burst", [False, True], ids=["one by one", "by the rows of the history"])
def test_a_hundred_answers_are_undone(is_burst, data, server):
    rng, before, tab = random.Random(SEED), everything(data), Tab(server, data)
    tab.open()
    given = tab.answers(N_ANSWERS, rng)
    print(Counter(each[:2] for each in given))
    assert len(given) == N_ANSWERS and len({kind for kind, _, _ in given}) >= 4
    assert everything(data) != before
    numbers = [number for _, _, number in given[::-1]]
    for place, number in enumerate(numbers):
        if place == N_ANSWERS // 2:
            kill(server)
            server.start()
            tab.open()
        if not is_burst:
            assert tab.call("undo")["number"] == number, place
    if is_burst:
        for row in tab.call("history", n=200)["rows"]:
            for each in row["unfolds"] or [row]:
                if each["number"] in numbers:
                    tab.call("undo", number=each["number"])
    after = everything(data)
    assert after[0] == before[0]
    assert after == before
