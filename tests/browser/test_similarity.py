"""Finding and comparing in the real App: ticked tiles, an uploaded file, patches.

``CCIP_SCREENSHOTS=folder`` keeps a screenshot of every screen.
"""

import os
import re

import fiftyone as fo
import pytest

from ccip_plugin.embeddings import compute_embeddings
from ccip_plugin.grouping import group_characters
from tests.support import services, tiny_models

pytestmark = [pytest.mark.mongo, pytest.mark.browser, pytest.mark.slow]

FIND, COMPARE = "CCIP: find similar", "CCIP: compare images"
REJECT = "CCIP: not this character"
LETTERS = "abcd" * 5


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with the default model, a tiny one."""
    return tiny_models.write_model_dir(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def app_server(mongo, models, tmp_path_factory):
    """An App whose CCIP_MODEL_DIR is the folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CCIP_MODEL_DIR", str(models))
        with services.AppServer(tmp_path_factory.mktemp("app")) as server:
            yield server
            # FiftyOne complains there of datasets that are gone while it still looks at them
            assert "ccip_plugin" not in server.log.read_text(encoding="utf-8")


@pytest.fixture
def gallery(dataset, images, models, tmp_path):
    """A persistent dataset of embedded images with two embedded detections each."""
    data = dataset(*images(LETTERS, size=(320, 240)), name=f"alike-{os.getpid()}-{tmp_path.name}", persistent=True)
    for sample in data:
        both = ([0, 0, 0.5, 1], [0.5, 0, 0.5, 1])
        sample["faces"] = fo.Detections(detections=[fo.Detection(label="face", bounding_box=box) for box in both])
        sample.save()
    for patches_field in (None, "faces"):
        compute_embeddings(data, patches_field=patches_field, model_dir=models)
    return data


def test_finds_and_compares(app, gallery, images, tmp_path):
    (query,) = images("b", folder=tmp_path / "アップロード")
    with app.shot_on_failure("similar"):
        app.open(gallery.name)
        finds_what_is_alike_to_a_ticked_tile(app)
        compares_ticked_tiles(app)
        finds_what_is_alike_to_a_file(app, query)
    gallery.reload()
    assert "ccip_difference" in gallery.get_field_schema()


def finds_what_is_alike_to_a_ticked_tile(app):
    app.tick_tile(2)
    app.operator(FIND)
    app.says("Selected samples (1)")
    app.says("20 images, all embedded with ccip-caformer-24-randaug-pruned.")
    app.shot("find-form")
    app.prompt.get_by_text(re.compile("^Only the same character")).click()
    app.execute("Find")
    app.dialog.get_by_role("row", name=re.compile("same character")).first.wait_for()
    app.toast("success", re.compile("CCIP: 5 of 20 images, 5 within the threshold"))
    app.shot("find-summary")
    app.close_dialog()
    app.count("5 samples")
    app.shot("find-tiles")


def compares_ticked_tiles(app):
    app.cy("btn-clear-view-bar").click()
    app.count("20 samples")
    for number in range(6):
        app.tick_tile(number)
    app.operator(COMPARE)
    app.says("6 images, all embedded with ccip-caformer-24-randaug-pruned.")
    app.execute("Compare")
    app.dialog.locator(".js-plotly-plot .heatmaplayer").first.wait_for()
    app.dialog.locator(".js-plotly-plot image").first.wait_for()
    assert "2 of 15" in app.dialog.get_by_role("row", name=re.compile("^Pairs of the same")).inner_text()
    app.shot("compare-summary")
    app.close_dialog()


def finds_what_is_alike_to_a_file(app, query):
    app.operator(FIND)
    app.tick("Search by", re.compile("^An image file"))
    app.upload(query)
    app.prompt.get_by_text(re.compile("^Write the differences")).click()
    app.says(query.name)
    app.field("Field").wait_for()
    app.shot("find-form-file")
    app.execute("Find")
    app.dialog.get_by_role("row", name=re.compile("Differences written to")).wait_for()
    app.close_dialog()
    app.count("20 samples")
    app.shot("find-tiles-file")


def test_finds_patches(app, gallery):
    with app.shot_on_failure("similar-patches"):
        gallery.save_view("faces", gallery.to_patches("faces"))
        app.page.goto(f"{app.url}/datasets/{gallery.name}?view=faces")
        app.cy("looker").first.wait_for()
        app.tick_tile(3)
        app.operator(FIND)
        app.says("Selected patches or labels (1)")
        app.says("40 detections, all embedded with ccip-caformer-24-randaug-pruned.")
        app.fill("Show at most", "7")
        app.execute("Find")
        app.dialog.get_by_role("row", name=re.compile("same character")).first.wait_for()
        app.close_dialog()
        app.count("7 patches")
        app.shot("find-patches")


def test_takes_ticked_tiles_out_of_their_group(app, gallery):
    group_characters(gallery)
    first, label = gallery.first(), "綾波 レイ 💙"
    first.character_group.label = label
    first.save()
    with app.shot_on_failure("reject"):
        app.open(gallery.name)
        app.operator(REJECT)
        app.says(re.compile("^Select the samples"))
        app.shot("reject-form-nothing")
        app.page.keyboard.press("Escape")
        app.prompt.wait_for(state="detached")
        app.tick_tile(0)
        app.operator(REJECT)
        app.says(f"To be removed from their group: 1 of '{label}'. No run assigns them there again.")
        app.shot("reject-form")
        app.execute("Reject")
        app.dialog.get_by_role("row", name=re.compile("^Removed from their group")).wait_for()
        app.toast("success", f"CCIP: rejected: 1 of '{label}'")
        app.shot("reject-summary")
        app.close_dialog()
    gallery.reload()
    assert gallery.first().character_group.label == "unassigned"
