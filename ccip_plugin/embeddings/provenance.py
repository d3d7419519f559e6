"""Where the embeddings in a field come from: which model, read how. Kept in the ``info`` of the field."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import fiftyone as fo

from ..core.errors import CCIPError
from ..storage.fields import EMBEDDINGS_FIELD
from ..storage.schema import refresh_field, stored_field
from ..storage.targets import Target

PRECISION = "float32"


class ProvenanceError(CCIPError, ValueError):
    """The embeddings in a field do not go with what was asked for."""


class OtherOriginError(ProvenanceError):
    """A part of the embeddings in a field would be of another model, or made in another way."""

    def __init__(self, path: str, contrast: str, n_others: int):
        super().__init__(
            f"{path!r} has embeddings that do not go together with new ones: {contrast}. {n_others:,} of them are not "
            "among the images to embed now: embed the whole dataset, which replaces them all, or choose another field"
        )
        self.path, self.contrast, self.n_others = path, contrast, n_others


class UnknownOriginError(ProvenanceError):
    """A field has embeddings, and nothing says which model they are from."""

    def __init__(self, path: str, n_vectors: int):
        super().__init__(
            f"{path!r} has {n_vectors:,} vectors, and nothing is recorded about where they are from: adopt=True with "
            "the model_name that they are from keeps them, overwrite=True on the whole dataset replaces them, or "
            "choose another field"
        )
        self.path, self.n_vectors = path, n_vectors


class OriginChangedError(ProvenanceError):
    """Another process put embeddings of another origin into the field while this one was computing."""

    def __init__(self, path: str, contrast: str):
        super().__init__(
            f"stopped, because meanwhile another process began to fill {path!r} in another way: {contrast}. What this "
            "one had not yet written is dropped"
        )
        self.path, self.contrast = path, contrast


@dataclass(frozen=True)
class Provenance:
    """Where the embeddings in a field come from.

    Attributes:
        model_name: the CCIP model
        reading_policy: the version of the rules by which image files become pixels
        sha256: of the model file; None when the vectors were adopted and no file has been seen yet
        revision: of the hub repository, None for a file of unknown revision
        providers: the execution providers that computed some of them
        precision: of the computation
        normalized: whether the vectors have unit length
        alpha: by which share the boxes were enlarged, None for whole images
        force_square: whether the boxes were made square, None for whole images
        adopted: whether there are vectors of which a person said that they are from this model
        closed_form: whether ``(1 - cos) / 2`` is what the model's metric file computes, as far as that is known
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

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as they are stored in the ``info`` of a field."""
        return {**asdict(self), "providers": list(self.providers)}

    @classmethod
    def from_dict(cls, info: Mapping[str, Any] | None) -> "Provenance | None":
        """What :meth:`as_dict` stored; None when it is not there. Other keys are somebody else's."""
        if not info or not isinstance(info.get("model_name"), str) or "reading_policy" not in info:
            return None
        values = {field.name: info[field.name] for field in fields(cls) if field.name in info}
        return cls(**{**values, "providers": tuple(values.get("providers") or ())})

    def contrast(self, recorded: "Provenance | None") -> str | None:
        """Says why embeddings of this origin may not join those ``recorded``; None when they may.

        Another provider running the same file is no reason. A file that is not known is taken to be the right one.
        """
        if recorded is None:
            return "nothing is recorded about those in the field"
        for name, words in _DECISIVE.items():
            ours, theirs = getattr(self, name), getattr(recorded, name)
            if ours != theirs and not (name == "sha256" and None in (ours, theirs)):
                return f"{words} {_short(theirs)} in the field, {_short(ours)} now"
        return None

    def joined(self, recorded: "Provenance | None") -> "Provenance":
        """What holds for a field when embeddings of this origin join those ``recorded``."""
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
        )


_DECISIVE = {
    "model_name": "model",
    "sha256": "model file (SHA-256)",
    "reading_policy": "reading policy",
    "precision": "precision",
    "normalized": "unit length",
    "alpha": "alpha",
    "force_square": "force_square",
}


def embeddings_fields(target: Target) -> dict[str, Provenance]:
    """The fields (on detections: attributes) with CCIP embeddings and their provenance; the default field first."""
    vectors = {name: field.info for name, field in target.schema().items() if isinstance(field, fo.VectorField)}
    names = sorted(vectors, key=lambda name: (name != EMBEDDINGS_FIELD, name))
    provenances = ((name, Provenance.from_dict(vectors[name])) for name in names)
    return {name: provenance for name, provenance in provenances if provenance is not None}


def fields_by_model(target: Target) -> dict[str, str]:
    """For each model, the first of :func:`embeddings_fields` with its embeddings."""
    fields: dict[str, str] = {}
    for name, provenance in embeddings_fields(target).items():
        fields.setdefault(provenance.model_name, name)
    return fields


def read_provenance(dataset: fo.Dataset, path: str) -> Provenance | None:
    """Reads from the database where the embeddings in a field come from; None when that is not recorded."""
    field = stored_field(dataset, path)
    return Provenance.from_dict(field.get("info")) if field else None


def write_provenance(dataset: fo.Dataset, path: str, provenance: Provenance) -> None:
    """Records where the embeddings in a declared field come from; what others keep in its ``info`` stays."""
    stored = stored_field(dataset, path) or {}
    refresh_field(dataset, path)
    field = dataset.get_field(path)
    field.info = {**(stored.get("info") or {}), **provenance.as_dict()}
    field.save()


def _short(value: object) -> object:
    """A value as a person reads it; of a hash the first digits."""
    return f"{value[:12]}..." if isinstance(value, str) and len(value) == 64 else value
