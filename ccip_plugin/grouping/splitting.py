"""Divides a group, by hand or along its own average linkage."""

import reprlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fiftyone.core.collections import SampleCollection

from ..core.clustering.splitting import split as split_vectors
from ..core.errors import CCIPError, ParameterError, check_type
from ..core.progress import ProgressCallback
from ..embeddings.load import load_embeddings
from ..labels.edits.chosen import GroupRef, check_group, member_view
from ..labels.edits.report import EditReport
from ..labels.edits.splitting import SplitError, split
from ..labels.store import LabelStore
from ..storage.connection import with_database_errors
from ..storage.fields import EMBEDDINGS_FIELD, GROUP_FIELD
from ..storage.targets import resolve


class HowToSplitError(ParameterError):
    """Not exactly one way to divide a group was given."""

    def __init__(self, group: GroupRef, given: Mapping[str, object]):
        shown = ", ".join(f"{name}={reprlib.repr(value)}" for name, value in given.items() if value is not None)
        CCIPError.__init__(
            self,
            f"how to divide {group!r} is given by exactly one of parts (views of images, or their ids), k (the number "
            "of groups) and cut (the mean difference up to which images are one group), such as k=2; given: "
            f"{shown or 'none'}",
        )
        self.name, self.value, self.expected = "parts, k, cut", given, "exactly one of the three"


@with_database_errors
def split_group(
    samples: SampleCollection,
    group: GroupRef,
    *,
    parts: Sequence[Sequence[str] | SampleCollection] | None = None,
    k: int | None = None,
    cut: float | None = None,
    names: Sequence[str] = (),
    embeddings_field: str = EMBEDDINGS_FIELD,
    group_field: str = GROUP_FIELD,
    patches_field: str | None = None,
    dry_run: bool = False,
    progress: ProgressCallback | None = None,
) -> EditReport:
    """Says that a group is several characters: parts of it become groups of their own, which are kept apart.

    Runs put the parts never together again, and images stay in them. They are not confirmed by it; those that were
    stay confirmed, in the group that they are in now. Images that are in no part stay in the group, as do those without
    embedding and, when all are in parts, those of the largest part. Costs time for the images of the group; ``k`` and
    ``cut`` that of comparing all pairs of them.

    Args:
        samples: the dataset, or any view of it; the group of the whole dataset is divided
        group: its name or id
        parts (None): for each new group its images: a view, or their ids
        k (None): divide into this many groups, by average linkage
        cut (None): divide into groups with up to this mean difference, by average linkage
        names (()): the names of the new groups, default ones where there are fewer
        embeddings_field ("ccip_embedding"): the field with the embeddings
        group_field ("character_group"): the field with the groups
        patches_field (None): the field with the detections, when they were grouped
        dry_run (False): change nothing, only say what would be
        progress (None): called with the number of merges, and of labels written

    Returns:
        an :class:`~ccip_plugin.labels.edits.report.EditReport`

    Raises:
        SplitError: the group cannot be divided like this
        HowToSplitError: not exactly one of ``parts``, ``k`` and ``cut`` is given
        ParameterError: one of them is out of range
        NameTakenError: another group has one of the names
        NoSuchGroupError: there is no such group
        StaleGroupsError: the groups were changed by another process meanwhile; try again
        LeaseHeldError: another process is writing
    """
    check_group(group)
    if sum(each is not None for each in (parts, k, cut)) != 1:
        raise HowToSplitError(group, {"parts": parts, "k": k, "cut": cut})
    check_type("names", names, Sequence, "names of groups")
    store = LabelStore(resolve(samples, patches_field).whole(), group_field)
    if parts is None:
        ids = _clusters(store, group, embeddings_field, k, cut, progress)
    else:
        ids = [_ids(part, patches_field) for part in _listed(parts)]
    return split(store, group, ids, _texts(names), dry_run=dry_run, progress=progress)


def _listed(parts: Any) -> list[Any]:
    check_type("parts", parts, Iterable, "for each new group a view of its images, or their ids")
    return list(parts)


def _texts(names: Sequence[str]) -> list[str]:
    listed = [names] if isinstance(names, str) else list(names)
    for name in listed:
        check_type("names", name, str, "names of groups")
    return listed


def _ids(part: Any, patches_field: str | None) -> list[str]:
    if isinstance(part, SampleCollection):
        return resolve(part, patches_field).values()[0]
    if isinstance(part, str) or not isinstance(part, Iterable):
        raise ParameterError("parts", part, "for each new group a view of its images, or their ids")
    return [str(each) for each in part]


def _clusters(
    store: LabelStore,
    group: GroupRef,
    embeddings_field: str,
    k: int | None,
    cut: float | None,
    progress: ProgressCallback | None,
) -> list[list[str]]:
    """The ids of the members of a group with an embedding, by their clusters."""
    store.check()
    view = member_view(store, group)
    embeddings = load_embeddings(view, embeddings_field=embeddings_field, patches_field=store.target.patches_field)
    if len(embeddings.ids) < 2:
        raise SplitError(
            f"{len(embeddings.ids)} images of {group!r} have an embedding in {embeddings_field!r}: "
            "there is nothing to divide"
        )
    labels = split_vectors(embeddings.vectors, k=k, cut=cut, progress=progress)
    parts: dict[int, list[str]] = defaultdict(list)
    for item_id, cluster in zip(embeddings.ids, labels.tolist(), strict=True):
        parts[cluster].append(item_id)
    return list(parts.values())
