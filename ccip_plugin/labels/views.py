"""Views of the groups: saved ones in the order of review, and one that shows names on detections."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import fiftyone as fo
from fiftyone import ViewField as F
from fiftyone.core.collections import SampleCollection

from ..core.errors import CCIPError, ParameterError, check_type
from ..reports.facts import Facts, counted
from ..storage.connection import with_database_errors
from ..storage.fields import GROUP_FIELD, STATUS_AUTO, UNASSIGNED
from ..storage.targets import Target, items_view, resolve
from .edits.chosen import GroupRef, check_group, member_view
from .identities import load_registry
from .store import LabelStore

VIEWS: Mapping[str, str] = {
    "most doubtful": "In a group and not reviewed, the least confident first",
    "unassigned": "In no group, not reviewed",
    "rescued": "Assigned on other evidence than the mean difference to the group, not reviewed",
    "not reviewed": "Neither confirmed nor ignored, group by group",
    "one tile per group": "The cover of each group, or else its most typical image, the largest groups first",
    "by group": "All images in a group, group by group, colored by group",
}
"""The views that can be saved, with what they show."""

_PREFIX = "CCIP: "


class NoGroupsError(CCIPError, ValueError):
    """A field has no character groups."""

    mentions = ("group_characters",)

    def __init__(self, path: str):
        super().__init__(f"{path!r} has no character groups: make some with group_characters")
        self.path = path


@dataclass(frozen=True)
class SavedViews:
    """Result of saving views.

    Attributes:
        path: the field with the groups
        names: the names of the views
        replaced: those that replaced an earlier view of the name
    """

    path: str
    names: tuple[str, ...]
    replaced: tuple[str, ...] = ()

    def facts(self) -> Facts:
        """The report as text."""
        return Facts.of(
            f"{counted(len(self.names), 'view')} saved: choose one above the grid",
            [("Saved views", ", ".join(self.names)), ("Replaced", ", ".join(self.replaced)), ("Groups", self.path)],
        )

    def __str__(self) -> str:
        return str(self.facts())


@with_database_errors
def save_views(
    samples: SampleCollection,
    *,
    views: Iterable[str] | None = None,
    group_field: str = GROUP_FIELD,
    patches_field: str | None = None,
) -> SavedViews:
    """Saves views of the groups with the dataset, in the order in which one reviews.

    A saved view is a query, and so up to date. Views of detections show patches, which FiftyOne copies: reload them, or
    save them again, after corrections. Covers are those of when the view was saved: save it again after choosing some,
    else a new cover is not shown. A view of the same name is replaced. Where the App has no colors for the field
    yet, it colors by group from then on.

    Args:
        samples: the dataset, or any view of it; the views are of the whole dataset
        views (None): some of ``most doubtful``, ``unassigned``, ``rescued``, ``not reviewed``, ``one tile per group``,
            ``by group``; None for all
        group_field ("character_group"): the field with the groups
        patches_field (None): the field with the detections, when they were grouped

    Returns:
        a :class:`SavedViews`

    Raises:
        NoGroupsError: there are no groups
        ParameterError: there is no such view
    """
    store = _grouped(samples, group_field, patches_field, whole=True)
    wanted = _wanted(views)
    dataset, before = store.target.dataset, set(store.target.dataset.list_saved_views())
    names = {name: _saved_name(store, name) for name in wanted}
    for name, saved in names.items():
        dataset.save_view(saved, group_view(store, name), description=VIEWS[name], overwrite=True)
    _color(store)
    return SavedViews(store.path, tuple(names.values()), tuple(name for name in names.values() if name in before))


def delete_views(store: LabelStore) -> None:
    """Deletes the saved views of a field that is deleted."""
    dataset = store.target.dataset
    for name in saved_names(store):
        dataset.delete_saved_view(name)


def saved_names(store: LabelStore) -> list[str]:
    """The names of the views of a field that are saved."""
    names = {_saved_name(store, name) for name in VIEWS}
    return [name for name in store.target.dataset.list_saved_views() if name in names]


def group_view(store: LabelStore, name: str) -> fo.DatasetView:
    """A view of the groups: of samples, or of patches.

    Args:
        store: the groups
        name: one of :data:`VIEWS`
    """
    label, group_id, status, rescued = (_item(store, each) for each in ("label", "group_id", "status", "rescued"))
    is_grouped, is_open = group_id.exists(), status == STATUS_AUTO
    shown = {
        "most doubtful": is_grouped & is_open,
        "unassigned": (label == UNASSIGNED) & is_open,
        "rescued": (rescued == True) & is_open,  # noqa: E712
        "not reviewed": is_open,
    }
    view = _items(store, shown.get(name, is_grouped))
    label_path, confidence_path = (_shown_path(store, each) for each in ("label", "confidence"))
    if name == "one tile per group":
        return view.mongo(_tiles(store, label_path, confidence_path))
    if name == "unassigned":
        return view
    by = confidence_path if name in ("most doubtful", "rescued") else label_path
    return view.sort_by(by)


def _tiles(store: LabelStore, label_path: str, confidence_path: str) -> list[dict[str, Any]]:
    """The cover of each group, as it is now, or else its most typical image; the largest groups first."""
    groups = load_registry(store.target.dataset, store.path).groups.values()
    covers = [group.cover for group in groups if group.cover is not None and group.merged_into is None]
    return [
        {"$addFields": {"_ccip_cover": {"$in": [{"$toString": "$_id"}, covers]}}},
        {"$sort": {"_ccip_cover": -1, confidence_path: -1, "_id": 1}},
        {"$group": {"_id": f"${label_path}", "_ccip_n": {"$sum": 1}, "_ccip_tile": {"$first": "$$ROOT"}}},
        {"$sort": {"_ccip_n": -1, "_id": 1}},
        {"$replaceRoot": {"newRoot": "$_ccip_tile"}},
        {"$unset": "_ccip_cover"},
    ]


@with_database_errors
def show_group(
    samples: SampleCollection,
    group: GroupRef,
    *,
    group_field: str = GROUP_FIELD,
    patches_field: str | None = None,
) -> fo.DatasetView:
    """A view of the members of a group, the least confident first; of detections, their patches.

    Args:
        samples: the dataset, or any view of it; all members are shown
        group: its name or id
        group_field ("character_group"): the field with the groups
        patches_field (None): the field with the detections, when they were grouped

    Raises:
        NoSuchGroupError: there is no such group
        NoGroupsError: there are no groups
    """
    check_group(group)
    store = _grouped(samples, group_field, patches_field, whole=True)
    view, field = member_view(store, group), store.target.patches_field
    view = view if field is None else view.to_patches(field)
    return view.sort_by(_shown_path(store, "confidence"))


def show_items(samples: SampleCollection, ids: Sequence[str], *, patches_field: str | None = None) -> fo.DatasetView:
    """A view of some images of a dataset, or of some detections, as patches.

    Args:
        samples: the dataset, or any view of it
        ids: the ids of the images or detections
        patches_field (None): the field with the detections
    """
    view = items_view(resolve(samples, patches_field).whole(), ids)
    return view if patches_field is None else view.to_patches(patches_field)


def examples(store: LabelStore, group_ids: Iterable[int], n: int) -> dict[int, list[str]]:
    """The files of the most typical images of some groups, found by the indexes of the labels.

    Args:
        store: the groups
        group_ids: their ids
        n: how many of each
    """
    path, confidence = store.attribute_path("group_id"), store.attribute_path("confidence")
    found = {}
    for group_id in group_ids:
        documents = store.documents.find({path: group_id}, ["filepath"]).sort(confidence, -1).limit(n)
        found[group_id] = [str(each["filepath"]) for each in documents]
    return found


@with_database_errors
def show_names(
    samples: SampleCollection, *, group_field: str = GROUP_FIELD, patches_field: str | None = None
) -> fo.DatasetView:
    """A view in which each detection has the name of its group as its label, as the App writes it on boxes and patches.

    Look at it and do not save samples of it: FiftyOne would write the names over the detector's labels. So the view
    should not be saved either. Corrections by the functions and operators of this plugin go by what is stored.

    Args:
        samples: a dataset, view or patches view
        group_field ("character_group"): the attribute with the groups
        patches_field (None): the field with the detections; not needed for a patches view

    Raises:
        NoGroupsError: there are no groups
        ParameterError: no ``patches_field``; groups of whole samples are shown by name anyway
    """
    store = _grouped(samples, group_field, patches_field)
    field = store.target.patches_field
    if field is None:
        raise ParameterError("patches_field", None, "the field with the detections: images show their names anyway")
    is_patches = resolve(samples).is_patches
    path = f"{field}.label" if is_patches else f"{field}.detections.label"
    shown = F(store.attribute_path("label").rpartition(".")[2])
    return samples.view().set_field(path, shown.if_else(shown, F("label")))


def _grouped(
    samples: SampleCollection, group_field: str, patches_field: str | None, *, whole: bool = False
) -> LabelStore:
    target: Target = resolve(samples, patches_field)
    store = LabelStore(target.whole() if whole else target, group_field)
    if not store.is_declared():
        raise NoGroupsError(store.path)
    return store


def _wanted(views: Iterable[str] | None) -> list[str]:
    expected = f"some of {', '.join(map(repr, VIEWS))}"
    check_type("views", views, Iterable | None, expected)
    wanted = list(VIEWS) if views is None else [views] if isinstance(views, str) else list(views)
    for name in wanted:
        if not isinstance(name, str) or name not in VIEWS:
            raise ParameterError("views", name, expected)
    return wanted


def _saved_name(store: LabelStore, name: str) -> str:
    is_default = store.path == GROUP_FIELD
    field = store.target.patches_field if store.group_field == GROUP_FIELD else store.path
    return f"{_PREFIX}{name}" if is_default else f"{_PREFIX}{name} ({field})"


def _item(store: LabelStore, name: str) -> F:
    """One of our values in an expression on an item."""
    path = store.attribute_path(name)
    return F(path.rpartition(".")[2]) if store.target.is_patches else F(path)


def _shown_path(store: LabelStore, name: str) -> str:
    """The path of one of our values in a view of the items: a patch has one detection, not a list."""
    path = store.attribute_path(name)
    return f"{store.target.patches_field}.{path.rpartition('.')[2]}" if store.target.is_patches else path


def _items(store: LabelStore, is_shown: F) -> fo.DatasetView:
    view, field = store.target.view.view(), store.target.patches_field
    if field is None:
        return view.match(is_shown)
    return view.filter_labels(field, is_shown).to_patches(field)


def _color(store: LabelStore) -> None:
    """Colors by group where the App has no colors for the field."""
    dataset, field = store.target.dataset, store.target.patches_field or store.group_field
    scheme = dataset.app_config.color_scheme or fo.ColorScheme(color_by="value", fields=[])
    if any(each.get("path") == field for each in scheme.fields or ()):
        return
    attribute = store.attribute_path("label").rpartition(".")[2]
    scheme.fields = [*(scheme.fields or ()), {"path": field, "colorByAttribute": attribute}]
    dataset.app_config.color_scheme = scheme
    dataset.save()
