"""Progress and cancellation within one large component, which takes minutes."""

import numpy as np
import pytest

from ccip_plugin.core.clustering.linkage import agglomeration, linkage
from ccip_plugin.core.neighbors.files import stored_graph
from ccip_plugin.core.progress import Cancelled, Progress

THRESHOLD = 0.178
N = 400
CELLS = 1 << 13  # of a block: 20 rows of 400


def one_character(n: int = N) -> np.ndarray:
    """Images of one character in several outfits: one component."""
    random = np.random.default_rng(0)
    outfits = random.normal(size=(1, 64)) + 0.5 * random.normal(size=(6, 64))
    images = outfits[random.integers(0, 6, n)] + random.uniform(0.2, 0.6, (n, 1)) * random.normal(size=(n, 64))
    return images.astype(np.float32)


@pytest.fixture(params=["scipy", "matrix", "blocks"], autouse=True)
def way(request, monkeypatch):
    """The ways of merging, which depend on the number of groups."""
    monkeypatch.setattr(agglomeration, "_CELLS", CELLS)
    monkeypatch.setattr(agglomeration, "_ROWS", 20)
    if request.param != "scipy":
        monkeypatch.setattr(agglomeration, "_MAX_SCIPY", 0)
    if request.param == "blocks":
        monkeypatch.setattr(agglomeration, "_MAX_MATRIX", 2)
    return request.param


@pytest.fixture(params=["embeddings", "a stored graph"])
def data(request, tmp_path):
    return one_character() if request.param == "embeddings" else stored_graph(one_character(), 0.3, tmp_path)


def steps_of(data) -> list[Progress]:
    steps: list[Progress] = []
    linkage(data, threshold=THRESHOLD, progress=steps.append)
    return steps


def test_progress_within_a_component(data):
    steps = steps_of(data)
    for stage in {step.stage for step in steps}:
        of_stage = [step.done for step in steps if step.stage == stage]
        assert of_stage == sorted(of_stage)
        assert all(0 <= step.done <= step.total for step in steps if step.stage == stage)
    merging = [step for step in steps if step.stage in ("grouping images", "merging images")]
    assert len(merging) > 10 and len({step.done for step in merging}) >= 3


def test_no_block_of_comparisons_goes_without_a_report(monkeypatch):
    """Between two reports is at most one block, whose size is bounded."""
    blocks, reports, usual = [], [], agglomeration._Agglomeration._pick_nearest

    def counted(state, cosines, rows):
        blocks.append((cosines.size, len(reports)))
        usual(state, cosines, rows)

    monkeypatch.setattr(agglomeration._Agglomeration, "_pick_nearest", counted)
    linkage(one_character(), threshold=THRESHOLD, progress=reports.append)
    assert all(size <= max(CELLS, N) for size, _ in blocks)
    assert len({n_reports for _, n_reports in blocks}) == len(blocks)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9])
def test_the_first_report_after_the_wish_ends_the_work(share):
    n_reports = len(steps_of(one_character()))
    seen = []

    def stop(step: Progress) -> None:
        seen.append(step)
        if len(seen) > share * n_reports:
            raise Cancelled

    with pytest.raises(Cancelled):
        linkage(one_character(), threshold=THRESHOLD, progress=stop)
    assert len(seen) == int(share * n_reports) + 1
