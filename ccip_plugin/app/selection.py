"""The selection in the App: samples, patches, or labels in an opened sample."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import fiftyone.core.media as fomm
from bson import ObjectId
from fiftyone.core.collections import SampleCollection
from fiftyone.core.patches import PatchesView
from fiftyone.operators import ViewTarget

from ..core.errors import CCIPError
from ..storage.internals import is_dynamic_groups
from ..storage.targets import Target, flatten_dynamic_groups, resolve
from .answers import whole_dataset


def drop_malformed(ctx: Any) -> dict[str, str]:
    """Removes a selection that the App does not send, such as one posted by hand; says why, by its name.

    Args:
        ctx: the execution context
    """
    sent, problems = ctx.request_params, {}
    for name, (is_fine, expected) in _SELECTIONS.items():
        if sent.get(name) and not is_fine(sent[name]):
            sent[name] = None
            problems[name] = f"{expected} expected"
    return problems


def is_id(value: Any) -> bool:
    """Whether a value is the id of a sample or label."""
    return isinstance(value, str) and ObjectId.is_valid(value)


def _are_samples(value: Any) -> bool:
    return isinstance(value, list) and all(is_id(each["id"] if _has(each, "id") else each) for each in value)


def _are_labels(value: Any) -> bool:
    return isinstance(value, list) and all(
        _has(each, "field", "label_id") and isinstance(each["field"], str) and is_id(each["label_id"]) for each in value
    )


def _has(value: Any, *names: str) -> bool:
    return isinstance(value, dict) and all(name in value for name in names)


_SELECTIONS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "selected": (_are_samples, "a list of the ids of samples is"),
    "selected_samples": (_are_samples, "a list of the ids of samples is"),
    "selected_labels": (_are_labels, "a list of labels with their fields and ids is"),
    "current_sample": (is_id, "the id of a sample is"),
}


def shown_samples(ctx: Any) -> SampleCollection:
    """The samples of the view in the App; of dynamic groups, all samples of the groups that it shows."""
    return flatten_dynamic_groups(ctx.view) if is_dynamic_groups(ctx.view) else ctx.view


def target_samples(ctx: Any) -> SampleCollection:
    """The samples that were chosen in the form: the dataset, the view or the selected samples.

    FiftyOne's ``target_view`` takes dynamic groups for slices, which they do not have. Without one chosen, or another
    one than a form offers, it is the view.
    """
    if ctx.view is None or not is_dynamic_groups(ctx.view):
        return ctx.target_view(require_flat=True)
    target = ctx.request_params.get("view_target")
    if target == ViewTarget.DATASET and ctx.dataset.media_type != fomm.GROUP:
        return ctx.dataset
    samples = shown_samples(ctx)
    return samples.select(ctx.selected) if target == ViewTarget.SELECTED_SAMPLES else samples


class NothingSelectedError(CCIPError):
    """Nothing is selected."""

    def __init__(self) -> None:
        super().__init__("nothing is selected")


def selected_ids(ctx: Any, samples: SampleCollection, patches_field: str | None) -> list[str]:
    """The ids of the selected items of one kind; without a selection, that of the opened sample.

    Args:
        ctx: the execution context
        samples: the samples that are worked on; a patches view names the detections
        patches_field: the field with the detections, None for whole images
    """
    patches_field = resolve(samples, patches_field).patches_field
    labels = [label["label_id"] for label in ctx.selected_labels or () if label["field"] == patches_field]
    if patches_field is not None and labels:
        return labels
    shown = ctx.view.patches_field if isinstance(ctx.view, PatchesView) else None
    if shown != patches_field:
        return []
    opened = [ctx.current_sample] if ctx.current_sample else []
    return list(ctx.selected) or opened


def shown_patches_field(ctx: Any) -> str | None:
    """The field of the detections that are shown as patches, or else selected in an opened sample; None without any."""
    if isinstance(ctx.view, PatchesView):
        return str(ctx.view.patches_field)
    if ctx.selected:
        return None
    fields = Counter(label["field"] for label in ctx.selected_labels or ())
    return max(fields, key=lambda field: fields[field], default=None)


def n_selected(ctx: Any) -> int:
    """The number of selected samples or, without any, labels."""
    return len(ctx.selected or ctx.selected_labels or ())


def selected_target(ctx: Any) -> Target:
    """The selection as a target: samples, patches, or else labels of one field.

    Raises:
        NothingSelectedError: nothing is selected
        TargetError: the selected items cannot have embeddings
    """
    if ctx.selected:
        return resolve(shown_samples(ctx).select(list(ctx.selected)))
    labels = ctx.selected_labels or ()
    if not labels:
        raise NothingSelectedError
    ((field, _),) = Counter(label["field"] for label in labels).most_common(1)
    label_ids = [label["label_id"] for label in labels if label["field"] == field]
    return resolve(whole_dataset(ctx).select_labels(ids=label_ids, fields=field), field)
