"""What an export is made of: the images given, the folders planned, the files to write."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import CCIPError, printable

Kind = Literal["image", "caption", "settings"]


class ExportError(CCIPError, ValueError):
    """An export cannot be planned or written."""


class TargetError(ExportError, FileExistsError):
    """The target folder is neither new, nor empty, nor an export; nothing was written."""

    def __init__(self, path: Path, problem: str):
        super().__init__(printable(f"{path}: {problem}; nothing was written"))
        self.path, self.problem = path, problem


@dataclass(frozen=True)
class TrainingImage:
    """An image, or a detection of one, that may become a training image.

    Attributes:
        key: its id, different for each image of an export
        path: its file
        character: the name of its character
        size (None): ``(width, height)`` in pixels, as the image is shown; of the crop for a detection
        box (None): ``(x, y, width, height)`` relative to the image, of a detection
        status ("confirmed"): ``"auto"``, ``"confirmed"`` or ``"ignored"``
        doubts: what speaks against it, such as ``"doubtful"`` or ``"rescued"``
        tags: its tags
        companions: names of the other characters in the picture
        content (None): a hash of the file; files that are equal have the same
        look (None): perceptual hash of 64 bits
        is_turned (False): its file has an orientation that trainers do not apply
    """

    key: str
    path: str
    character: str
    size: tuple[int, int] | None = None
    box: tuple[float, float, float, float] | None = None
    status: str = "confirmed"
    doubts: frozenset[str] = frozenset()
    tags: tuple[str, ...] = ()
    companions: tuple[str, ...] = ()
    content: str | None = None
    look: int | None = None
    is_turned: bool = False

    @property
    def n_pixels(self) -> int:
        """Number of pixels, 0 if it is unknown."""
        return 0 if self.size is None else self.size[0] * self.size[1]


@dataclass(frozen=True)
class PlannedImage:
    """An image of an export: ``stem`` is the name of its files without an ending, ``caption`` one line."""

    image: TrainingImage
    stem: str
    caption: str


@dataclass(frozen=True)
class PlannedFolder:
    """The folder of a character: its ``name`` is safe, and without the repeats."""

    character: str
    name: str
    repeats: int
    images: tuple[PlannedImage, ...]


@dataclass(frozen=True)
class Plan:
    """What an export contains.

    Attributes:
        folders: a folder for each character that has images, in the order of the names
        left_out: why images are not exported, by their key
        margin: fraction by which the boxes of detections are enlarged
    """

    folders: tuple[PlannedFolder, ...]
    left_out: Mapping[str, str]
    margin: float = 0.0

    @property
    def n_images(self) -> int:
        """Number of images to export."""
        return sum(len(folder.images) for folder in self.folders)


@dataclass(frozen=True)
class Picture:
    """The content of an image file.

    Attributes:
        source: the file that it comes from
        box (None): the part of it, relative ``(x, y, width, height)``
        margin (0): fraction by which the box is enlarged
        is_rewritten (False): whether it is decoded and written as PNG; else the file is taken as it is
    """

    source: str
    box: tuple[float, float, float, float] | None = None
    margin: float = 0.0
    is_rewritten: bool = False


@dataclass(frozen=True)
class PlannedFile:
    """A file of an export: a picture or a text.

    Attributes:
        path: its path in the export, with ``/``
        kind: ``"image"``, ``"caption"`` or ``"settings"``
        content: a :class:`Picture`, or the text
        key (None): the image that it belongs to
    """

    path: str
    kind: Kind
    content: Picture | str
    key: str | None = None
