"""A curator looks through groups in the App: buttons with words, a chooser of groups, saved views, names on patches."""

import contextlib
import os
import re

import fiftyone as fo
import pytest
from fiftyone.core.utils import to_slug

from ccip_plugin import group_characters, propose_groups, rename_group
from tests.support.groups import embed

pytestmark = [pytest.mark.mongo, pytest.mark.browser, pytest.mark.slow]

LETTERS = "aaaabbbbccccAAAAe"  # a and A look much alike
NAME = "綾波 レイ"


@pytest.fixture
def gallery(dataset, images, tmp_path):
    """A persistent dataset of images with groups, on samples and on detections; one group has a name."""
    data = dataset(*images(LETTERS, size=(320, 240)), name=f"through-{os.getpid()}-{tmp_path.name}", persistent=True)
    for sample in data:
        boxes = ([0, 0, 0.5, 1], [0.5, 0, 0.5, 1])
        sample["people"] = fo.Detections(detections=[fo.Detection(label="person", bounding_box=box) for box in boxes])
        sample.save()
    embed(data, LETTERS)
    embed(data, "".join(letter * 2 for letter in LETTERS), "people")
    group_characters(data)
    group_characters(data, patches_field="people")
    rename_group(data, data.first().character_group.label, NAME)
    return data


SET_VIEW = "(name) => window.__foo__.executeOperator('@voxel51/operators/set_view', {name})"


def open_view(app, dataset, name):
    """Opens a saved view by its address, else as the App's own list does it.

    FiftyOne's server looks addresses up in the dataset as it was when the page was opened first: where two threads have
    loaded the dataset at once, there are two of it, and the one of the page never hears of views saved later.
    """
    shown = app.page.get_by_text(name, exact=True).filter(visible=True).first
    app.page.goto(f"{app.url}/datasets/{dataset}?view={to_slug(name)}")
    for _ in range(6):
        with contextlib.suppress(app._timeout_error):
            shown.wait_for(timeout=20_000)
            return
        app.page.goto(f"{app.url}/datasets/{dataset}")
        app.page.get_by_text("Confirm", exact=True).first.wait_for()  # operators are there
        app.page.evaluate(SET_VIEW, name)
    seen = app.page.locator("body").inner_text()[:2000]
    raise AssertionError(f"{name!r} does not open: {app.page.url} shows {seen!r}")


def test_a_curator_looks_through_groups(app, gallery):
    with app.shot_on_failure("looking-through"):
        app.open(gallery.name)
        for text in ("Group", "Confirm", "Move"):
            app.page.get_by_text(text, exact=True).first.wait_for()
        app.shot("buttons")

        app.operator("CCIP: confirm")
        app.field("Character group").locator("input").click()
        app.page.get_by_role("option").first.wait_for()
        app.shot("chooser-all")
        app.fill("Character group", "レイ")
        app.page.get_by_role("option", name=re.compile(NAME)).click()
        app.says(re.compile(f"^Images of the group whose labels change: 4 in '{NAME}'"))
        app.shot("confirm-a-group")
        app.execute("Confirm")
        app.dialog.get_by_role("row", name=re.compile("^Labels changed")).wait_for()
        app.close_dialog()
        gallery.reload()
        assert gallery.count_values("character_group.status")["confirmed"] == 4

        for path in ("character_group", "people.detections.character_group"):
            app.operator("CCIP: save views")
            app.field("Group field").get_by_role("radio", name=path, exact=True).check()
            app.shot(f"save-views-{len(path)}")
            app.execute("Save")
            app.dialog.get_by_role("row", name=re.compile("^Saved views")).wait_for()
            app.close_dialog()
        gallery.reload()
        assert len(gallery.list_saved_views()) == 12
        for number, name in enumerate(gallery.list_saved_views()):
            open_view(app, gallery.name, name)
            if len(gallery.load_saved_view(name)):  # nothing was rescued
                app.cy("looker").first.wait_for()
            app.shot(f"view-{number:02d}")

        app.operator("CCIP: show names on detections")
        app.shot("show-names-form")
        app.execute("Show")
        app.dialog.get_by_role("row", name=re.compile("^Result")).wait_for()
        app.close_dialog()
        app.page.wait_for_timeout(1500)
        app.shot("show-names")
        assert set(gallery.distinct("people.detections.label")) == {"person"}


def test_likely_pairs_have_pictures_that_open_their_group(app, gallery):
    with app.shot_on_failure("pairs"):
        app.open(gallery.name)
        app.operator("CCIP: group by character")
        app.execute()
        app.dialog.get_by_text("Likely the same character? A click shows the group").wait_for()
        picture = app.dialog.locator("img").last
        app._expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("each => each.naturalWidth") > 0
        picture.scroll_into_view_if_needed()
        app.shot("pairs")
        picture.click()
        app.toast("success", "CCIP: the group is in the grid")
        app.close_dialog()
        app.count("4 samples")
        app.shot("pairs-clicked")


def test_a_row_of_a_proposal_is_taken(app, gallery):
    propose_groups(gallery, eps=0.5)
    with app.shot_on_failure("rows"):
        app.open(gallery.name)
        app.operator("CCIP: apply the proposal")
        app.says(re.compile("^merge "))
        app.shot("rows-form")
        app.prompt.get_by_role("checkbox").first.check()
        app.says("Rows to be written: 1. The others stay proposed.")
        app.execute("Apply")
        app.dialog.get_by_role("row", name=re.compile("^Labels changed")).wait_for()
        app.shot("rows-result")
        app.close_dialog()

        app.operator("CCIP: show the last report")
        app.prompt.get_by_text(re.compile("^Proposal of character_group")).click()
        app.execute("Show")
        app.dialog.get_by_text(re.compile("^this report is older than the labels")).wait_for()
        app.shot("last-report-proposal")
        picture = app.dialog.locator("img").first
        picture.scroll_into_view_if_needed()
        app.shot("last-report-proposal-pictures")
        picture.click()
        app.toast("success", "CCIP: the group is in the grid")
        app.close_dialog()
        app.shot("last-report-proposal-clicked")


def test_images_are_added_in_the_app(app, gallery, images, tmp_path):
    with app.shot_on_failure("adding"):
        app.open(gallery.name)
        app.operator("CCIP: add images and group them")
        app.shot("add-form")
        app.fill("Folder with images", "/etc")
        app.says(re.compile("^The App adds images from these folders only"))
        app.shot("add-refused")
