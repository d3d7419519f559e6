"""The evaluation of groups as text, tables and files."""

import csv
import dataclasses
import json

import pytest

from ccip_plugin.core.errors import ParameterError
from ccip_plugin.core.evaluation.costs import group_costs
from ccip_plugin.core.evaluation.groups import group_metrics
from ccip_plugin.evaluation.group_evaluation import (
    COST_LABELS,
    METRIC_LABELS,
    MISPLACED,
    SCATTERED,
    UNASSIGNED_ITEMS,
    WORST_GROUP,
    GroupEvaluation,
    loaded_groups,
)
from ccip_plugin.storage.targets import Target

GROUPS = ["g1", "g1", "g1", "g2", "g3", None, None]
NAMES = ["ミク", "ミク", "リン", "ミク", "リン", "リン", None]
IDS = {MISPLACED: ["2"], SCATTERED: ["3"], UNASSIGNED_ITEMS: ["5"], WORST_GROUP: ["0", "1", "2"]}


@pytest.fixture
def evaluation():
    metrics, costs = group_metrics(GROUPS, NAMES), group_costs(GROUPS, NAMES)
    target = Target(None, None)
    tables = (costs.moves, costs.merges, tuple(costs.groups), tuple(costs.characters))
    return GroupEvaluation(target, "groups", "who", metrics, *tables, IDS, 4, "ccip_evaluation_groups", "2026-01-01")


def test_facts(evaluation):
    facts = evaluation.facts()
    assert facts.headline == f"3 clicks to clean, ARI {evaluation.metrics.ari:.3f}"
    assert dict(facts.pairs) == {
        "Clicks to clean": "3: 1 move, 2 merges",
        "A click": "moves an image to another group, or merges two groups",
        "Images in a group of another character": "1",
        "Images in a second group of their character": "1",
        "Unassigned images of a character with a group": "1",
        "Images in the group that costs the most clicks": "3",
        "Images with a name": "6",
        "Without a name, left out": "1",
        "Ignored, left out": "4",
        "Characters": "2",
        "In a group": "83.3%",
        "Run": "ccip_evaluation_groups",
    }


def test_facts_leave_out_what_is_not_there(evaluation):
    facts = dataclasses.replace(evaluation, n_ignored=0, run_key=None).facts()
    assert "Ignored, left out" not in facts and "Run" not in facts


def test_the_metrics_with_and_without_unassigned_items(evaluation):
    table = {row["Metric"]: row for row in evaluation.table()}
    assert list(table) == list(METRIC_LABELS.values())
    row = table["Adjusted Rand index"]
    assert row["All"] == f"{evaluation.metrics.ari:.4f}"
    assert row["In groups"] == f"{evaluation.metrics.grouped.ari:.4f}"


def test_all_items_in_groups_have_one_score():
    names = ["a", "a", "b"]
    metrics = group_metrics(names, names)
    rest = (0, 0, (), (), {}, 0, None, "")
    table = GroupEvaluation(Target(None, None), "g", "w", metrics, *rest).table()
    assert all(row["All"] == row["In groups"] for row in table)


def test_groups_without_clicks_are_not_in_the_table(evaluation):
    table = evaluation.group_table()
    assert [row["Group"] for row in table] == [str(row.name) for row in evaluation.groups if row.clicks]
    assert table[0] == {
        "Group": "g1",
        "Character": "ミク",
        "Images": 3,
        "Wrong": 1,
        "Mostly": "リン",
        "Clicks": evaluation.groups[0].clicks,
    }
    assert len(evaluation.group_table(1)) == 1


def test_characters(evaluation):
    (first, second) = evaluation.character_table()
    assert {first["Character"], second["Character"]} == {"ミク", "リン"}
    assert first["Clicks"] >= second["Clicks"]
    assert first.keys() == {"Character", "Images", "Groups", "Unassigned", "Recall", "Precision", "Clicks"}
    assert len(evaluation.character_table(1)) == 1


@pytest.mark.parametrize("call", [lambda found: found.view("gone"), lambda found: found.to_csv("x.csv", "gone")])
def test_what_there_is_not_is_an_error_that_names_what_there_is(evaluation, call):
    with pytest.raises(ParameterError, match=r"one of (misplaced, scattered|characters, groups)"):
        call(evaluation)


def test_every_kind_has_a_label():
    assert list(COST_LABELS) == list(IDS)


def test_the_text_has_facts_and_metrics(evaluation):
    lines = str(evaluation).splitlines()
    assert lines[0].startswith("3 clicks to clean") and any(line.startswith("B-cubed F1") for line in lines)


@pytest.mark.parametrize("table, n", [("characters", 2), ("groups", 3), ("metrics", 12)])
def test_files(evaluation, tmp_path, table, n):
    with evaluation.to_csv(tmp_path / "表.csv", table).open(encoding="utf-8-sig", newline="") as file:
        assert len(list(csv.DictReader(file))) == n
    plain = json.loads(evaluation.to_json(tmp_path / "表.json").read_text(encoding="utf-8"))
    assert (plain["facts"]["Characters"], plain["clicks"]) == ("2", 3)


def test_what_is_stored_is_loaded(evaluation):
    record = {**json.loads(json.dumps(evaluation.as_dict())), "ids": IDS}
    again = loaded_groups(evaluation.target, record, evaluation.run_key)
    assert (again.metrics, again.facts(), again.groups) == (
        evaluation.metrics,
        evaluation.facts(),
        tuple(evaluation.groups),
    )
