"""Folders and files of models that cannot be read: one of this package's errors, or the model counts as missing."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from ccip_plugin.core import calibration, hub
from ccip_plugin.core.errors import CCIPError, ModelFileDamagedError, ModelFileMissingError
from ccip_plugin.core.hub.download import Hub
from ccip_plugin.core.registry import DEFAULT_MODEL

FILES = ("model_feat.onnx", "metrics.json", "cluster.json")


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """An empty cache of models."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("CCIP_MODEL_DIR", raising=False)
    return tmp_path / "hub"


@pytest.fixture
def locked():
    """A folder of models whose files may not be read; the tests may run as root, who may read everything."""
    place = Path(tempfile.mkdtemp(prefix="ccip-test-"))
    (place / DEFAULT_MODEL).mkdir()
    for name in FILES:
        (place / DEFAULT_MODEL / name).write_text("{}")
        (place / DEFAULT_MODEL / name).chmod(0)
    place.chmod(0o755)
    user = os.geteuid()
    if not user:
        os.seteuid(65_534)
    yield place
    os.seteuid(user)
    shutil.rmtree(place)


@pytest.mark.parametrize(
    "place", ["x" * 5000, "a\0b", "~nobody-has-this-name/x", "/dev/null", "/proc/self/mem", "\ud800"]
)
def test_folders_of_models_that_are_none(empty, place):
    with pytest.raises(ModelFileMissingError) as caught:
        hub.find_files(DEFAULT_MODEL, model_dir=place, download=False)
    assert str(caught.value).encode()
    assert not hub.is_available(DEFAULT_MODEL, model_dir=place) and hub.size(DEFAULT_MODEL, model_dir=place) == 0
    assert calibration.load(DEFAULT_MODEL, model_dir=place) == calibration.load(DEFAULT_MODEL)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to(path.name)])
def test_files_of_another_kind_are_missing(empty, tmp_path, make):
    (tmp_path / DEFAULT_MODEL).mkdir()
    for name in FILES:
        make(tmp_path / DEFAULT_MODEL / name)
    with pytest.raises(ModelFileMissingError):
        hub.find_files(DEFAULT_MODEL, model_dir=tmp_path)
    assert calibration.load(DEFAULT_MODEL, model_dir=tmp_path) == calibration.load(DEFAULT_MODEL)


def test_files_that_may_not_be_read(empty, locked):
    with pytest.raises(ModelFileDamagedError, match="Permission denied"):
        hub.find_files(DEFAULT_MODEL, model_dir=locked)
    with pytest.raises(ModelFileDamagedError, match="Permission denied"):
        calibration.load(DEFAULT_MODEL, model_dir=locked)


@pytest.mark.parametrize("revision", ["\0", "../../../x", "x" * 5000, "a b", "\ud800"])
def test_revisions_that_are_none(empty, revision):
    with pytest.raises(CCIPError):
        hub.find_files(DEFAULT_MODEL, revision=revision, download=False)
    assert hub.remove(DEFAULT_MODEL, revision=revision) == 0


@pytest.mark.parametrize("name", ["the cache", "its folder"])
def test_a_cache_that_is_a_file(empty, name):
    if name == "the cache":
        empty.write_text("x")
    else:
        empty.mkdir()
        Hub().folder.write_text("x")
    with pytest.raises(ModelFileMissingError):
        hub.find_files(DEFAULT_MODEL, download=False)
    assert calibration.load(DEFAULT_MODEL) and hub.remove(DEFAULT_MODEL) == 0 and not hub.is_available(DEFAULT_MODEL)


def test_a_file_that_cannot_be_deleted(tmp_path):
    with pytest.raises(CCIPError, match="cannot be deleted"):
        Hub(cache=tmp_path).delete(Path("/proc/self/status"))
