"""Reads exports as the trainers do, written from their rules; fails where a trainer would fail or warn.

Each gives what is trained on: ``{path of the image: (repeats, caption)}``, paths with ``/`` and relative to the export.
"""

import json
import re
import tomllib
from pathlib import Path

KOHYA_IMAGES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}
ONETRAINER_IMAGES = KOHYA_IMAGES | {".tif", ".tiff"}
AI_TOOLKIT_IMAGES = {".png", ".jpg", ".jpeg", ".webp"}
SPLITS = re.compile(
    r"(^|[-._ 0-9/])(train|training|validation|valid|dev|val|test|testing|eval|evaluation)([-._ 0-9/]|$)"
)


def images_in(folder, suffixes):
    """The images of a folder that a trainer with these endings finds; all others must be no images."""
    found = []
    for path in sorted(folder.iterdir()):
        assert not path.is_dir(), f"{path} is not found in a subfolder"
        if path.suffix in suffixes or path.suffix in {each.upper() for each in suffixes}:
            found.append(path)
        else:
            assert path.suffix == ".txt", f"{path} is not read"
    stems = [path.stem.casefold() for path in found]
    assert len(set(stems)) == len(stems), "two images share a caption and cached latents"
    return found


def kohya_caption(path, extension=".txt"):
    base = str(path.with_suffix(""))
    parts = base.split("_")
    assert len(path.stem.split("_")) < 5, f"{path} may take the caption of a shortened name"
    for candidate in (base, "_".join(parts[:-4]) if len(parts) >= 5 else base):
        if Path(candidate + extension).is_file():
            lines = Path(candidate + extension).read_bytes().decode("utf-8").splitlines()
            assert lines, "the caption file is empty"
            assert len(lines) == 1, "only the first line is read"
            assert lines[0].strip(), "the caption is empty"
            return lines[0].strip()
    raise AssertionError(f"{path} has no caption: the name of the folder would be it")


def kohya_folders(root):
    """Kohya's scripts with ``train_data_dir``."""
    trained = {}
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        repeats, separator, name = folder.name.partition("_")
        assert repeats.isdecimal() and separator and name, f"{folder} is skipped: no number of repeats"
        assert int(repeats) >= 1
        for path in images_in(folder, KOHYA_IMAGES):
            trained[path.relative_to(root).as_posix()] = int(repeats), kohya_caption(path)
    return trained


def kohya_toml(root):
    """Kohya's scripts with ``dataset_config``."""
    config = tomllib.loads((root / "dataset.toml").read_text(encoding="utf-8"))
    assert config.keys() == {"general", "datasets"}
    subsets = [subset for dataset in config["datasets"] for subset in dataset.get("subsets", [])]
    folders = [subset["image_dir"] for subset in subsets]
    assert len(set(folders)) == len(folders), "a folder that is named twice counts once"
    trained = {}
    for subset in subsets:
        assert subset["num_repeats"] >= 1
        for path in images_in(Path(subset["image_dir"]), KOHYA_IMAGES):
            caption = kohya_caption(path, config["general"]["caption_extension"])
            trained[path.relative_to(root).as_posix()] = subset["num_repeats"], caption
    return trained


def onetrainer(root):
    """OneTrainer's concepts."""
    concepts = json.loads((root / "concepts.json").read_text(encoding="utf-8"))
    trained = {}
    for concept in concepts:
        assert concept["__version"] == 1 and concept["enabled"] and not concept["include_subdirectories"]
        assert concept["text"]["prompt_source"] == "sample" and concept["balancing_strategy"] == "REPEATS"
        for path in images_in(Path(concept["path"]), ONETRAINER_IMAGES):
            assert not path.stem.lower().endswith(("-masklabel", "-condlabel")), f"{path} is a mask"
            lines = path.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
            assert len(lines) == 1, "one of the lines is chosen at random"
            trained[path.relative_to(root).as_posix()] = concept["balancing"], lines[0]
    return trained


def ai_toolkit(root):
    """The data sets of ai-toolkit: the YAML that we write is strings of JSON, one key a line."""
    text = (root / "datasets.yaml").read_text(encoding="utf-8")
    trained = {}
    pattern = r"  - folder_path: (\".*\")\n    caption_ext: (\".*\")\n    num_repeats: (\d+)\n"
    for match in re.finditer(pattern, text):
        folder, extension, repeats = json.loads(match[1]), json.loads(match[2]), int(match[3])
        assert Path(folder).name not in ("_controls", "_latent_cache")
        for path in images_in(Path(folder), AI_TOOLKIT_IMAGES):
            caption = path.with_suffix(f".{extension}").read_text(encoding="utf-8")
            assert "[trigger]" not in caption and "[name]" not in caption, "a placeholder would be replaced"
            trained[path.relative_to(root).as_posix()] = repeats, caption.strip()
    return trained


def imagefolder(root):
    """The imagefolder loader of the datasets library, with the metadata beside."""
    lines = (root / "metadata.jsonl").read_bytes().decode("utf-8").split("\n")
    rows = [json.loads(line) for line in lines if line]
    trained = {}
    for row in rows:
        name = row["file_name"]
        assert "\\" not in name and not name.startswith("/") and ".." not in name.split("/")
        assert not any(part.startswith((".", "__")) for part in name.split("/")), f"{name} is hidden"
        assert not SPLITS.search(name), f"{name} is taken for a split"
        assert not set(name) & set("[]*?"), f"{name} is a pattern"
        assert (root / name).is_file()
        trained[name] = row["repeats"], row["text"]
    assert len(trained) == len(rows), "a file is named twice"
    images = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.suffix in KOHYA_IMAGES}
    assert images == trained.keys(), f"no metadata: {images ^ trained.keys()}"
    return trained


def plain(root):
    """Folders with a caption beside each image."""
    trained = {}
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        for path in images_in(folder, ONETRAINER_IMAGES | {".gif"}):
            trained[path.relative_to(root).as_posix()] = 1, kohya_caption(path)
    return trained


READERS = {
    "kohya": [kohya_folders, kohya_toml],
    "onetrainer": [onetrainer],
    "ai-toolkit": [ai_toolkit],
    "imagefolder": [imagefolder],
    "plain": [plain],
}
