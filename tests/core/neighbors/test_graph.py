import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccip_plugin.core.differences import normalize
from ccip_plugin.core.errors import CCIPError, GraphTooLargeError, ParameterError, RadiusError, VectorsError
from ccip_plugin.core.neighbors import NeighborGraph, radius_graph
from ccip_plugin.core.neighbors.pairs import GRID, exact_differences
from ccip_plugin.core.progress import Cancelled, Progress

ROUNDING = GRID / 2 + 1e-6


def embeddings(n: int, dim: int = 32, n_characters: int = 8, noise: float = 0.5, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    characters = random.normal(size=(n_characters, dim))
    rows = characters[random.integers(0, n_characters, n)] + noise * random.normal(size=(n, dim))
    return (rows * random.uniform(1, 20, (n, 1))).astype(np.float32)


def pairs_slowly(vectors: np.ndarray, radius: float) -> dict[tuple[int, int], float]:
    unit = normalize(vectors).astype(np.float64)
    pairs = {}
    for i in range(len(unit)):
        for j in range(i + 1, len(unit)):
            difference = float(np.sum((unit[i] - unit[j]) ** 2) / 4)
            if difference <= radius:
                pairs[i, j] = difference
    return pairs


def as_dict(graph: NeighborGraph) -> dict[tuple[int, int], float]:
    return dict(
        zip(zip(graph.rows.tolist(), graph.cols.tolist(), strict=True), graph.differences.tolist(), strict=True)
    )


def contents(graph: NeighborGraph) -> tuple[bytes, ...]:
    return graph.rows.tobytes(), graph.cols.tobytes(), graph.differences.tobytes()


@settings(max_examples=60, deadline=None)
@given(n=st.integers(0, 60), radius=st.floats(0, 1), block_size=st.integers(1, 70), seed=st.integers(0, 50))
def test_finds_every_pair_up_to_the_radius(n, radius, block_size, seed):
    vectors = embeddings(n, dim=6, seed=seed)
    graph = radius_graph(vectors, radius, block_size=block_size)
    want = pairs_slowly(vectors, radius)
    assert list(as_dict(graph)) == sorted(want)
    assert as_dict(graph) == pytest.approx(want, abs=ROUNDING)
    assert (graph.n, graph.radius, graph.n_pairs) == (n, radius, len(want))
    assert (graph.rows.dtype, graph.cols.dtype, graph.differences.dtype) == (np.int32, np.int32, np.float32)


def test_published_dimension_and_several_blocks():
    vectors = embeddings(300, dim=768, n_characters=20)
    assert as_dict(radius_graph(vectors, 0.178, block_size=64)) == pytest.approx(
        pairs_slowly(vectors, 0.178), abs=ROUNDING
    )


@pytest.mark.parametrize("block_size", [1, 7, 64, 129, 150, 5000])
def test_the_block_size_does_not_change_a_bit(block_size):
    vectors = embeddings(150, dim=768, n_characters=20)
    assert contents(radius_graph(vectors, 0.2, block_size=block_size)) == contents(radius_graph(vectors, 0.2))


@pytest.mark.parametrize("block_size", [8, 50, 1000])
def test_pairs_on_the_very_radius_are_in_whatever_the_block_size(block_size):
    """A radius that is the difference of a pair, to the last bit: many times, as copies in different places."""
    few = embeddings(10, dim=768, n_characters=3)
    vectors = few[np.random.default_rng(1).integers(0, len(few), 150)]
    whole = radius_graph(vectors, 1.0)
    exact = exact_differences(whole.vectors, whole.rows, whole.cols)
    radius = float(np.median(exact[exact > 0]))
    graph = radius_graph(vectors, radius, block_size=block_size)
    assert (exact == radius).sum() > 1
    assert graph.n_pairs == (exact <= radius).sum()
    assert contents(graph) == contents(whole.within(radius))
    below = radius_graph(vectors, float(np.nextafter(radius, 0)), block_size=block_size)
    assert below.n_pairs == (exact < radius).sum()
    assert contents(below) == contents(whole.within(below.radius)) == contents(graph.within(below.radius))


def test_threads_do_not_change_a_bit(tmp_path):
    np.save(tmp_path / "vectors.npy", embeddings(700, dim=768, n_characters=20))
    program = (
        "import sys, hashlib, numpy as np; from ccip_plugin.core.neighbors import radius_graph;"
        "graph = radius_graph(np.load(sys.argv[1]), 0.2);"
        "print(graph.n_pairs, hashlib.sha256(graph.rows.tobytes() + graph.differences.tobytes()).hexdigest())"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "vectors.npy")]
    names = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    found = {
        subprocess.run(
            command, env=os.environ | dict.fromkeys(names, threads), capture_output=True, text=True, check=True
        ).stdout
        for threads in ("1", "2", "3")
    }
    assert len(found) == 1 and int(found.pop().split()[0]) > 1000


def test_the_order_of_the_images_changes_only_their_numbers():
    vectors = embeddings(120, dim=768)
    order = np.random.default_rng(2).permutation(len(vectors))
    straight, shuffled = as_dict(radius_graph(vectors, 0.2)), as_dict(radius_graph(vectors[order], 0.2))
    assert {tuple(sorted((int(order[i]), int(order[j])))): d for (i, j), d in shuffled.items()} == straight


@pytest.mark.parametrize(
    "n, n_pairs",
    [
        pytest.param(0, 0, id="none"),
        pytest.param(1, 0, id="one"),
        pytest.param(2, 1, id="two"),
        pytest.param(9, 36, id="nine"),
    ],
)
def test_equal_images_have_no_difference(n, n_pairs):
    vectors = np.repeat(embeddings(1, dim=768), n, axis=0) * np.linspace(0.1, 3, n, dtype=np.float32)[:, None]
    unit = normalize(vectors)
    assert radius_graph(np.repeat(unit[:1], n, axis=0), 0).n_pairs == n_pairs
    graph = radius_graph(vectors, 0.1)
    assert graph.n_pairs == n_pairs
    assert graph.differences.max(initial=0) < 1e-12  # of other lengths: only the rounding of unit length
    assert radius_graph(vectors.tolist(), 0.1).n_pairs == n_pairs


def test_opposite_images_are_in_at_radius_one():
    graph = radius_graph([[1.0, 0.0], [-2.0, 0.0], [0.0, 3.0]], 1)
    assert as_dict(graph) == {(0, 1): 1.0, (0, 2): 0.5, (1, 2): 0.5}


@pytest.mark.parametrize("radius", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_radius_is_a_difference(radius):
    with pytest.raises(ParameterError, match="radius"):
        radius_graph(embeddings(5), radius)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0])
def test_names_the_row_that_is_no_embedding(bad):
    vectors = embeddings(50)
    vectors[31] = bad
    with pytest.raises(VectorsError, match="row 31"):
        radius_graph(vectors, 0.2)


@pytest.mark.parametrize("shape", [(5,), (5, 4, 3)])
def test_refuses_other_shapes(shape):
    with pytest.raises(VectorsError, match="shape"):
        radius_graph(np.ones(shape), 0.2)


def test_the_result_fits_into_the_memory_or_is_refused():
    vectors = embeddings(1000, n_characters=1, noise=0.1)
    assert radius_graph(vectors, 1, memory_bytes=20 << 20).n_pairs == 499_500
    with pytest.raises(GraphTooLargeError, match="smaller radius") as caught:
        radius_graph(vectors, 1, memory_bytes=2 << 20)
    assert 0 < caught.value.share < 1 and caught.value.n_pairs > 0
    assert isinstance(caught.value, CCIPError)
    scattered = embeddings(1000, n_characters=1000)
    assert contents(radius_graph(scattered, 0.05, memory_bytes=100_000)) == contents(radius_graph(scattered, 0.05))


def test_progress_counts_pairs_and_can_stop_the_work():
    seen: list[Progress] = []
    radius_graph(embeddings(100), 0.2, block_size=30, progress=seen.append)
    assert [step.done for step in seen] == sorted({step.done for step in seen})
    assert (seen[-1].done, seen[-1].total) == (4950, 4950)

    def stop(step: Progress) -> None:
        if step.done > 1000:
            raise Cancelled

    with pytest.raises(Cancelled):
        radius_graph(embeddings(100), 0.2, block_size=30, progress=stop)


def test_within_is_the_graph_of_a_smaller_radius():
    vectors = embeddings(150, dim=768)
    graph = radius_graph(vectors, 0.3)
    pairs = np.stack([graph.rows, graph.cols])
    for eps in (0, 0.1, 0.178, float(graph.differences[5]), float(graph.differences[5]) + GRID / 2, 0.3):
        assert contents(graph.within(eps)) == contents(radius_graph(vectors, eps))
        assert graph.within(eps).radius == eps
        exact = exact_differences(graph.vectors, graph.rows, graph.cols)
        np.testing.assert_array_equal(np.concatenate(list(graph.pairs_within(eps)), axis=1), pairs[:, exact <= eps])
        np.testing.assert_array_equal(graph.count_neighbors(eps), graph.within(eps).degrees)
        np.testing.assert_array_equal(graph.components(eps=eps), graph.within(eps).components())
    with pytest.raises(RadiusError, match=r"0\.3.*0\.31") as caught:
        graph.within(0.31)
    assert (caught.value.eps, caught.value.radius) == (0.31, 0.3)


def test_degrees_and_components():
    pairs = np.array([[0, 3], [2, 5], [3, 6]], np.int32)
    graph = NeighborGraph(7, 0.5, pairs[:, 0], pairs[:, 1], np.full(3, 0.1, np.float32))
    assert graph.degrees.tolist() == [1, 0, 1, 2, 0, 1, 1]
    assert graph.components().tolist() == [0, 1, 2, 0, 3, 2, 0]
    among = np.array([True, False, True, False, True, True, True])
    assert graph.components(among).tolist() == [0, -1, 1, -1, 2, 1, 3]


def test_components_of_nothing():
    graph = radius_graph(np.zeros((0, 768)), 0.2)
    assert graph.components().tolist() == [] and graph.degrees.tolist() == []


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 40), radius=st.floats(0, 0.6), seed=st.integers(0, 99))
def test_components_are_what_can_be_reached(n, radius, seed):
    graph = radius_graph(embeddings(n, dim=4, seed=seed), radius)
    labels = list(range(n))
    for _ in range(n):
        for i, j in as_dict(graph):
            labels[i] = labels[j] = min(labels[i], labels[j])
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    assert graph.components().tolist() == [numbers[label] for label in labels]
