"""The cache of graphs is optional: what cannot be written costs time, never a result."""

import logging
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from ccip_plugin.core.clustering import cluster
from ccip_plugin.core.neighbors import cache, radius_graph
from ccip_plugin.core.neighbors.cache import find_or_build, find_or_choose
from ccip_plugin.core.neighbors.choice import GraphChoice
from ccip_plugin.core.neighbors.files import graphs_folder, stored_graph
from ccip_plugin.core.neighbors.vectors import UnitVectors

RADIUS = 0.2
EXACT, APPROXIMATE = GraphChoice("auto", "exact"), GraphChoice("approximate", "approximate")


def embeddings(n: int = 300) -> UnitVectors:
    random = np.random.default_rng(0)
    characters = random.normal(size=(12, 64))
    return UnitVectors(characters[random.integers(0, 12, n)] + 0.7 * random.normal(size=(n, 64)))


def contents(graph) -> tuple:
    return tuple(np.asarray(x).tobytes() for x in (graph.rows, graph.cols, graph.differences))


@pytest.fixture(autouse=True)
def many(monkeypatch):
    """All numbers of images are many."""
    monkeypatch.setattr(cache, "_MANY", 1)


@pytest.fixture
def place():
    """A folder whose parents everybody may read."""
    folder = Path(tempfile.mkdtemp(prefix="ccip-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def unprivileged():
    """The tests may run as root, for whom no folder is read-only."""
    if os.geteuid():
        yield
        return
    os.seteuid(65_534)
    yield
    os.seteuid(0)


def a_file_in_its_place(place: Path) -> None:
    (place / "cache").write_text("x")


def a_file_above(place: Path) -> None:
    (place / "cache").mkdir()
    (place / "cache" / "graphs").write_text("x")


def a_dead_link(place: Path) -> None:
    (place / "cache").symlink_to("/nowhere/at/all")


def not_creatable(place: Path) -> None:
    place.chmod(0o555)


def read_only(place: Path) -> None:
    (place / "cache" / "graphs").mkdir(parents=True)
    (place / "cache" / "graphs").chmod(0o555)


def not_readable(place: Path) -> None:
    (place / "cache" / "graphs").mkdir(parents=True)
    (place / "cache" / "graphs").chmod(0)


CASES = [a_file_in_its_place, a_file_above, a_dead_link, not_creatable, read_only, not_readable]


@pytest.fixture(params=CASES, ids=lambda case: case.__name__)
def unwritable(request, place, monkeypatch):
    cluster(embeddings(20))  # everything is imported before privileges are dropped
    monkeypatch.setenv("CCIP_CACHE_DIR", str(place / "cache"))
    temporary = place / "temporary"
    temporary.mkdir()
    temporary.chmod(0o777)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    request.param(place)
    request.getfixturevalue("unprivileged")
    return temporary


def test_a_graph_that_cannot_be_cached_is_built_all_the_same(unwritable, caplog):
    with caplog.at_level(logging.WARNING):
        graph = find_or_build(embeddings(), RADIUS, EXACT)
    assert contents(graph) == contents(radius_graph(embeddings(), RADIUS)) and graph.folder is None
    assert "is not cached" in caplog.text


def test_a_run_compares_all_images_instead(unwritable, caplog):
    told = []
    with caplog.at_level(logging.WARNING):
        assert find_or_choose(embeddings(), RADIUS, EXACT, progress=told.append) is None
    assert "is not cached" in caplog.text
    assert "the cache folder cannot be written" in [each.note for each in told]


def test_an_approximate_graph_goes_to_a_temporary_folder(unwritable, monkeypatch):
    pytest.importorskip("faiss", reason="the extra 'index' is not installed")
    for graph in (find_or_choose(embeddings(), RADIUS, APPROXIMATE), find_or_build(embeddings(), RADIUS, APPROXIMATE)):
        assert graph.quality.recall > 0.9 and graph.folder is None and graph.degrees.sum() > 0
    assert list(unwritable.iterdir()) == []
    found = cluster(embeddings(), graph="approximate")
    np.testing.assert_array_equal(found, cluster(embeddings()))
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere/at/all")
    np.testing.assert_array_equal(cluster(embeddings(), graph="approximate"), found)
    assert contents(find_or_build(embeddings(), RADIUS, EXACT)) == contents(radius_graph(embeddings(), RADIUS))


def test_a_graph_in_a_folder_that_became_read_only_is_used(place, monkeypatch, request, caplog):
    monkeypatch.setenv("CCIP_CACHE_DIR", str(place / "cache"))
    cluster(embeddings(20))
    want = stored_graph(embeddings(), RADIUS, graphs_folder())
    for folder, _, files in os.walk(place):
        Path(folder).chmod(0o555)
        for name in files:
            Path(folder, name).chmod(0o444)
    request.getfixturevalue("unprivileged")
    with caplog.at_level(logging.WARNING):
        found = [find(embeddings(), 0.1, EXACT) for find in (find_or_choose, find_or_build)]
        labels = cluster(found[0], eps=0.1)
    assert all(graph.folder == want.folder for graph in found)
    np.testing.assert_array_equal(labels, cluster(embeddings(), eps=0.1))
    assert "merges of average linkage are not stored" in caplog.text


FULL = """
import resource, sys, tempfile
import numpy as np
from ccip_plugin.core.neighbors import cache, radius_graph
from ccip_plugin.core.neighbors.choice import GraphChoice
from ccip_plugin.core.neighbors.vectors import UnitVectors

cache._MANY = 1
unit = UnitVectors(np.random.default_rng(0).normal(size=(300, 4)))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
graph = cache.find_or_build(unit, 0.2, GraphChoice("auto", "exact"))
want = radius_graph(unit, 0.2)
assert graph.n_pairs == want.n_pairs > 1000 and (graph.cols == want.cols).all()
assert cache.find_or_choose(unit, 0.2, GraphChoice("auto", "exact")) is None
print(graph.n_pairs)
"""


def test_a_full_disk(tmp_path):
    environment = os.environ | {"CCIP_CACHE_DIR": str(tmp_path / "cache"), "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", FULL], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_disk_with_too_little_space_is_not_filled(tmp_path, monkeypatch):
    monkeypatch.setenv("CCIP_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_free_bytes", lambda folder: 10)
    assert find_or_choose(embeddings(), RADIUS, EXACT) is None
    assert not graphs_folder().exists()


USES = """
import sys, logging
import numpy as np
from ccip_plugin.core.clustering import cluster
from ccip_plugin.core.neighbors import cache
from ccip_plugin.core.neighbors.choice import GraphChoice
from ccip_plugin.core.neighbors.vectors import UnitVectors

logging.basicConfig(level=logging.WARNING)
cache.KEPT_GRAPHS = 1
random = np.random.default_rng(int(sys.argv[1]))
want = {}
for use in range(80):
    seed = int(random.integers(3))
    vectors = np.random.default_rng(seed).normal(size=(12, 8))
    unit = UnitVectors(vectors[np.random.default_rng(seed).integers(0, 12, 60)])
    graph = cache.find_or_build(unit, float(random.choice([0.1, 0.2])), GraphChoice("auto", "exact"))
    labels = cluster(graph, eps=0.05).tolist()
    assert labels == want.setdefault(seed, labels)
print("ok")
"""


def test_three_processes_use_one_cache(tmp_path):
    environment = os.environ | {"CCIP_CACHE_DIR": str(tmp_path / "cache")}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", USES, str(number)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    for process in processes:
        out, err = process.communicate(timeout=300)
        assert out.strip() == "ok", err
        assert "damaged" not in err
    assert len(list((tmp_path / "cache" / "graphs").iterdir())) <= 3
