"""How long the review panel takes, by the clock of the page: from a key or click to the frame that shows it."""

import time
from typing import Any

from tests.support.app.review_panel import NAME, Review

MB = 1_000_000
SETTLE_MS = 700
CARDS = "[...document.querySelectorAll('[data-cy=review-card]')].map((each) => each.dataset.id).join()"
FOUND = f"{CARDS} + '/' + document.querySelector('[data-cy=review-range]')?.dataset.n"
PICTURES = f"""
    [...document.querySelectorAll('[data-cy=review-card] .cr-thumb')].slice(0, 16)
        .every((each) => each.querySelector('img')?.complete) && {CARDS}
"""
WATCH = """
(event) => {
    const read = () => %s;
    const before = read();
    window.ccipWatch = new Promise((resolve, reject) => {
        let began = 0;
        setTimeout(() => reject(new Error(`nothing followed: ${before}`)), 30000);
        document.addEventListener(event, (each) => { began = each.timeStamp; }, {capture: true, once: true});
        const look = () => {
            const now = began && read();
            if (now && now !== before) setTimeout(() => resolve(performance.now() - began)); // after this frame
            else requestAnimationFrame(look);
        };
        look();
    });
}
"""
PRESSED = """
() => {
    window.ccipDelays = [];
    document.addEventListener("keydown", (event) => {
        if (event.isTrusted) window.ccipDelays.push(performance.now() - event.timeStamp);
    }, true);
}
"""
BURST = """
async ([n, afterMs, keys]) => {
    const shown = () => document.querySelector("[data-cy=review-question]");
    const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    for (let each = 0; each < n; each += 1) {
        const until = performance.now() + 20000;
        const isComing = () => shown()?.dataset.painted !== "true" && performance.now() < until;
        while (isComing()) await new Promise(requestAnimationFrame);
        await wait(afterMs);
        const key = keys[shown().dataset.kind];
        document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
    }
    return Number(document.querySelector("[data-cy=review-unsaved]").dataset.n);
}
"""
READY = """
(id) => {
    const shown = document.querySelector("[data-cy=review-question]");
    const isReady = document.querySelector("[data-cy=review-keys]")?.dataset.waiting === "false";
    return isReady && shown.dataset.painted === "true" && shown.dataset.id !== id && shown.dataset.id;
}
"""
PAUSE_MS = 250  # somebody who is fast
KEYS = {"same": "y", "halves": "y", "whole": "y", "out": "Enter", "in": "Enter", "who": "1"}
"""Answers to each kind of question; nearly all are right, so that there is more to ask."""


class Times:
    """Measures a panel.

    Args:
        review: the panel, which need not be open yet
    """

    def __init__(self, review: Review):
        self._review, self._page = review, review.page

    def opening(self) -> tuple[float, float]:
        """Opens the panel: milliseconds from the click to the cards, and to the pictures of the first rows."""
        self._review.app.cy("new-panel-btn").last.click()
        option = self._review.app.cy(f"new-panel-option-{NAME}")
        option.wait_for()
        self._watch(CARDS, "click")
        option.click()
        began = time.perf_counter()
        cards = self._watched()
        self._page.wait_for_function(f"() => {PICTURES}")
        return cards, max(cards, 1000 * (time.perf_counter() - began))

    def paging(self, n: int, pause_ms: int = 0) -> list[float]:
        """Turns pages, each looked at for a while: milliseconds from each key to the cards."""
        found = []
        for _ in range(n):
            self._page.wait_for_timeout(pause_ms)
            found.append(self._key("PageDown", CARDS))
        return found

    def typing(self, texts: tuple[str, ...]) -> list[float]:
        """Types texts, each into an empty field: milliseconds from each key to the list that it leaves."""
        found = []
        for text in texts:
            self._review.cy("review-find").fill("")
            self._page.wait_for_timeout(SETTLE_MS)
            self._review.cy("review-find").focus()
            found += [self._key(letter, FOUND) for letter in text]
        self._review.cy("review-find").fill("")
        self._review.press("Escape")
        return found

    def answering(self, n: int, pause_ms: int = PAUSE_MS) -> list[float]:
        """Answers questions by key: milliseconds from each key to the next question with its pictures."""
        self._page.evaluate(PRESSED)
        n_before, shown = len(self._clocked("next")), None
        for _ in range(n):
            shown = self._page.wait_for_function(READY, arg=shown).json_value()
            self._page.wait_for_timeout(pause_ms)
            kind = self._review.cy("review-question").get_attribute("data-kind")
            self._review.press(KEYS[kind])
        self._page.wait_for_function(READY, arg=shown)
        delays, times = self._page.evaluate("window.ccipDelays"), self._clocked("next")[n_before:]
        assert len(delays) == len(times) == n, (len(delays), len(times))
        return [delay + each for delay, each in zip(delays, times, strict=True)]

    def burst(self, n: int, after_ms: int = 30) -> int:
        """Presses keys, each this long after its question was painted; how many answers wait to be kept then."""
        return self._page.evaluate(BURST, [n, after_ms, KEYS])

    def calls(self, method: str) -> list[float]:
        """How long the server took for each call of a method so far, in milliseconds."""
        return self._clocked(method)

    def heap(self) -> float:
        """What the scripts of the page hold, in MB, after what is unused was thrown away."""
        session = self._page.context.new_cdp_session(self._page)
        session.send("HeapProfiler.enable")
        session.send("HeapProfiler.collectGarbage")
        used = session.send("Runtime.getHeapUsage")["usedSize"]
        session.detach()
        return used / MB

    def _clocked(self, what: str) -> list[float]:
        return self._page.evaluate(
            f"window.ccipReviewTimes.filter((each) => each.what === '{what}').map((each) => each.ms)"
        )

    def _key(self, key: str, what: str) -> float:
        self._watch(what, "keydown")
        self._review.press(key)
        return self._watched()

    def _watch(self, what: str, event: str) -> None:
        self._page.evaluate(WATCH % what, event)

    def _watched(self) -> Any:
        return self._page.evaluate("window.ccipWatch")
