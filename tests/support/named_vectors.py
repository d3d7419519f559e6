"""Embeddings of named characters."""

import numpy as np

NAMES = ("初音ミク", "鏡音リン", "巡音ルカ", "ハク 🎀", "洛天依", "KAITO")


def people(n=180, seed=0):
    random = np.random.default_rng(seed)
    codes = np.append(np.arange(len(NAMES)), random.integers(0, len(NAMES), n - len(NAMES)))
    centres = random.normal(size=(len(NAMES), 48))
    centres[1] = 0.8 * centres[0] + 0.6 * centres[1]  # a twin
    vectors = centres[codes] + 0.8 * random.normal(size=(n, 48))
    return vectors.astype(np.float32), [NAMES[code] for code in codes]
