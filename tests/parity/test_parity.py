"""The comparison with dghs-imgutils: that it sees differences, and what it takes for one."""

import numpy as np
import pytest

from parity.questions import Answers
from parity.run import compare, farthest, moved, relative

KINDS = (
    "boxes/yolo/a",
    "tensor/RGB/a",
    "plain/16-bit/a",
    "raw/model/one a call",
    "raw/model/all in a call",
    "pair/model",
    "matrix/set",
)
KINDS += ("same/set", "inclusive/model", "merge/set", "threshold/model", "preset/model/dbscan", "stated/eps of 0/set")
KINDS += ("documented/threshold/model", "documented/preset/dbscan")


def answers(**changed) -> Answers:
    """One answer to each kind of question; ``changed`` by the first word of its name."""
    given = Answers({name: np.array([1.0, 0.5], np.float32) for name in KINDS})
    given["labels/set/dbscan None None"] = np.array([0, 0, 1, 1, -1])
    for kind, value in changed.items():
        (name,) = [name for name in given if name.startswith(f"{kind}/")]
        given[name] = np.asarray(value)
    return given


def problems(ours: Answers, theirs: Answers) -> list[str]:
    return [row.what for row in compare(ours, theirs) if row.problem]


def test_no_difference_is_no_problem():
    assert problems(answers(), answers()) == []


@pytest.mark.parametrize(
    "changed, line",
    [
        pytest.param({"tensor": [1.0, np.nextafter(0.5, 1)]}, "tensor: RGB", id="one bit of a tensor"),
        pytest.param(
            {"plain": [1.0, 0.4]}, "tensor: 16-bit, theirs of a plain copy", id="what is different on purpose"
        ),
        pytest.param(
            {"boxes": [1.0, 1.5]}, "boxes, classes and scores of a detector: yolo", id="a box that is a pixel larger"
        ),
        pytest.param({"boxes": [1.0]}, "boxes, classes and scores of a detector: yolo", id="a box less"),
        pytest.param({"matrix": [1.0, 0.50001]}, "differences of all pairs", id="a difference"),
        pytest.param({"matrix": [1.0, np.nan]}, "differences of all pairs", id="not a number"),
        pytest.param({"matrix": [[1.0, 0.5]]}, "differences of all pairs", id="another shape"),
        pytest.param({"merge": [1.0, 0.50001]}, "merged embedding", id="a merged embedding"),
        pytest.param({"threshold": [1.0, 0.5 + 1e-9]}, "threshold, from the file", id="a threshold"),
        pytest.param({"labels": [0, 0, 1, -1, -1]}, "groups: dbscan, as published", id="an image in no group"),
        pytest.param({"labels": [0, 0, 1, 0, -1]}, "groups: dbscan, as published", id="an image in another group"),
        pytest.param({"labels": [0, 0, 0, 0, -1]}, "groups: dbscan, as published", id="groups joined"),
        pytest.param({"inclusive": "error: ValueError"}, "same character, difference = threshold", id="an error"),
    ],
)
def test_finds_a_difference(changed, line):
    assert problems(answers(**changed), answers()) == [line]


def test_the_names_of_groups_mean_nothing():
    assert problems(answers(labels=[7, 7, 2, 2, -1]), answers()) == []


def test_what_rounding_does_is_near():
    rows = compare(answers(matrix=[1.0, 0.5 + 1e-6]), answers())
    (row,) = [row for row in rows if row.worst and not row.what.startswith("different on purpose")]
    assert (row.what, row.problem) == ("differences of all pairs", "")


def test_what_is_different_on_purpose_is_shown_and_no_problem():
    ours = answers(stated=[0.0, 0.0])
    assert problems(ours, answers()) == []
    (row,) = [row for row in compare(ours, answers()) if row.what.startswith("different on purpose")]
    assert row.worst == 1.0


def test_errors_of_both_agree():
    assert problems(answers(preset="error: UnknownPresetError"), answers(preset="error: KeyError")) == []


@pytest.mark.parametrize("missing", ["ours", "theirs"])
def test_a_missing_answer_is_a_problem(missing):
    sides = {"ours": answers(), "theirs": answers()}
    sides[missing]["matrix/other"] = np.zeros(2)
    assert problems(**sides) == ["differences of all pairs"]


def test_nothing_to_compare_is_a_problem():
    ours, theirs = answers(), answers()
    for side in (ours, theirs):
        del side["merge/set"]
    assert problems(ours, theirs) == ["merged embedding"]


def test_answers_survive_writing(tmp_path):
    given = answers(inclusive="error: ValueError")
    given.save(tmp_path / "ours.npz")
    loaded, versions = Answers.load(tmp_path / "ours.npz")
    assert loaded.keys() == given.keys() and all((loaded[name] == given[name]).all() for name in given)
    assert set(versions) == {"onnxruntime", "pillow", "scikit-learn", "numpy"}


def test_keeps_the_name_of_an_error(capsys):
    given = Answers()
    given.ask("question", int, "x")
    assert str(given["question"]) == "error: ValueError"
    assert "invalid literal" in capsys.readouterr().err


@pytest.mark.parametrize(
    "measure, ours, theirs, expected",
    [
        pytest.param(farthest, [], [], 0, id="nothing"),
        pytest.param(farthest, [1, 5], [1, 2], 3, id="farthest"),
        pytest.param(relative, [10, 11], [10, 10], 0.1, id="relative"),
        pytest.param(moved, [], [], 0, id="no image"),
        pytest.param(moved, [0, 0, 0, 1], [0, 0, 1, 1], 2, id="one image went over, seen from both sides"),
    ],
)
def test_measures(measure, ours, theirs, expected):
    assert measure(np.array(ours), np.array(theirs)) == pytest.approx(expected)
