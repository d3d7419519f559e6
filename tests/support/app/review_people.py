"""People who answer in the review panel as fast as it lets them, and whether the database holds what they said."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from ccip_plugin.core.identity.groups import Draft
from ccip_plugin.labels.identities import load_registry
from ccip_plugin.labels.journal import EntryState, Journal
from ccip_plugin.labels.store import LabelStore
from ccip_plugin.review.records import AnswerRecord, Records
from ccip_plugin.storage.fields import GROUP_FIELD as FIELD
from ccip_plugin.storage.targets import resolve
from tests.support.app.app_driver import App
from tests.support.app.review_panel import Review

ANSWERING = """
([n, pauseMs, seed]) => {
    const characters = (part) => [...part.querySelectorAll("img")].map((each) => each.alt.match(/ (\\d+)\\.png$/)?.[1]);
    const of = (part) => {
        const all = characters(part);
        const n = (one) => all.filter((each) => each === one).length;
        return [...all].sort((one, other) => n(other) - n(one))[0];
    };
    const parts = (name) => [...shown().querySelectorAll(`[data-cy=review-${name}]`)];
    const answerTo = (kind) => { // what somebody says who knows the characters, and now and then cannot tell
        if (random() < 0.1) return kind === "who" ? ["s"] : ["m"];
        const tiles = parts("tile");
        if (kind === "who") {
            const place = tiles.findIndex((tile) => of(tile) === characters(shown().querySelector(".cr-with"))[0]);
            return [place < 0 ? "0" : TILES[place]];
        }
        const [first, second] = parts("side").map(of);
        if (second !== undefined) return [first === second ? "y" : "n"];
        const isMarked = (tile) => (of(tile) === first) === (kind === "in");
        return [...tiles.flatMap((tile, place) => (isMarked(tile) ? [TILES[place]] : [])), "Enter"];
    };
    const TILES = "1234567890-=";
    const SAID = { y: "same", n: "different", m: "unsure", s: "later", Enter: "done", 0: "none" };
    const shown = () => document.querySelector("[data-cy=review-question]");
    const isReady = () => shown()?.dataset.painted === "true"
        && document.querySelector("[data-cy=review-keys]").dataset.waiting === "false";
    const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    let state = seed;
    const random = () => (state = (state * 48271) % 2147483647) / 2147483647;
    const given = (window.ccipGiven = []);
    const waits = (window.ccipWaits = []);
    window.ccipIsDone = false;
    const answer = async () => {
        const { id, kind } = shown().dataset;
        const keys = answerTo(kind);
        for (const key of keys) {
            if (shown()?.dataset.id !== id) return;
            document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
            await wait(10);
        }
        const last = keys[keys.length - 1];
        if (shown()?.dataset.id !== id) given.push({ kind, said: SAID[last] ?? "pick", n: keys.length - 1 });
    };
    const all = async () => {
        let began = performance.now();
        while (given.length < n && performance.now() - began < 20000 && !window.ccipStop) {
            if (isReady()) {
                if (given.length) waits.push(performance.now() - began);
                await wait(pauseMs);
                if (isReady()) await answer();
                began = performance.now();
            } else await wait(5);
        }
        window.ccipIsDone = true;
    };
    void all();
}
"""


class Person:
    """Somebody with the panel in a browser.

    Args:
        page: the page
        url: where the App is
        name: the name for the history
        shots: the folder for screenshots
    """

    def __init__(self, page: Any, url: str, name: str, shots: Any):
        page.add_init_script(f"localStorage.setItem('ccip-review-by', '{name}')")
        page.on("dialog", lambda dialog: dialog.accept())  # "leave the page?"
        self.name, self.page = name, page
        self.review = Review(App(page, url, shots))

    def open(self, dataset: str) -> None:
        """Opens the panel at its questions."""
        self.review.app.open(dataset)
        self.review.open()
        self.review.tab("questions")
        self.review.question()

    def answer(self, n: int, *, pause_ms: int, seed: int) -> None:
        """Begins to answer."""
        self.page.evaluate(ANSWERING, [n, pause_ms, seed])

    def wait(self) -> None:
        """Waits until the answers are given."""
        self.page.wait_for_function("window.ccipIsDone", timeout=240_000)

    @property
    def n_given(self) -> int:
        """How many were given."""
        return self.page.evaluate("window.ccipGiven.length")

    @property
    def given(self) -> list[tuple[str, str, int]]:
        """What was given: kind, what was said, number of marks."""
        return [(each["kind"], each["said"], each["n"]) for each in self.page.evaluate("window.ccipGiven")]

    @property
    def waits(self) -> list[float]:
        """Milliseconds from each answer until the next one could be given."""
        return self.page.evaluate("window.ccipWaits")

    def n_pending(self, dataset: str) -> int:
        """How many are on their way, also while the App shows that its server is gone."""
        return self.page.evaluate(
            "(name) => JSON.parse(sessionStorage.getItem(`ccip-review-pending-${name}`)).answers.length", dataset
        )


@dataclass(frozen=True)
class Kept:
    """What the database holds.

    Attributes:
        records: the answers, oldest first
        undescribed: the numbers of changes that answers made and that no answer names
    """

    records: list[AnswerRecord]
    undescribed: list[int]

    def of(self, name: str) -> list[AnswerRecord]:
        """The answers of somebody."""
        return [each for each in self.records if each.by == name]


def labels_of(data: Any) -> dict[str, Any]:
    """The stored labels by the id of the image."""
    store = LabelStore(resolve(data), FIELD)
    ids, sample_ids, _ = store.read()
    return {item: raw or None for item, raw in store.read_raw(ids, sample_ids).items()}


def check(data: Any, first: dict[str, Any]) -> Kept:
    """Checks that labels, history and answers agree.

    Args:
        data: the dataset
        first: the labels at the beginning, after the first change
    """
    journal, records = Journal(data, FIELD), Records(data, FIELD)
    records.refresh()
    counted = records.counted(records.heads())
    by_change = {each.change: each for each in counted if each.change}
    assert len(by_change) == sum(each.change is not None for each in counted), "a change has two answers"
    store, labels, undescribed = LabelStore(resolve(data), FIELD), dict(first), []
    for entry in journal.entries()[1:]:
        assert entry.state is EntryState.DONE and entry.problem is None, entry
        changed = {}
        for chunk in journal.chunks(entry):
            for item, _, old, new in chunk:
                assert labels[item] == (old or None), (entry.number, item, "it began with what the last change left")
                changed[item] = labels[item] = new or None
        if entry.action == "answer" and entry.number not in by_change:
            undescribed.append(entry.number)
        elif entry.action == "answer":
            record = by_change.pop(entry.number)
            assert (record.change_at, record.by) == (entry.at, entry.by)
            _check_effect(record, {item: store.from_raw(raw) for item, raw in labels.items()}, set(changed))
    assert not by_change, "answers name changes that there are not"
    assert labels_of(data) == labels, "the labels are what the changes left"
    draft = Draft(load_registry(data, FIELD))
    for each in counted:
        if (each.kind, each.said) == ("same", "different"):
            assert draft.root(each.groups[0]) == draft.root(each.groups[1]) or draft.are_apart(*each.groups), each
    return Kept(counted, undescribed)


def _check_effect(record: AnswerRecord, labels: dict[str, Any], changed: set[str]) -> None:
    """Checks that an answer did what was said, to what it was about and to nothing else."""
    parts = [[labels[item] for item in part] for part in record.items]
    groups = [{label.group_id for label in part} for part in parts]
    said, kind = record.said, record.kind
    assert changed <= {item for part in record.items for item in part}, (record, "only what was shown changes")
    if kind in ("same", "halves"):
        assert len(set.union(*groups)) == (1 if said == "same" else 2), record
    elif kind == "whole":
        assert {label.status for part in parts for label in part} == {"confirmed"}, record
    elif kind == "out":
        for place, label in enumerate(parts[0]):
            wanted = (None, "auto") if place in record.marked else (record.groups[0], "confirmed")
            assert (label.group_id, label.status) == wanted, (record, place)
    elif kind == "in":
        for place, found in enumerate(groups):
            assert (found == {record.groups[0]}) == (place in record.marked), (record, place)
    elif said == "pick":
        assert groups == [{record.groups[record.marked[0]]}], record
    else:
        assert [label.status for label in parts[0]] == ["ignored"], record


def said_by(records: list[AnswerRecord]) -> Counter:
    """What was said: kind, what, number of marks (a pick has its own)."""
    return Counter((each.kind, each.said, 0 if each.said == "pick" else len(each.marked)) for each in records)
