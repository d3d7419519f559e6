"""Cells of an inverted file: every image is a member of one cell and a query of as many others as it may search."""

import sys

import numpy as np
import pytest

from ccip_plugin.core.errors import MissingExtraError
from ccip_plugin.core.neighbors.cells import cell_operations, count_cells, find_cells, load_faiss
from ccip_plugin.core.neighbors.vectors import UnitVectors
from ccip_plugin.core.progress import Progress


@pytest.fixture
def faiss():
    return pytest.importorskip("faiss", reason="the extra 'index' is not installed")


def vectors(n, dim=32, seed=0):
    random = np.random.default_rng(seed)
    centres = random.normal(size=(max(1, n // 20), dim))
    return UnitVectors(centres[np.arange(n) % len(centres)] + 0.3 * random.normal(size=(n, dim)))


@pytest.mark.usefixtures("faiss")
@pytest.mark.parametrize("n, n_probes", [(9, 1), (200, 1), (200, 3), (1000, 5), (30, 1000)])
def test_every_image_is_a_member_of_one_cell_and_a_query_of_others(n, n_probes):
    cells = find_cells(vectors(n), n_probes)
    n_cells = count_cells(n)
    assert len(cells.members) == len(cells.queries) == n_cells
    assert sorted(np.concatenate(cells.members).tolist()) == list(range(n))
    n_searched = np.bincount(np.concatenate([np.empty(0, np.int64), *cells.queries]), minlength=n)
    assert set(n_searched.tolist()) == {min(n_probes, n_cells) - 1}
    for members, queries in zip(cells.members, cells.queries, strict=True):
        assert not set(members.tolist()) & set(queries.tolist())
        assert members.tolist() == sorted(members.tolist())


@pytest.mark.usefixtures("faiss")
def test_near_images_are_members_of_one_cell():
    """Images of one centre share a cell far more often than chance, which is one in 57 here."""
    cells = find_cells(vectors(200), 1)
    cell = np.empty(200, np.int64)
    for number, members in enumerate(cells.members):
        cell[members] = number
    together = [cell[i] == cell[j] for i in range(200) for j in range(i) if i % 10 == j % 10]
    assert np.mean(together) > 0.15


@pytest.mark.usefixtures("faiss")
def test_progress_is_told_to_the_end():
    told: list[Progress] = []
    find_cells(vectors(200), 2, progress=told.append)
    assert {each.stage for each in told} == {"learning cells", "finding cells"}
    assert (told[-1].done, told[-1].total) == (200, 200)


@pytest.mark.parametrize("n, expected", [(0, 1), (1, 1), (8, 1), (16, 2), (10_000, 400), (1_000_000, 4000)])
def test_count_cells(n, expected):
    assert count_cells(n) == expected


def test_the_cost_grows_with_images_and_dimensions():
    assert cell_operations(20_000, 64) > 2 * cell_operations(10_000, 64)
    assert cell_operations(10_000, 128) == 2 * cell_operations(10_000, 64)


def test_without_faiss_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtraError, match="index"):
        load_faiss()
