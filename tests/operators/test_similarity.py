"""The operators about similarity, as FiftyOne loads and runs them: forms, what they show, what they write."""

import base64
import importlib.util
import json
import sys
from pathlib import Path

import fiftyone as fo
import fiftyone.brain as fob
import fiftyone.operators as foo
import numpy as np
import pytest
from fiftyone.operators.delegated import DelegatedOperationService
from fiftyone.operators.executor import ExecutionContext, ExecutionError
from plugins.panels.similarity_search.run_manager import RunManager

from ccip_plugin.app import upload
from ccip_plugin.brain.similarity import compute_similarity
from ccip_plugin.core.differences import differences
from ccip_plugin.embeddings import compute_embeddings
from ccip_plugin.embeddings.load import load_embeddings
from ccip_plugin.search import find_similar
from ccip_plugin.search.comparison import compare_images
from ccip_plugin.search.difference_field import MARK
from ccip_plugin.storage.fields import SIMILARITY_KEY, VISUALIZATION_KEY
from ccip_plugin.zoo.registration import register_model
from ccip_plugin.zoo.source import SOURCE_NAME
from tests.support import tiny_models
from tests.support.app.operator_tools import choices, context, facts, form, problems, run, said

pytestmark = pytest.mark.mongo

SIMILARITY, VISUALIZATION = "@ccip/characters/compute_similarity", "@ccip/characters/compute_visualization"
FIND, COMPARE = "@ccip/characters/find_similar", "@ccip/characters/compare_images"
ALL = (SIMILARITY, VISUALIZATION, FIND, COMPARE)
APP_SEARCH = "@voxel51/panels/similarity_search"
FIRST = "Run 'CCIP: compute embeddings' first."


@pytest.fixture(autouse=True)
def models(model_dir, monkeypatch):
    """A tiny model, where CCIP_MODEL_DIR says."""
    monkeypatch.setenv("CCIP_MODEL_DIR", str(model_dir))
    return model_dir


@pytest.fixture
def zoo(monkeypatch, tmp_path):
    """A folder of zoo models of its own."""
    monkeypatch.setattr(fo.config, "model_zoo_dir", str(tmp_path / "zoo"))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == SOURCE_NAME]:
        del sys.modules[name]


@pytest.fixture
def gallery(dataset, images):
    """``gallery("aab")`` gives a dataset with embedded images of these characters."""

    def make(letters):
        data = dataset(*images(letters))
        compute_embeddings(data)
        return data

    return make


@pytest.fixture
def boxes(gallery):
    """A dataset of embedded images with two embedded detections each, in ``faces``."""
    data = gallery("abca")
    for sample in data:
        both = ([0, 0, 0.5, 1], [0.5, 0, 0.5, 1])
        sample["faces"] = fo.Detections(detections=[fo.Detection(label="face", bounding_box=box) for box in both])
        sample.save()
    compute_embeddings(data, patches_field="faces")
    return data


def results(shown):
    return shown["show_output"]["results"]


def errors(shown):
    return [error["reason"] for error in results(shown).get("errors", ())]


def uploaded(path, **changes):
    """What the App sends of an uploaded file."""
    content = Path(path).read_bytes()
    encoded = base64.b64encode(content).decode()
    return {"name": Path(path).name, "type": "image/png", "size": len(content), "content": encoded, **changes}


def state(data):
    """What there is in a dataset that an operator could change."""
    data.reload()
    fields = data.get_field_schema(flat=True)
    return (sorted(fields), data.values("last_modified_at"), data.list_brain_runs(), data.list_runs())


@pytest.mark.parametrize("uri", ALL)
def test_each_says_what_it_is(uri):
    config = foo.get_operator(uri).config.to_json()
    assert config["risk_level"] == ("low" if uri == COMPARE else "medium")
    assert config["dynamic"] and config["execute_as_generator"] and config["allow_immediate_execution"]
    assert config["allow_delegated_execution"] == (uri in (SIMILARITY, VISUALIZATION))


# -- forms where there is little or nothing


class TestNothingThere:
    @pytest.mark.parametrize("uri", ALL)
    def test_no_dataset(self, uri):
        resolved = foo.get_operator(uri).resolve_type(ExecutionContext({"params": {}}), "inputs").to_json()
        assert problems(resolved["type"]["properties"]) == {"dataset_error": "Open a dataset first."}

    @pytest.mark.parametrize("uri", ALL[:3])
    def test_an_empty_dataset(self, dataset, uri):
        assert problems(form(uri, dataset()))["target_error"].startswith("There are no images in this dataset")

    @pytest.mark.parametrize("uri", ALL[:3])
    def test_no_embeddings(self, dataset, images, uri):
        data = dataset(*images("ab"))
        assert problems(form(uri, data)) == {"embeddings_error": f"The images have no CCIP embeddings yet. {FIRST}"}
        faces = fo.Detections(detections=[fo.Detection(label="face", bounding_box=[0, 0, 1, 1])])
        data.set_values("faces", [faces, None])
        asked = form(uri, data, patches_field="faces")
        assert problems(asked) == {"embeddings_error": f"The detections have no CCIP embeddings yet. {FIRST}"}

    @pytest.mark.parametrize("uri", ALL[:3])
    def test_a_field_that_is_gone(self, gallery, uri):
        data = gallery("ab")
        assert "embeddings_error" in problems(form(uri, data, embeddings_field="gone"))
        assert "target_error" in problems(form(uri, data, patches_field="gone"))

    @pytest.mark.parametrize("uri", ALL[:3])
    def test_no_embedding_in_the_field(self, gallery, uri):
        data = gallery("ab")
        data.set_values("ccip_embedding", [None, None])
        expected = f"None of the 2 images has an embedding in 'ccip_embedding' yet. {FIRST}"
        assert problems(form(uri, data))["count_error"] == expected

    @pytest.mark.parametrize("uri", ALL)
    def test_running_it_nevertheless_says_why_not(self, dataset, images, uri):
        data = dataset(*images("ab"))
        shown = run(uri, data, selected=data.values("id"))
        if uri == VISUALIZATION:
            assert shown["notify"]["message"] == "CCIP: no visualization: 0 embeddings, at least 3 are needed"
        else:
            assert len(errors(shown)) == 1
            assert "embedding" in errors(shown)[0]

    @pytest.mark.parametrize("uri", ALL)
    def test_videos(self, dataset, uri):
        data = dataset()
        data.add_samples([fo.Sample("/絵/a.mp4"), fo.Sample("/絵/b.mp4")])
        (problem,) = problems(form(uri, data, selected=data.values("id"))).values()
        assert problem.startswith("CCIP needs images")


# -- compute_similarity


class TestSimilarity:
    def test_says_what_the_index_will_hold(self, gallery):
        data = gallery("aab")
        data.add_sample(fo.Sample("/no/such/image.png"))
        asked = form(SIMILARITY, data.limit(1))
        expected = f"4 images, 3 embedded with {tiny_models.NAME}; the other 1 will not be in the index."
        assert said(asked, "count_hint") == expected
        assert asked["brain_key"]["default"] == SIMILARITY_KEY
        assert "view_target" not in asked, "an index is always of the whole dataset"
        assert problems(asked) == {}

    def test_creates_and_updates_an_index(self, gallery):
        data = gallery("aabb")
        shown = run(SIMILARITY, data.limit(1))
        assert shown["notify"]["message"] == "CCIP: similarity index 'ccip_similarity' created, 4 embeddings"
        first, twin, *_ = data.values("id")
        assert data.sort_by_similarity(first, k=2, brain_key=SIMILARITY_KEY).values("id") == [first, twin]
        data.add_sample(fo.Sample("/no/such/image.png"))
        assert "will be updated" in said(form(SIMILARITY, data), "update_hint")
        found = facts(results(run(SIMILARITY, data)))
        assert found["Index"] == "ccip_similarity (updated)"
        assert (found["Embeddings in the index"], found["Without embedding, not in the index"]) == ("4", "1")

    def test_detections(self, boxes):
        for samples, options in ((boxes, {"patches_field": "faces"}), (boxes.to_patches("faces").limit(2), {})):
            asked = form(SIMILARITY, samples, **options)
            assert said(asked, "count_hint").startswith("8 detections, all embedded")
            assert asked["brain_key"]["default"] == "ccip_similarity_faces_detections_ccip_embedding"
            assert facts(results(run(SIMILARITY, samples, **options)))["Embeddings in the index"] == "8"

    def test_offers_the_backends_that_can_work(self, gallery, monkeypatch):
        data = gallery("ab")
        asked = form(SIMILARITY, data)
        assert list(choices(asked, "backend")) == ["sklearn", "lancedb"]
        assert asked["backend"]["default"] == "sklearn"
        monkeypatch.setitem(fob.brain_config.similarity_backends["milvus"], "uri", "http://milvus:19530")
        assert list(choices(form(SIMILARITY, data), "backend")) == ["sklearn", "lancedb", "milvus"]
        problem = problems(form(SIMILARITY, data, backend="milvus"))["backend_error"]
        assert problem.startswith("milvus needs a package that is not installed")
        assert problems(form(SIMILARITY, data, backend="faiss")) == {"backend_error": "There is no such backend."}

    @pytest.mark.skipif(importlib.util.find_spec("lancedb") is None, reason="lancedb is not installed")
    @pytest.mark.filterwarnings("ignore:table_names", "ignore:to_df is unsupported")
    def test_lancedb(self, gallery, monkeypatch, tmp_path, zoo):
        monkeypatch.setitem(fob.brain_config.similarity_backends["lancedb"], "uri", str(tmp_path / "lance"))
        data = gallery("abca")
        run(SIMILARITY, data)
        asked = form(SIMILARITY, data, backend="lancedb")
        assert (
            said(asked, "backend_warning")
            == "The backend of the index is sklearn so far; the index will be created again."
        )
        assert "CCIP: register models" in said(asked, "register_hint")
        words = {choice["value"]: choice["description"] for choice in asked["backend"]["view"]["choices"]}
        assert str(tmp_path / "lance") in words["lancedb"]
        assert facts(results(run(SIMILARITY, data, backend="lancedb")))["Backend"] == "lancedb"
        assert form(SIMILARITY, data)["backend"]["default"] == "lancedb"

    @pytest.mark.parametrize("uri, key", [(SIMILARITY, "map"), (VISUALIZATION, "index")])
    def test_the_key_is_checked(self, gallery, uri, key):
        data = gallery("abc")
        fob.compute_visualization(data, embeddings="ccip_embedding", method="pca", brain_key="map")
        run(SIMILARITY, data, brain_key="index")
        assert problems(form(uri, data, brain_key="a b")) == {"brain_key": "Letters, digits and _ only"}
        assert f"The brain key '{key}' is taken by a" in problems(form(uri, data, brain_key=key))["brain_key_error"]
        assert problems(form(uri, data, brain_key="")) == {}

    def test_delegated(self, gallery, models):
        data = gallery("aabb")
        foo.get_operator(SIMILARITY)(data, delegate=True)
        foo.get_operator(VISUALIZATION)(data, delegate=True, method="pca")
        service = DelegatedOperationService()
        service.execute_queued_operations()
        done = {operation.operator: operation for operation in service.list_operations(dataset_name=data.name)}
        assert facts(done[SIMILARITY].result.result)["Embeddings in the index"] == "4"
        assert facts(done[VISUALIZATION].result.result)["Points"] == "4"


@pytest.mark.skipif(importlib.util.find_spec("lancedb") is None, reason="lancedb is not installed")
@pytest.mark.filterwarnings("ignore:table_names", "ignore:to_df is unsupported")
@pytest.mark.parametrize("patches_field", [None, "faces"], ids=["images", "detections"])
def test_the_apps_own_search_with_an_upload_equals_ours_on_lancedb(
    boxes, images, monkeypatch, tmp_path, zoo, patches_field
):
    monkeypatch.setitem(fob.brain_config.similarity_backends["lancedb"], "uri", str(tmp_path / "lance"))
    register_model()
    compute_similarity(boxes, patches_field=patches_field, backend="lancedb", brain_key="lance")
    (path,) = images("c")
    params = {
        "brain_key": "lance",
        "query_type": "upload",
        "query_image": uploaded(path),
        "patches_field": patches_field,
    }
    run_id = foo.execute_operator(APP_SEARCH, {"dataset": boxes}, params={**params, "k": 8}).result["run_id"]
    found = RunManager(context(boxes)).get_run(run_id)["result_ids"]
    exact = find_similar(boxes, images=path, patches_field=patches_field)
    apart = dict(zip(exact.ids, exact.differences, strict=True))
    assert sorted(found) == sorted(exact.ids)
    np.testing.assert_allclose([apart[key] for key in found], exact.differences, atol=1e-6)


# -- compute_visualization


class TestVisualization:
    def test_says_which_methods_there_are(self, gallery, monkeypatch):
        find = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "umap" else find(name))
        data = gallery("abc")
        asked = form(VISUALIZATION, data)
        assert choices(asked, "method") == {"umap": "UMAP", "tsne": "t-SNE", "pca": "PCA (recommended)"}
        words = {choice["value"]: choice["description"] for choice in asked["method"]["view"]["choices"]}
        assert words["umap"].endswith("not installed: pip install umap-learn")
        assert said(asked, "method_hint") == "Too few images for t-SNE."
        assert "umap-learn" in problems(form(VISUALIZATION, data, method="umap"))["method_error"]
        assert "Tsne needs 50" in problems(form(VISUALIZATION, data, method="tsne"))["method_error"]
        assert problems(form(VISUALIZATION, data, method="pca")) == {}

    def test_needs_some_images(self, gallery):
        (problem,) = problems(form(VISUALIZATION, gallery("ab"))).values()
        assert problem == "A visualization needs at least 3 embeddings, there are 2."

    def test_draws_what_was_chosen(self, boxes):
        shown = run(VISUALIZATION, boxes.limit(3), method="pca")
        assert shown["notify"]["message"] == "CCIP: visualization 'ccip_visualization' of 3 embeddings (pca)"
        assert "(pca): it is replaced" in said(form(VISUALIZATION, boxes), "replace_hint")
        assert facts(results(run(VISUALIZATION, boxes, method="pca")))["Points"] == "4"
        again = facts(results(run(VISUALIZATION, boxes, method="pca")))
        assert again["Visualization"] == "ccip_visualization (unchanged, same embeddings)"
        assert facts(results(run(VISUALIZATION, boxes.to_patches("faces"), method="pca")))["Points"] == "8"
        assert sorted(boxes.list_brain_runs()) == [
            VISUALIZATION_KEY,
            f"{VISUALIZATION_KEY}_faces_detections_ccip_embedding",
        ]


# -- find_similar


def columns_of(shown, name):
    """The columns of a table that the App is told to show."""
    return shown["show_output"]["outputs"]["type"]["properties"][name]["view"]["columns"]


def shown_ids(shown):
    """The ids of the view that the App is told to show, in its order."""
    select = [stage for stage in shown["set_view"]["view"] if stage["_cls"].endswith(".Select")][-1]
    kwargs = dict(select["kwargs"])
    assert kwargs["ordered"]
    return kwargs["sample_ids"]


class TestFind:
    def test_asks_for_selected_samples(self, gallery):
        data = gallery("abab")
        asked = form(FIND, data)
        assert asked["look_for"]["default"] == "upload"
        assert problems(form(FIND, data, look_for="ticked")) == {
            "selection_error": "No sample is selected: select one or several."
        }
        data.set_values("character_group", [fo.Classification(label="Rei")] * 4)
        asked = form(FIND, data)
        assert asked["look_for"]["default"] == "group"
        assert problems(asked) == {"group_needed": "Choose a character group."}
        assert not asked["group"]["required"], "not red before anything was done"
        assert "choose a character group" in errors(run(FIND, data, look_for="group"))[0]
        asked = form(FIND, data, selected=data.values("id")[:2])
        assert asked["look_for"]["default"] == "ticked"
        assert choices(asked, "look_for")["ticked"] == "Selected samples (2)"
        assert list(choices(asked, "combine")) == ["mean", "nearest"]
        assert asked["view_target"]["default"] == "DATASET", "selected samples are the query"
        asked = form(FIND, data, current_sample=data.first().id)
        assert (asked["look_for"]["default"], "combine" in asked) == ("ticked", False)

    @pytest.mark.parametrize("n", [1, 2])
    def test_shows_similar_images_and_writes_nothing(self, gallery, n):
        data = gallery("abcabc")
        before = state(data)
        selected_ids = data.values("id")[:n]
        shown = run(FIND, data, selected=selected_ids, look_for="ticked", limit=4)
        expected = find_similar(data, ids=selected_ids, limit=4)
        assert shown_ids(shown) == expected.ids
        assert "reload_dataset" not in shown
        rows = results(shown)["found"]
        assert [row["difference"] for row in rows] == [f"{apart:.4f}" for apart in expected.differences]
        assert rows[0]["image"] == Path(data[expected.ids[0]].filepath).name
        is_query = [item_id in selected_ids for item_id in expected.ids]
        assert [row["verdict"] == "query" for row in rows] == is_query and any(is_query), "found, too, and marked"
        others = {row["verdict"] for row in rows} - {"query"}
        assert others == ({"same character", "different"} if n == 1 else {"different"})
        assert facts(results(shown))["Found, though in the query"] == str(sum(is_query))
        assert shown["notify"]["message"] == f"CCIP: {expected.facts().headline}"
        assert state(data) == before

    def test_an_uploaded_image(self, gallery, images):
        data = gallery("abcabc")
        (path,) = images("b")
        asked = form(FIND, data, look_for="upload")
        view = asked["image"]["view"]
        assert not asked["image"]["required"] and problems(asked) == {}, "not red before anything was done"
        assert (view["max_size"], view["lite"]) == (upload.MAX_BYTES, True)
        lite = uploaded(path, content=None)
        assert problems(form(FIND, data, look_for="upload", image=lite)) == {}
        too_large = {**lite, "size": upload.MAX_BYTES + 1}
        assert "too large" in problems(form(FIND, data, look_for="upload", image=too_large))["image"]
        shown = run(FIND, data, look_for="upload", image=uploaded(path))
        assert shown_ids(shown) == find_similar(data, images=path).ids
        assert facts(results(shown))["Query"] == "1 image"

    @pytest.mark.parametrize(
        "image, text",
        [
            pytest.param(None, "no image was uploaded", id="nothing"),
            pytest.param({"name": "絵.png"}, "did not arrive; upload it again", id="no content"),
            pytest.param({"name": "絵.png", "content": "%%%"}, "'絵.png' is damaged", id="damaged"),
            pytest.param({"name": "絵.png", "content": "bm8gaW1hZ2U="}, "not an image", id="no image"),
        ],
    )
    def test_an_upload_that_cannot_be_used(self, gallery, image, text):
        (reason,) = errors(run(FIND, gallery("ab"), look_for="upload", image=image))
        assert text in reason

    def test_a_large_upload_is_not_even_decoded(self, gallery, monkeypatch):
        monkeypatch.setattr(upload, "MAX_BYTES", 300)
        monkeypatch.setattr(base64, "b64decode", None)
        with pytest.raises(upload.UploadError, match="too large"):
            upload.content({"name": "a.png", "content": "A" * 408, "size": 10})

    def test_a_character_group(self, gallery):
        data = gallery("abcabc")
        expected = "There are no character groups in 'character_group' yet. Run 'CCIP: group by character' first."
        assert problems(form(FIND, data, look_for="group")) == {"group_error": expected}
        names = ["綾波 レイ 💙", None, "Asuka", "綾波 レイ 💙", None, "unassigned"]
        data.set_values("character_group", [fo.Classification(label=name) if name else None for name in names])
        asked = form(FIND, data, look_for="group")
        assert set(choices(asked, "group")) == {"綾波 レイ 💙", "Asuka"}
        assert "combine" in asked
        problem = problems(form(FIND, data, look_for="group", group="Rei"))
        assert problem == {"group": "There is no character group 'Rei'"}
        shown = run(FIND, data, look_for="group", group="綾波 レイ 💙", combine="nearest")
        expected = find_similar(data, group="綾波 レイ 💙", combine="nearest")
        assert shown_ids(shown) == expected.ids
        assert facts(results(shown))["Compared by"] == "the difference to the nearest"

    def test_patches(self, boxes):
        patches = boxes.to_patches("faces")
        ids = patches.values("id")
        asked = form(FIND, patches, selected=ids[:1])
        assert choices(asked, "look_for")["ticked"] == "Selected patches or labels (1)"
        shown = run(FIND, patches, selected=ids[:1], look_for="ticked", limit=3)
        expected = find_similar(boxes, ids=ids[0], patches_field="faces", limit=3)
        assert shown_ids(shown) == expected.ids
        json.dumps(shown["set_view"])

    def test_labels_selected_in_an_opened_sample(self, boxes):
        label = boxes.first().faces.detections[1]
        selected = [{"label_id": label.id, "sample_id": boxes.first().id, "field": "faces"}]
        options = {"patches_field": "faces", "look_for": "ticked"}
        assert problems(form(FIND, boxes, selected=boxes.values("id"), **options))["selection_error"].startswith(
            "No detection is selected: show the patches of 'faces'"
        )
        assert problems(form(FIND, boxes, selected_labels=selected, **options)) == {}
        shown = run(FIND, boxes, selected_labels=selected, **options)
        assert shown_ids(shown) == find_similar(boxes, ids=label.id, patches_field="faces").ids

    def test_only_the_same_character(self, gallery):
        data = gallery("abcabc")
        selected_ids = data.values("id")[:1]
        asked = form(FIND, data, selected=selected_ids)
        assert said(asked, "only_same") == "Only the same character (difference up to 0.1785)"
        shown = run(FIND, data, selected=selected_ids, look_for="ticked", only_same=True)
        assert set(shown_ids(shown)) == {data.values("id")[0], data.values("id")[3]}  # equal but for rounding
        shown = run(FIND, data.skip(1).limit(2), selected=selected_ids, look_for="ticked", only_same=True)
        assert "set_view" not in shown
        assert shown["notify"]["variant"] == "warning"

    def test_writes_the_differences_when_asked_to(self, gallery):
        data = gallery("abcabc")
        data.set_values("score", [1.0] * 6)
        selected_ids = data.values("id")[:1]
        assert "difference_field" not in form(FIND, data, selected=selected_ids)
        asked = form(FIND, data, selected=selected_ids, is_written=True)
        assert asked["difference_field"]["default"] == "ccip_difference"
        for name, problem in (
            ("score", "It holds other values; choose another name"),
            ("a b", "Use letters, digits and _"),
        ):
            found = problems(form(FIND, data, selected=selected_ids, is_written=True, difference_field=name))
            assert found["difference_field"].startswith(problem)
        shown = run(FIND, data, selected=selected_ids, look_for="ticked", is_written=True, limit=2)
        assert "reload_dataset" in shown
        assert facts(results(shown))["Differences written to"] == "ccip_difference"
        assert data.get_field("ccip_difference").info == {MARK: True}
        assert data.count("ccip_difference") == 2

    @pytest.mark.parametrize(
        "limit, problem", [(1, None), ("", None), (0, "A whole"), (2.5, "A whole"), ("x", "A whole")]
    )
    def test_the_limit_is_checked(self, gallery, limit, problem):
        data = gallery("ab")
        found = problems(form(FIND, data, selected=data.values("id")[:1], limit=limit))
        assert list(found) == ([] if problem is None else ["limit"])

    def test_from_python_and_by_name(self, gallery, images):
        data = gallery("abab")
        first = data.first().id
        assert foo.get_operator(FIND)(data, ids=first, limit=2).ids == find_similar(data, ids=first, limit=2).ids
        assert len(foo.get_operator(FIND)(data, images=[str(path) for path in images("b")], limit=2).ids) == 2
        with pytest.raises(ExecutionError, match="ids: can be given from Python only"):
            foo.execute_operator(FIND, {"dataset": data}, params={"ids": [first]})
        with pytest.raises(ExecutionError, match="No sample is selected"):
            foo.execute_operator(FIND, {"dataset": data}, params={"look_for": "ticked"})


def test_it_has_no_button():
    """Three operators have one: the App folds more."""
    assert foo.get_operator(FIND).resolve_placement(ExecutionContext({"dataset_name": "no such dataset"})) is None


# -- compare_images


class TestCompare:
    @pytest.mark.parametrize("n, text", [(0, "nothing is selected"), (1, "1 is selected"), (51, "51 are selected")])
    def test_needs_a_selection(self, gallery, n, text):
        data = gallery("ab")
        problem = problems(form(COMPARE, data, selected=[f"{i:024x}" for i in range(n)]))["selection_error"]
        assert problem == f"Select 2 to 50 samples, or labels in an opened sample: {text}."

    def test_shows_differences_verdicts_and_nearest_pairs(self, gallery):
        data = gallery("abab")
        before = state(data)
        ids = data.values("id")
        asked = form(COMPARE, data, selected=ids[:3])
        assert said(asked, "count_hint") == f"3 images, all embedded with {tiny_models.NAME}."
        assert asked["threshold"]["view"]["placeholder"] == "0.1785"
        shown = run(COMPARE, data, selected=ids[:3])
        found = results(shown)
        assert facts(found)["Pairs of the same character"] == "1 of 3"
        (trace,) = found["plot_0"]
        stored = load_embeddings(data.limit(3))
        order = compare_images(data.limit(3)).order
        np.testing.assert_allclose(trace["z"], differences(stored.vectors[order]), atol=1e-4)
        assert [column["label"] for column in columns_of(shown, "pairs")][:2] == ["First image", "Second image"]
        assert [row["verdict"] for row in found["pairs"]] == ["same character", "different", "different"]
        assert len(found["elements"][1]["layout"]["images"]) == 3
        assert "reload_dataset" not in shown
        assert state(data) == before

    def test_patches_and_boxes(self, boxes):
        patches = boxes.to_patches("faces")
        ids = patches.values("id")[:3]
        labels = [{"label_id": key, "sample_id": boxes.first().id, "field": "faces"} for key in ids]
        for samples, selected_ids in ((patches, {"selected": ids}), (boxes, {"selected_labels": labels})):
            assert said(form(COMPARE, samples, **selected_ids), "count_hint").startswith("3 detections, all")
            assert facts(results(run(COMPARE, samples, **selected_ids)))["Compared"] == "3 detections"

    @pytest.mark.parametrize("threshold, is_wrong", [("", False), (0, False), (1, False), (1.1, True), ("x", True)])
    def test_another_threshold(self, gallery, threshold, is_wrong):
        data = gallery("ab")
        ids = data.values("id")
        assert ("threshold" in problems(form(COMPARE, data, selected=ids, threshold=threshold))) == is_wrong
        if threshold == 1:
            found = facts(results(run(COMPARE, data, selected=ids, threshold=threshold)))
            assert found["Pairs of the same character"] == "1 of 1"

    def test_those_without_embedding_are_left_out(self, gallery):
        data = gallery("ab")
        data.add_sample(fo.Sample("/no/such/image.png"))
        shown = run(COMPARE, data, selected=data.values("id"))
        assert facts(results(shown))["Without embedding, left out"] == "1"
        assert shown["notify"]["variant"] == "warning"

    def test_from_python(self, gallery):
        data = gallery("abc")
        assert foo.get_operator(COMPARE)(data).ids == data.values("id")


def test_contexts_without_parts_are_fine(gallery):
    """What a script or an older App sends has less in it."""
    data = gallery("ab")
    ctx = context(data)
    for name in ("selected", "selected_labels", "current_sample"):
        del ctx.request_params[name]
    for uri in ALL:
        assert foo.get_operator(uri).resolve_type(ctx, "inputs") is not None
