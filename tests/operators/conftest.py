"""Datasets of small images and two tiny models, for the operators."""

import pytest

from tests.support import tiny_models

OTHER_MODEL = "ccip-caformer_b36-24"


@pytest.fixture
def models(model_dir, monkeypatch):
    """Two tiny models, where CCIP_MODEL_DIR says."""
    tiny_models.write_model_dir(model_dir, name=OTHER_MODEL, variant="other_weights")
    monkeypatch.setenv("CCIP_MODEL_DIR", str(model_dir))
    return model_dir


@pytest.fixture
def gallery(dataset, images):
    """``gallery("aab")`` gives a dataset of small images."""
    return lambda characters: dataset(*images(characters))


@pytest.fixture
def boxes(gallery):
    """A dataset with two detections in each of its images."""
    import fiftyone as fo  # not when this file is loaded: that is before the database is started

    new = gallery("aabb")
    for sample in new:
        both = ([0, 0, 0.5, 1], [0.5, 0, 0.5, 1])
        detections = [fo.Detection(label="face", bounding_box=box, confidence=0.9) for box in both]
        sample["faces"] = fo.Detections(detections=detections)
        sample.save()
    return new


@pytest.fixture
def grouped(dataset, tmp_path):
    """``grouped("aab")`` gives a dataset without image files, grouped by character."""
    from ccip_plugin import group_characters
    from tests.support.groups import embed

    def make(letters):
        new = dataset(*(tmp_path / f"{n}.png" for n in range(len(letters))))
        embed(new, letters)
        group_characters(new)
        return new

    return make
