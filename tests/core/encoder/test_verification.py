"""Checking a downloaded model."""

import json

import numpy as np
import pytest
from PIL import Image

from ccip_plugin.core import hub, registry
from ccip_plugin.core.encoder import verification
from ccip_plugin.core.encoder.verification import CheckResult, check_model, is_ok
from ccip_plugin.core.errors import UnknownModelError
from ccip_plugin.core.progress import Cancelled
from tests.support import tiny_models
from tests.support.tiny_hub import TinyHub

NAME = registry.DEFAULT_MODEL


@pytest.fixture
def check(tmp_path):
    """Checks a tiny model; gives ``{name of check: result}``."""

    def check_(name=NAME, **made):
        folder = tiny_models.write_model_dir(tmp_path / "models", name=name, **made)
        return {result.name: result for result in check_model(name, model_dir=folder)}

    return check_


def failed(results):
    return [name for name, result in results.items() if result.ok is False]


def test_a_sound_model_fails_only_for_its_size(check):
    """The tiny model plays a published one and is far smaller."""
    results = check()
    assert failed(results) == ["size"]
    assert [name for name, result in results.items() if result.ok is None] == ["published example"]
    assert "sha256" in results["model_feat.onnx"].detail
    assert "published with about 150 MB" in results["size"].detail
    assert "threshold 0.178475" in results["published scores"].detail
    assert "differs from (1 - cos) / 2 by at most" in results["metric"].detail


def test_a_stand_in_has_nothing_published_to_compare_with(check):
    results = check("ccip-demo", jsons=False)
    assert failed(results) == []
    assert not {"size", "published scores", "published presets"} & results.keys()
    assert is_ok(list(results.values()))


def test_the_bundled_stand_in_prints_what_is_used_of_its_files():
    results = {result.name: result for result in check_model("ccip-demo")}
    assert results["threshold"].detail == "threshold 0.173393"
    assert results["presets"].detail.startswith("dbscan_2 eps 0.12571, dbscan_2 min_samples 2, ")


@pytest.mark.parametrize(
    "made, expected",
    [
        pytest.param({"variant": "nan"}, "finite", id="NaN"),
        pytest.param({"variant": "batch_mean"}, "any batch", id="images of a batch mixed"),
        pytest.param({"variant": "wrong_dim"}, "loads", id="shape of features"),
        pytest.param({"variant": "fixed_batch"}, "loads", id="two at a time only"),
        pytest.param({"metric": "squared"}, "metric", id="another metric"),
        pytest.param({"metric": "one_output"}, "metric", id="shape of metric"),
    ],
)
def test_what_is_wrong_is_found_and_does_not_end_the_other_checks(check, made, expected):
    results = check(**made)
    assert expected in failed(results)
    assert "metric" in results
    assert "published scores" in results


def test_a_metric_file_that_is_missing_cannot_be_judged(check):
    results = check(metric=None)
    assert results["metric"].ok is None
    assert results["model_metrics.onnx"].ok is None


@pytest.mark.parametrize(
    "file, content, check_name, says",
    [
        (
            "metrics.json",
            {**tiny_models.METRICS, "threshold": 0.2},
            "published scores",
            "threshold is 0.2, expected 0.178",
        ),
        ("metrics.json", {"threshold": tiny_models.THRESHOLD}, "published scores", "f1_score is None"),
        ("metrics.json", {}, "published scores", "no threshold"),
        (
            "cluster.json",
            {"optics": {"eps": 0.18364537, "min_samples": 4}},
            "published presets",
            "optics min_samples is 4",
        ),
        ("cluster.json", [], "published presets", "holds a list"),
    ],
)
def test_numbers_that_are_not_the_published_ones_are_named(tmp_path, file, content, check_name, says):
    folder = tiny_models.write_model_dir(tmp_path)
    (folder / NAME / file).write_text(json.dumps(content))
    results = {result.name: result for result in check_model(NAME, model_dir=folder)}
    assert results[check_name].ok is False
    assert says in results[check_name].detail


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[:1000], lambda b: b"version https://git-lfs"])
def test_a_damaged_file_ends_the_check_with_what_to_do(tmp_path, damage):
    folder = tiny_models.write_model_dir(tmp_path)
    file = folder / NAME / "model_feat.onnx"
    file.write_bytes(damage(file.read_bytes()))
    (result,) = check_model(NAME, model_dir=folder)
    assert (result.name, result.ok) == ("files", False)
    assert str(file) in result.detail
    assert "CCIP_MODEL_DIR" in result.detail


def test_a_missing_model_is_a_failed_check(tmp_path):
    (result,) = check_model(NAME, model_dir=tmp_path)
    assert (result.name, result.ok) == ("files", False)


def test_a_cancelled_download_is_not_a_failed_check(tmp_path, monkeypatch):
    def stop(step):
        raise Cancelled

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    published = tiny_models.write_model_dir(tmp_path / "published", name=NAME)
    with TinyHub(published) as server:
        local = hub.Hub(endpoint=server.endpoint, cache=tmp_path / "cache")
        monkeypatch.setattr(hub.files, "Hub", lambda: local)
        with pytest.raises(Cancelled):
            check_model(NAME, progress=stop)


def test_an_unknown_model_is_an_error():
    with pytest.raises(UnknownModelError):
        check_model("ccip-caformer-99")


# --- the published example


@pytest.fixture
def examples(tmp_path):
    """Four images under the names of the published ones, with the differences that the tiny model gives them."""
    for name, colour in zip(verification.EXAMPLE_IMAGES, ("red", "maroon", "blue", "green"), strict=True):
        Image.new("RGB", (40, 60), colour).save(tmp_path / name, quality=95)
    return tmp_path


@pytest.fixture
def published(examples, model_dir, monkeypatch):
    """Makes the differences of the tiny model the published ones; ``published(0.01)`` moves one of them."""
    from ccip_plugin.core.encoder import Encoder

    def publish(moved_by=0.0):
        with Encoder.open(NAME, model_dir=model_dir) as encoder:
            matrix = encoder.differences(encoder.embed([examples / name for name in verification.EXAMPLE_IMAGES]))
        matrix[0, 1] += moved_by
        monkeypatch.setattr(verification, "EXAMPLE_DIFFERENCES", tuple(map(tuple, matrix)))

    return publish


@pytest.mark.parametrize("moved_by, ok", [(0, True), (0.0049, True), (-0.0051, False)])
def test_the_published_example_is_compared(published, examples, model_dir, moved_by, ok):
    published(moved_by)
    result = check_model(NAME, model_dir=model_dir, images=examples)[-1]
    assert (result.name, result.ok) == ("published example", ok)
    paths = [examples / name for name in verification.EXAMPLE_IMAGES]
    assert check_model(NAME, model_dir=model_dir, images=paths)[-1] == result


def test_an_example_that_is_turned_upright_here_is_named(published, examples, model_dir):
    published()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 60), "blue").save(examples / "6.jpg", exif=exif, quality=95)
    assert "the published differences ignore the EXIF orientation of 6.jpg" in (
        check_model(NAME, model_dir=model_dir, images=examples)[-1].detail
    )


def test_examples_that_are_missing_are_a_failed_check(tmp_path, model_dir):
    result = check_model(NAME, model_dir=model_dir, images=tmp_path)[-1]
    assert (result.name, result.ok) == ("published example", False)
    assert "1.jpg" in result.detail
    result = check_model(NAME, model_dir=model_dir, images=[tmp_path / "1.jpg"])[-1]
    assert "4 are needed" in result.detail


def test_examples_are_only_published_for_one_model(tmp_path, examples):
    folder = tiny_models.write_model_dir(tmp_path, name="ccip-demo")
    result = check_model("ccip-demo", model_dir=folder, images=examples)[-1]
    assert (result.ok, result.detail) == (None, f"published for {NAME} only")


def test_the_published_verdicts_are_at_least_the_tolerance_away_from_the_threshold():
    matrix, threshold = np.array(verification.EXAMPLE_DIFFERENCES), registry.get_spec(NAME).threshold
    assert np.abs(matrix - threshold).min() > verification.EXAMPLE_TOLERANCE
    assert np.array_equal(matrix, matrix.T)
    assert (matrix <= threshold).sum() == 4 + 2


@pytest.mark.parametrize("outcomes, expected", [((True, None), True), ((True, False), False), ((), True)])
def test_is_ok(outcomes, expected):
    assert is_ok([CheckResult("size", outcome, "") for outcome in outcomes]) is expected
