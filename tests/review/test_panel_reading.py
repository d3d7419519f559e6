"""What the review panel reads, called as the panel calls it."""

from types import SimpleNamespace

import fiftyone as fo
import numpy as np
import pytest

from tests.review.tabs import restart
from tests.support.groups import vector

pytestmark = pytest.mark.mongo
FIELD = "character_group"


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


def test_all_groups_are_listed_in_the_order_of_their_pages(call, made):
    from ccip_plugin import confirm
    from ccip_plugin.review.cards import LISTED, list_groups

    data = made("aaaabbbccd")
    confirm(data[4:6])
    for sort, show in (("size", "all"), ("name", "all"), ("reviewed", "open"), ("rival", "tiny")):
        page = call(data, "groups", sort=sort, show=show)["cards"]
        rows = call(data, "listing", sort=sort, show=show)["rows"]
        assert page and rows == [[card[each] for each in ("id", "name", "size", "confirmed")] for card in page]
    many = SimpleNamespace(ids=np.arange(LISTED + 1))
    assert list_groups(None, many, sort="size", show="all") == [], "the server searches these"


def test_a_page_keeps_its_groups_in_their_places(panel, made):
    data = made("aaaaabbbbcccdd", persistent=True)
    tab = panel(data)
    page = tab.read("groups", sort="size")
    assert [card["id"] for card in page["cards"]] == [1, 2, 3, 4]
    again = {"sort": "size", "ids": [1, 2, 3, 4], "newest": page["newest"]}
    tab.write("move", items=data.values("id")[:4], to=4)
    assert [card["id"] for card in tab.read("groups", sort="size")["cards"]] == [4, 2, 3, 1]
    stays = tab.read("groups", **again)
    assert [(card["id"], card["size"]) for card in stays["cards"]] == [(1, 1), (2, 4), (3, 3), (4, 6)]
    tab.write("merge", groups=[2, 3])
    tab.write("split", group=4, parts=[data.values("id")[:2]])
    stays = tab.read("groups", **again)
    assert [(card["id"], card["size"]) for card in stays["cards"]] == [(1, 1), (2, 7), (4, 4), (5, 2)], (
        "a new one follows"
    )
    found = tab.read("groups", find="char_0001", ids=[1], newest=page["newest"])
    assert [card["id"] for card in found["cards"]] == [1], "the new one has another name"
    tab.write("undo")
    tab.write("undo")
    again |= {each: stays[each] for each in ("ids", "newest")}
    shown = [(card["id"], card["size"]) for card in tab.read("groups", **again)["cards"]]
    assert shown == [(1, 1), (2, 4), (3, 3), (4, 6)], "as before, in their places"
    tab.write("redo")
    gone = tab.read("groups", sort="size", ids=[3], newest=5)
    assert [card["id"] for card in gone["cards"]] == [2, 4, 1], "none of them is left"


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


# -- what others change: names typed by hand, embeddings computed once more, other cards


def typed(data, row, name):
    """Types a name in the label of an image, as the App's editor does."""
    sample = list(data)[row]
    sample[FIELD].label = name
    sample.save()


def ids_of(tab):
    return {card["name"]: card["id"] for card in tab.read("groups", per_page=48)["cards"]}


def spread_of(tab, name):
    return next(card["inside"] for card in tab.read("groups", per_page=48)["cards"] if card["name"] == name)


def test_a_name_typed_by_hand_has_one_id_whatever_else_is_typed(panel, made):
    data = made("aaaaaabbbbbb", persistent=True)
    tab = panel(data)
    typed(data, 8, "Zed")
    zed = ids_of(tab)["Zed"]
    typed(data, 1, "Alf")
    alf = ids_of(tab)["Alf"]
    data.delete_samples([list(data)[5].id])  # all is read again
    assert (ids_of(tab)["Zed"], ids_of(tab)["Alf"]) == (zed, alf)
    restart()
    assert (ids_of(tab)["Zed"], ids_of(tab)["Alf"]) == (zed, alf)
    done = tab.write("rename", group=zed, name="Rei")
    assert done["number"], done
    data.reload()
    assert sorted({sample[FIELD].label for sample in data} - {"char_0001", "char_0002"}) == ["Alf", "Rei"]
    assert tab.write("rename", group=zed, name="Ken")["problem"]["code"] in ("gone", "stale"), "it is registered now"


def test_an_id_of_a_typed_name_is_never_that_of_another_group(panel, made):
    data = made("aaaaaabbbbbb", persistent=True)
    tab = panel(data)
    typed(data, 8, "Zed")
    zed = ids_of(tab)["Zed"]
    assert tab.write("rename", group=next(iter(set(ids_of(tab).values()) - {zed})), name="Rei")["number"]
    ids = ids_of(tab)
    assert zed not in ids.values() and max(ids.values()) < 100, "the change has registered it"


def test_an_answer_about_a_typed_group_is_kept_with_its_registered_id(panel, made):
    data = made("aaaaaabbbbbb", persistent=True)
    tab = panel(data)
    typed(data, 8, "Zed")
    ids = ids_of(tab)
    pair = [ids["Zed"], ids[sorted(set(ids) - {"Zed"})[0]]]
    assert tab.write("keep_apart", groups=pair)["number"]
    assert tab.write("undo")["number"]


@pytest.mark.parametrize("row", [0, 7])
def test_an_embedding_that_was_computed_once_more_is_seen(panel, made, row):
    data = made("aaaaaabbbbbb", persistent=True)
    tab = panel(data)
    name = list(data)[row][FIELD].label
    before = spread_of(tab, name)
    sample = list(data)[row]
    sample["ccip_embedding"] = vector("x", 3)
    sample.save()
    now = spread_of(tab, name)
    restart()
    assert now == spread_of(tab, name) != before


def test_an_embedding_that_was_removed_is_seen(panel, made):
    data = made("aaaaaabbbbbb", persistent=True)
    tab = panel(data)
    tab.read("groups")
    sample = data.first()
    sample["ccip_embedding"] = None
    sample.save()
    name = sample[FIELD].label
    now = spread_of(tab, name)
    restart()
    assert now == spread_of(tab, name)
    assert np.isfinite(now)


def test_a_card_that_is_out_of_date_confirms_and_ignores_nothing(panel, made):
    data = made("aaaaaabbbbbb", persistent=True)
    one, other = panel(data, "one"), panel(data, "other")
    ids = ids_of(one)
    first, second = ids["char_0001"], ids["char_0002"]
    items = [sample.id for sample in data]
    assert other.write("move", items=items[:1], to=second)["number"]
    for method in ("confirm", "ignore"):
        assert one.write(method, groups=[second], sizes={str(second): 6})["problem"]["code"] == "stale"
    assert one.write("reject", items=items[:1], group=first)["problem"]["code"] == "stale"
    assert one.write("confirm", groups=[second], sizes={str(second): 7})["number"]
    assert one.write("reject", items=items[1:2], group=first)["number"]
