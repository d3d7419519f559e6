"""What the tests run beside themselves: their own MongoDB, the App server, and Chromium."""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from local_services import (
    AppServer,
    Mongo,
    ServiceError,
    find_chromium,
    free_port,
    isolated_environment,
    why_no_browser,
)

__all__ = [
    "AppServer",
    "Mongo",
    "TestDatabase",
    "browser_page",
    "browser_pages",
    "free_port",
    "is_required",
    "why_no_browser",
]

INHERITED = dict(os.environ)  # as the caller set it; the isolated environment below has no CCIP_ variables
NOBODY_LISTENS = "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=1000"
CHROMIUM_FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NOT_THIS_MACHINE = re.compile(r"^https?://(?!127\.0\.0\.1)")
NO_SALES_POPOVER = "localStorage.setItem('fiftyone-enterprise-tooltip-seen', 'true')"


def is_required(what: str) -> bool:
    """Whether ``CCIP_REQUIRE`` names it: then its absence is a failure and not a skip."""
    return what in re.split(r"[,\s]+", INHERITED.get("CCIP_REQUIRE", ""))


class TestDatabase:
    """The database of this test run: a server of our own, or where none can run a throw-away database on the user's.

    Building it moves this process into an isolated environment, in which FiftyOne finds no server at all until
    :meth:`start` was called. Nothing here imports FiftyOne.
    """

    __test__ = False

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ccip-tests-"))
        self.name = f"ccip_{self.folder.name.removeprefix('ccip-tests-')}"
        self.problem: str | None = None
        self._users_uri = INHERITED.get("FIFTYONE_DATABASE_URI")
        self._mongo = Mongo(self.folder / "mongo")
        self._is_started = self._is_borrowed = False
        env = isolated_environment(INHERITED, self.folder, uri=NOBODY_LISTENS, database=self.name)
        os.environ.clear()
        os.environ.update(env)

    def start(self) -> bool:
        """Starts the server on the first call; False when there is none, and then ``problem`` says why."""
        if self._is_started or self.problem:
            return self._is_started
        try:
            uri = self._mongo.start().uri
        except ServiceError as error:
            if not self._users_uri:
                self.problem = f"no MongoDB for the tests: {error}"
                return False
            uri, self._is_borrowed = self._users_uri, True
        os.environ["FIFTYONE_DATABASE_URI"] = uri
        self._is_started = True
        return True

    def close(self) -> None:
        """Ends the server (or drops our database on the user's) and removes every file of this run."""
        if self._is_borrowed:
            import pymongo

            with pymongo.MongoClient(self._users_uri) as client:
                client.drop_database(self.name)
        self._mongo.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def browser_page(*, width: int = 1500, height: int = 950, timeout: float = 60.0) -> Iterator:
    """A page of a fresh headless Chromium that reaches this machine and nothing else.

    Args:
        width: of the window, in pixels
        height: of the window, in pixels
        timeout: seconds that one step (a click, a wait) may take

    Returns:
        a context manager giving a Playwright ``Page``
    """
    from playwright.sync_api import sync_playwright

    with contextlib.ExitStack() as stack:
        profile = stack.enter_context(tempfile.TemporaryDirectory(prefix="ccip-chromium-", ignore_cleanup_errors=True))
        context = stack.enter_context(sync_playwright()).chromium.launch_persistent_context(
            profile,
            executable_path=str(find_chromium()),
            args=CHROMIUM_FLAGS,
            viewport={"width": width, "height": height},
        )
        stack.callback(context.close)
        context.route(NOT_THIS_MACHINE, lambda route: route.abort())
        context.add_init_script(NO_SALES_POPOVER)
        context.set_default_timeout(timeout * 1000)
        yield context.pages[0]


@contextlib.contextmanager
def browser_pages(n: int, *, width: int = 1300, height: int = 900, timeout: float = 60.0) -> Iterator[list]:
    """Pages of people who know nothing of each other, in one headless Chromium that reaches this machine alone.

    Args:
        n: how many
        width: of each window, in pixels
        height: of each window, in pixels
        timeout: seconds that one step may take

    Returns:
        a context manager giving Playwright pages
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(find_chromium()), args=CHROMIUM_FLAGS)
        pages = []
        for _ in range(n):
            context = browser.new_context(viewport={"width": width, "height": height})
            context.route(NOT_THIS_MACHINE, lambda route: route.abort())
            context.add_init_script(NO_SALES_POPOVER)
            context.set_default_timeout(timeout * 1000)
            pages.append(context.new_page())
        try:
            yield pages
        finally:
            browser.close()
