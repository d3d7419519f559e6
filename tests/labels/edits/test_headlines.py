"""The one line that says what an edit did, also where no label changes."""

import pytest

from ccip_plugin.labels.edits import EditReport
from ccip_plugin.labels.edits.rejection import NothingToRejectError

PATH = "character_group"


@pytest.mark.parametrize(
    "values, headline",
    [
        ({"groups": {"Rei": 1}}, "confirm: 1 image"),
        ({"groups": {"Rei": 1, "Asuka": 1}}, "confirm: 2 images"),
        ({"details": {"Cover of": "'Rei'"}, "n_groups": 1}, "confirm: cover of 'Rei'"),
        ({"details": {"Kept apart": "'Rei', 'Asuka'"}, "n_groups": 2}, "confirm: kept apart 'Rei', 'Asuka'"),
        ({"rejected": {"Rei": ("a",), "Asuka": ("b",)}}, "confirm: 2 marks as not this character"),
        ({"lifted": {"Rei": ("a",)}}, "confirm: 1 mark removed"),
        ({"n_groups": 1}, "confirm: 1 group"),
        ({}, "confirm: 0 images"),
    ],
)
def test_the_headline_says_what_was_done(values, headline):
    report = EditReport("confirm", PATH, **values, is_done=True)
    assert report.facts().headline == headline


def test_one_of_a_kind_is_singular():
    groups = {f"g{n:02}": 1 for n in range(21)} | {"unassigned": 1}
    text = EditReport("move", PATH, {"unassigned": 2}).facts()["Groups"]
    assert text == "2 in no group"
    assert EditReport("move", PATH, dict(list(groups.items())[:21])).facts()["Groups"].endswith("and 1 other group")
    assert str(NothingToRejectError(PATH, 1)).startswith("the chosen item is not in a group of ")
    assert str(NothingToRejectError(PATH, 2)).startswith("none of the 2 chosen is in a group of ")
