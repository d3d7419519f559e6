"""``ccip cache``: how large the cache folder is, and deleting it, without FiftyOne."""

import os
import time

import numpy as np
import pytest

from ccip_plugin.__main__ import main
from ccip_plugin.core.errors import ParameterError
from ccip_plugin.core.neighbors.files import graphs_folder, stored_graph
from ccip_plugin.core.thumbnails import Thumbnails
from ccip_plugin.jobs.cache_folder import cache_report, clean_cache

DAY = 86_400


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("CCIP_CACHE_DIR", str(tmp_path / "キャッシュ"))
    return tmp_path / "キャッシュ"


@pytest.fixture
def filled(folder, images):
    """Three thumbnails, one of which was not used for 40 days, a graph, and something else."""
    thumbnails = Thumbnails()
    made = [thumbnails.make(str(path))[0] for path in images("abc")]
    os.utime(made[0], (time.time() - 40 * DAY,) * 2)
    stored_graph(np.eye(5, dtype=np.float32), 0.3, graphs_folder())
    (folder / "speeds.json").write_text("{}", encoding="utf-8")
    return folder


@pytest.fixture
def run(capsys):
    def run(*arguments, status=0):
        assert main(["cache", *arguments]) == status
        out, err = capsys.readouterr()
        return out if status == 0 else err

    return run


def test_it_says_what_is_there(filled, run):
    lines = run().splitlines()
    assert lines[0] == str(filled)
    assert lines[1].startswith("Thumbnails ") and lines[1].endswith(" in 3 files, of at most 2.0 GB")
    assert lines[2].startswith("Neighbor graphs ") and lines[3].split() == ["Other", "2", "bytes", "in", "1", "file"]
    assert run("list").splitlines() == lines


def test_a_folder_that_is_not_there(folder, run):
    assert run().count("0 bytes in 0 files") == 3 and not folder.exists()
    assert run("clean").startswith("0 bytes freed in ")


@pytest.mark.parametrize(
    "arguments, left",
    [
        pytest.param(["--dry-run"], [3, True], id="dry run"),
        pytest.param([], [0, False], id="all"),
        pytest.param(["thumbnails"], [0, True], id="thumbnails"),
        pytest.param(["graphs"], [3, False], id="graphs"),
        pytest.param(["graphs", "thumbnails"], [0, False], id="both"),
        pytest.param(["--unused-days", "30"], [2, True], id="old ones"),
        pytest.param(["--unused-days", "30", "--dry-run"], [3, True], id="old ones, dry run"),
    ],
)
def test_cleaning(filled, run, arguments, left):
    before = cache_report()
    headline = run("clean", *arguments).splitlines()[0]
    after = cache_report()
    assert [after.n_files["thumbnails"], bool(after.n_files["graphs"])] == left
    assert after.n_files["other"] == 1, "model fingerprints and speeds stay"
    freed = sum(before.n_bytes.values()) - sum(after.n_bytes.values())
    assert ("would be freed" in headline) == ("--dry-run" in arguments)
    assert (freed > 0) == ("--dry-run" not in arguments)


def test_what_was_deleted_is_said_in_bytes(filled):
    before, dry = cache_report(), clean_cache(dry_run=True)
    done = clean_cache()
    assert dry.n_freed == done.n_freed == before.n_bytes["thumbnails"] + before.n_bytes["graphs"]
    assert sum(done.n_bytes.values()) == before.n_bytes["other"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        pytest.param(["models"], "one of thumbnails, graphs", id="no such part"),
        pytest.param(["--unused-days", "-1"], "number of days", id="less than none"),
        pytest.param(["--unused-days", "nan"], "number of days", id="no number"),
        pytest.param(["--unused-days", "9e99"], "number of days", id="more than there were"),
    ],
)
def test_wrong_usage_deletes_nothing(filled, run, arguments, message):
    assert message in run("clean", *arguments, status=1)
    assert cache_report().n_files["thumbnails"] == 3


@pytest.mark.parametrize("days", [True, "3", None, [], 2**63])
def test_wrong_types(folder, days):
    with pytest.raises(ParameterError, match="unused_days"):
        clean_cache(unused_days=days)


def test_an_invalid_limit_is_said(filled, run, monkeypatch):
    monkeypatch.setenv("CCIP_THUMBNAILS_MB", "much")
    assert "CCIP_THUMBNAILS_MB" in run(status=1)
    monkeypatch.setenv("CCIP_THUMBNAILS_MB", "0")
    assert "none are made" in run()


def test_it_needs_no_fiftyone(folder, run_python):
    code = """
        import sys
        from ccip_plugin.__main__ import main
        status = main(["cache"])
        print(status, "fiftyone" in sys.modules)
    """
    assert run_python(code).stdout.splitlines()[-1] == "0 False"
