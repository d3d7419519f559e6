"""The table of models."""

import pytest

from ccip_plugin.core import registry
from ccip_plugin.core.encoder.verification import CheckResult
from ccip_plugin.zoo import table
from tests.support import tiny_models


@pytest.fixture(autouse=True)
def no_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "no cache"))
    monkeypatch.delenv("CCIP_MODEL_DIR", raising=False)


def test_has_a_row_for_every_model():
    rows = table.rows()
    assert [row.name for row in rows] == list(registry.MODELS)
    best = rows[0]
    assert (best.f1, best.cluster_free, best.size_mb, best.is_cached) == (0.9409252669039146, 0.957017, 384, False)


def test_says_what_is_there_and_how_large_it_is(tmp_path):
    folder = tiny_models.write_model_dir(tmp_path)
    rows = {row.name: row for row in table.rows(folder)}
    row = rows[registry.DEFAULT_MODEL]
    assert row.is_cached
    assert 0.1 < row.size_mb < 1
    assert not rows["ccip-caformer-5_fp32"].is_cached


def test_says_where_models_are_taken_from(tmp_path, monkeypatch):
    assert table.source() is None, "the hub and its cache"
    assert table.source(tmp_path) == f"Models are taken from {tmp_path}; nothing is downloaded."
    monkeypatch.setenv("CCIP_MODEL_DIR", str(tmp_path))
    assert table.source() == f"Models are taken from {tmp_path} (CCIP_MODEL_DIR); nothing is downloaded."


def test_the_text_is_aligned_and_marks_the_default_and_the_stand_in(tmp_path):
    lines = table.render(table.rows(tiny_models.write_model_dir(tmp_path))).splitlines()
    assert len(lines) == 1 + len(registry.MODELS)
    assert lines[0].split() == [
        "model", "cached", "MB", "F1", "precision", "recall", "threshold", "Cluster_2", "Cluster_Free",
    ]  # fmt: skip
    by_name = {line.split()[0]: line for line in lines}
    assert by_name["ccip-caformer_b36-24"].split()[1:] == [
        "no", "384", "0.9409", "0.9383", "0.9436", "0.2132", "0.8951", "0.9570",
    ]  # fmt: skip
    assert by_name[registry.DEFAULT_MODEL].split()[1] == "yes"
    assert by_name[registry.DEFAULT_MODEL].endswith("default")
    assert "stand-in" in by_name["ccip-demo"]
    end = lines[0].index("threshold") + len("threshold")
    assert all(line[end - 1].isdigit() and line[end] == " " for line in lines[1:])


CHECKS = [
    CheckResult("files", True, "in /絵"),
    CheckResult("metric", None, "none"),
    CheckResult("size", False, "1 MB"),
]


@pytest.mark.parametrize(
    "results, expected",
    [
        pytest.param(
            CHECKS,
            [
                "ok      files   in /絵",
                "-       metric  none",
                "FAILED  size    1 MB",
                "1 of 3 checks failed, 1 skipped",
            ],
            id="all outcomes",
        ),
        pytest.param(
            CHECKS[:2],
            ["ok  files   in /絵", "-   metric  none", "all 1 checks passed, 1 skipped"],
            id="not all could be run",
        ),
        pytest.param(CHECKS[:1], ["ok  files  in /絵", "all 1 checks passed"], id="passed"),
    ],
)
def test_checks(results, expected):
    assert table.render_checks(results).splitlines() == expected
