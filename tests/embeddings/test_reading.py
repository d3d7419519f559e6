"""What a run says of files that are read with difficulty, or not at all."""

import fiftyone as fo
import pytest

from ccip_plugin.storage.fields import ERROR_FIELD
from tests.support.images import odd_images

pytestmark = pytest.mark.mongo


@pytest.fixture
def folder(tmp_path):
    """``folder(name=content)`` writes files and gives their paths."""

    def write(**contents):
        paths = []
        for name, content in contents.items():
            paths.append(tmp_path / name.replace("_", "."))
            paths[-1].write_bytes(content)
        return paths

    return write


def damaged_palette() -> bytes:
    """A file for which Pillow warns while it is decoded."""
    return odd_images.encode(odd_images.drawing().quantize(16), "PNG", transparency=bytes(range(0, 160, 10)))


def test_warnings_of_pillow_are_counted_in_the_report(dataset, folder, embed, capfd):
    exif = b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 40
    warning = odd_images.encode(odd_images.drawing(), "TIFF", tiffinfo={})
    damaged = warning.replace(b"\x00\x01\x03\x00\x01\x00\x00\x00\x60", b"\x00\x01\x03\x00\x02\x00\x00\x00\x60")
    jpeg = odd_images.encode(odd_images.drawing(), "JPEG", exif=exif)
    samples = dataset(*folder(a_jpg=jpeg, b_tif=damaged, c_png=damaged_palette()))
    report = embed(samples)
    assert report.n_computed + report.n_failed == 3
    assert report.n_warnings > 0
    assert report.facts()["Warnings about damaged metadata"] == str(report.n_warnings)
    assert "Warning" not in capfd.readouterr().err


def test_paths_that_are_not_local_are_said_to_be(dataset, embed):
    samples = dataset("s3://bucket/a.png", "C:\\anime\\b.png", "/gone/c.png")
    for sample, path in zip(samples, ("s3://bucket/a.png", "C:\\anime\\b.png", "/gone/c.png"), strict=True):
        samples._sample_collection.update_one({"_id": sample._id}, {"$set": {"filepath": path}})
    samples.reload()
    embed(samples)
    s3, windows, gone = samples.values(ERROR_FIELD)
    assert "s3://" in s3 and "only local paths are read" in s3
    assert "Windows path" in windows
    assert gone == "file not found"


def test_boxes_in_pixels_are_said_to_be_not_relative(dataset, images, embed):
    samples = dataset(*images("a"))
    boxes = [[0, 0, 0.5, 0.5], [0, 0, 300, 500], [10, 20, 30, 40], [0.1, 0.1, 1.2, 0.5]]
    samples.set_values("faces", [fo.Detections(detections=[fo.Detection(bounding_box=box) for box in boxes])])
    report = embed(samples, patches_field="faces")
    errors = samples.values(f"faces.detections.{ERROR_FIELD}", unwind=True)
    assert (report.n_computed, report.n_failed) == (2, 2)
    assert [error is None for error in errors] == [True, False, False, True]
    assert all("relative to the image" in error and "pixels" in error for error in errors[1:3])
