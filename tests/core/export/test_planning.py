"""Which images are exported, in which folders, and why the others are not."""

from dataclasses import replace

import numpy as np
import pytest

from ccip_plugin.core.errors import ParameterError
from ccip_plugin.core.export.captions import CaptionRules
from ccip_plugin.core.export.planning import ExportOptions, plan_export
from ccip_plugin.core.export.records import ExportError, TrainingImage


def image(key, character="Rei", **values):
    return TrainingImage(key, f"/data/{key}.png", character, **values)


IMAGES = [
    image("a", size=(10, 10), content="1"),
    image("b", size=(20, 10), content="1"),
    image("c", status="auto"),
    image("d", status="ignored"),
    image("e", "Asuka", doubts=frozenset({"rescued", "doubtful"})),
    image("f", "Asuka"),
]


@pytest.mark.parametrize(
    "options, left_out",
    [
        pytest.param({}, {"a": "duplicate of b", "c": "not confirmed", "d": "ignored"}, id="by default"),
        pytest.param({"without_duplicates": False}, {"c": "not confirmed", "d": "ignored"}, id="duplicates"),
        pytest.param({"with_unconfirmed": True}, {"a": "duplicate of b", "d": "ignored"}, id="unconfirmed ones"),
        pytest.param(
            {"excluded_doubts": frozenset({"rescued"})},
            {"a": "duplicate of b", "c": "not confirmed", "d": "ignored", "e": "rescued"},
            id="no rescued ones",
        ),
        pytest.param(
            {"with_unconfirmed": True, "cap": 1},
            {"a": "duplicate of b", "c": "over the limit of images", "d": "ignored", "f": "over the limit of images"},
            id="a cap",
        ),
    ],
)
def test_left_out(options, left_out):
    plan = plan_export(IMAGES, ExportOptions(**options))
    assert plan.left_out == left_out
    exported = {each.image.key for folder in plan.folders for each in folder.images}
    assert exported == {each.key for each in IMAGES} - left_out.keys()
    assert plan.n_images == len(exported)
    assert plan_export(IMAGES[::-1], ExportOptions(**options)) == plan


def test_of_near_duplicates_the_confirmed_and_largest_is_kept():
    vectors = np.tile(np.array([[1, 0]], np.float32), (4, 1))
    vectors[3] = 0, 1
    images = [
        image("a", look=0, size=(5, 5), status="auto"),
        image("b", look=1, size=(4, 4)),
        image("c", look=3, size=(3, 3)),
        image("d", look=0, size=(9, 9)),
    ]
    plan = plan_export(images, ExportOptions(with_unconfirmed=True), vectors=vectors)
    assert plan.left_out == {"a": "near-duplicate of b", "c": "near-duplicate of b"}
    assert plan_export(images, ExportOptions(with_unconfirmed=True)).left_out == {}  # by hash alone


def test_two_detections_of_one_file_are_two_images():
    boxes = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 0.5, 1.0)
    plan = plan_export([image(key, content="1", box=box) for key, box in zip("ab", boxes, strict=True)])
    assert plan.n_images == 2


@pytest.mark.parametrize("is_balanced, expected", [(True, {"Rei": 1, "Asuka": 3}), (False, {"Rei": 1, "Asuka": 1})])
def test_repeats(is_balanced, expected):
    images = [*(image(str(n)) for n in range(6)), *(image(key, "Asuka") for key in "ab")]
    plan = plan_export(images, ExportOptions(balance=is_balanced))
    assert {folder.character: folder.repeats for folder in plan.folders} == expected


def test_one_name_in_two_forms_is_one_character():
    plan = plan_export([image("a", "é"), image("b", "e\u0301 ")])
    assert [(folder.character, len(folder.images)) for folder in plan.folders] == [("é", 2)]


def test_captions():
    tagged = replace(IMAGES[0], tags=("1girl", "solo"), companions=("Asuka",))
    plan = plan_export([tagged], ExportOptions(captions=CaptionRules(trigger="ohwx", drop=frozenset({"solo"}))))
    assert plan.folders[0].images[0].caption == "ohwx, Asuka, 1girl"


def test_nothing():
    assert plan_export([]).folders == ()


@pytest.mark.parametrize("images, vectors", [([IMAGES[0]] * 2, None), (IMAGES, np.zeros((1, 2), np.float32))])
def test_refuses(images, vectors):
    with pytest.raises(ExportError):
        plan_export(images, vectors=vectors)


def test_refuses_a_cap_of_nothing():
    with pytest.raises(ParameterError):
        ExportOptions(cap=0)
