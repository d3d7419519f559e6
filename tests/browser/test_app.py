"""The plugin in the real App, in a browser: what people see and click.

``CCIP_SCREENSHOTS=folder`` keeps a screenshot of every screen.
"""

import os
import re
import time
from collections import Counter

import fiftyone as fo
import numpy as np
import pytest
from fiftyone.operators.delegated import DelegatedOperationService
from PIL import Image, ImageDraw

from ccip_plugin.embeddings.load import count_missing, load_embeddings
from tests.support import services, tiny_models
from tests.support.app.app_driver import App

pytestmark = [pytest.mark.mongo, pytest.mark.browser, pytest.mark.slow]

COMPUTE, GROUP = "CCIP: compute embeddings", "CCIP: group by character"
UNDO, REDO = "CCIP: undo the last change of character groups", "CCIP: redo the change of character groups"
EPS = "Largest difference (eps)"
COLORS = ("crimson", "royalblue", "gold", "seagreen")
WORKER = "from fiftyone.core.cli import main; main()"
PATIENCE = 120.0


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with the default model, a tiny one."""
    return tiny_models.write_model_dir(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def app_server(mongo, models, tmp_path_factory):
    """An App whose CCIP_MODEL_DIR is the folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CCIP_MODEL_DIR", str(models))
        patch.setenv("FIFTYONE_OPERATOR_TIMEOUT", "3")  # seconds; what shows its progress is not bound by it
        with services.AppServer(tmp_path_factory.mktemp("app")) as server:
            yield server
            _, *told = server.log.read_text(encoding="utf-8").split("Traceback (most recent call last)")
            # a page that is still open may ask for the dataset of a test that has ended
            assert [each for each in told if not re.search("Dataset .* not found", each)] == []


@pytest.fixture
def app(page, app_server, tmp_path):
    """The App in a page; a page of it that breaks fails the test."""
    app = App(page, app_server.url, tmp_path / "shots")
    yield app
    assert app.problems == []


@pytest.fixture
def gallery(dataset, tmp_path):
    """``gallery(n)`` gives a persistent dataset of ``n`` images of four characters, in turns."""

    def make(n):
        folder = tmp_path / "絵"
        folder.mkdir()
        for i in range(n):
            image = Image.new("RGB", (320, 240), COLORS[i % len(COLORS)])
            ImageDraw.Draw(image).ellipse([40 + i % 50, 50, 110 + i % 50, 120], fill="white")
            image.save(folder / f"{i:04d} {COLORS[i % len(COLORS)]}.png")
        return dataset(*sorted(folder.iterdir()), name=f"gallery-{os.getpid()}-{tmp_path.name}", persistent=True)

    return make


def test_the_main_job(app, gallery, tmp_path):
    dataset = gallery(240)
    broken = tmp_path / "絵" / "壊れた.png"
    broken.write_bytes(b"no image")
    dataset.add_sample(fo.Sample(filepath=str(broken)))
    with app.shot_on_failure("main-job"):
        app.open(dataset.name)
        computes_embeddings(app, dataset)
        groups(app, dataset)
        filters(app)
        renames_and_groups_again(app, dataset)
        undoes(app, dataset)


def computes_embeddings(app, dataset):
    app.operator(COMPUTE)
    app.says("241 images, 241 without an embedding.")
    app.shot("compute-form")
    app.execute()
    app.dialog.get_by_text(re.compile(r"^embedding: \d+ of 241")).wait_for()
    app.shot("compute-progress")
    app.dialog.get_by_text("CCIP: embeddings computed").wait_for()
    app.dialog.get_by_text(re.compile("filter by 'ccip_error' in the sidebar")).wait_for()
    app.prompt.wait_for(state="detached")  # or it would stand behind the summary
    app.shot("compute-summary")
    assert "240" in app.dialog.get_by_role("row", name=re.compile("Embedded now")).inner_text()
    app.toast("warning", "CCIP: 240 of 241 embedded, 0 already embedded, 1 failed")
    app.close_dialog()
    assert count_missing(dataset) == (241, 1, 1)


def groups(app, dataset):
    app.button("@ccip/characters/group_characters").click()
    app.says(re.compile("^241 images, 240 embedded with .*; the other 1 will be in no group"))
    app.shot("group-form")
    app.fill(EPS, "2")
    app.says("A difference from 0 to 1")
    app.refuses()
    app.shot("group-form-wrong")
    app.fill(EPS, "")
    app.execute()
    app.dialog.locator(".js-plotly-plot .bars .point").first.wait_for()
    app.shot("group-summary")
    app.close_dialog()
    assert "unassigned" not in app.tags("character_group")
    app.shot("group-tiles")
    dataset.reload()
    sizes = Counter(dataset.values("character_group.label"))
    assert sizes == {None: 1, **{f"char_{number:04d}": 60 for number in (1, 2, 3, 4)}}


def filters(app):
    app.filter("character_group.label", "char_0002")
    app.count("60 samples")
    app.shot("sidebar-filter")
    app.operator(GROUP)
    app.says("60 images, all embedded with ccip-caformer-24-randaug-pruned.")
    app.chosen("Current view", 1)
    app.shot("group-form-view")
    app.cancel()
    app.reload()
    app.count("241 samples")


def renames_and_groups_again(app, dataset):
    app.rename("char_0001", "惣流アスカ")
    app.operator(GROUP)
    app.says("User labels to be kept: 1 image in 'character_group'.")
    app.execute()
    app.dialog.get_by_role("row", name=re.compile("User labels kept")).wait_for()
    app.close_dialog()
    app.first_tag("character_group", "惣流アスカ")
    app.shot("group-again")
    label = dataset.reload() or dataset.first().character_group
    assert (label.label, label.status) == ("惣流アスカ", "confirmed")
    assert dataset.count_values("character_group.label")["char_0001"] == 59


def undoes(app, dataset):
    app.operator(UNDO)
    app.says(re.compile("^Undo 'group by character'"))
    app.shot("undo-form")
    for _ in range(3):  # the second run, the label that was edited by hand, then the first run
        app.execute("Undo")
        app.dialog.get_by_role("row", name=re.compile("^Labels written")).wait_for()
        app.shot("undo-summary")
        app.close_dialog()
        app.operator(UNDO)
    app.says("There is no change to undo.")
    app.shot("undo-nothing")
    app.cancel()
    dataset.reload()
    assert dataset.count_values("character_group.label") == {None: 241}


def test_detections(app, gallery):
    dataset = gallery(8)
    for sample in dataset:
        both = ([0, 0, 0.5, 1], [0, 0, 0.5, 0.9])
        sample["faces"] = fo.Detections(detections=[fo.Detection(label="face", bounding_box=box) for box in both])
        sample.save()
    with app.shot_on_failure("detections"):
        app.open(dataset.name)
        app.operator(COMPUTE)
        app.tick("Images or detections", re.compile("Detections in 'faces'"))
        app.says("16 detections, 16 without an embedding.")
        app.shot("compute-form-detections")
        app.execute()
        app.dialog.get_by_role("row", name=re.compile("faces.detections.ccip_embedding")).wait_for()
        app.close_dialog()
        app.operator(GROUP)
        app.says("The images have no CCIP embeddings yet. Run 'CCIP: compute embeddings' first.")
        app.shot("group-form-nothing")
        app.tick("Images or detections", re.compile("Detections in 'faces'"))
        app.says("16 detections, all embedded with ccip-caformer-24-randaug-pruned.")
        app.execute()
        app.dialog.get_by_role("row", name=re.compile("faces.detections.character_group")).wait_for()
        app.toast("success", "CCIP: 4 character groups with 16 detections")
        app.close_dialog()
        app.cy("looker").first.wait_for()
        app.shot("group-tiles-detections")
    dataset.reload()
    assert len(dataset.distinct("faces.detections.character_group")) == 4
    assert dataset.count_values("faces.detections.label") == {"face": 16}


def test_scheduled_in_the_app_and_done_by_a_worker(app, gallery, models, start_python):
    dataset = gallery(8)
    with app.shot_on_failure("schedule"):
        app.open(dataset.name)
        app.operator(COMPUTE)
        app.says("8 images, 8 without an embedding.")
        app.schedule()
        app.toast("success", "Operation successfully scheduled")
        app.shot("scheduled")
        service = DelegatedOperationService()
        (queued,) = service.list_operations(dataset_name=dataset.name)
        assert (queued.run_state, count_missing(dataset).n_missing) == ("queued", 8)
        start_python(WORKER, "delegated", "launch", CCIP_MODEL_DIR=str(models))
        wait_until(lambda: service.get(queued.id).run_state in ("completed", "failed"), "the worker does nothing")
        assert service.get(queued.id).run_state == "completed", service.get(queued.id).result
        app.reload()
        app.operator(GROUP)
        app.says("8 images, all embedded with ccip-caformer-24-randaug-pruned.")
        app.shot("done-by-a-worker")
        app.cancel()
    assert count_missing(dataset).n_missing == 0


def wait_until(is_so, otherwise):
    """Waits for something that no page tells."""
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end, otherwise
        time.sleep(0.1)


def test_closing_the_browser_stops_the_work_which_can_be_gone_on_with(app, app_server, gallery, tmp_path):
    dataset = gallery(100)
    dataset.add_samples([fo.Sample(filepath=path) for path in dataset.values("filepath") * 14])
    with app.shot_on_failure("closing"):
        app.open(dataset.name)
        app.operator(COMPUTE)
        app.execute()
        app.dialog.get_by_text(re.compile(r"^embedding: (\d{2,3}|1,\d{3}) of 1,500")).wait_for()
        app.shot("compute-closing")
    context = app.page.context
    app.page.close()
    wait_until(lambda: "the client has disconnected" in app_server.log.read_text(encoding="utf-8"), "the work goes on")
    done = load_embeddings(dataset)
    assert 0 < len(done.ids) < 1500
    again = App(context.new_page(), app_server.url, tmp_path / "shots")
    with again.shot_on_failure("resuming"):
        again.open(dataset.name)
        resumes(again, n_done=len(done.ids))
    assert again.problems == []
    now = load_embeddings(dataset)
    assert (len(now.ids), now.n_missing) == (1500, 0)
    places = {key: place for place, key in enumerate(now.ids)}
    assert np.array_equal(now.vectors[[places[key] for key in done.ids]], done.vectors), "nothing was lost"


def resumes(app, n_done):
    rest = f"{1500 - n_done:,}"
    app.operator(COMPUTE)
    app.says(f"1,500 images, {rest} without an embedding.")
    app.shot("resume-form")
    app.execute()
    assert rest in app.dialog.get_by_role("row", name=re.compile("^Embedded now")).inner_text()
    assert f"{n_done:,}" in app.dialog.get_by_role("row", name=re.compile("^Already embedded")).inner_text()
    app.shot("resume-summary")
    app.close_dialog()


def test_a_model_that_is_not_there_without_network(page, gallery, tmp_path, monkeypatch):
    dataset = gallery(4)
    monkeypatch.delenv("CCIP_MODEL_DIR")
    with services.AppServer(tmp_path / "server") as server:
        app = App(page, server.url, tmp_path / "shots")
        with app.shot_on_failure("offline"):
            app.open(dataset.name)
            app.operator(COMPUTE)
            app.says(re.compile("is not on this machine: 150 MB will be downloaded first"))
            app.shot("compute-form-download")
            app.execute()
            app.dialog.get_by_text("CCIP could not compute the embeddings").wait_for()
            app.dialog.get_by_text(re.compile("CCIP_MODEL_DIR")).first.wait_for()
            app.toast("error", "CCIP could not compute the embeddings")
            app.shot("error")
            app.dialog.get_by_text(re.compile("CCIP_MODEL_DIR")).first.click()
            app.dialog.get_by_text(re.compile("Traceback")).wait_for()
            app.close_dialog()
    assert app.problems == []
