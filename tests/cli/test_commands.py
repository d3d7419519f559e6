"""The command line, as a person runs it: from a folder to groups, again, stopped in the middle, and when it cannot."""

import signal
from pathlib import Path

import fiftyone as fo
import fiftyone.brain as fob
import numpy as np
import pytest

from ccip_plugin.__main__ import main
from ccip_plugin.storage.fields import (
    EMBEDDINGS_FIELD,
    ERROR_FIELD,
    GROUP_FIELD,
    SIMILARITY_KEY,
    STATUS_CONFIRMED,
    VISUALIZATION_KEY,
)
from tests.support.app.summary_text import blocks

pytestmark = pytest.mark.mongo


@pytest.fixture
def name(dataset):
    """The name of a dataset that is not there yet."""
    free = dataset().name
    fo.delete_dataset(free)
    return free


@pytest.fixture
def run(model_dir, capsys):
    """``run("folder", "--dataset", name, status=0)`` runs the command in this process; gives what it printed."""

    def run(*arguments, status=0):
        capsys.readouterr()
        found = main([*map(str, arguments), "--model-dir", str(model_dir)])
        out, err = capsys.readouterr()
        assert found == status, f"{out}\n{err}"
        return out, err

    return run


def labels(data):
    return dict(zip(*data.values(["filepath", f"{GROUP_FIELD}.label"]), strict=True))


class TestMainJob:
    def test_a_folder_becomes_groups(self, run, images, name, tmp_path):
        folder = images("aaabbbc")[0].parent
        (folder / "in").mkdir()
        images("bc", folder=folder / "in")
        (folder / "壊れた.png").write_bytes(b"no image")
        (folder / "notes.txt").touch()

        out, _ = run(folder, "--dataset", name)
        data = fo.load_dataset(name)
        assert data.persistent
        assert len(data) == 10
        assert data.count(EMBEDDINGS_FIELD) == 9
        assert data.exists(ERROR_FIELD).values("filepath") == [str(folder / "壊れた.png")]
        groups = {}
        for path, label in labels(data).items():
            groups.setdefault(label, set()).add(Path(path).name[0])
        assert groups.pop(None) == {"壊"}
        assert sorted(map(sorted, groups.values())) == [["a"], ["b"], ["c"]]
        assert sorted(data.list_brain_runs()) == [SIMILARITY_KEY, VISUALIZATION_KEY]
        assert data.load_brain_results(SIMILARITY_KEY).total_index_size == 9

        shown = blocks(out)
        assert (shown["Images"]["Image files found"], shown["Images"]["Added"]) == ("10", "10")
        assert (shown["Embeddings"]["Embedded now"], shown["Embeddings"]["Failed"]) == ("9", "1")
        assert f"{folder / '壊れた.png'}: not an image" in out
        found = shown["Character groups"]
        assert (found["Character groups"], found["In a group"], found["Unassigned"]) == ("3", "9 of 10 images", "0")
        assert shown["Embeddings"]["Speed"].endswith("images/s on CPU")
        assert {"load", "embed", "group", "similarity", "visualization", "total"} <= shown["Time"].keys()
        assert f"fiftyone app launch '{name}'" in out

    def test_again_does_nothing_twice_and_keeps_what_people_decided(self, run, images, name):
        folder = images("aabb")[0].parent
        run(folder, "--dataset", name)
        data = fo.load_dataset(name)
        sample = data.first()
        sample[GROUP_FIELD].label = "初音ミク"
        sample.save()
        before = labels(data)

        out, _ = run(folder, "--dataset", name)
        shown = blocks(out)
        assert (shown["Images"]["Added"], shown["Images"]["Already in the dataset"]) == ("0", "4")
        assert (shown["Embeddings"]["Embedded now"], shown["Embeddings"]["Already embedded"]) == ("0", "4")
        assert "Speed" not in shown["Embeddings"], "no model was loaded"
        found = shown["Character groups"]
        assert found["Labels written"] != "0", "the user label is recorded as such"
        assert found["User labels kept"] == "1"
        assert labels(data) == before
        data.reload()
        assert data.first()[GROUP_FIELD].status == STATUS_CONFIRMED
        out, _ = run(folder, "--dataset", name)
        found = blocks(out)["Character groups"]
        assert (found["Labels written"], found["User labels kept"]) == ("0", "1")

    def test_new_images_join_the_groups_that_are_there(self, run, images, name):
        folder = images("aabb")[0].parent
        run(folder, "--dataset", name)
        before = labels(fo.load_dataset(name))
        (new,) = images("a", folder=folder)
        out, _ = run(folder, "--dataset", name)
        after = labels(fo.load_dataset(name))
        assert (blocks(out)["Images"]["Image files found"], blocks(out)["Images"]["Added"]) == ("5", "1")
        assert after == before | {str(new): before[str(folder / "a 000.png")]}

    def test_files_and_folders_at_once(self, run, images, name, tmp_path):
        one, two = images("ab", folder=tmp_path / "一"), images("aa", folder=tmp_path / "二")
        run(one[0], tmp_path / "二", "--dataset", name)
        assert sorted(fo.load_dataset(name).values("filepath")) == sorted(map(str, [one[0], *two]))

    def test_without_images_it_groups_what_is_there(self, run, images, dataset):
        data = dataset(*images("aabb"))
        out, _ = run("--dataset", data.name, "--eps", "0", "--min-samples", "1", "--method", "dbscan")
        assert blocks(out)["Character groups"]["Method"] == "DBSCAN (threshold): eps 0.0000, min_samples 1"
        assert len(set(labels(data).values())) == 4
        assert data.persistent

    def test_detections(self, run, images, dataset):
        data = dataset(*images("ab"))
        for sample in data:
            boxes = ([0, 0, 0.5, 1], [0.5, 0, 0.5, 1])
            sample["faces"] = fo.Detections(detections=[fo.Detection(label="face", bounding_box=box) for box in boxes])
            sample.save()
        out, _ = run("--dataset", data.name, "--patches-field", "faces")
        assert blocks(out)["Embeddings"]["Field"] == f"faces.detections.{EMBEDDINGS_FIELD}"
        assert blocks(out)["Embeddings"]["Embedded now"] == "4"
        groups = data.values("faces.detections.character_group")
        assert [len(set(each)) for each in groups] == [1, 1]
        assert len({*groups[0], *groups[1]}) == 2
        assert data.count(EMBEDDINGS_FIELD) == 0 if EMBEDDINGS_FIELD in data.get_field_schema() else True

    def test_options_reach_the_work(self, run, images, name):
        folder = images("aabb")[0].parent
        options = ("--embeddings-field", "mine", "--group-field", "who", "--no-similarity", "--no-visualization")
        out, err = run(folder, "--dataset", name, *options, "--workers", "1", "--provider", "cpu", "--quiet")
        data = fo.load_dataset(name)
        assert data.count("mine") == 4
        assert None not in data.values("who.label")
        assert data.list_brain_runs() == []
        assert err == ""
        assert not blocks(out).keys() & {"Similarity index", "Visualization"}
        before = data.values("mine")
        out, _ = run("--dataset", name, *options, "--overwrite")
        assert blocks(out)["Embeddings"]["Embedded now"] == "4"
        np.testing.assert_array_equal(data.values("mine"), before)


class TestGroupingOptions:
    def test_propose_and_apply(self, run, images, name, capsys):
        folder = images("aabb")[0].parent
        out, _ = run(folder, "--dataset", name, "--propose")
        data = fo.load_dataset(name)
        assert blocks(out)["Character groups"]["Labels written"] == "none, this is a proposal"
        assert "the command 'apply' writes the labels" in out
        assert not data.has_field(GROUP_FIELD)
        assert main(["apply", "--dataset", name]) == 0
        assert "2 character groups with 4 images" in capsys.readouterr().out
        data.reload()
        assert len(set(labels(data).values())) == 2
        assert main(["apply", "--dataset", name]) == 1
        assert "there is no proposal for the character groups of 'character_group'" in capsys.readouterr().err

    def test_adding_touches_nothing_else(self, run, images, name):
        folder = images("aabb")[0].parent
        run(folder, "--dataset", name, "--eps", "0", "--method", "dbscan", "--min-samples", "1")
        before = labels(fo.load_dataset(name))
        (new,) = images("a", folder=folder)
        run(folder, "--dataset", name, "--mode", "add")
        after = labels(fo.load_dataset(name))
        assert {path: after[path] for path in before} == before
        assert after[str(new)] in before.values()

    def test_boxes_graph_and_tracks(self, run, images, dataset):
        data = dataset(*images("ab"))
        for sample in data:
            box = fo.Detection(label="face", bounding_box=[0, 0, 1, 1], index=1)
            sample["faces"], sample["video"] = fo.Detections(detections=[box]), "動画"
            sample.save()
        where = ("--dataset", data.name, "--patches-field", "faces", "--no-similarity", "--no-visualization")
        run(*where, "--same-image", "ignore", "--graph", "exact", "--tracks", "video")
        used = data.get_run_info("ccip_groups_faces_detections_character_group").config.parameters
        assert (used["same_image"], used["graph"], used["tracks"]) == ("ignore", "exact", "video")
        (one,), (other,) = data.values("faces.detections.character_group")
        assert one == other != "unassigned", "one track"

    def test_calibrated_parameters(self, run, images, dataset):
        data = dataset(*images("aabb"))
        options = ("--no-similarity", "--no-visualization")
        _, err = run("--dataset", data.name, "--parameters", "calibrated", *options, status=1)
        assert "ccip_plugin.calibrate in Python" in err


class TestWhatFails:
    @pytest.mark.parametrize(
        "arguments, text",
        [
            pytest.param(["/no/such/folder", "--dataset", "ccip never"], "/no/such/folder does not exist", id="folder"),
            pytest.param(["{empty}", "--dataset", "ccip never"], "no images in", id="no image"),
            pytest.param(["--dataset", "ccip never"], "there is no dataset 'ccip never'", id="dataset"),
            pytest.param(["{folder}", "--dataset", "絵"], "a dataset cannot be called '絵'", id="name"),
            pytest.param(
                ["{folder}", "--dataset", "ccip never", "--model", "ccip-b36"], "unknown CCIP model", id="model"
            ),
            pytest.param(["undo", "--dataset", "ccip never"], "there is no dataset 'ccip never'", id="undo"),
            pytest.param(
                ["{folder}", "--dataset", "ccip never", "--group-field", "a.b"], "'a.b' cannot be a field", id="a path"
            ),
            pytest.param(
                ["{folder}", "--dataset", "ccip never", "--embeddings-field", "_x"],
                "'_x' cannot be a field",
                id="field",
            ),
        ],
    )
    def test_says_why_and_leaves_nothing_behind(self, arguments, text, images, tmp_path, capsys):
        folder, empty = images("a")[0].parent, tmp_path / "empty"
        empty.mkdir()
        assert main([argument.format(folder=folder, empty=empty) for argument in arguments]) == 1
        out, err = capsys.readouterr()
        assert f"error: {text}" in err
        assert out == ""
        assert not fo.dataset_exists("ccip never")

    def test_a_model_that_is_not_there(self, run, images, name, tmp_path):
        images("ab")
        _, err = run(tmp_path / "images", "--dataset", name, "--model", "ccip-caformer-5_fp32", status=1)
        assert "ccip-caformer-5_fp32" in err
        assert "model_feat.onnx" in err
        assert len(fo.load_dataset(name)) == 2

    def test_a_field_that_holds_something_else_is_refused_before_anything_is_embedded(self, run, images, name):
        folder = images("ab")[0].parent
        _, err = run(folder, "--dataset", name, "--group-field", "tags", status=1)
        assert "the field 'tags' holds" in err and "choose another field name" in err
        assert fo.load_dataset(name).get_field("ccip_embedding") is None

    def test_nothing_but_broken_images(self, run, name, tmp_path):
        (tmp_path / "images").mkdir()
        (tmp_path / "images" / "a.png").touch()
        out, err = run(tmp_path / "images", "--dataset", name, status=1)
        assert "the file is empty" in out
        assert "error: none of the 1 images has an embedding" in err

    def test_an_index_or_a_map_that_fails_leaves_the_groups(self, run, images, dataset):
        data = dataset(*images("aabb"))
        for key in (SIMILARITY_KEY, VISUALIZATION_KEY):
            taken = fob.compute_visualization if key == SIMILARITY_KEY else fob.compute_similarity
            options = {"points": np.zeros((4, 2))} if key == SIMILARITY_KEY else {"embeddings": np.eye(4)}
            taken(data, brain_key=key, **options)
        out, _ = run("--dataset", data.name, status=3)
        assert "Similarity index\n  FAILED: the brain key 'ccip_similarity' is taken by a visualization run" in out
        assert "Visualization\n  FAILED: the brain key 'ccip_visualization' is taken by a similarity run" in out
        assert None not in labels(data).values()

    @pytest.mark.parametrize(
        "arguments, text",
        [
            pytest.param(["--eps", "0"], "arguments are required: --dataset", id="no dataset"),
            pytest.param(["a.png"], "neither a file or folder nor a command", id="no command"),
            pytest.param(
                ["a.png", "--dataset", "x", "--workers", "0"], "'0' is not a whole number, at least 1", id="workers"
            ),
            pytest.param(["--dataset", "x", "--eps", "2"], "'2' is not a difference from 0 to 1", id="eps"),
            pytest.param(["--dataset", "x", "--eps", "nan"], "'nan' is not a difference", id="no eps"),
            pytest.param(["--dataset", "x", "--method", "kmeans"], "invalid choice: 'kmeans'", id="method"),
            pytest.param(["--dataset", "x", "--graph", "nearly"], "invalid choice: 'nearly'", id="graph"),
            pytest.param(["--dataset", "x", "--mode", "new"], "invalid choice: 'new'", id="mode"),
            pytest.param(["models", "chuck"], "invalid choice: 'chuck'", id="models"),
        ],
    )
    def test_a_wrong_command_line(self, arguments, text, capsys):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2
        assert text in capsys.readouterr().err

    def test_no_arguments(self, capsys):
        assert main([]) == 2
        assert "exit status:" in capsys.readouterr().err

    def test_a_folder_with_the_name_of_a_command(self, run, images, name, tmp_path, monkeypatch, capsys):
        images("aabb", folder=tmp_path / "models")
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit):
            main(["models", "--dataset", name])
        assert "write ./models for the folder" in capsys.readouterr().err
        run("./models", "--dataset", name)
        assert len(fo.load_dataset(name)) == 4


class TestOtherCommands:
    def test_models(self, run):
        out, _ = run("models")
        assert "ccip-caformer-24-randaug-pruned      yes" in out
        assert "ccip-demo" in out

        assert run("models", "list")[0] == out

    def test_models_of_a_folder_that_is_not_there(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setenv("CCIP_MODEL_DIR", str(tmp_path / "無い"))
        assert main(["models"]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == (
            f"Models are taken from {tmp_path / '無い'} (CCIP_MODEL_DIR), and there is no such folder; "
            "nothing is downloaded."
        )

    def test_models_check(self, run):
        out, _ = run("models", "check", "ccip-caformer-24-randaug-pruned", status=1)
        assert "FAILED  size" in out  # the models of the tests are tiny
        assert out.rstrip().endswith("1 of 13 checks failed, 1 skipped")

    def test_models_check_with_images(self, run, images):
        paths = images("abcd")
        out, _ = run("models", "check", "ccip-caformer-24-randaug-pruned", "--images", *paths, status=1)
        assert "FAILED  published example   differs from the published differences" in out

    def test_models_check_of_another_model_needs_the_images_that_it_is_given(self, capsys):
        assert main(["models", "check", "ccip-demo", "--images", "/nowhere/絵"]) == 1
        assert "FAILED  published example   missing: /nowhere/絵/1.jpg, " in capsys.readouterr().out

    @pytest.mark.parametrize("command", [["models"], ["models", "check", "ccip-demo"], ["/", "--dataset", "x"]])
    def test_a_model_folder_that_is_not_there(self, capsys, command):
        with pytest.raises(SystemExit, match="2"):
            main([*command, "--model-dir", "/nowhere/模型"])
        assert "argument --model-dir: there is no folder '/nowhere/模型'" in capsys.readouterr().err

    def test_models_download(self, run, model_dir):
        out, _ = run("models", "download", "ccip-caformer-24-randaug-pruned")
        assert str(model_dir) in out

    def test_undo_and_redo(self, run, images, name, capsys):
        run(images("aabb")[0].parent, "--dataset", name)
        data = fo.load_dataset(name)
        before = labels(data)
        assert main(["undo", "--dataset", name]) == 0
        assert "undid group by character: 4 labels" in capsys.readouterr().out
        assert set(labels(data).values()) == {None}
        assert main(["redo", "--dataset", name]) == 0
        assert labels(data) == before
        assert main(["redo", "--dataset", name]) == 1
        assert "error: there is no change of 'character_group' to redo" in capsys.readouterr().err

    def test_history(self, run, images, name, dataset, capsys, tmp_path, monkeypatch):
        monkeypatch.setenv("CCIP_USER", "綾波")
        dataset(name=name, persistent=True)
        assert main(["history", "--dataset", name]) == 0
        assert capsys.readouterr().out.strip() == "no changes"
        run(images("aabb")[0].parent, "--dataset", name)
        capsys.readouterr()
        assert main(["history", "--dataset", name]) == 0
        title, change = capsys.readouterr().out.strip().splitlines()
        assert title.split() == ["change", "time", "action", "about", "labels", "by", "state"]
        assert change.split()[0] == "1" and change.split()[-3:] == ["4", "綾波", "done"]
        assert main(["history", "--dataset", name, "--csv", str(tmp_path / "履歴.csv")]) == 0
        assert "履歴.csv" in capsys.readouterr().out and "綾波" in (tmp_path / "履歴.csv").read_text("utf-8-sig")
        assert main(["history", "--dataset", name, "--csv", str(tmp_path)]) == 1
        assert "cannot be written: Is a directory" in capsys.readouterr().err
        assert main(["undo", "--dataset", name, "--number", "9"]) == 1
        assert "there is no change 9 of 'character_group' to undo" in capsys.readouterr().err
        assert main(["history", "--dataset", name, "--drop", "1"]) == 1
        assert "change 1 of 'character_group' was not set aside" in capsys.readouterr().err


class Interrupted:
    """A run of the command that gets a signal when it says that a stage began."""

    def __init__(self, process, stage, number):
        self.seen = []
        for line in process.stderr:
            self.seen.append(line)
            if line.startswith(stage):
                process.send_signal(number)
                break
        self.out, rest = process.communicate(timeout=120)
        self.seen.append(rest)
        self.status = process.returncode


@pytest.mark.slow
def test_stopped_and_killed_on_the_way_the_same_command_goes_on(start_python, run_python, images, name, model_dir):
    paths = images("abcdefgh" * 40)
    command = ["-m", "ccip_plugin", paths[0].parent, "--dataset", name, "--model-dir", model_dir, "--workers", "1"]

    def interrupt(stage, number):
        found = Interrupted(start_python([*map(str, command)]), stage, number)
        assert found.status == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[number], found.seen
        return found

    early = interrupt("starting FiftyOne", signal.SIGINT)
    assert "Run the same command to resume:" in early.seen[-1]
    assert "Traceback" not in early.seen[-1]
    assert not fo.dataset_exists(name)

    interrupt("adding images", signal.SIGKILL)
    stopped = interrupt("embedding", signal.SIGINT)
    data = fo.load_dataset(name)
    n = data.count(EMBEDDINGS_FIELD)
    assert f"Embeddings\n  {n} of 320 images are embedded" in stopped.out
    assert "Traceback" not in stopped.seen[-1]
    assert f"--dataset '{name}'" in stopped.seen[-1]
    interrupt("embedding", signal.SIGKILL)
    assert data.count(EMBEDDINGS_FIELD) >= n
    interrupt("computing the visualization", signal.SIGTERM)
    data.reload()
    assert None not in labels(data).values()

    out = run_python([*map(str, command)]).stdout
    assert blocks(out)["Images"]["Already in the dataset"] == "320"
    assert blocks(out)["Embeddings"]["Already embedded"] == "320"
    assert sorted(data.values("filepath")) == sorted(map(str, paths))
    groups = {}
    for path, label in labels(data).items():
        groups.setdefault(label, set()).add(Path(path).name[0])
    assert sorted(map(len, groups.values())) == [1] * 8
    data.reload()
    assert sorted(data.list_brain_runs()) == [SIMILARITY_KEY, VISUALIZATION_KEY]
    assert len(data.load_brain_results(VISUALIZATION_KEY).points) == 320


def test_no_database(run_python, tmp_path):
    gone = {"FIFTYONE_DATABASE_URI": "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=500"}
    (tmp_path / "a.png").touch()
    done = run_python(["-m", "ccip_plugin", str(tmp_path), "--dataset", "x"], status=1, **gone)
    assert "error: " in done.stderr
    assert "Could not connect to `mongod`; FIFTYONE_DATABASE_URI" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_has_enough_is_no_error(start_python):
    process = start_python(["-m", "ccip_plugin", "models"])
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) == 1
