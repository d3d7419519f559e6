"""Mergers of average linkage that are kept beside a graph of neighbors, so that another cut needs none of them anew."""

import logging
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..arrays import Labels
from ..neighbors.components import Forest
from ..neighbors.pairs import GRID, Pairs
from ..system import atomic_write
from .agglomeration import Merges

logger = logging.getLogger(__name__)


_FORMAT = 1


class Hierarchy(NamedTuple):
    """What average linkage does with ``n`` images where nothing but their differences counts.

    Attributes:
        scenes: ``(n,)`` one image of the near-duplicates of each
        merges: of images, up to some mean difference; near-duplicates count as one image
        spanning: pairs that connect at any difference what all pairs up to it connect
    """

    scenes: Labels
    merges: Merges
    spanning: Pairs

    def groups(self, cut: float) -> Labels:
        """``(n,)`` groups 0, 1, ... up to a mean difference, which is not beyond that of the merges."""
        n = len(self.scenes)
        forest = Forest(n)
        is_made = self.merges.costs <= cut
        forest.add(np.arange(n, dtype=np.int32), self.scenes.astype(np.int32))
        forest.add(self.merges.one[is_made].astype(np.int32), self.merges.other[is_made].astype(np.int32))
        return forest.labels()

    def components(self, cut: float) -> Labels:
        """``(n,)`` numbers of what is connected by differences up to a cut, which were rounded."""
        forest = Forest(len(self.scenes))
        is_near = self.spanning.differences <= cut + GRID
        forest.add(self.spanning.rows[is_near], self.spanning.cols[is_near])
        return forest.labels()


def path_of(folder: Path, scene: float, cut: float) -> Path:
    """The file of a hierarchy, in the folder of its graph.

    Args:
        folder: the folder
        scene: the largest mean difference of near-duplicates
        cut: the largest mean difference of all mergers
    """
    return folder / f"merges-{_FORMAT}-{float(scene).hex()}-{float(cut).hex()}.npz"


def save(hierarchy: Hierarchy, path: Path) -> None:
    """Writes the file, whole or not at all. That it cannot be written, or its graph was deleted, only costs time."""
    arrays = {**hierarchy.merges._asdict(), **hierarchy.spanning._asdict(), "scenes": hierarchy.scenes}
    try:
        with atomic_write(path) as part, part.open("wb") as file:
            np.savez(file, **arrays)
    except OSError as error:
        logger.warning("mergers of linkage are not kept, the next cut takes as long as this one: %s", error)


def load(path: Path, n: int) -> Hierarchy | None:
    """Reads the file; None where it is not there, not whole, or of another number of images."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            merges = Merges(*(arrays[name] for name in Merges._fields))
            spanning = Pairs(*(arrays[name] for name in Pairs._fields))
            found = Hierarchy(arrays["scenes"], merges, spanning)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        logger.warning("%s cannot be read and is made anew: %s", path, error)
        return None
    return found if len(found.scenes) == n else None
