import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from ccip_plugin.core.clustering import cluster
from ccip_plugin.core.clustering.constraints import Constraints
from ccip_plugin.core.clustering.dispatch import run_method
from ccip_plugin.core.clustering.linkage import LinkageOptions, linkage
from ccip_plugin.core.clustering.linkage.agglomeration import agglomerate
from ccip_plugin.core.clustering.linkage.average import Components
from ccip_plugin.core.clustering.linkage.limit import tail_limit
from ccip_plugin.core.clustering.parameters import NOISE
from ccip_plugin.core.differences import normalize
from ccip_plugin.core.errors import ContradictionError, ParameterError, RadiusError
from ccip_plugin.core.neighbors import NeighborGraph, radius_graph

THRESHOLD = 0.178
NO_RESCUE = LinkageOptions(reach=0, min_limit=1, near_duplicate=0)


def embeddings(n: int, dim: int = 64, n_characters: int = 8, noise: float = 0.9, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    characters = random.normal(size=(n_characters, dim))
    spread = noise * random.lognormal(-0.5, 0.5, (n, 1))
    return normalize(characters[random.integers(0, n_characters, n)] + spread * random.normal(size=(n, dim)))


def at_angles(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def of_characters(text: str) -> np.ndarray:
    return np.eye(26, dtype=np.float32)[[ord(letter) - ord("a") for letter in text]]


@pytest.mark.parametrize(
    "characters, expected",
    [
        pytest.param("aabb", [0, 0, 1, 1], id="two characters"),
        pytest.param("baab", [0, 1, 1, 0], id="numbered by their first images"),
        pytest.param("aaab", [0, 0, 0, NOISE], id="one image is nobody else"),
        pytest.param("abcd", [NOISE] * 4, id="all different"),
        pytest.param("aaaa", [0] * 4, id="all the same"),
        pytest.param("a", [NOISE], id="one image"),
        pytest.param("", [], id="nothing"),
    ],
)
def test_groups_images_of_the_same_character(characters, expected):
    labels = cluster(of_characters(characters), method="linkage")
    assert labels.tolist() == expected and labels.dtype == np.int64


@pytest.mark.parametrize("noise", [0.9, 1.4])
def test_threads_change_nothing(noise):
    """Enough images for components that scipy does not merge at once, too."""
    unit = embeddings(7000, dim=128, n_characters=40, noise=noise)
    with threadpool_limits(1):
        want = linkage(unit, threshold=THRESHOLD)
    with threadpool_limits(2):
        found = linkage(unit, threshold=THRESHOLD)
    np.testing.assert_array_equal(found.labels, want.labels)
    np.testing.assert_array_equal(found.rescued, want.rescued)
    assert 1 < found.labels.max() < 7000


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 150), noise=st.floats(0.3, 1.6), seed=st.integers(0, 10_000))
def test_without_its_additions_it_is_average_linkage(n, noise, seed):
    unit = embeddings(n, noise=noise, seed=seed)
    found = linkage(unit, threshold=THRESHOLD, min_samples=1, options=NO_RESCUE)
    np.testing.assert_array_equal(found.labels, agglomerate(unit, np.ones(n), THRESHOLD))
    assert not found.rescued.any() and found.limit == THRESHOLD


def test_many_components_are_grouped_as_one_by_one(monkeypatch):
    """Packs of small components, and components larger than a pack, give the groups of the whole."""
    unit = embeddings(900, n_characters=150, noise=0.9)
    whole = agglomerate(unit, np.ones(len(unit)), THRESHOLD)
    for size in (1, 7, 100):
        monkeypatch.setattr("ccip_plugin.core.clustering.linkage.stages.PACK", size)
        found = linkage(unit, threshold=THRESHOLD, min_samples=1, options=NO_RESCUE)
        np.testing.assert_array_equal(found.labels, whole)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(2, 150), noise=st.floats(0.5, 1.4), seed=st.integers(0, 10_000))
def test_the_order_of_the_images_changes_nothing(n, noise, seed):
    unit = embeddings(n, noise=noise, seed=seed)
    order = np.random.default_rng(seed).permutation(n)
    straight, shuffled = (linkage(x, threshold=THRESHOLD, min_samples=1) for x in (unit, unit[order]))
    assert {frozenset(order[shuffled.labels == label].tolist()) for label in set(shuffled.labels.tolist())} == {
        frozenset(np.flatnonzero(straight.labels == label).tolist()) for label in set(straight.labels.tolist())
    }
    np.testing.assert_array_equal(straight.rescued[order], shuffled.rescued)


def test_a_graph_gives_the_labels_of_its_embeddings():
    unit = embeddings(300)
    graph = radius_graph(unit, 0.3)
    np.testing.assert_array_equal(cluster(graph, method="linkage"), cluster(unit, method="linkage"))
    with pytest.raises(RadiusError):
        cluster(graph, method="linkage", eps=0.31)
    with pytest.raises(ParameterError, match="vectors"):
        cluster(NeighborGraph(300, 0.3, graph.rows, graph.cols, graph.differences), method="linkage")


def outfits() -> np.ndarray:
    """Two outfits of a character, an image that is much like one but far from the other, and another character."""
    rows = np.zeros((26, 30), np.float32)
    rows[:25, 0] = 1
    rows[:12, 1], rows[12:24, 2] = 0.65, 0.65
    rows[:24, 5:29] = 0.3 * np.eye(24)
    rows[24, 0], rows[24, 1], rows[24, 4] = 0.601, 0.314, 0.735
    rows[25, :4] = [0, 0, 0, 1]
    return normalize(rows)


def test_an_image_like_some_of_a_group_is_rescued_and_told():
    unit = outfits()
    found = linkage(unit, threshold=THRESHOLD)
    assert found.labels.tolist() == [0] * 25 + [NOISE]
    assert np.flatnonzero(found.rescued).tolist() == [24]
    assert found.before[24] != found.before[0] and len(set(found.before[:24].tolist())) == 1
    own = (1 - unit[24].astype(float) @ unit[:24].astype(float).mean(axis=0)) / 2
    assert found.nearest[24] == pytest.approx(own, abs=1e-6) and own > THRESHOLD
    assert found.second[24] == np.inf
    assert np.isnan(found.nearest[~found.rescued]).all() and np.isnan(found.second[~found.rescued]).all()
    details = run_method(unit, "linkage", eps=THRESHOLD, min_samples=2)
    np.testing.assert_array_equal(details.labels, found.labels)
    np.testing.assert_array_equal(details.rescued, found.rescued)
    assert (details.method, details.eps, details.min_samples) == ("linkage", THRESHOLD, 2)


def test_an_image_as_far_from_all_of_a_group_is_not_rescued():
    unit = outfits()
    unit[24] = unit[:24].mean(axis=0) * 0.62 / np.linalg.norm(unit[:24].mean(axis=0))
    unit[24, 29] = np.sqrt(1 - np.square(unit[24]).sum())
    apart = (1 - unit[24] @ unit[:24].T) / 2
    assert apart.min() > THRESHOLD and apart.mean() < 1.4 * THRESHOLD
    assert not linkage(unit, threshold=THRESHOLD).rescued.any()


def test_a_still_scene_counts_as_one_image():
    """A hundred frames of one scene must not outweigh the other images of a character."""
    scene, other, third = np.linalg.cholesky([[1, 0.82, 0.52], [0.82, 1, 0.8], [0.52, 0.8, 1]])
    unit = normalize(np.pad(np.stack([scene] * 100 + [other, third]), [(0, 0), (0, 30)]))
    unit = normalize(unit + np.pad(0.002 * np.random.default_rng(0).normal(size=(100, 33)), [(0, 2), (0, 0)]))
    one_image = linkage(unit, threshold=THRESHOLD, options=LinkageOptions(reach=0))
    hundred = linkage(unit, threshold=THRESHOLD, options=LinkageOptions(reach=0, near_duplicate=0))
    assert one_image.labels.tolist() == [0] * 102
    assert hundred.labels.tolist() == [0] * 101 + [NOISE]


def test_smallest_group():
    unit = of_characters("aaabbc")
    assert cluster(unit, method="linkage", min_samples=1).tolist() == [0, 0, 0, 1, 1, 2]
    assert cluster(unit, method="linkage", min_samples=3).tolist() == [0, 0, 0, NOISE, NOISE, NOISE]
    kept = Constraints(fixed=[-1, -1, -1, -1, -1, 7])
    assert cluster(unit, method="linkage", min_samples=3, constraints=kept).tolist() == [0] * 3 + [NOISE] * 2 + [1]


def decided(n: int, seed: int) -> Constraints:
    random = np.random.default_rng(seed)
    fixed = np.where(random.random(n) < 0.2, random.integers(0, 4, n), -1)

    def pairs(count: int) -> list[tuple[int, int]]:
        return [(int(a), int(b)) for a, b in random.integers(0, n, (count, 2))]

    rejected = {(int(i), int(g)) for i, g in zip(random.integers(0, n, 6), random.integers(0, 5, 6), strict=True)}
    return Constraints(fixed, rejected, pairs(4), pairs(6), random.integers(-1, n, n))


@settings(max_examples=150, deadline=None)
@given(n=st.integers(2, 90), noise=st.floats(0.1, 1.8), seed=st.integers(0, 100_000))
def test_no_decision_is_ever_violated(n, noise, seed):
    unit, wanted = embeddings(n, n_characters=5, noise=noise, seed=seed), decided(n, seed)
    try:
        labels = linkage(unit, threshold=THRESHOLD, min_samples=1, constraints=wanted).labels
    except ContradictionError as error:
        assert error.pairs and all(0 <= i < n for pair in error.pairs for i in pair)
        return
    fixed = np.asarray(wanted.fixed)
    for group in set(fixed[fixed >= 0].tolist()):
        assert len(set(labels[fixed == group].tolist())) == 1
    groups = {int(labels[i]): int(fixed[i]) for i in np.flatnonzero(fixed >= 0)}
    assert len(groups) == len(set(fixed[fixed >= 0].tolist()))
    assert all(labels[i] == labels[j] for i, j in wanted.must_link)
    assert all(labels[i] != labels[j] for i, j in wanted.cannot_link)
    assert all(groups.get(int(labels[i])) != group for i, group in wanted.rejected)


@settings(max_examples=100, deadline=None)
@given(
    n=st.integers(2, 90), noise=st.floats(0.1, 1.8), seed=st.integers(0, 100_000), is_decided=st.booleans(),
    is_graph=st.booleans(), eps=st.sampled_from([THRESHOLD, 0.8 * THRESHOLD]),
)  # fmt: skip
def test_what_is_not_connected_up_to_a_cut_would_not_have_met(n, noise, seed, is_decided, is_graph, eps):
    """As if all were connected at each of the three cuts: with near-duplicates, decisions, boxes of one image."""
    unit = embeddings(n, n_characters=5, noise=noise, seed=seed)
    random = np.random.default_rng(seed)
    doubles = random.integers(0, n, n // 2)
    unit = normalize(np.concatenate([unit, unit[doubles] + 0.01 * random.normal(size=(len(doubles), 64))]))
    wanted = decided(len(unit), seed) if is_decided else None
    given_ = radius_graph(unit, 1.25 * THRESHOLD) if is_graph else unit
    together = np.zeros(len(unit), np.int64)

    def one_for_all(n, parts, cuts):
        assert sum(len(pairs.rows) for pairs in parts) >= 0
        return Components(together, together, together)

    try:
        found = linkage(given_, threshold=eps, min_samples=1, constraints=wanted)
    except ContradictionError:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ccip_plugin.core.clustering.linkage.average.find_components", one_for_all)
        whole = linkage(given_, threshold=eps, min_samples=1, constraints=wanted)
    np.testing.assert_array_equal(found.labels, whole.labels)
    np.testing.assert_array_equal(found.rescued, whole.rescued)


def test_constraints_that_say_nothing_change_nothing():
    unit = embeddings(200)
    nothing = Constraints(np.full(200, -1), [(3, 9)], same_image=np.arange(200))
    np.testing.assert_array_equal(cluster(unit, method="linkage"), cluster(unit, method="linkage", constraints=nothing))
    with pytest.raises(ParameterError, match="constraints"):
        cluster(unit, method="dbscan", constraints=nothing)


def test_boxes_of_one_image_are_kept_apart_unless_they_are_alike():
    unit = at_angles(0, 35, 36, 37)  # 0 and 35 degrees: a difference of 0.09
    boxes = [5, 5, -1, 6]
    assert cluster(unit, method="linkage").tolist() == [0] * 4
    assert cluster(unit, method="linkage", constraints=Constraints(same_image=boxes)).tolist() == [NOISE, 0, 0, 0]
    assert cluster(unit, method="linkage", constraints=Constraints(same_image=boxes, push=0)).tolist() == [0] * 4
    mirrored = at_angles(0, 10, 60, 61)
    assert cluster(mirrored, method="linkage", constraints=Constraints(same_image=boxes)).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("push, n_groups", [(0.2, 1), (0.75, 2)])
@pytest.mark.parametrize("n_frames", [1, 2, 5, 20])
def test_frames_of_a_still_scene_push_as_one_image_does(push, n_groups, n_frames):
    """Two boxes a frame, with a difference of 0.6 thresholds."""
    random = np.random.default_rng(0)
    unit = at_angles(0, np.degrees(np.arccos(1 - 2 * 0.6 * THRESHOLD)))
    frames = normalize(np.repeat(unit, n_frames, axis=0) + 0.01 * random.normal(size=(2 * n_frames, 2)))
    wanted = Constraints(same_image=np.tile(np.arange(n_frames), 2), push=push)
    options = LinkageOptions(reach=0, min_limit=1)
    found = linkage(frames, threshold=THRESHOLD, min_samples=1, constraints=wanted, options=options)
    assert len(set(found.labels.tolist())) == n_groups


@pytest.mark.parametrize(
    "options, text",
    [
        pytest.param({"push": -1}, "push", id="a push that pulls"),
        pytest.param({"push": float("nan")}, "push", id="no number"),
        pytest.param({"push": "a"}, "push", id="a text"),
        pytest.param({"must_link": [(0, 1, 2), (3, 4, 5)]}, "must_link", id="triples"),
        pytest.param({"cannot_link": [(0.7, 1.9)]}, "cannot_link", id="fractions"),
        pytest.param({"rejected": [(0, 1, 2)]}, "rejected", id="a rejection of three"),
    ],
)
def test_constraints_that_mean_nothing(options, text):
    with pytest.raises(ParameterError, match=text):
        cluster(embeddings(9), constraints=Constraints(**options))


def test_the_cuts_come_one_after_the_other():
    with pytest.raises(ParameterError, match="near_duplicate <= certain"):
        LinkageOptions(near_duplicate=0.9)


def test_people_overrule_boxes_of_one_image():
    unit = at_angles(0, 35, 36, 37)
    wanted = Constraints(same_image=[5, 5, -1, 6], must_link=[(0, 1)])
    assert cluster(unit, method="linkage", constraints=wanted).tolist() == [0] * 4


@pytest.mark.parametrize(
    "n_groups, limit",
    [pytest.param(3, 1.0, id="too few to tell"), pytest.param(400, 0.868, id="many that are near by chance")],
)
def test_the_limit_falls_where_many_groups_are_near_by_chance(n_groups, limit):
    random = np.random.default_rng(1)
    means = normalize(random.normal(size=(n_groups, 100)) + 1)
    assert tail_limit(means, THRESHOLD) == pytest.approx(limit * THRESHOLD)


def test_the_limit_stays_where_pairs_below_it_are_too_many_for_chance():
    random = np.random.default_rng(1)
    characters = random.normal(size=(60, 300)) + 0.8
    outfits = np.repeat(characters, 2, axis=0) + 0.52 * random.normal(size=(120, 300))
    beyond = np.repeat(random.normal(size=(1, 300)) + 0.8, 9, axis=0) + 0.83 * random.normal(size=(9, 300))
    limit = tail_limit(normalize(np.concatenate([outfits, beyond])), THRESHOLD)
    assert 0.868 * THRESHOLD < limit <= THRESHOLD
