"""Groups are corrected in the App: rename, move, confirm, ignore, undo, group again; everything is still there."""

import os
import re

import pytest

from ccip_plugin import group_characters
from ccip_plugin.labels.identities import load_registry
from tests.support.groups import embed

pytestmark = [pytest.mark.mongo, pytest.mark.browser, pytest.mark.slow]

FIELD = "character_group"
RENAME, MOVE, CONFIRM, IGNORE = (
    f"CCIP: {label}" for label in ("rename a group", "move to a group", "confirm", "ignore")
)
UNDO = "CCIP: undo the last change of character groups"


@pytest.fixture
def gallery(dataset, images, tmp_path):
    """A persistent dataset of images with embeddings by letters."""
    letters = "aaaabbbbccccdddd"
    data = dataset(*images(letters, size=(320, 240)), name=f"corrected-{os.getpid()}-{tmp_path.name}", persistent=True)
    embed(data, letters)
    return data


def labels(data):
    data.reload()
    return data.values(f"{FIELD}.label"), data.values(f"{FIELD}.status")


def test_a_curator_corrects_groups(app, gallery):
    group_characters(gallery)
    before, _ = labels(gallery)
    name = "綾波 レイ 💙"
    group = before[0]
    with app.shot_on_failure("corrections"):
        app.open(gallery.name)
        app.tick_tile(0)
        app.operator(RENAME)
        app.fill("New name", name)
        app.says(re.compile(f"^Labels that get the name '{name}': {before.count(group)}, in the whole dataset"))
        app.shot("rename-form")
        app.execute("Rename")
        app.dialog.get_by_role("row", name=re.compile("^Labels changed")).wait_for()
        app.shot("rename-summary")
        app.close_dialog()
        renamed, _ = labels(gallery)
        assert renamed == [name if each == group else each for each in before]

        app.tick_tile(0)
        app.operator(CONFIRM)
        app.says(re.compile(f"^Selected images whose labels change: 1 in '{name}'"))
        app.shot("confirm-form")
        app.execute("Confirm")
        app.dialog.get_by_role("row", name=re.compile("^Labels changed")).wait_for()
        app.close_dialog()

        app.tick_tile(1)
        app.operator(MOVE)
        app.shot("move-form-empty")
        app.fill("Character group (a new name makes a new group)", "アスカ")
        app.says(re.compile("^Selected images whose labels change: 1 in 'アスカ'"))
        app.shot("move-form")
        app.execute("Move")
        app.dialog.get_by_role("row", name=re.compile("^Labels changed")).wait_for()
        app.shot("move-summary")
        app.close_dialog()

        app.tick_tile(2)
        app.operator(IGNORE)
        app.shot("ignore-form")
        app.execute("Ignore")
        app.dialog.get_by_role("row", name=re.compile("^Labels changed")).wait_for()
        app.close_dialog()
        ids = gallery.values("id")
        names, statuses = labels(gallery)
        assert names[1] == "アスカ" and statuses[:3] == ["confirmed", "confirmed", "ignored"], ids

        app.operator(UNDO)
        app.execute("Undo")
        app.dialog.get_by_role("row", name=re.compile("^Labels written")).wait_for()
        app.close_dialog()
        assert labels(gallery)[1][2] == "auto"
    group_characters(gallery)
    names, statuses = labels(gallery)
    assert (names[0], names[1], statuses[:2]) == (name, "アスカ", ["confirmed"] * 2)
    assert {group.name for group in load_registry(gallery, FIELD).groups.values()} >= {name, "アスカ"}


def test_a_curator_corrects_whole_groups(app, gallery):
    """Merge, split, same and different characters, cover: each from the grid, then a run, then undo."""
    group_characters(gallery)
    before, _ = labels(gallery)
    first, other = before[0], before[4]
    with app.shot_on_failure("whole-groups"):
        app.open(gallery.name)
        app.tick_tile(0)
        app.tick_tile(4)
        app.operator("CCIP: merge groups")
        app.says(re.compile(f"^Images of these groups whose labels change: 4 in '{first}'"))
        app.says(f"Merged groups: '{other}'.")
        app.shot("merge-form")
        app.execute("Merge")
        app.dialog.get_by_role("row", name=re.compile("^Merged groups")).wait_for()
        app.shot("merge-summary")
        app.close_dialog()
        assert labels(gallery)[0][:8] == [first] * 8

        app.tick_tile(0)
        app.operator("CCIP: split a group")
        app.says(re.compile("^Images of the group whose labels change: 1"))
        app.shot("split-form")
        app.execute("Split")
        app.dialog.get_by_role("row", name=re.compile("^Kept apart")).wait_for()
        app.close_dialog()
        assert len(set(labels(gallery)[0][:8])) == 2

        app.tick_tile(8)
        app.tick_tile(12)
        app.operator("CCIP: different characters")
        app.says(re.compile("^Not this character, so no run puts them into: "))
        app.shot("apart-form")
        app.execute("Keep apart")
        app.dialog.get_by_role("row", name=re.compile("^Not this character")).wait_for()
        app.close_dialog()

        app.tick_tile(9)
        app.operator("CCIP: choose the cover of a group")
        app.execute("Set cover")
        app.dialog.get_by_role("row", name=re.compile("^Cover of")).wait_for()
        app.close_dialog()
        corrected, _ = labels(gallery)
        registry = load_registry(gallery, FIELD)
        group_characters(gallery, eps=0.45)
        assert labels(gallery)[0][:8] == corrected[:8]
        assert load_registry(gallery, FIELD).rejections == registry.rejections
        for _ in range(2):
            app.operator(UNDO)
            app.execute("Undo")
            app.dialog.get_by_role("row", name=re.compile("^Labels written")).wait_for()
            app.close_dialog()
    assert labels(gallery)[0] == corrected
