"""New images of a folder are added, embedded and grouped; nothing else changes, and it can be called again."""

import fiftyone as fo
import pytest

from ccip_plugin import add_and_group, confirm, group_characters, history, undo
from ccip_plugin.core.errors import CCIPError
from ccip_plugin.grouping import propose_groups
from ccip_plugin.grouping.proposals import load_proposal
from ccip_plugin.io.images import IngestError
from ccip_plugin.storage.targets import TargetError
from tests.support.app.operator_tools import choices, facts, form, problems, run, said
from tests.support.groups import embed, labels

pytestmark = pytest.mark.mongo

ADD = "@ccip/characters/add_and_group"


@pytest.fixture
def made(dataset, images, model_dir, monkeypatch):
    """A grouped dataset, and the folder in which more images come to be."""
    monkeypatch.setenv("CCIP_MODEL_DIR", str(model_dir))
    paths = images("aaabbb")
    data = dataset(*paths)
    add_and_group(data, paths[0].parent)
    return data, paths[0].parent


def stored(data, n):
    documents = data._sample_collection.find().sort("_id", 1).limit(n)
    return [document.get("character_group") for document in documents]


def test_a_first_folder_is_grouped(made):
    data, _ = made
    assert len(set(labels(data)[:3])) == len(set(labels(data)[3:])) == 1


def test_new_images_join_their_groups_and_nothing_else_changes(made, images):
    data, folder = made
    confirm(data[:1])
    before = stored(data, 6)
    new = images("aab", folder=folder)
    report = add_and_group(data, folder)
    assert report.facts().headline == "of 3 new images: 3 joined 2 groups; no other label moved"
    assert (report.images.n_added, report.embeddings.n_computed, report.grouping.n_written) == (3, 3, 3)
    assert report.view.values("filepath") == [str(path) for path in new]
    assert stored(data, 6) == before
    assert labels(data)[6:] == [*labels(data)[:1] * 2, labels(data)[3]]
    again = add_and_group(data, folder)
    assert again.facts().headline == "no new images: all 9 are in the dataset, with labels"
    assert not again.ids and again.grouping is None and len(again.view) == 0
    undo(data)
    assert labels(data)[6:] == [None] * 3 and stored(data, 6) == before
    assert add_and_group(data, folder).grouping.added.n_joined == 3, "it continues where labels are missing"


def test_images_elsewhere_are_left_alone(made, images, tmp_path):
    data, _ = made
    other = images("ab", folder=tmp_path / "other")
    data.add_samples([fo.Sample(filepath=str(path)) for path in other])
    report = add_and_group(data, *images("b", folder=tmp_path / "new"))
    assert len(report.ids) == 1 and labels(data)[6:8] == [None, None]
    assert data.values("ccip_embedding")[6] is None


def test_strangers_make_groups_or_stay_alone(dataset, tmp_path):
    new = dataset(*(tmp_path / f"{n}.png" for n in range(9)))
    embed(new, "aaabbaccd")
    group_characters(new[:5])
    report = group_characters(new, mode="add")
    assert report.facts().headline == (
        "of 4 new images: 1 joined 1 group, 2 make 1 new group, 1 in none; no other label moved"
    )
    assert report.added.view(new).values("id") == new.values("id")[5:]
    assert group_characters(new, mode="add").facts().headline == "no new images"
    assert group_characters(new).added is None


def test_a_proposal_says_it_too(dataset, tmp_path):
    new = dataset(*(tmp_path / f"{n}.png" for n in range(4)))
    embed(new, "aaab")
    group_characters(new[:2])
    said_at_once = propose_groups(new, mode="add").report.facts().headline
    assert said_at_once == load_proposal(new).report.facts().headline
    assert said_at_once.startswith("of 2 new images: 1 joined 1 group, 1 in none; no other label moved, proposed")


def test_what_cannot_be_embedded_is_said(made, tmp_path):
    data, _ = made
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "x.png").write_bytes(b"no picture")
    report = add_and_group(data, damaged)
    assert report.embeddings.n_failed == 1 and labels(data)[6:] == [None]
    assert len(history(data)) == 1, "nothing was grouped"


def test_a_new_name_makes_a_dataset(images, model_dir, monkeypatch):
    folder = images("aabb")[0].parent
    name = f"new {folder}"
    try:
        report = add_and_group(name, folder, model_dir=model_dir)
        assert fo.load_dataset(name).persistent and report.grouping.n_groups == 2
    finally:
        fo.delete_dataset(name)


def test_what_cannot_be_added_is_refused(made, images, tmp_path):
    data, _ = made
    folder = images("a", folder=tmp_path / "new")[0].parent
    with pytest.raises(IngestError):
        add_and_group(data, tmp_path / "nowhere")
    with pytest.raises(TargetError):
        add_and_group(5, folder)
    for options in ({"group_field": "a.b"}, {"embeddings_field": "filepath"}, {"model_name": "x"}):
        with pytest.raises(CCIPError):
            add_and_group(data, folder, **options)


# -- in the App


def test_in_the_app(made, images):
    data, folder = made
    images("ab", folder=folder)
    asked = form(ADD, data)
    assert not problems(asked) and str(folder) in choices(asked, "folder")
    inputs = form(ADD, data, folder=str(folder))
    assert said(inputs, "what_hint").startswith("Files that are in the dataset already")
    shown = run(ADD, data, folder=str(folder))
    assert shown["notify"]["message"] == "CCIP: of 2 new images: 2 joined 2 groups; no other label moved"
    assert facts(shown["show_output"]["results"])["New images"] == "2"
    assert shown["set_view"]["view"][0]["_cls"] == "fiftyone.core.stages.Select"
    assert set(labels(data)[6:]) == set(labels(data)[:6])


@pytest.mark.parametrize("is_named", [False, True], ids=["by default", "CCIP_APP_FOLDERS"])
def test_the_app_reads_allowed_folders_only(made, images, tmp_path, monkeypatch, is_named):
    data, folder = made
    secret = images("ab", folder=tmp_path / "secret")[0].parent
    link = folder / "link"
    link.symlink_to(secret)
    if is_named:
        monkeypatch.setenv("CCIP_APP_FOLDERS", str(folder))
    for name in (secret, folder / ".." / "secret", link, "/", "~", "~nobody/x", "x" * 900, "絵"):
        told = problems(form(ADD, data, folder=str(name)))
        assert told["folder"].startswith("The App adds images from these folders only"), name
        assert "from these folders only" in str(run(ADD, data, folder=str(name)))
    assert "no folder" in problems(form(ADD, data, folder=str(folder / "none")))["folder"]
    assert "'folder' is empty" in str(run(ADD, data))
    assert len(data) == 6


def test_detections_are_refused_with_what_to_do(made):
    data, folder = made
    with pytest.raises(TargetError, match="run your detector on them, then call compute_embeddings"):
        add_and_group(data, folder, patches_field="people")


def test_the_report_and_the_history_say_what_was_added(made, images):
    data, folder = made
    images("aaabbba")
    report = add_and_group(data, folder)
    told = report.facts()
    assert told["Character groups with new images"] and "Character groups" not in dict(told.pairs)
    assert told["After an undo"].startswith("these images stay in the dataset")
    assert history(data)[0].about == told.headline
