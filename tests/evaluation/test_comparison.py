"""Two groupings side by side: agreement, what moved, views; evaluations and models likewise."""

import csv
import json

import fiftyone as fo
import pytest
import sklearn.metrics

from ccip_plugin.core.preprocessing import READING_POLICY
from ccip_plugin.embeddings.provenance import Provenance, write_provenance
from ccip_plugin.evaluation import evaluate_groups, evaluate_model
from ccip_plugin.evaluation.comparison import NotComparableError, comparable, compare_runs
from ccip_plugin.evaluation.comparison_report import DIFFERENCE_LABELS, MOVED
from ccip_plugin.grouping import group_characters, propose_groups
from ccip_plugin.storage.fields import EMBEDDINGS_FIELD
from ccip_plugin.storage.targets import TargetError, resolve
from tests.support.groups import embed, labels

pytestmark = pytest.mark.mongo


@pytest.fixture
def made(dataset):
    def make(letters):
        new = dataset(*[f"/絵/{n}.png" for n in range(len(letters))])
        embed(new, letters)
        new.set_values("who", [f"キャラ {letter}" for letter in letters])
        return new

    return make


def test_what_moved(made):
    samples = made("aaabbbcd")
    samples.set_values("one", ["ミク", "ミク", "ミク", "リン", "リン", "リン", None, "solo"])
    samples.set_values("other", ["g1", "g1", "g2", "g2", "g2", None, "g3", "g4"])
    found = compare_runs(samples, "one", "other")
    ids = samples.values("id")
    assert {kind: list(found.ids[kind]) for kind in DIFFERENCE_LABELS} == {
        "same": [ids[0], ids[1], ids[3], ids[4], ids[7]],
        "moved": [ids[2]],
        "newly_grouped": [ids[6]],
        "no_longer_grouped": [ids[5]],
        "in_no_group": [],
    }
    assert found.view().values("id") == [ids[2]]
    groups = {each.first: (each.second, each.n_first, each.n_second, each.n_shared) for each in found.groups}
    assert groups == {"ミク": ("g1", 3, 2, 2), "リン": ("g2", 3, 3, 2), "solo": ("g4", 1, 1, 1)}
    assert found.n_new_groups == 1
    assert samples.list_runs() == []
    assert found.facts()["Moved to another group"] == "1" and found.as_dict()["counts"]["same"] == 5
    assert found.facts()["Groups of the second without a counterpart"] == "1"
    assert "Adjusted Rand index" in str(found)


def test_agreement_is_that_of_scikit_learn(made):
    samples = made("aaabbbcd")
    one, other = list("xxxyyyzz"), list("ppqqqrrr")
    samples.set_values("one", one)
    samples.set_values("other", other)
    found = compare_runs(samples, "one", "other")
    assert found.agreement.ari == pytest.approx(sklearn.metrics.adjusted_rand_score(one, other))
    assert compare_runs(samples, "one", "one").agreement.ari == 1
    assert found.table()[0] == {"Agreement": "Adjusted Rand index", "Value": f"{found.agreement.ari:.4f}"}


def test_a_grouping_and_a_proposal_by_their_keys(made):
    samples = made("aaabbbAAA")
    group_characters(samples)
    before = labels(samples)
    proposal = propose_groups(samples, method="dbscan", eps=0.6)
    found = compare_runs(samples, "ccip_groups", proposal.key)
    assert labels(samples) == before
    assert found.counts[MOVED] == len(proposal.ids["merged"]) + len(proposal.ids["moved"]) > 0
    assert compare_runs(samples, "ccip_groups", "character_group").counts["same"] == 9


def test_two_models(made):
    samples = made("aaabbbc")
    field = "ccip_embedding_other"
    samples.add_sample_field(field, fo.VectorField)
    write_provenance(samples, field, Provenance("ccip-caformer_b36-24", READING_POLICY))
    vectors = samples.values(EMBEDDINGS_FIELD)
    vectors[0], vectors[6] = vectors[6], vectors[0]
    samples.set_values(field, vectors)
    found = compare_runs(samples, EMBEDDINGS_FIELD, field)
    ids = samples.values("id")
    assert set(found.ids["same"]) == set(ids[1:6])
    assert (found.ids["no_longer_grouped"], found.ids["newly_grouped"]) == ([ids[0]], [ids[6]])


def test_evaluations(made):
    samples = made("aaabbbc")
    samples.set_values("one", list("xxxyyyz"))
    samples.set_values("other", list("xxyyyyz"))
    for name in ("one", "other"):
        evaluate_groups(samples, name, "who")
    found = compare_runs(samples, "ccip_evaluation_one", "ccip_evaluation_other")
    rows = {row["Score"]: row for row in found.table()}
    assert (rows["Clicks to clean"]["First"], rows["Clicks to clean"]["Second"]) == ("0", "1")
    assert rows["Adjusted Rand index"]["First"] == "1.0000" and rows["Adjusted Rand index"]["Difference"].startswith(
        "-"
    )
    for key in ("first", "second"):
        evaluate_model(samples, "who", run_key=key, clusters=False)
    found = compare_runs(samples, "first", "second")
    assert all(row["Difference"] in ("", "+0.0000") for row in found.table())
    with pytest.raises(NotComparableError, match="one is about models"):
        compare_runs(samples, "first", "ccip_evaluation_one")
    with pytest.raises(NotComparableError, match="one is an evaluation"):
        compare_runs(samples, "first", "who")


def test_is_kept_when_asked_and_readable_without_the_plugin(made, run_python, tmp_path):
    samples = made("aaabbbcd")
    samples.set_values("one", ["ミク", "ミク", "ミク", "リン", "リン", "リン", None, "solo"])
    samples.set_values("other", ["g1", "g1", "g2", "g2", "g2", None, "g3", "g4"])
    found = compare_runs(samples, "one", "other", run_key="mine")
    code = f"""
        import fiftyone as fo, json, sys
        dataset = fo.load_dataset({samples.name!r})
        config, results = dataset.get_run_info("mine").config.serialize(), dataset.load_run_results("mine")
        assert not any("ccip" in name for name in sys.modules)
        print(json.dumps([config["counts"]["moved"], results.ids["moved"], [each["first"] for each in results.groups]]))
    """
    ids = samples.values("id")
    assert json.loads(run_python(code).stdout) == [1, [ids[2]], [each.first for each in found.groups]]
    assert json.loads(found.to_json(tmp_path / "a.json").read_text(encoding="utf-8")) == {
        "facts": found.facts().as_dict(),
        **found.as_dict(),
    }
    with found.to_csv(tmp_path / "a.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["first"] for row in csv.DictReader(file)] == [each.first for each in found.groups]
    for name in ("one", "other"):
        evaluate_groups(samples, name, "who")
    evaluations = compare_runs(samples, "ccip_evaluation_one", "ccip_evaluation_other", run_key="mine")
    assert samples.load_run_results("mine").rows == evaluations.table()
    with evaluations.to_csv(tmp_path / "b.csv").open(encoding="utf-8-sig", newline="") as file:
        assert list(csv.DictReader(file)) == evaluations.table()
    assert json.loads(evaluations.to_json(tmp_path / "b.json").read_text(encoding="utf-8"))["first"]


def test_detections(dataset):
    samples = dataset("/a.png")
    boxes = [fo.Detection(label="face", one=x, other=y, bounding_box=[0, 0, 1, 1]) for x, y in ("ax", "ax", "by")]
    samples.set_values("faces", [fo.Detections(detections=boxes)])
    for name in ("one", "other"):
        samples.add_sample_field(f"faces.detections.{name}", fo.StringField)
    found = compare_runs(samples, "one", "other", patches_field="faces")
    assert found.counts["same"] == 3
    assert found.view("same").count("faces.detections") == 3


def test_ignored_images_take_no_part(made):
    samples = made("aaabbb")
    group_characters(samples)
    sample = samples.first()
    sample.character_group.status = "ignored"
    sample.save()
    assert sum(compare_runs(samples, "character_group", "who").counts.values()) == 5


@pytest.mark.parametrize("second, error", [
    pytest.param("nothing", TargetError, id="no such thing"),
    pytest.param("filepaths", TargetError, id="no such field"),
])  # fmt: skip
def test_what_cannot_be_compared(made, second, error):
    with pytest.raises(error):
        compare_runs(made("aab"), "who", second)


def test_what_can_be_compared(made):
    samples = made("aaabbb")
    group_characters(samples)
    evaluate_groups(samples, "character_group", "who")
    found = comparable(resolve(samples))
    assert set(found) >= {"who", "character_group", EMBEDDINGS_FIELD, "ccip_groups", "ccip_evaluation_character_group"}
