"""Stopped, killed, or with others at work in the same dataset."""

import _thread
import random
import threading
import time

import fiftyone as fo
import numpy as np
import pytest
from bson import ObjectId

from ccip_plugin.core.encoder import reading as image_reading
from ccip_plugin.core.preprocessing import load_image
from ccip_plugin.core.progress import Cancelled
from ccip_plugin.embeddings import compute, store
from ccip_plugin.embeddings.load import count_missing
from ccip_plugin.embeddings.provenance import OriginChangedError, OtherOriginError, read_provenance
from ccip_plugin.storage.fields import ERROR_FIELD, SOURCE_FIELD
from ccip_plugin.storage.schema import DatasetGoneError
from tests.support import tiny_models
from tests.support.embeddings import FIELD, OTHER_MODEL, at, stored

KILLED = """
import sys
import fiftyone as fo
from ccip_plugin.embeddings import compute

compute.FLUSH_RESULTS = 10
compute.REPORT_SECONDS = 0
samples = fo.load_dataset(sys.argv[1])
compute.compute_embeddings(samples, model_dir=sys.argv[2], progress=lambda now: print(now.done, flush=True))
"""


@pytest.mark.slow
def test_a_killed_process_loses_only_what_it_had_not_stored(
    dataset, images, embed, vectors_of, model_dir, start_python
):
    paths = images("abcde" * 60)
    samples = dataset(*paths, persistent=True)
    done = 0
    for _ in range(3):
        process = start_python(KILLED, samples.name, model_dir)
        said = [process.stdout.readline() for _ in range(random.randint(2, 60))]
        process.kill()
        said = int((process.communicate()[0].split() or [said[-1]])[-1])
        now = count_missing(samples)
        assert done + said - 10 <= 300 - now.n_missing <= 300
        done = 300 - now.n_missing
    assert done > 0
    report = embed(samples)
    assert report.n_computed == 300 - done
    assert np.array_equal(stored(samples), vectors_of(paths))


@pytest.mark.parametrize(
    "error, stop",
    [
        pytest.param(KeyboardInterrupt, _thread.interrupt_main, id="Ctrl-C"),
        pytest.param(Cancelled, None, id="a progress callable that cancels"),
        pytest.param(ZeroDivisionError, None, id="a progress callable that fails"),
    ],
)
def test_what_is_finished_is_stored_when_the_work_is_stopped(
    error, stop, dataset, images, embed, vectors_of, told_of_all
):
    def raise_error():
        raise error("enough")

    paths = images("abcde" * 20)
    samples = dataset(*paths)
    with pytest.raises(error):
        embed(samples, progress=at(30, stop or raise_error))
        time.sleep(1)  # where Ctrl-C arrives after the last image
    n_stored = samples.exists(FIELD).count()
    assert n_stored >= 30
    assert [thread for thread in threading.enumerate() if thread.name.startswith("ccip")] == []
    assert embed(samples).n_computed == 100 - n_stored
    assert np.array_equal(stored(samples), vectors_of(paths))


def test_ctrl_c_is_prompt_while_images_are_slow(dataset, images, embed, monkeypatch):
    def slow(file, **limits):
        time.sleep(0.3)
        return load_image(file, **limits)

    monkeypatch.setattr(image_reading, "load_image", slow)
    samples = dataset(*images("a" * 100))
    timer = threading.Timer(1.0, _thread.interrupt_main)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        embed(samples, workers=2)
    timer.join()
    assert 0 < samples.exists(FIELD).count() < 30


def test_results_are_stored_by_time_as_well(dataset, images, embed, monkeypatch, told_of_all):
    monkeypatch.setattr(compute, "FLUSH_SECONDS", 0.0)
    samples = dataset(*images("abcd"))
    counts = []
    embed(samples, progress=lambda now: counts.append(samples.exists(FIELD).count() if samples.has_field(FIELD) else 0))
    assert counts[-4:] == [1, 2, 3, 4]


def test_samples_that_are_deleted_or_added_meanwhile(dataset, images, embed, told_of_all):
    samples = dataset(*images("abcd" * 10))
    ids = samples.values("id")
    added = images("a")[0]
    in_memory = samples.first()

    def change():
        samples._sample_collection.delete_many({"_id": {"$in": [ObjectId(i) for i in (ids[0], ids[39])]}})
        samples.add_sample(fo.Sample(str(added)))

    report = embed(samples, progress=at(5, change), workers=1)
    assert report.n_total == 40
    assert report.n_computed + report.n_gone == 40
    assert samples.exists(FIELD).count() == 38
    assert in_memory[FIELD] is None
    assert embed(samples).n_computed == 1


def test_a_sample_deleted_before_its_turn_is_counted(dataset, images, embed, every_result, monkeypatch):
    monkeypatch.setattr(store, "BLOCK", 4)
    samples = dataset(*images("a" * 12))
    last = ObjectId(samples.values("id")[-1])
    progress = at(1, lambda: samples._sample_collection.delete_one({"_id": last}))
    report = embed(samples, progress=progress, workers=1, verify=True)  # one after the other
    assert (report.n_computed, report.n_gone) == (11, 1)
    assert report.facts()["Deleted during the run"] == "1"


def test_a_dataset_deleted_meanwhile_ends_the_work(dataset, images, embed, every_result):
    samples = dataset(*images("a" * 12))
    with pytest.raises(DatasetGoneError):
        embed(samples, progress=at(2, lambda: fo.load_dataset(samples.name).delete()))


def test_a_field_deleted_meanwhile_ends_the_work(dataset, images, embed, every_result):
    samples = dataset(*images("a" * 40))
    with pytest.raises(OriginChangedError):
        embed(samples, progress=at(2, lambda: samples.delete_sample_field(FIELD)), workers=1)


def test_unsaved_changes_of_samples_in_memory_stay(dataset, images, embed):
    samples = dataset(*images("ab"))
    sample = samples.first()
    sample.tags = ["unsaved"]
    embed(samples)
    assert sample.tags == ["unsaved"]
    assert np.array_equal(sample[FIELD], stored(samples)[0])
    sample.save()
    assert samples.values("tags") == [["unsaved"], []]
    assert samples.exists(FIELD).count() == 2


def test_a_dataset_object_older_than_the_field(dataset, images, embed, model_dir, run_python):
    samples = dataset(*images("ab"), persistent=True)
    sample = samples.first()
    sample.tags = ["unsaved"]
    code = """
    import sys
    import fiftyone as fo
    from ccip_plugin.embeddings import compute_embeddings

    compute_embeddings(fo.load_dataset(sys.argv[1])[:1], model_dir=sys.argv[2])
    """
    run_python(code, samples.name, model_dir)
    assert not samples.has_field(FIELD)
    recorded = read_provenance(samples, FIELD)
    assert embed(samples).n_computed == 1
    assert read_provenance(samples, FIELD) == recorded
    assert sample.tags == ["unsaved"]
    assert samples.exists(FIELD).count() == 2


AT_ONCE = """
import sys
import fiftyone as fo
from ccip_plugin.embeddings import compute

compute.FLUSH_RESULTS = 7
samples = fo.load_dataset(sys.argv[1])
report = compute.compute_embeddings(samples, model_dir=sys.argv[2], model_name=sys.argv[3], overwrite=True)
print(report.n_computed)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "models",
    [
        pytest.param((tiny_models.NAME, tiny_models.NAME), id="with one model"),
        pytest.param((tiny_models.NAME, OTHER_MODEL), id="with two models"),
    ],
)
def test_two_processes_at_once(models, dataset, images, vectors_of, model_dir, start_python):
    paths = images("abcde" * 20)
    samples = dataset(*paths, persistent=True)
    processes = {start_python(AT_ONCE, samples.name, model_dir, name): name for name in models}
    outputs = {process: process.communicate(timeout=100) for process in processes}
    samples.reload()
    recorded = samples.get_field(FIELD).info["model_name"]
    for process, name in processes.items():
        out, errors = outputs[process]
        if process.returncode == 0:
            assert out == "100\n"
        else:
            assert name != recorded, errors
            assert "OriginChangedError" in errors
    assert np.array_equal(stored(samples), vectors_of(paths, recorded))
    assert [name for name in samples.get_field_schema() if name.startswith("ccip")] == [
        FIELD,
        ERROR_FIELD,
        SOURCE_FIELD,
    ]


def test_another_model_for_all_stops_the_first_run(dataset, images, embed, vectors_of, every_result):
    paths = images("abcd" * 5)
    samples = dataset(*paths)

    def change():
        assert embed(fo.load_dataset(samples.name), model_name=OTHER_MODEL).n_computed == 20

    with pytest.raises(OriginChangedError, match=OTHER_MODEL):
        embed(samples, model_name=tiny_models.NAME, progress=at(3, change), workers=1)
    assert np.array_equal(stored(samples), vectors_of(paths, OTHER_MODEL))
    assert read_provenance(samples, FIELD).model_name == OTHER_MODEL


def test_another_model_for_a_part_is_refused_while_the_first_runs(dataset, images, embed, vectors_of, every_result):
    paths = images("abcd" * 5)
    samples = dataset(*paths)

    def change():
        with pytest.raises(OtherOriginError):
            embed(samples[10:], model_name=OTHER_MODEL)

    embed(samples, progress=at(3, change), workers=1)
    assert np.array_equal(stored(samples), vectors_of(paths))


TOGETHER = """
import sys
import time
from pathlib import Path

import fiftyone as fo
from ccip_plugin.core.encoder import reading
from ccip_plugin.embeddings import compute, store

def slow_load_image(*arguments, **options):
    time.sleep(0.03)
    return load_image(*arguments, **options)

load_image, reading.load_image = reading.load_image, slow_load_image
store.BLOCK, compute.FLUSH_RESULTS, compute.FLUSH_SECONDS = 10, 5, 0.1
samples = fo.load_dataset(sys.argv[1])
print("ready", flush=True)
while not Path("go").exists():
    time.sleep(0.01)
report = compute.compute_embeddings(samples, model_dir=sys.argv[2], workers=1)
print(report.n_computed, report.n_skipped, report.n_gone, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("is_patches", [False, True], ids=["images", "detections"])
def test_processes_that_embed_one_dataset_share_the_work(
    dataset, images, model_dir, start_python, tmp_path, is_patches
):
    paths = images("abcde" * 60)
    samples = dataset(*paths, persistent=True)
    script, patches_field = TOGETHER, None
    if is_patches:
        whole = [fo.Detection(label="girl", bounding_box=[0, 0, 1, 1]) for _ in paths]
        samples.set_values("people", [fo.Detections(detections=[each]) for each in whole])
        script, patches_field = TOGETHER.replace("samples, model", "samples, patches_field='people', model"), "people"
    processes = [start_python(script, samples.name, model_dir) for _ in range(3)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    (tmp_path / "go").touch()
    counts = np.array([process.communicate()[0].split() for process in processes], dtype=int)
    print(counts)
    n_computed, n_skipped, n_gone = counts.T
    assert 300 <= n_computed.sum() <= 300 + 60  # blocks of 10 that two had begun; without sharing it is 900
    assert (n_computed > 0).all()
    assert list(n_computed + n_skipped) == [300] * 3
    assert list(n_gone) == [0] * 3
    samples.reload()
    assert count_missing(samples, patches_field=patches_field).n_missing == 0
