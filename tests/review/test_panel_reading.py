"""What the review panel reads, called as the panel calls it."""

import fiftyone as fo
import pytest

pytestmark = pytest.mark.mongo


def test_opens_with_what_there_is(call, made):
    data = made("aaabb")
    opened = call(data, "open", tab="t")
    assert opened["sources"] == [
        {
            "group_field": "character_group",
            "patches_field": None,
            "label": "images, by 'character_group'",
            "n_items": 5,
        }
    ]
    assert opened["source"] == {"group_field": "character_group", "patches_field": None}
    assert len(opened["token"]) == 64 and opened["by_hand"] == 0 and not opened["is_view"]
    progress = opened["progress"]
    assert (progress["items"], progress["groups"], progress["open"], progress["noun"]) == (5, 2, 5, "images")
    assert "problem" not in opened


def test_groups_are_cards(call, made):
    page = call(made("aaabbA"), "groups", sort="size")
    assert (page["n"], page["page"]) == (len(page["cards"]), 0)
    first, *others = page["cards"]
    assert (first["name"], first["named"], first["size"], first["confirmed"]) == ("char_0001", False, 3, 0)
    assert [len(each["pictures"]) for each in page["cards"]] == [each["size"] for each in page["cards"]]
    assert first["rival"]["id"] in {each["id"] for each in others}
    assert "unnamed" in first["flags"] and first["pictures"][0]["status"] == "auto"


def test_what_others_change_is_seen_at_the_next_call(call, made):
    from ccip_plugin import merge_groups, rename_group, undo

    data = made("aaabbb")
    assert call(data, "groups")["n"] == 2
    rename_group(data, 1, "綾波 レイ")
    merge_groups(data, [1, 2])
    (card,) = call(data, "groups")["cards"]
    assert (card["name"], card["named"], card["size"], card["reviewed"]) == ("綾波 レイ", True, 6, False)
    undo(data)
    undo(data)
    assert [each["name"] for each in call(data, "groups", sort="name")["cards"]] == ["char_0001", "char_0002"]
    sample = data.first()
    sample["character_group"].label = "Asuka"
    sample.save()
    assert sorted(each["name"] for each in call(data, "groups")["cards"]) == ["Asuka", "char_0001", "char_0002"]
    data.delete_samples(data.last().id)
    assert call(data, "open")["progress"]["items"] == 5


@pytest.mark.parametrize(
    "letters, code, operator",
    [("", "no_embeddings", "compute_embeddings"), ("aab", "no_groups", "group_characters")],
    ids=["no embeddings", "no groups"],
)
def test_says_what_is_missing(call, grouped, dataset, letters, code, operator):
    data = grouped(letters) if letters else dataset("/a.png")
    for method in ("open", "groups", "history"):
        problem = call(data, method)["problem"]
        assert (problem["code"], problem["action"]["operator"]) == (code, f"@ccip/characters/{operator}")
        assert problem["message"].endswith(".")


def test_images_and_detections_are_a_choice(call, dataset):
    from ccip_plugin.grouping import group_characters
    from tests.support.groups import embed

    data = dataset(*(f"/{n}.png" for n in range(4)))
    for sample in data:
        boxes = ([0, 0, 0.5, 1], [0.5, 0, 0.5, 1])
        sample["faces"] = fo.Detections(detections=[fo.Detection(label="face", bounding_box=box) for box in boxes])
        sample.save()
    embed(data, "aabb")
    embed(data, "aabbaabb", "faces")
    group_characters(data)
    group_characters(data, patches_field="faces")
    opened = call(data, "open")
    assert opened["problem"]["code"] == "choose" and [each["n_items"] for each in opened["sources"]] == [4, 8]
    source = {"group_field": "character_group", "patches_field": "faces"}
    page = call(data, "groups", source=source)
    assert page["progress"]["noun"] == "detections" and page["cards"][0]["pictures"][0]["box"][2:] == [0.5, 1.0]
    gone = call(data, "groups", source={"group_field": "x", "patches_field": None})
    assert gone["problem"]["code"] == "choose"


def test_the_images_of_a_group_most_doubtful_first(call, made):
    data = made("aaaabb")
    found = call(data, "group", id=1)
    differences = [each["difference"] for each in found["pictures"]]
    assert found["n"] == 4 and len(differences) == 4 and found["card"]["id"] == 1
    assert call(data, "group", id=77)["problem"]["code"] == "gone"
    assert call(data, "names", text="CHAR_0002")["names"] == [{"id": 2, "name": "char_0002", "size": 2}]


def test_history(call, made):
    from ccip_plugin import confirm, undo

    data = made("aabb")
    confirm(data[:1])
    confirm(data[1:2])
    undo(data)
    rows = call(data, "history")["rows"]
    assert [(row["text"].partition(":")[0], row["n"], row["undone"]) for row in rows] == [
        ("confirm", 1, True),
        ("confirm", 1, False),
        ("group by character", 4, False),
    ]
    assert call(data, "history", n=1, skip=2)["rows"][0]["number"] == 1 and call(data, "history")["can_redo"]
