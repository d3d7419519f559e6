"""Finds boxes in many image files: reads them and runs the detector in parallel, in bounded memory."""

import contextlib
import functools
import os
from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace
from typing import Any

from ..arrays import Vectors
from ..encoder.concurrency import Budget
from ..encoder.pipeline import MEMORY
from ..encoder.reading import CannotOpenError, Item, file_state, open_file, reading_cost, return_memory
from ..encoder.workers import Workers
from ..errors import UnreadableImageError
from ..preprocessing import MAX_PIXELS, load_image
from ..system import usable_cores
from .boxes import Box
from .detector import Detector
from .outputs import NotFiniteError


@dataclass(frozen=True, eq=False)
class Found:
    """The boxes of an image, or the reason of the failure.

    Attributes:
        key: the key of the item
        boxes: the boxes, the best first
        size: width and height of the image as it is shown, in pixels; zeros after a failure
        error: the reason of the failure, None without one
        source: state of the file, see :func:`~ccip_plugin.core.encoder.reading.file_state`; None if it could not be
            opened
    """

    key: Any
    boxes: tuple[Box, ...] = ()
    size: tuple[int, int] = (0, 0)
    error: str | None = None
    source: str | None = None


def find_boxes(
    items: Iterable[Item],
    detector: Detector,
    *,
    workers: int | None = None,
    max_pixels: int | None = MAX_PIXELS,
    memory: int = MEMORY,
) -> Generator[Found, None, None]:
    """Runs a detector on image files; yields results in the order of completion.

    Images are turned as they are shown. Closing the iterator ends the work: each worker only finishes its image.

    Args:
        items: the images, without boxes; read lazily
        detector: the detector
        workers (None): number of images processed at once; one per usable core by default
        max_pixels: larger images fail, None for no limit
        memory: memory limit of the images that are read at once, in bytes; a larger image is read alone

    Yields:
        a :class:`Found` for each item

    Raises:
        ValueError: ``workers`` below 1
        CCIPError: the detector failed; earlier results are yielded first
    """
    spare = int(workers is None)
    workers = usable_cores() if workers is None else workers
    if workers < 1:
        raise ValueError(f"workers is {workers}; it must be at least 1")
    reader = _Reader(Budget(memory, workers), detector, max_pixels)
    pipeline = Workers(items, reader, functools.partial(_find, detector), workers, spare)
    try:
        pipeline.start()
        yield from pipeline.results()
    finally:
        pipeline.stop()


def _find(detector: Detector, result: Found, tensor: Vectors) -> Found:
    try:
        return replace(result, boxes=tuple(detector.boxes(detector.run(tensor), result.size)))
    except NotFiniteError as error:
        return replace(result, error=f"{detector.path.name} gave no finite numbers for it: {error}")


class _Reader:
    """Reads images as inputs of a detector."""

    def __init__(self, budget: Budget, detector: Detector, max_pixels: int | None):
        self.budget, self._detector, self._max_pixels = budget, detector, max_pixels

    def read(self, item: Item) -> Generator[tuple[Found, Vectors | None], None, None]:
        """Yields the result without boxes, and the input; None after a failure."""
        try:
            with open_file(item.filepath) as file, contextlib.ExitStack() as held:
                source = file_state(os.fstat(file.fileno()))
                cost = reading_cost(file)
                held.enter_context(self.budget.hold(cost))
                try:
                    image = load_image(file, max_pixels=self._max_pixels)
                except UnreadableImageError as error:
                    yield Found(item.key, error=error.reason, source=source), None
                    return
                result = Found(item.key, size=image.size, source=source)
                tensor = self._detector.tensor(image)
                del image
                return_memory(cost)
                held.close()  # the detector needs the tensor only
                yield result, tensor
        except CannotOpenError as error:
            yield Found(item.key, error=str(error)), None
