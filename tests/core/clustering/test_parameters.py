import numpy as np
import pytest

from ccip_plugin.core.clustering.parameters import check_cap, check_parameters, n_items
from ccip_plugin.core.errors import ParameterError
from ccip_plugin.core.neighbors.vectors import UnitVectors


@pytest.mark.parametrize("eps, min_samples", [(0, 1), (1, 2), (np.float32(0.5), np.int64(3)), (0.17, 5)])
def test_valid(eps, min_samples):
    check_parameters(eps, min_samples)


@pytest.mark.parametrize(
    "eps, min_samples, least, what",
    [
        pytest.param(-0.1, 2, 1, "eps", id="negative eps"),
        pytest.param(1.1, 2, 1, "eps", id="eps over 1"),
        pytest.param(float("nan"), 2, 1, "eps", id="eps not a number"),
        pytest.param(True, 2, 1, "eps", id="eps a truth value"),
        pytest.param("0.1", 2, 1, "eps", id="eps a text"),
        pytest.param(0.1, 0, 1, "min_samples.*at least 1", id="none"),
        pytest.param(0.1, 1, 2, "min_samples.*at least 2", id="too few for the method"),
        pytest.param(0.1, 2.0, 1, "min_samples", id="a float"),
        pytest.param(0.1, True, 1, "min_samples", id="a truth value"),
    ],
)
def test_invalid(eps, min_samples, least, what):
    with pytest.raises(ParameterError, match=what):
        check_parameters(eps, min_samples, least=least)


def test_a_capped_graph_identifies_core_images_up_to_its_cap():
    check_cap(None, 1000)
    check_cap(5, 6)
    with pytest.raises(ParameterError, match="at most 6 with an approximate graph, which keeps 5 neighbors"):
        check_cap(5, 7)


@pytest.mark.parametrize(
    "embeddings, n",
    [
        pytest.param([], 0, id="nothing"),
        pytest.param([[1, 2], [3, 4]], 2, id="lists"),
        pytest.param(np.ones((3, 2)), 3, id="an array"),
        pytest.param(UnitVectors(np.ones((4, 2))), 4, id="unit vectors"),
        pytest.param(5.0, 1, id="a number"),
    ],
)
def test_number_of_embeddings(embeddings, n):
    assert n_items(embeddings) == n
