"""Operators in the App's gallery of one tile per group: a view made by ``group_by``."""

import fiftyone as fo
import pytest

from tests.support.app.operator_tools import facts, form, problems, run, said

pytestmark = [pytest.mark.mongo, pytest.mark.usefixtures("models")]

URI = "@ccip/characters/"
LABEL = "character_group.label"
OPERATORS = (
    *("compute_embeddings", "group_characters", "explore_parameters", "apply_proposal", "reject", "undo", "redo"),
    *("delete_grouping", "find_similar", "compare_images", "compute_similarity", "compute_visualization"),
    *("evaluate_model", "evaluate_groups", "calibrate", "compare_runs"),
)


@pytest.fixture
def grouped(gallery):
    """Six images of three characters with embeddings and groups."""
    data = gallery("aabbcc")
    run(f"{URI}compute_embeddings", data)
    run(f"{URI}group_characters", data)
    return data


def test_every_form_is_shown(grouped):
    tiles = grouped.group_by(LABEL)
    for name in OPERATORS:
        for ids in ([], tiles.values("id")[:2]):
            for target in ("CURRENT_VIEW", "DATASET", "SELECTED_SAMPLES"):
                asked = form(f"{URI}{name}", tiles, selected=ids, view_target=target)
                assert all("group_slice" not in problem for problem in problems(asked).values()), name


@pytest.mark.parametrize(
    "view, target, n",
    [
        pytest.param(lambda data: data.group_by(LABEL), None, 6, id="one tile per group stands for all images"),
        pytest.param(lambda data: data.group_by(LABEL), "CURRENT_VIEW", 6, id="chosen"),
        pytest.param(lambda data: data.group_by(LABEL).limit(2), "CURRENT_VIEW", 4, id="two groups"),
        pytest.param(lambda data: data.limit(3).group_by(LABEL), "CURRENT_VIEW", 3, id="groups of a view"),
        pytest.param(lambda data: data.limit(3).group_by(LABEL), "DATASET", 6, id="the dataset"),
        pytest.param(lambda data: data.group_by(LABEL, order_by="filepath"), "CURRENT_VIEW", 6, id="in an order"),
        pytest.param(lambda data: data.group_by(LABEL), "SELECTED_SAMPLES", 1, id="a selected tile is one sample"),
    ],
)
def test_works_on_what_the_tiles_stand_for(grouped, view, target, n):
    tiles = view(grouped)
    params = {"embeddings_field": "other", **({} if target is None else {"view_target": target})}
    ids = tiles.values("id")[:1]
    asked = form(f"{URI}compute_embeddings", tiles, selected=ids, **params)
    assert problems(asked) == {}
    assert said(asked, "count_hint").startswith(f"{n} image")
    run(f"{URI}compute_embeddings", tiles, selected=ids, **params)
    assert grouped.count("other") == n


def test_groups_of_detections(boxes):
    patches = boxes.to_patches("faces")
    run(f"{URI}compute_embeddings", patches)
    run(f"{URI}group_characters", patches)
    tiles = boxes.to_patches("faces").group_by("faces.character_group")
    asked = form(f"{URI}compute_embeddings", tiles)
    assert said(asked, "count_hint").startswith("8 detections")
    run(f"{URI}reject", tiles, selected=tiles.values("id")[:1])
    assert boxes.count_values("faces.detections.character_group")["unassigned"] == 1


def test_only_the_selected_images_are_rejected(grouped):
    tiles = grouped.group_by(LABEL)
    tile = tiles.first().id
    asked = form(f"{URI}reject", tiles, selected=[tile])
    assert problems(asked) == {}
    run(f"{URI}reject", tiles, selected=[tile])
    assert grouped.match({"character_group.label": "unassigned"}).values("id") == [tile]


def test_an_image_that_is_selected_inside_an_opened_group(grouped):
    tiles = grouped.group_by(LABEL)
    hidden = sorted(set(grouped.values("id")) - set(tiles.values("id")))[:2]
    shown = run(f"{URI}compare_images", tiles, selected=hidden)
    assert facts(shown["show_output"]["results"])["Compared"] == "2 images"


def test_slices_with_dynamic_groups(dataset, images):
    data = dataset()
    data.add_group_field("shot", default="front")
    samples = []
    for front, back in zip(images("aabb"), images("ccdd"), strict=True):
        group = fo.Group()
        samples += [fo.Sample(filepath=str(front), shot=group.element("front"), kind="k")]
        samples += [fo.Sample(filepath=str(back), shot=group.element("back"), kind="k")]
    data.add_samples(samples)
    tiles = data.select_group_slices("front").group_by("kind")
    for target in ("CURRENT_VIEW", "DATASET"):
        asked = form(f"{URI}compute_embeddings", tiles, view_target=target)
        assert problems(asked) == {}, target
        assert said(asked, "count_hint").startswith("4 images")
