"""Visualizations: the method, the items, and that nothing is computed twice."""

import importlib.util

import fiftyone as fo
import fiftyone.brain as fob
import numpy as np
import pytest

from ccip_plugin.brain import visualization
from ccip_plugin.brain.runs import BrainKeyError
from ccip_plugin.brain.similarity import compute_similarity
from ccip_plugin.brain.visualization import VisualizationError, compute_visualization
from ccip_plugin.embeddings import compute_embeddings
from ccip_plugin.storage.fields import VISUALIZATION_KEY

pytestmark = pytest.mark.mongo
HAS_UMAP = importlib.util.find_spec("umap") is not None


def points(data, key=VISUALIZATION_KEY):
    """The points by ids, as another process would load them."""
    data.clear_cache()
    results = data.load_brain_results(key)
    ids = results.sample_ids if results.config.patches_field is None else results.label_ids
    return dict(zip(ids.tolist(), results.points.tolist(), strict=True))


def test_characters_lie_apart(embedded):
    data = embedded("aaaabbbb")
    report = compute_visualization(data)
    assert (report.brain_key, report.method, report.n_points, report.n_missing) == (VISUALIZATION_KEY, "pca", 8, 0)
    assert report.is_new
    found = points(data)
    places = np.array([found[key] for key in data.values("id")])
    within = np.linalg.norm(places[:4] - places[0], axis=1).max()
    between = np.linalg.norm(places[4:] - places[0], axis=1).min()
    assert within < between


def test_shows_what_has_an_embedding(embedded):
    data = embedded("abc")
    data.add_samples([fo.Sample("/no/such/image.png")])
    report = compute_visualization(data)
    assert (report.n_points, report.n_missing) == (3, 1)
    assert points(data).keys() == set(data.limit(3).values("id"))


def test_shows_a_view(embedded):
    data = embedded("abcd")
    assert compute_visualization(data.limit(3)).n_points == 3
    assert points(data).keys() == set(data.limit(3).values("id"))
    assert compute_visualization(data).n_points == 4
    assert len(points(data)) == 4


def test_shows_detections(dataset, images, model_dir):
    data = dataset(*images("ab"))
    for sample in data:
        boxes = ([0, 0, 0.5, 1], [0.5, 0, 0.5, 1])
        sample["faces"] = fo.Detections(detections=[fo.Detection(label="face", bounding_box=box) for box in boxes])
        sample.save()
    compute_embeddings(data, patches_field="faces", model_dir=model_dir)
    report = compute_visualization(data, patches_field="faces")
    assert report.n_points == 4
    assert points(data, report.brain_key).keys() == set(data.values("faces.detections.id", unwind=True))
    assert not compute_visualization(data.to_patches("faces")).is_new


class TestAgain:
    def test_nothing_is_computed_when_nothing_changed(self, embedded):
        data = embedded("abcd")
        first = compute_visualization(data)
        made, found = data._doc.brain_methods[VISUALIZATION_KEY].id, points(data)
        again = compute_visualization(data)
        assert (first.is_new, again.is_new) == (True, False)
        assert (made, found) == (data._doc.brain_methods[VISUALIZATION_KEY].id, points(data))

    def test_new_images_and_changed_vectors_make_it_new(self, embedded, images, model_dir):
        data = embedded("abcd")
        compute_visualization(data)
        data.add_samples([fo.Sample(str(path)) for path in images("e")])
        compute_embeddings(data, model_dir=model_dir)
        assert compute_visualization(data).is_new
        before = points(data)
        first, second, *others = data.values("ccip_embedding")
        data.set_values("ccip_embedding", [second, first, *others])
        assert compute_visualization(data).is_new
        assert points(data) != before

    def test_is_the_same_on_every_machine_and_at_every_time(self, embedded):
        data = embedded("abcd")
        compute_visualization(data)
        before = points(data)
        data.delete_brain_run(VISUALIZATION_KEY)
        assert compute_visualization(data).is_new
        assert points(data) == before

    def test_replaces_one_that_was_made_in_another_way(self, embedded):
        data = embedded("abcd")
        made = {key: [0.0, 1.0] for key in data.values("id")}
        fob.compute_visualization(data, points=np.array([*made.values()]), brain_key=VISUALIZATION_KEY)
        assert compute_visualization(data).is_new
        assert data.get_brain_info(VISUALIZATION_KEY).config.method == "pca"
        assert points(data) != made

    def test_finishes_one_that_was_interrupted(self, embedded):
        data = embedded("abcd")
        compute_visualization(data)
        document = data._doc.brain_methods[VISUALIZATION_KEY]
        document.results.delete()
        document.save()
        assert compute_visualization(data).is_new
        assert len(points(data)) == 4


def test_images_that_are_all_alike_lie_in_one_place(embedded, dataset, images, model_dir):
    (path,) = images("a")
    data = dataset(*[path] * 4)
    compute_embeddings(data, model_dir=model_dir)
    assert compute_visualization(data).n_points == 4
    assert np.abs(np.array(list(points(data).values()))).max() < 1e-3


@pytest.mark.parametrize("letters", ["", "a", "ab"], ids=["none", "one", "two"])
def test_too_few_images_are_left_alone(embedded, letters):
    data = embedded(letters)
    report = compute_visualization(data)
    assert (report.method, report.n_points, report.is_new) == (None, 0, False)
    assert report.note == f"{len(letters)} embeddings, at least 3 are needed"
    assert data.list_brain_runs() == []


class TestTSNE:
    def test_is_the_choice_for_some_images_without_umap(self, embedded, monkeypatch):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        data = embedded("abcde" * 10)
        report = compute_visualization(data)
        assert (report.method, report.note, report.n_points) == ("tsne", "", 50)
        assert not compute_visualization(data).is_new
        found = points(data)
        places = np.array([found[key] for key in data.values("id")])
        apart = np.linalg.norm(places[:, None] - places[None], axis=2) + np.diag([np.inf] * 50)
        assert [i % 5 for i in apart.argmin(axis=1)] == [i % 5 for i in range(50)]

    def test_needs_some_images(self, embedded):
        with pytest.raises(VisualizationError, match="tsne needs 50 embeddings, there are 4; use pca"):
            compute_visualization(embedded("abcd"), method="tsne")

    def test_is_left_for_more_images(self, embedded, monkeypatch):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        monkeypatch.setattr(visualization, "_TSNE_MAX_ITEMS", 49)
        report = compute_visualization(embedded("ab" * 25))
        assert (report.method, "umap-learn" in report.note) == ("pca", True)


@pytest.mark.skipif(HAS_UMAP, reason="umap-learn is installed")
def test_says_what_umap_needs(embedded):
    data = embedded("abc")
    assert compute_visualization(data).note == "too few images for t-SNE"
    with pytest.raises(VisualizationError, match="pip install umap-learn"):
        compute_visualization(data, method="umap")


@pytest.mark.skipif(not HAS_UMAP, reason="umap-learn is not installed")
@pytest.mark.filterwarnings("ignore:Tensorflow not installed:ImportWarning")
def test_takes_umap_when_it_is_there(embedded):
    data = embedded("aabbcc" * 4)
    report = compute_visualization(data)
    assert (report.method, report.note, report.n_points) == ("umap", "", 24)
    assert compute_visualization(data, method="pca").is_new
    assert compute_visualization(embedded("abc")).note == "too few images for UMAP"


def test_says_why_not(embedded):
    data = embedded("abc")
    with pytest.raises(VisualizationError, match="unknown method 'mds'; available: umap, tsne, pca"):
        compute_visualization(data, method="mds")
    compute_similarity(data, brain_key="taken")
    with pytest.raises(BrainKeyError, match="'taken' is taken by a similarity run"):
        compute_visualization(data, brain_key="taken")
