"""The last reports of a dataset: kept by what made them, found by name, and whether labels are newer."""

import json

import pytest

from ccip_plugin import (
    apply_proposal,
    confirm,
    evaluate_groups,
    evaluate_model,
    group_characters,
    last_report,
    propose_groups,
    remove_ccip,
    undo,
)
from ccip_plugin.labels.history import NoReportError
from ccip_plugin.labels.history.last_reports import MOST_CHARACTERS, STORE, ReportKind, keep_report, last_reports
from ccip_plugin.reports.facts import Facts
from ccip_plugin.storage.internals import database, stores_of
from tests.support.groups import embed

pytestmark = pytest.mark.mongo


@pytest.fixture
def samples(dataset):
    data = dataset(*[f"/{n}.png" for n in range(8)])
    embed(data, "aaabbbcc")
    data.set_values("who", list("aaabbbcc"))
    return data


def test_each_kind_is_kept_by_what_made_it(samples):
    with pytest.raises(NoReportError, match="no report is kept; group, propose"):
        last_report(samples)
    propose_groups(samples)
    apply_proposal(samples)
    evaluate_groups(samples, "character_group", "who")
    evaluate_model(samples, "who", clusters=False)
    assert [each.name for each in last_reports(samples)] == [
        "evaluation of who",
        "evaluation of character_group",
        "grouping of character_group",
        "proposal of character_group",
    ]
    grouping = last_report(samples.limit(1), "grouping of character_group")
    assert grouping.headline == "3 character groups with 8 images" and grouping.age is None
    assert "Made" in str(grouping) and "Character groups" in grouping.facts()
    assert last_report(samples, "proposal of character_group").headline.endswith("no label is written")
    with pytest.raises(NoReportError, match="'x'; available: evaluation of who, "):
        last_report(samples, "x")


def test_a_report_says_when_labels_are_newer(samples):
    group_characters(samples)
    assert last_report(samples).age is None
    confirm(samples.limit(1))
    assert "older than the labels" in last_report(samples).age
    assert "older than the labels" in str(last_report(samples).facts())
    undo(samples)
    group_characters(samples)
    assert last_report(samples).age is None
    sample = samples.first()
    sample.character_group.label = "レイ"
    sample.save()
    assert last_report(samples).age == "labels of 1 sample were edited since this report"


@pytest.mark.parametrize("patches_field", [None, "people"])
def test_only_labels_make_a_report_old(dataset, patches_field):
    import fiftyone as fo

    data = dataset(*[f"/{n}.png" for n in range(6)])
    if patches_field:
        for sample in data.iter_samples(autosave=True):
            sample["people"] = fo.Detections(detections=[fo.Detection(label="girl", bounding_box=[0, 0, 1, 1])])
    embed(data, "aaabbb", patches_field)
    group_characters(data, patches_field=patches_field)
    data.set_values("notes", list("abcdef"))
    data.tag_samples("seen")
    assert last_report(data).age is None
    path = "people.detections.character_group" if patches_field else "character_group.label"
    data[:2].set_values(path, [[None], ["Rei"]] if patches_field else [None, "Rei"])
    assert last_report(data).age == "labels of 2 samples were edited since this report"


def test_the_last_one_replaces_the_one_before(samples):
    group_characters(samples)
    group_characters(samples, eps=0.5)
    (kept,) = last_reports(samples)
    assert kept.facts()["Method"].endswith("eps 0.5000, min_samples 2")


def test_what_cannot_be_kept_or_read_is_left_out(samples):
    facts = Facts("much")
    keep_report(samples, ReportKind.COMPARISON, "a and b", facts, {"x": "y" * MOST_CHARACTERS}, about=())
    assert last_reports(samples) == []
    keep_report(samples, ReportKind.COMPARISON, "a and b", facts, {}, about=())
    keep_report(samples, ReportKind.COMPARISON, "c", facts, {}, about=())
    heads = {"store_name": STORE, "key": "head/comparison/c"}
    for broken in ("{", json.dumps({"kind": "comparison"}), json.dumps([]), None):
        database().execution_store.update_one(heads, {"$set": {"value": broken}})
        assert [each.path for each in last_reports(samples)] == ["a and b"]


def test_removing_everything_removes_reports(samples):
    group_characters(samples)
    removal = remove_ccip(samples)
    assert removal.facts()["Last reports"] == "all" and stores_of(samples, "ccip_") == ()
