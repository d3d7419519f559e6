"""Drives the FiftyOne App in a browser: forms of operators, progress, tiles, the sidebar, the editor of a sample."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support import services

PATIENCE_MS = 60_000
KEY_MS, ATTEMPTS = 10_000, 6
OF_THE_APP = {"entry is loading"}  # its grid says so when it is laid out anew while tiles are on their way
MESSAGES = """
    window.messages = [];
    new MutationObserver((changes) => {
        for (const node of changes.flatMap((change) => [...change.addedNodes])) {
            for (const message of node.querySelectorAll?.(".notistack-MuiContent") ?? []) {
                window.messages.push([message.className, message.textContent]);
            }
        }
    }).observe(document, {childList: true, subtree: true});
"""  # what was said in the corner: a message can be gone before anyone looks


class App:
    """The App in a page.

    Args:
        page: a Playwright page
        url: where the App is
        shots: the folder for screenshots
    """

    def __init__(self, page: Any, url: str, shots: Path):
        from playwright.sync_api import TimeoutError, expect

        self._timeout_error, self._expect = TimeoutError, expect
        self.page, self.url = page, url
        self.problems: list[str] = []
        self._shots = Path(services.INHERITED.get("CCIP_SCREENSHOTS") or shots)
        self._shots.mkdir(parents=True, exist_ok=True)
        page.on("pageerror", self._note)
        page.add_init_script(MESSAGES)

    def _note(self, error: Any) -> None:
        if str(error) not in OF_THE_APP:
            self.problems.append(str(error))

    def cy(self, name: str) -> Any:
        """What the App itself marks with a name for tests."""
        return self.page.locator(f'[data-cy="{name}"]')

    def shot(self, name: str) -> Path:
        """Takes a screenshot, into the folder of ``CCIP_SCREENSHOTS`` when that is set."""
        path = self._shots / f"{name}.png"
        self.page.screenshot(path=str(path))
        return path

    @contextlib.contextmanager
    def shot_on_failure(self, name: str) -> Iterator[None]:
        """Takes a screenshot of what there is to see when a test fails."""
        try:
            yield
        except BaseException:
            self.shot(f"failed-{name}")
            raise

    def open(self, dataset: str) -> None:
        """Opens a dataset and waits for its tiles."""
        self.page.goto(f"{self.url}/datasets/{dataset}")
        self.cy("looker").first.wait_for()

    def reload(self) -> None:
        """Loads the page again and waits for its tiles; what it has filtered goes."""
        self.page.reload()
        self.cy("looker").first.wait_for()

    # -- operators

    def operator(self, label: str) -> None:
        """Opens the form of an operator by its label."""
        search = self.cy("operators-browser-search")
        for _ in range(ATTEMPTS):  # a key that comes while the page is busy is lost
            self.page.keyboard.press("`")
            with contextlib.suppress(self._timeout_error):
                search.wait_for(timeout=KEY_MS)
                break
        search.fill(label)
        self.cy("operators-browser").get_by_text(label, exact=True).click()
        self.prompt.wait_for()

    @property
    def prompt(self) -> Any:
        """The form of an operator."""
        return self.cy("operators-prompt-modal")

    @property
    def dialog(self) -> Any:
        """What an operator shows: its progress, its summary, its error."""
        return self.cy("operators-prompt-view-modal")

    def field(self, label: str) -> Any:
        """The part of the form with a label; inputs carry no name of their own."""
        here = self.page.get_by_text(label, exact=True)
        return self.prompt.locator(".MuiGrid-item", has=here).last

    def fill(self, label: str, text: str) -> None:
        """Types into a text field."""
        self.field(label).locator("input").fill(text)

    def choose(self, label: str, option: str | re.Pattern[str]) -> None:
        """Chooses from a drop-down list."""
        self.field(label).get_by_role("combobox").click()
        self.page.get_by_role("option", name=option).click()

    def tick(self, label: str, option: str) -> None:
        """Chooses a radio button."""
        self.field(label).get_by_role("radio", name=option).check()

    def chosen(self, label: str, number: int) -> None:
        """Waits until a radio button is the chosen one."""
        radio = self.field(label).get_by_role("radio").nth(number)
        self._expect(radio).to_be_checked(timeout=PATIENCE_MS)

    @property
    def execute_button(self) -> Any:
        """The button that submits the form."""
        return self.prompt.get_by_role("button", name="Execute", exact=True)

    def says(self, text: str | re.Pattern[str]) -> None:
        """Waits until the form says something."""
        self.prompt.get_by_text(text).first.wait_for()

    def refuses(self) -> None:
        """Waits until the form cannot be submitted."""
        self._expect(self.execute_button).to_be_disabled(timeout=PATIENCE_MS)

    def execute(self, button: str = "Execute") -> None:
        """Submits the form; the button waits for the validation."""
        submit = self.prompt.get_by_role("button", name=button, exact=True)
        for _ in range(ATTEMPTS):  # a click that comes while the form is drawn anew is lost
            self._expect(submit).to_be_enabled(timeout=PATIENCE_MS)
            with contextlib.suppress(self._timeout_error), self.page.expect_request(_is_execution, timeout=KEY_MS):
                submit.click()
                return
            if not submit.is_visible():
                return  # it was slow, not lost

    def close_dialog(self) -> None:
        """Closes what an operator shows."""
        self.dialog.get_by_role("button", name="Done").click()
        self.dialog.wait_for(state="detached")
        self.prompt.wait_for(state="detached")  # the form goes when the App knows that it has nothing more to show

    def cancel(self) -> None:
        """Closes a form."""
        self.page.keyboard.press("Escape")
        self.prompt.wait_for(state="detached")

    def schedule(self) -> None:
        """Submits the form for a worker instead."""
        self.prompt.get_by_role("group", name="split button").get_by_role("button").last.click()
        self.page.get_by_role("menuitem").filter(has_text="Schedule").click()
        self.prompt.get_by_role("button", name="Schedule", exact=True).click()

    def toast(self, variant: str, text: str | re.Pattern[str]) -> None:
        """Waits for a message in the corner that was not asked for before, be it still there or gone again."""
        pattern = re.escape(text) if isinstance(text, str) else text.pattern
        self.page.wait_for_function(
            """([kind, pattern]) => {
                const said = ([classes, text]) => classes.includes(kind) && new RegExp(pattern).test(text);
                const place = window.messages.findIndex(said);
                return place >= 0 && window.messages.splice(place, 1);
            }""",
            arg=[f"notistack-MuiContent-{variant}", pattern],
        )

    # -- panels

    def open_panel(self, name: str) -> Any:
        """Opens a panel beside the tiles; gives its content."""
        self.cy("new-panel-btn").last.click()
        self.cy(f"new-panel-option-{name}").click()
        panel = self.cy(f"panel-content-{name}")
        panel.wait_for()
        return panel

    def close_panel(self, name: str) -> None:
        """Closes a panel."""
        self.cy(f"panel-tab-{name.lower()}").get_by_title("Close").click()
        self.cy(f"panel-content-{name}").wait_for(state="detached")

    def lasso(self, canvas: Any) -> None:
        """Draws around everything in a plot."""
        box = canvas.bounding_box()
        left, top = box["x"] + 4, box["y"] + 4
        right, bottom = box["x"] + box["width"] - 4, box["y"] + box["height"] - 4
        mouse = self.page.mouse
        mouse.move(left, top)
        mouse.down()
        for x, y in ((right, top), (right, bottom), (left, bottom), (left, top)):
            mouse.move(x, y, steps=5)
        mouse.up()

    # -- tiles

    def tick_tile(self, number: int) -> None:
        """Ticks the box of a tile, which only shows when the mouse is there."""
        tile = self.cy("looker").nth(number)
        tile.hover()
        tile.click(position={"x": 14, "y": 14})
        self._expect(tile.locator("input[type=checkbox]")).to_be_checked(timeout=PATIENCE_MS)

    def upload(self, path: Path) -> None:
        """Chooses a file in the form."""
        self.prompt.locator('input[type="file"]').set_input_files(str(path))

    # -- what the dataset looks like

    def button(self, uri: str) -> Any:
        """The button of an operator over the tiles."""
        return self.page.locator(f'[data-item-id="{uri}"]')

    def tags(self, field: str, n: int | None = None) -> list[str]:
        """Waits for ``n`` labels of a field on the tiles, by default for one on each tile there is, and gives them."""
        found = self.page.wait_for_function(
            """([tags, n]) => {
                const all = (name) => [...document.querySelectorAll(`[data-cy='${name}']`)];
                const wanted = n ?? all("looker").length; // tiles come and go while the grid is laid out
                const texts = all(tags).map((tag) => tag.innerText);
                return wanted > 0 && texts.length === wanted && texts;
            }""",
            arg=[f"tag-{field}", n],
        )
        return found.json_value()

    def first_tag(self, field: str, text: str) -> None:
        """Waits until the first label of a field on the tiles is this one."""
        self._expect(self.cy(f"tag-{field}").first).to_have_text(text, timeout=PATIENCE_MS)

    def filter(self, path: str, value: str) -> None:
        """Filters by a value of an attribute in the sidebar."""
        field = path.partition(".")[0]
        search = self.cy(f"selector-sidebar-search-{path}")
        if not search.count():
            self.cy(f"sidebar-field-arrow-enabled-{field}").click()
        search.click()
        search.fill(value)
        self.cy(f"selector-results-container-sidebar-search-{path}").get_by_text(value, exact=True).wait_for()
        self.page.keyboard.press("Enter")

    def count(self, text: str) -> None:
        """Waits until the App says how many samples it shows, such as "3 samples"."""
        self.cy("entry-counts").get_by_text(text, exact=True).first.wait_for()

    def stage(self, start: str) -> None:
        """Waits until the view has a stage with a parameter that starts like this."""
        self.cy("view-stage-container").locator(f'input[value^="{start}"]').wait_for()

    def rename(self, old: str, new: str) -> None:
        """Opens the first sample and gives its label another name, in the App's own editor."""
        self.cy("looker").first.click()
        modal = self.cy("modal")
        modal.get_by_text("Annotate", exact=True).click()
        modal.get_by_text(old, exact=True).last.click()
        label = self.cy("root_label_container").locator("input")
        label.fill(new)
        with self.page.expect_response(lambda response: response.request.method == "PATCH") as patched:
            label.press("Enter")
        assert patched.value.ok
        self.shot("editor")
        self.page.goto(self.page.url.partition("?")[0])  # the sample that is open is in the query
        self.cy("looker").first.wait_for()


def _is_execution(request: Any) -> bool:
    """Whether a request is that of an operator to be run, at once or by a worker."""
    return request.method == "POST" and "/operators/execute" in request.url
