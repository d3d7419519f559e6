"""Runs a detector: an ONNX file in the form of the published ones."""

import ast
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..arrays import Vectors
from ..encoder.session import AUTO, FreeSession, open_free
from ..errors import ModelMismatchError, ParameterError
from .boxes import Box
from .outputs import YOLO, NotFiniteError, decode

DEFAULT_SIZE = 640
"""Width and height of the input of a model that names none, in pixels."""
_LONGEST = 100_000  # characters of the classes in the metadata
_EXPECTED = "a detector: an input (1, 3, height, width), and the classes as 'names' in the metadata"


class Detector:
    """Finds boxes in images. Thread-safe.

    Images are stretched to the size of the input, without borders, by Pillow's bicubic filter, as dghs-imgutils does.

    Args:
        path: the ONNX file
        layout ("yolo"): one of :data:`~ccip_plugin.core.detection.outputs.LAYOUTS`
        min_score (0.25): boxes with this score or less are left out
        max_overlap (0.7): intersection over union up to which two boxes are both kept
        provider ("auto"): as in :func:`~ccip_plugin.core.encoder.session.open_session`
        threads (None): of one run on the CPU, 1 by default

    Attributes:
        labels: the classes
        input_size: width and height of the input, in pixels

    Raises:
        ProviderError: the provider is not available or does not start
        ModelFileDamagedError: the file cannot be loaded
        ModelMismatchError: it is no detector
    """

    def __init__(
        self,
        path: str | Path,
        *,
        layout: str = YOLO,
        min_score: float = 0.25,
        max_overlap: float = 0.7,
        provider: str = AUTO,
        threads: int | None = None,
    ):
        self._session = open_free(path, provider=provider, threads=threads)
        self._layout, self._min_score, self._max_overlap = layout, min_score, max_overlap
        self.labels = _labels(self._session)
        self.input_size = _size(self._session)

    @property
    def path(self) -> Path:
        """The ONNX file."""
        return self._session.path

    @property
    def provider(self) -> str:
        """The execution provider on which it runs."""
        return self._session.provider

    def detect(self, image: Image.Image) -> list[Box]:
        """The boxes of an image, the best first.

        Args:
            image: an RGB image, turned as it is shown

        Raises:
            SessionError: the provider failed
            NotFiniteError: a box is not finite
            ModelMismatchError: the output is not of the layout
        """
        return self.boxes(self.run(self.tensor(image)), image.size)

    def run(self, tensor: Vectors) -> Vectors:
        """The output of the model, ``(1, ...)`` float32, for one input ``(3, height, width)``."""
        return self._session.run(tensor[None])

    def tensor(self, image: Image.Image) -> Vectors:
        """The input for an image: ``(3, height, width)`` float32, 0 to 1."""
        picture = (image if image.mode == "RGB" else image.convert("RGB")).resize(self.input_size)
        tensor = np.empty((3, picture.height, picture.width), np.float32)
        for channel, plane in zip(picture.split(), tensor, strict=True):  # five times as fast as all at once
            np.divide(np.asarray(channel), np.float32(255), out=plane, dtype=np.float32)
        return tensor

    def boxes(self, output: Vectors, image_size: tuple[int, int]) -> list[Box]:
        """The boxes from an output of the model, the best first.

        Args:
            output: ``(1, ...)`` float32
            image_size: width and height of the image, in pixels

        Raises:
            NotFiniteError: a box is not finite
            ModelMismatchError: the output is not of the layout
        """
        try:
            return decode(
                output[0],
                self._layout,
                labels=self.labels,
                input_size=self.input_size,
                image_size=image_size,
                min_score=self._min_score,
                max_overlap=self._max_overlap,
            )
        except NotFiniteError:
            raise
        except ParameterError as error:
            raise ModelMismatchError(self._session.path, str(error), expected=_EXPECTED) from error


def _labels(session: FreeSession) -> tuple[str, ...]:
    """The classes, by their numbers: the published files have a printed dict."""
    text = session.metadata.get("names", "")
    try:
        names: Any = ast.literal_eval(text) if len(text) <= _LONGEST else None
        found = tuple(str(names[each]) for each in range(len(names)))
    except (ValueError, SyntaxError, TypeError, KeyError, IndexError, RecursionError, MemoryError):
        found = ()
    if not found or isinstance(names, str):
        raise ModelMismatchError(session.path, "names no classes in its metadata", expected=_EXPECTED)
    return found


def _size(session: FreeSession) -> tuple[int, int]:
    """Width and height of the input: what its shape says, then what the metadata says."""
    shape = session.input_shape
    if len(shape) != 4 or shape[1] not in (3, None) or shape[0] not in (1, None):
        raise ModelMismatchError(session.path, f"has an input of shape {shape}", expected=_EXPECTED)
    try:
        named = json.loads(session.metadata.get("imgsz", "null"))
        width, height = (named, named) if isinstance(named, int) else map(int, named or (DEFAULT_SIZE, DEFAULT_SIZE))
    except (ValueError, TypeError):
        width = height = DEFAULT_SIZE
    size = (shape[3] or width, shape[2] or height)
    if not all(0 < each <= 4096 for each in size):
        raise ModelMismatchError(session.path, f"has an input of {size[0]} x {size[1]} pixels", expected=_EXPECTED)
    return size
