"""Provenance of the detections in a field: detector, file hash, thresholds. Stored in the ``info`` of the field."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import fiftyone as fo

from ..core.errors import CCIPError
from ..storage.schema import refresh_field, stored_field


class OtherDetectorError(CCIPError, ValueError):
    """New detections would be of another detector than a part of those in the field."""

    mentions = ("field",)

    def __init__(self, field: str, contrast: str, n_others: int):
        super().__init__(
            f"{field!r} has detections that cannot be mixed with new ones: {contrast}. {n_others:,} images with such "
            "are not among those to detect in now: detect in the whole dataset, or choose another field"
        )
        self.field, self.contrast, self.n_others = field, contrast, n_others


class DetectorChangedError(CCIPError):
    """Another process began to write detections of another detector into the field during this run."""

    def __init__(self, field: str, contrast: str):
        super().__init__(
            f"stopped: another process began to write other detections into {field!r}: {contrast}. Results that were "
            "not yet written are discarded"
        )
        self.field, self.contrast = field, contrast


@dataclass(frozen=True)
class Provenance:
    """Provenance of the detections in a field.

    Attributes:
        detector: the name of the detector
        min_score: detections with this score or less were left out
        max_overlap: intersection over union up to which two detections were both kept
        layout: the layout of the detector's output
        reading_policy: version of the rules by which image files become pixels, of the last run
        sha256: hash of the model file; None as long as no file was used
        revision: revision of the hub repository, None if unknown
        providers: the execution providers that ran the detector
    """

    detector: str
    min_score: float
    max_overlap: float
    layout: str
    reading_policy: int
    sha256: str | None = None
    revision: str | None = None
    providers: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The attributes as plain values, for the ``info`` of a field."""
        return {**asdict(self), "providers": list(self.providers)}

    @classmethod
    def from_dict(cls, info: Mapping[str, Any] | None) -> "Provenance | None":
        """Restores the provenance that :meth:`as_dict` stored; None without one. Keys of other tools are ignored."""
        needed = ("detector", "min_score", "max_overlap", "layout", "reading_policy")
        if not info or any(name not in info for name in needed):
            return None
        values = {field.name: info[field.name] for field in fields(cls) if field.name in info}
        return cls(**{**values, "providers": tuple(values.get("providers") or ())})

    def contrast(self, recorded: "Provenance") -> str | None:
        """Describes what differs in what decides which boxes are found; None if nothing does.

        The execution provider may differ. An unknown model file counts as the same file.
        """
        for name, label in _DECISIVE.items():
            ours, theirs = getattr(self, name), getattr(recorded, name)
            if ours != theirs and not (name == "sha256" and None in (ours, theirs)):
                return f"{label} {_short(theirs)} in the field, {_short(ours)} now"
        return None

    def joined(self, recorded: "Provenance | None") -> "Provenance":
        """The provenance of a field after these detections are added to the recorded ones."""
        if recorded is None:
            return self
        return replace(
            self,
            sha256=self.sha256 or recorded.sha256,
            revision=self.revision or recorded.revision,
            providers=tuple(dict.fromkeys((*recorded.providers, *self.providers))),
        )


_DECISIVE = {
    "detector": "detector",
    "sha256": "model file (SHA-256)",
    "min_score": "lowest score",
    "max_overlap": "largest overlap",
    "layout": "layout",
}


def read_provenance(dataset: fo.Dataset, field: str) -> Provenance | None:
    """Reads the provenance of a field from the database; None if it is not recorded."""
    stored = stored_field(dataset, field)
    return Provenance.from_dict(stored.get("info")) if stored else None


def write_provenance(dataset: fo.Dataset, name: str, provenance: Provenance) -> None:
    """Records the provenance of a declared field; keys of other tools in its ``info`` are kept."""
    stored = stored_field(dataset, name) or {}
    refresh_field(dataset, name)
    field = dataset.get_field(name)
    field.info = {**(stored.get("info") or {}), **provenance.as_dict()}
    field.save()


def _short(value: object) -> object:
    """A value for messages; hashes are abbreviated."""
    return f"{value[:12]}..." if isinstance(value, str) and len(value) == 64 else value
