"""What an export would do: folders with sizes, what is left out, and whether the target may be written."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .exchange import Places, check_target
from .layouts import Layout
from .records import Plan, PlannedFolder, PlannedImage, TargetError

_PNG_BYTES = 2.0  # of a pixel of a drawing, about; photographs take more


@dataclass(frozen=True)
class FolderPreview:
    """A folder of an export.

    Attributes:
        character: the name of its character
        folder: its name
        n_images: number of images
        repeats: how often each is trained on in an epoch
        n_bytes: size of the images; of those that are rewritten an estimate
        n_rewritten: images that are written as PNG
        n_missing: images whose file cannot be found
        cover: the key of its largest image
        caption: the caption of that image
    """

    character: str
    folder: str
    n_images: int
    repeats: int
    n_bytes: int
    n_rewritten: int
    n_missing: int
    cover: str
    caption: str


@dataclass(frozen=True)
class ExportPreview:
    """What an export would do.

    Attributes:
        folders: its folders
        left_out: number of images that are left out, by the reason; of which image one is a duplicate is not said
        n_before: number of images of the export that the target is, None for a new or empty folder
        problem: why the target is refused, None if it is not
    """

    folders: tuple[FolderPreview, ...]
    left_out: Mapping[str, int]
    n_before: int | None
    problem: str | None

    @property
    def n_images(self) -> int:
        """Number of images."""
        return sum(folder.n_images for folder in self.folders)

    @property
    def n_bytes(self) -> int:
        """Size of the images."""
        return sum(folder.n_bytes for folder in self.folders)


def preview_export(plan: Plan, layout: Layout, target: str | Path) -> ExportPreview:
    """Says what an export would do. Nothing is written.

    Args:
        plan: what the export contains
        layout: what the trainer reads
        target: the folder

    Returns:
        the :class:`ExportPreview`
    """
    problem, n_before = None, None
    try:
        manifest = check_target(Places.of(Path(target)))
        n_before = None if manifest is None else len(manifest.of_kind("image"))
    except TargetError as error:
        problem = str(error)
    reasons = Counter(
        reason.partition(" of ")[0] if "duplicate" in reason else reason for reason in plan.left_out.values()
    )
    return ExportPreview(
        tuple(_folder(folder, layout, plan.margin) for folder in plan.folders), dict(reasons), n_before, problem
    )


def _folder(folder: PlannedFolder, layout: Layout, margin: float) -> FolderPreview:
    sizes = [_n_bytes(image, layout, margin) for image in folder.images]
    cover = max(folder.images, key=lambda image: image.image.n_pixels)
    return FolderPreview(
        folder.character,
        layout.folder_of(folder),
        len(folder.images),
        folder.repeats,
        sum(size for size in sizes if size is not None),
        sum(layout.is_rewritten(image.image) for image in folder.images),
        sum(size is None for size in sizes),
        cover.image.key,
        cover.caption,
    )


def _n_bytes(image: PlannedImage, layout: Layout, margin: float) -> int | None:
    """The size of an image in bytes, None if its file is missing."""
    try:
        size = Path(image.image.path).stat().st_size
    except OSError:
        return None
    if layout.is_rewritten(image.image) and image.image.n_pixels:
        return round(image.image.n_pixels * _PNG_BYTES * (1 + margin) ** 2)
    return size
