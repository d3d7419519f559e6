"""A hub on this machine with two tiny models, and empty caches."""

import time

import pytest

from ccip_plugin.core.hub import Hub
from tests.support import tiny_models
from tests.support.tiny_hub import NAME, OTHER, TinyHub


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    """No cache, record or setting of this machine is used."""
    monkeypatch.setenv("CCIP_CACHE_DIR", str(tmp_path / "ours"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "their cache"))
    for name in ("CCIP_MODEL_DIR", "CCIP_REVISION"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def no_pauses(monkeypatch):
    """The library tries again at once where it would wait, for up to half a minute."""
    monkeypatch.setattr(time, "sleep", lambda _: None)


@pytest.fixture
def published(tmp_path):
    """What the repository holds: two models, and a checkpoint that must not be downloaded."""
    folder = tiny_models.write_model_dir(tmp_path / "published", name=NAME)
    tiny_models.write_model_dir(folder, name=OTHER, variant="other_weights")
    (folder / NAME / "model.ckpt").write_bytes(b"\x80\x04 a pickle")
    return folder


@pytest.fixture
def server(published):
    with TinyHub(published) as server:
        yield server


@pytest.fixture
def hub(server, tmp_path):
    return Hub(endpoint=server.endpoint, cache=tmp_path / "their cache")
