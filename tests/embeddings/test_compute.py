"""Embeddings in a dataset: computed once, resumed."""

import os
import shutil

import fiftyone as fo
import numpy as np
import pytest

from ccip_plugin.core.encoder import Encoder
from ccip_plugin.core.encoder import reading as image_reading
from ccip_plugin.core.errors import ModelFileMissingError
from ccip_plugin.core.preprocessing import READING_POLICY
from ccip_plugin.embeddings import compute
from ccip_plugin.embeddings.load import load_embeddings
from ccip_plugin.embeddings.provenance import read_provenance
from ccip_plugin.grouping import group_characters
from ccip_plugin.storage.fields import ERROR_FIELD, SOURCE_FIELD
from ccip_plugin.storage.schema import FieldReadOnlyError, FieldTypeError
from ccip_plugin.storage.targets import TargetError
from tests.support import tiny_models
from tests.support.embeddings import FIELD, stored
from tests.support.images import odd_images


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
    report = embed(samples, blank="embed")  # one of them is a single pixel
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
    assert embed(dataset()).facts().headline == "0 of 0 embedded, 0 already embedded"


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
    assert samples.values(ERROR_FIELD)[3] == "file not found"
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
