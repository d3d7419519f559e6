"""All methods behind one function: defaults, checks, progress; each method has tests of its own."""

import numpy as np
import pytest

from ccip_plugin.core.clustering import METHODS, NOISE, cluster
from ccip_plugin.core.clustering.dispatch import run_method
from ccip_plugin.core.errors import ParameterError, RadiusError, UnknownModelError, VectorsError
from ccip_plugin.core.neighbors import radius_graph
from ccip_plugin.core.progress import Cancelled
from ccip_plugin.core.registry import DEFAULT_MODEL, MODELS
from tests.support.vectors import embeddings


@pytest.mark.parametrize("name", [name for name, spec in MODELS.items() if not spec.is_stand_in])
def test_published_parameters(name):
    vectors = embeddings(60, noise=1.1)
    spec = MODELS[name]
    published = {"dbscan": (spec.threshold, 2), "optics": (0.5, 5)}
    published |= {method: spec.presets[method] for method in ("dbscan_2", "dbscan_free") if method in spec.presets}
    if "optics" in spec.presets:
        published["optics_best"] = spec.presets["optics"]
    for method, (eps, min_samples) in published.items():
        got = cluster(vectors, method=method, model_name=name)
        want = cluster(vectors, method=method, eps=eps, min_samples=min_samples)
        np.testing.assert_array_equal(got, want)


def test_the_method_alone_means_the_default_model():
    vectors = embeddings(80, noise=1.1)
    for method in METHODS:
        np.testing.assert_array_equal(
            cluster(vectors, method=method), cluster(vectors, method=method, model_name=DEFAULT_MODEL)
        )
    np.testing.assert_array_equal(cluster(vectors), cluster(vectors, method="linkage"))


def test_details_of_other_methods_have_no_rescue():
    vectors = embeddings(60)
    found = run_method(vectors, "dbscan", eps=0.1, min_samples=2)
    np.testing.assert_array_equal(found.labels, cluster(vectors, method="dbscan", eps=0.1))
    assert not found.rescued.any() and np.isnan(found.nearest).all()
    assert (found.method, found.eps, found.min_samples, found.limit) == ("dbscan", 0.1, 2, 0.1)


def test_zero_is_not_the_default():
    """A default must not take the place of a zero or a one that somebody asked for."""
    vectors = np.concatenate([embeddings(20, noise=0.3), embeddings(1, noise=0.3, seed=9)])
    assert cluster(vectors, method="dbscan", eps=0).tolist() == [NOISE] * 21
    assert cluster(vectors, method="dbscan", eps=0, min_samples=1).tolist() == list(range(21))
    assert NOISE not in cluster(vectors, method="dbscan", min_samples=1)
    assert NOISE in cluster(vectors, method="dbscan")


def test_a_graph_gives_the_labels_of_its_embeddings():
    vectors = embeddings(200)
    graph = radius_graph(vectors, 0.3)
    for method in ("dbscan", "dbscan_2", "dbscan_free"):
        np.testing.assert_array_equal(cluster(graph, method=method), cluster(vectors, method=method))
    np.testing.assert_array_equal(
        cluster(graph, method="dbscan", eps=0.3, min_samples=3),
        cluster(vectors, method="dbscan", eps=0.3, min_samples=3),
    )
    with pytest.raises(RadiusError):
        cluster(graph, method="dbscan", eps=0.31)
    with pytest.raises(RadiusError):
        cluster(graph, method="optics")


@pytest.mark.parametrize(
    "options, what",
    [
        pytest.param({"method": "kmeans"}, "method.*optics_best", id="unknown method"),
        pytest.param({"eps": -0.1}, "eps", id="negative eps"),
        pytest.param({"eps": 1.5}, "eps", id="eps over 1"),
        pytest.param({"eps": float("nan")}, "eps", id="eps not a number"),
        pytest.param({"min_samples": 0}, "min_samples.*at least 1", id="no samples"),
        pytest.param({"min_samples": 2.5}, "min_samples", id="a fraction of a sample"),
        pytest.param({"min_samples": True}, "min_samples", id="a truth value"),
        pytest.param({"method": "optics", "min_samples": 1}, "at least 2", id="optics of one"),
        pytest.param({"method": "optics", "eps": 2}, "eps", id="optics eps"),
    ],
)
def test_says_which_parameter_means_nothing(options, what):
    with pytest.raises(ParameterError, match=what):
        cluster(embeddings(10), **{"method": "dbscan", **options})


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, 0])
@pytest.mark.parametrize("n", [3, 30])
def test_names_the_row_that_is_no_embedding(n, bad, method):
    vectors = embeddings(n)
    vectors[2] = bad
    with pytest.raises(VectorsError, match="row 2"):
        cluster(vectors, method=method)


@pytest.mark.parametrize("method", METHODS)
def test_refuses_what_is_no_matrix_of_embeddings(method):
    with pytest.raises(VectorsError):
        cluster(np.ones((3, 4, 5)), method=method)


def test_an_unknown_model_is_an_error_only_where_it_matters():
    with pytest.raises(UnknownModelError):
        cluster(embeddings(5), model_name="nobody")
    assert len(cluster(embeddings(5), method="dbscan", eps=0.1, min_samples=2, model_name="nobody")) == 5


@pytest.mark.parametrize("method", METHODS)
def test_progress_is_told_and_can_stop_the_work(method):
    steps = []
    cluster(embeddings(50), method=method, progress=steps.append)
    assert steps[-1].done == steps[-1].total

    def stop(step):
        raise Cancelled

    with pytest.raises(Cancelled):
        cluster(embeddings(50), method=method, progress=stop)


def test_input_is_not_changed():
    vectors = embeddings(30)
    before = vectors.copy()
    for method in METHODS:
        cluster(vectors, method=method)
    np.testing.assert_array_equal(vectors, before)
