"""Stored graphs and merges are verified when they are opened: damage costs time and is said, never a result."""

import logging
from pathlib import Path

import numpy as np
import pytest

from ccip_plugin.core.clustering import cluster
from ccip_plugin.core.neighbors import radius_graph
from ccip_plugin.core.neighbors.approximate import approximate_graph
from ccip_plugin.core.neighbors.files import find_graph, stored_graph

SEED = 20_260_101
RADIUS = 0.2
RECORDS = ("graph.json", "quality.json")
FILES = ("rows", "cols", "differences")


def embeddings(n: int = 300) -> np.ndarray:
    random = np.random.default_rng(0)
    characters = random.normal(size=(12, 64))
    return (characters[random.integers(0, 12, n)] + 0.7 * random.normal(size=(n, 64))).astype(np.float32)


def contents(graph) -> tuple:
    return tuple(np.asarray(x).tobytes() for x in (graph.rows, graph.cols, graph.differences))


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def ones(path: Path) -> None:
    path.write_bytes(b"\xff" * path.stat().st_size)


def noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(SEED).bytes(path.stat().st_size))


def one_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def one_page(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-4096:] = bytes(len(data[-4096:]))
    path.write_bytes(data)


def swapped(path: Path) -> None:
    """Numbers that are all in range."""
    data = path.read_bytes()
    path.write_bytes(data[4:8] + data[:4] + data[8:][::-1])


def nested(path: Path) -> None:
    path.write_text("[" * 100_000)


def huge(path: Path) -> None:
    path.write_text('{"content": {"n": ' + "9" * 6000 + "}}")


def odd(path: Path) -> None:
    path.write_text('{"content": [], "checksum": "x"}')


def link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to("/nowhere")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES = (zeros, ones, noise, one_bit, one_page, swapped, nested, huge, odd, link_to_nothing, a_folder)
SILENT = (link_to_nothing,)  # a missing file is no damage: it is what an interrupted build leaves


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", [*FILES, "graph.json"])
def test_a_damaged_graph_is_built_again_and_that_is_said(tmp_path, caplog, name, damage):
    want = contents(stored_graph(embeddings(), RADIUS, tmp_path))
    (folder,) = tmp_path.iterdir()
    damage(folder / name)
    with caplog.at_level(logging.WARNING):
        assert find_graph(embeddings(), RADIUS, tmp_path) is None
        assert contents(stored_graph(embeddings(), RADIUS, tmp_path)) == want
    assert damage in SILENT or (folder.name in caplog.text and "computed again" in caplog.text)
    caplog.clear()
    assert contents(find_graph(embeddings(), RADIUS, tmp_path)) == want and not caplog.text
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", [*FILES, *RECORDS])
def test_a_damaged_approximate_graph_is_built_again(tmp_path, caplog, name, damage):
    pytest.importorskip("faiss", reason="the extra 'index' is not installed")
    built = approximate_graph(embeddings(), RADIUS, tmp_path)
    want = contents(built)
    (folder,) = tmp_path.iterdir()
    damage(folder / name)
    with caplog.at_level(logging.WARNING):
        again = approximate_graph(embeddings(), RADIUS, tmp_path)
    assert contents(again) == want and again.quality == built.quality
    assert damage in SILENT or "computed again" in caplog.text


@pytest.mark.parametrize("damage", [zeros, ones, noise, one_bit, one_page, swapped, nested, a_folder])
def test_damaged_merges_are_made_again(tmp_path, caplog, damage):
    graph = stored_graph(embeddings(), 0.25, tmp_path)
    want = cluster(graph)
    (file,) = graph.folder.glob("merges-*")
    damage(file)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(cluster(graph), want)
    assert file.name in caplog.text and "computed again" in caplog.text


def test_a_graph_of_an_earlier_version_is_built_again_without_a_word(tmp_path, caplog):
    want = contents(stored_graph(embeddings(), RADIUS, tmp_path))
    (folder,) = tmp_path.iterdir()
    (folder / "graph.json").write_text('{"format": 1, "n": 300, "radius": 0.2, "n_pairs": 5}')
    with caplog.at_level(logging.WARNING):
        assert contents(stored_graph(embeddings(), RADIUS, tmp_path)) == want
    assert not caplog.text


def test_other_files_in_the_folder_do_no_harm(tmp_path):
    for name in ("notes.txt", "a-b", "-"):
        (tmp_path / name).write_text("x")
    (tmp_path / "a-b-folder").mkdir()
    other = tmp_path / f"{'0' * 32}-no number"
    other.mkdir()
    (other / "graph.json").write_text("{}")
    graph = stored_graph(embeddings(), RADIUS, tmp_path)
    assert contents(graph) == contents(radius_graph(embeddings(), RADIUS))
    odd_name = graph.folder.with_name(graph.folder.name + "-copy")
    odd_name.mkdir()
    (odd_name / "graph.json").write_text("{}")
    assert find_graph(embeddings(), RADIUS, tmp_path).folder == graph.folder
