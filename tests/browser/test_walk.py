"""A curator's walk in the App, with the clicks and keys that each correction takes, as the page itself counts them."""

import contextlib
import os
import re

import pytest

from ccip_plugin import group_characters
from ccip_plugin.labels.identities import load_registry
from tests.support.groups import embed

pytestmark = [pytest.mark.mongo, pytest.mark.browser, pytest.mark.slow]

LETTERS = "aaaaAAAAbbbbccccdddd"  # a and A look much alike
MOST = 4
NAME = "綾波 レイ"
UNDO = "CCIP: undo the last change of character groups"
COUNTER = """
    window.acts = [];
    window.isCounting = false;
    const note = (what) => window.isCounting && window.acts.push(what);
    const alone = ["Control", "Shift", "Alt", "Meta"];
    document.addEventListener("pointerdown", (event) => note("click"), true);
    document.addEventListener("keydown", (event) => alone.includes(event.key) || note(event.key), true);
"""


@pytest.fixture
def gallery(dataset, images, tmp_path):
    """A persistent dataset of grouped images."""
    data = dataset(*images(LETTERS, size=(320, 240)), name=f"walk-{os.getpid()}-{tmp_path.name}", persistent=True)
    embed(data, LETTERS)
    group_characters(data)
    return data


class Walk:
    """The App, with a count of what the user does besides choosing images and writing names."""

    def __init__(self, app):
        self.app, self.page = app, app.page
        self.counts = {}

    @contextlib.contextmanager
    def step(self, name, *tiles):
        """One correction: the images are chosen first; ends in the grid, without a selection."""
        for number in tiles:
            self.app.tick_tile(number)
        self.page.evaluate("window.acts = []; window.isCounting = true")
        yield
        self.page.evaluate("window.isCounting = false")
        acts = self.page.evaluate("window.acts")
        self.counts[name] = len(acts)
        assert len(acts) <= MOST, f"{name}: {acts}"
        assert not self.page.locator("[data-cy=looker] input:checked").count(), "the selection is cleared"
        self.app.page.wait_for_timeout(500)
        self.app.shot(f"walk-{len(self.counts):02d}-{name.replace(' ', '-')}")

    def operator(self, label):
        """Opens a form from the list of operators, by a key and a click: nothing is typed to find it."""
        self.page.keyboard.press("`")
        self.app.cy("operators-browser").get_by_text(label, exact=True).click()
        self.app.prompt.wait_for()

    def write(self, text):
        """Writes a name into what has the focus."""
        inside = "[data-cy=operators-prompt-modal] input"
        self.page.wait_for_function(f"document.activeElement.matches('{inside}')")
        self.page.evaluate("window.isCounting = false")
        self.page.keyboard.type(text, delay=20)
        self.page.evaluate("window.isCounting = true")

    def execute(self, said, row="Labels changed"):
        """Submits the form by its keys once it says what it will do, and closes the result."""
        self.app.says(re.compile(said))
        self.app.shot(f"walk-{len(self.counts) + 1:02d}-form")
        self.submit(row)

    def submit(self, row):
        self.page.wait_for_function(
            """() => [...document.querySelectorAll("[data-cy=operators-prompt-modal] button")]
                .some((each) => /primary|contained/i.test(each.className) && !each.disabled)"""
        )
        self.page.keyboard.press("Control+Enter")
        self.app.dialog.get_by_role("row", name=re.compile(f"^{row}")).wait_for()
        self.app.shot(f"walk-{len(self.counts) + 1:02d}-result")
        self.page.keyboard.press("Escape")
        self.app.dialog.wait_for(state="detached")
        self.app.prompt.wait_for(state="detached")


def labels(data):
    data.reload()
    return data.values("character_group.label"), data.values("character_group.status")


def test_each_correction_takes_at_most_four_clicks_or_keys(app, gallery):
    app.page.add_init_script(COUNTER)
    walk = Walk(app)
    with app.shot_on_failure("walk"):
        app.open(gallery.name)
        before, _ = labels(gallery)
        with walk.step("rename", 0):
            walk.operator("CCIP: rename a group")
            walk.write(NAME)
            walk.execute(f"^Labels that get the name '{NAME}': 4")
        assert labels(gallery)[0][:5] == [NAME] * 4 + before[4:5]

        with walk.step("merge", 0, 4):
            walk.operator("CCIP: merge groups")
            walk.execute("^Images of these groups whose labels change: 4")
        assert labels(gallery)[0][:9] == [NAME] * 8 + before[8:9]

        with walk.step("split", 12, 13):
            walk.operator("CCIP: split a group")
            walk.execute("^Images of the group whose labels change: 2")
        split = labels(gallery)[0][12:16]
        assert split[0] == split[1] != split[2] == split[3]

        with walk.step("move three", 1, 2, 3):
            app.page.get_by_text("Move", exact=True).first.click()
            app.field("Character group (a new name makes a new group)").locator("input").click()
            walk.write("アスカ")
            walk.execute(r"^Selected images whose labels change: 3 in 'アスカ'")
        assert labels(gallery)[0][:4] == [NAME] + ["アスカ"] * 3

        with walk.step("confirm a group", 8):
            app.page.get_by_text("Confirm", exact=True).first.click()
            app.prompt.get_by_text("All images of a group", exact=True).click()
            walk.execute("^Images of the group whose labels change: 4")
        assert labels(gallery)[1][8:12] == ["confirmed"] * 4

        with walk.step("ignore two", 18, 19):
            walk.operator("CCIP: ignore")
            walk.execute("^Selected images whose labels change: 2")
        decided = labels(gallery)
        assert decided[1][18:] == ["ignored"] * 2

        with walk.step("a wrong rejection", 0, 5):
            walk.operator("CCIP: not this character")
            walk.execute("^To be removed from their group: ", "Removed from their group")
        with walk.step("a wrong confirmation", 16):
            app.page.get_by_text("Confirm", exact=True).first.click()
            walk.execute("^Selected images whose labels change: 1")
        for number in (1, 2):
            with walk.step(f"undo {number}"):
                walk.operator(UNDO)
                walk.execute("^Undo '(confirm|not this character)'", "Labels written")
        assert labels(gallery) == decided

        with walk.step("group again"):
            app.page.get_by_text("Group", exact=True).first.click()
            app.prompt.wait_for()
            walk.submit("Character groups")
        app.reload()
        app.first_tag("character_group", NAME)
        app.shot("walk-end")
    print(walk.counts)
    names, statuses = labels(gallery)
    assert (names[:8], names[12:16]) == ([NAME] + ["アスカ"] * 3 + [NAME] * 4, split)
    assert (statuses[1:4], statuses[8:12], statuses[18:]) == (["confirmed"] * 3, ["confirmed"] * 4, ["ignored"] * 2)
    assert {NAME, "アスカ"} <= {group.name for group in load_registry(gallery, "character_group").groups.values()}
