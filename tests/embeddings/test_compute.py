"""Embeddings in a dataset: computed once, resumed, never mixed."""

import _thread
import os
import random
import shutil
import threading
import time

import fiftyone as fo
import numpy as np
import pytest
from bson import ObjectId

from ccip_plugin.core.differences import normalize
from ccip_plugin.core.encoder import Encoder
from ccip_plugin.core.encoder import reading as image_reading
from ccip_plugin.core.errors import ModelFileMissingError
from ccip_plugin.core.preprocessing import READING_POLICY, crop, load_image
from ccip_plugin.core.progress import Cancelled
from ccip_plugin.embeddings import compute, compute_embeddings, store
from ccip_plugin.embeddings.load import BadVectorsError, count_missing, load_embeddings
from ccip_plugin.embeddings.provenance import OriginChangedError, OtherOriginError, UnknownOriginError, read_provenance
from ccip_plugin.embeddings.store import Key, Keys
from ccip_plugin.grouping import group_characters
from ccip_plugin.storage.fields import ERROR_FIELD, SOURCE_FIELD
from ccip_plugin.storage.schema import DatasetGoneError, FieldReadOnlyError, FieldTypeError
from ccip_plugin.storage.targets import TargetError
from tests.support import odd_images, tiny_models

FIELD = "ccip_embedding"
OTHER_MODEL = "ccip-caformer_b36-24"


@pytest.fixture
def model_dir(tmp_path):
    """Two models with the same inputs and other outputs."""
    tiny_models.write_model_dir(tmp_path / "models", name=OTHER_MODEL, variant="other_weights")
    return tiny_models.write_model_dir(tmp_path / "models")


@pytest.fixture
def embed(model_dir):
    """``compute_embeddings`` with the tiny models."""
    return lambda samples, **options: compute_embeddings(samples, **{"model_dir": model_dir, **options})


@pytest.fixture
def vectors_of(model_dir):
    """What the encoder itself gives for files, images or crops."""

    def give(sources, model_name=tiny_models.NAME):
        with Encoder.open(model_name, model_dir=model_dir) as encoder:
            return encoder.embed(list(sources))

    return give


def stored(samples, path=FIELD):
    """The vectors in a dataset by file, as an array; all must be there."""
    vectors = samples.values(path)
    assert all(vector is not None for vector in vectors)
    return np.stack(vectors)


def at(done, action):
    """A progress callable that acts once, when so many are done."""
    acted = []

    def progress(now):
        if now.stage == "embedding" and now.done >= done and not acted:
            acted.append(now)
            action()

    return progress


@pytest.fixture
def every_result(monkeypatch):
    """Results are stored, and progress is told, one by one."""
    monkeypatch.setattr(compute, "FLUSH_RESULTS", 1)
    monkeypatch.setattr(compute, "REPORT_SECONDS", 0)


@pytest.fixture
def told_of_all(monkeypatch):
    """Progress is told of every result."""
    monkeypatch.setattr(compute, "REPORT_SECONDS", 0)


# -- the ordinary way


def test_embeds_every_image(dataset, images, embed, vectors_of):
    paths = images("aabbc")
    samples = dataset(*paths)
    before = samples.values("last_modified_at")
    report = embed(samples)
    assert np.array_equal(stored(samples), vectors_of(paths))
    assert samples.values(ERROR_FIELD) == [None] * 5
    assert samples.values(SOURCE_FIELD) == [image_reading.file_state(path.stat()) for path in paths]
    assert all(now > then for now, then in zip(samples.values("last_modified_at"), before, strict=True))
    assert (report.n_total, report.n_computed, report.n_skipped, report.n_failed, report.n_gone) == (5, 5, 0, 0, 0)
    assert report.provider == "CPUExecutionProvider"
    assert report.images_per_second > 0
    assert report.facts().headline == "5 of 5 embedded, 0 already embedded"
    assert report.facts()["Speed"].endswith(" images/s on CPU")


def test_records_where_the_embeddings_come_from(dataset, images, embed, model_dir):
    samples = dataset(*images("a"))
    embed(samples)
    field = fo.load_dataset(samples.name).get_field(FIELD)
    assert isinstance(field, fo.VectorField)
    with Encoder.open(tiny_models.NAME, model_dir=model_dir) as encoder:
        sha256 = encoder.fingerprint
    assert dict(field.info) == {
        "model_name": tiny_models.NAME,
        "revision": None,
        "sha256": sha256,
        "providers": ["CPUExecutionProvider"],
        "precision": "float32",
        "normalized": True,
        "reading_policy": READING_POLICY,
        "alpha": None,
        "force_square": None,
        "adopted": False,
        "closed_form": True,
    }


@pytest.mark.parametrize("metric, warnings", [("good", 0), (None, 0), ("squared", 1)])
def test_a_metric_of_its_own_is_recorded_and_grouping_says_so(metric, warnings, dataset, images, embed, tmp_path):
    samples = dataset(*images("aab"))
    embed(samples[:1])
    embed(samples, model_dir=tiny_models.write_model_dir(tmp_path / "own", metric=metric))
    embed(samples, overwrite=False)
    assert read_provenance(samples, FIELD).closed_form == (not warnings)
    said = [warning for warning in group_characters(samples).warnings if "is not (1 - cos) / 2" in warning]
    assert len(said) == warnings


def test_odd_files_are_embedded_or_have_a_reason(dataset, tmp_path, embed, vectors_of):
    odd = odd_images.write_odd_images(tmp_path / "変な ファイル")
    samples = dataset(*[image.path for image in odd], tmp_path / "nowhere 無い.png")
    report = embed(samples)
    good, bad = samples.exists(FIELD), samples.exists(ERROR_FIELD)
    assert good.values("filepath") == [str(image.path) for image in odd if image.is_readable]
    assert bad.values("filepath")[:-1] == [str(image.path) for image in odd if not image.is_readable]
    assert np.array_equal(stored(good), vectors_of(good.values("filepath")))
    assert report.failures == dict(zip(bad.values("id"), bad.values(ERROR_FIELD), strict=True))
    assert report.n_failed == len(bad)
    assert report.facts()["Failed"] == str(len(bad))


def test_one_bad_file_among_64_costs_one(dataset, images, embed):
    paths = images("a" * 64)
    paths[13].write_bytes(b"")
    samples = dataset(*paths)
    assert embed(samples).n_failed == 1
    assert [str(path) for path in paths[:13] + paths[14:]] == samples.exists(FIELD).values("filepath")


def test_tells_where_it_is(dataset, images, embed, told_of_all):
    told = []
    paths = images("abcd")
    paths[0].write_bytes(b"")
    embed(dataset(*paths), progress=told.append)
    assert [(now.done, now.total) for now in told if now.stage == "embedding"] == [(n, 4) for n in range(1, 5)]
    assert told[-1].note == "1 failed"


def test_the_order_of_a_view_does_not_matter(dataset, images, embed, vectors_of):
    paths = images("abcdef")
    samples = dataset(*paths)
    embed(samples.shuffle(seed=3))
    assert np.array_equal(stored(samples), vectors_of(paths))


def test_reasons_are_many_but_not_without_limit(dataset, tmp_path, embed, monkeypatch):
    monkeypatch.setattr(compute, "MAX_REASONS", 2)
    paths = [tmp_path / f"{n}.png" for n in range(4)]
    for n, path in enumerate(paths):
        path.write_bytes(bytes([n]) * 9)  # the reason quotes them
    report = embed(dataset(*paths))
    assert len(report.failures) == 4
    assert sorted(report.failures.values())[2:] == ["see 'ccip_error'"] * 2


# -- resuming


def test_nothing_to_do_needs_no_model(dataset, images, embed, tmp_path, offline):
    samples = dataset(*images("ab"))
    embed(samples)
    before = samples.values("last_modified_at")
    report = embed(samples, model_dir=tmp_path / "no models")
    assert (report.n_computed, report.n_skipped, report.provider) == (0, 2, None)
    assert samples.values("last_modified_at") == before
    assert report.facts().headline == "0 of 2 embedded, 2 already embedded"
    assert "Speed" not in report.facts()
    samples.add_sample(fo.Sample(str(images("c")[0])))
    with pytest.raises(Exception) as raised:
        embed(samples, model_dir=tmp_path / "no models")
    assert not isinstance(raised.value, AssertionError)
    assert offline or isinstance(raised.value, ModelFileMissingError)


def test_an_empty_dataset_is_done(dataset, embed):
    assert str(embed(dataset())) == "0 of 0 embedded, 0 already done"


def test_computes_what_is_new_and_what_failed(dataset, images, embed, vectors_of):
    paths = images("abcd")
    content = paths[1].read_bytes()
    paths[1].write_bytes(b"broken")
    samples = dataset(*paths[:3])
    assert embed(samples).n_failed == 1
    samples.delete_samples(samples.values("id")[0])
    samples.add_sample(fo.Sample(str(paths[3])))
    paths[1].write_bytes(content)
    report = embed(samples)
    assert (report.n_total, report.n_computed, report.n_skipped, report.n_failed) == (3, 2, 1, 0)
    assert np.array_equal(stored(samples), vectors_of(paths[1:]))
    assert samples.exists(ERROR_FIELD).count() == 0


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(lambda samples: samples[1:3], id="a slice"),
        pytest.param(lambda samples: samples.select(samples.values("id")[1:3]), id="a selection"),
        pytest.param(lambda samples: samples.match(fo.ViewField("filepath").re_match("[bc] ")), id="a filter"),
        pytest.param(lambda samples: samples[1:3].select_fields("tags"), id="a view without our fields"),
        pytest.param(lambda samples: samples[1:3].exclude_fields("note"), id="a view without other fields"),
    ],
)
def test_embeds_a_part(part, dataset, images, embed):
    samples = dataset(*images("abcd"))
    samples.add_sample_field("note", fo.StringField)
    assert embed(part(samples)).n_computed == 2
    assert [vector is not None for vector in samples.values(FIELD)] == [False, True, True, False]
    assert embed(part(samples)).n_computed == 0
    assert len(load_embeddings(part(samples)).ids) == 2
    assert embed(samples).n_computed == 2


def test_overwrite_computes_all_of_the_part(dataset, images, embed, vectors_of):
    paths = images("abcd")
    samples = dataset(*paths)
    embed(samples)
    samples.set_values(FIELD, [np.eye(768, dtype=np.float32)[0]] * 4)
    assert embed(samples[:2], overwrite=True).n_computed == 2
    assert np.array_equal(stored(samples)[:2], vectors_of(paths[:2]))
    assert stored(samples)[2:].argmax(axis=1).tolist() == [0, 0]


def test_verify_computes_what_changed(dataset, images, embed, vectors_of):
    paths = images("abcdef")
    samples = dataset(*paths)
    embed(samples)
    old = stored(samples)
    shutil.copy(paths[1], paths[0])  # other content
    os.utime(paths[2], ns=(0, 0))  # only touched
    paths[3].unlink()
    paths[4].write_bytes(b"broken")
    assert embed(samples).n_computed == 0
    report = embed(samples, verify=True)
    assert (report.n_computed, report.n_failed, report.n_skipped) == (2, 2, 2)
    vectors = samples.values(FIELD)
    assert np.array_equal(vectors[0], vectors_of([paths[1]])[0])
    assert np.array_equal(vectors[2], old[2])
    assert np.array_equal(vectors[3], old[3]), "nothing newer is there"
    assert vectors[4] is None, "the old vector is not of this file"
    assert samples.values(ERROR_FIELD)[3] == "the file is not there"
    assert samples.values(ERROR_FIELD)[4] is not None


def test_verify_finds_a_file_that_came_back(dataset, images, embed, tmp_path):
    path = images("a")[0]
    samples = dataset(path)
    embed(samples)
    moved = path.rename(tmp_path / "elsewhere.png")
    assert embed(samples, verify=True).n_failed == 1
    moved.rename(path)
    assert embed(samples, verify=True).n_computed == 1
    assert samples.values(ERROR_FIELD) == [None]
    assert embed(samples, verify=True).n_computed == 0


def test_verify_computes_what_is_of_an_unknown_file(dataset, images, embed):
    samples = dataset(*images("ab"))
    embed(samples)
    samples.set_values(SOURCE_FIELD, [None, samples.values(SOURCE_FIELD)[1]])
    assert embed(samples, verify=True).n_computed == 1


def test_what_is_verified_belongs_to_the_field(dataset, images, embed):
    path = images("a")[0]
    samples = dataset(path)
    embed(samples)
    embed(samples, embeddings_field="second")
    os.utime(path, ns=(0, 0))
    assert embed(samples, verify=True).n_computed == 1
    assert embed(samples, embeddings_field="second", verify=True).n_computed == 1


# -- stopped


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


# -- others at work meanwhile


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
    monkeypatch.setattr(store, "CHUNK", 4)
    samples = dataset(*images("a" * 12))
    last = ObjectId(samples.values("id")[-1])
    report = embed(samples, progress=at(1, lambda: samples._sample_collection.delete_one({"_id": last})), workers=1)
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


# -- origins


def changed_file(model_dir, monkeypatch):
    tiny_models.write_model_dir(model_dir, variant="other_weights")
    return {}


def other_model(model_dir, monkeypatch):
    return {"model_name": OTHER_MODEL}


def other_policy(model_dir, monkeypatch):
    monkeypatch.setattr(compute, "READING_POLICY", READING_POLICY + 1)
    return {}


other_origins = pytest.mark.parametrize(
    "change, says",
    [
        pytest.param(other_model, f"{tiny_models.NAME} in the field, {OTHER_MODEL} now", id="another model"),
        pytest.param(changed_file, "SHA-256", id="another file of that model"),
        pytest.param(other_policy, f"policy {READING_POLICY} in the field, {READING_POLICY + 1}", id="another reading"),
    ],
)


@other_origins
def test_another_origin_for_a_part_is_refused(change, says, dataset, images, embed, model_dir, monkeypatch):
    samples = dataset(*images("abcd"))
    embed(samples[:2])
    before, recorded = samples.values(FIELD), read_provenance(samples, FIELD)
    options = change(model_dir, monkeypatch)
    for part, n_others in ((samples[2:], 2), (samples[1:], 1)):
        with pytest.raises(OtherOriginError, match=says) as raised:
            embed(part, **options)
        assert raised.value.n_others == n_others
    assert read_provenance(samples, FIELD) == recorded
    assert str(samples.values(FIELD)) == str(before)


@other_origins
@pytest.mark.parametrize(
    "whole",
    [
        pytest.param(lambda samples: samples, id="the dataset"),
        pytest.param(lambda samples: samples.view(), id="its view"),
        pytest.param(lambda samples: samples[:3], id="all that has embeddings"),
    ],
)
def test_another_origin_for_the_whole_replaces_all(change, says, whole, dataset, images, embed, model_dir, monkeypatch):
    paths = images("abcd")
    samples = dataset(*paths)
    embed(samples[:3])
    samples.set_values(FIELD, [np.eye(768, dtype=np.float32)[0]] * 3 + [None])
    samples.set_values(ERROR_FIELD, [None, "once", None, None])
    report = embed(whole(samples), **{"model_name": tiny_models.NAME, **change(model_dir, monkeypatch), "verify": True})
    n = len(whole(samples))
    assert (report.n_computed, report.n_skipped) == (n, 0)
    with Encoder.open(report.model_name, model_dir=model_dir) as encoder:
        assert np.array_equal(stored(samples[:n]), encoder.embed(paths[:n]))
        assert read_provenance(samples, FIELD).sha256 == encoder.fingerprint
    assert samples.exists(ERROR_FIELD).count() == 0


def test_the_recorded_model_is_used_when_none_is_named(dataset, images, embed, vectors_of):
    paths = images("ab")
    samples = dataset(*paths)
    embed(samples[:1], model_name=OTHER_MODEL)
    assert embed(samples).model_name == OTHER_MODEL
    assert np.array_equal(stored(samples), vectors_of(paths, OTHER_MODEL))


def test_a_replacement_that_is_interrupted_leaves_no_mixture(dataset, images, embed, vectors_of, monkeypatch):
    paths = images("ab")
    samples = dataset(*paths)
    embed(samples)

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(compute, "write_provenance", stop)
        with pytest.raises(KeyboardInterrupt):
            embed(samples, model_name=OTHER_MODEL)
    assert samples.exists(FIELD).count() == 0
    embed(samples[:1])
    assert np.array_equal(stored(samples[:1]), vectors_of(paths[:1]))


def test_another_provider_of_the_same_file_is_recorded(dataset, images, embed):
    samples = dataset(*images("ab"))
    embed(samples[:1])
    field = samples.get_field(FIELD)
    field.info = {**field.info, "providers": ["CUDAExecutionProvider"], "note": "mine"}
    field.save()
    embed(samples)
    info = fo.load_dataset(samples.name).get_field(FIELD).info
    assert list(info["providers"]) == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert info["note"] == "mine"


@pytest.fixture
def foreign(dataset, images):
    """A dataset with vectors that nobody accounted for: ``foreign(vectors, n_more)``."""

    def make(vectors, n_more=0):
        samples = dataset(*images("a" * (len(vectors) + n_more)))
        samples.add_sample_field(FIELD, fo.VectorField)
        samples.set_values(FIELD, [*vectors, *[None] * n_more])
        return samples

    return make


@pytest.mark.parametrize("n_more", [pytest.param(0, id="complete"), pytest.param(2, id="not complete")])
def test_vectors_of_unknown_origin_are_refused(n_more, foreign, embed):
    samples = foreign(normalize(np.ones((3, 768))), n_more)
    for call in (embed, lambda samples: embed(samples[:1], overwrite=True), load_embeddings):
        with pytest.raises((UnknownOriginError, OtherOriginError), match=FIELD):
            call(samples)
    with pytest.raises(UnknownOriginError, match=r"3 vectors.*adopt=True.*overwrite=True"):
        embed(samples)
    assert np.array_equal(samples.values(FIELD)[0], normalize(np.ones(768)))


def test_vectors_of_unknown_origin_can_be_replaced(foreign, embed, vectors_of):
    samples = foreign(normalize(np.ones((3, 768))), 2)
    assert embed(samples, overwrite=True).n_computed == 5
    assert np.array_equal(stored(samples), vectors_of(samples.values("filepath")))


def test_vectors_can_be_adopted(foreign, embed, tmp_path):
    given = normalize(np.random.default_rng(0).normal(size=(3, 768)))
    samples = foreign(given)
    report = embed(samples, adopt=True, model_name=OTHER_MODEL, model_dir=tmp_path / "none")
    assert report.n_computed == 0
    recorded = read_provenance(samples, FIELD)
    assert (recorded.model_name, recorded.adopted, recorded.sha256) == (OTHER_MODEL, True, None)
    assert np.array_equal(stored(samples), given)
    assert len(load_embeddings(samples).ids) == 3


def test_adopted_vectors_are_brought_to_unit_length_and_the_rest_is_computed(foreign, embed, vectors_of):
    samples = foreign(7 * normalize(np.random.default_rng(0).normal(size=(3, 768))), 1)
    given = stored(samples[:3])
    assert embed(samples[3:], adopt=True, model_name=tiny_models.NAME).n_computed == 1
    assert np.allclose(stored(samples[:3]), given / 7, atol=1e-7)
    assert np.array_equal(stored(samples)[3], vectors_of(samples.values("filepath")[3:])[0])
    recorded = read_provenance(samples, FIELD)
    assert recorded.adopted
    assert recorded.sha256 is not None
    assert len(load_embeddings(samples).ids) == 4


bad_vectors = pytest.mark.parametrize(
    "bad, says",
    [
        pytest.param(np.ones(512), "768 numbers", id="another dimension"),
        pytest.param(np.full(768, np.nan), "NaN", id="nan"),
        pytest.param(np.zeros(768), "no length", id="zero"),
    ],
)


@bad_vectors
def test_vectors_that_cannot_be_embeddings_are_not_adopted(bad, says, foreign, embed, every_result):
    samples = foreign([2 * np.ones(768), bad])
    with pytest.raises(BadVectorsError, match=says) as raised:
        embed(samples, adopt=True, model_name=tiny_models.NAME)
    assert raised.value.ids == (samples.values("id")[1],)
    assert read_provenance(samples, FIELD) is None
    assert np.array_equal(samples.values(FIELD)[0], 2 * np.ones(768))


def test_adopting_needs_a_model_name(foreign, embed):
    with pytest.raises(ValueError, match="model_name"):
        embed(foreign([np.ones(768)]), adopt=True)


def test_adopting_changes_nothing_that_is_recorded(dataset, images, embed):
    samples = dataset(*images("ab"))
    embed(samples)
    recorded = read_provenance(samples, FIELD)
    embed(samples, adopt=True, model_name=tiny_models.NAME)
    assert read_provenance(samples, FIELD) == recorded
    with pytest.raises(OtherOriginError):
        embed(samples[:1], adopt=True, model_name=OTHER_MODEL)


# -- fields that cannot be used


@pytest.mark.parametrize(
    "make, options, error, says",
    [
        pytest.param(lambda s: s.add_sample_field(FIELD, fo.StringField), {}, FieldTypeError, "StringField", id="text"),
        pytest.param(
            lambda s: s.add_sample_field(FIELD, fo.VectorField, read_only=True), {}, FieldReadOnlyError, "only", id="ro"
        ),
        pytest.param(lambda s: None, {"embeddings_field": "a.b"}, TargetError, "dots", id="a name with dots"),
        pytest.param(lambda s: None, {"alpha": 0.1}, TargetError, "patches_field", id="alpha without boxes"),
        pytest.param(lambda s: None, {"model_name": "no-such"}, ValueError, "available", id="no such model"),
        pytest.param(lambda s: None, {"patches_field": "gt"}, TargetError, "no field 'gt'", id="no such field"),
    ],
)
def test_refuses_what_cannot_be(make, options, error, says, dataset, images, embed):
    samples = dataset(*images("a"))
    make(samples)
    with pytest.raises(error, match=says):
        embed(samples, **options)


# -- detections

PATCHES = {"patches_field": "found"}
VECTORS = f"found.detections.{FIELD}"
ERRORS = f"found.detections.{ERROR_FIELD}"


@pytest.fixture
def detected(dataset, tmp_path):
    """``detected([[box, ...], None, ...])``: a dataset of images with detections, None for no field at all."""

    def make(boxes, **options):
        samples = dataset(**options)
        for number, boxes_of_image in enumerate(boxes):
            path = tmp_path / f"二人 {number}.png"
            odd_images.drawing(200, 150, seed=number).save(path)
            boxes_and_labels = [
                fo.Detection(label="person", bounding_box=box, confidence=0.5) for box in boxes_of_image or ()
            ]
            found = None if boxes_of_image is None else fo.Detections(detections=boxes_and_labels)
            samples.add_sample(fo.Sample(str(path), found=found))
        return samples

    return make


LEFT, RIGHT, EMPTY = [0, 0, 0.5, 1], [0.5, 0, 0.5, 1], [0.3, 0.3, 0, 0]


def flat(nested):
    return [value for values in nested for value in values or ()]


def test_embeds_every_detection_and_decodes_each_image_once(detected, embed, vectors_of, monkeypatch):
    decoded = []
    monkeypatch.setattr(
        image_reading, "load_image", lambda file, **limits: decoded.append(file) or load_image(file, **limits)
    )
    boxes = [[LEFT, RIGHT, EMPTY], [RIGHT], None, []]
    samples = detected(boxes)
    report = embed(samples, **PATCHES, alpha=0.1, force_square=True)
    assert (report.n_total, report.n_computed, report.n_failed) == (4, 3, 1)
    assert len(decoded) == 2
    first, second = (load_image(path) for path in samples.values("filepath")[:2])
    crops = [
        crop(image, box, alpha=0.1, square=True) for image, box in ((first, LEFT), (first, RIGHT), (second, RIGHT))
    ]
    vectors = flat(samples.values(VECTORS))
    assert np.array_equal([vectors[0], vectors[1], vectors[3]], vectors_of(crops))
    assert [error is None for error in flat(samples.values(ERRORS))] == [True, True, False, True]
    assert vectors[2] is None
    assert samples.values("found.detections.label") == [["person"] * 3, ["person"], None, []]
    assert list(report.failures) == [samples.values("found.detections.id")[0][2]]
    assert isinstance(samples.get_field(VECTORS), fo.VectorField)
    recorded = read_provenance(samples, VECTORS)
    assert (recorded.alpha, recorded.force_square) == (0.1, True)
    assert embed(samples, **PATCHES, alpha=0.1, force_square=True).n_failed == 1
    assert len(decoded) == 3
    again = embed(samples, **PATCHES)  # boxes are cut as the field records
    assert (again.n_computed, again.n_failed) == (0, 1)


def test_detections_of_a_patches_view(detected, embed):
    samples = detected([[LEFT, RIGHT], [RIGHT]])
    patches = samples.to_patches("found")[1:]
    assert embed(patches).n_computed == 2
    assert [vector is not None for vector in flat(samples.values(VECTORS))] == [False, True, True]
    assert isinstance(samples.get_field(VECTORS), fo.VectorField)
    loaded = load_embeddings(patches)
    assert loaded.ids == patches.values("id")
    assert loaded.sample_ids == samples.values("id")
    assert embed(samples.to_patches("found")).n_computed == 1


def test_detections_of_a_filtered_view(detected, embed):
    samples = detected([[LEFT, RIGHT], [RIGHT, LEFT]])
    samples.set_values("found.detections.label", [["dog", "person"], ["person", "dog"]])
    people = samples.filter_labels("found", fo.ViewField("label") == "person")
    assert count_missing(people, **PATCHES) == (2, 2, 0)
    assert embed(people, **PATCHES).n_computed == 2
    assert [vector is not None for vector in flat(samples.values(VECTORS))] == [False, True, True, False]
    assert flat(samples.values("found.detections.label")) == ["dog", "person", "person", "dog"]
    assert count_missing(samples, **PATCHES) == (4, 2, 0)
    assert len(load_embeddings(people, **PATCHES).ids) == 2


@pytest.mark.parametrize("options", [{"alpha": 0.2}, {"force_square": True}, {"model_name": OTHER_MODEL}])
def test_other_crops_are_of_another_origin(options, detected, embed):
    samples = detected([[LEFT, RIGHT], [RIGHT], [EMPTY]])
    embed(samples, **PATCHES)
    before = flat(samples.values(VECTORS))[0]
    with pytest.raises(OtherOriginError, match=next(iter(options)).split("_")[0]):
        embed(samples[:1], **PATCHES, **options)
    report = embed(samples, **PATCHES, **options)
    assert (report.n_computed, report.n_failed) == (3, 1)
    assert not np.array_equal(flat(samples.values(VECTORS))[0], before)


def test_detections_deleted_meanwhile(detected, embed, told_of_all, monkeypatch):
    monkeypatch.setattr(store, "CHUNK", 2)
    samples = detected([[LEFT, RIGHT]] * 6)
    ids = [ObjectId(i) for i in samples.values("id")]

    def change():
        samples._sample_collection.update_one({"_id": ids[0]}, {"$pop": {"found.detections": 1}})
        samples._sample_collection.update_one({"_id": ids[1]}, {"$set": {"found": None}})
        samples._sample_collection.update_one({"_id": ids[5]}, {"$pop": {"found.detections": -1}})

    report = embed(samples, **PATCHES, progress=at(1, change), workers=1)
    assert report.n_computed + report.n_gone == 12
    assert report.n_gone >= 1
    vectors = flat(samples.values(VECTORS))
    assert len(vectors) == 8
    assert all(vector is not None for vector in vectors)


def test_overwrite_and_verify_of_detections(detected, embed):
    samples = detected([[LEFT, RIGHT], [RIGHT]])
    embed(samples, **PATCHES)
    os.utime(samples.values("filepath")[0], ns=(0, 0))
    assert embed(samples, **PATCHES, verify=True).n_computed == 2
    assert embed(samples, **PATCHES, overwrite=True).n_computed == 3


def test_verify_finds_boxes_that_were_moved(detected, embed):
    samples = detected([[LEFT, RIGHT], [RIGHT]])
    embed(samples, **PATCHES)
    assert embed(samples, **PATCHES, verify=True).n_computed == 0
    sample = samples.first()
    sample[PATCHES["patches_field"]].detections[0].bounding_box = RIGHT
    sample.save()
    assert embed(samples, **PATCHES, verify=True).n_computed == 1
    first, second = samples.first()[PATCHES["patches_field"]].detections
    assert np.array_equal(first[FIELD], second[FIELD])
    assert embed(samples, **PATCHES, verify=True).n_computed == 0


def test_a_sample_without_room_for_more(detected, embed, monkeypatch):
    samples = detected([[LEFT, RIGHT], [RIGHT]])
    sample = samples.first()
    sample["notes"] = "x" * (16 * 2**20 - 4000)
    sample.save()
    report = embed(samples, **PATCHES)
    assert (report.n_computed, report.n_failed) == (2, 1)
    assert [error and error[:7] for error in flat(samples.values(ERRORS))].count("no room") == 1
    assert set(report.failures.values()) == {store.TOO_LARGE_REASON}


def test_patches_in_memory_see_their_embeddings(detected, embed):
    samples = detected([[LEFT]])
    sample = samples.first()
    sample.tags = ["unsaved"]
    embed(samples, **PATCHES)
    assert sample.found.detections[0][FIELD] is not None
    assert sample.tags == ["unsaved"]


# -- reading


def test_reads_ids_and_vectors(dataset, images, embed, vectors_of):
    paths = images("abc")
    paths[1].write_bytes(b"")
    samples = dataset(*paths)
    embed(samples)
    loaded = load_embeddings(samples)
    ids = samples.values("id")
    assert loaded.ids == loaded.sample_ids == [ids[0], ids[2]]
    assert loaded.vectors.dtype == np.float32
    assert np.array_equal(loaded.vectors, vectors_of([paths[0], paths[2]]))
    assert loaded.n_missing == 1
    assert loaded.provenance == read_provenance(samples, FIELD)
    assert count_missing(samples) == (3, 1, 1)


def test_reading_where_there_is_nothing(dataset, images):
    samples = dataset(*images("ab"))
    loaded = load_embeddings(samples)
    assert (loaded.ids, loaded.vectors.shape, loaded.n_missing, loaded.provenance) == ([], (0, 768), 2, None)
    assert count_missing(samples) == (2, 2, 0)
    assert count_missing(dataset()) == (0, 0, 0)


def test_vectors_stored_in_another_precision_are_read(dataset, images, embed):
    samples = dataset(*images("ab"))
    embed(samples)
    samples.set_values(FIELD, [stored(samples)[0].astype(np.float64), stored(samples)[1].astype(np.float16)])
    loaded = load_embeddings(samples)
    assert loaded.vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(loaded.vectors, axis=1), 1, atol=1e-3)


@bad_vectors
def test_names_vectors_that_cannot_be_compared(bad, says, dataset, images, embed):
    samples = dataset(*images("abc"))
    embed(samples)
    values = samples.values(FIELD)
    samples.set_values(FIELD, [values[0], bad, values[2]])
    with pytest.raises(BadVectorsError, match=says) as raised:
        load_embeddings(samples)
    assert raised.value.ids == (samples.values("id")[1],)


def test_names_vectors_that_have_no_unit_length(dataset, images, embed):
    samples = dataset(*images("a" * 9))
    embed(samples)
    samples.set_values(FIELD, [1.1 * vector for vector in samples.values(FIELD)])
    with pytest.raises(BadVectorsError, match=r"9 vectors that do not have unit length.* and 4 more"):
        load_embeddings(samples)


def test_parts_of_embeddings_can_be_taken_and_joined(dataset, images, embed):
    samples = dataset(*images("abcd"))
    embed(samples)
    loaded = load_embeddings(samples)
    again = loaded.select([3, 1]).joined(loaded.select([0]))
    assert again.ids == [loaded.ids[i] for i in (3, 1, 0)]
    assert np.array_equal(again.vectors, loaded.vectors[[3, 1, 0]])
    assert loaded.select([]).vectors.shape == (0, 768)


def test_keys_take_little_memory_and_come_back():
    pairs = [Key(ObjectId(), ObjectId()) for _ in range(5)]
    singles = [Key(ObjectId()) for _ in range(5)]
    assert list(Keys(pairs)) == pairs
    assert list(Keys(singles)) == singles
    assert (len(Keys(pairs)), len(Keys())) == (5, 0)


def test_slices_of_a_grouped_dataset(dataset, images, embed):
    samples = dataset()
    samples.add_group_field("group", default="front")
    for front, back in zip(images("ab"), images("cd"), strict=True):
        group = fo.Group()
        samples.add_samples(
            [
                fo.Sample(str(front), group=group.element("front")),
                fo.Sample(str(back), group=group.element("back")),
            ]
        )
    fronts, backs = (samples.select_group_slices(name) for name in ("front", "back"))
    assert embed(backs).n_computed == 2
    with pytest.raises(OtherOriginError):
        embed(fronts, model_name=OTHER_MODEL)
    assert embed(fronts).n_computed == 2
    assert len(load_embeddings(backs).ids) == 2
