"""Progress of review: counted by the database as the labels themselves say it."""

import fiftyone as fo
import numpy as np
import pytest

import ccip_plugin as ccip
from ccip_plugin.labels.reviewed import ReviewProgress
from ccip_plugin.labels.store import LabelStore
from ccip_plugin.storage.targets import resolve
from tests.support.app.operator_tools import facts, run
from tests.support.groups import embed, labels

pytestmark = pytest.mark.mongo

ONE, TWO = "char_0001", "char_0002"


def counts(data, **field):
    found = ccip.review_progress(data, **field)
    return found.n_confirmed, found.n_ignored, found.n_open, found.n_groups_reviewed, found.n_groups


def test_it_counts_images_and_groups(embedded):
    data = embedded("aaaabbbc")
    assert counts(data) == (0, 0, 8, 0, 0)
    ccip.group_characters(data)
    assert labels(data) == [ONE] * 4 + [TWO] * 3 + ["unassigned"]
    assert counts(data) == (0, 0, 8, 0, 2)
    ccip.confirm(data[:3])
    ccip.ignore(data[7:])
    assert counts(data) == (3, 1, 4, 0, 2)
    ccip.ignore(data[3:4])
    assert counts(data) == (3, 2, 3, 1, 2), "an ignored image is in no group"
    ccip.rename_group(data, TWO, "綾波")
    assert counts(data) == (3, 2, 3, 1, 2), "a name says nothing about its images"
    first = data.skip(4).first()
    first.character_group.label = "Asuka"
    first.save()
    assert counts(data) == (4, 2, 2, 2, 3), "an edit by hand is a decision, too"
    ccip.undo(data)
    assert str(ccip.review_progress(data)).startswith("reviewed: 4 of 8 images confirmed, 2 ignored, 2 open; 2 of 3")
    assert counts(data[:3]) == (3, 0, 0, 1, 1)


@pytest.mark.parametrize(
    "shape, n_groups",
    [
        pytest.param(lambda data: ccip.merge_groups(data, [ONE, TWO]), 1, id="merge"),
        pytest.param(lambda data: ccip.split_group(data, ONE, parts=[data[:2]]), 3, id="split"),
        pytest.param(lambda data: ccip.keep_together(data, groups=[ONE]), 2, id="keep together"),
        pytest.param(lambda data: ccip.keep_apart(data, groups=[ONE, TWO]), 2, id="keep apart"),
        pytest.param(lambda data: ccip.rename_group(data, ONE, "Rei"), 2, id="rename"),
    ],
)
def test_whoever_shapes_a_group_did_not_confirm_its_images(embedded, shape, n_groups):
    data = embedded("aaaabbbb")
    ccip.group_characters(data)
    shape(data)
    assert counts(data) == (0, 0, 8, 0, n_groups)


def test_a_group_that_was_confirmed_as_a_whole_is_open_again_with_a_new_image(embedded):
    data = embedded("aaaaabbb")
    ccip.group_characters(data[:4])
    ccip.confirm(data, groups=ONE)
    assert counts(data) == (4, 0, 4, 1, 1)
    embed(data, "aaaaabbb")
    ccip.group_characters(data, mode="add")
    assert labels(data)[4] == ONE and counts(data)[:4] == (4, 0, 4, 0)
    ccip.confirm(data, groups=ONE)
    assert counts(data)[:4] == (5, 0, 3, 1)


def test_detections(dataset):
    data = dataset("/a.png", "/b.png")
    for sample in data.iter_samples(autosave=True):
        boxes = [fo.Detection(label="girl", bounding_box=[x, 0.1, 0.2, 0.2]) for x in (0.1, 0.5)]
        sample["people"] = fo.Detections(detections=boxes)
    embed(data, "aabb", "people")
    ccip.group_characters(data, patches_field="people")
    ids = data.values("people.detections.id", unwind=True)
    ccip.confirm(data.select_labels(ids=ids[:2], fields="people"), patches_field="people")
    ccip.ignore(data.select_labels(ids=ids[3], fields="people"), patches_field="people")
    assert counts(data, patches_field="people") == (2, 1, 1, 1, 2)
    assert "2 of 4 detections confirmed" in str(ccip.review_progress(data, patches_field="people"))


def test_spellings_of_a_name_are_one_group(embedded):
    data = embedded("aaaabbbc")
    ccip.group_characters(data)
    data[:4].set_values("character_group.label", ["Rei", " Rei", "か\u3099くほ\u309a", "がくぽ"])
    assert counts(data) == (4, 0, 4, 2, 3)
    data[:1].set_values("character_group.label", ["x" * 201])
    assert counts(data) == (4, 0, 4, 2, 3), "a text that is too long names no group"


@pytest.mark.parametrize("seed", range(3))
def test_it_counts_what_the_labels_say(dataset, seed):
    """Any label, of ours or of others, counts as the label store says."""
    print(f"seed {seed}")
    generator = np.random.default_rng(seed)
    data = dataset(*(f"/{n}.png" for n in range(60)))
    store = LabelStore(resolve(data), "character_group")
    store.declare()
    names, statuses = ["Rei", " 綾波 ", "unassigned", "", None], ["auto", "confirmed", "ignored", "strange", None]
    values = []
    for _ in range(60):
        label, assigned, status = (generator.choice(np.array(each, object)) for each in (names, names, statuses))
        values.append(fo.Classification(label=label, assigned=assigned, status=status))
    data.set_values("character_group", values)
    read = [label for label in store.read()[2] if label is not None]
    ignored = sum(label.is_ignored for label in read)
    found = ccip.review_progress(data)
    assert found.n_ignored == ignored
    assert found.n_confirmed == sum(label.is_human for label in read) - ignored
    assert found.n_items == 60


def test_it_is_in_the_results(embedded):
    data = embedded("aaab")
    done = ccip.group_characters(data)
    assert done.reviewed == ReviewProgress("character_group", 4, 0, 0, 1, 0)
    assert done.facts()["Reviewed"] == "0 of 4 images confirmed, 0 ignored, 4 open; 0 of 1 groups"
    assert type(done).from_dict(done.as_dict()).reviewed == done.reviewed
    assert ccip.propose_groups(data).report.reviewed is None
    shown = run("@ccip/characters/confirm", data, selected=data.values("id")[:1])
    told = facts(shown["show_output"]["results"])
    assert told["Reviewed"] == "1 of 4 images confirmed, 0 ignored, 3 open; 0 of 1 groups"


def test_a_dataset_without_groups(dataset):
    assert counts(dataset("/a.png")) == (0, 0, 1, 0, 0)
    assert counts(dataset()) == (0, 0, 0, 0, 0)
