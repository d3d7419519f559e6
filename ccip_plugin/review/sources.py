"""What can be reviewed in a dataset: the fields with character groups."""

from dataclasses import dataclass
from typing import Any

import fiftyone as fo

from ..embeddings.provenance import read_provenance
from ..labels.store import LabelStore
from ..storage.fields import EMBEDDINGS_FIELD
from ..storage.internals import reload_schema, run_documents
from ..storage.runs import RunKind
from ..storage.targets import all_images, field_path, resolve, split_path
from .problems import ReviewError, action

_SHOWN = 100  # characters of a path, in a sentence


@dataclass(frozen=True)
class Source:
    """A field with character groups.

    Attributes:
        group_field: its name; of detections that of the attribute
        patches_field: the field with the detections, None for whole samples
    """

    group_field: str
    patches_field: str | None = None

    @property
    def path(self) -> str:
        """The full path."""
        return field_path(self.group_field, self.patches_field)

    @property
    def noun(self) -> str:
        """What the items are called."""
        return "images" if self.patches_field is None else "detections"

    @property
    def label(self) -> str:
        """What people choose from several."""
        of = "images" if self.patches_field is None else f"detections in {self.patches_field!r}"
        return f"{of}, by {self.group_field!r}"

    def plain(self) -> dict[str, Any]:
        """As the panel sends it back."""
        return {"group_field": self.group_field, "patches_field": self.patches_field}


def plain_source(group_field: str, patches_field: str | None) -> dict[str, Any]:
    """A source as the panel sends it."""
    return Source(group_field, patches_field).plain()


def sources_of(dataset: fo.Dataset) -> list[Source]:
    """The fields of a dataset that have groups, those of whole samples first."""
    runs = run_documents(dataset, RunKind.REGISTRY, ["config.path"])
    paths = {path for run in runs if isinstance(path := run.get("config", {}).get("path"), str)}
    sources = [Source(name, patches_field) for patches_field, name in map(split_path, paths)]
    if any(dataset.get_field(source.path) is None for source in sources):
        reload_schema(dataset)  # another process has grouped
    found = [source for source in sources if dataset.get_field(source.path) is not None]
    return sorted(found, key=lambda source: (source.patches_field or "", source.group_field))


def chosen_source(dataset: fo.Dataset, given: dict[str, Any] | None) -> Source:
    """The field that is reviewed.

    Args:
        dataset: the dataset
        given: what :meth:`Source.plain` gave, None for the only one that there is

    Raises:
        ReviewError: there is none, or not this one, or one has to be chosen
    """
    sources = sources_of(dataset)
    if given is not None:
        wanted = Source(given["group_field"], given.get("patches_field"))
        if wanted in sources:
            return wanted
        if sources:
            raise ReviewError(
                "choose", f"{wanted.path[:_SHOWN]!r} has no character groups any more: choose another field"
            )
    if len(sources) > 1:
        raise ReviewError("choose", "several fields have character groups: choose the one to review")
    if not sources:
        raise nothing_yet(dataset)
    return sources[0]


def nothing_yet(dataset: fo.Dataset) -> ReviewError:
    """Why there is nothing to review, and what to do first."""
    reload_schema(dataset)
    if embeddings_fields(dataset):
        helps = action("Group by character", "@ccip/characters/group_characters")
        return ReviewError("no_groups", f"{dataset.name!r} has no character groups yet: group by character", helps)
    helps = action("Compute embeddings", "@ccip/characters/compute_embeddings")
    return ReviewError("no_embeddings", f"{dataset.name!r} has no CCIP embeddings yet: compute them first", helps)


def embeddings_fields(dataset: fo.Dataset, source: Source | None = None) -> list[str]:
    """The paths of the fields with embeddings of known origin, the default one first; of a source, names of its own."""
    schema = dataset.get_field_schema(flat=True)
    paths = [path for path, field in schema.items() if isinstance(field, fo.VectorField)]
    known = [path for path in paths if read_provenance(dataset, path) is not None]
    if source is not None:
        known = [name for owner, name in map(split_path, known) if owner == source.patches_field]
    return sorted(known, key=lambda path: (EMBEDDINGS_FIELD not in path, path))


def store_of(dataset: fo.Dataset, source: Source) -> LabelStore:
    """The labels of a source, of the whole dataset; of a grouped dataset, of all its slices with images."""
    return LabelStore(resolve(all_images(dataset), source.patches_field).whole(), source.group_field)
