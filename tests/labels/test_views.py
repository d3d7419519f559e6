"""Saved views of the groups show what their names say, on samples and patches; names on detections are only shown."""

import fiftyone as fo
import pytest

from ccip_plugin import confirm, delete_grouping, group_characters, ignore, move, save_views, set_cover, show_names
from ccip_plugin.core.errors import ParameterError
from ccip_plugin.labels.views import VIEWS, NoGroupsError
from tests.support.groups import embed

pytestmark = pytest.mark.mongo

LETTERS = "aaaabbbcd"


@pytest.fixture(params=[None, "faces"], ids=["samples", "detections"])
def made(request, dataset, tmp_path):
    """A grouped dataset, the field with the detections, and the ids of its items."""
    field = request.param
    new = dataset(*(tmp_path / f"{n}.png" for n in range(len(LETTERS) if field is None else 3)))
    for sample in new if field else ():
        boxes = [fo.Detection(label="girl", bounding_box=[0.3 * k, 0, 0.3, 1]) for k in range(3)]
        sample[field] = fo.Detections(detections=boxes)
        sample.save()
    embed(new, LETTERS, field)
    group_characters(new, patches_field=field)
    return new, field, new.values("id" if field is None else f"{field}.detections.id", unwind=True)


def shown(data, name):
    return data.load_saved_view(name).values("id")


def view_of(data, field, ids):
    return data.select(ids) if field is None else data.select_labels(ids=ids, fields=field)


def test_they_show_what_their_names_say(made):
    data, field, ids = made
    suffix = "" if field is None else f" ({field})"
    confirm(view_of(data, field, ids[:1]), patches_field=field)
    ignore(view_of(data, field, ids[8:]), patches_field=field)
    done = save_views(data, patches_field=field)
    assert done.names == tuple(f"CCIP: {name}{suffix}" for name in VIEWS) and not done.replaced
    assert data.list_saved_views() == list(done.names)
    views = {name: shown(data, f"CCIP: {name}{suffix}") for name in VIEWS}
    assert set(views["most doubtful"]) == set(ids[1:7])
    path = "character_group.confidence" if field is None else f"{field}.character_confidence"
    doubt = data.load_saved_view(f"CCIP: most doubtful{suffix}").values(path)
    assert doubt == sorted(doubt)
    assert views["unassigned"] == ids[7:8] and views["rescued"] == []
    assert set(views["not reviewed"]) == set(ids[1:8])
    assert len(views["one tile per group"]) == 2 and views["one tile per group"][0] in ids[:4]
    assert views["by group"][:4] == ids[:4] and set(views["by group"][4:]) == set(ids[4:7])
    confirm(data, groups="char_0002", patches_field=field)
    doubtful = data.load_saved_view(f"CCIP: most doubtful{suffix}")
    if field:
        doubtful.reload()
    assert set(doubtful.values("id")) == set(ids[1:4]), "a saved view is a query"


def test_a_tile_is_the_cover_and_the_largest_group_is_first(made):
    data, field, ids = made
    suffix = "" if field is None else f" ({field})"
    name = f"CCIP: one tile per group{suffix}"
    move(view_of(data, field, ids[:3]), "char_0002", patches_field=field)  # six of the second group, one of the first
    for cover in (ids[5], ids[1]):
        set_cover(view_of(data, field, [cover]), patches_field=field)
        save_views(data, views=["one tile per group"], patches_field=field)
        assert shown(data, name) == [cover, ids[3]]
    tiles = data.load_saved_view(name)
    assert len(tiles) == 2 and len(tiles.first().to_dict()) > 3 and tiles.limit(1).values("id") == [ids[1]]
    assert "_ccip_cover" not in next(iter(tiles._aggregate()))


def test_some_of_them_once_more(made):
    data, field, _ = made
    first = save_views(data, views="most doubtful", patches_field=field)
    again = save_views(data[:1], views=["most doubtful", "unassigned"], patches_field=field)
    assert again.replaced == first.names and len(data.list_saved_views()) == 2
    assert len(data.load_saved_view(first.names[0])) == 7, "of the whole dataset"


def test_colors_of_the_user_stay(made):
    data, field, _ = made
    save_views(data, patches_field=field)
    ((colored),) = data.app_config.color_scheme.fields
    attribute = "label" if field is None else "character_group"
    assert (colored["path"], colored["colorByAttribute"]) == (field or "character_group", attribute)
    data.app_config.color_scheme.fields = [{"path": field or "character_group", "fieldColor": "#ff0000"}]
    data.save()
    save_views(data, patches_field=field)
    assert data.app_config.color_scheme.fields == [{"path": field or "character_group", "fieldColor": "#ff0000"}]


def test_they_go_with_the_groups(made):
    data, field, _ = made
    data.save_view("mine", data.limit(1))
    save_views(data, patches_field=field)
    delete_grouping(data, patches_field=field)
    assert data.list_saved_views() == ["mine"]


@pytest.mark.parametrize("views", [["nothing"], [None], "all", 3])
def test_other_views_are_refused(made, views):
    data, field, _ = made
    with pytest.raises(ParameterError, match="some of 'most doubtful'"):
        save_views(data, views=views, patches_field=field)
    assert not data.list_saved_views()


def test_without_groups_there_is_nothing_to_show(dataset, tmp_path):
    data = dataset(tmp_path / "1.png")
    for function in (save_views, show_names):
        with pytest.raises(NoGroupsError, match="make some with group_characters"):
            function(data)


def test_names_are_shown_and_nothing_is_written(made):
    data, field, _ = made
    if field is None:
        with pytest.raises(ParameterError, match="images show their names anyway"):
            show_names(data)
        return
    named = show_names(data, patches_field=field)
    groups = ["char_0001"] * 4 + ["char_0002"] * 3 + ["unassigned"] * 2
    assert named.values(f"{field}.detections.label", unwind=True) == groups
    patches = data.to_patches(field)
    assert show_names(patches).values(f"{field}.label") == groups
    assert data.values(f"{field}.detections.label", unwind=True) == ["girl"] * 9
    confirm(show_names(patches)[:1])
    assert data.values(f"{field}.detections.label", unwind=True) == ["girl"] * 9
