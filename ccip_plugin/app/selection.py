"""The selection in the App: samples, patches, or labels in an opened sample."""

from collections import Counter
from typing import Any

from fiftyone.core.collections import SampleCollection
from fiftyone.core.patches import PatchesView

from ..core.errors import CCIPError
from ..storage.targets import Target, resolve


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
        return resolve(ctx.view.select(list(ctx.selected)))
    labels = ctx.selected_labels or ()
    if not labels:
        raise NothingSelectedError
    ((field, _),) = Counter(label["field"] for label in labels).most_common(1)
    label_ids = [label["label_id"] for label in labels if label["field"] == field]
    return resolve(ctx.dataset.select_labels(ids=label_ids, fields=field), field)
