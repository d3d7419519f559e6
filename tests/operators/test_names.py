"""Names from libraries and datasets in the App: proposed, accepted by groups or above a score; libraries saved."""

import base64

import fiftyone as fo
import pytest

from ccip_plugin import confirm, group_characters, load_library, rename_group, save_library, undo
from ccip_plugin.app.ask import libraries
from tests.support.app.operator_tools import choices, facts, form, problems, run
from tests.support.groups import embed

pytestmark = pytest.mark.mongo

NAMES, SAVE = "@ccip/characters/name_characters", "@ccip/characters/save_library"


@pytest.fixture
def data(dataset, tmp_path):
    new = dataset(*(tmp_path / f"{n}.png" for n in range(9)))
    embed(new, "aaaabbbcc")
    group_characters(new)
    return new


@pytest.fixture
def folder(tmp_path, monkeypatch):
    path = tmp_path / "app"
    path.mkdir()
    monkeypatch.setenv(libraries.VARIABLE, str(path))
    return path


@pytest.fixture
def library(data, dataset, folder, tmp_path):
    """A library of a and b, made of another dataset."""
    other = dataset(*(tmp_path / f"o{n}.png" for n in range(6)))
    embed(other, "aaabbb")
    group_characters(other)
    for name, new in zip(dict.fromkeys(labels(other)), ("綾波レイ", "Asuka"), strict=True):
        rename_group(other, name, new)
        confirm(other, groups=new)
    return save_library(other, folder / "eva").path


def labels(data):
    return data.values("character_group.label")


def results(messages):
    return messages["show_output"]["results"]


def test_proposals_are_a_table_and_a_view(data, library):
    before = labels(data)
    inputs = form(NAMES, data)
    assert not problems(inputs) and choices(inputs, "library") == {str(library): str(library)}
    messages = run(NAMES, data, library=str(library))
    rows = results(messages)["rows"]
    assert [(row["name"], row["status"], row["images"]) for row in rows] == [
        ("綾波レイ", "proposed", 4),
        ("Asuka", "proposed", 3),
        ("", "unknown", 2),
    ]
    assert labels(data) == before and "set_view" in messages
    pictures = results(messages)["pictures"]
    assert list(pictures) == ["row_0", "row_1", "row_2"] and "filepath=" in pictures["row_0"]["picture_0"]
    assert facts(results(messages))["Proposed"] == "2"


def test_some_groups_are_accepted(data, library):
    first, _, _ = dict.fromkeys(labels(data))
    answers = {"library": str(library), "action": "chosen"}
    assert first in choices(form(NAMES, data, **answers), "accept")
    assert "There is no character group 'Nobody'" in problems(form(NAMES, data, **answers, accept=["Nobody"])).values()
    run(NAMES, data, **answers, accept=[first], confirm=True)
    assert labels(data)[:5] == ["綾波レイ"] * 4 + [labels(data)[4]] and labels(data)[4] != "Asuka"
    assert data.values("character_group.status")[:5] == ["confirmed"] * 4 + ["auto"]


def test_what_was_proposed_is_offered_after_the_result_is_closed(data, library):
    first, second, third = dict.fromkeys(labels(data))
    answers = {"library": str(library), "action": "chosen"}
    assert problems(form(NAMES, data, **answers)) == {"accept_needed": "Choose one group or several."}
    messages = run(NAMES, data, library=str(library))
    (columns,) = [each["columns"] for each in results(messages)["elements"] if each["key"] == "rows"]
    assert columns["group"] == "Group" and columns["slips"] == "Estimated slips"
    offered = form(NAMES, data, **answers)["accept"]["view"]
    assert not offered["allow_user_input"], "it is a list"
    described = {each["value"]: each["description"] for each in offered["choices"]}
    assert list(described) == [first, second, third]
    assert described[first].startswith("proposed: 綾波レイ, score 0.") and described[first].endswith("; 4 images")
    assert described[third] == "2 images"


def test_all_above_a_score_are_accepted(data, library):
    before, answers = labels(data), {"library": str(library), "action": "above"}
    assert not problems(form(NAMES, data, **answers))
    assert problems(form(NAMES, data, **answers, above=2)) == {"above": "A number from 0 to 1 is expected"}
    messages = run(NAMES, data, **answers, above=0.5)
    assert labels(data)[:7] == ["綾波レイ"] * 4 + ["Asuka"] * 3
    assert "clear_selected_samples" in messages and "reload_dataset" in messages
    undo(data)
    assert labels(data) == before


def test_an_uploaded_library(data, library):
    content = base64.b64encode(library.read_bytes()).decode()
    file = {"name": "eva.ccip.zip", "size": library.stat().st_size, "content": f"data:application/zip;base64,{content}"}
    messages = run(NAMES, data, source="upload", file=file)
    assert results(messages)["rows"][0]["name"] == "綾波レイ"
    damaged = {**file, "content": base64.b64encode(b"no library").decode()}
    (error,) = results(run(NAMES, data, source="upload", file=damaged))["errors"]
    assert "it is no character library" in error["reason"]
    (error,) = results(run(NAMES, data, source="upload"))["errors"]
    assert error["reason"].startswith("'file' is empty")


def test_a_labeled_dataset(data, dataset, images, model_dir, monkeypatch):
    monkeypatch.setenv("CCIP_MODEL_DIR", str(model_dir))
    known = dataset(*images("ab"))
    known.set_values("who", [fo.Classification(label=name) for name in ("Rei", "Asuka")])
    inputs = form(NAMES, data, source="dataset", dataset=known.name)
    assert "who" in choices(inputs, "references_field")
    messages = run(NAMES, data, source="dataset", dataset=known.name, references_field="who")
    assert facts(results(messages))["Names from"] == "references of 2 characters"


def test_only_offered_files_are_read(data, library, tmp_path):
    elsewhere = tmp_path / "elsewhere.ccip.zip"
    elsewhere.write_bytes(library.read_bytes())
    for answers in ({"library": str(elsewhere)}, {"source": "folder", "folder": "/etc"}):
        (error,) = results(run(NAMES, data, **answers))["errors"]
        assert "choose one of the offered" in error["reason"]


def test_without_files_the_form_says_how(data, folder):
    assert problems(form(NAMES, data)) == {"file_needed": "Choose a file."}, "a library can be uploaded"
    for source in ("library", "folder"):
        (problem,) = problems(form(NAMES, data, source=source)).values()
        assert str(folder) in problem and problem.endswith(libraries.HOW)
    folder.rmdir()
    (problem,) = problems(form(SAVE, data)).values()
    assert problem.endswith(libraries.HOW)


def test_without_the_variable_the_folder_is_in_the_home(data, monkeypatch, tmp_path):
    monkeypatch.delenv(libraries.VARIABLE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (first, *_) = labels(data)
    rename_group(data, first, "Rei")
    confirm(data, groups="Rei")
    assert not problems(form(SAVE, data)) and not (tmp_path / "ccip").exists()
    run(SAVE, data, file_name="eva")
    assert load_library(tmp_path / "ccip" / "eva").names == ["Rei"]
    assert str(tmp_path / "ccip" / "eva.ccip.zip") in choices(form(NAMES, data), "library")


def test_a_library_is_saved(data, folder):
    (first, *_) = labels(data)
    rename_group(data, first, "綾波レイ")
    confirm(data, groups="綾波レイ")
    assert not problems(form(SAVE, data))
    messages = run(SAVE, data, file_name="エヴァ 1", series="EVA")
    assert results(messages)["characters"] == [{"name": "綾波レイ", "series": "EVA", "prototypes": 1, "images": 4}]
    assert load_library(folder / "エヴァ 1.ccip.zip").names == ["綾波レイ"]
    assert problems(form(SAVE, data, file_name="エヴァ 1")) == {
        "file_name": "A file of this name exists: choose another one"
    }
    before = (folder / "エヴァ 1.ccip.zip").read_bytes()
    assert results(run(SAVE, data, file_name="エヴァ 1"))["errors"]
    assert (folder / "エヴァ 1.ccip.zip").read_bytes() == before


@pytest.mark.parametrize("name", ["../x", "a/b", "..", ".x", "CON", "nul.zip", "a\\b", "x" * 101, "C:x", " "])
def test_names_that_no_file_gets(data, folder, tmp_path, name):
    (first, *_) = labels(data)
    rename_group(data, first, "Rei")
    confirm(data, groups="Rei")
    before = sorted(tmp_path.rglob("*"))
    if name.strip():
        assert "file_name" in problems(form(SAVE, data, file_name=name))
        assert results(run(SAVE, data, file_name=name))["errors"]
        assert sorted(tmp_path.rglob("*")) == before


def test_what_is_missing_is_said(data, dataset, folder):
    empty = dataset()
    assert [problem for uri in (NAMES, SAVE) for problem in problems(form(uri, empty)).values()] == [
        "There is nothing to name: this dataset has no character groups. Run 'CCIP: group by character' first.",
        "There is nothing to save: this dataset has no character groups. Run 'CCIP: group by character' first.",
    ]
    (error,) = results(run(SAVE, data))["errors"]
    assert "have no names yet" in error["reason"]
