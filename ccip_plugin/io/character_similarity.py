"""Loads the published evaluation data as a dataset: images with the number of their character."""

import os
from collections.abc import Sequence
from pathlib import Path

import fiftyone as fo
import fiftyone.core.media as fomm

from ..core.datasets.archives import Labelled, extract_images, images_in, is_extracted
from ..core.datasets.character_similarity import SUBSETS, ArchiveMissingError, find_archive, is_subset
from ..core.errors import check_type
from ..core.hub import Hub
from ..core.progress import ProgressCallback, report
from ..storage.connection import with_database_errors
from ..storage.lease import lease
from ..storage.targets import batched, resolve
from .images import LEASE, open_dataset

__all__ = ["SUBSETS", "TRUTH_FIELD", "ArchiveMissingError", "load_character_similarity"]

TRUTH_FIELD = "ground_truth"

_SUFFIXES = (".tar.xz", ".tar.gz", ".tar.bz2", ".tgz", ".tar")


@with_database_errors
def load_character_similarity(
    path_or_subset: str | Path,
    *,
    name: str | None = None,
    folder: str | Path | None = None,
    revision: str | None = None,
    download: bool = True,
    progress: ProgressCallback | None = None,
    hub: Hub | None = None,
) -> fo.Dataset:
    """Creates a dataset from an archive of images by character in the layout of ``deepghs/character_similarity``.

    The published scores were measured on the subset ``images_test_v1``. A missing archive is downloaded to the cache of
    ``huggingface_hub``. The images are extracted once, within limits and never outside the folder; see
    :func:`~ccip_plugin.core.datasets.archives.extract_images`. The field ``ground_truth`` holds the number of the
    character. If the dataset exists, missing images are added.

    Args:
        path_or_subset: a tar archive, compressed or not, or the name of a subset: ``images_test_v1``,
            ``images_xtiny_v0``, ``images_tiny_v0`` or ``images_pruned_v1``. Images or an archive of the subset in
            ``folder`` are used first
        name (None): the name of the dataset, which is persistent; ``character_similarity_<subset>`` by default
        folder (None): the parent folder of the extracted images. By default that of the archive; for a subset,
            ``character_similarity`` in FiftyOne's folder of zoo datasets
        revision (None): commit, tag or branch of the repository; "main" by default
        download (True): whether to use the network
        progress (None): receives the bytes of the download, then the number of images
        hub (None): another repository to download from

    Returns:
        the dataset

    Raises:
        ArchiveMissingError: there is neither an archive nor a subset of this name
        ArchiveError: the archive is damaged, too large, or has members outside its folder
        DownloadError: the download failed; the text says what to do without network
    """
    check_type("path_or_subset", path_or_subset, str | Path, "the path of an archive or the name of a subset")
    check_type("folder", folder, str | Path | None, "the path of a folder, or None")
    archive = Path(os.path.expanduser(path_or_subset))  # noqa: PTH111 - raises nothing for an unknown user
    if os.path.isfile(archive):  # noqa: PTH113 - raises nothing for a name that is too long
        subset, place = _stem(archive), Path(folder or archive.parent)
        images = extract_images(archive, place / subset, progress=progress)
    else:
        subset, place = str(path_or_subset), Path(folder or _default_folder())
        images = _images_of_subset(subset, place, revision, download, progress, hub)
    dataset = open_dataset(name or f"character_similarity_{subset}")
    _add(dataset, images, progress)
    return dataset


def _images_of_subset(
    subset: str, place: Path, revision: str | None, download: bool, progress: ProgressCallback | None, hub: Hub | None
) -> list[Labelled]:
    if is_subset(subset) and is_extracted(place / subset):
        return images_in(place / subset)
    candidates = (place / f"{subset}{suffix}" for suffix in _SUFFIXES) if is_subset(subset) else ()
    archive = next((path for path in candidates if path.is_file()), None)
    if archive is None:
        archive = find_archive(subset, revision=revision, download=download, progress=progress, hub=hub)
    return extract_images(archive, place / subset, progress=progress)


def _default_folder() -> Path:
    return Path(fo.config.dataset_zoo_dir) / "character_similarity"


def _stem(archive: Path) -> str:
    for suffix in _SUFFIXES:
        if archive.name.endswith(suffix):
            return archive.name.removesuffix(suffix)
    return archive.stem


@with_database_errors
def _add(dataset: fo.Dataset, images: Sequence[Labelled], progress: ProgressCallback | None) -> None:
    """Adds the images that are not in the dataset."""
    resolve(dataset)
    with lease(dataset, LEASE) as held:
        if dataset.get_field(TRUTH_FIELD) is None:
            dataset.add_sample_field(TRUTH_FIELD, fo.EmbeddedDocumentField, embedded_doc_type=fo.Classification)
        present = set(dataset.values("filepath"))
        new = [image for image in images if str(image.path.absolute()) not in present]
        n_added = 0
        for chunk in batched(new):
            report(progress, "adding images", n_added, len(new))
            held.check()
            dataset.add_samples([_sample(image) for image in chunk], progress=False)
            n_added += len(chunk)
    report(progress, "adding images", n_added, len(new))


def _sample(image: Labelled) -> fo.Sample:
    truth = fo.Classification(label=image.character)
    return fo.Sample(str(image.path.absolute()), media_type=fomm.IMAGE, **{TRUTH_FIELD: truth})
