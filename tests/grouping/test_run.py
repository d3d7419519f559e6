"""Grouping: from embeddings in a field to labels, over and over, with people in between."""

import re

import fiftyone as fo
import numpy as np
import pytest
from fiftyone import ViewField as F

from ccip_plugin.core.calibration import load
from ccip_plugin.core.errors import CCIPError, ParameterError
from ccip_plugin.core.registry import DEFAULT_MODEL
from ccip_plugin.grouping import group_characters
from ccip_plugin.grouping.parameters import choose_parameters
from ccip_plugin.grouping.participants import NothingToGroupError
from ccip_plugin.labels.history import undo
from ccip_plugin.labels.identities import load_registry
from ccip_plugin.storage.fields import EMBEDDINGS_FIELD
from tests.support.groups import DIM, embed, labels, partition

pytestmark = pytest.mark.mongo


@pytest.mark.parametrize(
    "letters, expected",
    [
        pytest.param("aabb", [0, 0, 1, 1], id="two characters"),
        pytest.param("aaab", [0, 0, 0, -1], id="one image is nobody else"),
        pytest.param("abc", [-1, -1, -1], id="nobody twice"),
        pytest.param("a a", [0, None, 0], id="an image without embedding has no label"),
        pytest.param("a", [-1], id="a single image"),
        pytest.param("aaAA", [0, 0, 1, 1], id="twins"),
    ],
)
def test_groups_images_of_the_same_character(grouped, letters, expected):
    samples = grouped(letters)
    report = group_characters(samples)
    assert partition(samples) == expected
    assert report.n_groups == max((number for number in expected if number is not None), default=-1) + 1
    assert (report.n_unassigned, report.n_without_embedding) == (expected.count(-1), expected.count(None))
    assert report.n_items == len(letters)
    assert report.facts()["Character groups"] == str(report.n_groups)


def test_the_largest_group_has_the_first_id_and_all_values_are_set(grouped):
    samples = grouped("aabbb")
    group_characters(samples)
    assert labels(samples) == ["char_0002"] * 2 + ["char_0001"] * 3
    label = samples.last().character_group
    assert (label.group_id, label.status, label.assigned) == (1, "auto", "char_0001")
    vectors = np.array(samples.values(EMBEDDINGS_FIELD))
    expected = np.mean([(1 - vectors[4] @ vectors[n]) / 2 for n in (2, 3)])
    assert label.difference == pytest.approx(expected, abs=1e-6)
    others = np.mean([(1 - vectors[4] @ vectors[n]) / 2 for n in (0, 1)])
    assert label.margin == pytest.approx(others - expected, abs=1e-6)
    assert 0.5 < label.confidence <= 1


@pytest.mark.parametrize(
    "options, expected",
    [
        pytest.param({"method": "dbscan"}, [0, 0, 1, 1, -1], id="published threshold"),
        pytest.param({"method": "dbscan_2"}, [0, 0, 1, 1, -1], id="preset"),
        pytest.param({"method": "linkage"}, [0, 0, 1, 1, -1], id="average linkage"),
        pytest.param({"eps": 0.0}, [-1, -1, -1, -1, -1], id="eps of 0 is 0"),
        pytest.param({"eps": 1.0}, [0, 0, 0, 0, 0], id="eps of 1 is everything"),
        pytest.param({"min_samples": 1}, [0, 0, 1, 1, 2], id="everybody is a core"),
        pytest.param({"min_samples": 3}, [-1, -1, -1, -1, -1], id="more than there are"),
    ],
)
def test_takes_parameters_at_their_word(grouped, options, expected):
    samples = grouped("aabbc")
    report = group_characters(samples, **options)
    assert partition(samples) == expected
    for name, value in options.items():
        assert getattr(report.parameters, name) == value


@pytest.mark.parametrize("options", [{"eps": -0.1}, {"eps": 1.5}, {"min_samples": 0}, {"method": "kmeans"}])
def test_refuses_parameters_that_mean_nothing(grouped, options):
    samples = grouped("aabb")
    with pytest.raises(CCIPError):
        group_characters(samples, **options)
    assert labels(samples) == [None] * 4


@pytest.mark.parametrize("model", [DEFAULT_MODEL, "ccip-caformer-2_fp32"], ids=["with presets", "without"])
def test_the_default_method_exists_for_every_model(model):
    parameters = choose_parameters(load(model))
    assert (parameters.method, parameters.eps, parameters.min_samples) == ("linkage", load(model).threshold, 2)


def test_a_second_run_changes_nothing(grouped):
    samples = grouped("aabbc ")
    group_characters(samples)
    before = (labels(samples), samples.values("last_modified_at"), samples.get_run_info("ccip_groups").timestamp)
    report = group_characters(samples)
    assert (report.n_written, report.number) == (0, None)
    assert (labels(samples), samples.values("last_modified_at")) == before[:2]
    assert samples.get_run_info("ccip_groups").timestamp == before[2]


def test_groups_keep_their_ids_when_images_are_added_and_deleted(grouped):
    samples = grouped("aabbb")
    group_characters(samples)
    samples.delete_samples(samples.first().id)
    samples.add_samples([fo.Sample(filepath=f"/絵/new {n}.png") for n in range(5)])
    embed(samples[4:], "aaccc")
    group_characters(samples)
    one, two, three = "char_0001", "char_0002", "char_0003"
    assert labels(samples) == [two, one, one, one, two, two, three, three, three]


def test_keeps_a_renamed_label_and_learns_the_name(grouped):
    samples = grouped("aaabb")
    group_characters(samples)
    first = samples.first()
    first.character_group.label = "綾波レイ"
    first.save()
    report = group_characters(samples)
    assert labels(samples)[:3] == ["綾波レイ", "char_0001", "char_0001"]
    assert report.n_human == 1
    samples.reload()
    label = samples.first().character_group
    assert (label.status, label.assigned, label.group_id) == ("confirmed", "綾波レイ", 3)
    assert load_registry(samples, "character_group").groups[3].name == "綾波レイ"


def test_new_images_join_a_group_that_a_person_named(grouped):
    samples = grouped("aabb")
    group_characters(samples)
    view = samples.match(F("character_group.label") == "char_0001")
    view.set_values("character_group.label", ["Asuka"] * 2)
    samples.add_sample(fo.Sample(filepath="/new.png"))
    embed(samples[4:], "a")
    group_characters(samples)
    assert labels(samples) == ["Asuka"] * 2 + ["char_0002"] * 2 + ["Asuka"]
    assert samples.last().character_group.status == "auto"
    assert set(load_registry(samples, "character_group").groups) == {2, 3}


def test_ignored_images_are_in_no_group_and_form_none(grouped):
    samples = grouped("aabb")
    group_characters(samples)
    first = samples.first()
    first.character_group.status = "ignored"
    first.save()
    report = group_characters(samples, min_samples=2)
    assert partition(samples) == [0, -1, 1, 1]
    assert (report.n_ignored, report.n_unassigned) == (1, 1)


def test_a_view_is_compared_with_the_groups_that_exist_and_nothing_outside_changes(grouped):
    samples = grouped("aabbcc")
    group_characters(samples)
    samples.add_samples([fo.Sample(filepath=f"/new {n}.png") for n in range(4)])
    new = samples[6:]
    embed(new, "abdd")
    before = samples[:6].values("character_group")
    report = group_characters(new)
    assert labels(new) == ["char_0001", "char_0002", "char_0004", "char_0004"]
    assert (report.n_items, report.n_groups) == (4, 3)
    samples.reload()
    assert samples[:6].values("character_group") == before


def test_a_view_of_an_ungrouped_dataset_is_grouped_alone(grouped):
    samples = grouped("aabb")
    group_characters(samples[:3])
    assert partition(samples) == [0, 0, -1, None]


def test_undo_brings_back_what_was_there(grouped):
    samples = grouped("aabb")
    group_characters(samples)
    before = samples.values("character_group")
    group_characters(samples, eps=1.0)
    assert partition(samples) == [0] * 4
    undo(samples)
    samples.reload()
    assert samples.values("character_group") == before
    undo(samples)
    assert labels(samples) == [None] * 4
    assert not samples.has_run("ccip_groups")


def test_groups_detections(dataset):
    samples = dataset("/a.png", "/b.png", "/c.png")
    for sample, n in zip(samples, (2, 1, 0), strict=True):
        boxes = [fo.Detection(label="girl", bounding_box=[0, 0, 0.5, 0.5]) for _ in range(n)]
        sample["girls"] = fo.Detections(detections=boxes)
        sample.save()
    embed(samples, "aba", "girls")
    report = group_characters(samples, patches_field="girls")
    assert samples.values("girls.detections.character_group") == [
        ["char_0001", "unassigned"],
        ["char_0001"],
        [],
    ]
    assert samples.values("girls_characters") == [["char_0001"], ["char_0001"], None]
    assert samples.values("girls.detections.label", unwind=True) == ["girl"] * 3
    assert (report.run_key, report.n_items) == ("ccip_groups_girls_detections_character_group", 3)
    assert str(report).splitlines()[0] == "1 character group with 2 detections"
    assert report.facts()["In a group"] == "2 of 3 detections"

    patch = samples.to_patches("girls").first()  # as a person edits it in the App's view of patches
    patch["girls"].character_group = "Asuka"
    patch.save()
    group_characters(samples.to_patches("girls"))
    assert samples.values("girls.detections.character_group", unwind=True) == ["Asuka", "unassigned", "char_0001"]
    assert samples.values("girls.detections.character_status", unwind=True) == ["confirmed", "auto", "auto"]
    assert samples.values("girls_characters") == [["Asuka"], ["char_0001"], None]


def test_says_when_there_is_nothing_to_group(grouped):
    with pytest.raises(NothingToGroupError, match="there are no images to group"):
        group_characters(grouped(""))
    with pytest.raises(NothingToGroupError, match=r"none of the 2 images has an embedding .*: compute"):
        group_characters(grouped("  "))
    with pytest.raises(NothingToGroupError, match="there are no images to group"):
        group_characters(grouped("aab").limit(0))


@pytest.mark.parametrize(
    "asked, text",
    [
        ({"method": "kmeans"}, "method is 'kmeans'; it must be one of linkage, dbscan"),
        ({"eps": "0,2"}, "eps is '0,2'; it must be a difference from 0 to 1"),
        ({"eps": float("nan")}, "eps is nan"),
        ({"min_samples": 2.5}, "min_samples is 2.5; it must be a whole number"),
        ({"min_samples": "2"}, "min_samples is '2'"),
    ],
)
def test_refuses_parameters_without_meaning(grouped, asked, text):
    samples = grouped("aab")
    with pytest.raises(ParameterError, match=re.escape(text)):
        group_characters(samples, **asked)
    assert not samples.has_field("character_group")


@pytest.mark.parametrize(
    "letters, is_warned",
    [
        pytest.param("a" * 150 + "b" * 30 + "c" * 30, True, id="one group is five times the next"),
        pytest.param("abcdefgh" * 26, False, id="few characters of one size"),
        pytest.param("a" * 15 + "bb" + "cc", False, id="too few images to tell"),
    ],
)
def test_warns_when_a_group_swallows_the_rest(grouped, letters, is_warned):
    warnings = group_characters(grouped(letters)).warnings
    assert ["150 of 210 images" in warning for warning in warnings] == [True] * is_warned


def test_progress_names_the_stages_and_can_stop_the_run(grouped):
    from ccip_plugin.core.progress import Cancelled

    samples = grouped("aabb")
    stages = []
    group_characters(samples, progress=lambda progress: stages.append(progress.stage))
    assert [stage for n, stage in enumerate(stages) if stage not in stages[:n]][::2]
    assert stages[0] == "reading embeddings"
    assert stages[-1] == "writing labels"
    undo(samples)

    def stop(progress):
        raise Cancelled(progress.stage)

    with pytest.raises(Cancelled):
        group_characters(samples, progress=stop)
    assert labels(samples) == [None] * 4


def test_plans_again_when_somebody_else_changed_the_groups(grouped, monkeypatch):
    import ccip_plugin.grouping.run as grouping

    samples = grouped("aabb")
    plan = grouping.make_plan
    calls = []

    def interrupted(*args, **options):
        made = plan(*args, **options)
        calls.append(made)
        if len(calls) == 1:
            group_characters(samples, eps=1.0)  # somebody else, from planning to writing
        return made

    with monkeypatch.context() as context:
        context.setattr(grouping, "make_plan", interrupted)
        group_characters(samples)
    assert partition(samples) == [0, 0, 1, 1]
    assert len(calls) == 3


# -- who is who from one run to the next


def test_groups_without_members_are_recognized_by_their_looks(grouped):
    samples = grouped("aaabb" + "cc")
    group_characters(samples)
    before = labels(samples)
    samples.set_values("character_group", [None] * 7)  # a person wants all of it decided anew
    samples.delete_samples(samples.values("id")[5:])
    group_characters(samples)
    assert labels(samples) == before[:5]
    assert set(load_registry(samples, "character_group").groups) == {1, 2}
    samples.add_samples([fo.Sample(filepath=f"/{n}.png") for n in range(2)])
    embed(samples[5:], "cc")
    group_characters(samples)
    assert labels(samples)[5:] == ["char_0004"] * 2, "nobody had named group 3, and it is forgotten"


def test_looks_of_another_model_say_nothing(grouped):
    from ccip_plugin.core.preprocessing import READING_POLICY
    from ccip_plugin.embeddings.provenance import Provenance, write_provenance

    samples = grouped("aaabb")
    group_characters(samples)
    samples.set_values("character_group", [None] * 5)
    write_provenance(samples, EMBEDDINGS_FIELD, Provenance("ccip-caformer_b36-24", READING_POLICY))
    group_characters(samples)
    assert labels(samples) == ["char_0003"] * 3 + ["char_0004"] * 2


def test_the_registry_stays_small(grouped):
    samples = grouped("".join(2 * chr(ord("a") + n) for n in range(20)))
    group_characters(samples)
    config = samples.get_run_info("ccip_registry_character_group").config
    assert all(len(str(group)) < 350 for group in config.delta["groups"].values())
    assert len(config.delta["groups"]) == 20


def simulated(n, seed=3):
    """Embeddings of characters of many sizes that resemble each other, and of images alone."""
    random = np.random.default_rng(seed)
    sizes = np.minimum(2 + random.pareto(1.2, n // 6) * 3, n / 20).astype(int)
    who = np.repeat(np.arange(len(sizes)), sizes)[:n]
    who = random.permutation(np.concatenate([who, len(sizes) + np.arange(n - len(who))]))
    means = 0.6 * random.standard_normal(DIM) + random.standard_normal((len(sizes) + n, DIM))
    vectors = means[who] + 0.62 * random.lognormal(0, 0.25, (n, 1)) * random.standard_normal((n, DIM))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_a_few_more_images_leave_the_rest_where_it_is(grouped):
    vectors = simulated(840)
    samples = grouped("a" * 800)
    samples.set_values(EMBEDDINGS_FIELD, list(vectors[:800]))
    group_characters(samples)
    before = labels(samples)
    samples.add_samples([fo.Sample(filepath=f"/new {n}.png") for n in range(40)])
    samples[800:].set_values(EMBEDDINGS_FIELD, list(vectors[800:]))
    report = group_characters(samples)
    kept = np.mean([old == new for old, new in zip(before, labels(samples)[:800], strict=True)])
    assert report.n_groups > 50 and kept >= 0.99
    again = group_characters(samples)
    assert (again.n_written, again.number) == (0, None)


# -- adding


@pytest.mark.parametrize("method", ["linkage", "dbscan"])
def test_adding_touches_nothing_that_has_a_label(grouped, method):
    samples = grouped("aabbcd")
    group_characters(samples)
    first = samples.first()
    first.character_group.label = "綾波レイ"
    first.save()
    samples.add_samples([fo.Sample(filepath=f"/new {n}.png") for n in range(6)])
    embed(samples[6:], "bceef ")
    before = (samples[:6].values("character_group"), samples[:6].values("last_modified_at"))
    report = group_characters(samples, mode="add", method=method)
    samples.reload()
    assert (samples[:6].values("character_group"), samples[:6].values("last_modified_at")) == before
    assert labels(samples)[6:] == [
        "char_0002",
        "unassigned",
        "char_0004",
        "char_0004",
        "unassigned",
        None,
    ]
    assert (report.n_items, report.n_written) == (12, 5)
    again = group_characters(samples, mode="add", method=method)
    assert (again.n_written, again.number) == (0, None)


def test_adding_a_view_adds_only_there(grouped):
    samples = grouped("aabb" + "ab")
    group_characters(samples[:4])
    group_characters(samples[4:5], mode="add")
    assert labels(samples)[4:] == ["char_0001", None]


def test_adding_to_nothing_is_a_first_grouping(grouped):
    samples = grouped("aab")
    group_characters(samples, mode="add")
    assert partition(samples) == [0, 0, -1]


# -- rescued images


def test_rescued_images_are_marked_and_found(grouped):
    from ccip_plugin.grouping.proposals import rescued_view

    rows = np.zeros((26, DIM), np.float32)  # two outfits of a character, an image much like one, and somebody else
    rows[:25, 0] = 1
    rows[:12, 1], rows[12:24, 2] = 0.65, 0.65
    rows[:24, 5:29] = 0.3 * np.eye(24)
    rows[24, 0], rows[24, 1], rows[24, 4] = 0.601, 0.314, 0.735
    rows[25, 3] = 1
    samples = grouped("a" * 26)
    assert len(rescued_view(samples)) == 0
    samples.set_values(EMBEDDINGS_FIELD, list(rows / np.linalg.norm(rows, axis=1, keepdims=True)))
    report = group_characters(samples)
    assert labels(samples) == ["char_0001"] * 25 + ["unassigned"]
    assert report.n_rescued == 1 and report.facts()["Rescued, to be reviewed"] == "1"
    assert samples.values("character_group.rescued") == [None] * 24 + [True, None]
    (found,) = rescued_view(samples)
    assert found.filepath == samples.skip(24).first().filepath
    assert "character_group.rescued" in samples.get_field_schema(flat=True)
    found.character_group.status = "confirmed"
    found.save()
    assert len(rescued_view(samples)) == 0


def test_warns_of_chains(grouped):
    angles = np.radians(np.arange(0, 180, 5))
    rows = np.zeros((len(angles), DIM), np.float32)
    rows[:, 0], rows[:, 1] = np.cos(angles), np.sin(angles)
    samples = grouped("a" * len(angles))
    samples.set_values(EMBEDDINGS_FIELD, list(rows))
    assert any("chains" in warning for warning in group_characters(samples, method="dbscan").warnings)
    assert group_characters(samples).warnings == ()


def test_groups_that_came_with_labels_of_another_dataset(grouped):
    """Their ids mean nothing here, and the images are like those of other groups: nobody is in theirs any more."""
    samples, other = grouped("aaab"), grouped("aabbbccdd")
    group_characters(samples)
    group_characters(other)
    samples.merge_samples(other, key_field="id")
    report = group_characters(samples)
    assert len(set(labels(samples))) == report.n_groups == 4
    assert partition(samples) == [0, 0, 0, 1, 0, 0, 1, 1, 1, 2, 2, 3, 3]
    undo(samples)
    group_characters(samples)
    assert partition(samples) == [0, 0, 0, 1, 0, 0, 1, 1, 1, 2, 2, 3, 3]


def test_a_group_of_one_automatic_label_from_elsewhere(grouped):
    samples = grouped("aaaab")
    group_characters(samples)
    last = samples.last()
    values = {"label": "char_0007", "assigned": "char_0007", "group_id": 7, "status": "auto"}
    last["character_group"] = fo.Classification(**values)
    last.save()
    group_characters(samples)
    assert labels(samples) == ["char_0001"] * 4 + ["unassigned"]
    assert 7 not in load_registry(samples, "character_group").groups


def test_a_run_key_is_that_of_one_field(grouped):
    samples = grouped("aabb")
    group_characters(samples, run_key="mine")
    with pytest.raises(CCIPError, match="is of group_field 'character_group', not 'other_group'"):
        group_characters(samples, group_field="other_group", run_key="mine")
    assert samples.get_field("other_group") is None
