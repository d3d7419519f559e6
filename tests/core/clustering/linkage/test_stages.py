import numpy as np
import pytest

from ccip_plugin.core.clustering.linkage import LinkageOptions
from ccip_plugin.core.clustering.linkage.stages import Stages, first_positions, packs
from ccip_plugin.core.errors import ParameterError
from ccip_plugin.core.neighbors.vectors import UnitVectors


@pytest.mark.parametrize(
    "components, among, size, expected",
    [
        pytest.param([0, 0, 1, 1], None, 4, [[0, 1], [2, 3]], id="components of half a pack"),
        pytest.param([0, 0, 1, 1], None, 100, [[0, 1, 2, 3]], id="small ones together"),
        pytest.param([0, 1, 0, 2], None, 100, [[0, 2]], id="images alone are left out"),
        pytest.param([0, 1, 0, 1, 2, 2], [False, True, *[False] * 4], 100, [[1, 3]], id="only some components"),
        pytest.param([0, 1, 2], None, 100, [], id="only images alone"),
        pytest.param([], None, 100, [], id="nothing"),
    ],
)
def test_packs_of_components(components, among, size, expected):
    mask = None if among is None else np.array(among)
    found = [pack.tolist() for pack in packs(np.array(components, np.int64), mask, size=size)]
    assert found == expected


def test_every_connected_image_is_in_one_pack():
    components = np.random.default_rng(0).integers(0, 300, 1000)
    images = np.concatenate(list(packs(components, size=20)))
    sizes = np.bincount(components)
    assert np.sort(images).tolist() == np.flatnonzero(sizes[components] > 1).tolist()


@pytest.mark.parametrize(
    "groups, expected",
    [
        pytest.param([5, 3, 5, 3], [0, 1, 0, 1], id="two groups"),
        pytest.param([1, 1, 1], [0, 0, 0], id="one group"),
        pytest.param([], [], id="nothing"),
    ],
)
def test_positions_of_the_first_of_each_group(groups, expected):
    assert first_positions(np.array(groups, np.int64)).tolist() == expected


def test_near_duplicates_count_as_one_image_in_means():
    unit = UnitVectors([[1, 0], [1, 0.0001], [0, 1]])
    stages = Stages(unit, 0.4, 0.01, LinkageOptions())
    assert stages.near_duplicates(np.arange(3)).tolist() == [0, 0, 2]
    means, weights = stages.means_of_groups(np.array([0, 0, 0]), np.array([0, 0, 2]), min_size=1)
    assert weights.tolist() == [2]
    np.testing.assert_allclose(means, [[0.5, 0.5]], atol=1e-4)
    assert len(stages.means_of_groups(np.array([0, 0, 0]), np.array([0, 0, 2]), min_size=4)[0]) == 0


@pytest.mark.parametrize("options", [{"near_duplicate": -0.1}, {"near_duplicate": 0.8}, {"certain": 1.1}])
def test_thresholds_are_in_order(options):
    with pytest.raises(ParameterError, match="near_duplicate <= certain"):
        LinkageOptions(**options)
