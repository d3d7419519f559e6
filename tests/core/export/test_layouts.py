"""Each trainer reads every image of an export, with its caption and repeats, whatever the names and tags."""

import random
from pathlib import Path

import pytest
import yaml

from ccip_plugin.core.export.captions import CaptionRules
from ccip_plugin.core.export.layouts import LAYOUTS, UnknownLayoutError, files_of, get_layout
from ccip_plugin.core.export.names import folded
from ccip_plugin.core.export.planning import ExportOptions, plan_export
from ccip_plugin.core.export.records import Picture, TrainingImage
from tests.core.export.test_names import HOSTILE
from tests.support.export.trainers import READERS

TAGS = ["", "1girl", "long_hair", "a,b", "\n", "[trigger]", "|||", ";;;", "rei (eva)", "\udcff", "\ufeff", "^_^", "\\"]
SUFFIXES = [".png", ".PNG", ".jpg", ".JPeG", ".webp", ".gif", ".avif", ".tiff", "", ".jxl", ".bmp"]


def images(rng, n):
    """Images with hostile names, tags, endings and keys."""
    characters = [*rng.sample(HOSTILE, rng.randint(1, 6)), "test", "train_a", "Rei"]
    keys = rng.sample([*HOSTILE, *map(str, range(n))], n)
    return [
        TrainingImage(
            key,
            f"/data/{rng.choice(['1', 'a b', '-masklabel'])}{rng.choice(SUFFIXES)}",
            rng.choice(characters),
            box=(0.1, 0.1, 0.5, 0.5) if rng.random() < 0.3 else None,
            status=rng.choice(["auto", "confirmed", "confirmed", "ignored"]),
            tags=tuple(rng.choices(TAGS, k=rng.randint(0, 5))),
            companions=tuple(rng.choices(HOSTILE, k=rng.randint(0, 2))),
            content=rng.choice([None, None, "a", "b"]),
            is_turned=rng.random() < 0.2,
        )
        for key in keys
    ]


def write(files, root):
    for file in files:
        path = root / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as stream:
            stream.write(b"pixels" if isinstance(file.content, Picture) else file.content.encode("utf-8"))


@pytest.mark.parametrize("name", LAYOUTS)
def test_trainers_read_every_export_of_hostile_data(tmp_path, name):
    layout = get_layout(name)
    for seed in range(100):
        rng = random.Random(f"{name} {seed}")
        options = ExportOptions(
            with_unconfirmed=rng.random() < 0.5,
            cap=rng.choice([None, 2]),
            captions=CaptionRules(trigger=rng.choice([None, "", "ohwx", "a,b"]), underscores=rng.random() < 0.5),
        )
        plan = plan_export(images(rng, 25), options, escape=layout.escape)
        root = tmp_path / f"{seed} [1] _{name}_ 'x"
        root.mkdir()
        files = files_of(plan, layout, root)
        assert len({folded(file.path) for file in files}) == len(files)
        write(files, root)
        expected = {
            layout.image_path(folder, image): (folder.repeats if name != "plain" else 1, image.caption)
            for folder in plan.folders
            for image in folder.images
        }
        assert len(expected) == plan.n_images > 0
        for reader in READERS[name]:
            assert reader(root) == expected


IMAGE = TrainingImage("64f0", "/data/1.PNG", "rei_ayanami", tags=("1girl", "long_hair"))
SECOND = TrainingImage("64f1", "/data/1.avif", "rei_ayanami")
OTHER = TrainingImage("64f2", "/data/2.jpg", "Asuka", box=(0, 0, 0.5, 0.5))


@pytest.mark.parametrize(
    "name, expected",
    [
        pytest.param(
            "kohya",
            "2_Asuka/Asuka_64f2.png 2_Asuka/Asuka_64f2.txt 1_rei_ayanami/rei-ayanami_64f0.png "
            "1_rei_ayanami/rei-ayanami_64f0.txt 1_rei_ayanami/rei-ayanami_64f1.png "
            "1_rei_ayanami/rei-ayanami_64f1.txt dataset.toml",
            id="kohya",
        ),
        pytest.param(
            "imagefolder",
            "Asuka/Asuka_64f2.png rei_ayanami/rei-ayanami_64f0.png rei_ayanami/rei-ayanami_64f1.png metadata.jsonl",
            id="imagefolder",
        ),
    ],
)
def test_files(name, expected):
    files = files_of(plan_export([IMAGE, SECOND, OTHER]), get_layout(name), Path("/out"))
    assert [file.path for file in files] == expected.split()
    pictures = {file.key: file.content for file in files if file.kind == "image"}
    assert pictures["64f0"] == Picture("/data/1.PNG")
    assert pictures["64f1"].is_rewritten and pictures["64f2"].is_rewritten
    assert pictures["64f2"].box == (0, 0, 0.5, 0.5)


def test_yaml_for_ai_toolkit_is_yaml(tmp_path):
    text = files_of(plan_export([IMAGE, OTHER]), get_layout("ai-toolkit"), tmp_path / '綾波 "x" 👩')[-1].content
    assert yaml.safe_load(text) == {
        "datasets": [
            {"folder_path": f'{tmp_path}/綾波 "x" 👩/{name}', "caption_ext": "txt", "num_repeats": n}
            for name, n in (("Asuka", 1), ("rei_ayanami", 1))
        ]
    }


def test_unknown_layout():
    with pytest.raises(UnknownLayoutError, match="available: kohya"):
        get_layout("x")


def _rename(path, name):
    path.rename(path.with_name(name))


BREAKS = {
    "no number": ("kohya", lambda root: _rename(root / "1_rei_ayanami", "rei_ayanami")),
    "empty caption": ("kohya", lambda root: (root / "1_rei_ayanami/rei-ayanami_64f0.txt").write_text("")),
    "no caption": ("kohya", lambda root: (root / "1_rei_ayanami/rei-ayanami_64f0.txt").unlink()),
    "two lines": ("kohya", lambda root: (root / "1_rei_ayanami/rei-ayanami_64f0.txt").write_text("a\nb")),
    "not UTF-8": ("kohya", lambda root: (root / "1_rei_ayanami/rei-ayanami_64f0.txt").write_bytes(b"\xff")),
    "mixed case": ("kohya", lambda root: _rename(root / "1_rei_ayanami/rei-ayanami_64f0.png", "a.Png")),
    "shared stem": ("kohya", lambda root: (root / "1_rei_ayanami/rei-ayanami_64f0.jpg").write_bytes(b"")),
    "subfolder": ("kohya", lambda root: (root / "1_rei_ayanami/more").mkdir()),
    "five parts": ("kohya", lambda root: (root / "1_rei_ayanami/a_b_c_d_e.png").write_bytes(b"")),
    "subset twice": ("kohya", lambda root: _append(root / "dataset.toml", _subset(root))),
    "a mask": ("onetrainer", lambda root: (root / "Asuka/x-masklabel.png").write_bytes(b"")),
    "two prompts": ("onetrainer", lambda root: (root / "Asuka/Asuka_64f2.txt").write_text("a\nb")),
    "a placeholder": ("ai-toolkit", lambda root: (root / "Asuka/Asuka_64f2.txt").write_text("[trigger]")),
    "no metadata": ("imagefolder", lambda root: (root / "Asuka/x.png").write_bytes(b"")),
    "a split": ("imagefolder", lambda root: _replace(root / "metadata.jsonl", "Asuka/", "test/")),
    "backslash": ("imagefolder", lambda root: _replace(root / "metadata.jsonl", "Asuka/", r"Asuka\\")),
}  # fmt: skip


def _append(path, text):
    path.write_text(path.read_text() + text)


def _subset(root):
    return f'[[datasets.subsets]]\nimage_dir = "{root}/1_rei_ayanami"\nnum_repeats = 1\n'


def _replace(path, old, new):
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize("case", BREAKS)
def test_a_broken_rule_is_seen(tmp_path, case):
    name, spoil = BREAKS[case]
    layout = get_layout(name)
    write(files_of(plan_export([IMAGE, SECOND, OTHER], escape=layout.escape), layout, tmp_path), tmp_path)
    for reader in READERS[name]:
        reader(tmp_path)
    spoil(tmp_path)
    with pytest.raises((AssertionError, UnicodeDecodeError)):
        for reader in READERS[name]:
            reader(tmp_path)
