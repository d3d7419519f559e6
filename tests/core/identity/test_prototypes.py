import numpy as np
import pytest

from ccip_plugin.core.differences import differences, normalize
from ccip_plugin.core.errors import VectorsError
from ccip_plugin.core.identity.prototypes import prototype_differences, prototypes


def means(n, spread, seed=0):
    """Mean vectors of which any two differ by about ``spread``."""
    random = np.random.default_rng(seed)
    share = np.sqrt(2 * spread)
    return normalize(
        np.sqrt(1 - share**2) * normalize(random.normal(size=(1, 768)))
        + share * normalize(random.normal(size=(n, 768)))
    )


@pytest.mark.parametrize("spread, error", [(0.0005, 0.001), (0.05, 0.03), (0.2, 0.09)])
def test_differences_are_about_those_of_the_means(spread, error):
    vectors = means(40, spread)
    texts = prototypes(3 * vectors)
    apart = np.abs(prototype_differences(texts, texts[:7]) - differences(vectors, vectors[:7]))
    assert apart.max() < error and apart.mean() < error / 3


def test_they_are_small_and_the_same_everywhere():
    one, same = prototypes(means(2, 0.1)), prototypes(means(2, 0.1))
    assert one == same and {len(text) for text in one} == {172}
    assert prototypes(np.ones((1, 768)))[0].startswith("DQPLqeIHA9grACGsG7C6")


def test_nothing():
    assert prototypes(np.empty((0, 768))) == []
    assert prototype_differences([], prototypes(means(3, 0.1))).shape == (0, 3)


@pytest.mark.parametrize("text", ["AAAA", "A" * 171 + "="], ids=["short", "zero"])
def test_what_is_no_prototype_is_refused(text):
    with pytest.raises(VectorsError, match="not a prototype"):
        prototype_differences([text], [text])
