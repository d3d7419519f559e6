"""Similarity indexes: exact, brought up to date instead of failing, readable without the plugin."""

import importlib.metadata
import importlib.util

import fiftyone as fo
import fiftyone.brain as fob
import numpy as np
import pytest

from ccip_plugin.brain.backends import BackendError, SimilarityError
from ccip_plugin.brain.runs import BrainKeyError
from ccip_plugin.brain.similarity import compute_similarity
from ccip_plugin.core.differences import differences
from ccip_plugin.core.encoder import Encoder
from ccip_plugin.embeddings import compute_embeddings
from ccip_plugin.embeddings.load import load_embeddings
from ccip_plugin.embeddings.provenance import UnknownOriginError
from ccip_plugin.storage.fields import EMBEDDINGS_FIELD, SIMILARITY_KEY
from ccip_plugin.storage.targets import TargetError
from tests.support import tiny_models

pytestmark = pytest.mark.mongo


@pytest.fixture
def boxed(with_faces):
    """A dataset of three images with two embedded detections each, in ``faces``."""
    return with_faces("abc")


def nearest(data, item_id):
    """The nearest neighbor by the index."""
    itself, neighbor = data.sort_by_similarity(item_id, k=2, brain_key=SIMILARITY_KEY).values("id")
    assert itself == item_id
    return neighbor


def by_difference(data, **options):
    """The ids in the order of their exact differences to the first one, and these differences."""
    found = load_embeddings(data, **options)
    to_first = differences(found.vectors[:1], found.vectors)[0]
    to_first[0] = -1  # of equal images, one that rounds to the same or less must not become the first
    order = np.argsort(to_first, kind="stable")
    to_first[0] = 0
    return [found.ids[i] for i in order], to_first[order]


def test_order_by_id_is_the_exact_order_of_the_differences(embedded):
    data = embedded("abcdefghaabbcc")
    report = compute_similarity(data)
    assert (report.brain_key, report.n_vectors, report.n_missing, report.is_new) == (SIMILARITY_KEY, 14, 0, True)
    ids, exact = by_difference(data)
    view = data.sort_by_similarity(ids[0], brain_key=SIMILARITY_KEY, dist_field="distance")
    found, distances = view.values(["id", "distance"])
    assert sorted(found) == sorted(ids)
    # of unit vectors, the square of the distance is four times the difference
    np.testing.assert_allclose(np.square(distances) / 4, exact, atol=1e-6)
    np.testing.assert_allclose([dict(zip(ids, exact, strict=True))[key] for key in found], exact, atol=1e-6)


def test_detections_have_an_index_of_their_own(boxed, model_dir):
    compute_embeddings(boxed, model_dir=model_dir)
    whole, faces = compute_similarity(boxed), compute_similarity(boxed, patches_field="faces")
    assert (whole.n_vectors, faces.n_vectors) == (3, 6)
    assert sorted(boxed.list_brain_runs()) == sorted([whole.brain_key, faces.brain_key])
    ids, _ = by_difference(boxed, patches_field="faces")
    patches = boxed.to_patches("faces").sort_by_similarity(ids[0], k=2, brain_key=faces.brain_key)
    assert patches.values("id") == ids[:2]


def test_one_slice_of_a_grouped_dataset(dataset, images, model_dir):
    data = dataset()
    data.add_group_field("shot", default="front")
    for front, back in zip(images("abab"), images("ccdd"), strict=True):
        group = fo.Group()
        data.add_samples(
            [fo.Sample(str(path), shot=group.element(name)) for path, name in ((front, "front"), (back, "裏"))]
        )
    front, back = data.select_group_slices("front"), data.select_group_slices("裏")
    for view in (front, back):
        compute_embeddings(view, model_dir=model_dir)
    with pytest.raises(TargetError, match="select_group_slices"):
        compute_similarity(data)
    report = compute_similarity(front.limit(1))
    assert (report.n_vectors, report.n_missing, report.is_new) == (4, 0, True)
    assert nearest(front, front.first().id) == front.skip(2).first().id
    assert not compute_similarity(front).is_new
    assert not compute_similarity(back).is_new, "FiftyOne reads the field of all slices"
    assert nearest(back, back.first().id) == back.skip(1).first().id
    data.clear_cache()  # as in another process
    assert nearest(back, back.first().id) == back.skip(1).first().id
    assert nearest(front, front.first().id) == front.skip(2).first().id


def test_a_view_or_patches_stand_for_the_whole_dataset(boxed):
    assert compute_similarity(boxed.to_patches("faces").limit(1)).n_vectors == 6
    assert not compute_similarity(boxed.limit(1), patches_field="faces").is_new


class TestAgain:
    def test_holds_what_was_added_and_not_what_was_deleted(self, embedded, images, model_dir):
        data = embedded("abcd")
        compute_similarity(data)
        first = data.first().id
        nearest(data, first)  # now the index is in memory
        data.delete_samples([data.skip(1).first().id])
        added = data.add_samples([fo.Sample(str(path)) for path in images("ae")])
        compute_embeddings(data, model_dir=model_dir)
        data.add_samples([fo.Sample("/no/such/image.png")])

        report = compute_similarity(data)
        assert (report.n_vectors, report.n_missing, report.is_new) == (5, 1, False)
        assert data.load_brain_results(SIMILARITY_KEY).total_index_size == 5
        assert nearest(data, first) == added[0]

    def test_knows_vectors_that_changed(self, embedded):
        data = embedded("abca")
        compute_similarity(data)
        first, _, third, twin = data.values("id")
        assert nearest(data, first) == twin
        vectors = dict(zip(*data.values(["id", EMBEDDINGS_FIELD]), strict=True))
        swapped = {twin: vectors[third], third: vectors[twin]}
        data.set_values(EMBEDDINGS_FIELD, swapped, key_field="id")
        compute_similarity(data)
        assert nearest(data, first) == third

    def test_replaces_an_index_about_something_else(self, embedded, model_dir):
        data = embedded("abc")
        compute_embeddings(data, embeddings_field="other", model_dir=model_dir)
        compute_similarity(data, embeddings_field="other", brain_key="mine")
        fob.compute_similarity(data, embeddings="other", brain_key="theirs", backend="sklearn", metric="cosine")
        for key in ("mine", "theirs"):
            assert compute_similarity(data, brain_key=key).is_new
            config = data.get_brain_info(key).config
            assert (config.embeddings_field, config.metric) == (EMBEDDINGS_FIELD, "euclidean")
        assert data.count("other") == 3

    def test_finishes_an_index_that_was_interrupted(self, embedded):
        data = embedded("abc")
        compute_similarity(data)
        document = data._doc.brain_methods[SIMILARITY_KEY]
        document.results.delete()  # what a process leaves that dies between the two steps
        document.save()
        assert compute_similarity(data).is_new
        assert len(data.sort_by_similarity(data.first().id, brain_key=SIMILARITY_KEY)) == 3

    def test_sees_what_another_process_made(self, embedded, run_python):
        data = embedded("abc")
        data.persistent = True
        code = """
            import sys
            import fiftyone as fo
            from ccip_plugin.brain.similarity import compute_similarity
            print(compute_similarity(fo.load_dataset(sys.argv[1])).is_new)
        """
        assert run_python(code, data.name).stdout.split() == ["True"]
        assert not compute_similarity(data).is_new
        assert data.list_brain_runs() == [SIMILARITY_KEY]


def test_records_the_model(embedded):
    data = embedded("abc")
    compute_similarity(data)
    assert data.get_brain_info(SIMILARITY_KEY).config.model == tiny_models.NAME
    fob.compute_similarity(data, embeddings=EMBEDDINGS_FIELD, brain_key="old", backend="sklearn", metric="euclidean")
    assert not compute_similarity(data, brain_key="old").is_new
    assert data.get_brain_info("old").config.model == tiny_models.NAME


@pytest.mark.skipif(importlib.util.find_spec("lancedb") is None, reason="lancedb is not installed")
@pytest.mark.filterwarnings("ignore:table_names", "ignore:to_df is unsupported")  # FiftyOne's use of it
class TestLanceDB:
    @pytest.fixture(autouse=True)
    def folder(self, monkeypatch, tmp_path):
        monkeypatch.setitem(fob.brain_config.similarity_backends["lancedb"], "uri", str(tmp_path / "lance"))
        return tmp_path / "lance"

    @pytest.mark.parametrize("patches_field", [None, "faces"], ids=["images", "detections"])
    def test_orders_exactly_by_ids_and_by_vectors(self, boxed, model_dir, patches_field, images):
        compute_embeddings(boxed, model_dir=model_dir)
        report = compute_similarity(boxed, patches_field=patches_field, backend="lancedb")
        n = 6 if patches_field else 3
        assert (report.backend, report.n_vectors, report.is_new) == ("lancedb", n, True)
        shown = boxed.to_patches("faces") if patches_field else boxed
        found = load_embeddings(boxed, patches_field=patches_field)
        with Encoder.open(tiny_models.NAME, model_dir=model_dir) as encoder:
            (uploaded,) = encoder.embed(images("b"))
        for query, vector in ((found.ids[0], found.vectors[0]), (uploaded, uploaded)):
            view = shown.sort_by_similarity(query, k=n, brain_key=report.brain_key, dist_field="distance")
            exact = dict(zip(found.ids, differences(vector, found.vectors)[0], strict=True))
            ids = view.values("id")
            assert sorted(ids) == sorted(exact)
            np.testing.assert_allclose([exact[key] for key in ids], sorted(exact.values()), atol=1e-6)
            np.testing.assert_allclose(np.array(view.values("distance")) / 4, sorted(exact.values()), atol=1e-5)

    def test_is_brought_up_to_date(self, embedded, images, model_dir):
        data = embedded("abcd")
        compute_similarity(data, backend="lancedb")
        first, second, *_ = data.values("id")
        nearest(data, first)  # now the index is in memory
        assert not compute_similarity(data).is_new
        data.delete_samples([second])
        (twin,) = data.add_samples([fo.Sample(str(path)) for path in images("a")])
        data.add_samples([fo.Sample("/no/such/image.png")])
        compute_embeddings(data, model_dir=model_dir)

        report = compute_similarity(data)
        assert (report.backend, report.n_vectors, report.n_missing, report.is_new) == ("lancedb", 4, 1, False)
        assert nearest(data, first) == twin
        assert data.load_brain_results(SIMILARITY_KEY).total_index_size == 4

    def test_knows_vectors_that_changed(self, embedded, folder):
        data = embedded("abca")
        compute_similarity(data, backend="lancedb")
        first, _, third, twin = data.values("id")
        assert nearest(data, first) == twin
        vectors = dict(zip(*data.values(["id", EMBEDDINGS_FIELD]), strict=True))
        data.set_values(EMBEDDINGS_FIELD, {twin: vectors[third], third: vectors[twin]}, key_field="id")
        compute_similarity(data)
        assert nearest(data, first) == third
        assert len(list(folder.iterdir())) == 1, "the copy of before is gone"

    def test_comes_back_when_its_folder_is_gone(self, embedded, folder):
        data = embedded("abca")
        compute_similarity(data, backend="lancedb")
        for table in folder.iterdir():
            table.rename(folder.parent / table.name)
        data.clear_cache()
        assert not compute_similarity(data).is_new
        assert nearest(data, data.first().id) == data.last().id

    def test_changes_places_with_the_other_backend(self, embedded, folder):
        data = embedded("abc")
        assert compute_similarity(data).backend == "sklearn"
        report = compute_similarity(data, backend="lancedb")
        assert (report.backend, report.is_new, len(list(folder.iterdir()))) == ("lancedb", True, 1)
        report = compute_similarity(data, backend="sklearn")
        assert (report.backend, report.is_new, list(folder.iterdir())) == ("sklearn", True, [])

    def test_an_index_that_fiftyone_would_not_find_again_is_an_error(self, embedded, folder):
        import lancedb

        data = embedded("abc")
        for number in range(10):
            lancedb.connect(str(folder)).create_table(f"a{number}", [{"id": "x"}])
        with pytest.raises(BackendError, match="FIFTYONE_BRAIN_SIMILARITY_LANCEDB_URI"):
            compute_similarity(data, backend="lancedb")

    def test_says_what_is_missing(self, embedded, monkeypatch):
        monkeypatch.setattr(importlib.metadata, "version", _no_package)
        with pytest.raises(BackendError, match=r"'lancedb' needs the package lancedb.* pip install lancedb"):
            compute_similarity(embedded("abc"), backend="lancedb")

    def test_a_backend_that_does_not_work_leaves_no_index(self, embedded, folder):
        folder.write_text("no folder")
        data = embedded("abc")
        with pytest.raises(BackendError, match="'lancedb' failed: "):
            compute_similarity(data, backend="lancedb")
        assert data.list_brain_runs() == []


def _no_package(name):
    raise importlib.metadata.PackageNotFoundError(name)


@pytest.mark.parametrize(
    "options, error, text",
    [
        pytest.param(
            {"backend": "faiss"}, SimilarityError, "unknown backend 'faiss'; available: .*sklearn", id="backend"
        ),
        pytest.param({"backend": "milvus"}, BackendError, "'milvus' needs a package.*pymilvus", id="no package"),
        pytest.param({"brain_key": "no key"}, BrainKeyError, "'no key' cannot be a brain key", id="key"),
        pytest.param({"brain_key": "taken"}, BrainKeyError, "'taken' is taken by a visualization run", id="taken key"),
        pytest.param({"embeddings_field": "empty"}, SimilarityError, "none of the 3 images", id="no embeddings"),
        pytest.param(
            {"embeddings_field": "theirs"}, UnknownOriginError, "'theirs' has 3 vectors", id="of unknown origin"
        ),
    ],
)
def test_says_why_not(embedded, options, error, text):
    data = embedded("abc")
    fob.compute_visualization(data, embeddings=EMBEDDINGS_FIELD, method="pca", brain_key="taken")
    data.set_values("theirs", [np.ones(768)] * 3)
    with pytest.raises(error, match=text):
        compute_similarity(data, **options)
    assert data.list_brain_runs() == ["taken"]
