"""The report of detecting characters."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..reports.facts import Facts, counted


@dataclass(frozen=True)
class DetectionReport:
    """Report of :func:`detect_characters`.

    Attributes:
        n_total: number of requested images
        n_done: number of images in which characters were detected in this run, also where none were found
        n_skipped: number of images that were done already
        n_failed: number of images that could not be read or written
        n_gone: number of images that were deleted during the run
        n_boxes: number of detections of this run that are in the field, new or not
        n_new: number of those where the detector had no box before
        n_people: number of boxes that people edited or added, in the images of this run; they stay as they are
        n_dropped: number of detections that were left out, where people edited, added or deleted a box
        n_removed: number of boxes of earlier runs that were not found again
        failures: the reasons of failures by the id of a sample; after 1,000 different reasons, a reference to
            ``error_field``
        detector: the detector
        provider: the execution provider, None if there was nothing to do
        field: the field with the detections
        error_field: the field with the reasons of failures
        seconds: total time
        images_per_second: images per second, 0.0 if there was nothing to do
        n_warnings: number of warnings of Pillow about damaged metadata; --verbose, or the log, has their texts
    """

    n_total: int
    n_done: int
    n_skipped: int
    n_failed: int
    n_gone: int
    n_boxes: int
    n_new: int
    n_people: int
    n_dropped: int
    n_removed: int
    failures: Mapping[str, str]
    detector: str
    provider: str | None
    field: str
    error_field: str
    seconds: float
    images_per_second: float
    n_warnings: int = 0

    def facts(self) -> Facts:
        """The report as text."""
        headline = f"{counted(self.n_boxes, 'detection')} in {counted(self.n_done, 'image')}"
        headline += f", {self.n_skipped:,} already done" if self.n_skipped else ""
        headline += f", {self.n_failed:,} failed" if self.n_failed else ""
        return Facts.of(
            headline,
            [
                ("Images", self.n_total),
                ("Detected in now", self.n_done),
                ("Already done", self.n_skipped or None),
                ("Failed", self.n_failed or None),
                ("Deleted during the run", self.n_gone or None),
                ("Detections", self.n_boxes),
                ("Of these, new", self.n_new),
                ("Boxes by people, kept", self.n_people or None),
                ("Left out, as people changed these boxes", self.n_dropped or None),
                ("Not found again, removed", self.n_removed or None),
                ("Warnings about damaged metadata", self.n_warnings or None),
                ("Detector", self.detector),
                ("Field", self.field),
                ("Time", f"{self.seconds:.1f} s"),
                ("Speed", self._speed()),
            ],
        )

    def _speed(self) -> str | None:
        if self.provider is None or not self.n_done:
            return None
        return f"{self.images_per_second:,.1f} images/s on {self.provider.removesuffix('ExecutionProvider')}"

    def __str__(self) -> str:
        return str(self.facts())
