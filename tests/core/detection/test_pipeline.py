"""Detectors on many files: turned as they are shown, in parallel, with failures of their own."""

import threading

import numpy as np
import onnx
import pytest
from PIL import Image, ImageDraw

from ccip_plugin.core.detection.detector import Detector
from ccip_plugin.core.detection.pipeline import find_boxes
from ccip_plugin.core.encoder.reading import Item, file_state
from ccip_plugin.core.errors import ModelMismatchError
from tests.support.detection.rectangles import COLORS, detector, write_detector
from tests.support.images.turned_images import exif


@pytest.fixture
def opened(tmp_path):
    return Detector(write_detector(tmp_path / "model.onnx"), min_score=0.4)


def draw(path, box=(16, 8, 48, 40), size=(64, 64), **save):
    image = Image.new("RGB", size, "white")
    left, top, right, bottom = box
    ImageDraw.Draw(image).rectangle((left, top, right - 1, bottom - 1), COLORS["person"])
    image.save(path, **save)
    return str(path)


def corners(result):
    return [(box.left, box.top, box.right, box.bottom) for box in result.boxes]


def test_finds_the_boxes_of_each_file(opened, tmp_path):
    boxes = [(4 * n, 8, 32 + 4 * n, 40) for n in range(8)]
    paths = [draw(tmp_path / f"{n}.png", box) for n, box in enumerate(boxes)]
    results = {each.key: each for each in find_boxes([Item(n, path) for n, path in enumerate(paths)], opened)}
    assert [corners(results[n]) for n in range(8)] == [[box] for box in boxes]
    assert [results[n].source for n in range(8)] == [file_state((tmp_path / f"{n}.png").stat()) for n in range(8)]
    assert {result.size for result in results.values()} == {(64, 64)}
    assert [thread for thread in threading.enumerate() if thread.name.startswith("ccip")] == []


def test_images_are_turned_as_they_are_shown(opened, tmp_path):
    """A quarter turn: what is left and low in the file is at the top left."""
    path = draw(tmp_path / "turned.jpg", (0, 32, 32, 64), (128, 64), exif=b"Exif\0\0" + exif(), quality=100)
    (result,) = find_boxes([Item(1, path)], opened)
    assert result.size == (64, 128)
    assert corners(result) == [(0, 0, 32, 32)]


@pytest.mark.parametrize(
    "content, reason", [(None, "file not found"), (b"no image", "not an image"), (b"", "empty")], ids=str
)
def test_failures_are_results(opened, tmp_path, content, reason):
    good, bad = draw(tmp_path / "good.png"), tmp_path / "bad.png"
    if content is not None:
        bad.write_bytes(content)
    results = {each.key: each for each in find_boxes([Item("bad", str(bad)), Item("good", good)], opened)}
    assert corners(results["good"]) == [(16, 8, 48, 40)]
    assert reason in results["bad"].error.lower()
    assert (results["bad"].source is None) == (content is None)


def test_a_large_image_fails_alone(opened, tmp_path):
    items = [Item("large", draw(tmp_path / "a.png", size=(99, 99))), Item("good", draw(tmp_path / "b.png"))]
    errors = {each.key: each.error for each in find_boxes(items, opened, max_pixels=64 * 64)}
    assert errors["good"] is None and "pixels" in errors["large"]


def test_boxes_that_are_not_finite_are_a_failure_of_the_image(tmp_path):
    """This detector divides all numbers by the blue of the first pixel."""
    model = detector("end_to_end")
    graph = model.graph
    slices = [("z", [0, 0, 0]), ("o", [1, 1, 1]), ("ax", [1, 2, 3])]
    graph.initializer.extend(onnx.numpy_helper.from_array(np.array(values, np.int64), f"q{n}") for n, values in slices)
    last = graph.node.pop()
    graph.node.extend(
        [
            onnx.helper.make_node("Slice", ["images", "qz", "qo", "qax"], ["q_first"]),
            onnx.helper.make_node("Squeeze", ["q_first", "qsq"], ["q_flat"]),
            onnx.helper.make_node("Div", [last.input[0], "q_flat"], ["output0"]),
        ]
    )
    graph.initializer.append(onnx.numpy_helper.from_array(np.array([3], np.int64), "qsq"))
    onnx.save(model, tmp_path / "model.onnx")
    opened = Detector(tmp_path / "model.onnx", layout="end_to_end", min_score=0.4)
    dark, light = tmp_path / "dark.png", draw(tmp_path / "light.png")
    draw(dark)
    with Image.open(dark) as image:
        image.putpixel((0, 0), (0, 0, 0))
        image.save(dark)
    results = {each.key: each for each in find_boxes([Item("dark", str(dark)), Item("light", light)], opened)}
    assert corners(results["light"]) == [(16, 8, 48, 40)]
    assert "finite" in results["dark"].error


def test_another_layout_ends_the_work(tmp_path):
    opened = Detector(write_detector(tmp_path / "model.onnx", names="{0: 'a', 1: 'b', 2: 'c'}"))
    with pytest.raises(ModelMismatchError):
        list(find_boxes([Item(1, draw(tmp_path / "a.png"))], opened))
    assert [thread for thread in threading.enumerate() if thread.name.startswith("ccip")] == []


def test_memory_is_bounded_by_pixels_in_flight(opened, tmp_path):
    items = [Item(n, draw(tmp_path / f"{n}.png", size=(400, 400))) for n in range(6)]
    assert sum(1 for _ in find_boxes(items, opened, memory=1)) == 6
