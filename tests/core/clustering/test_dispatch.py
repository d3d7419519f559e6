import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import DBSCAN, HDBSCAN, OPTICS, cluster_optics_dbscan

from ccip_plugin.core.clustering import METHODS, NOISE, cluster
from ccip_plugin.core.clustering.dbscan import dbscan, dbscan_of_embeddings
from ccip_plugin.core.clustering.dispatch import run_method
from ccip_plugin.core.clustering.hdbscan import hdbscan
from ccip_plugin.core.clustering.optics import optics, optics_cut, ordering_of_graph
from ccip_plugin.core.differences import normalize
from ccip_plugin.core.errors import ParameterError, RadiusError, UnknownModelError, VectorsError
from ccip_plugin.core.evaluation.groups import group_metrics
from ccip_plugin.core.neighbors import radius_graph
from ccip_plugin.core.progress import Cancelled
from ccip_plugin.core.registry import DEFAULT_MODEL, MODELS


def embeddings(n: int, dim: int = 64, n_characters: int = 6, noise: float = 0.9, seed: int = 0) -> np.ndarray:
    """Images of a few characters, in any order, some near two of them; lengths as a model gives them."""
    random = np.random.default_rng(seed)
    characters = random.normal(size=(n_characters, dim))
    spread = noise * random.lognormal(-0.5, 0.5, (n, 1))
    rows = characters[random.integers(0, n_characters, n)] + spread * random.normal(size=(n, dim))
    return (rows * random.uniform(1, 9, (n, 1))).astype(np.float32)


def exact_differences(vectors: np.ndarray) -> np.ndarray:
    unit = normalize(vectors).astype(np.float64)
    return ((unit[:, None] - unit[None]) ** 2).sum(axis=-1) / 4


def of_characters(text: str) -> np.ndarray:
    """One axis for each letter: the same letter is the same image, other letters are at a difference of 0.5."""
    return np.eye(26, dtype=np.float32)[[ord(letter) - ord("a") for letter in text]]


@pytest.mark.parametrize(
    "characters, min_samples, expected",
    [
        pytest.param("aabb", 2, [0, 0, 1, 1], id="two characters"),
        pytest.param("baab", 2, [0, 1, 1, 0], id="numbered by their first images"),
        pytest.param("aaab", 2, [0, 0, 0, NOISE], id="one image is nobody else"),
        pytest.param("aaab", 4, [NOISE] * 4, id="too few of each"),
        pytest.param("abac", 1, [0, 1, 0, 2], id="everybody is somebody"),
        pytest.param("aaaa", 2, [0, 0, 0, 0], id="all the same"),
        pytest.param("abcd", 2, [NOISE] * 4, id="all different"),
        pytest.param("ab", 2, [NOISE] * 2, id="two images of two"),
        pytest.param("aa", 2, [0, 0], id="two images of one"),
        pytest.param("a", 2, [NOISE], id="one image"),
        pytest.param("a", 1, [0], id="one image is enough"),
        pytest.param("", 2, [], id="nothing"),
    ],
)
@pytest.mark.parametrize("eps", [0, 0.2])
def test_groups_images_of_the_same_character(characters, min_samples, eps, expected):
    labels = cluster(of_characters(characters), method="dbscan", eps=eps, min_samples=min_samples)
    assert labels.tolist() == expected
    assert labels.dtype == np.int64


@settings(max_examples=150, deadline=None)
@given(
    n=st.integers(1, 80),
    dim=st.sampled_from([3, 5, 64]),
    eps=st.floats(0, 1),
    min_samples=st.integers(1, 9),
    seed=st.integers(0, 10_000),
)
def test_labels_are_those_of_scikit_learn_on_the_exact_matrix(n, dim, eps, min_samples, seed):
    vectors = embeddings(n, dim, seed=seed)
    matrix = exact_differences(vectors)
    if abs(matrix - eps).min() < 1e-6 < eps:
        eps += 3e-6  # a pair at the very limit may be rounded to either side
    want = DBSCAN(eps=max(eps, 1e-12), min_samples=min_samples, metric="precomputed").fit_predict(matrix)
    np.testing.assert_array_equal(cluster(vectors, method="dbscan", eps=min(eps, 1), min_samples=min_samples), want)


def everywhere(n: int = 600, dim: int = 3) -> np.ndarray:
    """Images without any characters: at the right eps, groups touch each other."""
    return np.random.default_rng(0).normal(size=(n, dim)).astype(np.float32)


@pytest.mark.parametrize("min_samples", [1, 2, 3, 5, 8, 10])
@pytest.mark.parametrize("eps", [0.002, 0.005, 0.01, 0.02])
def test_labels_are_those_of_scikit_learn_where_groups_touch(eps, min_samples):
    vectors = everywhere()
    graph = radius_graph(vectors, 0.02, block_size=128)
    want = DBSCAN(eps=eps, min_samples=min_samples, metric="precomputed").fit_predict(exact_differences(vectors))
    np.testing.assert_array_equal(dbscan(graph, eps=eps, min_samples=min_samples), want)


def test_groups_touch_in_these_tests():
    """Or they would not show that a border image goes to the first of the groups that it is near."""
    near = exact_differences(everywhere()) <= 0.01
    is_core = near.sum(axis=1) >= 8
    labels = cluster(everywhere(), method="dbscan", eps=0.01, min_samples=8)
    between = [i for i in np.flatnonzero(~is_core) if len(set(labels[near[i] & is_core])) > 1]
    assert len(between) > 8 and labels.max() > 8


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


@pytest.mark.parametrize("min_samples", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("kept", [0, 1 << 20])
def test_dbscan_without_a_graph_is_the_same_whether_pairs_are_kept_or_not(monkeypatch, kept, min_samples):
    monkeypatch.setattr("ccip_plugin.core.clustering.dbscan.PAIRS_BYTES", kept)
    graph = radius_graph(everywhere(), 0.01)
    want = dbscan(graph, eps=0.01, min_samples=min_samples)
    found = dbscan_of_embeddings(everywhere(), eps=0.01, min_samples=min_samples)
    np.testing.assert_array_equal(found, want)


def test_details_of_other_methods_have_no_rescue():
    vectors = embeddings(60)
    found = run_method(vectors, "dbscan", eps=0.1, min_samples=2)
    np.testing.assert_array_equal(found.labels, cluster(vectors, method="dbscan", eps=0.1))
    assert not found.rescued.any() and np.isnan(found.nearest).all()
    assert (found.method, found.eps, found.min_samples, found.limit) == ("dbscan", 0.1, 2, 0.1)


def same_partition(a, b) -> bool:
    return len(set(zip(a.tolist(), b.tolist(), strict=True))) == len(set(a.tolist())) == len(set(b.tolist()))


@pytest.mark.parametrize("seed", range(3))
def test_hdbscan_of_a_whole_graph_is_that_of_scikit_learn(seed):
    vectors = embeddings(120, seed=seed)
    want = HDBSCAN(metric="precomputed", min_cluster_size=5, copy=True).fit_predict(exact_differences(vectors))
    found = hdbscan(radius_graph(vectors, 1), eps=1, min_samples=5)
    assert found.max() > 0 and group_metrics(found, want).ari > 0.999


def test_hdbscan_finds_characters_that_are_not_connected():
    labels = hdbscan(radius_graph(of_characters("aaaabbbbbcccd"), 0.2), eps=0.2, min_samples=3)
    assert labels.tolist() == [0] * 4 + [1] * 5 + [2] * 3 + [NOISE]
    assert hdbscan(radius_graph(of_characters("aa"), 0.2), eps=0.2).tolist() == [NOISE] * 2
    with pytest.raises(RadiusError):
        hdbscan(radius_graph(of_characters("aaaa"), 0.2), eps=0.3)


@pytest.mark.parametrize("seed", range(4))
def test_a_cut_ordering_has_the_cores_of_dbscan(seed):
    vectors = embeddings(120, seed=seed)
    graph = radius_graph(vectors, 0.14)
    is_core = graph.degrees + 1 >= 5
    found, want = optics_cut(vectors, eps=0.14, min_samples=5), dbscan(graph, eps=0.14, min_samples=5)
    assert same_partition(found[is_core], want[is_core]) and want.max() > 0
    assert ((found >= 0) <= (want >= 0)).all()


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


def optics_with_a_callable(vectors: np.ndarray, eps: float, min_samples: int) -> np.ndarray:
    """The slow way: a Python function that looks up the difference of two image numbers."""
    matrix = exact_differences(vectors)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        numbers = np.arange(len(vectors)).reshape(-1, 1)
        model = OPTICS(max_eps=eps, min_samples=min_samples, metric=lambda a, b: matrix[int(a[0]), int(b[0])])
        return model.fit(numbers).labels_


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("eps, min_samples", [(0.5, 5), (0.1836453739562513, 5), (0.12, 2), (0.01, 5)])
def test_optics_is_that_of_scikit_learn(eps, min_samples, seed):
    vectors = embeddings(90, seed=seed)
    found = optics(vectors, eps=eps, min_samples=min_samples)
    np.testing.assert_array_equal(found, optics_with_a_callable(vectors, eps, min_samples))
    assert found.max() > 0 or eps == 0.01


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("eps, min_samples", [(0.3, 5), (0.1836453739562513, 4), (0.12, 2), (0.01, 5)])
def test_optics_of_a_graph_is_that_of_scikit_learn_on_its_differences(eps, min_samples, seed):
    """Pairs that the graph does not have are farther than eps."""
    graph = radius_graph(embeddings(120, seed=seed), 0.3)
    matrix = np.ones((120, 120), np.float32)
    near, most = graph.within(eps), np.float32(eps)
    most = most if most <= eps else np.nextafter(most, np.float32(0))
    matrix[near.rows, near.cols] = matrix[near.cols, near.rows] = np.minimum(near.differences, most)
    np.fill_diagonal(matrix, 0)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = OPTICS(max_eps=eps, min_samples=min_samples, metric="precomputed").fit(matrix)
    ordering = ordering_of_graph(graph, eps, min_samples)
    np.testing.assert_array_equal(ordering.order, found.ordering_)
    np.testing.assert_array_equal(ordering.reachability, found.reachability_)
    np.testing.assert_array_equal(ordering.predecessor, found.predecessor_)
    np.testing.assert_array_equal(ordering.core, found.core_distances_)
    np.testing.assert_array_equal(optics(graph, eps=eps, min_samples=min_samples), found.labels_)
    cut = cluster_optics_dbscan(
        reachability=found.reachability_, core_distances=found.core_distances_, ordering=found.ordering_, eps=0.8 * eps
    )
    np.testing.assert_array_equal(ordering.cut(0.8 * eps), cut)


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_optics_of_a_graph_without_pairs(n):
    graph = radius_graph(np.eye(26, dtype=np.float32)[:n], 0.3)
    assert cluster(graph, method="optics", eps=0.2).tolist() == [NOISE] * n
    assert cluster(graph, method="optics_cut").tolist() == [NOISE] * n


@pytest.mark.parametrize(
    "characters, expected",
    [
        pytest.param("", [], id="nothing"),
        pytest.param("a", [NOISE], id="one image"),
        pytest.param("aa", [0, 0], id="two images of one"),
        pytest.param("ab", [NOISE] * 2, id="two images of two"),
        pytest.param("aaaaaa", [0] * 6, id="all the same"),
        pytest.param("abcdef", [NOISE] * 6, id="all different"),
        pytest.param("aaabbb", [0, 0, 0, 1, 1, 1], id="two characters"),
    ],
)
@pytest.mark.parametrize("eps", [0, 0.2])
def test_optics_of_few(characters, eps, expected):
    assert optics(of_characters(characters), eps=eps, min_samples=2).tolist() == expected


def test_equal_images_are_equal_to_optics_too():
    """Their differences in a matrix of float32 are not quite zero."""
    vectors = np.repeat(embeddings(3, dim=768, n_characters=3), 4, axis=0)
    assert optics(vectors, eps=0, min_samples=3).tolist() == np.repeat([0, 1, 2], 4).tolist()
    assert optics(vectors, eps=1, min_samples=3).tolist() == np.repeat([0, 1, 2], 4).tolist()


def test_optics_of_many_takes_a_graph(monkeypatch):
    vectors = embeddings(120)
    found = {method: cluster(vectors, method=method) for method in ("optics_best", "optics_cut")}
    monkeypatch.setattr("ccip_plugin.core.clustering.optics.MAX_DENSE", 119)
    monkeypatch.delattr("ccip_plugin.core.clustering.optics.ordering_of_matrix")
    for method, labels in found.items():
        assert group_metrics(cluster(vectors, method=method), labels).ari > 0.98


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
