"""Drives the review panel in the App, by key as people do."""

import contextlib
from collections.abc import Iterator
from typing import Any

from tests.support.app.app_driver import App

NAME = "review_characters"
THEME = ".cr"
KEYS = {"same": "n", "halves": "y", "whole": "y", "out": "Enter", "in": "Enter", "who": "s"}
"""An answer to each kind of question."""


class Review:
    """The review panel.

    Args:
        app: the App, open on a dataset
    """

    def __init__(self, app: App):
        self.app, self.page, self._expect = app, app.page, app._expect

    def open(self) -> None:
        """Opens the panel, unless it is there, and waits until it says what there is or asks."""
        tab = self.app.cy(f"panel-tab-{NAME}")
        if tab.count():
            tab.click()  # pages that are open at one server have the same panels
        else:
            self.app.open_panel(NAME)
        self.cy("review").wait_for()
        parts = ", ".join(f"[data-cy=review-{name}]" for name in ("progress", "problem", "choose"))
        self.page.locator(parts).first.wait_for()

    def close(self) -> None:
        """Closes the panel."""
        self.app.close_panel(NAME)

    def unsigned(self) -> None:
        """Keeps the name of the person to itself, when the panel asks for it."""
        if self.cy("review-by").count():
            self.cy("review-by").get_by_role("button").last.click()

    def cy(self, name: str, **data: object) -> Any:
        """A part of the panel by its name for tests and its data."""
        of = "".join(f'[data-{key}="{value}"]' for key, value in data.items())
        return self.page.locator(f'[data-cy="{name}"]{of}')

    def tab(self, name: str) -> None:
        """Chooses a tab."""
        self.cy(f"review-tab-{name}").click()

    def press(self, *keys: str) -> None:
        """Presses keys."""
        for key in keys:
            self.page.keyboard.press(key)

    def cards(self, n: int) -> None:
        """Waits until there are this many cards."""
        self._expect(self.cy("review-card")).to_have_count(n)

    def names(self) -> list[str]:
        """The names on the cards, in their order."""
        return self.cy("review-card").locator("b").all_inner_texts()

    def question(self, *, other_than: str | None = None) -> tuple[str, str]:
        """Waits for a question whose pictures are on the screen; gives its id and kind."""
        shown = self.cy("review-question", painted="true")
        if other_than is not None:
            self._expect(self.cy("review-question", id=other_than)).to_have_count(0)
        shown.wait_for()
        return shown.get_attribute("data-id"), shown.get_attribute("data-kind")

    def answer(self) -> tuple[str, str]:
        """Answers the question on the screen by key; gives its id and kind."""
        question, kind = self.question()
        self.press(KEYS[kind])
        self._expect(self.cy("review-question", id=question)).to_have_count(0)
        return question, kind

    def all_kept(self) -> None:
        """Waits until everything that was answered is on disk."""
        self.cy("review-unsaved", n=0).wait_for()

    @contextlib.contextmanager
    def pages_held(self) -> Iterator[None]:
        """The server's pages of groups are kept from the panel meanwhile."""
        held: list[Any] = []

        def hold(route: Any) -> None:
            is_page = (route.request.post_data_json.get("params") or {}).get("method") == "groups"
            held.append(route) if is_page else route.continue_()

        self.page.route("**/operators/execute", hold)
        yield
        for route in held:
            route.continue_()
        self.page.unroute("**/operators/execute", hold)

    def problem(self, code: str) -> str:
        """Waits for a sentence about what is wrong; gives it."""
        self.cy("review-problem", code=code).wait_for()
        return self.cy("review-problem", code=code).locator("span").first.inner_text()

    @contextlib.contextmanager
    def slow_server(self) -> Iterator[None]:
        """Holds back everything that the panel says, until the end."""
        held: list[Any] = []
        is_held = True

        def handle(route: Any) -> None:
            if is_held:
                held.append(route)
            else:
                route.continue_()

        self.page.route("**/operators/execute", handle)
        try:
            yield
        finally:
            is_held = False
            for route in held:
                route.continue_()

    def background(self) -> str:
        """The colour behind the panel."""
        return self.page.locator(THEME).evaluate("each => getComputedStyle(each).backgroundColor")

    def switch_theme(self) -> None:
        """From dark to light or back, by the App's own button."""
        self.page.locator('[title*="mode" i], [aria-label*="mode" i]').first.click()
