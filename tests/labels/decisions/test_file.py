"""Decisions as a file: a folder that was moved, renamed or imported again gets its people back."""

import base64
import json
import shutil
from pathlib import Path

import fiftyone as fo
import pytest

import ccip_plugin as ccip
from ccip_plugin.__main__ import main
from ccip_plugin.core.errors import CCIPError
from ccip_plugin.labels.decisions.document import DecisionsFileError, read_decisions
from ccip_plugin.labels.identities import load_registry
from tests.support.app.operator_tools import facts, form, problems, run
from tests.support.groups import embed, labels

pytestmark = pytest.mark.mongo

EXPORT, IMPORT = "@ccip/characters/export_decisions", "@ccip/characters/import_decisions"
LETTERS = "aaaabbbccd"
ONE, TWO, THREE = "char_0001", "char_0002", "char_0003"


@pytest.fixture
def source(dataset, images, tmp_path):
    """A dataset with decisions of every kind."""
    data = dataset(*images(LETTERS))
    embed(data, LETTERS)
    ccip.group_characters(data)
    assert labels(data) == [ONE] * 4 + [TWO] * 3 + [THREE] * 2 + ["unassigned"]
    ids = data.values("id")
    ccip.rename_group(data, ONE, "綾波 レイ")
    ccip.confirm(data.select(ids[:2]))
    ccip.reject(data.select(ids[4]))
    ccip.ignore(data.select(ids[9]))
    ccip.move(data.select(ids[7]), "Asuka")
    ccip.keep_apart(data, groups=[TWO, THREE])
    return data


@pytest.fixture
def moved(source, dataset, tmp_path):
    """A dataset of the same files in another folder, with other names, in the opposite order."""
    folder = tmp_path / "移した"
    folder.mkdir()
    paths = [folder / f"{number:03}.png" for number in range(len(source))]
    for path, new in zip(source.values("filepath"), paths, strict=True):
        shutil.copy(path, new)
    return dataset(*reversed(paths))


def said(data):
    """What is decided about each image: name, status, in the order of the letters."""
    values = data.values(["character_group.label", "character_group.status"])
    return list(zip(*values, strict=True))


def test_a_folder_that_was_moved_and_renamed_gets_its_people_back(source, moved, tmp_path):
    done = ccip.export_decisions(source, tmp_path / "決定.json")
    assert (done.n_user_labels, done.n_rejections, done.n_unreadable) == (4, 1, 0)
    imported = ccip.import_decisions(moved, tmp_path / "決定.json")
    assert (imported.n_found, imported.n_items, imported.n_by_path, imported.conflicts) == (10, 10, 0, ())
    back = said(moved)[::-1]
    assert back[:4] == [("綾波 レイ", "confirmed")] * 2 + [("綾波 レイ", "auto")] * 2
    assert back[9] == ("unassigned", "ignored") and back[7] == ("Asuka", "confirmed")
    two, three = back[5][0], back[8][0]
    assert back[6] == (two, "auto") and two != three
    groups = load_registry(moved, "character_group")
    names = {group.name: key for key, group in groups.groups.items()}
    assert groups.groups[names["綾波 レイ"]].named_by is not None
    assert groups.rejections == {names[two]: frozenset([moved.values("id")[::-1][4]])}
    assert names[three] in groups.groups[names[two]].apart or names[two] in groups.groups[names[three]].apart
    (change,) = ccip.history(moved)
    assert (change.action, change.number) == ("import_decisions", imported.number)
    embed(moved, LETTERS[::-1])
    ccip.group_characters(moved)
    assert [name for name, _ in said(moved)[::-1]][:4] == ["綾波 レイ"] * 4
    assert said(moved)[::-1][9] == ("unassigned", "ignored") and said(moved)[::-1][4][0] != two


def test_undo_takes_it_back(source, moved, tmp_path):
    ccip.export_decisions(source, tmp_path / "a.json")
    ccip.import_decisions(moved, tmp_path / "a.json")
    ccip.undo(moved)
    assert set(labels(moved)) == {None}


def test_the_same_dataset_is_not_changed(source, tmp_path):
    ccip.export_decisions(source, tmp_path / "a.json")
    n, before, registry = len(ccip.history(source)), said(source), load_registry(source, "character_group")
    done = ccip.import_decisions(source, tmp_path / "a.json")
    assert (done.n_changed, done.conflicts, done.number) == (0, (), None)
    assert (len(ccip.history(source)), said(source)) == (n, before)
    assert load_registry(source, "character_group") == registry


def test_after_everything_was_removed_it_comes_back(source, tmp_path):
    ccip.export_decisions(source, tmp_path / "a.json")
    before = said(source)
    ccip.remove_ccip(source)
    ccip.import_decisions(source, tmp_path / "a.json")
    back = said(source)
    decided = [row for row, (_, status) in enumerate(before) if status != "auto"]
    assert [back[row] for row in decided] == [before[row] for row in decided]
    assert back[:4] == before[:4]


def test_a_dry_run_says_what_would_be(source, moved, tmp_path):
    ccip.export_decisions(source, tmp_path / "a.json")
    planned = ccip.import_decisions(moved, tmp_path / "a.json", dry_run=True)
    assert set(labels(moved)) == {None} and not ccip.history(moved)
    done = ccip.import_decisions(moved, tmp_path / "a.json")
    assert (planned.groups, planned.is_done, done.is_done) == (done.groups, False, True)
    assert planned.facts().headline.endswith("not written")


@pytest.mark.parametrize("overwrite", [False, True])
def test_conflicts_are_listed_and_the_later_one_stays_unless_asked(source, moved, tmp_path, overwrite):
    ccip.export_decisions(source, tmp_path / "a.json")
    ids = moved.values("id")[::-1]
    embed(moved, LETTERS[::-1])
    ccip.group_characters(moved)
    ccip.move(moved.select(ids[0]), "Shinji")
    ccip.confirm(moved.select(ids[9:]))
    ccip.ignore(moved.select(ids[7]))
    done = ccip.import_decisions(moved, tmp_path / "a.json", overwrite=overwrite)
    assert sorted((each.item_id, each.said, each.kept) for each in done.conflicts) == sorted(
        [(ids[0], "'綾波 レイ'", "'Shinji'"), (ids[7], "'Asuka'", "ignored")]
    )
    back = said(moved)[::-1]
    assert back[0] == (("綾波 レイ" if overwrite else "Shinji"), "confirmed")
    assert back[7] == (("Asuka", "confirmed") if overwrite else ("unassigned", "ignored"))
    assert back[1] == ("綾波 レイ", "confirmed")
    assert any("says otherwise" in each for each in done.facts().warnings)


def test_a_file_that_has_changed_is_known_by_its_path(source, dataset, tmp_path):
    ccip.export_decisions(source, tmp_path / "a.json")
    paths = source.values("filepath")
    with Path(paths[0]).open("ab") as file:
        file.write(b"more")
    again = dataset(*paths)
    done = ccip.import_decisions(again, tmp_path / "a.json")
    assert (done.n_found, done.n_by_path) == (10, 1) and said(again)[0] == ("綾波 レイ", "confirmed")


def test_copies_with_several_decisions_are_not_guessed(dataset, images, tmp_path):
    first = images("a")[0]
    copies = [tmp_path / f"{n}.png" for n in range(2)]
    for copy in copies:
        shutil.copy(first, copy)
    data = dataset(*copies)
    ccip.move(data[:1], "Rei")
    ccip.move(data[1:], "Asuka")
    ccip.export_decisions(data, tmp_path / "a.json")
    elsewhere = tmp_path / "x.png"
    shutil.copy(first, elsewhere)
    new = dataset(elsewhere)
    done = ccip.import_decisions(new, tmp_path / "a.json")
    assert [each.path for each in done.conflicts] == [str(elsewhere)] and labels(new) == [None]
    again = dataset(*copies)
    ccip.import_decisions(again, tmp_path / "a.json")
    assert labels(again) == ["Rei", "Asuka"]


def test_detections_are_known_by_image_and_box(dataset, images, tmp_path):
    def boxes(*places):
        return fo.Detections(
            detections=[fo.Detection(label="girl", bounding_box=[x, 0.1, 0.2, 0.2], character=1) for x in places]
        )

    data = dataset(*images("ab"))
    for sample in data.iter_samples(autosave=True):
        sample["people"] = boxes(0.1, 0.5)
    patches = data.to_patches("people")
    ids = data.values("people.detections.id", unwind=True)
    ccip.move(data.select_labels(ids=ids[0], fields="people"), "Rei", patches_field="people")
    ccip.ignore(data.select_labels(ids=ids[3], fields="people"), patches_field="people")
    assert len(patches) == 4
    ccip.export_decisions(data, tmp_path / "a.json", patches_field="people")
    again = dataset(*data.values("filepath"))
    for sample in again.iter_samples(autosave=True):
        sample["people"] = boxes(0.52, 0.11)
    done = ccip.import_decisions(again, tmp_path / "a.json", patches_field="people")
    assert (done.n_found, done.conflicts) == (2, ())
    named = again.values("people.detections.character_group")
    assert named == [[None, "Rei"], ["unassigned", None]]
    assert again.values("people_characters") == [["Rei"], []]


@pytest.mark.parametrize(
    "content, problem",
    [
        pytest.param(b"", "it is no JSON text", id="empty"),
        pytest.param(b"\xff\xfe\x00", "it is no JSON text", id="no text"),
        pytest.param(b"[" * 100_000, "it is no JSON text", id="deep"),
        pytest.param(b"{}", "it is another kind of file", id="another"),
        pytest.param(b'{"format": "ccip-decisions", "version": 3}', "written by a newer version", id="newer"),
        pytest.param(b'{"format": "ccip-decisions", "version": true}', "its version is unknown", id="no version"),
        pytest.param(b'{"format": "ccip-decisions", "version": 1}', "a value is missing", id="incomplete"),
    ],
)
def test_strange_files(dataset, tmp_path, content, problem):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DecisionsFileError, match=problem):
        ccip.import_decisions(dataset("/a.png"), tmp_path / "a.json")


def test_a_group_that_is_kept_apart_from_itself(dataset, tmp_path):
    groups = [{"name": "Rei", "apart": ["Rei", " Rei", "Asuka"]}]
    item = {"path": "/a.png", "name": "Rei", "status": "confirmed"}
    values = {"format": "ccip-decisions", "version": 1, "group_field": "character_group"}
    (tmp_path / "a.json").write_text(json.dumps(values | {"groups": groups, "items": [item]}), encoding="utf-8")
    data = dataset("/a.png")
    assert ccip.import_decisions(data, tmp_path / "a.json").n_changed == 1
    assert data.values("character_group.label") == ["Rei"]


@pytest.mark.parametrize(
    "item, problem",
    [
        ({"path": 5}, "a text is none"),
        ({"path": "x" * 5000}, "a text is none, or too long"),
        ({"path": "/a", "name": "x" * 201}, "at most 200 characters"),
        ({"path": "/a", "name": " "}, "a name is empty"),
        ({"path": "/a", "status": "evil"}, "a status is 'evil'"),
        ({"path": "/a", "sha256": "../../etc"}, "a hash is none"),
        ({"path": "/a", "n_bytes": 2**63}, "a size is none"),
        ({"path": "/a", "box": [0, 0, float("inf"), 1]}, "a box is none"),
        ({"path": "/a", "rejected": "Rei"}, "a list is none"),
    ],
)
def test_strange_entries(tmp_path, item, problem):
    values = {"format": "ccip-decisions", "version": 1, "group_field": "character_group", "items": [item]}
    (tmp_path / "a.json").write_text(json.dumps(values))
    with pytest.raises(DecisionsFileError, match=problem):
        read_decisions(tmp_path / "a.json")


@pytest.mark.parametrize("path", ["/no/folder/a.json", "a\x00b", ""])
def test_paths_that_are_none(dataset, path):
    data = dataset("/a.png")
    for function in (ccip.import_decisions, ccip.export_decisions):
        with pytest.raises(CCIPError, match="cannot be"):
            function(data, path)


def test_the_operators(source, moved):
    data_url = run(EXPORT, source)["browser_download"]["url"]
    kind, content = data_url.split(",")
    assert kind == "data:application/json;base64" and "綾波 レイ" in base64.b64decode(content).decode()
    sent = {"name": "ccip-decisions.json", "size": len(content), "content": data_url}
    assert "'file' is empty" in str(run(IMPORT, moved))
    assert not problems(form(IMPORT, moved, file=sent))
    told = facts(run(IMPORT, moved, file=sent, dry_run=True)["show_output"]["results"])
    assert told["Found in the dataset"] == "10 of 10" and set(labels(moved)) == {None}
    run(IMPORT, moved, file=sent)
    assert "綾波 レイ" in labels(moved)
    damaged = {**sent, "content": base64.b64encode(b"{}").decode()}
    assert "it is another kind of file" in str(run(IMPORT, moved, file=damaged))


def test_the_commands(source, moved, tmp_path, capsys):
    path = str(tmp_path / "決定.json")
    assert main(["decisions", "export", path, "--dataset", source.name]) == 0
    assert "decisions about 10 items are in" in capsys.readouterr().out
    assert main(["decisions", "import", path, "--dataset", moved.name, "--dry-run"]) == 0
    assert "not written" in capsys.readouterr().out
    assert main(["decisions", "import", path, "--dataset", moved.name]) == 0
    assert "綾波 レイ" in labels(moved)
    assert main(["decisions", "import", "/nowhere.json", "--dataset", moved.name]) == 1
    assert "error: '/nowhere.json' cannot be read as decisions: No such file" in capsys.readouterr().err
