import dataclasses
import json
import math

import numpy as np
import pytest

from ccip_plugin.core.clustering.dbscan import dbscan_of_embeddings
from ccip_plugin.core.clustering.optics import optics
from ccip_plugin.core.differences import differences
from ccip_plugin.core.errors import ParameterError, VectorsError
from ccip_plugin.core.evaluation import pair_metrics
from ccip_plugin.core.registry import MODELS
from ccip_plugin.core.tuning import model_card
from ccip_plugin.core.tuning.model_card import CardRow, card_row
from tests.support import tiny_models
from tests.support.named_vectors import NAMES, people


@pytest.fixture(scope="module")
def row() -> CardRow:
    return card_row(*people())


def test_scores_are_those_of_the_parts(row):
    vectors, names = people()
    pairs = pair_metrics(vectors, names)
    for name in ("f1", "precision", "recall", "threshold", "roc_auc", "average_precision"):
        assert row.scores[name] == pytest.approx(getattr(pairs, name), abs=1e-5), name
    at = pairs.at(MODELS[row.model_name].threshold)
    assert (row.scores["at_f1"], row.scores["at_recall"]) == (pytest.approx(at.f1), pytest.approx(at.recall))
    assert (row.n_same, row.n_different, row.n_images) == (pairs.n_same, pairs.n_different, 180)


def test_tuned_parameters_give_the_score(row):
    import sklearn.metrics

    vectors, names = people()
    for name, method in (("cluster_2", dbscan_of_embeddings), ("cluster_free", optics)):
        eps, min_samples = row.parameters[name]
        labels = method(vectors, eps=eps, min_samples=min_samples)
        labels[labels < 0] = 1000 + np.arange((labels < 0).sum())
        assert row.scores[name] == pytest.approx(sklearn.metrics.adjusted_rand_score(names, labels))


def test_published_row_stands_beside(row):
    spec = MODELS[row.model_name]
    assert row.published == {name: getattr(spec, name) for name in model_card.COLUMNS}


def test_thresholds_of_a_folder_count(tmp_path):
    folder = tmp_path / tiny_models.NAME
    folder.mkdir()
    (folder / "metrics.json").write_text(json.dumps({"threshold": 0.25}))
    vectors, names = people(60)
    row = card_row(vectors, names, model_dir=tmp_path, clusters=False)
    assert row.published["threshold"] == 0.25
    assert row.scores["at_recall"] == pair_metrics(vectors, names).at(0.25).recall


def test_confused_characters_are_counted(row):
    vectors, names = people()
    near = differences(vectors) <= row.scores["threshold"]
    names = np.array(names)
    for found in row.confused:
        block = near[np.ix_(names == found.first, names == found.second)]
        assert abs(int(block.sum()) - found.n_pairs) <= 1  # on the threshold, to the grid
        assert found.share == pytest.approx(found.n_pairs / block.size)
    assert {row.confused[0].first, row.confused[0].second} == {"初音ミク", "鏡音リン"}
    assert [each.n_pairs for each in row.confused] == sorted((each.n_pairs for each in row.confused), reverse=True)


def test_curves_hold_all_pairs(row):
    assert (sum(row.same), sum(row.different)) == (row.n_same, row.n_different)
    assert max(score for _, score in row.ari) == pytest.approx(row.scores["cluster_2"])


def test_intervals_are_around_the_scores(row):
    for name, found in row.intervals.items():
        assert found.low <= row.scores[name] <= found.high, name
    assert row.intervals.keys() == row.scores.keys()


def test_survives_as_json(row):
    plain = json.loads(json.dumps(row.as_dict(), allow_nan=False))
    assert CardRow.from_dict(plain).as_dict() == row.as_dict()
    assert CardRow.from_dict(plain).intervals == row.intervals


def test_unknown_characters_are_left_out():
    vectors, names = people(60)
    more = np.concatenate([vectors, np.full((2, 48), 0.1, np.float32)])
    row, want = card_row(more, [*names, None, ""]), card_row(vectors, names)
    assert row.n_left_out == 2
    assert row.as_dict() == dataclasses.replace(want, n_left_out=2).as_dict()


@pytest.mark.parametrize("names, words", [
    pytest.param("aaaa", "different characters", id="one character"),
    pytest.param("abcd", "one character", id="each once"),
])  # fmt: skip
def test_says_what_is_missing(names, words):
    row = card_row(people(4 + len(NAMES))[0][:4], list(names))
    assert any(words in note for note in row.notes)
    assert math.isnan(row.scores["roc_auc"])
    json.dumps(row.as_dict(), allow_nan=False)


def test_optics_is_left_out_of_large_sets(monkeypatch):
    monkeypatch.setattr(model_card, "MAX_FREE", 50)
    monkeypatch.setattr(model_card, "ALL_PAIRS", 50)
    row = card_row(*people(60))
    assert math.isnan(row.scores["cluster_free"]) and not math.isnan(row.scores["cluster_2"])
    assert any("Cluster_Free" in note for note in row.notes)


@pytest.mark.parametrize("vectors, names, error", [
    pytest.param(np.ones((1, 3)), "a", ParameterError, id="one image"),
    pytest.param(np.ones((2, 3)), "", VectorsError, id="no labels"),
    pytest.param(np.zeros((2, 3)), "ab", VectorsError, id="zeros"),
])  # fmt: skip
def test_what_cannot_be_measured(vectors, names, error):
    with pytest.raises(error):
        card_row(vectors, list(names))
