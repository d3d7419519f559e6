import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccip_plugin.core.identity.stability import apply_hysteresis

LIMIT = 0.178  # 50 degrees


def at_angles(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def of(text: str) -> list[int]:
    """``of("aab.")`` is 0, 0, 1, -1."""
    return [-1 if letter == "." else ord(letter) - ord("a") for letter in text]


def groups(labels) -> str:
    seen: dict[int, str] = {}
    return "".join("." if n < 0 else seen.setdefault(n, chr(ord("a") + len(seen))) for n in labels.tolist())


@pytest.mark.parametrize(
    "angle, found, previous, expected",
    [
        pytest.param(49, "aaaaaa", "aaabbb", "aaabbb", id="merged at just the limit"),
        pytest.param(46, "aaaaaa", "aaabbb", "aaaaaa", id="merged well within it"),
        pytest.param(51, "aaabbb", "aaaaaa", "aaaaaa", id="split at just over the limit"),
        pytest.param(54, "aaabbb", "aaaaaa", "aaabbb", id="split well over it"),
        pytest.param(49, "aaaaaa", "aaab..", "aaaaaa", id="one image is no group"),
        pytest.param(49, "aaaaaa", "aa.bb.", "aaabbb", id="other images go to the nearer"),
        pytest.param(51, "aaabbb", "aa.b..", "aaabbb", id="never together"),
        pytest.param(51, "aaabbb", "aaabbb", "aaabbb", id="as before"),
        pytest.param(51, "aaabbb", "......", "aaabbb", id="nothing before"),
        pytest.param(51, "aaabb.", "aaaaaa", "aaaaa.", id="who is in no group stays there"),
    ],
)
def test_weak_evidence_changes_no_group(angle, found, previous, expected):
    vectors = at_angles(0, 0, 0, angle, angle, angle)
    steadied = apply_hysteresis(of(found), of(previous), vectors, limit=LIMIT, threshold=LIMIT)
    assert groups(steadied) == expected
    again = apply_hysteresis(of(found), steadied, vectors, limit=LIMIT, threshold=LIMIT)
    assert groups(again) == expected, "the next run gives the same"


def test_what_was_split_comes_back_from_a_group_that_is_parted():
    """Most of one group went to another one: that is undone, and then its parts are one again."""
    vectors = at_angles(*[0] * 7, *[49] * 3)
    steadied = apply_hysteresis(of("aaabbbbbbb"), of("aaaaaaaccc"), vectors, limit=LIMIT, threshold=LIMIT)
    assert groups(steadied) == "aaaaaaabbb"


def test_leaves_alone_what_people_decided_on():
    vectors, bound = at_angles(0, 0, 0, 51, 51, 51), np.arange(6) == 4
    options = {"limit": LIMIT, "threshold": LIMIT}
    split, together, pair = of("aaabbb"), of("aaaaaa"), np.array([[1, 5]])
    assert groups(apply_hysteresis(split, together, vectors, is_constrained=bound, **options)) == "aaabbb"
    assert groups(apply_hysteresis(split, together, vectors, co_occurring=pair, **options)) == "aaabbb"
    vectors = at_angles(0, 0, 0, 49, 49, 49)
    assert groups(apply_hysteresis(of("aaaaaa"), of("aaabbb"), vectors, is_constrained=bound, **options)) == "aaaaaa"
    assert groups(apply_hysteresis(of("aaaaaa"), of("aaabbb"), vectors, min_samples=4, **options)) == "aaaaaa"


def test_large_groups_have_a_limit_of_their_own():
    vectors = at_angles(*[0] * 5, *[46] * 5)
    found, previous = of("a" * 10), of("aaaaabbbbb")
    assert groups(apply_hysteresis(found, previous, vectors, limit=LIMIT, threshold=LIMIT)) == "a" * 10
    assert groups(apply_hysteresis(found, previous, vectors, limit=0.9 * LIMIT, threshold=LIMIT)) == "aaaaabbbbb"


@settings(max_examples=60, deadline=None)
@given(n=st.integers(0, 60), seed=st.integers(0, 10_000))
def test_images_in_no_group_stay_there_and_the_rest_in_one(n, seed):
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(n, 8)) + 1.5
    labels, previous = random.integers(-1, 6, n), random.integers(-1, 6, n)
    steadied = apply_hysteresis(labels, previous, vectors.reshape(n, 8), limit=0.1, threshold=0.12)
    np.testing.assert_array_equal(steadied < 0, labels < 0)
