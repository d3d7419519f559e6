"""Edits of images and groups that are not in the dataset any more."""

import pytest

from tests.review.tabs import state

pytestmark = pytest.mark.mongo
GONE = "5" * 24


@pytest.fixture
def data(made):
    return made("aaabbb", persistent=True)


METHODS = [
    pytest.param("move", {"to": 1}, id="move"),
    pytest.param("move", {"name": "Rei"}, id="move to a new group"),
    pytest.param("reject", {}, id="reject"),
    pytest.param("reject", {"group": 1}, id="reject from a group"),
    pytest.param("ignore", {}, id="ignore"),
    pytest.param("cover", {"group": 1}, id="cover"),
]


@pytest.mark.parametrize("method, args", METHODS)
def test_an_image_that_was_deleted(panel, data, method, args):
    tab, before = panel(data), state(data)
    problem = tab.write(method, items=[GONE], **args)["problem"]
    assert problem["code"] == "gone"
    assert problem["message"] == f"The image {GONE} is not in the dataset any more: deleted meanwhile."
    assert state(data) == before and len(tab.read("history")["rows"]) == 1


@pytest.mark.parametrize("method, args", METHODS)
def test_one_of_several_was_deleted(panel, data, method, args):
    tab, ids = panel(data), data.values("id")
    tab.read("groups")
    data.delete_samples(ids[1])
    before = state(data)
    problem = tab.write(method, items=ids[:2], **args)["problem"]
    assert problem["code"] == "gone" and ids[1] in problem["message"]
    assert state(data) == before and len(tab.read("history")["rows"]) == 1


@pytest.mark.parametrize(
    "method, args",
    [
        ("confirm", {"groups": [77]}),
        ("ignore", {"groups": [77]}),
        ("keep_apart", {"groups": [1, 77]}),
        ("keep_together", {"groups": [77]}),
        ("merge", {"groups": [1, 77]}),
        ("rename", {"group": 77, "name": "Rei"}),
        ("split", {"group": 77, "k": 2}),
        ("move", {"to": 77, "items": []}),
    ],
)
def test_a_group_that_is_gone(panel, data, method, args):
    tab = panel(data)
    args = {**args, **({"items": data.values("id")[:1]} if "items" in args else {})}
    problem = tab.write(method, **args)["problem"]
    assert problem["code"] == "gone" and "77" in problem["message"], problem


@pytest.mark.parametrize("name", ["move", "reject", "ignore", "confirm", "keep_apart", "keep_together", "set_cover"])
def test_in_python(data, name):
    import ccip_plugin as ccip
    from ccip_plugin.labels.edits.members import ItemsGoneError

    function, more = getattr(ccip, name), {"to": "Rei"} if name == "move" else {}
    with pytest.raises(ItemsGoneError, match=f"the image {GONE} is not in the dataset any more"):
        function(data.select(GONE), **more)
    with pytest.raises(ItemsGoneError, match=f"none of these 2 images is in the dataset any more, such as {GONE}"):
        function(data.select([GONE, "6" * 24]), **more)


def test_an_empty_view_of_images_that_are_there_is_no_error(data):
    from fiftyone import ViewField as F

    from ccip_plugin import confirm

    assert not confirm(data.select(data.first().id).match(F("filepath") == "x")).groups


def test_detections_that_were_deleted(dataset):
    import fiftyone as fo

    from ccip_plugin import group_characters, move
    from ccip_plugin.labels.edits.members import ItemsGoneError
    from tests.support.groups import embed

    data = dataset("/1.png", "/2.png")
    for sample in data.iter_samples(autosave=True):
        boxes = ([0, 0, 0.5, 1], [0.5, 0, 0.5, 1])
        sample["faces"] = fo.Detections(detections=[fo.Detection(label="face", bounding_box=box) for box in boxes])
    embed(data, "aabb", "faces")
    group_characters(data, patches_field="faces", same_image="ignore")
    with pytest.raises(ItemsGoneError, match=f"the detection {GONE} is not in the dataset any more"):
        move(data.select_labels(ids=[GONE], fields="faces"), "Rei", patches_field="faces")
