"""CCIP as a model of FiftyOne: what its own methods give with it, and who is in an image by references."""

import logging
import shutil
import subprocess
import unicodedata
from pathlib import Path

import fiftyone as fo
import fiftyone.brain as fob
import fiftyone.core.media as fomm
import numpy as np
import pytest
from PIL import Image

from ccip_plugin.core.differences import differences
from ccip_plugin.core.encoder import Encoder
from ccip_plugin.core.errors import ClosedError, ParameterError, UnreadableImageError, VectorsError
from ccip_plugin.embeddings import compute_embeddings
from ccip_plugin.io.images import IngestError
from ccip_plugin.storage.fields import EMBEDDINGS_FIELD
from ccip_plugin.storage.targets import TargetError
from ccip_plugin.zoo import model as module
from ccip_plugin.zoo.model import CCIPModel, CCIPModelConfig
from ccip_plugin.zoo.recognition import UNKNOWN, ReferencesError
from tests.support import tiny_models
from tests.support.images import odd_images

pytestmark = pytest.mark.mongo

BOXES = ([0, 0, 0.5, 1], [0.5, 0.1, 0.4, 0.7], [-0.1, 0.2, 0.5, 1.5])


@pytest.fixture
def load(model_dir):
    """``load(**options)`` gives a tiny model."""
    return lambda **options: CCIPModel(CCIPModelConfig(tiny_models.NAME, model_dir=model_dir, **options))


@pytest.fixture
def vectors_of(model_dir):
    """``vectors_of(images)`` gives what the encoder gives."""

    def embed(images):
        with Encoder.open(tiny_models.NAME, model_dir=model_dir) as encoder:
            return encoder.embed(images)

    return embed


@pytest.fixture
def boxed(dataset, tmp_path):
    """A dataset of drawings with three detections each, in ``faces``; there is none in the last one."""
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for number, path in enumerate(paths):
        odd_images.drawing(120 + 30 * number, 90).save(path)
    samples = dataset(*paths)
    for sample in list(samples)[:-1]:
        sample["faces"] = fo.Detections(detections=[fo.Detection(label="face", bounding_box=box) for box in BOXES])
        sample.save()
    return samples


def stacked(samples, path):
    return np.stack(samples.values(path, unwind=True))


# -- the methods of FiftyOne


class TestEmbeddings:
    @pytest.mark.parametrize("batch_size", [None, 1, 3])
    def test_of_images_are_those_of_the_encoder(self, batch_size, load, dataset, images, vectors_of):
        paths = [*images("abcd"), *images("a", size=(30, 90)), *images("b", size=(500, 400))]
        samples = dataset(*paths)
        samples.compute_embeddings(load(), embeddings_field="vectors", batch_size=batch_size)
        assert np.array_equal(stacked(samples, "vectors"), vectors_of(paths))
        assert np.array_equal(samples.compute_embeddings(load(), batch_size=batch_size), vectors_of(paths))

    def test_a_file_that_cannot_be_read_costs_one(self, load, dataset, images):
        paths = images("abc")
        paths[1].write_bytes(b"no image")
        samples = dataset(*paths)
        samples.compute_embeddings(load(), embeddings_field="vectors")
        assert [vector is None for vector in samples.values("vectors")] == [False, True, False]

    @pytest.mark.parametrize("batch_size", [2, 3, 16])
    def test_a_file_that_cannot_be_read_costs_no_batch(self, batch_size, load, dataset, images):
        paths = images("abcdef")
        paths[1].write_bytes(b"no image")
        paths[4].unlink()
        samples = dataset(*paths)
        samples.compute_embeddings(load(), embeddings_field="vectors", batch_size=batch_size)
        samples.apply_model(load(), label_field="applied", batch_size=batch_size)
        for field in ("vectors", "applied"):
            lost = [n for n, vector in enumerate(samples.values(field)) if vector is None]
            assert lost == [1, 4], field

    @pytest.mark.parametrize(
        "options",
        [
            pytest.param({}, id="boxes as they are"),
            pytest.param({"alpha": 0.2}, id="enlarged"),
            pytest.param({"alpha": -0.3}, id="made smaller"),
            pytest.param({"force_square": True}, id="square"),
            pytest.param({"alpha": 0.1, "force_square": True}, id="enlarged and square"),
        ],
    )
    def test_of_boxes_are_those_of_our_own_pipeline(self, options, load, boxed, model_dir):
        boxed.compute_patch_embeddings(load(), "faces", embeddings_field="native", batch_size=16, **options)
        compute_embeddings(boxed, patches_field="faces", model_name=tiny_models.NAME, model_dir=model_dir, **options)
        native, ours = (stacked(boxed, f"faces.detections.{name}") for name in ("native", EMBEDDINGS_FIELD))
        assert np.array_equal(native, ours)
        assert len(np.unique(native, axis=0)) == 6

    def test_of_a_crop_without_pixels_are_an_error_that_says_so(self, load):
        with pytest.raises(UnreadableImageError, match="no pixels"):
            load().embed(np.empty((51, 0, 3), np.uint8))

    def test_say_once_that_fiftyone_reads(self, load, dataset, images, caplog):
        module._warn_of_other_reader.cache_clear()
        samples = dataset(*images("ab"))
        with caplog.at_level(logging.WARNING, logger="ccip_plugin"):
            samples.apply_model(load(), label_field="vectors")
            assert caplog.messages == []
            for _ in range(2):
                samples.compute_embeddings(load())
        (message,) = caplog.messages
        assert "transparency" in message
        assert "more than 8 bits" in message

    def test_of_transparent_images_depend_on_who_reads(self, load, dataset, tmp_path, vectors_of):
        path = tmp_path / "透明.png"
        transparent = Image.new("RGBA", (60, 40), (200, 20, 20, 0))
        transparent.paste((10, 200, 30, 255), (0, 0, 30, 40))
        transparent.save(path)
        samples = dataset(path)
        samples.apply_model(load(), label_field="ours")
        samples.compute_embeddings(load(), embeddings_field="native")
        assert np.array_equal(stacked(samples, "ours"), vectors_of([path]))
        assert differences(stacked(samples, "ours"), stacked(samples, "native"))[0, 0] > 0.05


class TestBrain:
    def test_similarity(self, load, dataset, images):
        samples = dataset(*images("abab"))
        fob.compute_similarity(samples, model=load(), brain_key="index", metric="euclidean", embeddings="vectors")
        first, *others = samples.values("id")
        assert samples.sort_by_similarity(first, brain_key="index").values("id")[:2] == [first, others[1]]

    def test_visualization(self, load, dataset, images):
        results = fob.compute_visualization(dataset(*images("aabb")), model=load(), method="pca")
        a, _, b, _ = results.points
        assert np.linalg.norm(a - results.points[1]) < np.linalg.norm(a - b)

    def test_uniqueness(self, load, dataset, images):
        samples = dataset(*images("aaaaab"))
        fob.compute_uniqueness(samples, model=load())
        *many, lonely = samples.values("uniqueness")
        assert lonely > max(many)


# -- apply_model


class TestApplyModel:
    @pytest.mark.parametrize("batch_size", [None, 4])
    def test_without_references_writes_embeddings(self, batch_size, load, dataset, images, vectors_of):
        paths = images("abcabc")
        samples = dataset(*paths)
        samples.apply_model(load(), label_field="vectors", batch_size=batch_size)
        assert isinstance(samples.get_field("vectors"), fo.VectorField)
        assert np.array_equal(stacked(samples, "vectors"), vectors_of(paths))

    def test_reads_files_as_everything_here(self, load, dataset, tmp_path, vectors_of):
        odd = [image for image in odd_images.write_odd_images(tmp_path) if image.is_readable]
        samples = dataset(*[image.path for image in odd])
        samples.apply_model(load(), label_field="vectors")
        written = samples.exists("vectors")
        assert len(written) > len(odd) // 2  # of the others FiftyOne says that it cannot read them
        assert np.array_equal(stacked(written, "vectors"), vectors_of(written.values("filepath")))

    @pytest.mark.parametrize("batch_size", [None, 4])
    def test_with_references_writes_names(self, batch_size, load, dataset, images):
        samples = dataset(*images("abcab"))
        references = {"赤 🎀": images("a"), "b": images("bb")}
        samples.apply_model(load(references=references), label_field="character", batch_size=batch_size)
        assert isinstance(samples.first().character, fo.Classification)
        assert samples.values("character.label") == ["赤 🎀", "b", UNKNOWN, "赤 🎀", "b"]

    def test_references_can_be_given_when_applying(self, load, dataset, images):
        samples = dataset(*images("abc"))
        model = load()
        samples.apply_model(model, label_field="first", references={"one": images("a")})
        samples.apply_model(model, label_field="second", references={"two": images("b")})
        samples.apply_model(model, label_field="vectors")
        assert samples.values("first.label") == ["one", UNKNOWN, UNKNOWN]
        assert samples.values("second.label") == [UNKNOWN, "two", UNKNOWN]
        assert isinstance(samples.get_field("vectors"), fo.VectorField)

    def test_other_references_take_the_place_of_those_of_the_model_for_one_call(self, load, dataset, images):
        samples = dataset(*images("ab"))
        model = load(references={"a": images("a")})
        samples.apply_model(model, label_field="other", references={"b": images("b")})
        samples.apply_model(model, label_field="own")
        assert samples.values("other.label") == [UNKNOWN, "b"]
        assert samples.values("own.label") == ["a", UNKNOWN]

    def test_a_threshold_and_a_share_can_be_given_when_applying(self, load, dataset, images):
        samples = dataset(*images("a"))
        model = load(references={"a": [*images("b"), *images("a")]})
        for field, options in {"half": {}, "all": {"share": 1.0}, "wide": {"share": 1.0, "threshold": 0.9}}.items():
            samples.apply_model(model, label_field=field, **options)
        assert [samples.first()[field].label for field in ("half", "all", "wide")] == ["a", UNKNOWN, "a"]

    def test_a_threshold_without_references_is_a_mistake(self, load, dataset, images):
        with pytest.raises(ReferencesError, match="no references for threshold"):
            dataset(*images("a")).apply_model(load(), label_field="x", threshold=0.2)

    def test_numbers_are_declared_so_that_the_app_can_filter_by_them(self, load, dataset, images):
        samples = dataset(*images("ab"))
        view = samples.limit(1)
        view.apply_model(load(references={"a": images("a"), "b": images("b")}), label_field="character")
        schema = fo.load_dataset(samples.name).get_field_schema(flat=True)
        for name in ("difference", "margin", "confidence"):
            assert isinstance(schema[f"character.{name}"], fo.FloatField)
        assert len(samples.filter_labels("character", fo.ViewField("difference") < 0.1)) == 1

    def test_a_file_that_cannot_be_read_costs_one(self, load, dataset, images):
        paths = images("aba")
        paths[1].write_bytes(b"")
        samples = dataset(*paths)
        samples.apply_model(load(references={"a": images("a")}), label_field="character")
        assert samples.values("character.label") == ["a", None, "a"]

    def test_a_confidence_threshold_of_half_takes_away_the_unknown(self, load, dataset, images):
        samples = dataset(*images("ab"))
        references = {"a": images("a")}
        samples.apply_model(load(), label_field="character", references=references, confidence_thresh=0.5)
        assert samples.values("character.label") == ["a", None]

    def test_a_view_of_patches_is_refused_in_plain_words(self, load, boxed):
        with pytest.raises(TargetError, match=r"compute_embeddings\(view\)"):
            boxed.to_patches("faces").apply_model(load(), label_field="x", skip_failures=False)

    def test_a_view_of_patches_says_so_where_failures_are_skipped(self, load, boxed, caplog, monkeypatch):
        monkeypatch.setattr(logging.getLogger("fiftyone"), "propagate", True)
        boxed.to_patches("faces").apply_model(load(), label_field="x")
        assert "group_characters(view) to label them" in caplog.text

    def test_a_grouped_dataset_needs_a_slice(self, load, dataset, images, model_dir):
        samples = dataset()
        samples.add_group_field("group", default="left")
        group, paths = fo.Group(), images("ab")
        samples.add_samples(
            [fo.Sample(str(path), group=group.element(name)) for path, name in zip(paths, ("left", "右"), strict=True)]
        )
        with pytest.raises(fomm.SelectGroupSlicesError, match="select_group_slices"):
            samples.apply_model(load(), label_field="x")
        with pytest.raises(TargetError, match=r"select_group_slices\('left'\); slices: left, 右"):
            compute_embeddings(samples, model_dir=model_dir)
        samples.select_group_slices("右").apply_model(load(references={"b": images("b")}), label_field="character")
        assert samples.select_group_slices().values("character.label") == [None, "b"]


def test_closing_frees_the_model(load):
    model = load()
    model.close()
    with pytest.raises(ClosedError):
        model.embed(np.zeros((9, 9, 3), np.uint8))


# -- video


@pytest.fixture
def video(tmp_path, images):
    """A film of five frames: a a b b a."""
    if not (shutil.which("ffmpeg") and shutil.which("ffprobe")):
        pytest.skip("no ffmpeg and ffprobe, by which FiftyOne reads videos")
    for number, path in enumerate(images("aabba", folder=tmp_path / "frames")):
        path.rename(tmp_path / "frames" / f"{number}.png")
    path = tmp_path / "映像.mp4"
    command = ["ffmpeg", "-loglevel", "error", "-r", "5", "-i", tmp_path / "frames" / "%d.png", "-pix_fmt", "yuv420p"]
    subprocess.run([*command, "-qp", "0", path], check=True)
    return path


@pytest.mark.parametrize("batch_size", [None, 2])
def test_videos_are_recognized_frame_by_frame(batch_size, load, dataset, images, video):
    samples = dataset(video)
    references = {"a": images("a"), "b": images("b")}
    samples.apply_model(load(references=references), label_field="character", batch_size=batch_size)
    assert samples.values("frames.character.label", unwind=True) == ["a", "a", "b", "b", "a"]
    assert "character.difference" in samples.get_frame_field_schema(flat=True)
    samples.apply_model(load(), label_field="vectors", batch_size=batch_size)
    samples.compute_embeddings(load(), embeddings_field="native", batch_size=batch_size)
    assert np.array_equal(stacked(samples, "frames.vectors"), stacked(samples, "frames.native"))
    assert stacked(samples, "frames.vectors").shape == (5, tiny_models.DIM)


# -- what a label says


def test_confidence_falls_with_the_difference_and_is_half_at_the_threshold(load, images):
    (image,) = as_arrays(images("a"))
    vector = load().embed(image)
    other = np.linalg.qr(np.stack([vector, np.random.default_rng(0).normal(size=len(vector))], axis=1))[0][:, 1]
    labels = []
    for angle in np.linspace(0.01, 1.5, 20):
        reference = (np.cos(angle) * vector + np.sin(angle) * other).astype(np.float32)
        labels.append(load(references={"a": reference}).predict(image))
    assert (np.diff([label.difference for label in labels]) > 0).all()
    assert (np.diff([label.confidence for label in labels]) < 0).all()
    for label in labels:
        is_near = label.difference <= tiny_models.THRESHOLD
        assert (label.label, label.confidence >= 0.5) == (("a", True) if is_near else (UNKNOWN, False))
    at_threshold = load(references={"a": reference}, threshold=labels[-1].difference).predict(image)
    assert (at_threshold.label, at_threshold.confidence) == ("a", 0.5)


def test_difference_and_margin_are_exact(load, images, vectors_of):
    paths = images("aab")
    image = as_arrays(paths)[0]
    found = load(references={"a": paths[1], "b": paths[2]}).predict(image)
    exact = differences(vectors_of(paths))[0]
    assert found.difference == pytest.approx(exact[1], abs=1e-6)
    assert found.margin == pytest.approx(exact[2] - exact[1], abs=1e-6)
    assert load(references={"a": paths[1]}).predict(image).margin is None


def test_a_model_with_a_metric_of_its_own_is_taken_at_its_word(load, images, vectors_of, tmp_path):
    own = tiny_models.write_model_dir(tmp_path / "own", metric="squared")
    paths = images("ab")
    image = as_arrays(paths)[0]
    model = CCIPModel(CCIPModelConfig(tiny_models.NAME, model_dir=own, references={"b": paths[1]}))
    closed_form = load(references={"b": paths[1]}).predict(image).difference
    assert model.predict(image).difference == pytest.approx(closed_form**2, abs=1e-6)


# -- references in all forms


def as_arrays(paths):
    return [np.asarray(Image.open(path)) for path in paths]


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(lambda paths, vectors: paths, id="paths"),
        pytest.param(lambda paths, vectors: [str(path) for path in paths], id="strings"),
        pytest.param(lambda paths, vectors: paths[0], id="one path"),
        pytest.param(lambda paths, vectors: paths[0].parent, id="a folder"),
        pytest.param(lambda paths, vectors: paths[0].read_bytes(), id="bytes"),
        pytest.param(lambda paths, vectors: as_arrays(paths)[0], id="an array"),
        pytest.param(lambda paths, vectors: as_arrays(paths), id="arrays"),
        pytest.param(lambda paths, vectors: np.stack(as_arrays(paths)), id="a stack of arrays"),
        pytest.param(lambda paths, vectors: Image.open(paths[0]), id="a PIL image"),
        pytest.param(lambda paths, vectors: (Image.open(path) for path in paths), id="a generator"),
        pytest.param(lambda paths, vectors: vectors, id="embeddings"),
        pytest.param(lambda paths, vectors: vectors[0] * 17, id="one embedding of another length"),
        pytest.param(lambda paths, vectors: vectors.astype(np.float64).tolist(), id="lists of numbers"),
        pytest.param(lambda paths, vectors: [paths[0], vectors[1], as_arrays(paths)[0]], id="all kinds together"),
    ],
)
def test_references_of_a_character_come_in_many_forms(form, load, images, vectors_of, tmp_path):
    paths = images("aa", folder=tmp_path / "参照 a")
    model = load(references={"a": form(paths, vectors_of(paths)), "b": images("b")})
    assert [model.predict(image).label for image in as_arrays(images("abc"))] == ["a", "b", UNKNOWN]


def test_references_in_a_folder(load, images, tmp_path):
    folder = tmp_path / "references"
    nfd = unicodedata.normalize("NFD", "プリンセス é")
    images("aa", folder=folder / nfd / "2024")
    images("b", folder=folder / "b b")
    images("c", folder=folder / ".thumbnails")
    images("d", folder=folder)
    model = load(references=folder)
    expected = ["プリンセス é", "b b", UNKNOWN, UNKNOWN]
    assert [model.predict(image).label for image in as_arrays(images("abcd"))] == expected


@pytest.fixture
def labelled(dataset, images, model_dir):
    """Images of a, b and c with names in several kinds of fields, some of which name nobody."""
    samples = dataset(*images("aabbccc"))
    names = ["A", "A", "B", "B", "unassigned", None, "C"]
    for sample, name in zip(samples, names, strict=True):
        if name is not None:
            sample["who"] = fo.Classification(label=name, status="ignored" if name == "C" else "auto")
            sample["name"] = None if name in ("C", "unassigned") else name
        box = fo.Detection(label=name or "", bounding_box=[0, 0, 1, 1], character_group=name)
        box["character_status"] = "ignored" if name == "C" else "auto"
        if name == "C":
            box.label = " "
        sample["faces"] = fo.Detections(detections=[box])
        sample.save()
    samples.add_dynamic_sample_fields()
    return samples


@pytest.mark.parametrize("field", ["who", "who.label", "name", "faces", "faces.character_group"])
def test_references_in_a_labelled_dataset(field, labelled, load, images):
    model = load(references=labelled, references_field=field)
    assert [model.predict(image).label for image in as_arrays(images("abc"))] == ["A", "B", UNKNOWN]


def test_references_in_a_view_and_by_the_name_of_a_dataset(labelled, load, images):
    only_a = load(references=labelled.match(fo.ViewField("who.label") == "A"), references_field="who")
    everybody = load(references=labelled.name, references_field="who")
    pictures = as_arrays(images("ab"))
    assert [only_a.predict(image).label for image in pictures] == ["A", UNKNOWN]
    assert [everybody.predict(image).label for image in pictures] == ["A", "B"]


@pytest.mark.parametrize("field, patches_field", [("who", None), ("faces", "faces")])
def test_embeddings_that_a_dataset_has_are_used(field, patches_field, labelled, load, images, model_dir):
    compute_embeddings(labelled.limit(3), patches_field=patches_field, model_dir=model_dir)
    for path in labelled.limit(3).values("filepath"):
        Path(path).unlink()
    model = load(references=labelled, references_field=field)
    assert [model.predict(image).label for image in as_arrays(images("ab"))] == ["A", "B"]


def test_embeddings_of_another_model_are_not_used(labelled, load, images, tmp_path):
    others = tiny_models.write_model_dir(tmp_path / "others", variant="other_weights")
    compute_embeddings(labelled, model_dir=others)
    model = load(references=labelled, references_field="who")
    assert [model.predict(image).difference < 0.1 for image in as_arrays(images("ab"))] == [True, True]


def test_a_reference_that_cannot_be_read_is_left_out_and_named(load, images, tmp_path, caplog):
    good, bad = images("ab", folder=tmp_path / "a")
    bad.write_bytes(b"no image")
    with caplog.at_level(logging.WARNING, logger="ccip_plugin"):
        model = load(references={"a": tmp_path / "a"})
    assert model.predict(as_arrays([good])[0]).label == "a"
    (message,) = caplog.messages
    assert str(bad) in message


@pytest.mark.parametrize(
    "references, error, message",
    [
        pytest.param({}, VectorsError, "no references", id="nobody"),
        pytest.param({"a": []}, ReferencesError, "no usable reference of 'a': there are none", id="no image"),
        pytest.param({"a": ["/no where/x.png"]}, ReferencesError, "cannot read /no where/x.png", id="no such file"),
        pytest.param({"a": np.ones(5, np.float32)}, ReferencesError, r"shape \(5,\)", id="no embedding"),
        pytest.param({"a": np.ones((9, 9, 3))}, ReferencesError, "uint8", id="an image of floats"),
        pytest.param({"a": np.zeros(768)}, VectorsError, "a reference of 'a'", id="a vector of zeros"),
        pytest.param({"a": 7}, ReferencesError, "a int is neither", id="a number"),
        pytest.param({UNKNOWN: np.ones(768)}, ReferencesError, "give the character another name", id="unknown"),
        pytest.param("/no/folder", ReferencesError, "neither a folder '/no/folder'", id="no folder"),
        pytest.param(7, ReferencesError, "references are a int", id="no references at all"),
    ],
)
def test_refuses_what_is_no_reference(references, error, message, load):
    with pytest.raises(error, match=message):
        load(references=references)


def test_refuses_folders_without_characters(load, images, tmp_path):
    images("a", folder=tmp_path / "flat")
    (tmp_path / "empty" / "a").mkdir(parents=True)
    with pytest.raises(ReferencesError, match="no subfolders"):
        load(references=tmp_path / "flat")
    with pytest.raises(IngestError, match="no images"):
        load(references=tmp_path / "empty")


@pytest.mark.parametrize(
    "field, message",
    [
        pytest.param(None, "references_field", id="not said"),
        pytest.param("filepaths", "expected classifications", id="no such field"),
        pytest.param("id", "expected classifications", id="no names"),
        pytest.param("empty", "names a character", id="no labels"),
    ],
)
def test_refuses_fields_without_names(field, message, labelled, load):
    labelled.add_sample_field("empty", fo.StringField)
    with pytest.raises(ReferencesError, match=message):
        load(references=labelled, references_field=field)


@pytest.mark.parametrize("options", [{"threshold": 3}, {"share": 0}])
def test_refuses_numbers_that_mean_nothing(options, load, images):
    with pytest.raises(ParameterError):
        load(references={"a": images("a")}, **options).predict(np.zeros((9, 9, 3), np.uint8))
