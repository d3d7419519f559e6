"""What samples and patches_field stand for."""

import fiftyone as fo
import pytest
from fiftyone import ViewField as F

from ccip_plugin.storage.targets import (
    CHUNK,
    TargetError,
    batched,
    check_field_name,
    detection_fields,
    field_path,
    is_field_name,
    items_view,
    resolve,
    split_path,
)


@pytest.fixture
def people(dataset, tmp_path):
    """Four images; in ``found`` two detections, one, none, and no field; in ``other`` one each."""
    samples = dataset()
    labels = (("cat", "dog"), ("cat",), (), None)
    box = [0.1, 0.1, 0.5, 0.5]
    for number, names in enumerate(labels):
        detections = [fo.Detection(label=name, bounding_box=box) for name in names or ()]
        found = None if names is None else fo.Detections(detections=detections)
        samples.add_sample(
            fo.Sample(
                str(tmp_path / f"{number}.png"),
                found=found,
                other=fo.Detections(detections=[fo.Detection(label="x", bounding_box=box)]),
                points=fo.Keypoints(),
                kind=fo.Classification(label="even" if number % 2 == 0 else "odd"),
            )
        )
    return samples


@pytest.mark.parametrize(
    "name, patches_field, path",
    [
        pytest.param("character_group", None, "character_group", id="a field of samples"),
        pytest.param("character_group", "faces", "faces.detections.character_group", id="an attribute of detections"),
        pytest.param("detections", None, "detections", id="a field called detections"),
        pytest.param("a.label", None, "a.label", id="a value in a label"),
        pytest.param("id", "detections", "detections.detections.id", id="detections in a field of that name"),
    ],
)
def test_paths_are_composed_and_split(name, patches_field, path):
    assert field_path(name, patches_field) == path
    assert split_path(path) == (patches_field, name)


@pytest.mark.parametrize(
    "name, is_valid",
    [("embedding", True), ("絵", True), ("_mine", False), ("a.b", False), ("1st", False), ("a b", False), ("", False)],
)
def test_names_of_fields(name, is_valid):
    assert is_field_name(name) is is_valid
    if is_valid:
        check_field_name(name)
    else:
        with pytest.raises(TargetError, match="a letter first"):
            check_field_name(name)


@pytest.mark.parametrize("n, sizes", [(0, []), (1, [1]), (CHUNK, [CHUNK]), (CHUNK + 1, [CHUNK, 1])])
def test_batches(n, sizes):
    assert [len(batch) for batch in batched(range(n))] == sizes
    assert [number for batch in batched(range(n)) for number in batch] == list(range(n))


def test_fields_of_items(people):
    assert detection_fields(people) == ["found", "other"]
    assert {"kind", "found", "filepath"} <= resolve(people).schema().keys()
    assert {"label", "bounding_box"} <= resolve(people, "found").schema().keys()
    assert "filepath" not in resolve(people, "found").schema()


@pytest.mark.parametrize("patches_field", [None, "found"])
def test_items_as_a_view(people, patches_field):
    target = resolve(people, patches_field)
    wanted = target.values()[0][1:]
    assert resolve(items_view(target, wanted), patches_field).values()[0] == wanted


def names_of(target):
    return target.values("label")[2]["label"]


@pytest.mark.parametrize(
    "part, expected",
    [
        pytest.param(lambda s: s, [0, 1, 2, 3], id="a dataset"),
        pytest.param(lambda s: s.view(), [0, 1, 2, 3], id="its view"),
        pytest.param(lambda s: s[1:3], [1, 2], id="a slice"),
        pytest.param(lambda s: s.sort_by("filepath", reverse=True), [3, 2, 1, 0], id="another order"),
        pytest.param(lambda s: s[2:].select_fields("tags"), [2, 3], id="a view that shows few fields"),
        pytest.param(lambda s: s.exclude_fields("kind")[2:], [2, 3], id="a view that hides a field"),
        pytest.param(lambda s: s.group_by("kind.label").limit(1), [0, 2], id="groups by a value, all of each"),
        pytest.param(lambda s: s.match(F("filepath") == "nowhere"), [], id="nothing"),
    ],
)
def test_samples(part, expected, people):
    target = resolve(part(people))
    ids = people.values("id")
    item_ids, sample_ids, values = target.values("filepath", "not_declared")
    assert item_ids == sample_ids == [ids[i] for i in expected]
    assert values["filepath"] == [people.values("filepath")[i] for i in expected]
    assert values["not_declared"] == [None] * len(expected)
    assert target.dataset is people
    assert not target.is_patches
    assert target.path("x") == "x"
    with pytest.raises(TargetError):
        _ = target.labels_path


@pytest.mark.parametrize(
    "part, expected",
    [
        pytest.param(lambda s: s, ["cat", "dog", "cat"], id="a dataset"),
        pytest.param(lambda s: s[1:], ["cat"], id="a view"),
        pytest.param(lambda s: s.filter_labels("found", F("label") == "dog"), ["dog"], id="filtered labels"),
        pytest.param(lambda s: s.select_fields("other"), ["cat", "dog", "cat"], id="a view that hides them"),
        pytest.param(lambda s: s.to_patches("found"), ["cat", "dog", "cat"], id="patches"),
        pytest.param(lambda s: s[1:].to_patches("found"), ["cat"], id="patches of a view"),
        pytest.param(lambda s: s.to_patches("found")[1:], ["dog", "cat"], id="a view of patches"),
        pytest.param(lambda s: s.to_patches("found").match(F("found.label") == "dog"), ["dog"], id="some patches"),
    ],
)
def test_detections(part, expected, people):
    target = resolve(part(people), "found")
    assert names_of(target) == expected
    assert target.dataset is people
    assert target.is_patches
    assert target.path("x") == "found.detections.x"
    labels = dict(zip(people.values("found.detections.id", unwind=True), [0, 0, 1], strict=True))
    ids = people.values("id")
    item_ids, sample_ids, _ = target.values()
    assert [ids[labels[item]] for item in item_ids] == sample_ids
    assert names_of(target.whole()) == ["cat", "dog", "cat"]


def test_a_patches_view_needs_no_field(people):
    assert resolve(people.to_patches("other")).patches_field == "other"


@pytest.mark.parametrize(
    "part, is_whole",
    [(lambda s: s, True), (lambda s: s.view(), False), (lambda s: s.to_patches("found"), False)],
)
def test_whole_means_the_dataset_itself(part, is_whole, people):
    assert resolve(part(people)).is_whole is is_whole
    assert resolve(part(people)).whole().is_whole


@pytest.mark.parametrize(
    "part, field, says",
    [
        pytest.param(lambda s: s, "nothing", "no field 'nothing'.*fields with detections: found, other", id="no field"),
        pytest.param(lambda s: s, "kind", "Classification.*not detections", id="a classification"),
        pytest.param(lambda s: s, "points", "Keypoints.*not detections", id="points"),
        pytest.param(lambda s: s, "found.detections", "not detections", id="the list in the field"),
        pytest.param(
            lambda s: s.to_patches("found"), "other", "patches of 'found', not of 'other'", id="other patches"
        ),
        pytest.param(lambda s: s.to_patches("points"), None, "not detections", id="patches of points"),
        pytest.param(lambda s: s.first(), None, "neither a dataset nor a view", id="a sample"),
        pytest.param(lambda s: s.name, None, "a str is neither", id="a name"),
    ],
)
def test_refuses(part, field, says, people):
    with pytest.raises(TargetError, match=says):
        resolve(part(people), field)


def test_refuses_patches_of_an_evaluation(people):
    people.evaluate_detections("found", gt_field="other", eval_key="e", progress=False)
    with pytest.raises(TargetError, match="copies"):
        resolve(people.to_evaluation_patches("e"))


@pytest.fixture
def video(dataset, tmp_path):
    samples = dataset()
    sample = fo.Sample(str(tmp_path / "film.mp4"))
    sample.frames[1] = fo.Frame(filepath=str(tmp_path / "frame.png"))
    samples.add_sample(sample)
    return samples


def test_refuses_video_and_copies_of_frames_but_takes_a_clone(video):
    with pytest.raises(TargetError, match="holds video"):
        resolve(video)
    frames = video.to_frames()
    with pytest.raises(TargetError, match=r"FramesView shows copies.*clone"):
        resolve(frames)
    copies = frames.clone()
    assert resolve(copies).values()[0] == copies.values("id")
    copies.delete()


def test_a_grouped_dataset_needs_a_slice(dataset, tmp_path):
    samples = dataset()
    samples.add_group_field("group", default="front")
    for name in ("front", "back"):
        samples.add_sample(fo.Sample(str(tmp_path / f"{name}.png"), group=fo.Group().element(name)))
    with pytest.raises(TargetError, match=r"select_group_slices\('front'\); slices: front, back"):
        resolve(samples)
    target = resolve(samples.select_group_slices("back"))
    assert target.dataset is samples
    assert target.values("filepath")[2]["filepath"] == [str(tmp_path / "back.png")]
    whole = resolve(samples.select_group_slices("back").limit(0)).whole()
    assert whole.values("filepath")[2]["filepath"] == [str(tmp_path / "back.png")]


def test_an_empty_dataset(dataset):
    assert resolve(dataset()).values("label") == ([], [], {"label": []})
