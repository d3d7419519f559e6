"""Large datasets for the review panel: made-up embeddings and groups, small files, and their thumbnails."""

import os
import sys
from pathlib import Path

import fiftyone as fo
import numpy as np
from PIL import Image

from ccip_plugin.core.thumbnails import Thumbnails

sys.path.append(str(Path(__file__).resolve().parents[3] / "benchmarks"))  # as for a benchmark that is run

from benchmarks.review_panel import DIM, dataset_of, made

N_PICTURES = 200  # different ones; files are links to them, but each has a thumbnail of its own
SIZE = 240, 320
WRONG = 1 / 16


def large_dataset(
    n_images: int, n_groups: int, folder: Path, *, seed: int = 0, is_doubtful: bool = False
) -> fo.Dataset:
    """A persistent dataset, embedded and grouped.

    Args:
        n_images: how many images, at least two per group
        n_groups: how many groups
        folder: where the files go
        seed (0): of embeddings and pictures
        is_doubtful (False): every character is in two groups, some images are in a wrong one, and the names of files
            end with the character
    """
    if is_doubtful:
        vectors, group_of, characters = doubtful(n_images, n_groups, seed)
    else:
        vectors, group_of = made(n_images, n_groups, seed)
        characters = group_of
    dataset = dataset_of(vectors, group_of)
    dataset.set_values("filepath", list(map(str, _draw(folder, characters, seed))))
    dataset.persistent = True
    return dataset


def doubtful(n_images: int, n_groups: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors, groups and true characters of images about which there is much to ask."""
    rng = np.random.default_rng(seed)
    centers = np.repeat(rng.standard_normal((n_groups // 2, DIM)), 2, axis=0)
    styles = centers + 0.5 * rng.standard_normal((n_groups, DIM))
    group_of = np.arange(n_images) % n_groups
    shown = np.where(rng.random(n_images) < WRONG, (group_of + 2) % n_groups, group_of)
    vectors = styles[shown] + 0.35 * rng.standard_normal((n_images, DIM))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), group_of, shown // 2


def _draw(folder: Path, characters: np.ndarray, seed: int) -> list[Path]:
    rng, thumbnails, paths = np.random.default_rng(seed), Thumbnails(), []
    folder.mkdir(parents=True, exist_ok=True)
    for number, character in enumerate(characters.tolist()):
        path = folder / f"{number:06d} {character}.png"
        if number < N_PICTURES:
            spots = Image.fromarray(rng.integers(0, 255, (8, 6, 3), np.uint8))
            spots.resize(SIZE, Image.Resampling.BICUBIC).save(path)
        else:
            os.link(paths[number % N_PICTURES], path)
        thumbnails.make(str(path), [None])
        paths.append(path)
    return paths
