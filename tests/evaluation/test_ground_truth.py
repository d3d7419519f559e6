"""Who is who, in fields of all kinds."""

import fiftyone as fo
import pytest

from ccip_plugin.evaluation.ground_truth import name_fields, read_names
from ccip_plugin.storage.targets import TargetError, items_view, resolve

pytestmark = pytest.mark.mongo


@pytest.fixture
def named(dataset):
    new = dataset(*[f"/絵/{n}.png" for n in range(5)])
    names = ["初音ミク", "", None, "unassigned", "リン 🎀"]
    new.set_values("ground_truth", [None if name is None else fo.Classification(label=name) for name in names])
    new.set_values("character", names)
    new.set_values("number", [1, 0, None, 3, 1])
    new.set_values("many", [["a"]] * 5)
    boxes = [
        [fo.Detection(label=str(name), bounding_box=[0, 0, 1, 1], who=name) for name in names[:n]]
        for n in (2, 1, 0, 0, 2)
    ]
    new.set_values("faces", [fo.Detections(detections=each) if each else None for each in boxes])
    new.add_sample_field("faces.detections.who", fo.StringField)
    return new


@pytest.mark.parametrize("field, names", [
    pytest.param("ground_truth", ["初音ミク", None, None, None, "リン 🎀"], id="classification"),
    pytest.param("ground_truth.label", ["初音ミク", None, None, None, "リン 🎀"], id="its label"),
    pytest.param("character", ["初音ミク", None, None, None, "リン 🎀"], id="names"),
    pytest.param("number", ["1", "0", None, "3", "1"], id="numbers"),
])  # fmt: skip
def test_names_of_samples(named, field, names):
    ids, sample_ids, found = read_names(resolve(named), field)
    assert (ids, sample_ids, found) == (named.values("id"), named.values("id"), names)


@pytest.mark.parametrize("field", ["who", "faces.detections.who"])
def test_names_of_detections(named, field):
    ids, sample_ids, found = read_names(resolve(named, "faces"), field)
    assert found == ["初音ミク", None, "初音ミク", "初音ミク", None]
    assert ids == named.values("faces.detections.id", unwind=True)
    assert len(set(sample_ids)) == 3


@pytest.mark.parametrize("field, problem", [
    pytest.param("nobody", "no field 'nobody'", id="no such field"),
    pytest.param("many", "not one name", id="lists"),
    pytest.param("faces", "not one name", id="detections"),
])  # fmt: skip
def test_other_fields_are_refused(named, field, problem):
    with pytest.raises(TargetError, match=f"{problem}.*ground_truth, character, number"):
        read_names(resolve(named), field)


def test_fields_that_would_do(named):
    assert name_fields(resolve(named)) == ["ground_truth", "character", "number"]
    assert {"label", "who"} <= set(name_fields(resolve(named, "faces")))


def test_items_as_a_view(named):
    ids = named.values("id")[1:3]
    assert items_view(resolve(named), ids).values("id") == ids
    labels = named.values("faces.detections.id", unwind=True)[1:3]
    view = items_view(resolve(named, "faces"), labels)
    assert sorted(view.values("faces.detections.id", unwind=True)) == sorted(labels)


def test_fields_that_serve_others_are_not_proposed(dataset):
    from ccip_plugin.grouping import group_characters
    from tests.support.groups import embed

    samples = dataset("/a.png", "/b.png")
    boxes = [fo.Detection(label="face", bounding_box=[0, 0, 1, 1], who="ミク") for _ in "ab"]
    samples.set_values("faces", [fo.Detections(detections=[box]) for box in boxes])
    samples.add_sample_field("faces.detections.who", fo.StringField)
    for patches_field in (None, "faces"):
        embed(samples, "aa", patches_field)
        group_characters(samples, patches_field=patches_field)
    prefixes = ("", "faces.detections.")
    for path in (f"{prefix}{name}" for prefix in prefixes for name in ("ccip_error", "ccip_source", "x_source")):
        samples.add_sample_field(path, fo.StringField)
    for prefix in prefixes:
        samples.add_sample_field(f"{prefix}x", fo.VectorField)
    assert name_fields(resolve(samples)) == ["character_group"]
    assert name_fields(resolve(samples, "faces")) == ["label", "who", "character_group"]
