"""Methods are records: their properties, and that a new record is a new method everywhere."""

import inspect

import numpy as np
import pytest

from ccip_plugin.core.calibration import PublishedParameters, load
from ccip_plugin.core.clustering import METHODS, NOISE, ClusteringMethod, cluster
from ccip_plugin.core.clustering.constraints import Constraints
from ccip_plugin.core.clustering.dispatch import run_method
from ccip_plugin.core.clustering.methods import DEFAULT_METHOD, from_threshold, get_method, preset
from ccip_plugin.core.errors import ParameterError, UnknownPresetError
from ccip_plugin.core.neighbors import radius_graph
from ccip_plugin.core.registry import DEFAULT_MODEL

VECTORS = np.eye(4, dtype=np.float32)[[0, 1, 0, 2, 3]]

ONE_GROUP = ClusteringMethod(
    "one_group",
    "toy",
    label="One group",
    description="puts all images into one group",
    parameters=from_threshold(0.5, min_samples=7),
    run=lambda task: task.result(np.zeros(task.n, np.int64)),
)


@pytest.fixture
def one_group(monkeypatch):
    """The registry with one method more."""
    monkeypatch.setitem(METHODS, ONE_GROUP.name, ONE_GROUP)
    return ONE_GROUP


def test_a_record_is_all_that_a_new_method_needs(one_group):
    assert cluster(VECTORS, method="one_group").tolist() == [0] * 5
    assert cluster(radius_graph(VECTORS, 0.1), method="one_group").tolist() == [0] * 5
    assert cluster([], method="one_group").tolist() == []


def test_a_new_method_gets_its_parameters(one_group):
    details = run_method(VECTORS, "one_group", eps=0.25, min_samples=3)
    assert (details.method, details.eps, details.min_samples, details.limit) == ("one_group", 0.25, 3, 0.25)
    assert not details.rescued.any() and details.quality is None
    assert one_group.parameters(load(DEFAULT_MODEL)) == (load(DEFAULT_MODEL).threshold / 2, 7)


def test_a_new_method_refuses_what_it_does_not_do(one_group):
    with pytest.raises(ParameterError, match="constraints"):
        cluster(VECTORS, method="one_group", constraints=Constraints())
    with pytest.raises(ParameterError, match="constraints"):
        run_method(VECTORS, "one_group", eps=0.1, min_samples=2, constraints=Constraints())


def test_an_unknown_method_is_an_error_that_lists_the_methods(one_group):
    with pytest.raises(ParameterError, match=r"method is 'kmeans'; it must be one of .*linkage, .*, one_group"):
        get_method("kmeans")


def test_public_names_stay_and_are_those_of_the_records():
    assert [method.name for method in METHODS.values()] == list(METHODS)
    public = {"linkage", "dbscan", "dbscan_2", "dbscan_free", "hdbscan", "optics", "optics_best", "optics_cut"}
    assert public <= METHODS.keys()
    assert inspect.signature(cluster).parameters["method"].default == DEFAULT_METHOD


def test_labels_and_descriptions_are_for_people():
    labels = [method.label for method in METHODS.values()]
    assert len(set(labels)) == len(labels)
    for method in METHODS.values():
        assert method.label and method.description, method.name
        assert method.description == method.description.rstrip("."), method.name


PUBLISHED = PublishedParameters("m", 0.8, {"dbscan": (0.8, 2), "optics": (0.5, 5), "dbscan_2": (0.6, 2)})


@pytest.mark.parametrize(
    "method, expected",
    [
        ("linkage", (0.8, 2)),
        ("dbscan", (0.8, 2)),
        ("dbscan_2", (0.6, 2)),
        ("hdbscan", (1.0, 3)),
        ("optics", (0.5, 5)),
        ("optics_cut", (0.64, 5)),
    ],
)
def test_parameters_follow_from_published_ones(method, expected):
    assert METHODS[method].parameters(PUBLISHED) == pytest.approx(expected)


@pytest.mark.parametrize("method", ["dbscan_free", "optics_best"])
def test_a_preset_that_was_not_published_is_an_error(method):
    with pytest.raises(UnknownPresetError, match="dbscan, optics, dbscan_2"):
        METHODS[method].parameters(PUBLISHED)


@pytest.mark.parametrize("make", [preset("dbscan"), from_threshold(3, min_samples=2)])
def test_eps_is_a_difference(make):
    assert 0 <= make(PUBLISHED)[0] <= 1


@pytest.mark.parametrize("method", METHODS)
def test_keeps_constraints_or_says_that_it_does_not(method):
    constraints = Constraints(cannot_link=[(0, 2)])
    if METHODS[method].keeps_constraints:
        labels = cluster(VECTORS, method=method, constraints=constraints)
        assert labels[0] != labels[2] or labels[0] == NOISE
    else:
        with pytest.raises(ParameterError, match=f"given with {method}"):
            cluster(VECTORS, method=method, constraints=constraints)


@pytest.mark.parametrize("method", METHODS)
def test_groups_that_can_chain(method):
    """A chain of images, each close to the next only, is one group exactly where the record says so."""
    angles = np.arange(12) * 2 * np.arcsin(np.sqrt(0.1))
    chain = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    labels = cluster(chain, method=method, eps=0.12, min_samples=2)
    if METHODS[method].name in ("hdbscan", "optics", "optics_best"):  # by stability or steepness, not by eps alone
        return
    assert (len(set(labels.tolist())) == 1) == METHODS[method].can_chain


@pytest.mark.parametrize("method", METHODS)
def test_needs_the_published_threshold_or_not(method):
    """With eps and min_samples given, only methods that need the threshold read what is published for the model."""
    options = {"eps": 0.1, "min_samples": 3, "model_name": "nobody"}
    if METHODS[method].needs_threshold:
        with pytest.raises(ValueError, match="nobody"):
            cluster(VECTORS, method=method, **options)
    else:
        assert len(cluster(VECTORS, method=method, **options)) == 5
