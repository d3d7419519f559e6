"""Computes the CCIP embeddings of the images or detections of a dataset; resumable."""

import contextlib
import functools
import itertools
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from fiftyone.core.collections import SampleCollection

from ..core.differences import normalize
from ..core.encoder.encoder import Encoder
from ..core.encoder.pipeline import extract
from ..core.encoder.reading import Extracted, crop_state, file_state
from ..core.options import takes
from ..core.preprocessing import READING_POLICY, collected_warnings
from ..core.progress import ProgressCallback, report
from ..core.registry import DEFAULT_MODEL, get_spec
from ..reports.facts import Facts
from ..storage.fields import ERROR_FIELD
from ..storage.lease import SHORT_SECONDS, lease
from ..storage.targets import TargetError, split_path
from . import speeds
from .load import checked_vectors, embedding_store, is_unit
from .options import EmbeddingOptions
from .provenance import OriginChangedError, OtherOriginError, Provenance, UnknownOriginError, write_provenance
from .store import EmbeddingStore, Key, Keys

FLUSH_SECONDS = 2.0
FLUSH_RESULTS = 500
REPORT_SECONDS = 0.1
MAX_REASONS = 1000


@dataclass(frozen=True)
class EmbeddingsReport:
    """Report of :func:`compute_embeddings`.

    Attributes:
        n_total: number of requested items: images, or detections
        n_computed: number of items embedded in this run
        n_skipped: number of items that already had an embedding
        n_failed: number of items that could not be embedded
        n_gone: number of items that were deleted during the run
        failures: the reasons of failures by id; after 1,000 different reasons, a reference to ``error_field``
        model_name: the model
        provider: the execution provider, None if there was nothing to compute
        embeddings_field: the field with the embeddings
        seconds: total time
        images_per_second: embedded items per second, 0.0 if there was nothing to compute
        n_warnings: number of warnings of Pillow about damaged metadata; --verbose, or the log, has their texts
        error_field: the field with the reasons of failures
    """

    n_total: int
    n_computed: int
    n_skipped: int
    n_failed: int
    n_gone: int
    failures: Mapping[str, str]
    model_name: str
    provider: str | None
    embeddings_field: str
    seconds: float
    images_per_second: float
    n_warnings: int = 0
    error_field: ClassVar[str] = ERROR_FIELD

    @property
    def patches_field(self) -> str | None:
        """The field with the detections, None for whole images."""
        return split_path(self.embeddings_field)[0]

    def facts(self) -> Facts:
        """The report as text."""
        headline = f"{self.n_computed:,} of {self.n_total:,} embedded, {self.n_skipped:,} already embedded"
        headline += f", {self.n_failed:,} failed" if self.n_failed else ""
        stand_in = " (a stand-in that knows only the demo drawings)" if get_spec(self.model_name).is_stand_in else ""
        return Facts.of(
            headline,
            [
                ("Embedded now", self.n_computed),
                ("Already embedded", self.n_skipped),
                ("Failed", self.n_failed or None),
                ("Deleted during the run", self.n_gone or None),
                ("Warnings about damaged metadata", self.n_warnings or None),
                ("Model", f"{self.model_name}{stand_in}"),
                ("Field", self.embeddings_field),
                ("Time", f"{self.seconds:.1f} s"),
                ("Speed", self._speed()),
            ],
        )

    def _speed(self) -> str | None:
        if self.provider is None or not self.n_computed:
            return None
        noun = "detections" if self.patches_field else "images"
        provider = self.provider.removesuffix("ExecutionProvider")
        return f"{self.images_per_second:,.1f} {noun}/s on {provider}"

    def __str__(self) -> str:
        return str(self.facts())


@takes(EmbeddingOptions)
def compute_embeddings(
    samples: SampleCollection,
    *,
    patches_field: str | None = None,
    options: EmbeddingOptions,
    progress: ProgressCallback | None = None,
) -> EmbeddingsReport:
    """Computes the embeddings of images or detections that have none.

    Embeddings are stored every few seconds, so a run can be interrupted at any time (Ctrl-C, a killed process, a
    ``progress`` that raises) and is resumed by the next call. The reason of a failure is stored in ``ccip_error``, and
    the next call tries again. The field records the model and the reading policy; embeddings of different provenance
    are never mixed:

    - another model (or reading policy, ``alpha``, ``force_square``) for the whole field replaces its content: all
      embeddings are set to None first. For a part of the field it is an error
    - vectors without recorded provenance are an error, unless ``overwrite`` replaces all of them or ``adopt`` declares
      their model
    - if another process begins to write embeddings of another provenance into the field, this run stops with an error

    Args:
        samples: a dataset or view of images; a patches view stands for its detections
        patches_field (None): the field with the detections to embed, None for whole images
        {options}
        progress (None): called with the stage and its progress; may raise ``Cancelled``

    Returns:
        an :class:`EmbeddingsReport`

    Raises:
        TargetError: these samples, or this field, cannot be embedded
        ProvenanceError: the embeddings would not match the provenance of the stored ones
        CCIPError: the model cannot be downloaded or run
    """
    started = time.monotonic()
    store = embedding_store(samples, options.embeddings_field, patches_field)
    provenance = _new_provenance(store, options.model_name, options.alpha, options.force_square)
    if options.adopt:
        _adopt(store, provenance, options.model_name)
    is_for_all = _must_replace(store, provenance, options.overwrite) or options.overwrite
    n_total = store.coverage().n_total
    todo = store.keys() if is_for_all else _unfinished(store, options.verify, n_total, progress)
    writer = _ResultWriter(store, provenance, n_total, len(todo), progress)
    if not todo:
        return writer.report(None, started)
    store.check()
    report(progress, "loading the model", 0, None)
    with Encoder.open(
        provenance.model_name,
        model_dir=options.model_dir,
        provider=options.provider,
        revision=options.revision,
        progress=progress,
    ) as encoder:
        store.declare()  # a model that cannot be had leaves no fields behind
        writer.provenance = _of_encoder(provenance, encoder)
        if _begin(store, writer.provenance, options.overwrite):
            todo = store.keys()
            writer.n_todo = len(todo)
        results = extract(
            store.items(todo),
            encoder,
            workers=options.workers,
            alpha=provenance.alpha or 0.0,
            force_square=provenance.force_square or False,
            max_pixels=options.max_pixels,
            memory=options.memory,
        )
        with collected_warnings() as warned, contextlib.closing(results):
            writer.write_all(results)
        writer.n_warnings = warned.total()
    result = writer.report(encoder.provider, started)
    speeds.remember(result.model_name, speeds.Speed(encoder.provider, result.images_per_second), result.n_computed)
    return result


# -- provenance


def _new_provenance(
    store: EmbeddingStore, model_name: str | None, alpha: float | None, force_square: bool | None
) -> Provenance:
    """The provenance of new embeddings, as far as it is known without the model file."""
    recorded = store.provenance
    spec = get_spec(model_name or (recorded.model_name if recorded else DEFAULT_MODEL))
    if store.target.is_patches:
        defaults = recorded or Provenance(spec.name, READING_POLICY)
        alpha = defaults.alpha if alpha is None else alpha
        force_square = defaults.force_square if force_square is None else force_square
        return Provenance(spec.name, READING_POLICY, alpha=float(alpha or 0), force_square=bool(force_square))
    if alpha or force_square:
        raise TargetError(
            "alpha and force_square apply to boxes: they need a patches_field",
            mentions=("alpha", "force_square", "patches_field"),
        )
    return Provenance(spec.name, READING_POLICY)


def _of_encoder(provenance: Provenance, encoder: Encoder) -> Provenance:
    """Completes a provenance with the model file, revision and provider of an encoder."""
    return replace(
        provenance,
        sha256=encoder.fingerprint,
        revision=encoder.revision,
        providers=(encoder.provider,),
        closed_form=encoder.closed_form is not False,
    )


def _must_replace(store: EmbeddingStore, provenance: Provenance, overwrite: bool) -> bool:
    """Whether all embeddings in the field have to be removed before new ones are written.

    Raises:
        ProvenanceError: they would have to be removed, but are not all in the target, or have no recorded provenance
            and ``overwrite`` is False
    """
    recorded = store.provenance
    contrast = provenance.contrast(recorded)
    if contrast is None:
        return False
    everywhere = store.coverage(everywhere=True)
    n_vectors = everywhere.n_total - everywhere.n_missing
    if n_vectors == 0:
        return False
    if recorded is None and not overwrite:
        raise UnknownOriginError(store.path, n_vectors)
    if n_others := store.n_vectors_elsewhere():
        raise OtherOriginError(store.path, contrast, n_others)
    return True


def _begin(store: EmbeddingStore, provenance: Provenance, overwrite: bool) -> bool:
    """Records the provenance of new embeddings; removes existing ones first if necessary and then returns True.

    The order is essential: an interruption never leaves embeddings with the recorded provenance of others.
    """
    with lease(store.target.dataset, store.path):
        is_replaced = _must_replace(store, provenance, overwrite)
        if is_replaced:
            store.clear()
        recorded = store.provenance
        joinable = recorded if provenance.contrast(recorded) is None else None
        write_provenance(store.target.dataset, store.path, provenance.joined(joinable))
    return is_replaced


def _adopt(store: EmbeddingStore, provenance: Provenance, model_name: str | None) -> None:
    """Validates and normalizes the vectors in the field and records that they are from a model.

    Raises:
        BadVectorsError: some vectors are not valid embeddings; nothing is changed
    """
    if model_name is None:
        raise ValueError("adopt=True needs the model_name of the vectors")
    dim = get_spec(model_name).dim
    with lease(store.target.dataset, store.path):
        everywhere = store.coverage(everywhere=True)
        if store.provenance is not None or everywhere.n_missing == everywhere.n_total:
            return
        store.declare()
        for _ in checked_vectors(store.path, store.vectors(everywhere=True), dim, unit=False):
            pass  # validate all of them before the first one is changed
        vectors = checked_vectors(store.path, store.vectors(everywhere=True), dim, unit=False)
        raw = (Extracted(key, normalize(vector)) for key, vector in vectors if not is_unit(vector))
        while chunk := list(itertools.islice(raw, FLUSH_RESULTS)):
            store.write(chunk)
        write_provenance(store.target.dataset, store.path, replace(provenance, adopted=True))


# -- items to embed, and their results


def _unfinished(store: EmbeddingStore, verify: bool, n_total: int, progress: ProgressCallback | None) -> Keys:
    """The items without embedding; with ``verify`` also those whose file or box may have changed."""
    if not verify:
        return store.missing()
    todo = Keys()
    report_progress = _Throttled(progress)
    state_of = functools.lru_cache(maxsize=1)(_file_state)  # the detections of an image are adjacent
    for n, stored in enumerate(store.scan()):
        report_progress("checking files", n, n_total)
        is_done = stored.has_vector and stored.error is None and stored.source is not None
        state = state_of(stored.filepath)
        if state is not None and store.target.is_patches:
            state = crop_state(state, stored.box)
        if not is_done or state != stored.source:
            todo.append(stored.key)
    return todo


def _file_state(filepath: str) -> str | None:
    try:
        return file_state(os.stat(filepath))  # noqa: PTH116 - the name may be invalid
    except (OSError, ValueError):
        return None


class _Throttled:
    """Limits progress reports to a few per second."""

    def __init__(self, progress: ProgressCallback | None):
        self._progress, self._last = progress, 0.0

    def __call__(self, stage: str, done: int, total: int, note: str = "", unit: str = "") -> None:
        now = time.monotonic()
        if done == total or now - self._last >= REPORT_SECONDS:
            self._last = now
            report(self._progress, stage, done, total, note, unit)


class _ResultWriter:
    """Writes results into the store in batches, and counts them."""

    def __init__(
        self,
        store: EmbeddingStore,
        provenance: Provenance,
        n_total: int,
        n_todo: int,
        progress: ProgressCallback | None,
    ):
        self.provenance, self.n_todo = provenance, n_todo
        self._store, self._n_total, self._report_progress = store, n_total, _Throttled(progress)
        self._n_done = 0
        self._failures: dict[str, str] = {}
        self._reasons: dict[str, str] = {}
        self._pending: list[Extracted] = []
        self._flushed = time.monotonic()
        self._seconds = 0.0
        self.n_warnings = 0

    def write_all(self, results: Iterable[Extracted]) -> None:
        """Writes results every few seconds; writes pending results also if the run is interrupted.

        Raises:
            OriginChangedError: another process began to write embeddings of another provenance
        """
        started = time.monotonic()
        try:
            for result in results:
                self._add(result)
                if len(self._pending) >= FLUSH_RESULTS or time.monotonic() - self._flushed >= FLUSH_SECONDS:
                    self._flush()
                self._report_progress("embedding", self._n_done, self.n_todo, self._note(), "images")
        finally:
            self._flush()
            self._seconds = time.monotonic() - started

    def report(self, provider: str | None, started: float) -> EmbeddingsReport:
        """Creates the report of a run that began at ``started``."""
        return EmbeddingsReport(
            n_total=self._n_total,
            n_computed=self._n_done - len(self._failures),
            n_skipped=max(0, self._n_total - self.n_todo),
            n_failed=len(self._failures),
            n_gone=self.n_todo - self._n_done,
            failures=self._failures,
            model_name=self.provenance.model_name,
            provider=provider,
            embeddings_field=self._store.path,
            seconds=time.monotonic() - started,
            images_per_second=self._n_done / self._seconds if self._seconds else 0.0,
            n_warnings=self.n_warnings,
        )

    def _add(self, result: Extracted) -> None:
        self._pending.append(result)
        self._n_done += 1
        if result.error is not None:
            self._fail(result.key, result.error)

    def _fail(self, key: Key, reason: str) -> None:
        if len(self._reasons) < MAX_REASONS:
            self._reasons.setdefault(reason, reason)
        self._failures[key.item_id] = self._reasons.get(reason, f"see {ERROR_FIELD!r}")

    def _note(self) -> str:
        return f"{len(self._failures):,} failed" if self._failures else ""

    def _flush(self) -> None:
        if not self._pending:
            return
        with lease(self._store.target.dataset, self._store.path, ttl=SHORT_SECONDS) as held:
            contrast = self.provenance.contrast(self._store.provenance)
            if contrast is not None:
                self._pending.clear()
                raise OriginChangedError(self._store.path, contrast)
            held.check()
            for key, reason in self._store.write(self._pending).items():
                self._fail(key, reason)
        self._pending.clear()
        self._flushed = time.monotonic()
