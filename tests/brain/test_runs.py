"""Brain runs: their keys, what is stored, and of what they are made."""

from dataclasses import replace

import numpy as np
import pytest

from ccip_plugin.brain.runs import BrainKeyError, default_key, digest, find_run
from ccip_plugin.embeddings.load import Embeddings

pytestmark = pytest.mark.mongo


@pytest.mark.parametrize(
    "path, key",
    [
        pytest.param("ccip_embedding", "ccip_similarity", id="the default field"),
        pytest.param("other", "ccip_similarity_other", id="another field"),
        pytest.param("faces.detections.ccip_embedding", "ccip_similarity_faces_detections_ccip_embedding", id="faces"),
    ],
)
def test_default_keys(path, key):
    assert default_key("ccip_similarity", path) == key


def test_finds_the_stored_run(grouped, run_python):
    data = grouped("aab", persistent=True)
    assert find_run(data, "index", "similarity") is None
    code = """
        import sys
        import fiftyone as fo, fiftyone.brain as fob
        fob.compute_similarity(fo.load_dataset(sys.argv[1]), embeddings="ccip_embedding", brain_key="index")
    """
    run_python(code, data.name)
    assert find_run(data, "index", "similarity").embeddings_field == "ccip_embedding"
    with pytest.raises(BrainKeyError, match="'index' is taken by a similarity run"):
        find_run(data, "index", "visualization")
    with pytest.raises(BrainKeyError, match="letters, digits and _ only"):
        find_run(data, "no key", "similarity")


def test_the_hash_changes_with_everything_that_a_run_is_made_from():
    rows = np.eye(3, dtype=np.float32)
    embeddings = Embeddings(ids=["a", "b", "c"], sample_ids=["a", "b", "c"], vectors=rows, provenance=None, n_missing=0)
    others = [
        (replace(embeddings, ids=["a", "c", "b"]), "sklearn"),
        (replace(embeddings, vectors=rows[::-1].copy()), "sklearn"),
        (embeddings, "lancedb"),
    ]
    hashes = {digest(embeddings, "sklearn"), *(digest(changed, option) for changed, option in others)}
    assert len(hashes) == 4
    assert digest(replace(embeddings, n_missing=7, sample_ids=["x"] * 3), "sklearn") in hashes
