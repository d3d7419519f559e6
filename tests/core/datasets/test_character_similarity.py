"""Finding and downloading the archives of the published evaluation data, from a hub on this machine."""

import io
import tarfile

import pytest

from ccip_plugin.core.datasets import character_similarity
from ccip_plugin.core.datasets.archives import ArchiveError, extract_images
from ccip_plugin.core.datasets.character_similarity import ArchiveMissingError, find_archive
from ccip_plugin.core.errors import DownloadError
from ccip_plugin.core.hub import Hub, onnx_file
from ccip_plugin.core.progress import BYTES, Cancelled
from tests.support.tiny_hub import COMMIT, TinyHub

SUBSET = "images_test_v1"
FILE = f"{SUBSET}.tar.xz"


@pytest.fixture
def content():
    """An archive, as bytes."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:  # not compressed, so that it has some size
        for number in range(50):
            entry = tarfile.TarInfo(f"{number % 5}/{number}.jpg")
            entry.size = 4000
            tar.addfile(entry, io.BytesIO(bytes([number]) * 4000))
    return made.getvalue()


@pytest.fixture
def server(tmp_path, content):
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / FILE).write_bytes(content)
    with TinyHub(folder, repo="datasets/deepghs/character_similarity") as server:
        yield server


@pytest.fixture
def hub(server, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "their cache"))
    return hub_at(server.endpoint, tmp_path / "their cache")


def hub_at(endpoint, cache, max_bytes=character_similarity.ARCHIVE_BYTES):
    return Hub(character_similarity.REPO, "dataset", max_bytes, endpoint, cache)


def test_downloads_the_archive_of_a_subset_and_nothing_else(server, hub, content, tmp_path):
    found = find_archive(SUBSET, hub=hub)
    assert found.read_bytes() == content and found.name == FILE
    assert {path for _, path, _ in server.requests} == {FILE} and server.asked_for() == [FILE]
    assert "datasets--deepghs--character_similarity" in found.parts and COMMIT in found.parts
    assert len(extract_images(found, tmp_path / "out")) == 50


def test_nothing_is_asked_once_it_is_there(server, hub):
    first = find_archive(SUBSET, hub=hub)
    server.requests.clear()
    assert find_archive(SUBSET, hub=hub) == find_archive(SUBSET, hub=hub, revision=COMMIT, download=False) == first
    assert server.requests == []


def test_progress_tells_the_bytes_and_stops_the_download(server, hub, content):
    steps = []

    def stop(step):
        steps.append(step)
        raise Cancelled

    find_archive(SUBSET, hub=hub, progress=steps.append)
    assert steps[-1].unit == BYTES and steps[-1].done == steps[-1].total == len(content)
    hub.delete(find_archive(SUBSET, hub=hub))
    with pytest.raises(Cancelled):
        find_archive(SUBSET, hub=hub, progress=stop)
    assert find_archive(SUBSET, hub=hub).read_bytes() == content


def test_an_archive_of_an_earlier_main_stays_in_use(server, hub, content, tmp_path):
    first = find_archive(SUBSET, hub=hub)
    (hub.folder / "refs" / "main").write_text("f" * 40)  # as another program leaves it that loads the newest one
    server.requests.clear()
    assert find_archive(SUBSET, hub=hub) == find_archive(SUBSET, hub=hub, download=False) == first
    assert server.requests == []
    with pytest.raises(ArchiveMissingError, match="switched off"):
        find_archive(SUBSET, hub=hub, revision="main", download=False)


def test_bytes_changed_on_the_way_are_noticed_and_not_kept(server, hub):
    server.garble = True
    with pytest.raises(DownloadError, match="not what the hub announced"):
        find_archive(SUBSET, hub=hub)
    assert [path for path in hub.folder.rglob("*") if path.is_file()] == []


def test_bytes_changed_in_the_cache_are_noticed(server, hub, content):
    path = find_archive(SUBSET, hub=hub).resolve()
    path.write_bytes(content[:-1] + b"x")
    with pytest.raises(ArchiveError, match="changed since it was downloaded"):
        find_archive(SUBSET, hub=hub)


def test_it_may_be_larger_than_a_model_and_has_a_limit_of_its_own(server, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "MAX_BYTES", 10)
    with pytest.raises(DownloadError, match="more than the limit of 1,000"):
        find_archive(SUBSET, hub=hub_at(server.endpoint, tmp_path / "cache", max_bytes=1000))
    assert server.asked_for() == []
    assert find_archive(SUBSET, hub=hub_at(server.endpoint, tmp_path / "cache")).is_file()


@pytest.mark.parametrize("subset, words", [
    pytest.param("images_new_v9", "is not in deepghs/character_similarity at revision main", id="unknown"),
    pytest.param("../images_test_v1", "neither a file nor a valid name", id="a path"),
    pytest.param("", "neither a file nor a valid name", id="nothing"),
])  # fmt: skip
def test_what_the_repository_does_not_have(server, hub, subset, words):
    with pytest.raises(ArchiveMissingError, match=words) as caught:
        find_archive(subset, hub=hub)
    assert "images_xtiny_v0" in str(caught.value) and server.asked_for() == []


def test_an_unknown_revision_is_an_error(hub):
    with pytest.raises(DownloadError, match=r"download https://huggingface\.co/datasets/.*/resolve/ffff/"):
        find_archive(SUBSET, hub=hub, revision="ffff")


def test_downloading_can_be_switched_off(server, hub):
    with pytest.raises(ArchiveMissingError, match="downloading is switched off"):
        find_archive(SUBSET, hub=hub, download=False)
    assert server.requests == []


def test_without_connection_the_error_says_how_to_fetch_by_hand(tmp_path):
    nobody = Hub(character_similarity.REPO, "dataset", endpoint="http://127.0.0.1:9", cache=tmp_path)
    with pytest.raises(DownloadError, match=rf"resolve/main/{FILE} on another machine and pass the path"):
        find_archive(SUBSET, hub=nobody)


def test_offline_mode_of_the_hub_library_is_respected(server, tmp_path, run_python):
    code = """
        from ccip_plugin.core import errors
        from ccip_plugin.core.datasets import character_similarity
        try:
            character_similarity.find_archive("images_test_v1")
        except errors.DownloadError as error:
            print(error)
    """
    done = run_python(code, HF_ENDPOINT=server.endpoint, HF_HUB_CACHE=str(tmp_path / "cache"), HF_HUB_OFFLINE="1")
    assert "offline" in done.stdout.lower() and server.requests == []


def test_a_cached_archive_is_used_with_no_network_call_at_all(server, hub, run_python):
    found = find_archive(SUBSET, hub=hub)
    code = """
        import sys
        def hook(event, args):
            if event.startswith("socket.") and event not in ("socket.__new__", "socket.gethostname"):
                raise RuntimeError(f"{event} {args}")
        sys.addaudithook(hook)
        from ccip_plugin.core.datasets.character_similarity import find_archive
        print(find_archive("images_test_v1"))
    """
    done = run_python(code, HF_HUB_CACHE=str(hub.cache), HF_ENDPOINT="http://127.0.0.1:9")
    assert done.stdout.strip() == str(found)
