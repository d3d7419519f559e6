"""What people decided, in what is written: kept whatever the images look like and however they are grouped."""

import fiftyone as fo
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ccip_plugin.core.clustering import METHODS
from ccip_plugin.core.errors import ParameterError
from ccip_plugin.grouping import group_characters
from ccip_plugin.grouping.constraints import track_fields
from ccip_plugin.labels import edits
from ccip_plugin.labels.history import redo, undo
from ccip_plugin.labels.identities import load_registry, registry_revision, save_delta
from ccip_plugin.storage.targets import TargetError, resolve
from tests.support.groups import embed, labels

pytestmark = pytest.mark.mongo

NAMES = ("綾波レイ", "Asuka 🎤", "unassigned", "")
NO_SHRINKING = (Phase.explicit, Phase.generate)  # an example takes a second
SEVERAL = {
    "max_examples": 15,
    "deadline": None,
    "phases": NO_SHRINKING,
    "suppress_health_check": [HealthCheck.function_scoped_fixture],
}


@pytest.fixture
def made(dataset):
    """``made("aab")`` gives a dataset with an embedding per letter."""

    def make(letters):
        new = dataset(*[f"/絵/{n} {letter}.png" for n, letter in enumerate(letters)])
        embed(new, letters)
        return new

    return make


def put(samples, **names):
    """``put(samples, _0="Rei")``: a person gives the first image that name."""
    ids = samples.values("id")
    for place, name in names.items():
        sample = samples[ids[int(place.strip("_"))]]
        sample["character_group"] = fo.Classification(label=name)
        sample.save()


def reject(samples, group_id, *places, path="character_group"):
    """A person says that some items are not of a group."""
    ids = samples.values("id" if path == "character_group" else path.rpartition(".")[0] + ".id", unwind=True)
    revision, rejected = registry_revision(samples, path), {str(group_id): [ids[place] for place in places]}
    save_delta(samples, path, revision=revision, next_id=1, groups={}, rejected=rejected)


@settings(**SEVERAL)
@given(seed=st.integers(0, 100_000), method=st.sampled_from(list(METHODS)), mode=st.sampled_from(["all", "add"]))
def test_no_decision_is_ever_violated(mongo, seed, method, mode):
    random = np.random.default_rng(seed)
    letters = "a" + "".join(random.choice(list("aAbc "), random.integers(3, 13))) + "a"  # each half has a vector
    samples = fo.Dataset()
    try:
        samples.add_samples([fo.Sample(filepath=f"/{n}.png") for n in range(len(letters))])
        embed(samples, letters)
        group_characters(samples[: len(letters) // 2])
        names = [random.choice(NAMES) if random.random() < 0.5 else None for _ in letters]
        put(samples, **{f"_{n}": name for n, name in enumerate(names) if name is not None})
        rejected = {(int(a), int(b)) for a, b in random.integers((1, 0), (4, len(letters)), (5, 2))}
        for group_id in {group_id for group_id, _ in rejected}:
            reject(samples, group_id, *[place for number, place in rejected if number == group_id])
        before = samples.values("character_group")
        group_characters(samples, method=method, mode=mode)
        samples.reload()
        found = samples.values("character_group")
    finally:
        samples.delete()
    ids_by_name = {}
    for n, (label, name, old) in enumerate(zip(found, names, before, strict=True)):
        if name is not None:
            assert label.label == name
        elif label is not None and label.group_id is not None:
            assert ids_by_name.setdefault(label.label, label.group_id) == label.group_id
            assert (label.group_id, n) not in rejected or (mode == "add" and old is not None)
        if mode == "add" and old is not None:
            assert label == old
    assert len(set(ids_by_name.values())) == len(ids_by_name)


def test_what_people_told_apart_shapes_the_groups(made):
    """Two twins that look like one: three of each were told apart, and the rest follows."""
    samples = made("aaaaaa" + "AAAAAA")
    group_characters(samples, eps=0.3)
    assert set(labels(samples)) == {"char_0001"}
    put(samples, _0="Rei", _1="Rei", _2="Rei", _3="Rei", _4="Rei", _6="Lei", _7="Lei", _8="Lei", _9="Lei", _10="Lei")
    group_characters(samples, eps=0.3)
    assert labels(samples) == ["Rei"] * 6 + ["Lei"] * 6


def test_a_person_says_that_nobody_known_is_here(made):
    samples = made("aaab")
    group_characters(samples)
    put(samples, _0="unassigned")
    group_characters(samples)
    group_characters(samples)
    assert labels(samples) == ["unassigned", "char_0001", "char_0001", "unassigned"]
    assert samples.first().character_group.status == "confirmed"


def test_rejected_images_do_not_come_back(made):
    samples = made("aaaab")
    group_characters(samples)
    reject(samples, 1, 0)
    group_characters(samples)
    assert labels(samples)[:2] == ["unassigned", "char_0001"]


def test_contradictions_are_reported_with_ids(made):
    samples = made("aab")
    group_characters(samples)
    reject(samples, 1, 0)
    put(samples, _0="char_0001")
    report = group_characters(samples)
    (found,) = report.contradictions
    assert found.ids == (samples.first().id,) and "rejected from 'char_0001'" in found.reason
    assert any(samples.first().id in warning for warning in report.warnings)
    assert labels(samples)[0] == "char_0001"


def test_who_is_put_back_after_a_rejection_is_in_the_group_for_good(made):
    samples = made("aaab")
    group_characters(samples)
    edits.reject(samples.limit(1))
    group_characters(samples)
    assert labels(samples) == ["unassigned", "char_0001", "char_0001", "unassigned"]
    put(samples, _0="char_0001")
    assert len(group_characters(samples).contradictions) == 1
    assert load_registry(samples, "character_group").rejections == {}
    assert group_characters(samples).contradictions == ()
    samples.set_values("character_group", [None, *samples.values("character_group")[1:]])
    group_characters(samples)
    assert labels(samples) == ["char_0001"] * 3 + ["unassigned"]

    edits.reject(samples.limit(1))  # the latest decision counts again
    group_characters(samples)
    assert labels(samples)[0] == "unassigned"


def test_undo_brings_a_rejection_back(made):
    samples = made("aaab")
    group_characters(samples)
    edits.reject(samples.limit(1))
    rejected = load_registry(samples, "character_group").rejections
    put(samples, _0="char_0001")
    group_characters(samples)
    undo(samples)
    assert load_registry(samples, "character_group").rejections == rejected
    redo(samples)
    assert load_registry(samples, "character_group").rejections == {}


# -- detections


@pytest.fixture
def frames(dataset):
    """``frames("ab", "a")`` gives an image per word, with a box per letter; boxes of one letter are much alike."""

    def make(*words, index=None, video=None):
        new = dataset(*[f"/絵/{n}.png" for n in range(len(words))])
        places = iter(index or ())
        for n, (sample, word) in enumerate(zip(new, words, strict=True)):
            boxes = [fo.Detection(label="girl", bounding_box=[0, 0, 0.5, 0.5], index=next(places, None)) for _ in word]
            sample["girls"] = fo.Detections(detections=boxes)
            if video:
                sample["video"] = video[n]
            sample.save()
        embed(new, "".join(words), "girls")
        return new

    return make


def boxes(samples):
    return samples.values("girls.detections.character_group", unwind=True)


@pytest.mark.parametrize(
    "same_image, expected",
    [("apart", ["char_0001", "unassigned", "char_0001"]), ("ignore", ["char_0001"] * 3)],
)
def test_boxes_in_one_image_are_told_apart(frames, same_image, expected):
    """The two boxes of the first image differ so little that alone they would be one character."""
    samples = frames("aa", "a")
    vectors = np.zeros((3, 768), np.float32)
    angles = np.radians([0, 40, 5])
    vectors[:, 0], vectors[:, 1] = np.cos(angles), np.sin(angles)
    ids = samples.values("girls.detections.id", unwind=True)
    samples.set_label_values("girls.detections.ccip_embedding", dict(zip(ids, vectors, strict=True)))
    group_characters(samples, patches_field="girls", same_image=same_image)
    assert boxes(samples) == expected


@pytest.mark.parametrize(
    "index, video, expected",
    [
        pytest.param([1, 2, 1, 2], "xx", ["one", "two", "one", "two"], id="two tracks"),
        pytest.param([1, 2, 1, 2], "xy", [None] * 4, id="of two videos"),
        pytest.param([None] * 4, "xx", [None] * 4, id="no index"),
        pytest.param([1, 1, 1, 2], "xx", [None] * 4, id="one track twice in an image"),
    ],
)
def test_boxes_of_one_track_are_held_together(frames, index, video, expected):
    samples = frames("ab", "cd", index=index, video=video)
    report = group_characters(samples, patches_field="girls", tracks="video")
    groups = boxes(samples)
    assert [groups.index(name) for name in groups] == [
        groups.index(name) if name == "unassigned" else [0, 1, 0, 1][n] for n, name in enumerate(groups)
    ]
    assert [name != "unassigned" for name in groups] == [name is not None for name in expected]
    assert bool(report.contradictions) == (index == [1, 1, 1, 2])


def test_people_overrule_tracks(frames):
    samples = frames("a", "b", "b", index=[1, 1, 1], video="xxx")
    group_characters(samples, patches_field="girls", tracks="video")
    assert set(boxes(samples)) == {"char_0001"}
    for n, name in ((0, "Rei"), (1, "Asuka")):
        sample = samples[samples.values("id")[n]]
        sample.girls.detections[0]["character_group"] = name
        sample.save()
    report = group_characters(samples, patches_field="girls", tracks="video")
    assert boxes(samples)[:2] == ["Rei", "Asuka"]
    (found,) = report.contradictions
    assert len(found.ids) == 3 and "different groups" in found.reason


@pytest.mark.parametrize(
    "options, error",
    [
        pytest.param({"mode": "new"}, ParameterError, id="mode"),
        pytest.param({"same_image": "never"}, ParameterError, id="same_image"),
        pytest.param({"tracks": "video"}, TargetError, id="tracks of whole images"),
    ],
)
def test_refuses_what_means_nothing(made, options, error):
    samples = made("aab")
    with pytest.raises(error):
        group_characters(samples, **options)
    assert labels(samples) == [None] * 3


def test_only_fields_that_can_name_a_video_are_offered(frames):
    samples = frames("ab", "ab", index=[1, 2, 1, 2])
    target = resolve(samples, "girls")
    before = track_fields(target)
    for name in ("ccip_error", "ccip_source", "extra_source", "scene"):
        samples.add_sample_field(name, fo.StringField)
    samples.add_sample_field("extra", fo.VectorField)
    assert track_fields(target) == [*before, "scene"] and "filepath" not in before


def test_tracks_need_a_field(frames):
    with pytest.raises(TargetError, match="no field 'film'"):
        group_characters(frames("a", "a"), patches_field="girls", tracks="film")
