"""Images with drawn rectangles, and detectors that find them. FiftyOne is imported in the fixtures."""

import pytest
from PIL import Image, ImageDraw

from tests.support.detection.rectangles import COLORS, write_detector

PERSONS, OTHER, HEADS = "person_detect_v1.1_m", "person_detect_v1.1_s", "head_detect_v2.0_s"


@pytest.fixture
def detectors(tmp_path):
    """A folder of detectors; the one of other persons looks at images in another size."""
    folder = tmp_path / "detectors"
    write_detector(folder / PERSONS / "model.onnx")
    write_detector(folder / OTHER / "model.onnx", width=128, height=128)
    write_detector(folder / HEADS / "model.onnx")
    return folder


@pytest.fixture
def detect(detectors):
    """``detect_characters`` with these detectors."""
    from ccip_plugin.detection import detect_characters

    return lambda samples, **options: detect_characters(samples, **{"model_dir": detectors, **options})


@pytest.fixture
def draw(tmp_path):
    """``draw("a.png", person=(16, 16, 48, 48), head=..., size=(64, 64))`` writes an image and gives its path."""

    def make(name, *, size=(64, 64), **boxes):
        image = Image.new("RGB", size, "white")
        for label, (left, top, right, bottom) in boxes.items():
            ImageDraw.Draw(image).rectangle((left, top, right - 1, bottom - 1), COLORS[label])
        path = tmp_path / name
        image.save(path)
        return path

    return make


@pytest.fixture
def every_result(monkeypatch):
    """Results are stored, and progress is reported, one by one."""
    from ccip_plugin.detection import detect

    monkeypatch.setattr(detect, "FLUSH_RESULTS", 1)
    monkeypatch.setattr(detect, "REPORT_SECONDS", 0)
