"""Layouts: which files a trainer reads and what its settings say, as data; a trainer is a record of the registry."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import CCIPError
from .captions import escaped_for_ai_toolkit, escaped_for_kohya, escaped_plainly
from .records import Picture, Plan, PlannedFile, PlannedFolder, PlannedImage, TrainingImage

CAPTION_SUFFIX = ".txt"
METADATA = "metadata.jsonl"

_KOHYA_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
_SPLIT_WORDS = re.compile(
    r"(?<![^\-._ 0-9])(train|training|validation|valid|dev|val|test|testing|eval|evaluation)(?![^\-._ 0-9])"
)


class UnknownLayoutError(CCIPError, ValueError):
    """The layout is not in the registry."""

    def __init__(self, name: str):
        super().__init__(f"unknown layout {name!r}; available: {', '.join(LAYOUTS)}")
        self.name = name


@dataclass(frozen=True)
class Layout:
    """What a trainer reads.

    Attributes:
        name: its name
        label: its name for people
        suffixes: endings of image files that it reads, in lower case; others are rewritten as PNG
        folder: the name of a character's folder
        settings: the texts of files about all folders, by path; they are given the folder of the export as well
        has_caption_files: whether each image has a caption in a ``.txt`` file of its stem
        renamed: how it wants the names of folders and stems
        escape: how it wants a part of a caption written
    """

    name: str
    label: str
    suffixes: frozenset[str]
    folder: Callable[[PlannedFolder], str]
    settings: Callable[["Layout", Plan, Path], Mapping[str, str]]
    has_caption_files: bool = True
    renamed: Callable[[str], str] = str
    escape: Callable[[str, bool], str] = escaped_plainly

    def folder_of(self, folder: PlannedFolder) -> str:
        """The name of a character's folder."""
        return self.renamed(self.folder(folder))

    def image_path(self, folder: PlannedFolder, image: PlannedImage) -> str:
        """The path of an image in the export, with ``/``."""
        suffix = ".png" if self.is_rewritten(image.image) else _suffix(image.image.path)
        return f"{self.folder_of(folder)}/{self.renamed(image.stem)}{suffix}"

    def is_rewritten(self, image: TrainingImage) -> bool:
        """Whether an image is decoded and written as PNG: crops, and files that the trainer cannot read as they are."""
        return image.box is not None or image.is_turned or _suffix(image.path) not in self.suffixes


def get_layout(name: str) -> Layout:
    """The layout of a name.

    Raises:
        UnknownLayoutError: there is none
    """
    if name not in LAYOUTS:
        raise UnknownLayoutError(name)
    return LAYOUTS[name]


def files_of(
    plan: Plan, layout: Layout, root: Path, captions: Mapping[str, str] | None = None
) -> tuple[PlannedFile, ...]:
    """The files of an export.

    Args:
        plan: what the export contains
        layout: what the trainer reads
        root: the folder of the export, for settings that name folders by their whole path
        captions (None): captions that a user edited, by the key of the image, instead of those of the plan

    Returns:
        the files: images, each followed by its caption, then settings; their paths differ on every system
    """
    edited = captions or {}
    files = []
    for folder in plan.folders:
        for image in folder.images:
            path, key = layout.image_path(folder, image), image.image.key
            margin = plan.margin if image.image.box is not None else 0.0
            picture = Picture(image.image.path, image.image.box, margin, layout.is_rewritten(image.image))
            files.append(PlannedFile(path, "image", picture, key))
            if layout.has_caption_files:
                text = edited.get(key, caption_text(image.caption))
                files.append(PlannedFile(caption_path(path), "caption", text, key))
    settings = layout.settings(layout, _with_captions(plan, edited) if edited else plan, root)
    return (*files, *(PlannedFile(path, "settings", text) for path, text in settings.items()))


def caption_path(image_path: str) -> str:
    """The path of the caption of an image."""
    return os.path.splitext(image_path)[0] + CAPTION_SUFFIX  # noqa: PTH122 - of an export, with /, on every system


def caption_text(caption: str) -> str:
    """The text of a caption file."""
    return f"{caption}\n"


def _with_captions(plan: Plan, captions: Mapping[str, str]) -> Plan:
    folders = []
    for folder in plan.folders:
        images = (replace(each, caption=_text(captions.get(each.image.key, each.caption))) for each in folder.images)
        folders.append(replace(folder, images=tuple(images)))
    return replace(plan, folders=tuple(folders))


def _text(caption: str) -> str:
    """A caption as a string of JSON; of what was not UTF-8, question marks."""
    return caption.strip().encode("utf-8", "replace").decode("utf-8")


# -- settings of the trainers


def _kohya(layout: Layout, plan: Plan, root: Path) -> dict[str, str]:
    """``dataset.toml``: a subset for each folder, since a folder that is named twice counts once."""
    lines = ["[general]", f"caption_extension = {_quoted(CAPTION_SUFFIX)}", "keep_tokens = 1", "", "[[datasets]]"]
    for folder in plan.folders:
        lines += [
            "",
            "[[datasets.subsets]]",
            f"image_dir = {_quoted(_inside(root, layout.folder_of(folder)))}",
            f"num_repeats = {folder.repeats}",
            f"class_tokens = {_quoted(folder.name)}",
        ]
    return {"dataset.toml": "\n".join(lines) + "\n"}


def _onetrainer(layout: Layout, plan: Plan, root: Path) -> dict[str, str]:
    """``concepts.json``: a concept for each folder, with captions from the files beside the images."""
    concepts = [
        {
            "__version": 1,
            "name": folder.name,
            "path": _inside(root, layout.folder_of(folder)),
            "seed": int(hashlib.sha256(folder.name.encode("utf-8")).hexdigest()[:7], 16),
            "enabled": True,
            "include_subdirectories": False,
            "balancing": float(folder.repeats),
            "balancing_strategy": "REPEATS",
            "text": {"prompt_source": "sample"},
        }
        for folder in plan.folders
    ]
    return {"concepts.json": json.dumps(concepts, ensure_ascii=False, indent=2) + "\n"}


def _ai_toolkit(layout: Layout, plan: Plan, root: Path) -> dict[str, str]:
    """``datasets.yaml``: the list of data sets for a configuration; captions have the trigger word already."""
    lines = ["datasets:" if plan.folders else "datasets: []"]
    for folder in plan.folders:
        lines += [
            f"  - folder_path: {_quoted(_inside(root, layout.folder_of(folder)))}",
            f"    caption_ext: {_quoted(CAPTION_SUFFIX[1:])}",
            f"    num_repeats: {folder.repeats}",
        ]
    return {"datasets.yaml": "\n".join(lines) + "\n"}


def _imagefolder(layout: Layout, plan: Plan, root: Path) -> dict[str, str]:
    """``metadata.jsonl``: a line for each image; the repeats are a column, for a sampler."""
    rows = [
        {
            "file_name": layout.image_path(folder, image),
            "text": image.caption,
            "character": folder.character,
            "repeats": folder.repeats,
        }
        for folder in plan.folders
        for image in folder.images
    ]
    return {METADATA: "".join(json.dumps(row) + "\n" for row in rows)}


def _no_settings(layout: Layout, plan: Plan, root: Path) -> dict[str, str]:
    return {}


def _own_name(folder: PlannedFolder) -> str:
    return folder.name


def _with_repeats(folder: PlannedFolder) -> str:
    return f"{folder.repeats}_{folder.name}"


def _without_split_words(name: str) -> str:
    """A name that the ``datasets`` library does not take for a split: its words for them are in lower case."""
    return _SPLIT_WORDS.sub(lambda match: match[0].capitalize(), name)


def _inside(root: Path, folder: str) -> str:
    return _posix(str(root / folder))


def _suffix(path: str) -> str:
    """The ending of a file name, in lower case."""
    return os.path.splitext(path)[1].lower()  # noqa: PTH122 - of each image, and quicker than a path


def _posix(path: str) -> str:
    return path.replace("\\", "/") if re.match(r"[A-Za-z]:[\\/]|\\\\", path) else path


def _quoted(text: str) -> str:
    """A string of TOML and of YAML: JSON's, but for the delete character, which TOML wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout("kohya", "kohya's scripts", _KOHYA_SUFFIXES, _with_repeats, _kohya, escape=escaped_for_kohya),
        Layout("onetrainer", "OneTrainer", _KOHYA_SUFFIXES | {".tif", ".tiff"}, _own_name, _onetrainer),
        Layout(
            "ai-toolkit",
            "ai-toolkit",
            frozenset({".png", ".jpg", ".jpeg", ".webp"}),
            _own_name,
            _ai_toolkit,
            escape=escaped_for_ai_toolkit,
        ),
        Layout(
            "imagefolder",
            "imagefolder of the datasets library",
            _KOHYA_SUFFIXES,
            _own_name,
            _imagefolder,
            has_caption_files=False,
            renamed=_without_split_words,
        ),
        Layout("plain", "plain folders", _KOHYA_SUFFIXES | {".gif", ".tif", ".tiff"}, _own_name, _no_settings),
    )
}
"""The layouts by name."""
