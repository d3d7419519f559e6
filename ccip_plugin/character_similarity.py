"""The published evaluation data as a dataset: images with the number of their character."""

import itertools
from pathlib import Path

import fiftyone as fo
import fiftyone.core.media as fomm

from .core.archives import Labelled, extract_images
from .core.errors import CCIPError
from .core.progress import ProgressCallback, report
from .ingest import open_dataset

REPO = "deepghs/character_similarity"
SUBSETS = ("images_test_v1", "images_xtiny_v0", "images_tiny_v0", "images_pruned_v1")
TRUTH_FIELD = "ground_truth"

_SUFFIXES = (".tar.xz", ".tar.gz", ".tar.bz2", ".tgz", ".tar")
_AT_ONCE = 1000


class ArchiveMissingError(CCIPError, FileNotFoundError):
    """The archive is not there."""

    def __init__(self, what: str):
        address = (
            f"https://huggingface.co/datasets/{REPO}/resolve/main/{what if what in SUBSETS else '<subset>'}.tar.xz"
        )
        super().__init__(
            f"there is no archive {what!r}; fetch one, such as {address}, and pass its path (subsets: "
            f"{', '.join(SUBSETS)})"
        )
        self.what = what


def load_character_similarity(
    path: str | Path,
    *,
    name: str | None = None,
    folder: str | Path | None = None,
    progress: ProgressCallback | None = None,
) -> fo.Dataset:
    """Makes a dataset of an archive of images by character, as ``deepghs/character_similarity`` has them.

    The images are taken out once, with limits and without following what leads out of the folder; see
    :func:`~ccip_plugin.core.archives.extract_images`. The field ``ground_truth`` has the number of the character. When
    the dataset is there, what it lacks is added.

    Args:
        path: a tar archive, compressed or not; or the name of a subset whose archive is in ``folder``
        name (None): of the dataset, which is persistent; ``character_similarity_<subset>`` by default
        folder (None): where images go, in a folder of the name of the subset; beside the archive by default
        progress (None): called with the number of images

    Returns:
        the dataset

    Raises:
        ArchiveMissingError: there is no such archive; says where one is
        ArchiveError: it is damaged, too large, or leads out of the folder
    """
    archive = _archive(path, folder)
    subset = _stem(archive)
    images = extract_images(archive, Path(folder or archive.parent) / subset, progress=progress)
    dataset = open_dataset(name or f"character_similarity_{subset}")
    if dataset.get_field(TRUTH_FIELD) is None:
        dataset.add_sample_field(TRUTH_FIELD, fo.EmbeddedDocumentField, embedded_doc_type=fo.Classification)
    known = set(dataset.values("filepath"))
    new = [image for image in images if str(image.path.absolute()) not in known]
    for start in itertools.count(0, _AT_ONCE):
        report(progress, "adding images", min(start, len(new)), len(new))
        if start >= len(new):
            return dataset
        dataset.add_samples([_sample(image) for image in new[start : start + _AT_ONCE]], progress=False)
    raise AssertionError("unreachable")


def _archive(path: str | Path, folder: str | Path | None) -> Path:
    found = Path(path).expanduser()
    if found.is_file():
        return found
    places = [Path(folder or ".") / f"{path}{suffix}" for suffix in _SUFFIXES]
    for place in places:
        if place.is_file():
            return place
    raise ArchiveMissingError(str(path))


def _stem(archive: Path) -> str:
    for suffix in _SUFFIXES:
        if archive.name.endswith(suffix):
            return archive.name.removesuffix(suffix)
    return archive.stem


def _sample(image: Labelled) -> fo.Sample:
    truth = fo.Classification(label=image.character)
    return fo.Sample(str(image.path.absolute()), media_type=fomm.IMAGE, **{TRUTH_FIELD: truth})
