"""Computes CCIP embeddings of images; on the CPU one by one, so that no vector depends on other images."""

import itertools
import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from .. import differences, hub
from ..arrays import Vectors
from ..errors import ClosedError, EmbeddingError
from ..hub import ModelFiles
from ..preprocessing import MAX_PIXELS, collected_warnings, load_image, preprocess
from ..progress import ProgressCallback, report
from ..registry import ModelSpec, get_spec
from ..system import usable_cores
from .session import AUTO, CPU, METRIC, Session, open_session

logger = logging.getLogger(__name__)


CLOSED_FORM_TOLERANCE = 1e-5

_GPU_BATCH = 16
_BLOCK = 512  # rows of a block of differences computed by the metric file


class Encoder:
    """A loaded CCIP model. Created by :meth:`open`; closed at the end of a ``with`` block.

    Attributes:
        spec: the record of the model
        files: the files of the model
        provider: the execution provider that runs the model
        closed_form: whether the model's metric file computes ``(1 - cos) / 2``; None if the model has no metric file
    """

    def __init__(self, spec: ModelSpec, files: ModelFiles, session: Session, metric: Session | None):
        self.spec, self.files = spec, files
        self._session: Session | None = session
        self._metric = metric
        self.provider = session.provider
        self.closed_form: bool | None = None
        if metric is not None:
            error = differences.verify_closed_form(metric.run, spec.dim)
            self.closed_form = error <= CLOSED_FORM_TOLERANCE
            if not self.closed_form:
                logger.warning("the metric of %s is not (1 - cos) / 2: they differ by %.1e", spec.name, error)

    @classmethod
    def open(
        cls,
        model_name: str,
        *,
        model_dir: str | Path | None = None,
        provider: str = AUTO,
        threads: int | None = None,
        revision: str | None = None,
        progress: ProgressCallback | None = None,
    ) -> "Encoder":
        """Opens a model and downloads it if it is not on this machine.

        Args:
            model_name: a name in the registry
            model_dir (None): a folder of models; ``CCIP_MODEL_DIR`` by default
            provider ("auto"): as for :func:`ccip_plugin.core.encoder.session.open_session`
            threads (None): number of threads of one run on the CPU; 1 by default, the fastest for many images
            revision (None): commit, tag or branch of the hub repository
            progress (None): called with the progress of a download

        Raises:
            CCIPError: as :func:`ccip_plugin.core.hub.find_files` and
                :func:`ccip_plugin.core.encoder.session.open_session` raise
        """
        spec = get_spec(model_name)
        files = hub.find_files(model_name, model_dir=model_dir, revision=revision, progress=progress)
        remedy = hub.how_to_fetch(model_name)
        session = open_session(files.feat, provider=provider, threads=threads, remedy=remedy)
        metric = open_session(files.metrics, provider=CPU, signature=METRIC, remedy=remedy) if files.metrics else None
        return cls(spec, files, session, metric)

    @property
    def model_name(self) -> str:
        """The name of the model."""
        return self.spec.name

    @property
    def fingerprint(self) -> str:
        """sha256 of ``model_feat.onnx``."""
        return self.files.fingerprint

    @property
    def revision(self) -> str | None:
        """The commit of the files, None for a folder of the user."""
        return self.files.revision

    @property
    def is_cpu(self) -> bool:
        """Whether the model runs on the CPU."""
        return self.provider == CPU

    def embed(
        self,
        images: Iterable[Any],
        normalize: bool = True,
        progress: ProgressCallback | None = None,
        *,
        workers: int | None = None,
        max_pixels: int | None = MAX_PIXELS,
    ) -> Vectors:
        """Computes the embeddings of images.

        Args:
            images: an iterable of paths, bytes, file objects, arrays or PIL images, consumed lazily
            normalize (True): whether the vectors are normalized to unit length; False for the raw output of the model
            progress (None): called after each image; may raise :class:`ccip_plugin.core.progress.Cancelled`
            workers (None): number of images that are read (on the CPU: and embedded) at once; one per core by default.
                Memory depends on it, not on the number of images
            max_pixels: larger images are refused, None for no limit

        Returns:
            ``(n, 768)`` float32, in the order of ``images``

        Raises:
            UnreadableImageError: an image cannot be read; the first such image
            EmbeddingError: the model output is not usable
        """
        self._open_session()
        _refuse_one_image(images)
        total = len(images) if isinstance(images, Sized) else None
        vectors = []
        with collected_warnings():
            for vector in self._vectors(images, workers or usable_cores(), max_pixels):
                vectors.append(differences.normalize(vector) if normalize else vector)
                report(progress, "embedding", len(vectors), total, unit="images")
        return np.stack(vectors) if vectors else np.empty((0, self.spec.dim), np.float32)

    def embed_tensor(self, tensor: Vectors) -> Vectors:
        """Computes the embedding of one preprocessed image. Thread-safe.

        Args:
            tensor: ``(3, 384, 384)`` float32

        Returns:
            ``(768,)`` float32, the raw output of the model

        Raises:
            EmbeddingError: the vector is not finite, or zero
        """
        vector: Vectors = _checked(self._open_session().run(tensor[None]))[0]
        return vector

    def embed_tensors(self, tensors: Vectors) -> Vectors:
        """Computes the embeddings of preprocessed images: as one batch on an accelerator, one by one on the CPU.

        Args:
            tensors: ``(n, 3, 384, 384)`` float32

        Returns:
            ``(n, 768)`` float32, the raw output of the model

        Raises:
            EmbeddingError: a vector is not finite, or zero
        """
        session = self._open_session()
        if not self.is_cpu:
            return _checked(session.run(tensors))
        rows = [self.embed_tensor(tensor) for tensor in tensors]
        return np.stack(rows) if rows else np.empty((0, self.spec.dim), np.float32)

    def differences(self, a: Vectors, b: Vectors | None = None) -> Vectors:
        """Computes differences by the model's metric: the closed form, or its metric file if that differs from it.

        Args:
            a: ``(n, 768)`` embeddings
            b (None): ``(m, 768)`` embeddings; ``a`` by default

        Returns:
            ``(n, m)`` float32
        """
        self._open_session()
        if self._metric is None or self.closed_form:
            return differences.differences(a, b)
        return _by_metric_file(self._metric, a, a if b is None else b)

    def close(self) -> None:
        """Frees the model. Later calls raise :class:`ClosedError`."""
        for session in (self._session, self._metric):
            if session is not None:
                session.close()
        self._session = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open_session(self) -> Session:
        if self._session is None:
            raise ClosedError(f"the encoder of {self.model_name}")
        return self._session

    def _vectors(self, images: Iterable[Any], workers: int, max_pixels: int | None) -> Iterator[Vectors]:
        """Yields the raw vectors in the order of the images."""

        def read(image: Any) -> Vectors:
            return preprocess(load_image(image, max_pixels=max_pixels))

        if self.is_cpu:
            yield from _in_order(images, lambda image: self.embed_tensor(read(image)), workers)
            return
        tensors = _in_order(images, read, workers)
        while batch := list(itertools.islice(tensors, _GPU_BATCH)):
            yield from self.embed_tensors(np.stack(batch))


def _in_order(items: Iterable[Any], work: Any, workers: int) -> Iterator[Any]:
    """``map(work, items)`` in threads, with at most two pending items per thread."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="ccip")
    pending: deque[Future[Any]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) >= 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _refuse_one_image(images: Any) -> None:
    """Raises TypeError for ``embed(image)`` instead of ``embed([image])``: a path is an iterable of characters."""
    is_one = isinstance(images, str | bytes | bytearray | memoryview | os.PathLike) or hasattr(images, "read")
    is_one = is_one or (isinstance(images, np.ndarray) and images.ndim < 4 and images.dtype != object)
    if is_one or not isinstance(images, Iterable):
        raise TypeError(f"images is a single {type(images).__name__}; pass a list of images")


def _checked(vectors: Vectors) -> Vectors:
    """Returns vectors that are finite and not zero."""
    for vector in vectors:
        if not np.isfinite(vector).all():
            raise EmbeddingError("the model output has NaN or infinite values")
        if not vector.any():
            raise EmbeddingError("the model output is a zero vector")
    return vectors


def _by_metric_file(metric: Session, a: Vectors, b: Vectors) -> Vectors:
    """Computes differences by the metric file, block by block: it takes one list of vectors and compares all pairs."""
    result = np.empty((len(a), len(b)), np.float32)
    for i in range(0, len(a), _BLOCK):
        rows = a[i : i + _BLOCK]
        for j in range(0, len(b), _BLOCK):
            vectors = np.concatenate([rows, b[j : j + _BLOCK]])
            result[i : i + _BLOCK, j : j + _BLOCK] = metric.run(vectors)[: len(rows), len(rows) :]
    return result
