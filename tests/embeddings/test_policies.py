"""Embeddings of the first reading policy stay when the second comes; pictures that show nothing."""

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from ccip_plugin.embeddings.provenance import OtherOriginError, read_provenance
from ccip_plugin.grouping import group_characters
from ccip_plugin.search import find_similar
from ccip_plugin.storage.fields import ERROR_FIELD
from tests.support.embeddings import FIELD
from tests.support.images import odd_images, turned_images

pytestmark = pytest.mark.mongo

OLD = np.eye(768, dtype=np.float32)[0]
CONCERNED = {
    "turned.webp": turned_images.NOT_TURNED["WebP with EXIF"],
    "xmp.jpg": turned_images.NOT_TURNED["JPEG with XMP"],
    "moving.gif": lambda: odd_images.animated("GIF"),
}


@pytest.fixture
def concerned(tmp_path):
    """Three files that the second policy reads otherwise."""
    paths = [tmp_path / name for name in CONCERNED]
    for path, make in zip(paths, CONCERNED.values(), strict=True):
        path.write_bytes(make())
    return paths


def make_old(samples):
    """Makes the embeddings of a dataset such of the first policy, recorded as earlier versions did."""
    field = samples.get_field(FIELD)
    info = {name: value for name, value in field.info.items() if name != "reading_policies"}
    field.info = {**info, "reading_policy": 1}
    field.save()
    has_vector = [vector is not None for vector in samples.values(FIELD)]
    samples.set_values(FIELD, [OLD if has else None for has in has_vector])


def n_old(samples):
    return sum(vector is not None and np.array_equal(vector, OLD) for vector in samples.values(FIELD))


def test_only_files_that_are_read_otherwise_are_computed_again(dataset, images, embed, concerned):
    samples = dataset(*images("abcdefgh" * 5 + "abcdefg"), *concerned)
    assert len(samples) == 50
    embed(samples)
    make_old(samples)
    told = embed(samples)
    assert (told.n_computed, told.n_skipped, told.n_read_otherwise, n_old(samples)) == (0, 50, 3, 50)
    assert "3 stored embeddings of files that this version reads otherwise: verify=True" in str(told)
    report = embed(samples, verify=True)
    assert (report.n_computed, report.n_skipped, report.n_failed) == (3, 47, 0)
    assert n_old(samples) == 47
    assert read_provenance(samples, FIELD).reading_policies == (2,)
    assert "reading_policies" not in fo.load_dataset(samples.name).get_field(FIELD).info
    again = embed(samples, verify=True)
    assert (again.n_computed, again.n_read_otherwise, n_old(samples)) == (0, 0, 47)


def test_new_images_join_old_ones(dataset, images, embed, concerned):
    samples = dataset(*images("abc"), *concerned)
    embed(samples)
    make_old(samples)
    samples.add_samples([fo.Sample(str(path)) for path in images("de")])
    report = embed(samples[6:])
    assert (report.n_computed, n_old(samples)) == (2, 6)
    assert read_provenance(samples, FIELD).reading_policies == (1, 2)
    assert dict(samples.get_field(FIELD).info)["reading_policies"] == [1, 2]
    assert embed(samples[:6], verify=True).n_computed == 3
    assert read_provenance(samples, FIELD).reading_policies == (1, 2)  # the others were not verified
    assert embed(samples, verify=True).n_computed == 3  # whichever these were; computing them again is no harm
    assert read_provenance(samples, FIELD).reading_policies == (2,)


def test_old_embeddings_can_be_searched_with_new_images(dataset, images, embed, model_dir):
    samples = dataset(*images("abc"))
    embed(samples)
    make_old(samples)
    assert find_similar(samples, images=images("a"), model_dir=model_dir).n_searched == 3


def test_embeddings_of_a_later_policy_are_not_mixed_with_ours(dataset, images, embed):
    samples = dataset(*images("ab"))
    embed(samples[:1])
    field = samples.get_field(FIELD)
    field.info = {**field.info, "reading_policy": 3, "reading_policies": [2, 3]}
    field.save()
    with pytest.raises(OtherOriginError, match="reading policy 3 in the field, 2 now"):
        embed(samples[1:])


@pytest.fixture
def blank(tmp_path):
    """``blank(n)`` gives files that show nothing."""

    def make(n):
        paths = [tmp_path / f"blank {number}.png" for number in range(n)]
        for number, path in enumerate(paths):
            values = np.random.default_rng(number).integers(0, 3, (40, 60, 3), np.uint8)
            Image.fromarray(values + (number % 2) * 253).save(path)
        return paths

    return make


def test_pictures_that_show_nothing_fail_and_are_counted(dataset, images, embed, blank):
    samples = dataset(*images("ab"), *blank(3))
    report = embed(samples)
    assert (report.n_computed, report.n_failed, report.n_blank) == (2, 3, 3)
    assert report.facts()["Of these, showing nothing"] == "3"
    assert all(error.startswith("shows nothing") for error in samples.values(ERROR_FIELD)[2:])
    group_characters(samples)
    assert [label and label.label for label in samples.values("character_group")][2:] == [None] * 3


def test_they_are_embedded_where_one_wants_it(dataset, images, embed, blank, vectors_of):
    paths = [*images("a"), *blank(2)]
    samples = dataset(*paths)
    assert embed(samples, blank="embed").n_computed == 3
    assert np.array_equal(np.stack(samples.values(FIELD)), vectors_of(paths))


def test_crops_that_show_nothing_fail_alone(dataset, tmp_path, embed):
    page = Image.new("RGB", (200, 100), "white")
    page.paste(odd_images.drawing(100, 100), (0, 0))
    page.save(tmp_path / "page.png")
    samples = dataset(tmp_path / "page.png")
    boxes = [[0, 0, 0.5, 1], [0.6, 0.1, 0.3, 0.8]]
    samples.set_values("faces", [fo.Detections(detections=[fo.Detection(bounding_box=box) for box in boxes])])
    report = embed(samples, patches_field="faces")
    assert (report.n_computed, report.n_blank) == (1, 1)


def test_old_embeddings_of_pictures_that_show_nothing_go_and_labels_of_people_stay(dataset, images, embed, blank):
    samples = dataset(*images("aab"), *blank(3))
    embed(samples, blank="embed")
    make_old(samples)
    group_characters(samples)
    grouped = list(samples)[-1]
    grouped["character_group"].label = "ナナ"
    grouped.save()
    report = embed(samples, verify=True)
    assert (report.n_computed, report.n_blank, n_old(samples)) == (0, 3, 3)
    assert set(report.failures) == set(samples.values("id")[3:])
    group_characters(samples)
    labels = [label and label.label for label in samples.values("character_group")][3:]
    assert labels == [None, None, "ナナ"]
