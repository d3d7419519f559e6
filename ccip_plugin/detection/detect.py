"""Detects characters in the images of a dataset; resumable, and what people did to the boxes stays."""

import contextlib
import time
from collections.abc import Generator, Iterable
from dataclasses import replace

from fiftyone.core.collections import SampleCollection

from ..core.detection.detector import Detector
from ..core.detection.files import DetectorFile, find_detector
from ..core.detection.pipeline import Found, find_boxes
from ..core.detection.registry import DETECTORS, DetectorSpec, get_detector
from ..core.options import takes
from ..core.preprocessing import READING_POLICY, collected_warnings
from ..core.progress import ProgressCallback, report
from ..storage.connection import with_database_errors
from ..storage.lease import SHORT_SECONDS, lease
from ..storage.targets import TargetError, resolve
from .merging import Merged
from .options import DetectionOptions
from .provenance import DetectorChangedError, OtherDetectorError, Provenance, write_provenance
from .report import DetectionReport
from .store import DetectionStore, Ids

FLUSH_SECONDS = 2.0
FLUSH_RESULTS = 500
REPORT_SECONDS = 0.1
MAX_REASONS = 1000


@with_database_errors
@takes(DetectionOptions)
def detect_characters(
    samples: SampleCollection,
    *,
    options: DetectionOptions,
    progress: ProgressCallback | None = None,
) -> DetectionReport:
    """Detects persons, heads, half bodies or faces in images: boxes for ``compute_embeddings(patches_field=...)``.

    Writes ``fiftyone.Detections``. They are stored every few seconds, so a run can be interrupted at any time (Ctrl-C,
    a killed process, a ``progress`` that raises) and is resumed by the next call, which skips the images that are done.
    The reason of a failure is stored in ``<field>_error``, and the next call tries again. The field records the
    detector and its thresholds: with others, all images of the dataset are done again; for a part of it they are an
    error.

    Boxes that people edited, added or deleted stay so, also with another detector: ``<field>_detected`` records what
    the detector wrote, and what differs is a person's. A new detection that overlaps such a box (intersection over
    union above 0.5) is left out. One that overlaps a box of the detector takes its place: id, labels and all else of
    the old one stay, but its vectors are set to None if it moved. A box of the detector that it does not find again is
    removed, unless it has a tag or a character that a person confirmed or ignored.

    Args:
        samples: a dataset or view of images
        {options}
        progress (None): called with the stage and its progress; may raise ``Cancelled``

    Returns:
        a :class:`DetectionReport`

    Raises:
        TargetError: these samples have no images to detect in
        OtherDetectorError: other images of the field are of another detector or of other thresholds
        CCIPError: the detector cannot be downloaded or run, or a field cannot be written
    """
    started = time.monotonic()
    target = resolve(samples)
    if target.is_patches:
        raise TargetError("characters are detected in images, not in patches: use the dataset, or a view of images")
    store = DetectionStore(target, options.field or get_detector(options.detector).finds)
    store.check()
    provenance = _new_provenance(store.provenance, options)
    is_for_all = options.overwrite or _must_replace(store, provenance)
    todo = store.ids() if is_for_all else store.todo(verify=options.verify)
    writer = _ResultWriter(store, provenance, target.view.count(), len(todo), progress)
    if not todo:
        return writer.report(None, started)
    report(progress, "loading the detector", 0, None)
    spec = get_detector(provenance.detector)
    file = find_detector(spec, model_dir=options.model_dir, progress=progress)
    detector = _open(spec, file, provenance, options.provider)
    store.declare()  # a detector that cannot be had leaves no fields behind
    writer.provenance = _of_detector(provenance, file, detector)
    if _begin(store, writer.provenance) and not is_for_all:
        todo = store.ids()
        writer.n_todo = len(todo)
    with collected_warnings() as warned, contextlib.closing(_results(store, todo, detector, options)) as results:
        writer.write_all(results)
    writer.n_warnings = warned.total()
    return writer.report(detector.provider, started)


def _results(
    store: DetectionStore, todo: Ids, detector: Detector, options: DetectionOptions
) -> Generator[Found, None, None]:
    return find_boxes(
        store.items(todo),
        detector,
        workers=options.workers,
        max_pixels=options.max_pixels,
        memory=options.memory,
    )


# -- the detector


def _new_provenance(recorded: Provenance | None, options: DetectionOptions) -> Provenance:
    """The provenance of new detections, as far as it is known without the model file."""
    spec = get_detector(options.detector)
    if recorded is not None and recorded.detector in DETECTORS and options.detector == spec.finds:
        of_field = get_detector(recorded.detector)
        spec = of_field if of_field.finds == spec.finds else spec
    same = recorded if recorded is not None and recorded.detector == spec.name else spec
    return Provenance(
        spec.name,
        same.min_score if options.min_score is None else float(options.min_score),
        same.max_overlap if options.max_overlap is None else float(options.max_overlap),
        spec.layout,
        READING_POLICY,
    )


def _open(spec: DetectorSpec, file: DetectorFile, provenance: Provenance, provider: str) -> Detector:
    return Detector(
        file.path,
        layout=spec.layout,
        min_score=provenance.min_score,
        max_overlap=provenance.max_overlap,
        provider=provider,
    )


def _of_detector(provenance: Provenance, file: DetectorFile, detector: Detector) -> Provenance:
    return replace(provenance, sha256=file.fingerprint, revision=file.revision, providers=(detector.provider,))


def _must_replace(store: DetectionStore, provenance: Provenance) -> bool:
    """Whether no image is done by this detector.

    Raises:
        OtherDetectorError: others are, and some of them are not in the target
    """
    recorded = store.provenance
    if recorded is None:
        return True
    contrast = provenance.contrast(recorded)
    if contrast is None:
        return False
    if n_others := store.n_done_elsewhere():
        raise OtherDetectorError(store.field, contrast, n_others)
    return True


def _begin(store: DetectionStore, provenance: Provenance) -> bool:
    """Records the provenance of new detections; makes all images undone first if necessary and then returns True.

    The order is essential: an interruption never leaves images done by the recorded detector that others did. Without
    a recorded detector, as in a new field of an old name, all boxes are a person's.
    """
    with lease(store.target.dataset, store.field):
        recorded = store.provenance
        is_replaced = _must_replace(store, provenance)
        if is_replaced:
            store.forget(record=recorded is None)
        joinable = None if is_replaced else recorded
        write_provenance(store.target.dataset, store.field, provenance.joined(joinable))
    return is_replaced


# -- results


class _ResultWriter:
    """Writes results into the store in batches, and counts them."""

    def __init__(
        self,
        store: DetectionStore,
        provenance: Provenance,
        n_total: int,
        n_todo: int,
        progress: ProgressCallback | None,
    ):
        self.provenance, self.n_todo, self.n_warnings = provenance, n_todo, 0
        self._store, self._n_total, self._progress = store, n_total, progress
        self._counts = Merged()
        self._n_done = self._n_read = self._n_gone = 0
        self._failures: dict[str, str] = {}
        self._reasons: dict[str, str] = {}
        self._pending: list[Found] = []
        self._flushed, self._reported, self._seconds = time.monotonic(), 0.0, 0.0

    def write_all(self, results: Iterable[Found]) -> None:
        """Writes results every few seconds; writes pending results also if the run is interrupted.

        Raises:
            DetectorChangedError: another process began to write detections of another detector
        """
        started = time.monotonic()
        try:
            for result in results:
                self._n_read += 1
                self._pending.append(result)
                if result.error is not None:
                    self._fail(str(result.key), result.error)
                if len(self._pending) >= FLUSH_RESULTS or time.monotonic() - self._flushed >= FLUSH_SECONDS:
                    self._flush()
                self._tell()
        finally:
            self._flush()
            self._seconds = time.monotonic() - started

    def report(self, provider: str | None, started: float) -> DetectionReport:
        """Creates the report of a run that began at ``started``."""
        counts = self._counts
        return DetectionReport(
            n_total=self._n_total,
            n_done=self._n_done,
            n_skipped=max(0, self._n_total - self.n_todo),
            n_failed=len(self._failures),
            n_gone=self._n_gone + self.n_todo - self._n_read,
            n_boxes=counts.n_detector,
            n_new=counts.n_new,
            n_people=counts.n_people,
            n_dropped=counts.n_dropped,
            n_removed=counts.n_removed,
            failures=self._failures,
            detector=self.provenance.detector,
            provider=provider,
            field=self._store.field,
            error_field=self._store.error_field,
            seconds=time.monotonic() - started,
            images_per_second=self._n_read / self._seconds if self._seconds else 0.0,
            n_warnings=self.n_warnings,
        )

    def _tell(self) -> None:
        now = time.monotonic()
        if self._n_read == self.n_todo or now - self._reported >= REPORT_SECONDS:
            self._reported = now
            note = f"{len(self._failures):,} failed" if self._failures else ""
            report(self._progress, "detecting", self._n_read, self.n_todo, note, "images")

    def _fail(self, key: str, reason: str) -> None:
        if len(self._reasons) < MAX_REASONS:
            self._reasons.setdefault(reason, reason)
        self._failures[key] = self._reasons.get(reason, f"see {self._store.error_field!r}")

    def _flush(self) -> None:
        if not self._pending:
            return
        with lease(self._store.target.dataset, self._store.field, ttl=SHORT_SECONDS) as held:
            recorded = self._store.provenance
            gone = "its detector is not recorded any more"
            contrast = self.provenance.contrast(recorded) if recorded is not None else gone
            if contrast is not None:
                self._pending.clear()
                raise DetectorChangedError(self._store.field, contrast)
            held.check()
            written = self._store.write(self._pending)
        for key, reason in written.refused.items():
            self._fail(key, reason)
        for merged in written.merged:
            self._count(merged)
        self._n_gone += written.n_gone
        self._pending.clear()
        self._flushed = time.monotonic()

    def _count(self, merged: Merged) -> None:
        self._n_done += 1
        for name in ("n_detector", "n_new", "n_people", "n_dropped", "n_removed"):
            setattr(self._counts, name, getattr(self._counts, name) + getattr(merged, name))
