"""Stopped, killed, or with others at work in the same dataset."""

import random
import threading

import fiftyone as fo
import pytest
from bson import ObjectId

from ccip_plugin.core.progress import Cancelled
from ccip_plugin.detection.provenance import DetectorChangedError, read_provenance
from ccip_plugin.storage.schema import DatasetGoneError
from tests.support.detection.boxes import boxes_of

from .conftest import OTHER, PERSONS

BOX = (16, 16, 48, 48)

KILLED = """
import sys
import fiftyone as fo
from ccip_plugin.detection import detect

detect.FLUSH_RESULTS = 10
detect.REPORT_SECONDS = 0
samples = fo.load_dataset(sys.argv[1])
detect.detect_characters(
    samples, model_dir=sys.argv[2], detector=sys.argv[3], progress=lambda now: print(now.done, flush=True)
)
"""


@pytest.fixture
def many(dataset, draw):
    def make(n, **options):
        return dataset(*[draw(f"{number}.png", person=BOX) for number in range(n)], **options)

    return make


def at(done, action):
    """A progress callable that acts once, when so many are done."""
    acted = []

    def progress(now):
        if now.stage == "detecting" and now.done >= done and not acted:
            acted.append(now)
            action()

    return progress


def n_stored(samples):
    return samples.exists("persons_source").count() if samples.has_field("persons_source") else 0


@pytest.mark.slow
def test_a_killed_process_loses_only_what_it_had_not_stored(many, detect, detectors, start_python):
    samples = many(200, persistent=True)
    done = 0
    for _ in range(3):
        process = start_python(KILLED, samples.name, detectors, PERSONS)
        said = [process.stdout.readline() for _ in range(random.randint(2, 40))]
        process.kill()
        said = int((process.communicate()[0].split() or [said[-1]])[-1])
        samples.reload()
        assert done + said - 10 <= n_stored(samples) <= 200
        done = n_stored(samples)
    assert done > 0
    ids = [each for each in samples.values("persons.detections.id") if each]
    report = detect(samples)
    assert (report.n_done, report.n_skipped) == (200 - done, done)
    assert all(boxes_of(sample) == [BOX] for sample in samples)
    assert {each[0] for each in ids} <= {each[0] for each in samples.values("persons.detections.id")}


@pytest.mark.slow
@pytest.mark.parametrize("then", [OTHER, PERSONS], ids=["goes on", "goes back"])
def test_a_change_of_the_detector_is_killed(many, detect, detectors, start_python, then):
    samples = many(60, persistent=True)
    detect(samples, detector=PERSONS)
    ids = samples.values("persons.detections.id")
    process = start_python(KILLED, samples.name, detectors, OTHER)
    for _ in range(25):
        process.stdout.readline()
    process.kill()
    process.communicate()
    assert 0 < n_stored(fo.load_dataset(samples.name)) < 60
    detect(samples, detector=then)
    samples.reload()
    assert samples.values("persons.detections.id") == ids
    assert (read_provenance(samples, "persons").detector, n_stored(samples)) == (then, 60)
    assert detect(samples, detector=then).n_done == 0


@pytest.mark.parametrize("error", [Cancelled, ZeroDivisionError])
def test_what_is_finished_is_stored_when_the_work_is_stopped(many, detect, every_result, error):
    def stop():
        raise error("enough")

    samples = many(30)
    with pytest.raises(error):
        detect(samples, progress=at(10, stop))
    done = n_stored(samples)
    assert 10 <= done < 30
    assert [thread for thread in threading.enumerate() if thread.name.startswith("ccip")] == []
    assert detect(samples).n_done == 30 - done


def test_samples_that_are_deleted_meanwhile(many, detect, every_result):
    samples = many(20)
    ids = [ObjectId(samples.values("id")[n]) for n in (0, 19)]
    delete = at(5, lambda: samples._sample_collection.delete_many({"_id": {"$in": ids}}))
    report = detect(samples, progress=delete, workers=1)
    assert report.n_done + report.n_gone == report.n_total == 20
    assert n_stored(samples) == 18


def test_a_dataset_deleted_meanwhile_ends_the_work(many, detect, every_result):
    samples = many(12)
    with pytest.raises(DatasetGoneError):
        detect(samples, progress=at(2, lambda: fo.load_dataset(samples.name).delete()))


def test_a_field_deleted_meanwhile_ends_the_work(many, detect, every_result):
    samples = many(12)
    with pytest.raises(DetectorChangedError):
        detect(samples, progress=at(2, lambda: samples.delete_sample_field("persons")), workers=1)


def test_another_detector_for_all_stops_the_first_run(many, detect, every_result):
    samples = many(20)

    def change():
        assert detect(fo.load_dataset(samples.name), detector=OTHER).n_done == 20

    with pytest.raises(DetectorChangedError, match=OTHER):
        detect(samples, detector=PERSONS, progress=at(3, change), workers=1)
    samples.reload()
    assert all(boxes_of(sample) == [BOX] for sample in samples)


def test_two_runs_at_once_give_each_box_once(many, detect, every_result):
    samples = many(20)

    def change():
        assert detect(fo.load_dataset(samples.name)).n_failed == 0

    detect(samples, progress=at(3, change), workers=1)
    samples.reload()
    assert all(boxes_of(sample) == [BOX] for sample in samples)
