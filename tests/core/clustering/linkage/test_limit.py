"""The limit between large groups: where it is learned, and that it does not jump from run to run."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccip_plugin.core.clustering.linkage.limit import tail_limit
from ccip_plugin.core.differences import normalize

THRESHOLD, FLOOR = 0.178, 0.868


def means(n: int, n_archetypes: int = 12, alike: float = 0.65, seed: int = 0) -> np.ndarray:
    """Mean vectors of groups; those of one archetype are near each other."""
    random = np.random.default_rng(seed)
    of = random.integers(0, n_archetypes, n)
    own = random.normal(size=(n, 48))
    return normalize(alike * random.normal(size=(n_archetypes, 48))[of] + (1 - alike) * own)


@pytest.mark.parametrize(
    "previous, expected",
    [
        pytest.param(None, 1, id="no earlier run"),
        pytest.param(0.9 * THRESHOLD, 0.9, id="nothing speaks against it"),
        pytest.param(0.5 * THRESHOLD, FLOOR, id="not below the floor"),
        pytest.param(2 * THRESHOLD, 1, id="not over the threshold"),
    ],
)
def test_few_groups_say_nothing(previous, expected):
    assert tail_limit(means(3), THRESHOLD, floor=FLOOR, previous=previous) == pytest.approx(expected * THRESHOLD)


@settings(max_examples=60, deadline=None)
@given(n=st.integers(0, 200), seed=st.integers(0, 1000), share=st.floats(0.8, 1.1))
def test_what_is_known_stays_on_the_same_images_and_never_leaves_its_range(n, seed, share):
    found = means(n, seed=seed)
    first = tail_limit(found, THRESHOLD, floor=FLOOR)
    assert tail_limit(found, THRESHOLD, floor=FLOOR, previous=first) == first
    kept = tail_limit(found, THRESHOLD, floor=FLOOR, previous=share * THRESHOLD)
    assert FLOOR * THRESHOLD <= kept <= THRESHOLD
    assert tail_limit(found, THRESHOLD, floor=FLOOR, previous=kept) == kept


def test_many_groups_say_where_it_is_whatever_was_known():
    found = means(1500, n_archetypes=30)
    wanted = tail_limit(found, THRESHOLD, floor=FLOOR)
    for share in (FLOOR, 1.0):
        kept = tail_limit(found, THRESHOLD, floor=FLOOR, previous=share * THRESHOLD)
        assert abs(kept - wanted) <= 0.05 * THRESHOLD
