"""Measuring in the real App: models, groups, calibration, two groupings side by side; tables, plots and views.

``CCIP_SCREENSHOTS=folder`` keeps a screenshot of every screen.
"""

import os
import re

import pytest

from ccip_plugin.grouping import group_characters
from ccip_plugin.storage.fields import EMBEDDINGS_FIELD
from tests.support.groups import embed

pytestmark = [pytest.mark.mongo, pytest.mark.browser, pytest.mark.slow]

LETTERS = "".join(letter * 6 for letter in "abcdefgh")
NAMES = ("初音ミク", "鏡音リン", "巡音ルカ", "洛天依", "ハク <b>", "KAITO $x$", "ソロ 🎀", "月 夜")


@pytest.fixture
def gallery(dataset, images, tmp_path):
    """A persistent dataset of grouped images with names; one image has an embedding of somebody else."""
    data = dataset(*images(LETTERS, size=(160, 120)), name=f"measured-{os.getpid()}-{tmp_path.name}", persistent=True)
    embed(data, LETTERS)
    names = [NAMES["abcdefgh".index(letter)] for letter in LETTERS]
    data.set_values("who", names)
    vectors = data.values(EMBEDDINGS_FIELD)
    vectors[6] = vectors[0]
    data.set_values(EMBEDDINGS_FIELD, vectors)
    group_characters(data)
    return data


def test_evaluates_models(app, gallery):
    with app.shot_on_failure("evaluate-model"):
        app.open(gallery.name)
        app.operator("CCIP: evaluate models")
        app.says("Ground truth field")
        assert "ccip_error" not in app.prompt.inner_text()
        app.prompt.get_by_text("The images of the two characters that are confused most").click()
        app.shot("evaluate-model-form")
        app.prompt.get_by_role("button", name="Evaluate", exact=True).click()
        app.toast("success", re.compile("CCIP: ccip-caformer-24-randaug-pruned: F1 0.9"))
        app.dialog.get_by_role("row", name=re.compile("^published")).first.wait_for()
        plots = app.dialog.locator(".js-plotly-plot .main-svg")
        plots.first.wait_for()
        for number, name in enumerate(("scores", "differences", "ari", "confused", "precision-recall", "roc")):
            plot = app.dialog.locator(".js-plotly-plot").nth(number)
            plot.scroll_into_view_if_needed()
            plot.locator(".cartesianlayer path").first.wait_for(state="attached")
            app.shot(f"evaluate-model-{name}")
        assert "初音ミク / 鏡音リン" in app.dialog.inner_text()
        assert {"precision", "different characters"} <= set(app.dialog.locator(".legendtext").all_text_contents())
        app.dialog.get_by_text("Average precision").scroll_into_view_if_needed()
        app.shot("evaluate-model-details")
        app.close_dialog()
        app.count("12 samples")
        app.shot("evaluate-model-tiles")


def test_evaluates_groups(app, gallery):
    with app.shot_on_failure("evaluate-groups"):
        app.open(gallery.name)
        app.operator("CCIP: evaluate character groups")
        app.prompt.get_by_text("Images in a group of another character", exact=True).click()
        app.shot("evaluate-groups-form")
        app.prompt.get_by_role("button", name="Evaluate", exact=True).click()
        app.dialog.get_by_role("row", name=re.compile("Clicks to clean")).get_by_text("1: 1 move, 0 merges").wait_for()
        app.dialog.get_by_role("row", name=re.compile("鏡音リン")).first.wait_for()
        app.shot("evaluate-groups-summary")
        app.dialog.get_by_role("row", name=re.compile("ハク <b>")).first.scroll_into_view_if_needed()
        app.shot("evaluate-groups-characters")
        app.close_dialog()
        app.count("1 sample")
        app.shot("evaluate-groups-misplaced")

        app.operator("CCIP: show the last report")
        app.says("Evaluation of character_group")
        app.shot("last-report-form")
        app.execute("Show")
        app.dialog.get_by_text(re.compile("^char_0001: 1 of 7 do not show")).wait_for()
        app.dialog.get_by_text("Groups with images of another character").scroll_into_view_if_needed()
        picture = app.dialog.locator("img").first
        app._expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("each => each.naturalWidth") > 0
        app.shot("last-report-evaluation")
        picture.click()
        app.toast("success", "CCIP: the group is in the grid")
        app.close_dialog()
        app.count("7 samples")
        app.shot("last-report-clicked")


def test_calibrates(app, gallery):
    with app.shot_on_failure("calibrate"):
        app.open(gallery.name)
        app.operator("CCIP: calibrate")
        app.prompt.get_by_text("A ground truth field").click()
        app.says("Ground truth field")
        app.shot("calibrate-form")
        app.prompt.get_by_role("button", name="Calibrate", exact=True).click()
        app.dialog.get_by_role("row", name=re.compile("^Average linkage")).wait_for()
        app.dialog.get_by_text("48 images of 8 characters (who)").wait_for()
        app.shot("calibrate-summary")
        app.close_dialog()
    gallery.reload()
    assert "ccip_calibration_ccip_embedding" in gallery.list_runs()


def test_compares_groupings(app, gallery):
    with app.shot_on_failure("compare-runs"):
        app.open(gallery.name)
        app.operator("CCIP: compare groupings")
        app.choose("First", "who")
        app.choose("Second", "character_group")
        app.prompt.get_by_text("Moved to another group", exact=True).click()
        app.shot("compare-runs-form")
        app.prompt.get_by_role("button", name="Compare", exact=True).click()
        app.dialog.get_by_role("row", name=re.compile("Adjusted Rand index")).wait_for()
        app.dialog.get_by_role("row", name=re.compile("鏡音リン")).wait_for()
        app.shot("compare-runs-summary")
        app.close_dialog()
        app.count("1 sample")
