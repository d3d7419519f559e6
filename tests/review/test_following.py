"""What the board in memory sees of changes that others make: names typed by hand, embeddings computed once more."""

import numpy as np
import pytest

from tests.review.tabs import restart
from tests.support.groups import vector

pytestmark = pytest.mark.mongo
FIELD = "character_group"


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
