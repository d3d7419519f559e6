"""Calibration of a dataset: from ground truth, from confirmed groups and rejections; kept with the dataset."""

import json

import fiftyone as fo
import pytest

from ccip_plugin.embeddings.provenance import Provenance, write_provenance
from ccip_plugin.evaluation.calibration import NothingToCalibrateError, calibrate
from ccip_plugin.grouping import group_characters
from ccip_plugin.grouping.calibrated import calibrated_parameters, load_calibrated
from ccip_plugin.labels.identities import load_registry, registry_revision, save_delta
from ccip_plugin.reports.words import local_time
from ccip_plugin.storage.fields import EMBEDDINGS_FIELD
from ccip_plugin.storage.targets import resolve
from tests.support.groups import embed

pytestmark = pytest.mark.mongo

LETTERS = "".join(letter * 6 for letter in "abcdefgh") + "A" * 4


@pytest.fixture
def made(dataset):
    def make(letters, **options):
        new = dataset(*[f"/絵/{n}.png" for n in range(len(letters))], **options)
        embed(new, letters)
        new.set_values("who", [f"キャラ {letter}" for letter in letters])
        return new

    return make


def test_from_ground_truth(made):
    samples = made(LETTERS)
    found = calibrate(samples, ground_truth_field="who")
    assert found.recommendation.f1 == 1 and found.is_enough
    assert (found.recommendation.n_images, found.recommendation.n_characters) == (52, 9)
    assert found.facts()["Published threshold"] == "0.1785"
    assert [row["Method"] for row in found.table()] == ["Average linkage", "DBSCAN"] and "linkage" in str(found)
    report = group_characters(samples, method="dbscan", eps=found.parameters("dbscan").eps, min_samples=2)
    assert report.n_groups == 9


def test_is_kept_and_loads_anywhere(made, run_python, tmp_path):
    samples = made(LETTERS)
    found = calibrate(samples, ground_truth_field="who")
    code = f"""
        import fiftyone as fo, sys
        config = fo.load_dataset({samples.name!r}).get_run_info("ccip_calibration_ccip_embedding").config
        assert not any("ccip" in name for name in sys.modules)
        print(config.recommendation["threshold"])
    """
    assert float(run_python(code).stdout) == found.recommendation.threshold
    plain = json.loads(found.to_json(tmp_path / "a.json").read_text(encoding="utf-8"))
    assert plain["recommendation"]["methods"]["linkage"]["eps"] == found.parameters("linkage").eps
    assert found.run_key == "ccip_calibration_ccip_embedding"
    assert load_calibrated(samples) == found
    assert samples.get_run_info(found.run_key).config.recommendation["threshold"] == found.recommendation.threshold
    parameters = calibrated_parameters(resolve(samples), EMBEDDINGS_FIELD, "linkage")
    assert parameters == (found.parameters("linkage").eps, 2)
    assert calibrated_parameters(resolve(samples), EMBEDDINGS_FIELD, "dbscan_2")[0] == found.parameters("dbscan").eps
    assert calibrated_parameters(resolve(samples), EMBEDDINGS_FIELD, "optics") is None
    clone = samples.clone()
    try:
        assert load_calibrated(clone) == found
    finally:
        clone.delete()


def test_embeddings_of_another_model_have_none(made):
    samples = made(LETTERS)
    calibrate(samples, ground_truth_field="who")
    write_provenance(samples, EMBEDDINGS_FIELD, Provenance("ccip-caformer_b36-24", 1))
    assert load_calibrated(samples) is None
    assert calibrated_parameters(resolve(samples), EMBEDDINGS_FIELD, "linkage") is None


def test_thin_evidence_is_kept_and_not_offered(made):
    samples = made("aabbc")
    found = calibrate(samples, ground_truth_field="who")
    assert not found.is_enough and "insufficient evidence" in str(found)
    assert load_calibrated(samples).recommendation.thin == found.recommendation.thin
    assert calibrated_parameters(resolve(samples), EMBEDDINGS_FIELD, "linkage") is None


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(slice(0, 5), id="one character"),
        pytest.param(slice(0, 48, 6), id="no two of a character"),
        pytest.param(slice(0, 20), id="few characters"),
    ],
)
def test_thin_evidence_does_not_replace_a_calibration(made, part):
    samples = made(LETTERS)
    good = calibrate(samples, ground_truth_field="who")
    thin = calibrate(samples.select(samples.values("id")[part]), ground_truth_field="who")
    assert load_calibrated(samples) == good
    assert (thin.is_enough, thin.run_key, thin.earlier_at) == (False, None, good.at)
    assert len(thin.facts().warnings) == 1 and "nan" not in str(thin)
    assert thin.facts().headline == f"not enough evidence, the calibration of {local_time(good.at)} stays"


def test_thin_evidence_replaces_thin_evidence_and_another_models(made):
    samples = made("aabbc" + LETTERS)
    thin = calibrate(samples.limit(5), ground_truth_field="who")
    assert thin.facts().headline == "not enough evidence, keep the published threshold"
    assert load_calibrated(samples) == thin and "stays" not in str(thin)
    assert calibrate(samples.limit(4), ground_truth_field="who") == load_calibrated(samples)
    assert calibrate(samples, ground_truth_field="who") == load_calibrated(samples), "enough replaces it"
    write_provenance(samples, EMBEDDINGS_FIELD, Provenance("ccip-caformer_b36-24", 1))
    assert calibrate(samples.limit(5), ground_truth_field="who") == load_calibrated(samples)


def confirm(samples, letters, wanted):
    labels = samples.values("character_group")
    for label, letter in zip(labels, letters, strict=True):
        if letter in wanted:
            label.status = "confirmed"
    samples.set_values("character_group", labels)


def reject(samples, group_id, ids):
    """As a person would; the review that does it writes the same."""
    revision = registry_revision(samples, "character_group")
    rejected = {str(group_id): list(ids)}
    save_delta(samples, "character_group", revision=revision, next_id=1, groups={}, rejected=rejected)
    assert load_registry(samples, "character_group").rejections == {group_id: frozenset(ids)}


def test_from_confirmed_groups(made):
    letters = "".join(letter * 6 for letter in "abcdefghij")
    samples = made(letters)
    group_characters(samples)
    with pytest.raises(NothingToCalibrateError, match="confirmed groups"):
        calibrate(samples)
    confirm(samples, letters, "abcdefgh")
    found = calibrate(samples)
    assert (found.recommendation.n_images, found.recommendation.n_characters, found.evidence) == (
        48,
        8,
        "confirmed groups",
    )
    assert found.is_enough


def test_rejections_are_evidence(made):
    letters = "".join(letter * 6 for letter in "abcdefgh")
    samples = made(letters)
    group_characters(samples)
    confirm(samples, letters, "abcdef")
    before = calibrate(samples, keep=False).recommendation
    group_id = samples.first().character_group.group_id
    reject(samples, group_id, [samples.last().id, samples.skip(7).first().id])
    found = calibrate(samples, keep=False).recommendation
    assert found.n_rejected == 6, "the other one is in a confirmed group, which tells it already"
    assert found.n_different == before.n_different + 6


def test_detections(dataset):
    samples = dataset("/a.png", "/b.png")
    letters = "aabbccdd" * 3
    for sample, part in zip(samples, (letters[:12], letters[12:]), strict=True):
        boxes = [fo.Detection(label="face", who=x, bounding_box=[0, 0, 0.5, 1]) for x in part]
        sample["faces"] = fo.Detections(detections=boxes)
        sample.save()
    samples.add_sample_field("faces.detections.who", fo.StringField)
    embed(samples, letters, "faces")
    found = calibrate(samples, ground_truth_field="who", patches_field="faces")
    assert found.recommendation.n_images == 24
    assert load_calibrated(samples, patches_field="faces") == found
    assert load_calibrated(samples) is None


def test_without_embeddings(dataset):
    samples = dataset("/a.png")
    with pytest.raises(NothingToCalibrateError, match="compute embeddings"):
        calibrate(samples)
