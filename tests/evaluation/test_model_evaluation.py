"""The evaluation of models as text, tables and files."""

import csv
import dataclasses
import json
import math

import pytest

from ccip_plugin.core.errors import ParameterError
from ccip_plugin.core.tuning.model_card import COLUMNS, card_row
from ccip_plugin.evaluation.model_evaluation import SCORE_LABELS, ModelEvaluation, loaded_models
from ccip_plugin.storage.targets import Target
from tests.support.named_vectors import people

FIRST, SECOND = "ccip-caformer-24-randaug-pruned", "ccip-caformer_b36-24"


@pytest.fixture(scope="module")
def rows():
    return tuple(card_row(*people(60), model_name=name) for name in (FIRST, SECOND))


def evaluation(rows, **changes):
    values = {"run_key": "ccip_evaluation", "at": "2026-01-01T00:00:00+00:00", "seconds": 1.25, **changes}
    fields = {row.model_name: "ccip_embedding" for row in rows}
    missing = values.pop("missing", dict.fromkeys(fields, 0))
    return ModelEvaluation(Target(None, None), "who", rows, fields, missing, **values)


def test_facts_of_one_model(rows):
    facts = evaluation(rows[:1]).facts()
    row = rows[0]
    assert facts.headline == f"{FIRST}: F1 {row.scores['f1']:.3f} at {row.scores['threshold']:.3f}"
    assert (facts["Model"], facts["Images"]) == (FIRST, f"{row.n_images} of {row.n_characters} characters")
    assert facts["F1 at published threshold"] == f"{row.scores['at_f1']:.4f}"
    assert "nan" not in str(facts) and " f1 " not in str(facts)
    assert (facts["Ground truth field"], facts["Run"], facts["Time"]) == ("who", "ccip_evaluation", "1.2 s")
    assert facts.warnings == tuple(row.notes)


def test_the_headline_of_several_models_names_the_best(rows):
    worse = dataclasses.replace(rows[1], scores={**rows[1].scores, "f1": rows[0].scores["f1"] - 0.1})
    assert evaluation((worse, rows[0])).facts().headline.startswith(f"2 models, the best is {FIRST}: F1 ")
    assert f"{FIRST}: F1 at published threshold" in evaluation((worse, rows[0])).facts()
    no_score = dataclasses.replace(rows[0], scores={**rows[0].scores, "f1": math.nan})
    assert evaluation((no_score,)).facts().headline == "there are no two images of one character"


def test_facts_leave_out_what_is_not_there(rows):
    facts = evaluation(rows, run_key=None).facts()
    assert "Run" not in facts and {FIRST, SECOND} <= {label.partition(":")[0] for label, _ in facts.pairs}


def test_notes_are_named_once_and_tell_of_missing_embeddings(rows):
    noted = tuple(dataclasses.replace(row, notes=("few characters",)) for row in rows)
    found = evaluation(noted, missing={FIRST: 1200, SECOND: 0})
    assert found.notes == ["few characters", f"{FIRST}: 1,200 images with a name have no embedding and are left out"]


def test_the_table_has_two_rows_for_each_model(rows):
    table = evaluation(rows).table()
    assert [row["Model"] for row in table] == [FIRST, "", SECOND, ""]
    assert [row["On"] for row in table] == ["these images", "published"] * 2
    row = rows[0]
    low, high = row.intervals["f1"].low, row.intervals["f1"].high
    assert table[0]["F1"] == f"{row.scores['f1']:.4f} [{low:.3f}-{high:.3f}]"
    assert evaluation(rows).table(intervals=False)[0]["F1"] == f"{row.scores['f1']:.4f}"
    assert table[1]["F1"] == f"{row.published['f1']:.4f}"
    assert set(table[0]) == {"Model", "On", *(SCORE_LABELS[name] for name in COLUMNS)}


def test_details_have_every_score(rows):
    details = evaluation(rows).details()
    assert len(details) == 2 * len(SCORE_LABELS)
    assert details[0].keys() == {"Model", "Score", "These images", "95% interval", "Published"}
    auc = next(row for row in details if row["Score"] == "ROC AUC")
    assert auc["Published"] == "", "nothing is published"


def test_confused_characters(rows):
    table = evaluation(rows).confused_table(2)
    assert [row["Model"] for row in table] == [FIRST, FIRST, SECOND, SECOND]
    first = rows[0].confused[0]
    assert (table[0]["Character"], table[0]["Confused with"]) == (first.first, first.second)
    assert (table[0]["Pairs"], table[0]["Share"]) == (first.n_pairs, f"{first.share:.1%}")


def test_a_model_by_its_name(rows):
    found = evaluation(rows)
    assert found.row(SECOND) is rows[1]
    with pytest.raises(ParameterError, match=FIRST):
        found.row("another")


def test_the_text_has_facts_and_table(rows):
    text = str(evaluation(rows[:1]))
    assert text.startswith(f"{FIRST}: F1 ") and "Cluster_2" in text


def test_files(rows, tmp_path):
    found = evaluation(rows)
    plain = json.loads(found.to_json(tmp_path / "結果.json").read_text(encoding="utf-8"))
    assert plain["facts"]["headline"] == found.facts().headline
    assert plain["rows"] == json.loads(json.dumps([row.as_dict() for row in rows]))
    with found.to_csv(tmp_path / "結果.csv").open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["model"] for line in lines] == [FIRST, SECOND]
    assert float(lines[0]["f1_low"]) == rows[0].intervals["f1"].low
    assert float(lines[0]["published_f1"]) == rows[0].published["f1"]
    assert lines[0].keys() >= {"with_selves_f1", "cluster_2_eps", "cluster_2_min_samples"}


def test_what_is_stored_is_loaded(rows):
    found = evaluation(rows)
    record = json.loads(json.dumps(found.as_dict()))
    again = loaded_models(found.target, record, found.run_key)
    assert json.loads(json.dumps(again.as_dict())) == record
    assert (again.facts(), again.table(), again.run_key) == (found.facts(), found.table(), found.run_key)
    assert "rows" not in found.summary() and len(found.summary()["models"]) == 2
