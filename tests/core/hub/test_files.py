"""Finding, downloading and checking the files of a model."""

import hashlib
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from ccip_plugin.core import hub as hub_module
from ccip_plugin.core import registry
from ccip_plugin.core.errors import (
    DownloadError,
    ModelFileChangedError,
    ModelFileDamagedError,
    ModelFileMissingError,
    UnknownModelError,
)
from ccip_plugin.core.hub import FILES, Hub, files, find_files, find_jsons, is_available, remove
from ccip_plugin.core.registry import PublishedFile
from tests.support import tiny_models
from tests.support.tiny_hub import COMMIT, NAME, OTHER

FEAT = f"{NAME}/model_feat.onnx"
ELSEWHERE, NEWER = "e" * 40, "f" * 40


@pytest.fixture
def known(monkeypatch):
    """Makes hashes of files known to the registry."""

    def make_known(**hashes):
        files = {f"model_{name}.onnx": PublishedFile(digest) for name, digest in hashes.items()}
        spec = replace(registry.MODELS[NAME], files=files)
        monkeypatch.setattr(registry, "MODELS", MappingProxyType({**registry.MODELS, NAME: spec}))

    return make_known


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def record_of(tmp_path, kind="fingerprints"):
    (record,) = (tmp_path / "ours" / kind).iterdir()
    return record


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
    assert files.fingerprint == sha256(published / FEAT)
    assert not (hub.folder / "refs").exists()


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
    record = json.loads(record_of(tmp_path).read_text())
    assert record["model_feat.onnx"] == files.fingerprint
    assert set(record) == set(FILES)


def test_a_repository_without_the_small_files_gives_the_model_alone(hub, published):
    for name in ("cluster.json", "metrics.json", "model_metrics.onnx"):
        (published / NAME / name).unlink()
    files = find_files(NAME, hub=hub)
    assert (files.metrics, files.metrics_json, files.cluster_json) == (None, None, None)


def test_a_mirror_that_does_not_say_what_is_missing_is_not_believed(server, hub, published):
    """Otherwise a proxy's 404 for one file would change the threshold without a word."""
    (published / NAME / "metrics.json").unlink()
    server.error_codes = False
    with pytest.raises(DownloadError, match="without the error code of a hub"):
        find_files(NAME, hub=hub)
    assert not is_available(NAME, hub=hub)


def test_a_repository_without_the_model_is_an_error(hub, published):
    (published / FEAT).unlink()
    with pytest.raises(DownloadError, match="no such file at revision"):
        find_files(NAME, hub=hub)


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_the_revision_can_be_overridden(server, hub, monkeypatch, how):
    if how == "environment":
        monkeypatch.setenv("CCIP_REVISION", "main")
    files = find_files(NAME, hub=hub, revision="main" if how == "argument" else None)
    assert files.revision == COMMIT
    server.requests.clear()
    assert find_files(NAME, hub=hub, revision="main").feat == files.feat
    assert server.requests == []


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("is_proxy", [False, True], ids=["nobody answers", "a proxy answers 404"])
def test_without_connection_the_error_says_how_to_fetch_by_hand(tmp_path, server, is_proxy):
    server.is_proxy = True
    endpoint = server.endpoint if is_proxy else "http://127.0.0.1:9"
    with pytest.raises(DownloadError) as caught:
        find_files(NAME, hub=Hub(endpoint=endpoint, cache=tmp_path / "cache"))
    message = str(caught.value)
    assert all(name in message for name in FILES)
    for part in (NAME, COMMIT, "deepghs/ccip_onnx", "CCIP_MODEL_DIR=<folder>", "model_dir=<folder>"):
        assert part in message
    assert ("a proxy or a mirror answered" in message) == is_proxy
    assert not (tmp_path / "ours" / "revisions").exists(), "main is no answer to a broken line"


def test_offline_mode_of_the_hub_library_is_respected(server, tmp_path, run_python):
    code = f"""
        from ccip_plugin.core import errors, hub
        try:
            hub.find_files({NAME!r})
        except errors.DownloadError as error:
            print(error)
    """
    done = run_python(code, HF_ENDPOINT=server.endpoint, HF_HUB_CACHE=str(tmp_path / "cache"), HF_HUB_OFFLINE="1")
    assert "offline" in done.stdout.lower()
    assert server.requests == []


def test_downloading_can_be_switched_off(server, hub):
    with pytest.raises(ModelFileMissingError, match="downloading is switched off"):
        find_files(NAME, hub=hub, download=False)
    assert server.requests == []


# --- a pinned revision that the hub does not have


@pytest.fixture
def moved(server, tmp_path):
    """The hub has no pinned revision any more; its main is elsewhere, and a newer commit has other files."""
    server.commits[ELSEWHERE] = server.commits.pop(COMMIT)
    server.main = ELSEWHERE
    server.commits[NEWER] = tiny_models.write_model_dir(tmp_path / "newer", name=NAME, variant="other_weights")
    return server


def test_main_stands_in_for_a_pinned_revision_that_is_missing(moved, hub, tmp_path, caplog):
    found = find_files(NAME, hub=hub)
    assert found.revision == ELSEWHERE
    record = record_of(tmp_path, "revisions")
    assert json.loads(record.read_text()) == {"commit": ELSEWHERE, "instead_of": COMMIT}
    for part in (COMMIT, ELSEWHERE, NAME, str(record)):
        assert part in caplog.text


def test_main_is_resolved_once_and_all_files_are_of_that_commit(moved, hub):
    moved.answered = lambda path: setattr(moved, "main", NEWER) if path.endswith("metrics.json") else None
    found = find_files(NAME, hub=hub)
    assert moved.main == NEWER
    assert {path.parents[1].name for path in (found.feat, found.metrics, found.metrics_json)} == {ELSEWHERE}
    assert found.fingerprint == sha256(moved.commits[ELSEWHERE] / FEAT)


def test_a_later_session_stays_at_the_recorded_commit(moved, hub):
    first = find_files(NAME, hub=hub)
    moved.main = NEWER
    moved.requests.clear()
    assert find_files(NAME, hub=hub) == first
    assert is_available(NAME, hub=hub) and moved.requests == []
    remove(NAME, hub=hub)
    assert find_files(NAME, hub=hub) == first, "downloaded again: of the same commit"


def test_a_later_session_needs_no_network(moved, hub, tmp_path, run_python):
    found = find_files(NAME, hub=hub)
    code = f"from ccip_plugin.core import hub; print(hub.find_files({NAME!r}).revision)"
    done = run_python(code, HF_HUB_CACHE=str(hub.cache), HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_OFFLINE="1")
    assert done.stdout.strip() == found.revision == ELSEWHERE


def test_a_recorded_commit_that_is_gone_is_an_error_and_not_replaced(moved, hub):
    find_files(NAME, hub=hub)
    remove(NAME, hub=hub)
    del moved.commits[ELSEWHERE]
    moved.main = NEWER
    with pytest.raises(DownloadError, match=r"CCIP_REVISION=main uses the newest"):
        find_files(NAME, hub=hub)


def test_nothing_stands_in_for_a_revision_that_the_user_named(moved, hub, tmp_path, monkeypatch):
    with pytest.raises(DownloadError, match=f"no revision '{COMMIT}'"):
        find_files(NAME, hub=hub, revision=COMMIT)
    monkeypatch.setenv("CCIP_REVISION", COMMIT)
    with pytest.raises(DownloadError, match=f"no revision '{COMMIT}'"):
        find_files(NAME, hub=hub)
    assert not (tmp_path / "ours" / "revisions").exists()


def test_a_damaged_record_is_no_commit(moved, hub, tmp_path):
    find_files(NAME, hub=hub)
    record = record_of(tmp_path, "revisions")
    record.write_text(json.dumps({"commit": "../../..", "instead_of": COMMIT}))
    assert find_files(NAME, hub=hub).revision == ELSEWHERE, "asked again"
    record.write_text(json.dumps({"commit": NEWER, "instead_of": "another pin"}))
    assert find_files(NAME, hub=hub).revision == ELSEWHERE


# --- published hashes


def test_the_published_file_is_downloaded(hub, published, known):
    known(feat=sha256(published / FEAT), metrics=sha256(published / NAME / "model_metrics.onnx"))
    assert find_files(NAME, hub=hub).revision == COMMIT


@pytest.mark.parametrize("etag", [None, lambda content: hashlib.md5(content).hexdigest()], ids=["announced", "arrived"])
def test_another_file_than_the_published_one_is_refused(server, hub, known, etag):
    known(feat="0" * 64)
    server.etag = etag
    with pytest.raises((DownloadError, ModelFileChangedError), match="published") as caught:
        find_files(NAME, hub=hub)
    assert f"CCIP_REVISION={COMMIT} uses it as it is" in str(caught.value)
    assert (FEAT in server.asked_for()) == (etag is not None), "a wrong hash is seen before the download"
    assert find_files(NAME, hub=hub, revision=COMMIT).revision == COMMIT


def test_a_size_that_is_not_the_published_one_is_refused(server, hub, published, monkeypatch):
    files = {"model_feat.onnx": PublishedFile(sha256(published / FEAT), 17)}
    spec = replace(registry.MODELS[NAME], files=files)
    monkeypatch.setattr(registry, "MODELS", MappingProxyType({**registry.MODELS, NAME: spec}))
    with pytest.raises(DownloadError, match="another file than the published one"):
        find_files(NAME, hub=hub)


@pytest.mark.parametrize("how", ["the published hash", "the recorded hash"])
@pytest.mark.parametrize("is_copy", [False, True], ids=["link", "copy"])
def test_a_file_that_is_cached_at_another_revision_is_recognized(server, hub, published, known, how, is_copy, tmp_path):
    if how == "the published hash":
        known(feat=sha256(published / FEAT))
        snapshot = fake_cache(hub.cache, published, commit=ELSEWHERE)
    else:
        find_files(NAME, hub=hub)
        record = record_of(tmp_path).read_text()
        remove(NAME, hub=hub)
        snapshot = fake_cache(hub.cache, published, commit=ELSEWHERE)
        (tmp_path / "ours" / "fingerprints" / f"{NAME}@{COMMIT}.json").write_text(record)
    if is_copy:
        content = (snapshot / "model_feat.onnx").read_bytes()
        (snapshot / "model_feat.onnx").unlink()
        (snapshot / "model_feat.onnx").write_bytes(content)
    server.requests.clear()
    assert is_available(NAME, hub=hub)
    assert find_files(NAME, hub=hub).revision == ELSEWHERE
    assert set(find_jsons(NAME, hub=hub)) == {"metrics.json", "cluster.json"}
    assert server.requests == []
    remove(NAME, hub=hub)
    assert not is_available(NAME, hub=hub)


@pytest.mark.parametrize("hashes", [
    pytest.param({}, id="nothing is known"),
    pytest.param({"feat": "0" * 64}, id="another model"),
    pytest.param({"feat": None, "metrics": "0" * 64}, id="another metric"),
])  # fmt: skip
def test_a_file_of_another_revision_that_may_be_another_one_is_named(server, hub, published, known, hashes):
    known(**{name: digest or sha256(published / FEAT) for name, digest in hashes.items()})
    fake_cache(hub.cache, published, commit=ELSEWHERE)
    (hub.folder / "refs" / "main").unlink()
    assert not is_available(NAME, hub=hub)
    server.is_proxy = True
    for download, error in ((False, ModelFileMissingError), (True, DownloadError)):
        with pytest.raises(error, match=f"CCIP_REVISION={ELSEWHERE} or revision='{ELSEWHERE}' uses it"):
            find_files(NAME, hub=hub, download=download)
    assert find_files(NAME, hub=hub, revision=ELSEWHERE).revision == ELSEWHERE


def test_a_revision_that_the_user_named_is_not_looked_for_elsewhere(hub, published, known):
    known(feat=sha256(published / FEAT))
    fake_cache(hub.cache, published, commit=ELSEWHERE)
    assert not is_available(NAME, hub=hub, revision=NEWER)


def test_known_hashes_are_of_files_that_the_models_have():
    hashes = [(name, file) for spec in registry.MODELS.values() for name, file in spec.files.items()]
    assert len(hashes) >= 10 and {name for name, _ in hashes} <= set(FILES)
    assert all(len(file.sha256) == 64 and set(file.sha256) <= set("0123456789abcdef") for _, file in hashes)
    assert not registry.MODELS[NAME].files and not registry.MODELS[OTHER].files, "the tests need two without"


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
        name = "ccip-v2-caformer_s36-10"
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
    record = record_of(tmp_path)
    record.write_text("{half")
    find_files(NAME, hub=hub)
    assert "cannot be read" in caplog.text
    assert set(json.loads(record.read_text())) == set(FILES)


def test_a_folder_that_takes_no_record_is_a_warning(hub, tmp_path, caplog):
    (tmp_path / "ours").write_text("a file in the way")
    find_files(NAME, hub=hub)
    assert "is not recorded" in caplog.text


def test_a_cached_file_that_is_cut_short_is_refused(hub, published):
    snapshot = fake_cache(hub.cache, published)
    blob = (snapshot / "model_feat.onnx").resolve()
    blob.write_bytes(blob.read_bytes()[:-1000])
    with pytest.raises(ModelFileDamagedError, match="truncated"):
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


def test_remove_deletes_partial_downloads(server, hub, known, published):
    known(feat=sha256(published / FEAT))
    blobs = hub.folder / "blobs"
    blobs.mkdir(parents=True)
    for name, age in ((f"{sha256(published / FEAT)}.1a2b.incomplete", 0), ("c" * 64 + ".incomplete", 0),
                      (f"{'d' * 64}.{NAME}.incomplete", 0), (f"{'e' * 64}.incomplete", 2 * 86_400)):  # fmt: skip
        (blobs / name).write_bytes(b"half")
        os.utime(blobs / name, (time.time() - age,) * 2)
    assert remove(NAME, hub=hub) == 12
    assert [path.name for path in blobs.iterdir()] == ["c" * 64 + ".incomplete"], "perhaps of a download that runs"
    assert remove(NAME, hub=hub) == 0


# --- folders of the user, and what comes with the package


@pytest.mark.parametrize("how", ["argument", "environment", "text"])
def test_a_folder_of_models_is_used_and_the_hub_is_not(server, hub, tmp_path, monkeypatch, how):
    folder = tiny_models.write_model_dir(tmp_path / "モデル 🎀 dir", name=NAME)
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
    tiny_models.write_model_dir(tmp_path, name=NAME, metric=None, jsons=False)
    files = find_files(NAME, model_dir=tmp_path)
    assert (files.metrics, files.metrics_json, files.cluster_json) == (None, None, None)


@pytest.mark.parametrize(
    "make, says",
    [
        pytest.param(lambda folder: None, "so is its folder", id="no folder"),
        pytest.param(lambda folder: (folder / NAME).mkdir(parents=True), "is missing; expected", id="empty folder"),
        pytest.param(
            lambda folder: tiny_models.write_model_dir(folder.parent, name=folder.name),
            "model_dir is its parent folder",
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
    folder = files._BUNDLED / "ccip-demo"
    if (folder / "model_feat.onnx").exists():
        assert find_files("ccip-demo", hub=hub).source == "bundled"
    else:
        with pytest.raises(ModelFileMissingError, match="comes with this package") as caught:
            find_files("ccip-demo", hub=hub)
        assert caught.value.path == folder / "model_feat.onnx"
    assert remove("ccip-demo", hub=hub) == 0
    assert server.requests == []


def test_the_stand_in_is_not_lost_when_a_folder_of_models_is_set(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_BUNDLED", tiny_models.write_model_dir(tmp_path / "bundled", name="ccip-demo"))
    monkeypatch.setenv("CCIP_MODEL_DIR", str(tiny_models.write_model_dir(tmp_path / "mine")))
    assert find_files("ccip-demo").source == "bundled"
    tiny_models.write_model_dir(tmp_path / "mine", name="ccip-demo")
    assert find_files("ccip-demo").source == "model_dir"


def test_size_is_what_the_files_take(tmp_path):
    tiny_models.write_model_dir(tmp_path, name=NAME)
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
