import numpy as np
import pytest

from ccip_plugin.core.evaluation.labels import encode_labels, noise_as_singletons, ratio_or_nan


@pytest.mark.parametrize(
    "labels, codes, names",
    [
        pytest.param(["b", "a", "b"], [0, 1, 0], ["b", "a"], id="names, by first occurrence"),
        pytest.param([7, 3, 7], [0, 1, 0], [7, 3], id="numbers"),
        pytest.param(np.array([2.0, 0.0]), [0, 1], [2.0, 0.0], id="an array"),
        pytest.param([None, "", -1, float("nan"), "a"], [-1, -1, -1, -1, 0], ["a"], id="no label"),
        pytest.param([0, False, "0"], [0, 0, 1], [0, "0"], id="zero is a label"),
        pytest.param([], [], [], id="nothing"),
    ],
)
def test_labels_become_codes(labels, codes, names):
    found, found_names = encode_labels(labels)
    assert (found.tolist(), found_names, found.dtype) == (codes, names, np.int64)


@pytest.mark.parametrize(
    "labels, start, expected",
    [
        pytest.param([0, -1, 1, -1], None, [0, 2, 1, 3], id="noise"),
        pytest.param([-1, -5], None, [0, 1], id="only noise"),
        pytest.param([3, -1], 9, [3, 9], id="a first number"),
        pytest.param([1, 0], None, [1, 0], id="no noise"),
        pytest.param([], None, [], id="nothing"),
    ],
)
def test_images_in_no_group_have_one_of_their_own(labels, start, expected):
    given = np.array(labels, np.int64)
    before = given.copy()
    assert noise_as_singletons(given, start).tolist() == expected
    np.testing.assert_array_equal(given, before)


@pytest.mark.parametrize("part, whole, expected", [(1, 4, 0.25), (0, 3, 0), (0, 0, float("nan"))])
def test_ratios(part, whole, expected):
    assert ratio_or_nan(part, whole) == pytest.approx(expected, nan_ok=True)
