"""Errors on the command line: before the work, in the words of the command line, with what is kept."""

import fiftyone as fo
import pytest

from ccip_plugin.__main__ import main
from ccip_plugin.cli.options import spellings
from ccip_plugin.core.errors import CCIPError, DownloadError, ParameterError
from ccip_plugin.embeddings.options import EmbeddingOptions
from ccip_plugin.embeddings.provenance import UnknownOriginError
from ccip_plugin.grouping.options import GroupingOptions
from ccip_plugin.storage.fields import EMBEDDINGS_FIELD
from ccip_plugin.storage.targets import TargetError

pytestmark = pytest.mark.mongo


@pytest.fixture
def fails(model_dir, capsys):
    """``fails("--dataset", name)`` runs a command that fails; gives what it printed and the error."""

    def run(*arguments):
        capsys.readouterr()
        assert main([*map(str, arguments)]) == 1
        out, err = capsys.readouterr()
        assert "error: " in err, err
        return out, err.partition("error: ")[2]

    return run


@pytest.mark.parametrize(
    "options, message",
    [
        pytest.param(
            ["--parameters", "calibrated"],
            "--parameters is 'calibrated', but a calibration for 'ccip_embedding' does not exist: run "
            "ccip_plugin.calibrate in Python, or 'CCIP: calibrate' in the App, or use 'published'\n",
            id="nothing is calibrated",
        ),
        pytest.param(["--tracks", "video"], "--tracks applies to detections: it needs a --patches-field", id="images"),
        pytest.param(
            ["--tracks", "video", "--patches-field", "faces"],
            "--tracks is the field that names the video of each frame; {name!r} has no field 'video'",
            id="no such field",
        ),
        pytest.param(
            ["--graph", "approximate", "--method", "optics"],
            "--graph is 'approximate'; it must be auto or exact: this method needs all neighbors of each image",
            id="a graph that the method cannot use",
        ),
    ],
)
def test_options_that_grouping_refuses_are_refused_before_embedding(fails, images, dataset, options, message):
    data = dataset(*images("ab"))
    data.add_sample_field("faces", fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)
    out, error = fails("--dataset", data.name, *options)
    assert error.startswith(message.format(name=data.name))
    assert out == "" and not data.has_field(EMBEDDINGS_FIELD)


@pytest.mark.parametrize(
    "arguments, message",
    [
        pytest.param(
            ["apply"],
            "there is no proposal for the character groups of 'character_group': make one with group --propose\n",
            id="no proposal",
        ),
        pytest.param(
            ["group", "--alpha", "0.1"],
            "--alpha and --force-square apply to boxes: they need a --patches-field",
            id="boxes",
        ),
    ],
)
def test_messages_name_options_of_the_command_line(fails, images, dataset, arguments, message):
    data = dataset(*images("ab"))
    _, error = fails(*arguments, "--dataset", data.name)
    assert error.startswith(message)


def test_a_download_that_fails_keeps_the_dataset_and_says_so(fails, images, dataset, tmp_path, monkeypatch, offline):
    monkeypatch.delenv("CCIP_MODEL_DIR", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "empty"))
    name = dataset().name
    fo.delete_dataset(name)
    out, error = fails(images("ab")[0].parent, "--dataset", name, "--model", "ccip-caformer-5_fp32")
    assert "or pass --model-dir <folder>" in error
    assert error.endswith(f"\nThe dataset {name!r} is kept. The same command continues.\n")
    assert "Images\n" in out and "Time" not in out
    assert len(fo.load_dataset(name)) == 2


@pytest.mark.parametrize(
    "error, message",
    [
        pytest.param(
            ParameterError("min_samples", 0, "1 or more"), "--min-samples is 0; it must be 1 or more", id="one"
        ),
        pytest.param(
            DownloadError("a", "no network", remedy="pass model_dir=<folder>"),
            "could not download a: no network. pass --model-dir <folder>",
            id="with a value",
        ),
        pytest.param(
            TargetError("tracks needs 'tracks' of tracks.txt", mentions=("tracks",)),
            "--tracks needs 'tracks' of tracks.txt",
            id="text of the user is kept",
        ),
        pytest.param(TargetError("tracks are missing"), "tracks are missing", id="not an option"),
        pytest.param(
            UnknownOriginError("v", 3),
            "'v' has 3 vectors without recorded provenance: adopt=True of ccip_plugin.compute_embeddings in Python "
            "with their --model keeps them, --overwrite on the whole dataset replaces them, or choose another field",
            id="a switch, and an option of Python alone",
        ),
        pytest.param(CCIPError("no room"), "no room", id="nothing to spell"),
    ],
)
def test_spelled(error, message):
    assert error.spelled(spellings()) == message


@pytest.mark.parametrize("cls", [EmbeddingOptions, GroupingOptions])
def test_every_option_of_the_command_line_has_a_spelling(cls):
    expected = {option.name: option.flag for option in cls.all() if option.spec.on_command_line}
    assert expected.items() <= spellings().items()
    for name, flag in expected.items():
        assert ParameterError(name, "絵", "else").spelled(spellings()) == f"{flag} is '絵'; it must be else"


@pytest.mark.parametrize("path", ["/no/such/絵", "~/no such.png", "no/such.jpg", "https://example.com/a.png"])
def test_a_path_that_does_not_exist_is_said_before_fiftyone_starts(run_python, path):
    code = f"""
        import sys
        from ccip_plugin.__main__ import main
        status = main([{path!r}, "--dataset", "ccip never"])
        print(status, "fiftyone" in sys.modules)
    """
    done = run_python(code)
    assert done.stdout == "1 False\n"
    assert "does not exist" in done.stderr or "is not on this machine" in done.stderr


def test_a_folder_without_images_is_one_short_line(fails, tmp_path):
    (tmp_path / "notes.txt").touch()
    _, error = fails(tmp_path, "--dataset", "ccip never")
    assert error.startswith(f"no images in {tmp_path}; of types that are not read: ")
    assert ".jpg, .png, .webp, .gif, .avif and " in error and len(error) < 160 + len(str(tmp_path))


@pytest.mark.parametrize("subset", ["nope", "test_v1", "無い"])
def test_a_word_that_is_no_subset_needs_no_network(fails, subset, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    _, error = fails("character-similarity", subset, "--folder", tmp_path)
    assert "is neither a file nor a" in error and "images_test_v1, images_xtiny_v0" in error


def test_an_unlisted_subset_without_network_is_told_the_listed_ones(fails, tmp_path, monkeypatch, offline):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    _, error = fails("character-similarity", "images_tset_v1", "--folder", tmp_path)
    assert "images_test_v1, images_xtiny_v0" in error and offline
