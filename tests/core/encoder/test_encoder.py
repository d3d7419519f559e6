"""Embedding images."""

import io
import itertools
import random

import numpy as np
import pytest
from PIL import Image

from ccip_plugin.core import hub, registry
from ccip_plugin.core.encoder import Encoder
from ccip_plugin.core.encoder import encoder as encoder_module
from ccip_plugin.core.encoder.session import CPU
from ccip_plugin.core.errors import (
    CCIPError,
    ClosedError,
    EmbeddingError,
    ModelFileDamagedError,
    ModelFileMissingError,
    ModelMismatchError,
    ProviderError,
)
from ccip_plugin.core.preprocessing import load_image, preprocess
from ccip_plugin.core.progress import Cancelled
from tests.support import tiny_models

NAME = registry.DEFAULT_MODEL
COLOURS = ("red", "blue", "gold", "green", "black", "white", "pink", "navy", "teal", "brown", "grey")


@pytest.fixture
def pictures():
    """Images of different colours and sizes."""
    return [Image.new("RGB", (40 + 13 * k, 90 - 7 * k), colour) for k, colour in enumerate(COLOURS)]


@pytest.fixture
def tensors(pictures):
    return np.stack([preprocess(picture) for picture in pictures])


@pytest.fixture
def open_tiny(tmp_path):
    """Opens a tiny model of the given variant."""

    def open_(variant="good", metric="good", **options):
        folder = tiny_models.write_model_dir(tmp_path / variant / str(metric), variant=variant, metric=metric)
        return Encoder.open(NAME, model_dir=folder, **options)

    return open_


# --- a vector depends on its image alone


@pytest.mark.parametrize("variant", ["good", "batch_mean"])
@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("threads", [None, 2])
def test_a_vector_does_not_depend_on_batch_order_or_threads(open_tiny, pictures, variant, workers, threads):
    """The variant ``batch_mean`` would show at once if two images ever ran together."""
    with open_tiny(variant) as encoder:
        alone = np.stack([encoder.embed_tensor(preprocess(picture)) for picture in pictures])
    order = random.Random(workers).sample(range(len(pictures)), len(pictures))
    with open_tiny(variant, threads=threads) as encoder:
        together = encoder.embed([pictures[k] for k in order], normalize=False, workers=workers)
    assert np.array_equal(together, alone[order])


def test_unit_vectors_do_not_depend_on_the_batch_either(open_tiny, pictures):
    with open_tiny() as encoder:
        alone = np.concatenate([encoder.embed([picture]) for picture in pictures])
        assert np.array_equal(encoder.embed(pictures), alone)


def test_tensors_on_the_cpu_run_one_by_one(open_tiny, tensors):
    with open_tiny("batch_mean") as encoder:
        alone = np.stack([encoder.embed_tensor(tensor) for tensor in tensors])
        assert np.array_equal(encoder.embed_tensors(tensors), alone)


def test_tensors_on_an_accelerator_run_together_and_images_keep_their_order(open_tiny, pictures, tensors, monkeypatch):
    monkeypatch.setattr(encoder_module, "_GPU_BATCH", 4)
    with open_tiny("batch_mean") as encoder:
        encoder.provider = "SomeAccelerator"
        together = encoder.embed_tensors(tensors[:4])
        assert not np.array_equal(together[0], encoder.embed_tensors(tensors[:1])[0])
        assert np.array_equal(encoder.embed(pictures, normalize=False)[:4], together)
    with open_tiny() as encoder:
        expected = encoder.embed(pictures)
        encoder.provider = "SomeAccelerator"
        np.testing.assert_allclose(encoder.embed(pictures), expected, atol=1e-6)


def test_equal_pixels_give_equal_vectors_and_other_pixels_other_ones(open_tiny):
    with open_tiny() as encoder:
        red, again, blue = encoder.embed([Image.new("RGB", (30, 30), c) for c in ("red", "red", "blue")])
    assert np.array_equal(red, again)
    assert not np.allclose(red, blue)


# --- what comes out


def test_raw_vectors_are_what_the_model_gives(open_tiny, tensors, pictures):
    import onnxruntime

    session = onnxruntime.InferenceSession(tiny_models.feat_model().SerializeToString())
    with open_tiny() as encoder:
        found = encoder.embed(pictures, normalize=False)
    assert np.array_equal(found, np.concatenate([session.run(None, {"input": t[None]})[0] for t in tensors]))
    assert (found.shape, found.dtype) == ((len(pictures), 768), np.float32)


def test_normalized_vectors_have_unit_length_and_the_same_direction(open_tiny, pictures):
    with open_tiny() as encoder:
        raw, unit = encoder.embed(pictures, normalize=False), encoder.embed(pictures)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(unit * np.linalg.norm(raw, axis=1, keepdims=True), raw, rtol=1e-4, atol=1e-4)


def test_no_images_give_no_vectors(open_tiny):
    with open_tiny() as encoder:
        assert encoder.embed([]).shape == (0, 768)
        assert encoder.embed_tensors(np.empty((0, 3, 384, 384), np.float32)).shape == (0, 768)


def test_an_image_may_come_in_any_shape(open_tiny, tmp_path):
    picture = Image.new("RGB", (20, 30), "tomato")
    path = tmp_path / "キャラ 🎀 1.png"
    picture.save(path)
    with open_tiny() as encoder, path.open("rb") as file:
        found = encoder.embed([path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes()), file, picture])
        found_array = encoder.embed([np.asarray(picture)])
    assert all(np.array_equal(vector, found_array[0]) for vector in found)


@pytest.mark.parametrize("variant, says", [("nan", "NaN or infinite"), ("zero", "zero vector")])
def test_a_vector_that_is_of_no_use_is_an_error(open_tiny, tensors, pictures, variant, says):
    with open_tiny(variant) as encoder:
        for call in (
            lambda: encoder.embed_tensor(tensors[0]),
            lambda: encoder.embed_tensors(tensors[:2]),
            lambda: encoder.embed(pictures[:1]),
        ):
            with pytest.raises(EmbeddingError, match=says):
                call()


# --- many images


def test_images_are_taken_as_they_are_needed(open_tiny):
    taken, done = itertools.count(), []
    ahead = []

    def stream():
        for _ in range(40):
            ahead.append(next(taken) - len(done))
            yield Image.new("RGB", (8, 8), "red")

    with open_tiny() as encoder:
        found = encoder.embed(stream(), progress=done.append, workers=2)
    assert len(found) == 40
    assert max(ahead) <= 2 * 2
    assert [step.done for step in done] == list(range(1, 41))
    assert {step.total for step in done} == {None}


def test_progress_knows_the_total_of_a_list(open_tiny, pictures):
    told = []
    with open_tiny() as encoder:
        encoder.embed(pictures, progress=told.append)
    assert [(step.done, step.total) for step in told] == [(k + 1, len(pictures)) for k in range(len(pictures))]


def test_a_cancelled_run_stops_soon_and_the_encoder_stays_usable(open_tiny, pictures):
    taken = []

    def stream():
        for _ in range(1000):
            taken.append(1)
            yield pictures[0]

    def stop(step):
        if step.done == 5:
            raise Cancelled

    with open_tiny() as encoder:
        with pytest.raises(Cancelled):
            encoder.embed(stream(), progress=stop, workers=2)
        assert len(taken) < 20
        assert encoder.embed(pictures[:1]).shape == (1, 768)


def test_an_image_that_cannot_be_read_is_named(open_tiny, pictures, tmp_path):
    bad = tmp_path / "壊れた.png"
    bad.write_bytes(b"\x89PNG not really")
    with open_tiny() as encoder, pytest.raises(CCIPError, match=r"壊れた\.png"):
        encoder.embed([*pictures, bad, *pictures])


@pytest.mark.parametrize(
    "one",
    [
        pytest.param("image.png", id="name"),
        pytest.param(b"bytes", id="bytes"),
        pytest.param(io.BytesIO(b"bytes"), id="file"),
        pytest.param(Image.new("RGB", (5, 5)), id="PIL image"),
        pytest.param(np.zeros((5, 5, 3), np.uint8), id="array"),
        pytest.param(5, id="number"),
    ],
)
def test_one_image_instead_of_a_list_is_refused(open_tiny, one):
    with open_tiny() as encoder, pytest.raises(TypeError, match="pass a list of images"):
        encoder.embed(one)


# --- the model


def test_says_what_it_is(open_tiny):
    with open_tiny() as encoder:
        assert (encoder.model_name, encoder.spec) == (NAME, registry.get_spec(NAME))
        assert encoder.fingerprint == hub.fingerprint(encoder.files.feat)
        assert encoder.revision is None
        assert (encoder.provider, encoder.is_cpu) == (CPU, True)


def test_another_model_has_another_fingerprint_and_other_vectors(open_tiny, pictures):
    with open_tiny() as one, open_tiny("other_weights") as other:
        assert one.fingerprint != other.fingerprint
        assert not np.allclose(one.embed(pictures), other.embed(pictures))


@pytest.mark.parametrize("metric, closed_form", [("good", True), ("squared", False), (None, None)])
def test_the_metric_is_compared_with_the_closed_form(open_tiny, metric, closed_form, caplog):
    with open_tiny(metric=metric) as encoder:
        assert encoder.closed_form is closed_form
    assert ("is not (1 - cos) / 2" in caplog.text) == (closed_form is False)


@pytest.mark.parametrize("metric, power", [("good", 1), (None, 1), ("squared", 2)])
@pytest.mark.parametrize("block", [3, 512])
def test_differences_are_those_that_the_model_means(open_tiny, pictures, metric, power, block, monkeypatch):
    monkeypatch.setattr(encoder_module, "_BLOCK", block)
    with open_tiny(metric=metric) as encoder:
        vectors = encoder.embed(pictures)
        found, some = encoder.differences(vectors), encoder.differences(vectors[:2], vectors[4:])
    expected = ((1 - vectors.astype(np.float64) @ vectors.T.astype(np.float64)) / 2) ** power
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(some, expected[:2, 4:], atol=1e-6)


def test_after_closing_nothing_works_and_says_why(open_tiny, pictures, tensors):
    with open_tiny() as encoder:
        vectors = encoder.embed(pictures)
    encoder.close()
    for call in (
        lambda: encoder.embed(pictures),
        lambda: encoder.embed([]),
        lambda: encoder.embed_tensor(tensors[0]),
        lambda: encoder.embed_tensors(tensors),
        lambda: encoder.differences(vectors),
    ):
        with pytest.raises(ClosedError, match=f"encoder of {NAME} is closed"):
            call()
    assert encoder.fingerprint  # what it was can still be asked


def test_is_closed_when_the_work_inside_fails(open_tiny):
    with pytest.raises(ZeroDivisionError), open_tiny() as encoder:
        raise ZeroDivisionError
    with pytest.raises(ClosedError):
        encoder.embed([])


# --- what can be wrong


@pytest.mark.parametrize(
    "variant, error",
    [
        ("wrong_dim", ModelMismatchError),
        ("wrong_size", ModelMismatchError),
        ("wrong_type", ModelMismatchError),
        ("fixed_batch", ModelMismatchError),
    ],
)
def test_a_model_of_another_shape_is_refused_with_what_to_do(open_tiny, variant, error):
    with pytest.raises(error, match="CCIP_MODEL_DIR") as caught:
        open_tiny(variant)
    assert caught.value.path.name == "model_feat.onnx"


def test_a_metric_of_another_shape_is_refused(open_tiny):
    with pytest.raises(ModelMismatchError) as caught:
        open_tiny(metric="wrong_dim")
    assert caught.value.path.name == "model_metrics.onnx"


def test_a_damaged_file_is_refused(tmp_path):
    folder = tiny_models.write_model_dir(tmp_path)
    file = folder / NAME / "model_feat.onnx"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ModelFileDamagedError):
        Encoder.open(NAME, model_dir=folder)


def test_a_missing_model_is_an_error(tmp_path):
    with pytest.raises(ModelFileMissingError):
        Encoder.open(NAME, model_dir=tmp_path)


def test_a_provider_that_is_not_there_is_an_error(open_tiny):
    with pytest.raises(ProviderError):
        open_tiny(provider="migraphx")


def test_a_tensor_of_another_shape_is_refused(open_tiny):
    with open_tiny() as encoder, pytest.raises(ValueError, match="the model takes"):
        encoder.embed_tensor(np.zeros((384, 384, 3), np.float32))


def test_reads_images_as_the_whole_package_does(open_tiny, tmp_path):
    """Alpha is on white, so a transparent cut-out is not black."""
    cut_out = Image.new("RGBA", (30, 30), (0, 0, 0, 0))
    cut_out.save(tmp_path / "cut out.png")
    with open_tiny() as encoder:
        found = encoder.embed([tmp_path / "cut out.png", Image.new("RGB", (30, 30), "white")])
        assert np.array_equal(found[0], found[1])
        raw = encoder.embed_tensor(preprocess(load_image(tmp_path / "cut out.png")))
        assert np.array_equal(encoder.embed([cut_out], normalize=False)[0], raw)
