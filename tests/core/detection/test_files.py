"""The file of a detector: in a folder of the user, downloaded once, then without network; never another one."""

import pytest

from ccip_plugin.core.detection.detector import Detector
from ccip_plugin.core.detection.files import MODEL, find_detector
from ccip_plugin.core.detection.outputs import LAYOUTS
from ccip_plugin.core.detection.registry import DETECTORS, FACES, HEADS, KINDS, PERSONS, get_detector
from ccip_plugin.core.errors import (
    DownloadError,
    ModelFileChangedError,
    ModelFileDamagedError,
    ModelFileMissingError,
    ParameterError,
)
from ccip_plugin.core.hub import Hub
from tests.support.detection.rectangles import LABELS, write_detector
from tests.support.tiny_hub import TinyHub

HEAD = get_detector(HEADS)
NEW_COMMIT = "b" * 40


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    """No cache, record or setting of this machine is used."""
    monkeypatch.setenv("CCIP_CACHE_DIR", str(tmp_path / "ours"))
    monkeypatch.delenv("CCIP_MODEL_DIR", raising=False)


@pytest.fixture
def server(tmp_path):
    write_detector(tmp_path / "published" / HEAD.name / MODEL)
    with TinyHub(tmp_path / "published", repo=HEAD.repo) as server:
        yield server


@pytest.fixture
def hub(server, tmp_path):
    return Hub(HEAD.repo, endpoint=server.endpoint, cache=tmp_path / "their cache")


def test_every_kind_has_a_default():
    assert {get_detector(kind).finds for kind in KINDS} == set(KINDS) == {PERSONS, HEADS, FACES, "halfbodies"}
    assert get_detector(PERSONS).name == "person_detect_v1.1_m"
    for name, spec in DETECTORS.items():
        assert get_detector(name) is spec and spec.layout in LAYOUTS
        assert (
            0 < spec.min_score < 1
            and 0 < spec.max_overlap < 1
            and spec.repo.endswith(f"anime_{name.split('_')[0]}_detection")
        )


@pytest.mark.parametrize("name", ["person", "", None, 7, "../head_detect_v2.0_s"])
def test_other_names_are_refused_with_those_that_there_are(name):
    with pytest.raises(ParameterError, match="persons"):
        get_detector(name)


def test_downloaded_once_then_without_network(server, hub):
    first = find_detector(HEAD, hub=hub)
    assert Detector(first.path).labels == LABELS and first.revision in server.commits
    asked = list(server.requests)
    assert find_detector(HEAD, hub=hub) == first == find_detector(HEAD, hub=hub, download=False)
    assert server.requests == asked


def test_a_new_version_on_the_hub_is_not_taken(server, hub, tmp_path):
    first = find_detector(HEAD, hub=hub)
    write_detector(tmp_path / "newer" / HEAD.name / MODEL, width=32)
    server.commits[NEW_COMMIT], server.main = tmp_path / "newer", NEW_COMMIT
    assert find_detector(HEAD, hub=hub) == first


def test_a_cache_that_was_emptied_gets_the_same_commit(server, hub, tmp_path):
    first = find_detector(HEAD, hub=hub)
    hub.delete(first.path)
    write_detector(tmp_path / "newer" / HEAD.name / MODEL, width=32)
    server.commits[NEW_COMMIT], server.main = tmp_path / "newer", NEW_COMMIT
    assert find_detector(HEAD, hub=hub) == first


def test_a_file_that_was_changed_is_refused(hub):
    found = find_detector(HEAD, hub=hub)
    path = found.path.resolve()
    write_detector(path, width=32)
    with pytest.raises(ModelFileChangedError, match="changed since"):
        find_detector(HEAD, hub=hub)


def test_a_folder_of_the_user(tmp_path, monkeypatch):
    path = write_detector(tmp_path / "mine" / HEAD.name / MODEL)
    assert find_detector(HEAD, model_dir=tmp_path / "mine").path == path
    monkeypatch.setenv("CCIP_MODEL_DIR", str(tmp_path / "mine"))
    assert find_detector(HEAD).path == path and find_detector(HEAD).revision is None


def test_what_is_missing_is_said_with_what_to_do(tmp_path, hub):
    with pytest.raises(ModelFileMissingError, match="CCIP_MODEL_DIR"):
        find_detector(HEAD, model_dir=tmp_path)
    with pytest.raises(ModelFileMissingError, match="switched off"):
        find_detector(HEAD, hub=hub, download=False)
    with pytest.raises(DownloadError, match="has no such file"):
        find_detector(get_detector(FACES), hub=hub)


def test_without_network(tmp_path):
    hub = Hub(HEAD.repo, endpoint="http://127.0.0.1:9", cache=tmp_path / "their cache")
    with pytest.raises(DownloadError, match="Without network"):
        find_detector(HEAD, hub=hub)


@pytest.mark.parametrize("content", [b"", b"<html>", b"version https://git-lfs", b"\x80\x04."])
def test_what_is_no_model_is_refused(tmp_path, content):
    path = tmp_path / HEAD.name / MODEL
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(ModelFileDamagedError, match=r"model\.onnx"):
        find_detector(HEAD, model_dir=tmp_path)
