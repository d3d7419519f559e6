"""Images with several characters, from their boxes to groups that people edit: everything as it is used together."""

import itertools

import fiftyone as fo
import fiftyone.operators as foo
import numpy as np
import pytest
from fiftyone import ViewField as F
from fiftyone.operators.executor import ExecutionContext, Executor
from PIL import Image

from ccip_plugin.brain.similarity import compute_similarity
from ccip_plugin.core.encoder import reading as image_reading
from ccip_plugin.core.preprocessing import load_image
from ccip_plugin.embeddings import compute_embeddings
from ccip_plugin.embeddings.load import count_missing, load_embeddings
from ccip_plugin.grouping import group_characters
from ccip_plugin.labels.deletion import delete_grouping
from ccip_plugin.labels.edits import confirm
from ccip_plugin.labels.history import undo
from ccip_plugin.storage.fields import EMBEDDINGS_FIELD, ERROR_FIELD
from tests.support.groups import embed as store_embeddings

pytestmark = pytest.mark.mongo

FIELD = "found"
GROUPS, IDS, ERRORS = (f"{FIELD}.detections.{name}" for name in ("character_group", "character_group_id", ERROR_FIELD))
SIDE = 60
NO_AREA = [0.4, 0.4, 0.0, 0.2]


@pytest.fixture
def scenes(dataset, images, tmp_path):
    """``scenes("ab", "b")``: images of these characters side by side, with a box around each; the character is in
    ``truth``, the label and confidence are those of a detector."""

    def make(*casts, boxes=()):
        samples = dataset()
        for number, cast in enumerate(casts):
            image = Image.new("RGB", (SIDE * max(1, len(cast)), SIDE), "black")
            for place, path in enumerate(images(cast, size=(SIDE, SIDE))):
                image.paste(Image.open(path), (SIDE * place, 0))
            path = tmp_path / f"場面 {number}.png"
            image.save(path)
            width = 1 / max(1, len(cast))
            around = [(character, [width * n, 0, width, 1]) for n, character in enumerate(cast)]
            found = [
                fo.Detection(label="person", confidence=0.9 - 0.1 * n, bounding_box=box, truth=character)
                for n, (character, box) in enumerate([*around, *boxes])
            ]
            samples.add_sample(fo.Sample(str(path), **{FIELD: fo.Detections(detections=found)}))
        samples.add_dynamic_sample_fields()
        return samples

    return make


@pytest.fixture
def embed(model_dir):
    return lambda samples, **options: compute_embeddings(samples, model_dir=model_dir, **options)


@pytest.fixture
def work(embed):
    """``work(samples)`` embeds and groups the detections; gives the report of the grouping."""

    def run(samples, **options):
        where = {} if samples._dataset._is_patches else {"patches_field": FIELD}
        embed(samples, **where)
        return group_characters(samples, **where, **options)

    return run


def flat(samples, path):
    return [value for values in samples.values(path) for value in values or ()]


def casts_of_groups(samples):
    """The characters in each group, by name; None for detections without a group."""
    found = {}
    for group, truth in zip(flat(samples, GROUPS), flat(samples, f"{FIELD}.detections.truth"), strict=True):
        found[group] = found.get(group, "") + truth
    return found


def test_boxes_become_groups(scenes, work, monkeypatch):
    decoded = []
    monkeypatch.setattr(
        image_reading, "load_image", lambda file, **limits: decoded.append(file.name) or load_image(file, **limits)
    )
    samples = scenes("ab", "bac", "", "ca", "d", boxes=[("-", NO_AREA)])
    report = work(samples)
    assert len(decoded) == len(set(decoded)) == 5
    assert casts_of_groups(samples) == {
        "char_0001": "aaa",
        "char_0002": "bb",
        "char_0003": "cc",
        "unassigned": "d",
        None: "-----",
    }
    assert (report.n_items, report.n_grouped, report.n_unassigned, report.n_without_embedding) == (13, 7, 1, 5)
    assert [bool(error) for error in flat(samples, ERRORS)] == [
        t == "-" for t in flat(samples, f"{FIELD}.detections.truth")
    ]
    assert all("no pixel is inside" in error for error in filter(None, flat(samples, ERRORS)))
    assert [names or [] for names in samples.values(f"{FIELD}_characters")] == [
        ["char_0001", "char_0002"],
        ["char_0001", "char_0002", "char_0003"],
        [],
        ["char_0001", "char_0003"],
        [],
    ]
    assert set(flat(samples, f"{FIELD}.detections.label")) == {"person"}
    assert flat(samples, f"{FIELD}.detections.confidence")[:3] == [0.9, 0.8, pytest.approx(0.7)]


@pytest.mark.parametrize(
    "box, same_as",
    [
        pytest.param([-0.3, -2, 0.8, 9], [0, 0, 0.5, 1], id="beyond three edges"),
        pytest.param([0.5, 0.25, 7, 0.5], [0.5, 0.25, 0.5, 0.5], id="beyond the right edge"),
        pytest.param([-1, -1, 3, 3], None, id="all around the image"),
    ],
)
def test_boxes_are_clipped(box, same_as, scenes, embed):
    samples = scenes("ab", boxes=[("-", box), *([("-", same_as)] if same_as else [])])
    embed(samples, patches_field=FIELD)
    embed(samples)
    vectors = flat(samples, f"{FIELD}.detections.{EMBEDDINGS_FIELD}")
    assert np.array_equal(vectors[2], vectors[3] if same_as else samples.first()[EMBEDDINGS_FIELD])


def test_boxes_are_those_of_the_upright_image(scenes, embed, tmp_path):
    samples = scenes("ab")
    path = samples.first().filepath
    turned = Image.open(path).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    turned.save(tmp_path / "turned.png", exif=exif)
    other = samples.first().copy()
    other.filepath = str(tmp_path / "turned.png")
    samples.add_sample(other)
    embed(samples, patches_field=FIELD)
    first, second = samples.values(f"{FIELD}.detections.{EMBEDDINGS_FIELD}")
    assert np.array_equal(first, second)


@pytest.mark.parametrize("options", [{"alpha": 0.4}, {"force_square": True}, {"alpha": 0.2, "force_square": True}])
def test_boxes_can_be_enlarged_and_made_square(options, scenes, embed):
    samples = scenes("abc", boxes=[("-", [0.25, 0.1, 0.1, 0.9])])
    embed(samples, patches_field=FIELD, embeddings_field="tight")
    embed(samples, patches_field=FIELD, embeddings_field="other", **options)
    tight, other = (flat(samples, f"{FIELD}.detections.{name}")[3] for name in ("tight", "other"))
    assert not np.array_equal(tight, other)


PARTS = [
    pytest.param(lambda s: s.to_patches(FIELD).match(F(f"{FIELD}.truth") != "c"), id="a view of patches"),
    pytest.param(lambda s: s.filter_labels(FIELD, F("truth") != "c"), id="a filtered view"),
    pytest.param(
        lambda s: s.filter_labels(FIELD, F("truth") != "c").to_patches(FIELD), id="patches of a filtered view"
    ),
    pytest.param(
        lambda s: s.select_labels(
            ids=s.filter_labels(FIELD, F("truth") != "c").values(f"{FIELD}.detections.id", unwind=True)
        ),
        id="selected labels",
    ),
    pytest.param(
        lambda s: s.to_patches(FIELD).select(s.to_patches(FIELD).match(F(f"{FIELD}.truth") != "c").values("id")),
        id="selected patches",
    ),
]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_the_boxes(part, scenes, work):
    samples = scenes("ac", "ab", "cb")
    work(part(samples))
    assert casts_of_groups(samples) == {None: "cc", "char_0001": "aa", "char_0002": "bb"}
    assert count_missing(samples, patches_field=FIELD) == (6, 2, 0)
    work(samples)  # the rest joins, what was there keeps its names
    assert casts_of_groups(samples) == {"char_0001": "aa", "char_0002": "bb", "char_0003": "cc"}


def test_ticked_patches_in_the_app(scenes, model_dir, monkeypatch):
    monkeypatch.setenv("CCIP_MODEL_DIR", str(model_dir))
    samples = scenes("ab", "ba")
    patches = samples.to_patches(FIELD)
    ticked = patches.match(F(f"{FIELD}.truth") == "a").values("id")
    request = {"dataset_name": samples.name, "view": patches._serialize(), "selected": ticked}
    for name in ("compute_embeddings", "group_characters"):
        ctx = ExecutionContext({**request, "view_target": "SELECTED_SAMPLES", "params": {}}, executor=Executor())
        for _ in foo.get_operator(f"@ccip/characters/{name}").execute(ctx):
            pass
    assert casts_of_groups(samples) == {"char_0001": "aa", None: "bb"}


def test_edits_in_the_view_of_patches_survive(scenes, work):
    samples = scenes("ab", "ab", "ba")
    work(samples)
    patches = samples.to_patches(FIELD)
    of_b = patches.match(F(f"{FIELD}.truth") == "b")
    one, other, _ = of_b
    one[FIELD].character_group = "初音ミク 🎤"  # renamed in the App, one tile
    one.save()
    other[FIELD].character_status = "ignored"
    other.save()
    patches.match(F(f"{FIELD}.truth") == "a").limit(1).tag_labels("checked")
    for again in (samples, samples.to_patches(FIELD), samples.limit(1)):
        work(again)
        labels = dict(zip(flat(samples, f"{FIELD}.detections.id"), flat(samples, GROUPS), strict=True))
        assert labels[one.id] == "初音ミク 🎤"
        statuses = dict(
            zip(
                flat(samples, f"{FIELD}.detections.id"),
                flat(samples, f"{FIELD}.detections.character_status"),
                strict=True,
            )
        )
        assert statuses[one.id] == "confirmed"
        assert statuses[other.id] == "ignored"
    assert "初音ミク 🎤" in samples.first()[f"{FIELD}_characters"]
    assert samples.count_label_tags() == {"checked": 1}


def test_undo_takes_labels_and_roll_up_back(scenes, work):
    samples = scenes("ab", "ba")
    work(samples)
    patch = samples.to_patches(FIELD).first()
    patch[FIELD].character_group = "kept"
    patch.save()
    undo(samples, patches_field=FIELD)
    assert flat(samples, GROUPS) == ["kept", None, None, None]
    assert samples.values(f"{FIELD}_characters") == [["kept"], None]
    assert len(load_embeddings(samples, patches_field=FIELD).ids) == 4


@pytest.mark.parametrize("same_image", ["apart", "ignore"])
def test_alike_boxes_of_one_image_are_one_character(same_image, scenes, work):
    """A mirror, or a detector that found somebody twice: what is nearly the same picture is not kept apart."""
    samples = scenes("aa", "ab", "b")
    work(samples, same_image=same_image)
    assert casts_of_groups(samples) == {"char_0001": "aaa", "char_0002": "bb"}


def test_an_unreadable_image_is_the_failure_of_its_boxes_only(scenes, work, tmp_path):
    samples = scenes("ab", "ab", "ab")
    (tmp_path / "場面 1.png").write_bytes(b"no image")
    work(samples)
    errors = [[bool(error) for error in of_image] for of_image in samples.values(ERRORS)]
    assert errors == [[False, False], [True, True], [False, False]]
    assert [bool(group) for group in flat(samples, GROUPS)] == [not e for e in itertools.chain(*errors)]


def test_groups_and_index_agree(scenes, work):
    samples = scenes("ab", "ab", "c")
    work(samples)
    index = compute_similarity(samples, patches_field=FIELD)
    patches = samples.to_patches(FIELD)
    nearest = patches.sort_by_similarity(patches.first().id, k=2, brain_key=index.brain_key)
    assert nearest.values(f"{FIELD}.character_group") == ["char_0001"] * 2
    assert nearest.values(f"{FIELD}.truth") == ["a", "a"]


def test_detections_without_an_id_are_left_out(dataset, tmp_path, caplog):
    """Other software can write such, to which nothing can be written alone: the others are grouped, and it is said."""
    data = dataset(*(tmp_path / f"{n}.png" for n in range(4)))
    for sample in data:
        sample[FIELD] = fo.Detections(
            detections=[fo.Detection(label="person", bounding_box=[0.4 * n, 0, 0.4, 1]) for n in range(2)]
        )
        sample.save()
    store_embeddings(data, "abababab", FIELD)
    gone = {f"{FIELD}.detections.{n}._id": "" for n in range(2)}
    data._sample_collection.update_one({"filepath": data.first().filepath}, {"$unset": gone})
    assert group_characters(data, patches_field=FIELD).n_items == 6
    assert "2 detections have no id, and are left out" in caplog.text
    assert confirm(data, groups="char_0001", patches_field=FIELD).n_changed == 3
    undo(data, patches_field=FIELD)
    assert delete_grouping(data, patches_field=FIELD).n_labels == 6
