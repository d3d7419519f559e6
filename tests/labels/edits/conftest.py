"""Fixtures of corrections."""

import pytest


@pytest.fixture(params=[None, "箱"], ids=["samples", "detections"])
def grouped(request, dataset, tmp_path):
    """A grouped dataset to correct: two groups of four, and one in no group."""
    import fiftyone as fo

    from tests.support.database.edits import LETTERS, Data

    if request.param is None:
        return Data(dataset(*(tmp_path / f"{n}.png" for n in range(len(LETTERS)))), None)
    new = dataset(*(tmp_path / f"{n}.png" for n in range(3)))
    for n, sample in enumerate(new):
        boxes = [fo.Detection(label="girl", bounding_box=[0.3 * k, 0.1 * n, 0.2, 0.2]) for k in range(3)]
        sample[request.param] = fo.Detections(detections=boxes)
        sample.save()
    return Data(new, request.param)
