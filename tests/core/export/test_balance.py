"""Repeats, the diverse choice and near-duplicates, each against an obvious version."""

import numpy as np
import pytest

from ccip_plugin.core.errors import ParameterError
from ccip_plugin.core.export.balance import diverse, duplicates, repeats_for


def unit(rows):
    vectors = np.asarray(rows, np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize(
    "counts, options, expected",
    [
        pytest.param([], {}, [], id="nothing"),
        pytest.param([100, 50, 30, 1], {}, [1, 2, 3, 10], id="to the largest, up to a limit"),
        pytest.param([100, 50, 30, 1], {"max_repeats": 2}, [1, 2, 2, 2], id="a smaller limit"),
        pytest.param([100, 50, 20], {"target": 40}, [1, 1, 2], id="a target"),
        pytest.param([10], {"target": 25}, [3], id="a half is rounded up"),
    ],
)
def test_repeats(counts, options, expected):
    assert repeats_for(np.array(counts, np.int64), **options).tolist() == expected


@pytest.mark.parametrize("options", [{"target": 0}, {"max_repeats": 0}])
def test_refuses_repeats_below_one(options):
    with pytest.raises(ParameterError):
        repeats_for(np.array([3]), **options)


def test_chooses_one_of_each_appearance():
    rng = np.random.default_rng(7)
    centers = rng.normal(size=(5, 16))
    appearance = np.repeat(np.arange(5), [40, 30, 5, 2, 1])
    vectors = unit(centers[appearance] + 0.05 * rng.normal(size=(len(appearance), 16)))
    assert set(appearance[diverse(vectors, 5)]) == set(range(5))


def test_farthest_first_is_that_of_the_slow_loop():
    rng = np.random.default_rng(3)
    vectors = unit(rng.normal(size=(30, 8)))
    chosen = [int(np.argmax(vectors @ vectors.mean(axis=0)))]
    while len(chosen) < 12:
        rest = [row for row in range(30) if row not in chosen]
        chosen.append(max(rest, key=lambda row: min((1 - vectors[row] @ vectors[each]) / 2 for each in chosen)))
    assert diverse(vectors, 12).tolist() == chosen


@pytest.mark.parametrize("n_kept, expected", [(0, 0), (2, 2), (9, 4)])
def test_chooses_at_most_all(n_kept, expected):
    vectors = unit(np.eye(4) + 0.1)
    vectors[1] = np.nan
    chosen = diverse(vectors, n_kept).tolist()
    assert len(set(chosen)) == len(chosen) == expected
    assert 1 not in chosen[:3]  # without an embedding: last


def test_equal_images_are_all_chosen_once():
    assert sorted(diverse(unit(np.ones((5, 3))), 5).tolist()) == [0, 1, 2, 3, 4]


HASH = 0xDEADBEEF00FF1234
TWINS, STRANGERS = [1.0, 0.0], [0.0, 1.0]


@pytest.mark.parametrize(
    "hashes, vectors, expected",
    [
        pytest.param([], np.zeros((0, 2)), [], id="nothing"),
        pytest.param([HASH, HASH], [TWINS, TWINS], [-1, 0], id="equal"),
        pytest.param([HASH, HASH ^ 0b1111], [TWINS, TWINS], [-1, 0], id="four bits"),
        pytest.param([HASH, HASH ^ 0b11111], [TWINS, TWINS], [-1, -1], id="five bits"),
        pytest.param([HASH, HASH], [TWINS, STRANGERS], [-1, -1], id="a composition like it, another character"),
        pytest.param([HASH, ~HASH & (2**64 - 1)], [TWINS, TWINS], [-1, -1], id="another picture of the character"),
        pytest.param([0, 0b1111, 0b11111111], [TWINS] * 3, [-1, 0, -1], id="no chain: the second is not kept"),
        pytest.param([HASH, HASH], [TWINS, [np.nan, 0]], [-1, -1], id="no embedding"),
    ],
)
def test_duplicates(hashes, vectors, expected):
    hashes = np.array(hashes, np.uint64)
    found = duplicates(hashes, np.ones(len(hashes), np.bool_), np.array(vectors, np.float32))
    assert found.tolist() == expected


def test_an_image_without_a_hash_duplicates_nothing():
    found = duplicates(np.zeros(2, np.uint64), np.array([True, False]), np.array([TWINS, TWINS], np.float32))
    assert found.tolist() == [-1, -1]


def test_duplicates_in_many_blocks_are_those_of_the_slow_loop():
    rng = np.random.default_rng(11)
    base = rng.integers(0, 2**64, 400, dtype=np.uint64)
    hashes = base[rng.integers(0, 400, 1300)]
    for _ in range(3):
        hashes = hashes ^ (np.uint64(1) << rng.integers(0, 64, 1300).astype(np.uint64))
    vectors = unit(np.eye(8)[rng.integers(0, 3, 1300)] + 0.01 * rng.normal(size=(1300, 8)))
    expected = np.full(1300, -1)
    for row in range(1300):
        for other in range(row):
            is_near = bin(int(hashes[row]) ^ int(hashes[other])).count("1") <= 4
            if is_near and expected[other] < 0 and (1 - float(vectors[row] @ vectors[other])) / 2 <= 0.02:
                expected[row] = other
                break
    assert (expected >= 0).sum() > 50
    found = duplicates(hashes, np.ones(1300, np.bool_), vectors)
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("options", [{"max_bits": 65}, {"max_bits": -1}, {"max_difference": 1.5}])
def test_refuses_limits_out_of_range(options):
    with pytest.raises(ParameterError):
        duplicates(np.zeros(1, np.uint64), np.ones(1, np.bool_), np.zeros((1, 2), np.float32), **options)
