"""Embeddings of different origin never mix."""

import fiftyone as fo
import numpy as np
import pytest

from ccip_plugin.core.differences import normalize
from ccip_plugin.core.encoder import Encoder
from ccip_plugin.embeddings import compute
from ccip_plugin.embeddings.load import BadVectorsError, load_embeddings
from ccip_plugin.embeddings.provenance import (
    OtherOriginError,
    UnknownOriginError,
    read_provenance,
)
from ccip_plugin.storage.fields import ERROR_FIELD
from tests.support import tiny_models
from tests.support.embeddings import BAD_VECTORS, FIELD, OTHER_MODEL, stored


def changed_file(model_dir, monkeypatch):
    tiny_models.write_model_dir(model_dir, variant="other_weights")
    return {}


def other_model(model_dir, monkeypatch):
    return {"model_name": OTHER_MODEL}


other_origins = pytest.mark.parametrize(
    "change, says",
    [
        pytest.param(other_model, f"{tiny_models.NAME} in the field, {OTHER_MODEL} now", id="another model"),
        pytest.param(changed_file, "SHA-256", id="another file of that model"),
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


@pytest.mark.parametrize("bad, says", BAD_VECTORS)
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
