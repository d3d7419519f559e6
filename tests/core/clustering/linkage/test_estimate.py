"""The time of merging is estimated before it starts, from the number of pairs that it compares."""

import numpy as np
import pytest

from ccip_plugin.core.clustering.linkage import agglomeration, estimate, linkage
from ccip_plugin.core.neighbors.files import stored_graph
from ccip_plugin.core.neighbors.vectors import UnitVectors

THRESHOLD = 0.178


def images(n: int, n_characters: int, n_outfits: int, spread: float) -> UnitVectors:
    """Images of some characters, each in several outfits."""
    random = np.random.default_rng(1)
    characters = random.normal(size=(n_characters, 1, 64))
    outfits = (characters + 0.5 * random.normal(size=(n_characters, n_outfits, 64))).reshape(-1, 64)
    noise = spread * random.uniform(0.5, 1.2, (n, 1)) * random.normal(size=(n, 64))
    return UnitVectors(outfits[random.integers(0, len(outfits), n)] + noise)


CASES = {
    "one character": (1, 1, 0.5),
    "one character, nearly the same pictures": (1, 1, 0.2),
    "one character in outfits": (1, 12, 0.5),
    "three characters": (3, 4, 0.5),
}


@pytest.fixture
def as_many(monkeypatch):
    """Few images are merged as many are; the pairs compared are counted."""
    monkeypatch.setattr(agglomeration, "_MAX_SCIPY", 0)
    monkeypatch.setattr(agglomeration, "_MAX_MATRIX", 0)
    compared, usual = [], agglomeration._Agglomeration._pick_nearest

    def counted(state, cosines, rows):
        compared.append(cosines.size)
        usual(state, cosines, rows)

    monkeypatch.setattr(agglomeration._Agglomeration, "_pick_nearest", counted)
    return compared


@pytest.mark.parametrize("n", [1200, 2000, 3200])
@pytest.mark.parametrize("case", CASES)
def test_the_estimate_is_within_a_factor_of_two(as_many, case, n):
    unit = images(n, *CASES[case])
    expected = estimate.estimate_compared(unit, THRESHOLD)
    as_many.clear()
    linkage(unit, threshold=THRESHOLD)
    assert sum(as_many) / 2 < expected < 2 * sum(as_many)


def test_the_time_grows_with_the_number_of_pairs():
    few, many = (estimate.estimate_compared(images(n, 1, 1, 0.5), THRESHOLD) for n in (3000, 30_000))
    assert 80 < many / few < 200
    assert estimate.estimate_seconds(images(3000, 1, 1, 0.5), THRESHOLD) > 0


@pytest.mark.parametrize("is_stored", [False, True])
def test_the_estimate_is_told_before_anything_is_merged(monkeypatch, tmp_path, is_stored):
    monkeypatch.setattr(estimate, "MANY", 1200)
    unit, told = images(1200, 1, 1, 0.5), []
    data = stored_graph(unit, 0.25, tmp_path) if is_stored else unit
    linkage(data, threshold=THRESHOLD, near_duplicate=0.01, progress=told.append)
    assert told[0].note.startswith("about 0.") and told[0].done == 0
    told.clear()
    linkage(data, threshold=0.9 * THRESHOLD, near_duplicate=0.01, progress=told.append)
    assert any(step.note.startswith("about") for step in told) != is_stored, "stored merges take no time"


def test_images_that_are_all_different_take_no_time():
    unit = UnitVectors(np.random.default_rng(0).normal(size=(1100, 64)))
    assert estimate.estimate_compared(unit, 0.05) == 0
