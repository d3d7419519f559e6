"""Computes the CCIP embeddings of the images or detections of a dataset; resumable."""

import contextlib
import functools
import itertools
import time
from collections.abc import Generator, Iterable
from dataclasses import replace

from fiftyone.core.collections import SampleCollection

from ..core.differences import normalize
from ..core.encoder.encoder import Encoder
from ..core.encoder.pipeline import extract
from ..core.encoder.reading import BLANK_EMBED, BLANK_ONLY, Extracted, Item
from ..core.options import takes
from ..core.preprocessing import BLANK_REASON, READING_POLICY, collected_warnings
from ..core.progress import ProgressCallback, report
from ..core.registry import DEFAULT_MODEL, get_spec
from ..core.thumbnails import Thumbnails
from ..storage.connection import with_database_errors
from ..storage.fields import ERROR_FIELD
from ..storage.lease import SHORT_SECONDS, lease
from ..storage.targets import TargetError
from . import speeds
from .load import checked_vectors, embedding_store, is_unit
from .options import EmbeddingOptions
from .provenance import OriginChangedError, OtherOriginError, Provenance, UnknownOriginError, write_provenance
from .report import EmbeddingsReport
from .selection import Selection, select_items
from .sharing import Sharing
from .store import EmbeddingStore, Key, Keys

FLUSH_SECONDS = 2.0
FLUSH_RESULTS = 500
REPORT_SECONDS = 0.1
MAX_REASONS = 1000


@with_database_errors
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

    - another model (or ``alpha``, ``force_square``) for the whole field replaces its content: all embeddings are set to
      None first. For a part of the field it is an error
    - embeddings of an older reading policy stay, and new ones join them. The report counts those whose file is read
      otherwise now; ``verify`` computes these again, and removes those of pictures that show nothing
    - vectors without recorded provenance are an error, unless ``overwrite`` replaces all of them or ``adopt`` declares
      their model
    - if another process begins to write embeddings of another provenance into the field, this run stops with an error

    Thumbnails of what is embedded are kept in the cache folder, as the images are read anyway. Where it cannot be
    written, there are none, and nothing else is missing.

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
    started, thumbnails = time.monotonic(), Thumbnails() if options.thumbnails else None
    store = embedding_store(samples, options.embeddings_field, patches_field)
    provenance = _new_provenance(store, options.model_name, options.alpha, options.force_square)
    if options.adopt:
        _adopt(store, provenance, options.model_name)
    is_for_all = _must_replace(store, provenance, options.overwrite) or options.overwrite
    n_total = store.coverage().n_total
    selection = Selection(store.keys(), Keys()) if is_for_all else _select(store, options, progress)
    writer = _ResultWriter(store, provenance, n_total, selection, progress)
    if not writer.n_todo:
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
            selection, is_for_all = Selection(store.keys(), Keys()), True
            writer.n_todo = len(selection.todo)
        with collected_warnings() as warned:
            todo = store.items(selection.todo)
            if not (is_for_all or options.verify):  # other processes may embed the same items
                writer.sharing = Sharing(selection.todo, store.embedded)
                todo = itertools.chain.from_iterable(map(store.items, writer.sharing.blocks()))
            results_of = functools.partial(_results, encoder, provenance, options, thumbnails)
            for items, blank in ((store.items(selection.to_check), BLANK_ONLY), (todo, options.blank)):
                with contextlib.closing(results_of(items, blank)) as results:
                    writer.write_all(results)
        writer.n_warnings = warned.total()
    if store.target.is_whole and (is_for_all or options.verify):
        _forget_older_policies(store)
    result = writer.report(encoder.provider, started)
    speeds.remember(result.model_name, speeds.Speed(encoder.provider, result.images_per_second), result.n_computed)
    return result


def _select(store: EmbeddingStore, options: EmbeddingOptions, progress: ProgressCallback | None) -> Selection:
    recorded = store.provenance
    is_older = recorded is not None and recorded.reading_policies[0] < READING_POLICY
    selection = select_items(store, verify=options.verify, is_older=is_older, progress=_Throttled(progress))
    return selection._replace(to_check=Keys()) if options.blank == BLANK_EMBED else selection


def _results(
    encoder: Encoder,
    provenance: Provenance,
    options: EmbeddingOptions,
    thumbnails: Thumbnails | None,
    items: Iterable[Item],
    blank: str,
) -> Generator[Extracted, None, None]:
    return extract(
        items,
        encoder,
        workers=options.workers,
        alpha=provenance.alpha or 0.0,
        force_square=provenance.force_square or False,
        max_pixels=options.max_pixels,
        memory=options.memory,
        blank=blank,
        thumbnails=thumbnails,
    )


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


def _forget_older_policies(store: EmbeddingStore) -> None:
    """Records, after all items were verified, that no embedding is of an older reading policy."""
    with lease(store.target.dataset, store.path):
        recorded = store.provenance
        if recorded is not None and len(recorded.reading_policies) > 1:
            write_provenance(store.target.dataset, store.path, replace(recorded, reading_policies=()))


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
        selection: Selection,
        progress: ProgressCallback | None,
    ):
        self.provenance, self.n_todo = provenance, len(selection.todo) + len(selection.to_check)
        self._n_read_otherwise = selection.n_read_otherwise
        self._store, self._n_total, self._report_progress = store, n_total, _Throttled(progress)
        self._n_done = self._n_unchanged = self._n_blank = 0
        self._failures: dict[str, str] = {}
        self._reasons: dict[str, str] = {}
        self._pending: list[Extracted] = []
        self._flushed = time.monotonic()
        self._seconds = 0.0
        self.n_warnings = 0
        self.sharing: Sharing | None = None

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
                self._report_progress(
                    "embedding", self._n_done + self._n_elsewhere, self.n_todo, self._note(), "images"
                )
        finally:
            self._flush()
            self._seconds = time.monotonic() - started

    def report(self, provider: str | None, started: float) -> EmbeddingsReport:
        """Creates the report of a run that began at ``started``."""
        return EmbeddingsReport(
            n_total=self._n_total,
            n_computed=self._n_done - self._n_unchanged - len(self._failures),
            n_skipped=max(0, self._n_total - self.n_todo) + self._n_unchanged + self._n_elsewhere,
            n_failed=len(self._failures),
            n_gone=self.n_todo - self._n_done - self._n_elsewhere,
            failures=self._failures,
            model_name=self.provenance.model_name,
            provider=provider,
            embeddings_field=self._store.path,
            seconds=time.monotonic() - started,
            images_per_second=(self._n_done - self._n_unchanged) / self._seconds if self._seconds else 0.0,
            n_warnings=self.n_warnings,
            n_blank=self._n_blank,
            n_read_otherwise=self._n_read_otherwise,
        )

    def _add(self, result: Extracted) -> None:
        self._n_done += 1
        if result.is_unchanged:
            self._n_unchanged += 1
            return
        self._pending.append(result)
        self._n_blank += result.error == BLANK_REASON
        if result.error is not None:
            self._fail(result.key, result.error)

    def _fail(self, key: Key, reason: str) -> None:
        if len(self._reasons) < MAX_REASONS:
            self._reasons.setdefault(reason, reason)
        self._failures[key.item_id] = self._reasons.get(reason, f"see {ERROR_FIELD!r}")

    @property
    def _n_elsewhere(self) -> int:
        """Number of items that other processes have embedded meanwhile."""
        return self.sharing.n_elsewhere if self.sharing else 0

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
            if self.sharing:
                self.sharing.wrote(len(self._store.embedded([result.key for result in self._pending])))
            for key, reason in self._store.write(self._pending).items():
                self._fail(key, reason)
        self._pending.clear()
        self._flushed = time.monotonic()
