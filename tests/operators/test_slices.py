"""Grouped datasets: everything works in the slice that it is given, active or not, and nothing in others is lost."""

import fiftyone as fo
import pytest

import ccip_plugin as ccip
from tests.support.app.operator_tools import run
from tests.support.groups import embed, labels, vector

pytestmark = pytest.mark.mongo

LETTERS = "aabbcc"
PREFIX = "@ccip/characters/"


@pytest.fixture(params=["front", "back"])
def shot(request):
    """The active slice, and another one."""
    return request.param


@pytest.fixture
def shots(dataset):
    """A dataset with two slices, with detections in each."""
    data = dataset()
    data.add_group_field("shot", default="front")
    samples = []
    for number in range(len(LETTERS)):
        group = fo.Group()
        for name in ("front", "back"):
            faces = fo.Detections(detections=[fo.Detection(label="face", bounding_box=[0, 0, 1, 1])])
            path = f"/絵/{name} {number}.png"
            samples.append(fo.Sample(filepath=path, shot=group.element(name), faces=faces))
    data.add_samples(samples)
    return data


def grouped(shots, shot, patches_field=None):
    """A slice with groups."""
    embed(shots.select_group_slices(shot), LETTERS, patches_field)
    view = shots.select_group_slices(shot)
    ccip.group_characters(view, patches_field=patches_field)
    return view


def names(view):
    return view.values("faces.detections.character_group", unwind=True)


def test_a_slice_is_grouped_again_after_some_of_it_changed(shots, shot):
    view = grouped(shots, shot)
    ccip.move(view[:1], "Rei")
    view[1:2].set_values("ccip_embedding", [vector("b", 9)])
    ccip.group_characters(view)
    assert labels(view)[0] == "Rei"
    assert len(set(labels(view)[1:4])) == 1
    report = ccip.propose_groups(view, eps=0.6)
    assert ccip.apply_proposal(view, rows=[report.rows[0].number]).n_changed > 0


def test_a_group_of_a_slice_is_split_shown_and_exported(shots, shot, tmp_path):
    view = grouped(shots, shot)
    assert ccip.split_group(view, 1, k=2).n_changed == 1
    assert [each.split(" ")[0] for each in ccip.show_group(view, 2).values("filepath")] == [f"/絵/{shot}"] * 2
    ccip.confirm(view[4:])
    ccip.export_decisions(view, tmp_path / "decisions.json")
    for _ in range(3):
        ccip.undo(view)
    assert ccip.import_decisions(view, tmp_path / "decisions.json").n_found == 4
    assert [label is not None for label in labels(view)] == [True, True, False, False, True, True]
    assert set(labels(shots.exclude_group_slices(shot))) == {None}, "the other slice is left alone"


def test_patches_of_a_slice(shots, shot):
    view = grouped(shots, shot, "faces")
    patches = view.to_patches("faces")
    assert ccip.confirm(patches[:2]).n_changed == 2
    assert ccip.move(patches[2:3], "Rei").n_changed == 1
    assert ccip.reject(patches[3:4]).n_rejected == 1
    ccip.group_characters(patches)
    assert names(view)[2] == "Rei"


@pytest.mark.parametrize("patches_field", [None, "faces"])
def test_other_slices_keep_their_groups(shots, patches_field):
    view = grouped(shots, "back", patches_field)
    ccip.confirm(view[:2], patches_field=patches_field)
    before = labels(view), names(view) if patches_field else None
    ccip.delete_grouping(shots.select_group_slices("front"), patches_field=patches_field)
    shots.reload()
    assert (labels(view), names(view) if patches_field else None) == before
    again = ccip.group_characters(view, patches_field=patches_field)
    assert again.n_written == 0


def test_operators_on_a_group_of_a_slice(shots, shot):
    view = grouped(shots, shot)
    first = view.values("id")[:1]
    run(f"{PREFIX}rename_group", view, selected=first, name="Rei")
    assert labels(view)[:2] == ["Rei", "Rei"]
    run(f"{PREFIX}split_group", view, selected=first)
    shown = run(f"{PREFIX}show_group", view, selected=first, group="Rei")
    assert "set_view" in shown
