"""Models and groups measured in FiftyOne: rows, runs, views, files."""

import csv
import json

import fiftyone as fo
import numpy as np
import pytest

from ccip_plugin.core.errors import ParameterError
from ccip_plugin.core.evaluation.groups import group_metrics
from ccip_plugin.core.progress import Cancelled
from ccip_plugin.core.registry import DEFAULT_MODEL
from ccip_plugin.core.tuning.model_card import card_row
from ccip_plugin.embeddings import compute_embeddings
from ccip_plugin.embeddings.load import load_embeddings
from ccip_plugin.evaluation import evaluate_groups, evaluate_model, load_evaluation
from ccip_plugin.evaluation.evaluate import NoEvaluationError, NothingToEvaluateError
from ccip_plugin.evaluation.group_evaluation import COST_LABELS
from ccip_plugin.grouping import group_characters
from ccip_plugin.storage.fields import EMBEDDINGS_FIELD
from tests.support import tiny_models
from tests.support.groups import embed

pytestmark = pytest.mark.mongo

OTHER_MODEL = "ccip-caformer_b36-24"
NAMES = {"a": "初音ミク", "b": "鏡音リン", "c": "ソロ 🎀"}


@pytest.fixture
def made(dataset):
    """``made("aabb ")`` gives a dataset with an embedding and a name per letter, neither for a blank."""

    def make(letters):
        new = dataset(*[f"/絵/{n}.png" for n in range(len(letters))])
        embed(new, letters)
        new.add_sample_field("ground_truth", fo.EmbeddedDocumentField, embedded_doc_type=fo.Classification)
        new.set_values("ground_truth", [fo.Classification(label=NAMES[x]) if x in NAMES else None for x in letters])
        return new

    return make


class TestModels:
    def test_a_row_is_that_of_the_core(self, made):
        samples = made("aaabbbc ")
        found = evaluate_model(samples, "ground_truth")
        embeddings = load_embeddings(samples)
        names = samples.select(embeddings.ids, ordered=True).values("ground_truth.label")
        assert found.row(DEFAULT_MODEL).as_dict() == {
            **card_row(embeddings.vectors, names).as_dict(),
            "n_left_out": 1,
        }
        assert found.embeddings_fields == {DEFAULT_MODEL: EMBEDDINGS_FIELD}

    def test_views_and_missing_embeddings(self, made):
        samples = made("aaabbbc")
        samples.set_values(EMBEDDINGS_FIELD, {samples.first().id: None}, key_field="id")
        assert evaluate_model(samples, "ground_truth").rows[0].n_images == 6
        found = evaluate_model(samples.limit(4), "ground_truth")
        assert (found.rows[0].n_images, found.without_embedding[DEFAULT_MODEL]) == (3, 1)
        assert any("no embedding" in note for note in found.notes)

    def test_is_kept_and_loads_anywhere(self, made, run_python):
        samples = made("aaabbbc")
        found = evaluate_model(samples, "ground_truth", run_key="mine")
        again = load_evaluation(samples, "mine")
        assert again.as_dict() == found.as_dict()
        assert str(again) == str(found)
        config = samples.get_run_info("mine").config
        assert config.models[0]["scores"]["f1"] == found.rows[0].scores["f1"]
        code = f"""
            import fiftyone as fo, json
            dataset = fo.load_dataset({samples.name!r})
            config = dataset.get_run_info("mine").config.serialize()
            print(json.dumps(config["models"][0]["published"]), len(dataset.load_run_results("mine").rows))
        """
        assert "0.917" in run_python(code).stdout
        clone = samples.clone()
        try:
            assert load_evaluation(clone, "mine").as_dict() == found.as_dict()
        finally:
            clone.delete()

    def test_the_images_of_confused_characters_are_a_view(self, made):
        samples = made("aaabbbc")
        vectors = samples.values(EMBEDDINGS_FIELD)
        samples.set_values(EMBEDDINGS_FIELD, [*vectors[:5], vectors[0], vectors[6]])
        found = evaluate_model(samples, "ground_truth")
        assert {found.rows[0].confused[0].first, found.rows[0].confused[0].second} == {"初音ミク", "鏡音リン"}
        assert set(found.confused_view().values("id")) == set(samples.limit(6).values("id"))
        assert len(load_evaluation(samples).confused_view(DEFAULT_MODEL)) == 6
        with pytest.raises(ParameterError, match="pairs of characters that are confused"):
            found.confused_view(rank=99)

    def test_a_later_one_takes_its_place_and_nothing_is_kept_unasked(self, made):
        samples = made("aaabbbc")
        evaluate_model(samples, "ground_truth", keep=False)
        assert samples.list_runs() == []
        for _ in range(2):
            evaluate_model(samples, "ground_truth")
        assert samples.list_runs() == ["ccip_evaluation"]

    def test_files(self, made, tmp_path):
        samples = made("aaabbbc")
        found = evaluate_model(samples, "ground_truth")
        plain = json.loads(found.to_json(tmp_path / "a.json").read_text(encoding="utf-8"))
        assert plain["rows"][0]["scores"]["recall"] == found.rows[0].scores["recall"]
        with found.to_csv(tmp_path / "a.csv").open(encoding="utf-8-sig", newline="") as file:
            (line,) = csv.DictReader(file)
        assert float(line["f1"]) == found.rows[0].scores["f1"]
        assert float(line["published_cluster_2"]) == 0.890366
        paths = found.save_plots(tmp_path / "図", formats=("png",))
        assert {path.name for path in paths} >= {"scores.png", "roc.png", "ari.png"}

    def test_the_published_row_is_beside_it(self, made):
        text = str(evaluate_model(made("aaabbbc"), "ground_truth"))
        assert "0.9172" in text and "these images" in text and "published" in text

    def test_embeddings_that_are_not_there_are_computed(self, dataset, images, model_dir, monkeypatch):
        tiny_models.write_model_dir(model_dir, name=OTHER_MODEL, variant="other_weights")
        monkeypatch.setenv("CCIP_MODEL_DIR", str(model_dir))
        samples = dataset(*images("aaabbbcc"))
        samples.set_values("who", [*"aaabbbc", None])
        compute_embeddings(samples, model_name=tiny_models.NAME)
        found = evaluate_model(samples, "who", models=[tiny_models.NAME, OTHER_MODEL])
        assert [row.model_name for row in found.rows] == [tiny_models.NAME, OTHER_MODEL]
        field = "ccip_embedding_ccip_caformer_b36_24"
        assert found.embeddings_fields[OTHER_MODEL] == field
        assert samples.count(field) == 7, "only what is evaluated"
        assert [row.n_images for row in found.rows] == [7, 7]
        assert len(evaluate_model(samples, "who").rows) == 2, "both are there now"
        assert all(chart.name for chart in found.charts())

    def test_detections(self, dataset, made):
        samples = dataset("/a.png", "/b.png")
        for sample, letters in zip(samples, ("aab", "abb"), strict=True):
            boxes = [fo.Detection(label="face", who=NAMES[x], bounding_box=[0, 0, 0.5, 1]) for x in letters]
            sample["faces"] = fo.Detections(detections=boxes)
            sample.save()
        samples.add_sample_field("faces.detections.who", fo.StringField)
        embed(samples, "aababb", "faces")
        found = evaluate_model(samples, "who", patches_field="faces")
        assert (found.rows[0].n_images, found.rows[0].n_same) == (6, 6)
        group_characters(samples, patches_field="faces")
        groups = evaluate_groups(samples, "character_group", "who", patches_field="faces")
        assert groups.metrics.ari == 1 and groups.clicks == 0

    def test_nothing_to_evaluate(self, made, dataset):
        with pytest.raises(NothingToEvaluateError, match="0 of 3"):
            evaluate_model(made("   "), "ground_truth")
        bare = dataset("/a.png", "/b.png")
        bare.set_values("who", ["a", "b"])
        with pytest.raises(NothingToEvaluateError, match="compute embeddings"):
            evaluate_model(bare, "who")

    def test_can_be_stopped(self, made):
        samples = made("aaabbbc")

        def stop(_):
            raise Cancelled("enough")

        with pytest.raises(Cancelled):
            evaluate_model(samples, "ground_truth", progress=stop)
        assert samples.list_runs() == []


class TestGroups:
    @pytest.fixture
    def grouped(self, made):
        samples = made("aaaabbbc")
        groups = ["ミク", "ミク", "g 2", "unassigned", "ミク", "リン", "リン", None]
        ids = {"ミク": 1, "リン": 2, "g 2": 3}
        labels = [None if g is None else fo.Classification(label=g, group_id=ids.get(g)) for g in groups]
        samples.set_values("groups", labels)
        return samples

    def test_metrics_are_those_of_the_core(self, grouped):
        found = evaluate_groups(grouped, "groups", "ground_truth")
        pred = ["ミク", "ミク", "g 2", None, "ミク", "リン", "リン", None]
        assert found.metrics == group_metrics(pred, list("aaaabbbc"))
        assert found.metrics.grouped.n_images == 6

    def test_views_of_what_costs_most(self, grouped):
        found = evaluate_groups(grouped, "groups", "ground_truth")
        ids = grouped.values("id")
        assert {kind: list(found.ids[kind]) for kind in COST_LABELS} == {
            "misplaced": [ids[4]],
            "scattered": [ids[2]],
            "unassigned": [ids[3]],
            "worst_group": [ids[0], ids[1], ids[4]],
        }
        assert found.view("misplaced").values("id") == [ids[4]]
        assert (found.moves, found.merges, found.clicks) == (1, 2, 3)
        assert found.groups[0].name == "ミク" and found.characters[0].name == "初音ミク"

    def test_is_kept(self, grouped, tmp_path, run_python):
        found = evaluate_groups(grouped, "groups", "ground_truth")
        code = f"""
            import fiftyone as fo, sys
            results = fo.load_dataset({grouped.name!r}).load_run_results("ccip_evaluation_groups")
            assert not any("ccip" in name for name in sys.modules)
            print(results.groups[0]["name"], len(results.ids["misplaced"]))
        """
        assert run_python(code).stdout.split() == ["ミク", "1"]
        again = load_evaluation(grouped, "ccip_evaluation_groups")
        assert (again.as_dict(), again.metrics, dict(again.ids)) == (found.as_dict(), found.metrics, dict(found.ids))
        assert grouped.get_run_info("ccip_evaluation_groups").config.clicks == 3
        json.loads(found.to_json(tmp_path / "g.json").read_text(encoding="utf-8"))
        for table, n in (("characters", 3), ("groups", 3), ("metrics", 12)):
            with found.to_csv(tmp_path / "g.csv", table).open(encoding="utf-8-sig", newline="") as file:
                assert len(list(csv.DictReader(file))) == n
        assert "3 clicks to clean" in str(found)

    def test_own_groups_and_ignored_images(self, made):
        samples = made("aaabbbc")
        group_characters(samples)
        assert evaluate_groups(samples, "character_group", "ground_truth").clicks == 0
        sample = samples.first()
        sample.character_group.status = "ignored"
        sample.save()
        found = evaluate_groups(samples, "character_group", "ground_truth")
        assert (found.n_ignored, found.metrics.n_images) == (1, 6)

    def test_nobody_known(self, made):
        samples = made("aab")
        samples.set_values("nobody", [None, "", "unassigned"])
        with pytest.raises(NothingToEvaluateError, match="nobody"):
            evaluate_groups(samples, "ground_truth", "nobody")

    def test_no_such_evaluation(self, made):
        samples = made("aab")
        evaluate_groups(samples, "ground_truth", "ground_truth", run_key="there")
        with pytest.raises(NoEvaluationError, match="available: there"):
            load_evaluation(samples)


def test_scores_do_not_depend_on_the_order(made):
    one, other = made("aaabbbc"), made("cbbbaaa")
    for samples in (one, other):
        vectors = {x: iter(load_embeddings(one).vectors[[i for i, y in enumerate("aaabbbc") if y == x]]) for x in "abc"}
        letters = "aaabbbc" if samples is one else "cbbbaaa"
        samples.set_values(EMBEDDINGS_FIELD, [np.array(next(vectors[x])) for x in letters])
    first, second = (evaluate_model(samples, "ground_truth").rows[0] for samples in (one, other))
    assert first.scores == pytest.approx(second.scores, nan_ok=True)
