"""Embeddings that a test stored or computes."""

import numpy as np
import pytest

FIELD = "ccip_embedding"
OTHER_MODEL = "ccip-caformer_b36-24"
BAD_VECTORS = [
    pytest.param(np.ones(512), "768 numbers", id="another dimension"),
    pytest.param(np.full(768, np.nan), "NaN", id="nan"),
    pytest.param(np.zeros(768), "are zero", id="zero"),
]
"""Vectors that cannot be embeddings, and what their errors say."""


def stored(samples, path=FIELD):
    """The vectors in a dataset by file, as an array; all must be there."""
    vectors = samples.values(path)
    assert all(vector is not None for vector in vectors)
    return np.stack(vectors)


def at(done, action):
    """A progress callable that acts once, when so many are done."""
    acted = []

    def progress(now):
        if now.stage == "embedding" and now.done >= done and not acted:
            acted.append(now)
            action()

    return progress
