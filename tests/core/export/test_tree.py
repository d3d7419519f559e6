"""Writing exports: which folders are accepted, what a second export changes, and what it keeps."""

import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from ccip_plugin.core.export.exchange import Places
from ccip_plugin.core.export.layouts import get_layout
from ccip_plugin.core.export.manifest import MANIFEST, ManifestError, read_manifest
from ccip_plugin.core.export.planning import ExportOptions, plan_export
from ccip_plugin.core.export.records import ExportError, TargetError, TrainingImage
from ccip_plugin.core.export.tree import ExportWriteError, write_export
from ccip_plugin.core.progress import Cancelled
from tests.support.export.trainers import READERS


@pytest.fixture
def images(tmp_path):
    """Three images of Rei and two of Asuka, one of them a detection."""
    folder = tmp_path / "media"
    folder.mkdir()
    boxes = {"e": (0.25, 0.0, 0.5, 0.5)}
    result = []
    for number, key in enumerate("abcde"):
        path = folder / f"{key}.png"
        Image.effect_noise((40 + number, 60), 80).save(path)
        character = "Rei" if key in "abc" else "Asuka"
        result.append(TrainingImage(key, str(path), character, box=boxes.get(key), tags=("1girl",)))
    return result


def export(images, target, layout="kohya", options=None, **values):
    plan = plan_export(images, options, escape=get_layout(layout).escape)
    return write_export(plan, get_layout(layout), target, **values)


def contents(folder):
    """The content of each file but the manifest."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


REI, ASUKA = "1_Rei", "2_Asuka"


@pytest.mark.parametrize("layout", READERS)
def test_trainers_read_what_is_written(images, tmp_path, layout):
    report = export(images, tmp_path / "out", layout)
    assert (report.n_images, report.n_new, report.failed, report.old) == (5, 5, {}, None)
    for reader in READERS[layout]:
        trained = reader(tmp_path / "out")
        assert sorted(caption for _, caption in trained.values()) == ["Asuka, 1girl"] * 2 + ["Rei, 1girl"] * 3
    assert {path.name for path in tmp_path.iterdir()} == {"media", "out", ".out.ccip-lock"}


def test_images_are_equal_and_crops_without_loss(images, tmp_path):
    export(images, tmp_path / "out")
    assert (tmp_path / "out" / REI / "Rei_a.png").read_bytes() == Path(images[0].path).read_bytes()
    whole = Image.open(images[4].path).convert("RGB")
    crop = Image.open(tmp_path / "out" / ASUKA / "Asuka_e.png")
    assert crop.tobytes() == whole.crop((11, 0, 33, 30)).tobytes()


@pytest.mark.parametrize("link", [False, True])
def test_links_only_if_asked(images, tmp_path, link):
    export(images, tmp_path / "out", link=link)
    assert (tmp_path / "out" / REI / "Rei_a.png").samefile(images[0].path) == link
    assert not (tmp_path / "out" / ASUKA / "Asuka_e.png").samefile(images[4].path)


def test_a_second_export_takes_what_is_unchanged(images, tmp_path):
    out = tmp_path / "out"
    export(images, out)
    before = contents(out)
    inode = (out / REI / "Rei_a.png").stat().st_ino
    Image.new("RGB", (9, 9)).save(images[1].path)
    report = export(images[:4], out, provenance={"dataset": "x"})
    assert (report.n_images, report.n_new, report.n_unchanged) == (4, 1, 3)
    assert (out / "1_Rei" / "Rei_a.png").stat().st_ino == inode
    assert (out / "1_Rei" / "Rei_b.png").read_bytes() == Path(images[1].path).read_bytes()
    assert (out / "3_Asuka" / "Asuka_d.txt").read_text() == "Asuka, 1girl\n"
    assert not (out / ASUKA).exists()
    assert report.old == tmp_path / "out.old" and contents(report.old) == before
    manifest = read_manifest(out)
    assert (manifest.generation, manifest.provenance) == (2, {"dataset": "x"})
    export(images, out)
    assert read_manifest(tmp_path / "out.old").generation == 2


def test_what_users_edited_is_kept(images, tmp_path):
    out = tmp_path / "out"
    export(images, out)
    (out / ASUKA / "Asuka_d.txt").write_text("my caption")
    (out / REI / "Rei_a.txt").write_text(" \n")  # which kohya's scripts do not survive
    (out / "dataset.toml").write_text("mine = 1\n")
    report = export(images[:4], out)
    assert report.n_edited_captions == 1
    assert (out / "3_Asuka" / "Asuka_d.txt").read_text() == "my caption"
    assert (out / REI / "Rei_a.txt").read_text() == "Rei, 1girl\n"
    assert (out / "dataset.edited-1.toml").read_text() == "mine = 1\n"
    assert "image_dir" in (out / "dataset.toml").read_text()
    export(images[:4], out)
    assert (out / "3_Asuka" / "Asuka_d.txt").read_text() == "my caption"
    assert (out / "dataset.edited-1.toml").read_text() == "mine = 1\n"


def test_a_caption_that_was_only_saved_again_is_not_edited(images, tmp_path):
    out = tmp_path / "out"
    export(images, out)
    (out / REI / "Rei_a.txt").write_bytes("\ufeffRei, 1girl\r\n".encode())
    assert export(images, out).n_edited_captions == 0
    assert (out / REI / "Rei_a.txt").read_bytes() == b"Rei, 1girl\n"


def test_captions_edited_in_the_metadata_are_kept_in_every_layout(images, tmp_path):
    out = tmp_path / "out"
    export(images, out, "imagefolder")
    text = (out / "metadata.jsonl").read_text().replace('"Rei, 1girl"', '"綾波, my caption"', 1)
    (out / "metadata.jsonl").write_text(text, encoding="utf-8")
    export(images, out, "imagefolder")
    assert READERS["imagefolder"][0](out)["Rei/Rei_a.png"] == (1, "綾波, my caption")
    export(images, out, "onetrainer")
    assert (out / "Rei" / "Rei_a.txt").read_text(encoding="utf-8") == "綾波, my caption"


def test_files_that_are_not_ours_move_along(images, tmp_path):
    out = tmp_path / "out"
    export(images, out)
    (out / "notes.md").write_text("note")
    (out / ASUKA / "Asuka_d_0064x0064_sdxl.npz").write_bytes(b"latents of d")
    (out / ASUKA / "Asuka_d-masklabel.png").write_bytes(b"mask")
    (out / ASUKA / "more" / "deep").mkdir(parents=True)
    (out / ASUKA / "more" / "deep" / "x.bin").write_bytes(b"x" * (2 << 20))
    (out / REI / "Rei_b_0064x0064_sdxl.npz").write_bytes(b"latents of b")
    (out / "link").symlink_to("/nowhere")
    Image.new("RGB", (9, 9)).save(images[1].path)
    report = export(images[:4], out)
    assert (out / "notes.md").read_text() == "note"
    assert (out / "3_Asuka" / "Asuka_d_0064x0064_sdxl.npz").read_bytes() == b"latents of d"
    assert (out / "3_Asuka" / "Asuka_d-masklabel.png").read_bytes() == b"mask"
    assert (out / "3_Asuka" / "more" / "deep" / "x.bin").stat().st_size == 2 << 20
    assert (out / "link").readlink() == Path("/nowhere")
    assert report.carried.n_files == 5
    assert report.carried.stale == [f"{REI}/Rei_b_0064x0064_sdxl.npz"]
    assert (tmp_path / "out.old" / REI / "Rei_b_0064x0064_sdxl.npz").exists()


def test_files_beside_images_that_are_gone(images, tmp_path):
    out = tmp_path / "out"
    export(images, out)
    (out / REI / "Rei_a-masklabel.png").write_bytes(b"mask of a")
    (out / ASUKA / "Asuka_d-masklabel.png").write_bytes(b"mask of d")
    for _ in range(2):
        export(images[1:3], out)
        assert (out / REI / "Rei_a-masklabel.png").read_bytes() == b"mask of a"
        assert (out / "left over" / ASUKA / "Asuka_d-masklabel.png").read_bytes() == b"mask of d"
        assert not (out / ASUKA).exists()


def test_a_file_with_the_name_of_one_of_ours_gets_another(images, tmp_path):
    out = tmp_path / "out"
    export(images[:2], out)
    (out / REI / "REI_C.png").write_bytes(b"theirs")
    report = export(images[:3], out)
    assert report.carried.renamed == [(f"{REI}/REI_C.png", f"{REI}/REI_C.kept-1.png")]
    assert (out / REI / "REI_C.kept-1.png").read_bytes() == b"theirs"


def test_a_file_in_the_place_of_a_folder_gets_another_name(images, tmp_path):
    out = tmp_path / "out"
    export(images[:3], out, "plain")
    (out / "Asuka").write_text("theirs")
    (out / "Rei" / "Rei_a.png").unlink()
    (out / "Rei" / "Rei_a.png").mkdir()
    (out / "Rei" / "Rei_a.png" / "x").write_text("x")
    report = export(images, out, "plain")
    assert (out / "Asuka.kept-1").read_text() == "theirs"
    assert (out / "Rei" / "Rei_a.kept-1.png" / "x").read_text() == "x"
    assert (out / "Rei" / "Rei_a.png").is_file()
    assert report.restored == ["a"]


def test_an_edited_caption_waits_for_its_image(images, tmp_path):
    out = tmp_path / "out"
    export(images, out)
    (out / REI / "Rei_a.txt").write_text("my caption")
    export(images[1:], out)
    export(images[1:], out)
    assert export(images, out).n_edited_captions == 1
    assert (out / REI / "Rei_a.txt").read_text() == "my caption"


def test_images_that_users_edited(images, tmp_path):
    out = tmp_path / "out"
    export(images, out)
    for key in "ab":
        (out / REI / f"Rei_{key}.png").write_bytes(b"retouched")
    Image.new("RGB", (9, 9)).save(images[1].path)
    report = export(images, out)
    assert (out / REI / "Rei_a.png").read_bytes() == b"retouched"
    assert (out / REI / "Rei_b.png").read_bytes() == Path(images[1].path).read_bytes()
    assert report.superseded == ["b"]
    assert (tmp_path / "out.old" / REI / "Rei_b.png").read_bytes() == b"retouched"


def test_editing_in_place_does_not_change_the_old_export(images, tmp_path):
    out = tmp_path / "out"
    export(images, out)
    (out / "notes.md").write_text("note")
    export(images, out)
    for path in (out / "notes.md", out / REI / "Rei_a.txt", out / "dataset.toml"):
        with path.open("r+") as file:
            file.write("edited")
    assert (tmp_path / "out.old" / "notes.md").read_text() == "note"
    assert (tmp_path / "out.old" / REI / "Rei_a.txt").read_text() == "Rei, 1girl\n"


def _file(path):
    path.write_text("mine")


def _folder(path):
    path.mkdir()
    _file(path / "photo.png")


def _empty(path):
    path.mkdir()


def _damaged(path):
    _folder(path)
    (path / MANIFEST).write_text("{}")


def _escaping(path):
    _folder(path)
    entry = '{"path": "../media/a.png", "kind": "image", "key": "a"}'
    head = '"format": "ccip-export", "version": 1, "layout": "kohya", "generation": 1, "created": ""'
    (path / MANIFEST).write_text(
        f'{{{head}, "entries": [{entry}], "left_out": {{}}, "provenance": {{}}, "captions": {{}}}}'
    )


@pytest.mark.parametrize(
    "make, name",
    [
        pytest.param(_file, "out", id="a file"),
        pytest.param(_folder, "out", id="a folder"),
        pytest.param(_damaged, "out", id="a damaged manifest"),
        pytest.param(_escaping, "out", id="a manifest that names files elsewhere"),
        pytest.param(_file, "out.old", id="a file in the way"),
        pytest.param(_folder, "out.old", id="a folder in the way"),
        pytest.param(_folder, ".out.ccip-new", id="a hidden one in the way"),
    ],
)
def test_a_folder_of_others_is_refused(images, tmp_path, make, name):
    make(tmp_path / name)
    before = contents(tmp_path)
    with pytest.raises(TargetError):
        export(images, tmp_path / "out")
    assert {**contents(tmp_path), ".out.ccip-lock": b""} == {**before, ".out.ccip-lock": b""}


def test_an_empty_folder_is_taken(images, tmp_path):
    _empty(tmp_path / "out")
    assert export(images, tmp_path / "out").n_images == 5


@pytest.mark.parametrize("target", ["no/out", "a\nb", "/"])
def test_a_target_that_cannot_be_is_refused(images, tmp_path, target):
    with pytest.raises(TargetError):
        export(images, tmp_path / target)


def test_an_image_that_cannot_be_read_costs_only_itself(images, tmp_path):
    Path(images[0].path).unlink()
    Path(images[4].path).write_bytes(b"no image")
    report = export(images, tmp_path / "out", "imagefolder")
    assert report.failed.keys() == {"a", "e"}
    assert READERS["imagefolder"][0](tmp_path / "out").keys() == {"Rei/Rei_b.png", "Rei/Rei_c.png", "Asuka/Asuka_d.png"}


def test_an_image_whose_file_is_gone_stays_in_the_export(images, tmp_path):
    export(images, tmp_path / "out")
    Path(images[0].path).unlink()
    report = export(images, tmp_path / "out")
    assert (report.n_images, report.failed) == (5, {})


@pytest.mark.parametrize("is_first", [True, False])
def test_nothing_is_written_if_it_is_cancelled(images, tmp_path, is_first):
    if not is_first:
        export(images, tmp_path / "out")
    before = contents(tmp_path)

    def cancel(progress):
        if progress.done == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        export(images, tmp_path / "out", progress=cancel)
    assert {**before, ".out.ccip-lock": b""} == contents(tmp_path)


def test_no_images(images, tmp_path):
    with pytest.raises(ExportError):
        export([], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files")
@pytest.mark.parametrize("is_first", [True, False])
def test_a_disk_that_is_full(images, tmp_path, is_first):
    import resource

    if not is_first:
        export(images, tmp_path / "out")
    Image.effect_noise((90, 90), 80).save(images[0].path)
    before = contents(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(ExportWriteError, match="out cannot be written"):
            export(images, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert contents(tmp_path) == {**before, ".out.ccip-lock": b""}


def test_a_pipe_costs_only_itself(images, tmp_path):
    Path(images[0].path).unlink()
    os.mkfifo(images[0].path)
    assert export(images, tmp_path / "out").failed.keys() == {"a"}


def test_what_is_excluded_stands_in_the_manifest(images, tmp_path):
    export(images, tmp_path / "out", options=ExportOptions(cap=2))
    assert set(read_manifest(tmp_path / "out").left_out.values()) == {"over the limit of images"}


def test_a_newer_manifest_is_refused(images, tmp_path):
    export(images, tmp_path / "out")
    path = tmp_path / "out" / MANIFEST
    path.write_text(path.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(ManifestError, match="update"):
        read_manifest(tmp_path / "out")


def test_two_processes_do_not_write_one_folder(images, tmp_path):
    from filelock import FileLock

    with FileLock(Places.of(tmp_path / "out").lock), pytest.raises(TargetError, match="another process"):
        export(images, tmp_path / "out")
