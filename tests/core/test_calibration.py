"""Thresholds and presets of a model."""

import json

import pytest

from ccip_plugin.core import calibration, registry
from ccip_plugin.core.errors import ModelFileDamagedError, UnknownModelError, UnknownPresetError
from tests.support import tiny_models

DEFAULT = registry.DEFAULT_MODEL


@pytest.fixture(autouse=True)
def no_cache(tmp_path, monkeypatch):
    """Neither the machine's cache of models nor its environment plays a part."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "no cache"))
    monkeypatch.delenv("CCIP_MODEL_DIR", raising=False)


def write_json(model_dir, name, content, model=DEFAULT):
    folder = model_dir / model
    folder.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / name).write_text(text, encoding="utf-8")


def test_without_files_the_registry_speaks():
    found = calibration.load(DEFAULT)
    assert found.threshold == 0.17847511429108218
    assert found.presets == {
        "dbscan": (0.17847511429108218, 2),
        "optics": (0.5, 5),
        "dbscan_2": (0.12921094122454668, 2),
        "dbscan_free": (0.1291187648928262, 2),
        "optics_best": (0.1836453739562513, 5),
    }


@pytest.mark.parametrize("name", registry.MODELS)
def test_every_model_has_a_threshold_and_the_two_presets_that_need_no_file(name):
    found = calibration.load(name)
    assert found.preset("dbscan") == (found.threshold, 2)
    assert found.preset("optics") == (0.5, 5)
    assert found.model_name == name


def test_files_beside_the_model_win_and_the_model_itself_is_not_needed(tmp_path):
    write_json(tmp_path, "metrics.json", {"threshold": 0.25, "f1_score": 0.5})
    write_json(tmp_path, "cluster.json", {"optics": {"eps": 0.2, "min_samples": 3}, "score": 1, "other": "x"})
    found = calibration.load(DEFAULT, model_dir=tmp_path)
    assert found.presets == {"dbscan": (0.25, 2), "optics": (0.5, 5), "optics_best": (0.2, 3)}


def test_the_folder_may_come_from_the_environment(tmp_path, monkeypatch):
    folder = tmp_path / "モデル 🎀"
    write_json(folder, "metrics.json", {"threshold": 0.3})
    monkeypatch.setenv("CCIP_MODEL_DIR", str(folder))
    assert calibration.load(DEFAULT).threshold == 0.3


def test_a_folder_without_the_small_files_means_the_registry(tmp_path):
    tiny_models.write_model_dir(tmp_path, jsons=False)
    assert calibration.load(DEFAULT, model_dir=tmp_path) == calibration.load(DEFAULT)


def test_a_missing_preset_names_those_present():
    with pytest.raises(
        UnknownPresetError, match=r"ccip-caformer-4_fp32 has no preset 'dbscan_2'; it has: dbscan, optics$"
    ):
        calibration.load("ccip-caformer-4_fp32").preset("dbscan_2")


def test_unknown_models_are_refused():
    with pytest.raises(UnknownModelError):
        calibration.load("no such model")


@pytest.mark.parametrize(
    "name, content, says",
    [
        pytest.param("metrics.json", "", "not JSON", id="empty"),
        pytest.param("metrics.json", '{"threshold": 0.1', "not JSON", id="cut short"),
        pytest.param("metrics.json", "version https://git-lfs.github.com/spec/v1", "not JSON", id="git-lfs pointer"),
        pytest.param("metrics.json", [0.1], "holds a list", id="a list"),
        pytest.param("metrics.json", {}, "no threshold", id="no threshold"),
        pytest.param("metrics.json", {"threshold": "0.1"}, "no threshold", id="threshold is text"),
        pytest.param("metrics.json", {"threshold": True}, "no threshold", id="threshold is true"),
        pytest.param("metrics.json", {"threshold": float("nan")}, "no threshold", id="threshold is NaN"),
        pytest.param("metrics.json", {"threshold": 17.8}, "no threshold", id="threshold beyond 1"),
        pytest.param("cluster.json", {"optics": 0.2}, "no usable 'optics'", id="preset is a number"),
        pytest.param("cluster.json", {"dbscan_2": {"eps": 0.2}}, "no usable 'dbscan_2'", id="no min_samples"),
        pytest.param("cluster.json", {"optics": {"eps": 2, "min_samples": 2}}, "no usable", id="eps beyond 1"),
        pytest.param("cluster.json", {"optics": {"eps": 0.2, "min_samples": 0}}, "no usable", id="min_samples 0"),
        pytest.param("cluster.json", {"optics": {"eps": 0.2, "min_samples": 2.5}}, "no usable", id="min_samples 2.5"),
        pytest.param("cluster.json", "[" + " " * (1 << 20) + "]", "bytes", id="too large"),
    ],
)
def test_damaged_files_are_named(tmp_path, name, content, says):
    write_json(tmp_path, name, content)
    with pytest.raises(ModelFileDamagedError, match=says) as caught:
        calibration.load(DEFAULT, model_dir=tmp_path)
    assert caught.value.path == tmp_path / DEFAULT / name
    assert "download it again" in str(caught.value)


def test_the_former_name_of_the_record_still_works_and_warns():
    with pytest.warns(DeprecationWarning, match="PublishedParameters"):
        assert calibration.Calibration is calibration.PublishedParameters
    with pytest.raises(AttributeError, match="no attribute 'Calibrated'"):
        calibration.Calibrated  # noqa: B018


# --- files of strangers

TOO_LARGE = "9" * 400


@pytest.mark.parametrize(
    "content",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"threshold": ' + TOO_LARGE + "}",
        '{"threshold": ' + "9" * 5000 + "}",
        '{"threshold": 1e999}',
        '{"threshold": NaN}',
        '{"threshold": "' + "x" * 100_000 + '"}',
        "\ufeff{}",
        "\0" * 1000,
    ],
    ids=lambda content: content[:20],
)
def test_metrics_of_nonsense_are_named(tmp_path, content):
    write_json(tmp_path, "metrics.json", content)
    with pytest.raises(ModelFileDamagedError, match=r"metrics\.json") as caught:
        calibration.load(DEFAULT, model_dir=tmp_path)
    assert len(str(caught.value)) < 1000


def test_a_score_beyond_all_numbers_is_left_out(tmp_path):
    write_json(tmp_path, "metrics.json", '{"threshold": 0.2, "f1_score": ' + TOO_LARGE + "}")
    assert calibration.load(DEFAULT, model_dir=tmp_path).threshold == 0.2
    assert calibration.read_metrics(tmp_path / DEFAULT / "metrics.json") == {"threshold": 0.2}


@pytest.mark.parametrize(
    "preset",
    [
        '{"eps": 0.1, "min_samples": ' + TOO_LARGE + "}",
        '{"eps": ' + TOO_LARGE + ', "min_samples": 3}',
        '{"eps": NaN, "min_samples": 3}',
        "[" * 100_000,
        "[[" + "1," * 100_000 + "1]]",
    ],
    ids=lambda preset: preset[:30],
)
def test_presets_of_nonsense_are_named(tmp_path, preset):
    write_json(tmp_path, "cluster.json", '{"optics": ' + preset + "}")
    with pytest.raises(ModelFileDamagedError, match=r"cluster\.json") as caught:
        calibration.load(DEFAULT, model_dir=tmp_path)
    assert len(str(caught.value)) < 1000
