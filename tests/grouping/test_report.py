"""The report of a grouping as text and as plain values."""

import dataclasses
import json

import pytest

from ccip_plugin.core.identity.matching import GroupChange
from ccip_plugin.core.neighbors.quality import Quality
from ccip_plugin.grouping.parameters import GroupingParameters
from ccip_plugin.grouping.report import (
    CHANGE_LABELS,
    GroupingReport,
    GroupShape,
    describe_changes,
    describe_group_change,
    describe_quality,
)

REPORT = GroupingReport(
    run_key="ccip_groups",
    group_field="character_group",
    parameters=GroupingParameters("linkage", 0.1785, 2, "a-model"),
    n_items=1012,
    n_groups=37,
    n_grouped=940,
    n_unassigned=70,
    n_without_embedding=2,
    n_ignored=0,
    n_human=3,
    n_written=1007,
    n_left=0,
    sizes={2: 10, 120: 1},
    groups=(GroupChange("merged", 2, "Asuka", 1, 3),),
    shapes=(GroupShape(1, "Rei", 4, 0.05, 0.1, None, None, None),),
    warnings=("look",),
)


def facts(**changes):
    return dataclasses.replace(REPORT, **changes).facts()


def test_the_headline():
    assert facts().headline == "37 character groups with 940 images"
    one = facts(n_groups=1, n_grouped=1, group_field="faces.detections.character_group")
    assert one.headline == "1 character group with 1 detection"
    assert facts(proposal_key="p").headline.endswith(", proposed; no label is written")


@pytest.mark.parametrize(
    "label, changes, value",
    [
        pytest.param("In a group", {}, "940 of 1,012 images", id="share"),
        pytest.param("Largest group", {}, "120", id="largest group"),
        pytest.param("Largest group", {"sizes": {}}, None, id="no group"),
        pytest.param("Without embedding", {}, "2", id="without embedding"),
        pytest.param("Without embedding", {"n_without_embedding": 0}, None, id="all have embeddings"),
        pytest.param("Ignored", {"n_ignored": 4}, "4", id="ignored"),
        pytest.param("User labels kept", {"n_human": 0}, "0", id="no user labels"),
        pytest.param("Rescued, to be reviewed", {"n_rescued": 1}, "1", id="rescued"),
        pytest.param("Labels written", {}, "1,007", id="written"),
        pytest.param(
            "Labels written",
            {"n_refreshed": 1000},
            "1,007, of which 1,000 only with new confidence or difference",
            id="written, most of them refreshed",
        ),
        pytest.param("Labels written", {"proposal_key": "p"}, "none, this is a proposal", id="proposed"),
        pytest.param("Changed during the run, not overwritten", {"n_left": 1}, "1", id="changed by another process"),
        pytest.param("Method", {}, "Average linkage: eps 0.1785, min_samples 2", id="method"),
        pytest.param("Parameters", {}, None, id="published parameters"),
        pytest.param(
            "Parameters",
            {"parameters": dataclasses.replace(REPORT.parameters, source="calibrated")},
            "calibrated on these images",
            id="calibrated parameters",
        ),
        pytest.param(
            "Approximate graph",
            {"quality": Quality(512, 0.998, 0.9, 0.25, 128)},
            "99.80% of the 128 nearest neighbors found, measured on 512 images, 25.0% of the images have more",
            id="approximate graph",
        ),
        pytest.param("Time", {"seconds": {"read": 1.0, "cluster": 0.25}}, "1.2 s", id="time"),
        pytest.param("New in a group", {"changes": {"new": 3}}, None, id="a first grouping"),
        pytest.param("New in a group", {"changes": {"new": 3, "moved": 1}}, "3", id="a later grouping"),
        pytest.param("Moved to another group", {"changes": {"new": 3, "moved": 0, "unchanged": 1}}, None, id="none"),
    ],
)
def test_facts(label, changes, value):
    assert dict(facts(**changes).pairs).get(label) == value


def test_the_text_has_all_of_it():
    lines = str(REPORT).splitlines()
    assert lines[0] == "37 character groups with 940 images" and lines[-1] == "warning: look"


def test_changes_of_items_and_groups_as_text():
    assert describe_changes({"moved": 3, "new": 0, "unassigned": 1000}) == (
        "3 moved to another group, 1,000 newly unassigned"
    )
    assert describe_changes(dict.fromkeys(CHANGE_LABELS, 0)) == "no change"
    kinds = [GroupChange(kind, 1, "Rei", 7, 2) for kind in ("split", "merged", "gone", "new")]
    assert list(map(describe_group_change, kinds)) == [
        "split off from group 7",
        "merged into group 7",
        "no members left",
        "new",
    ]
    assert describe_group_change(GroupChange("merged", 1, "Rei", 7, 2, "Asuka")) == "merged into 'Asuka'"


def test_quality_without_a_cap_that_matters():
    assert describe_quality(Quality(10, 1.0, 1.0, 0.0, 128)).endswith("found, measured on 10 images")


def test_plain_values_and_back():
    plain = json.loads(json.dumps(REPORT.as_dict()))
    loaded = GroupingReport.from_dict(plain)
    assert (loaded.facts(), loaded.groups, loaded.shapes) == (REPORT.facts(), REPORT.groups, REPORT.shapes)
    assert json.loads(json.dumps(loaded.as_dict())) == plain
