"""What an export would do, before it does."""

from ccip_plugin.core.export.layouts import get_layout
from ccip_plugin.core.export.planning import ExportOptions, plan_export
from ccip_plugin.core.export.preview import FolderPreview, preview_export
from ccip_plugin.core.export.records import TrainingImage
from ccip_plugin.core.export.tree import write_export


def images(tmp_path):
    for key in "abc":
        (tmp_path / f"{key}.png").write_bytes(b"x" * 100)
    a, b, c = (str(tmp_path / f"{key}.png") for key in "abc")
    return [
        TrainingImage("a", a, "Rei", size=(10, 10), content="1"),
        TrainingImage("a2", a, "Rei", size=(9, 9), content="1"),
        TrainingImage("b", b, "Rei", size=(20, 10)),
        TrainingImage("c", c, "Asuka", size=(50, 10), box=(0, 0, 1, 0.5)),
        TrainingImage("d", str(tmp_path / "d.png"), "Asuka", size=(1, 1)),
        TrainingImage("e", a, "Asuka", status="auto"),
    ]


def test_preview(tmp_path):
    layout = get_layout("kohya")
    plan = plan_export(images(tmp_path))
    preview = preview_export(plan, layout, tmp_path / "out")
    assert preview.folders == (
        FolderPreview("Asuka", "1_Asuka", 2, 1, 1000, 1, 1, "c", "Asuka"),
        FolderPreview("Rei", "1_Rei", 2, 1, 200, 0, 0, "b", "Rei"),
    )
    assert (preview.n_images, preview.n_bytes) == (4, 1200)
    assert preview.left_out == {"duplicate": 1, "not confirmed": 1}
    assert (preview.n_before, preview.problem) == (None, None)
    assert not (tmp_path / "out").exists()


def test_preview_of_a_second_export(tmp_path):
    layout = get_layout("plain")
    plan = plan_export([each for each in images(tmp_path) if each.character == "Rei"])
    write_export(plan, layout, tmp_path / "out")
    assert preview_export(plan, layout, tmp_path / "out").n_before == 2


def test_preview_of_a_folder_of_others(tmp_path):
    plan = plan_export(images(tmp_path), ExportOptions(with_unconfirmed=True))
    assert "neither empty nor an export" in preview_export(plan, get_layout("plain"), tmp_path).problem
