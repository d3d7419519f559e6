"""Detectors of the three layouts find the rectangles that were drawn, to a pixel."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ccip_plugin.core.detection import Box, decode, keep_best
from ccip_plugin.core.detection.detector import Detector
from ccip_plugin.core.errors import ModelMismatchError, ParameterError
from tests.support.detection.rectangles import COLORS, LABELS, LAYOUTS, write_detector

HEAD, PERSON = (40, 20, 80, 60), (100, 32, 180, 192)


def drawn(size=(256, 256), **boxes):
    """An image with rectangles: left, top, right, bottom; the last two are outside."""
    image = Image.new("RGB", size, (255, 255, 255))
    for label, (left, top, right, bottom) in boxes.items():
        ImageDraw.Draw(image).rectangle((left, top, right - 1, bottom - 1), COLORS[label])
    return image


def corners(box):
    return box.left, box.top, box.right, box.bottom


@pytest.fixture
def detector(tmp_path):
    def open_(layout="yolo", **options):
        kept = {key: options.pop(key) for key in ("width", "height", "names") if key in options}
        return Detector(write_detector(tmp_path / layout / "model.onnx", layout, **kept), layout=layout, **options)

    return open_


@pytest.mark.parametrize("layout", LAYOUTS)
def test_finds_what_was_drawn_once(detector, layout):
    found = detector(layout).detect(drawn(head=HEAD, person=PERSON))
    assert {box.label: corners(box) for box in found} == {"head": HEAD, "person": PERSON}
    assert len(found) == 2 and all(0.9 < box.score <= 1 for box in found)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [(640, 128), (64, 512), (64, 64)])
def test_images_are_stretched(detector, layout, size):
    width, height = size
    box = (width // 4, height // 4, width // 2, height // 2)
    (found,) = detector(layout).detect(drawn(size, head=box))
    assert corners(found) == box


def test_an_input_that_is_no_square(detector):
    made = detector(width=96, height=32)
    assert made.input_size == (96, 32)
    (found,) = made.detect(drawn((192, 64), person=(32, 16, 96, 48)))
    assert corners(found) == (32, 16, 96, 48)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_image_with_nothing(detector, layout):
    assert detector(layout).detect(drawn()) == []


def test_a_box_at_the_border(detector):
    (found,) = detector().detect(drawn(head=(0, 0, 256, 128)))
    assert corners(found) == (0, 0, 256, 128)
    assert found.relative(256, 256) == [0.0, 0.0, 1.0, 0.5]


def test_scores_and_overlaps_have_limits(detector):
    image = drawn(head=HEAD)
    assert len(detector(min_score=0.4, max_overlap=1.0).detect(image)) == 2, "the copy with half the score"
    assert len(detector(min_score=0.6, max_overlap=1.0).detect(image)) == 1
    assert len(detector(min_score=0.4).detect(image)) == 1
    assert detector(min_score=1.0).detect(image) == []


def test_suppression_is_over_all_classes(detector):
    image = drawn(head=(0, 0, 100, 100))
    ImageDraw.Draw(image).point((0, 0), COLORS["person"])
    boxes = np.array([[50, 50, 100, 100, 0.9, 0], [50, 50, 98, 98, 0, 0.8]], np.float32).T
    (kept,) = decode(
        boxes,
        "yolo",
        labels=LABELS,
        input_size=(256, 256),
        image_size=(256, 256),
        min_score=0.1,
        max_overlap=0.7,
    )
    assert kept == Box(0, 0, 100, 100, "head", pytest.approx(0.9))


def test_boxes_of_one_score_have_an_order():
    """Sorts of numpy that are not stable differ between its versions, and between processors."""
    corners = np.array([[20.0 * n, 0, 20 * n + 10, 10] for n in range(100)], np.float32)
    scores = np.repeat(np.float32([0.5, 0.75]), 50)
    assert keep_best(corners, scores, 0.5).tolist() == list(range(99, -1, -1))


@pytest.mark.parametrize(
    "names", ["", "{}", "'heads'", "{1: 'head'}", "__import__('os')", "[" * 5000, "{0: 'x', 'a': 1}"], ids=str
)
def test_a_file_that_names_no_classes_is_refused(detector, names):
    with pytest.raises(ModelMismatchError, match="names no classes"):
        detector(names=names)


def test_a_file_of_other_classes_is_refused_when_it_runs(detector):
    made = detector(names="{0: 'a', 1: 'b', 2: 'c'}")
    with pytest.raises(ModelMismatchError, match="numbers per box"):
        made.detect(drawn())


def test_another_model_is_no_detector(tmp_path):
    from tests.support.tiny_models import feat_model

    path = tmp_path / "model.onnx"
    path.write_bytes(feat_model().SerializeToString())
    with pytest.raises(ModelMismatchError, match="detector"):
        Detector(path)


def test_outputs_that_are_no_numbers_are_refused():
    output = np.full((1, 6), np.nan, np.float32)
    output[:, 4:] = 0.9, 0
    with pytest.raises(ParameterError, match="finite"):
        decode(
            output,
            "end_to_end",
            labels=LABELS,
            input_size=(64, 64),
            image_size=(64, 64),
            min_score=0.1,
            max_overlap=0.7,
        )
