"""Downloading files: progress, cancelling, broken lines, and answers that are not believed."""

import hashlib
import inspect
import signal
import threading
import time

import huggingface_hub
import pytest

from ccip_plugin.core.errors import DownloadError, UnknownRevisionError
from ccip_plugin.core.hub import FILES, Hub, find_files, is_available, onnx_file, transfer
from ccip_plugin.core.hub.transfer import Stopped, Transfer
from ccip_plugin.core.progress import BYTES, Cancelled
from tests.support.tiny_hub import COMMIT, NAME, OTHER

FEAT = f"{NAME}/model_feat.onnx"
COUNTS_BYTES = "tqdm_class" in inspect.signature(huggingface_hub.hf_hub_download).parameters
SOON = 2.0  # seconds in which a download ends that was cancelled


@pytest.fixture
def small_pieces(monkeypatch):
    """The library takes little at a time, so that the small files of the tests come in several pieces."""
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)
    monkeypatch.setattr("huggingface_hub.file_download.DOWNLOAD_CHUNK_SIZE", 10_000, raising=False)


# --- progress


def test_progress_tells_the_bytes_of_each_file(server, hub, published, small_pieces):
    server.pause = 0.02
    steps = []
    find_files(NAME, hub=hub, progress=steps.append)
    feat = [step for step in steps if FEAT in step.stage]
    size = (published / FEAT).stat().st_size
    assert [step.done for step in feat if step.total] == sorted(step.done for step in feat if step.total)
    assert (feat[-1].done, feat[-1].total) == (size, size)
    assert any(0 < step.done < size for step in feat) == COUNTS_BYTES
    assert {step.unit for step in steps} == {BYTES}
    assert {step.stage.split("/")[-1] for step in steps} == set(FILES)


def test_no_bar_of_the_library_is_drawn(server, hub, capfd):
    """Where it takes no bar of ours, its own is switched off meanwhile."""
    is_disabled = huggingface_hub.utils.are_progress_bars_disabled
    server.pause = 0.02
    seen = []
    find_files(NAME, hub=hub, progress=lambda _: seen.append(is_disabled()))
    assert "%|" not in capfd.readouterr().err
    assert (True in seen) == (not COUNTS_BYTES) and not is_disabled()


def test_a_file_has_one_progress_bar_whatever_the_library_opens():
    """With Xet the class is made twice for a file: for what arrives, and for what is written."""
    progress = Transfer()
    progress.total = 100
    bars = progress.bar_class()
    arriving = bars(total=100, unit="B", unit_scale=True, desc="x", name="huggingface_hub.xet_get", position=0)
    written = bars(total=100, unit="B", initial=0, bar_format="{bar}", leave=True)
    counted = []
    for bar, n in ((arriving, 40), (written, 30), (arriving, 50), (written, 60), (written, 10)):
        bar.update(n)
        bar.set_postfix_str("1 MB/s", refresh=False)
        counted.append(progress.done)
    assert counted == [40, 40, 90, 90, 100]
    for bar in (arriving, written):
        bar.refresh()
        bar.close()


def test_a_bar_ends_the_download_of_a_caller_that_left():
    progress = Transfer()
    bar = progress.bar_class()(total=10)
    progress.is_stopped = True
    with pytest.raises(Stopped):
        bar.update(1)


def test_more_bytes_than_announced_end_the_download():
    progress = Transfer()
    progress.total = 10
    with pytest.raises(OSError, match="more than the announced 10 bytes"):
        progress.bar_class()(total=10).update(11)


# --- cancelling


@pytest.mark.parametrize("how", ["bytes arrive", "nothing more arrives"])
def test_a_download_is_cancelled_by_its_caller(server, hub, published, small_pieces, how):
    if how == "bytes arrive":
        server.pause = 0.2
    else:
        server.stall_after = 50_000
    begun = []

    def stop(step):
        if FEAT in step.stage:
            begun.append(time.monotonic())
            if begun[-1] - begun[0] > 0.5:
                raise Cancelled

    with pytest.raises(Cancelled):
        find_files(NAME, hub=hub, progress=stop)
    assert time.monotonic() - begun[-1] < SOON
    assert not is_available(NAME, hub=hub)
    if COUNTS_BYTES and how == "bytes arrive":
        assert [thread for thread in threading.enumerate() if thread.name == transfer.THREAD] == []
        server.pause = 0
        assert find_files(NAME, hub=hub).feat.read_bytes() == (published / FEAT).read_bytes()


def test_ctrl_c_ends_a_download(server, hub, tmp_path, start_python):
    server.stall_after = 50_000
    code = """
        import sys
        from ccip_plugin.core import hub
        hub.find_files(sys.argv[1], progress=lambda step: print(step.stage, flush=True))
    """
    process = start_python(code, NAME, HF_ENDPOINT=server.endpoint, HF_HUB_CACHE=str(tmp_path / "家"))
    while FEAT not in process.stdout.readline():
        pass
    time.sleep(0.5)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert time.monotonic() - begun < 2 * SOON
    assert process.returncode != 0 and "KeyboardInterrupt" in err


def test_an_error_of_the_caller_is_not_taken_for_one_of_the_connection(server, hub):
    def fail(step):
        raise BrokenPipeError("nobody listens")

    with pytest.raises(BrokenPipeError, match="nobody listens"):
        find_files(NAME, hub=hub, progress=fail)
    assert server.asked_for() == []


def test_the_caller_hears_of_a_long_wait(monkeypatch):
    monkeypatch.setattr(transfer, "_POLL_SECONDS", 0.01)
    heard, is_done = [], threading.Event()

    def waiting():
        heard.append(1)
        if len(heard) == 5:
            is_done.set()

    assert Transfer().run(lambda: is_done.wait(10), waiting) is True
    assert len(heard) >= 5


def test_an_error_in_the_thread_is_raised_to_the_caller():
    def fail():
        raise TimeoutError("the hub")

    with pytest.raises(TimeoutError, match="the hub"):
        Transfer().run(fail, lambda: None)


# --- broken lines


def test_a_killed_download_leaves_nothing_that_is_taken_for_a_model(server, published, tmp_path, run_python):
    code = """
        import os, sys, signal, time
        from ccip_plugin.core import hub
        begun = []
        def kill(step):
            if "model_feat" in step.stage:
                begun.append(time.monotonic())
                if begun[-1] - begun[0] > 0.5:
                    os.kill(os.getpid(), signal.SIGKILL)
        hub.find_files(sys.argv[1], progress=kill if sys.argv[2] == "kill" else None)
    """
    settings = {"HF_ENDPOINT": server.endpoint, "HF_HOME": str(tmp_path / "家")}
    settings |= {"HF_HUB_CACHE": str(tmp_path / "家" / "hub")}
    server.pause = 0.2
    run_python(code, NAME, "kill", status=-9, **settings)
    assert list((tmp_path / "家").rglob("model_feat.onnx")) == []
    server.pause = 0
    run_python(code, NAME, "finish", **settings)
    (feat,) = (tmp_path / "家").rglob("model_feat.onnx")
    assert feat.read_bytes() == (published / FEAT).read_bytes()


@pytest.mark.usefixtures("no_pauses")
def test_a_line_that_stays_broken_is_an_error(server, hub, published):
    server.cut_after = 0
    with pytest.raises(DownloadError) as caught:
        find_files(NAME, hub=hub)
    assert "CCIP_MODEL_DIR" in str(caught.value)
    server.cut_after = None
    assert find_files(NAME, hub=hub).feat.read_bytes() == (published / FEAT).read_bytes()


@pytest.mark.usefixtures("no_pauses")
def test_a_body_that_is_cut_short_is_not_kept(server, hub, published):
    """Newer versions of the library ask for the rest, older ones give up: no half is ever taken for the file."""
    server.cut_after = (published / FEAT).stat().st_size - 5
    content = (published / FEAT).read_bytes()
    try:
        assert find_files(NAME, hub=hub).feat.read_bytes() == content
    except DownloadError:
        assert not is_available(NAME, hub=hub)
    server.cut_after = None
    assert find_files(NAME, hub=hub).feat.read_bytes() == content


def test_bytes_changed_on_the_way_are_noticed_and_not_kept(server, hub):
    server.garble = True
    with pytest.raises(DownloadError, match="not what the hub announced"):
        find_files(NAME, hub=hub)
    assert [path for path in hub.folder.rglob("*") if path.is_file()] == []


# --- answers of hubs and mirrors


@pytest.mark.parametrize("etag", [
    pytest.param(lambda content: hashlib.sha1(content).hexdigest(), id="plain sha1"),
    pytest.param(lambda content: hashlib.md5(content).hexdigest(), id="md5"),
])  # fmt: skip
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


@pytest.mark.parametrize("revision, commit", [
    *((revision, commit) for revision in (COMMIT, "main") for commit in ("../../../outside", "main", "F" * 40)),
    (COMMIT, "f" * 40),
])  # fmt: skip
def test_a_commit_that_was_not_asked_for_is_refused(server, hub, tmp_path, revision, commit, monkeypatch):
    give = server._server.RequestHandlerClass._give
    monkeypatch.setattr(
        server._server.RequestHandlerClass, "_give", lambda self, content, _, *rest: give(self, content, commit, *rest)
    )
    with pytest.raises(DownloadError, match=r"commit"):
        hub.download(FEAT, revision)
    assert server.asked_for() == []
    assert not list(tmp_path.rglob("*outside*"))


def test_a_file_that_is_announced_as_huge_is_not_downloaded(server, hub):
    server.size = onnx_file.MAX_BYTES + 1
    with pytest.raises(DownloadError, match="more than the"):
        find_files(NAME, hub=hub)
    assert server.asked_for() == []


def test_absent_is_what_the_hub_says_of_a_commit(server, hub):
    assert hub.download(f"{NAME}/no.json", COMMIT) is None
    assert hub.resolve(f"{NAME}/no.json", "main") is None
    assert hub.resolve(FEAT, "main") == COMMIT
    with pytest.raises(UnknownRevisionError) as caught:
        hub.download(FEAT, "f" * 40)
    assert caught.value.revision == "f" * 40


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("trouble", ["no connection", "proxy", "mirror", "offline"])
def test_no_answer_of_a_hub_is_neither_absent_nor_an_unknown_revision(server, hub, trouble, monkeypatch, tmp_path):
    if trouble == "no connection":
        hub = Hub(endpoint="http://127.0.0.1:9", cache=hub.cache)
    elif trouble == "offline":
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        reset = getattr(huggingface_hub.utils, "reset_sessions", lambda: None)  # sessions of 0.x know it from the start
        reset()
    server.is_proxy, server.error_codes = trouble == "proxy", False
    for filename, revision in ((f"{NAME}/no.json", COMMIT), (FEAT, "f" * 40)):
        with pytest.raises(DownloadError) as caught:
            hub.download(filename, revision)
        assert not isinstance(caught.value, UnknownRevisionError)
    if trouble == "offline":
        monkeypatch.undo()
        reset()


def test_a_cache_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "in the way").write_text("a file")
    with pytest.raises(DownloadError, match="in the way"):
        find_files(NAME, hub=Hub(endpoint=server.endpoint, cache=tmp_path / "in the way"))


# --- the cache of the library


def test_two_at_once_download_the_file_once(server, hub):
    found = []
    threads = [threading.Thread(target=lambda: found.append(find_files(NAME, hub=hub))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len({files.fingerprint for files in found}) == 1
    assert server.asked_for().count(FEAT) == 1


def test_a_branch_is_noted_where_the_library_looks_for_it(hub):
    path = hub.download(FEAT, "main")
    assert path.parents[1].name == COMMIT
    assert huggingface_hub.try_to_load_from_cache(hub.repo, FEAT, cache_dir=hub.cache, revision="main") == str(path)


@pytest.mark.parametrize("revision", ["../../outside", "/outside", "a/../../../outside", COMMIT])
def test_what_is_no_name_of_a_branch_is_not_noted(hub, tmp_path, revision):
    hub.record_revision(revision, COMMIT)
    assert [path for path in tmp_path.rglob("*") if path.name == "outside" or path.name == "refs"] == []


def test_content_that_two_revisions_share_stays_for_the_other(server, hub, published):
    server.commits["e" * 40] = published
    first, second = (hub.download(FEAT, commit) for commit in (COMMIT, "e" * 40))
    assert hub.delete(first) == 0
    assert second.is_file()
    assert hub.delete(second) == (published / FEAT).stat().st_size
    assert list((hub.folder / "blobs").iterdir()) == []


def test_another_model_shares_the_content_of_equal_files(server, hub):
    find_files(NAME, hub=hub)
    server.requests.clear()
    find_files(OTHER, hub=hub)
    assert server.asked_for() == [f"{OTHER}/model_feat.onnx"]
