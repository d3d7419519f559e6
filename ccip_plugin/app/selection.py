"""What is ticked in the App: tiles, patches, or boxes in an opened image."""

from collections import Counter
from typing import Any

from fiftyone.core.patches import PatchesView

from ..storage.targets import Target, resolve


def ids(ctx: Any, target: Target) -> list[str]:
    """The ids of what is ticked and of the kind of a target; else that of what is opened.

    Args:
        ctx: the execution context
        target: images or detections
    """
    patches_field = ctx.view.patches_field if isinstance(ctx.view, PatchesView) else None
    labels = [label["label_id"] for label in ctx.selected_labels or () if label["field"] == target.patches_field]
    if target.is_patches and labels:
        return labels
    if patches_field != target.patches_field:
        return []
    opened = [ctx.current_sample] if ctx.current_sample else []
    return list(ctx.selected) or opened


def target(ctx: Any) -> Target | None:
    """What is ticked, as a target: tiles, patches, or else boxes in one field; None when nothing is.

    Raises:
        TargetError: that cannot have embeddings
    """
    if ctx.selected:
        return resolve(ctx.view.select(list(ctx.selected)))
    labels = ctx.selected_labels or ()
    if not labels:
        return None
    ((field, _),) = Counter(label["field"] for label in labels).most_common(1)
    chosen = [label["label_id"] for label in labels if label["field"] == field]
    return resolve(ctx.dataset.select_labels(ids=chosen, fields=field), field)
