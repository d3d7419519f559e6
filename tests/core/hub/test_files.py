"""Finding, downloading and checking the files of a model."""

import hashlib
import json
import os
import shutil
import threading
from pathlib import Path

import pytest

from ccip_plugin.core import hub as hub_module
from ccip_plugin.core import onnx_file, registry
from ccip_plugin.core.errors import (
    DownloadError,
    ModelFileChangedError,
    ModelFileDamagedError,
    ModelFileMissingError,
    UnknownModelError,
)
from ccip_plugin.core.hub import FILES, Hub, find_files, find_jsons, is_available, remove
from ccip_plugin.core.progress import Cancelled
from tests.support import tiny_models
from tests.support.tiny_hub import COMMIT, TinyHub

NAME = registry.DEFAULT_MODEL
OTHER = "ccip-caformer-5_fp32"
FEAT = f"{NAME}/model_feat.onnx"


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    """No cache, record or setting of this machine plays a part."""
    monkeypatch.setenv("CCIP_CACHE_DIR", str(tmp_path / "ours"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "their cache"))
    for name in ("CCIP_MODEL_DIR", "CCIP_REVISION"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def published(tmp_path):
    """What the repository holds: two models, and a checkpoint that nobody should fetch."""
    folder = tiny_models.write_model_dir(tmp_path / "published")
    tiny_models.write_model_dir(folder, name=OTHER, variant="other_weights")
    (folder / NAME / "model.ckpt").write_bytes(b"\x80\x04 a pickle")
    return folder


@pytest.fixture
def server(published):
    with TinyHub(published) as server:
        yield server


@pytest.fixture
def hub(server, tmp_path):
    return Hub(endpoint=server.endpoint, cache=tmp_path / "their cache", retries=1, pause=0)


def fake_cache(cache: Path, model_dir: Path, name: str = NAME, commit: str = COMMIT) -> Path:
    """Lays out a model as huggingface_hub does; gives its folder among the snapshots."""
    repo = cache / "models--deepghs--ccip_onnx"
    snapshot = repo / "snapshots" / commit / name
    for folder in (repo / "refs", repo / "blobs", snapshot):
        folder.mkdir(parents=True, exist_ok=True)
    (repo / "refs" / "main").write_text(commit)
    for source in (model_dir / name).iterdir():
        content = source.read_bytes()
        digest = hashlib.sha256(content) if source.suffix == ".onnx" else hashlib.sha1(content)
        blob = repo / "blobs" / digest.hexdigest()
        blob.write_bytes(content)
        (snapshot / source.name).symlink_to(os.path.relpath(blob, snapshot))
    return snapshot


# --- downloading


def test_downloads_the_four_files_of_the_pinned_revision_and_nothing_else(server, hub, published):
    files = find_files(NAME, hub=hub)
    assert {path for _, path, _ in server.requests} == {f"{NAME}/{name}" for name in FILES}
    assert sorted(server.asked_for()) == sorted(f"{NAME}/{name}" for name in FILES)
    assert (files.source, files.revision) == ("hub", COMMIT)
    for path in (files.feat, files.metrics, files.metrics_json, files.cluster_json):
        assert path.read_bytes() == (published / NAME / path.name).read_bytes()
    assert files.fingerprint == hashlib.sha256((published / FEAT).read_bytes()).hexdigest()


def test_the_large_file_comes_last_so_that_its_presence_means_all_were_asked_for(server, hub):
    find_files(NAME, hub=hub)
    assert server.asked_for()[-1] == FEAT


def test_nothing_is_asked_once_the_files_are_there(server, hub):
    first = find_files(NAME, hub=hub)
    server.requests.clear()
    assert find_files(NAME, hub=hub) == first
    assert is_available(NAME, hub=hub)
    assert server.requests == []


def test_fingerprints_are_recorded_in_our_own_folder(hub, tmp_path):
    files = find_files(NAME, hub=hub)
    (record,) = (tmp_path / "ours").rglob("*.json")
    assert json.loads(record.read_text())["model_feat.onnx"] == files.fingerprint
    assert set(json.loads(record.read_text())) == set(FILES)


def test_progress_tells_the_bytes_of_each_file(hub, published, monkeypatch):
    monkeypatch.setattr(hub_module, "_REPORT", 10_000)
    told = []
    find_files(NAME, hub=hub, progress=told.append)
    feat = [step for step in told if FEAT in step.stage]
    size = (published / FEAT).stat().st_size
    assert [step.done for step in feat] == sorted({step.done for step in feat})
    assert (feat[-1].done, feat[-1].total, len(feat) > 1) == (size, size, True)
    assert {step.note for step in told} == {"bytes"}
    assert {step.stage.split("/")[-1] for step in told} == set(FILES)


def test_a_cancelled_download_goes_on_where_it_stopped(server, hub, published, monkeypatch):
    monkeypatch.setattr(hub_module, "_REPORT", 10_000)
    size = (published / FEAT).stat().st_size

    def stop(step):
        if FEAT in step.stage and step.done > size / 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        find_files(NAME, hub=hub, progress=stop)
    assert not is_available(NAME, hub=hub)
    server.requests.clear()
    files = find_files(NAME, hub=hub)
    ((asked_range),) = [asked for verb, path, asked in server.requests if (verb, path) == ("GET", FEAT)]
    assert size / 2 < int(asked_range.removeprefix("bytes=").removesuffix("-")) < size
    assert files.feat.read_bytes() == (published / FEAT).read_bytes()


def test_an_error_of_the_caller_is_not_taken_for_one_of_the_connection(server, hub):
    def fail(step):
        raise BrokenPipeError("nobody listens")

    with pytest.raises(BrokenPipeError, match="nobody listens"):
        find_files(NAME, hub=hub, progress=fail)
    assert len(server.asked_for()) == 1


def test_a_killed_download_goes_on_in_another_process(server, published, tmp_path, run_python):
    code = """
        import os, sys, signal
        from ccip_plugin.core import hub
        hub._REPORT = 10_000
        def kill(step):
            if "model_feat" in step.stage and step.done > 50_000:
                os.kill(os.getpid(), signal.SIGKILL)
        hub.find_files(sys.argv[1], progress=kill if sys.argv[2] == "kill" else None)
    """
    settings = {"HF_ENDPOINT": server.endpoint, "HF_HOME": str(tmp_path / "家"), "HF_HUB_CACHE": ""}
    settings |= {"HF_HUB_CACHE": str(tmp_path / "家" / "hub")}
    run_python(code, NAME, "kill", status=-9, **settings)
    run_python(code, NAME, "finish", **settings)
    ranges = [asked for verb, path, asked in server.requests if (verb, path) == ("GET", FEAT)]
    assert ranges[0] == ""
    assert int(ranges[1].removeprefix("bytes=").removesuffix("-")) >= 50_000
    (feat,) = (tmp_path / "家").rglob("model_feat.onnx")
    assert feat.read_bytes() == (published / FEAT).read_bytes()


def test_a_line_that_breaks_often_still_brings_the_file(server, hub, published):
    server.cut_after = 40_000
    files = find_files(NAME, hub=hub)
    assert files.feat.read_bytes() == (published / FEAT).read_bytes()
    assert server.asked_for().count(FEAT) > 3


def test_a_line_that_stays_broken_is_an_error_that_keeps_what_came(server, hub, published):
    server.cut_after = 0
    with pytest.raises(DownloadError, match=r"0 of .* bytes are kept, the same call goes on") as caught:
        find_files(NAME, hub=hub)
    assert "CCIP_MODEL_DIR" in str(caught.value)
    server.cut_after = None
    assert find_files(NAME, hub=hub).feat.read_bytes() == (published / FEAT).read_bytes()


def test_a_server_that_ignores_ranges_sends_all_of_it_again(server, hub, published):
    (hub.folder / "blobs").mkdir(parents=True)
    content = (published / FEAT).read_bytes()
    etag = hashlib.sha256(content).hexdigest()
    (hub.folder / "blobs" / f"{etag}.{NAME}.incomplete").write_bytes(content[:1000])
    server.ignore_range = True
    assert find_files(NAME, hub=hub).feat.read_bytes() == content


@pytest.mark.parametrize("left", [lambda c: b"x" * 5000, lambda c: c + b"more"], ids=["other bytes", "too many bytes"])
def test_a_half_that_is_not_of_this_file_does_not_stay(server, hub, published, left):
    (hub.folder / "blobs").mkdir(parents=True)
    content = (published / FEAT).read_bytes()
    half = hub.folder / "blobs" / f"{hashlib.sha256(content).hexdigest()}.{NAME}.incomplete"
    half.write_bytes(left(content))
    try:
        find_files(NAME, hub=hub)
    except DownloadError as error:
        assert "other hash" in str(error)
        assert not half.exists()
    assert find_files(NAME, hub=hub).feat.read_bytes() == content


def test_bytes_changed_on_the_way_are_noticed_and_not_kept(server, hub):
    server.garble = True
    with pytest.raises(DownloadError, match="not what the hub announced"):
        find_files(NAME, hub=hub)
    assert list(hub.folder.rglob("*.incomplete")) == []
    assert list(hub.folder.glob("snapshots/*/*/*")) == []


@pytest.mark.parametrize(
    "etag",
    [
        pytest.param(lambda content: hashlib.sha1(content).hexdigest(), id="plain sha1"),
        pytest.param(lambda content: hashlib.md5(content).hexdigest(), id="md5"),
    ],
)
def test_a_mirror_with_hashes_of_its_own_will_do(server, hub, published, etag):
    server.etag = etag
    assert find_files(NAME, hub=hub).feat.read_bytes() == (published / FEAT).read_bytes()


@pytest.mark.parametrize("etag", ["../../../outside", "", "a/b/c/d/e/f", "." * 20])
def test_a_hash_that_is_no_file_name_is_refused(server, hub, tmp_path, etag):
    server.etag = lambda _: etag
    with pytest.raises(DownloadError):
        find_files(NAME, hub=hub)
    assert server.asked_for() == []
    assert not list(tmp_path.rglob("*outside*"))


def test_two_at_once_fetch_the_file_once(server, hub):
    found = []
    threads = [threading.Thread(target=lambda: found.append(find_files(NAME, hub=hub))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len({files.fingerprint for files in found}) == 1
    assert server.asked_for().count(FEAT) == 1


def test_a_repository_without_the_small_files_gives_the_model_alone(hub, published):
    for name in ("cluster.json", "metrics.json", "model_metrics.onnx"):
        (published / NAME / name).unlink()
    files = find_files(NAME, hub=hub)
    assert (files.metrics, files.metrics_json, files.cluster_json) == (None, None, None)


def test_a_repository_without_the_model_is_an_error(hub, published):
    (published / FEAT).unlink()
    with pytest.raises(DownloadError, match="no such file at revision"):
        find_files(NAME, hub=hub)


def test_an_unknown_revision_is_an_error(hub):
    with pytest.raises(DownloadError, match="could not download"):
        find_files(NAME, hub=hub, revision="f" * 40)


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_the_revision_can_be_overridden(server, hub, monkeypatch, how):
    if how == "environment":
        monkeypatch.setenv("CCIP_REVISION", "main")
    files = find_files(NAME, hub=hub, revision="main" if how == "argument" else None)
    assert files.revision == COMMIT
    server.requests.clear()
    assert find_files(NAME, hub=hub, revision="main").feat == files.feat
    assert server.requests == []


def test_without_connection_the_error_says_how_to_fetch_by_hand(tmp_path):
    nobody = Hub(endpoint="http://127.0.0.1:9", cache=tmp_path / "cache", retries=0, pause=0)
    with pytest.raises(DownloadError) as caught:
        find_files(NAME, hub=nobody)
    message = str(caught.value)
    assert all(name in message for name in FILES)
    for part in (NAME, COMMIT, "deepghs/ccip_onnx", "CCIP_MODEL_DIR=<folder>", "model_dir=<folder>"):
        assert part in message


def test_offline_mode_of_the_hub_library_is_respected(server, published, tmp_path, run_python):
    code = """
        from ccip_plugin.core import errors, hub
        try:
            hub.find_files("ccip-caformer-24-randaug-pruned")
        except errors.DownloadError as error:
            print(error)
    """
    done = run_python(code, HF_ENDPOINT=server.endpoint, HF_HUB_CACHE=str(tmp_path / "cache"), HF_HUB_OFFLINE="1")
    assert "offline" in done.stdout.lower()
    assert server.requests == []


def test_a_file_that_is_announced_as_huge_is_not_fetched(server, hub):
    server.size = onnx_file.MAX_BYTES + 1
    with pytest.raises(DownloadError, match="more than the"):
        find_files(NAME, hub=hub)
    assert server.asked_for() == []


def test_too_little_room_is_said_before_fetching(server, hub, monkeypatch):
    full = shutil.disk_usage(".")._replace(free=10)
    monkeypatch.setattr(hub_module.shutil, "disk_usage", lambda _: full)
    with pytest.raises(DownloadError, match="10 are free"):
        find_files(NAME, hub=hub)
    assert server.asked_for() == []


def test_a_cache_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "in the way").write_text("a file")
    with pytest.raises(DownloadError, match="in the way"):
        find_files(NAME, hub=Hub(endpoint=server.endpoint, cache=tmp_path / "in the way", pause=0))


def test_downloading_can_be_switched_off(server, hub):
    with pytest.raises(ModelFileMissingError, match="downloading is switched off"):
        find_files(NAME, hub=hub, download=False)
    assert server.requests == []


# --- the cache


def test_a_cached_model_is_used_with_no_network_call_at_all(published, tmp_path, run_python):
    """The whole way to an embedding, in a process where any use of a socket fails."""
    snapshot = fake_cache(tmp_path / "cache", published)
    code = """
        import sys
        def hook(event, args):
            if event.startswith("socket.") and event not in ("socket.__new__", "socket.gethostname"):
                raise RuntimeError(f"{event} {args}")
        sys.addaudithook(hook)
        from PIL import Image
        from ccip_plugin.core import calibration, hub
        from ccip_plugin.core.encoder import Encoder
        name = "ccip-caformer-24-randaug-pruned"
        assert hub.is_available(name)
        with Encoder.open(name) as encoder:
            vectors = encoder.embed([Image.new("RGB", (9, 9), "red")])
            print(hub.find_files(name).feat, encoder.revision, vectors.shape, encoder.closed_form)
        calibration.load(name)
        try:
            import socket
            socket.create_connection(("127.0.0.1", 9))
        except RuntimeError:
            print("blocked")
    """
    done = run_python(code, HF_HUB_CACHE=str(tmp_path / "cache"), HF_ENDPOINT="http://127.0.0.1:9")
    assert done.stdout.splitlines() == [f"{snapshot / 'model_feat.onnx'} {COMMIT} (1, 768) True", "blocked"]


def test_a_cached_model_without_its_small_files_needs_no_network_either(server, hub, published):
    for name in ("cluster.json", "metrics.json"):
        (published / NAME / name).unlink()
    fake_cache(hub.cache, published)
    files = find_files(NAME, hub=hub)
    assert (files.metrics_json, files.cluster_json) == (None, None)
    assert find_jsons(NAME, hub=hub) == {}
    assert server.requests == []


@pytest.mark.parametrize("known_by", ["the record", "the name in the cache"])
@pytest.mark.parametrize("name", ["model_feat.onnx", "model_metrics.onnx"])
def test_a_file_that_changed_since_its_download_is_refused(hub, published, tmp_path, known_by, name):
    snapshot = fake_cache(hub.cache, published)
    if known_by == "the record":
        find_files(NAME, hub=hub)
        content = (snapshot / name).read_bytes()
        (snapshot / name).unlink()
        (snapshot / name).write_bytes(content)  # a copy now, as where links are not to be had
        find_files(NAME, hub=hub)
    model = tiny_models.feat_model("other_weights") if "feat" in name else tiny_models.metrics_model("squared")
    (snapshot / name).write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileChangedError, match="changed since it was downloaded") as caught:
        find_files(NAME, hub=hub)
    assert caught.value.path == snapshot / name
    assert "hub.remove(" in str(caught.value)


def test_a_small_file_that_changed_is_refused(hub):
    files = find_files(NAME, hub=hub)
    files.metrics_json.write_text('{"threshold": 0.9}')
    with pytest.raises(ModelFileChangedError):
        find_files(NAME, hub=hub)


def test_an_unreadable_record_is_written_anew(hub, tmp_path, caplog):
    find_files(NAME, hub=hub)
    (record,) = (tmp_path / "ours").rglob("*.json")
    record.write_text("{half")
    find_files(NAME, hub=hub)
    assert "cannot be read" in caplog.text
    assert set(json.loads(record.read_text())) == set(FILES)


def test_a_folder_that_takes_no_record_is_a_warning(hub, tmp_path, caplog):
    (tmp_path / "ours").write_text("a file in the way")
    find_files(NAME, hub=hub)
    assert "cannot be recorded" in caplog.text


def test_a_cached_file_that_is_cut_short_is_refused(hub, published):
    snapshot = fake_cache(hub.cache, published)
    blob = (snapshot / "model_feat.onnx").resolve()
    blob.write_bytes(blob.read_bytes()[:-1000])
    with pytest.raises(ModelFileDamagedError, match="cut short"):
        find_files(NAME, hub=hub)


def test_remove_frees_one_model_and_leaves_the_other(server, hub, published):
    other = find_files(OTHER, hub=hub)
    find_files(NAME, hub=hub)
    blobs = len(list((hub.folder / "blobs").iterdir()))
    freed = remove(NAME, hub=hub)
    assert freed == (published / FEAT).stat().st_size  # the other files are the same bytes as those of the other model
    assert len(list((hub.folder / "blobs").iterdir())) == blobs - 1
    assert not is_available(NAME, hub=hub)
    assert find_files(OTHER, hub=hub) == other
    server.requests.clear()
    find_files(NAME, hub=hub)
    assert server.asked_for() == [FEAT]


def test_remove_clears_the_way_after_a_damaged_file(hub, published):
    snapshot = fake_cache(hub.cache, published)
    blob = (snapshot / "model_feat.onnx").resolve()
    blob.write_bytes(b"")
    remove(NAME, hub=hub)
    assert find_files(NAME, hub=hub).feat.stat().st_size == (published / FEAT).stat().st_size


def test_remove_deletes_halves(server, hub):
    server.cut_after = 30_000
    with pytest.raises(Cancelled):
        find_files(
            NAME, hub=hub, progress=lambda step: (_ for _ in ()).throw(Cancelled()) if FEAT in step.stage else None
        )
    assert remove(NAME, hub=hub) > 0
    assert list(hub.folder.rglob("*.incomplete")) == []
    assert remove(NAME, hub=hub) == 0


# --- folders of the user, and what comes with the package


@pytest.mark.parametrize("how", ["argument", "environment", "text"])
def test_a_folder_of_models_is_used_and_the_hub_is_not(server, hub, tmp_path, monkeypatch, how):
    folder = tiny_models.write_model_dir(tmp_path / "モデル 🎀 dir")
    if how == "environment":
        monkeypatch.setenv("CCIP_MODEL_DIR", str(folder))
    given = {"argument": folder, "environment": None, "text": str(folder)}[how]
    files = find_files(NAME, model_dir=given, hub=hub)
    assert files.feat == folder / NAME / "model_feat.onnx"
    assert (files.source, files.revision) == ("model_dir", None)
    assert is_available(NAME, model_dir=given)
    assert not is_available(OTHER, model_dir=given)
    assert server.requests == []
    assert not (tmp_path / "ours").exists()


def test_a_folder_needs_the_model_file_alone(tmp_path):
    tiny_models.write_model_dir(tmp_path, metric=None, jsons=False)
    files = find_files(NAME, model_dir=tmp_path)
    assert (files.metrics, files.metrics_json, files.cluster_json) == (None, None, None)


@pytest.mark.parametrize(
    "make, says",
    [
        pytest.param(lambda folder: None, "nor is its folder", id="no folder"),
        pytest.param(lambda folder: (folder / NAME).mkdir(parents=True), "is not there; expected", id="empty folder"),
        pytest.param(
            lambda folder: tiny_models.write_model_dir(folder.parent, name=folder.name),
            "model_dir is the folder above",
            id="the folder of the model itself",
        ),
    ],
)
def test_a_missing_file_says_which_and_what_to_do(tmp_path, make, says):
    folder = tmp_path / "models"
    make(folder)
    with pytest.raises(ModelFileMissingError, match=says) as caught:
        find_files(NAME, model_dir=folder)
    assert caught.value.path == folder / NAME / "model_feat.onnx"
    assert isinstance(caught.value, FileNotFoundError)
    assert f"/tree/{COMMIT}/{NAME}" in str(caught.value)


def test_unknown_names_are_refused_everywhere(tmp_path):
    for call in (find_files, is_available, find_jsons, remove, hub_module.how_to_fetch, hub_module.size):
        with pytest.raises(UnknownModelError):
            call("../../etc")


def test_the_stand_in_is_never_looked_for_on_the_hub(server, hub):
    folder = Path(hub_module.__file__).parent / "models" / "ccip-demo"
    if (folder / "model_feat.onnx").exists():
        assert find_files("ccip-demo", hub=hub).source == "bundled"
    else:
        with pytest.raises(ModelFileMissingError, match="comes with this package") as caught:
            find_files("ccip-demo", hub=hub)
        assert caught.value.path == folder / "model_feat.onnx"
    assert remove("ccip-demo", hub=hub) == 0
    assert server.requests == []


def test_the_stand_in_is_not_lost_when_a_folder_of_models_is_set(tmp_path, monkeypatch):
    monkeypatch.setattr(hub_module, "_BUNDLED", tiny_models.write_model_dir(tmp_path / "bundled", name="ccip-demo"))
    monkeypatch.setenv("CCIP_MODEL_DIR", str(tiny_models.write_model_dir(tmp_path / "mine")))
    assert find_files("ccip-demo").source == "bundled"
    tiny_models.write_model_dir(tmp_path / "mine", name="ccip-demo")
    assert find_files("ccip-demo").source == "model_dir"


def test_size_is_what_the_files_take(tmp_path):
    tiny_models.write_model_dir(tmp_path)
    assert hub_module.size(NAME, model_dir=tmp_path) == sum(f.stat().st_size for f in (tmp_path / NAME).iterdir())
    assert hub_module.size(OTHER, model_dir=tmp_path) == 0


def test_importing_brings_in_neither_the_hub_library_nor_a_runtime(run_python):
    done = run_python("""
        import sys
        from ccip_plugin.core import calibration, hub
        from ccip_plugin.core.encoder import session
        print([name for name in ("huggingface_hub", "onnxruntime", "sklearn", "fiftyone") if name in sys.modules])
    """)
    assert done.stdout.strip() == "[]"
