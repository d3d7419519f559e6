"""The plugin as a stranger gets it: downloaded, its models registered in the App, then the App's own tools with it.

``CCIP_SCREENSHOTS=folder`` keeps a screenshot of every screen.
"""

import os
import re
import shutil
import subprocess
import sys

import fiftyone as fo
import numpy as np
import pytest
from plugins.panels.similarity_search.run_manager import RunManager

from ccip_plugin.embeddings import compute_embeddings
from ccip_plugin.embeddings.load import count_missing
from ccip_plugin.grouping import group_characters
from ccip_plugin.search import find_similar
from ccip_plugin.zoo.registration import register_model
from ccip_plugin.zoo.source import SOURCE_NAME
from tests.support import services, tiny_models
from tests.support.app.operator_tools import context
from tests.support.published import served_archive

pytestmark = [pytest.mark.mongo, pytest.mark.browser, pytest.mark.slow]

REGISTER, COMPUTE = "CCIP: register models", "CCIP: compute embeddings"
DELETE, UNDO = "CCIP: delete character groups", "CCIP: undo the last change of character groups"
MODELS = "CCIP: manage models"
SIMILARITY, VISUALIZATION = "CCIP: compute similarity", "CCIP: compute visualization"
DOWNLOAD = "from fiftyone.core.cli import main; main()"
LETTERS = "abcd" * 5
SEARCH, MAP = "similarity_search_panel", "Embeddings"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with the default model, a tiny one."""
    return tiny_models.write_model_dir(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def home(mongo, models, tmp_path_factory):
    """The folder of a user who has downloaded the plugin, and the environment for the App on it."""
    folder = tmp_path_factory.mktemp("stranger")
    env = os.environ | {
        "CCIP_MODEL_DIR": str(models),
        "FIFTYONE_PLUGINS_DIR": str(folder / "plugins"),
        "FIFTYONE_MODEL_ZOO_DIR": str(folder / "zoo"),
        "FIFTYONE_BRAIN_SIMILARITY_LANCEDB_URI": str(folder / "lance"),
    }
    (folder / "plugins").mkdir()
    with served_archive(folder / "www") as url:
        command = [sys.executable, "-c", DOWNLOAD, "plugins", "download", url]
        done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return folder, env


@pytest.fixture(scope="module")
def app_server(home, tmp_path_factory):
    """The App of that user."""
    with services.AppServer(tmp_path_factory.mktemp("app"), env=home[1]) as server:
        yield server
        # FiftyOne complains there of datasets that are gone while it still looks at them
        assert "/ccip_plugin/" not in server.log.read_text(encoding="utf-8"), "the plugin is in a traceback"


@pytest.fixture
def gallery(dataset, images, tmp_path):
    """A persistent dataset of images of four characters."""
    return dataset(*images(LETTERS, size=(320, 240)), name=f"stranger-{os.getpid()}-{tmp_path.name}", persistent=True)


def test_a_downloaded_plugin_registers_its_models_and_embeds(app, gallery, home):
    folder, _ = home
    (code,) = (folder / "plugins").rglob("ccip_plugin")
    shutil.rmtree(folder / "zoo", ignore_errors=True)
    with app.shot_on_failure("installed"):
        app.open(gallery.name)
        app.operator(REGISTER)
        app.says("The models are not in FiftyOne's model zoo on this machine. Registering them downloads nothing.")
        app.shot("register-form")
        app.execute("Register")
        app.prompt.get_by_role("row", name=re.compile("registered")).wait_for()
        app.shot("register-summary")
        app.cancel()
        app.operator(COMPUTE)
        app.says("20 images, 20 without an embedding.")
        app.execute()
        assert "20" in app.dialog.get_by_role("row", name=re.compile("Embedded now")).inner_text()
        app.close_dialog()
    assert (folder / "zoo" / SOURCE_NAME / "ccip_plugin").resolve() == code.resolve(), "the copy that was downloaded"
    assert count_missing(gallery).n_missing == 0


def test_the_apps_own_search_gives_the_exact_differences(app, gallery, models, images, home, tmp_path, monkeypatch):
    pytest.importorskip("lancedb", reason="the extra 'lancedb' is not installed")
    monkeypatch.setattr(fo.config, "model_zoo_dir", home[1]["FIFTYONE_MODEL_ZOO_DIR"])
    register_model()
    (query,) = images("b", folder=tmp_path / "アップロード")
    compute_embeddings(gallery, model_dir=models)
    with app.shot_on_failure("own-search"):
        app.open(gallery.name)
        indexes(app)
        panel = app.open_panel(SEARCH)
        by_tile = searches(app, panel, gallery, lambda: app.tick_tile(2))
        app.shot("own-search-tile")
        by_file = searches(app, panel, gallery, lambda: uploads(panel, query))
        app.shot("own-search-file")
        app.close_panel(SEARCH)
    assert by_tile["query"] == [gallery.skip(2).first().id]
    assert_exact(by_tile["result_ids"], find_similar(gallery, ids=by_tile["query"], model_dir=models))
    assert_exact(by_file["result_ids"], find_similar(gallery, images=query, model_dir=models))


def indexes(app):
    app.operator(SIMILARITY)
    app.says("20 images, all embedded with ccip-caformer-24-randaug-pruned.")
    app.tick("Backend", re.compile("LanceDB"))
    app.shot("similarity-form")
    app.execute()
    assert "20" in app.dialog.get_by_role("row", name=re.compile("^Embeddings in the index")).inner_text()
    app.shot("similarity-summary")
    app.close_dialog()


def searches(app, panel, gallery, choose):
    """Runs a search of FiftyOne's own panel and shows what it found; gives what is recorded of it."""
    manager = RunManager(context(gallery))
    before = {run["run_id"] for run in manager.list_runs()}
    panel.get_by_role("button", name="New Search").click()
    choose()
    panel.locator('input[type="number"]').fill("20")
    panel.get_by_role("button", name="Search", exact=True).click()
    app.page.get_by_role("menuitem").filter(has_text="Execute").click()
    panel.get_by_text("20 results").nth(len(before)).wait_for()
    (run_id,) = {run["run_id"] for run in manager.list_runs()} - before
    panel.get_by_label("Show results", exact=True).first.click(force=True)  # the list that it is in can be sorted
    run = manager.get_run(run_id)
    app.stage(run["result_ids"][0])  # no message tells: one that is still there is not said again
    app.count("20 samples")
    return run


def uploads(panel, path):
    panel.get_by_role("button", name="Upload Image").click()
    panel.locator('input[type="file"]').set_input_files(str(path))
    panel.get_by_text(path.name).wait_for()


def assert_exact(ids, exact):
    apart = dict(zip(exact.ids, exact.differences, strict=True))
    assert sorted(ids) == sorted(exact.ids)
    np.testing.assert_allclose([apart[key] for key in ids], exact.differences, atol=1e-6)


def test_the_embeddings_panel_shows_our_map(app, gallery, models):
    compute_embeddings(gallery, model_dir=models)
    group_characters(gallery, model_dir=models)
    with app.shot_on_failure("map"):
        app.open(gallery.name)
        app.operator(VISUALIZATION)
        app.says("20 images, all embedded with ccip-caformer-24-randaug-pruned.")
        app.shot("visualization-form")
        app.execute()
        app.dialog.get_by_role("row", name=re.compile("^Points")).wait_for()
        app.shot("visualization-summary")
        app.close_dialog()
        panel = app.open_panel(MAP)
        panel.locator(".emb-run-card").filter(has_text="ccip_visualization").click()
        panel.get_by_text("20 points").wait_for()
        panel.get_by_text("Color by").click()
        app.page.get_by_text("character_group.label").first.click()
        panel.get_by_text("char_0004", exact=True).wait_for()
        panel.get_by_role("button", name="Select", exact=True).click()
        app.lasso(panel.locator("canvas"))
        panel.get_by_text(re.compile("^20 selected")).wait_for()
        app.cy("looker").first.wait_for()
        app.shot("map")
        panel.get_by_role("button", name="Clear filters and selection").click()
        app.close_panel(MAP)
    gallery.reload()
    assert gallery.list_brain_runs() == ["ccip_visualization"]


def test_models_are_listed_and_groups_deleted(app, gallery, models):
    compute_embeddings(gallery, model_dir=models)
    group_characters(gallery, model_dir=models)
    with app.shot_on_failure("delete"):
        app.open(gallery.name)
        lists_models(app)
        assert len(app.tags("character_group")) == 20
        app.operator(DELETE)
        app.says("To be deleted, as runs wrote them: 20 labels and 4 groups.")
        app.shot("delete-form")
        app.execute("Delete")
        app.dialog.get_by_role("row", name=re.compile("^Labels deleted")).wait_for()
        app.shot("delete-summary")
        app.close_dialog()
        app.cy("character_group-field").wait_for(state="detached")
        app.operator(UNDO)
        app.says(re.compile("^Undo 'delete character groups' of"))
        app.execute("Undo")
        app.dialog.get_by_role("row", name=re.compile("^Labels written")).wait_for()
        app.close_dialog()
        app.cy("character_group-field").wait_for()
        app.shot("delete-undone")
    gallery.reload()
    assert len(gallery.count_values("character_group.label")) == 4


def lists_models(app):
    app.operator(MODELS)
    app.says(re.compile(r"^Models are taken from .* \(CCIP_MODEL_DIR\)"))
    app.shot("models-form")
    app.execute("Show")
    app.dialog.get_by_role("row", name=re.compile(r"^ccip-caformer-24-randaug-pruned \(default\)")).wait_for()
    app.shot("models")
    app.close_dialog()
