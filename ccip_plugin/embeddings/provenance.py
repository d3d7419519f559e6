"""Provenance of the embeddings in a field: model, file hash, reading policy. Stored in the ``info`` of the field."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import fiftyone as fo

from ..core.errors import CCIPError
from ..storage.fields import EMBEDDINGS_FIELD
from ..storage.schema import refresh_field, stored_field
from ..storage.targets import Target

PRECISION = "float32"
_POLICIES = "reading_policies"


class ProvenanceError(CCIPError, ValueError):
    """The provenance of the embeddings in a field does not match the request."""


class OtherOriginError(ProvenanceError):
    """New embeddings would have another provenance than a part of the embeddings in the field."""

    def __init__(self, path: str, contrast: str, n_others: int):
        super().__init__(
            f"{path!r} has embeddings that cannot be mixed with new ones: {contrast}. {n_others:,} of them are not "
            "among the images to embed now: embed the whole dataset, which replaces them all, or choose another field"
        )
        self.path, self.contrast, self.n_others = path, contrast, n_others


class UnknownOriginError(ProvenanceError):
    """A field has vectors without recorded provenance."""

    mentions = ("adopt", "model_name", "overwrite")

    def __init__(self, path: str, n_vectors: int):
        super().__init__(
            f"{path!r} has {n_vectors:,} vectors without recorded provenance: adopt=True with their model_name keeps "
            "them, overwrite=True on the whole dataset replaces them, or choose another field"
        )
        self.path, self.n_vectors = path, n_vectors


class OriginChangedError(ProvenanceError):
    """Another process wrote embeddings of another provenance into the field during this run."""

    def __init__(self, path: str, contrast: str):
        super().__init__(
            f"stopped: another process began to write embeddings of another provenance into {path!r}: {contrast}. "
            "Results that were not yet written are discarded"
        )
        self.path, self.contrast = path, contrast


@dataclass(frozen=True)
class Provenance:
    """Provenance of the embeddings in a field.

    Attributes:
        model_name: the CCIP model
        reading_policy: version of the rules by which image files become pixels, the newest if there are several
        sha256: hash of the model file; None for adopted vectors as long as no file was used
        revision: revision of the hub repository, None if unknown
        providers: the execution providers that computed the embeddings
        precision: precision of the computation
        normalized: whether the vectors have unit length
        alpha: fraction by which boxes were enlarged, None for whole images
        force_square: whether boxes were made square, None for whole images
        adopted: whether some vectors were declared by a user to be from this model
        reading_policies: all versions of these rules by which embeddings in the field were made, oldest first
        closed_form: whether the model's metric file computes ``(1 - cos) / 2``; True if unknown
    """

    model_name: str
    reading_policy: int
    sha256: str | None = None
    revision: str | None = None
    providers: tuple[str, ...] = ()
    precision: str = PRECISION
    normalized: bool = True
    alpha: float | None = None
    force_square: bool | None = None
    adopted: bool = False
    closed_form: bool = True
    reading_policies: tuple[int, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The attributes as plain values, for the ``info`` of a field."""
        values = {**asdict(self), "providers": list(self.providers), _POLICIES: list(self.reading_policies)}
        if len(self.reading_policies) == 1:  # as records of earlier versions are
            del values[_POLICIES]
        return values

    def __post_init__(self) -> None:
        policies = tuple(sorted({self.reading_policy, *self.reading_policies}))
        object.__setattr__(self, "reading_policies", policies)

    @classmethod
    def from_dict(cls, info: Mapping[str, Any] | None) -> "Provenance | None":
        """Restores the provenance that :meth:`as_dict` stored; None without one. Keys of other tools are ignored."""
        if not info or not isinstance(info.get("model_name"), str) or "reading_policy" not in info:
            return None
        values = {field.name: info[field.name] for field in fields(cls) if field.name in info}
        names = ("providers", _POLICIES)
        return cls(**{**values, **{name: tuple(values.get(name) or ()) for name in names}})

    def contrast(self, recorded: "Provenance | None") -> str | None:
        """Describes why embeddings of this provenance cannot be mixed with those ``recorded``; None if they can.

        The execution provider may differ, and those in the field may be of an older reading policy, which concerns few
        files. An unknown model file counts as the same file.
        """
        if recorded is None:
            return "the provenance of those in the field is not recorded"
        for name, label in _DECISIVE.items():
            ours, theirs = getattr(self, name), getattr(recorded, name)
            if ours != theirs and not (name == "sha256" and None in (ours, theirs)):
                return f"{label} {_short(theirs)} in the field, {_short(ours)} now"
        if recorded.reading_policies[-1] > self.reading_policy:
            return f"reading policy {recorded.reading_policies[-1]} in the field, {self.reading_policy} now"
        return None

    def joined(self, recorded: "Provenance | None") -> "Provenance":
        """The provenance of a field after these embeddings are added to the recorded ones."""
        if recorded is None:
            return self
        providers = dict.fromkeys((*recorded.providers, *self.providers))
        return replace(
            self,
            sha256=self.sha256 or recorded.sha256,
            revision=self.revision or recorded.revision,
            providers=tuple(providers),
            adopted=self.adopted or recorded.adopted,
            closed_form=self.closed_form and recorded.closed_form,
            reading_policies=self.reading_policies + recorded.reading_policies,
        )


_DECISIVE = {
    "model_name": "model",
    "sha256": "model file (SHA-256)",
    "precision": "precision",
    "normalized": "unit length",
    "alpha": "alpha",
    "force_square": "force_square",
}


def embeddings_fields(target: Target) -> dict[str, Provenance]:
    """Lists the fields (on detections: attributes) with CCIP embeddings, the default field first."""
    vectors = {name: field.info for name, field in target.schema().items() if isinstance(field, fo.VectorField)}
    names = sorted(vectors, key=lambda name: (name != EMBEDDINGS_FIELD, name))
    provenances = ((name, Provenance.from_dict(vectors[name])) for name in names)
    return {name: provenance for name, provenance in provenances if provenance is not None}


def fields_by_model(target: Target) -> dict[str, str]:
    """The first of :func:`embeddings_fields` for each model."""
    fields: dict[str, str] = {}
    for name, provenance in embeddings_fields(target).items():
        fields.setdefault(provenance.model_name, name)
    return fields


def read_provenance(dataset: fo.Dataset, path: str) -> Provenance | None:
    """Reads the provenance of a field from the database; None if it is not recorded."""
    field = stored_field(dataset, path)
    return Provenance.from_dict(field.get("info")) if field else None


def forget_provenance(dataset: fo.Dataset, path: str) -> None:
    """Removes the recorded provenance of a field; its vectors, and keys of other tools in its ``info``, are kept."""
    refresh_field(dataset, path)
    field = dataset.get_field(path)
    ours = {each.name for each in fields(Provenance)}
    field.info = {key: value for key, value in (field.info or {}).items() if key not in ours} or None
    field.save()


def write_provenance(dataset: fo.Dataset, path: str, provenance: Provenance) -> None:
    """Records the provenance of a declared field; keys of other tools in its ``info`` are kept."""
    stored = stored_field(dataset, path) or {}
    refresh_field(dataset, path)
    field = dataset.get_field(path)
    info = {name: value for name, value in (stored.get("info") or {}).items() if name != _POLICIES}
    field.info = {**info, **provenance.as_dict()}
    field.save()


def _short(value: object) -> object:
    """A value for messages; hashes are abbreviated."""
    return f"{value[:12]}..." if isinstance(value, str) and len(value) == 64 else value
