"""Tiny models, and embeddings computed with them. FiftyOne is imported in the fixtures, when its database runs."""

import pytest

from tests.support import tiny_models

OTHER_MODEL = "ccip-caformer_b36-24"


@pytest.fixture
def model_dir(tmp_path):
    """Two models with the same inputs and other outputs."""
    tiny_models.write_model_dir(tmp_path / "models", name=OTHER_MODEL, variant="other_weights")
    return tiny_models.write_model_dir(tmp_path / "models")


@pytest.fixture
def embed(model_dir):
    """``compute_embeddings`` with the tiny models."""
    from ccip_plugin.embeddings import compute_embeddings

    return lambda samples, **options: compute_embeddings(samples, **{"model_dir": model_dir, **options})


@pytest.fixture
def vectors_of(model_dir):
    """The vectors that the encoder itself gives for files, images or crops."""
    from ccip_plugin.core.encoder import Encoder

    def give(sources, model_name=tiny_models.NAME):
        with Encoder.open(model_name, model_dir=model_dir) as encoder:
            return encoder.embed(list(sources))

    return give


@pytest.fixture
def every_result(monkeypatch):
    """Results are stored, and progress is reported, one by one."""
    from ccip_plugin.embeddings import compute

    monkeypatch.setattr(compute, "FLUSH_RESULTS", 1)
    monkeypatch.setattr(compute, "REPORT_SECONDS", 0)


@pytest.fixture
def told_of_all(monkeypatch):
    """Progress is reported for every result."""
    from ccip_plugin.embeddings import compute

    monkeypatch.setattr(compute, "REPORT_SECONDS", 0)
