"""The report of computing embeddings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from ..core.registry import get_spec
from ..reports.facts import Facts, counted
from ..storage.fields import ERROR_FIELD
from ..storage.targets import split_path


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
        n_blank: number of failed items that show nothing
        n_read_otherwise: number of stored embeddings whose file is read otherwise now; ``verify`` recomputes them
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
    n_blank: int = 0
    n_read_otherwise: int = 0
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
                ("Of these, showing nothing", self.n_blank or None),
                ("Deleted during the run", self.n_gone or None),
                ("Warnings about damaged metadata", self.n_warnings or None),
                ("Model", f"{self.model_name}{stand_in}"),
                ("Field", self.embeddings_field),
                ("Time", f"{self.seconds:.1f} s"),
                ("Speed", self._speed()),
            ],
            self._warnings(),
        )

    def _warnings(self) -> list[str]:
        if not self.n_read_otherwise:
            return []
        stored = counted(self.n_read_otherwise, "stored embedding")
        return [f"{stored} of files that this version reads otherwise: verify=True (--verify) computes them again"]

    def _speed(self) -> str | None:
        if self.provider is None or not self.n_computed:
            return None
        noun = "detections" if self.patches_field else "images"
        provider = self.provider.removesuffix("ExecutionProvider")
        return f"{self.images_per_second:,.1f} {noun}/s on {provider}"

    def __str__(self) -> str:
        return str(self.facts())
