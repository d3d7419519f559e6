"""Reads the answers of a form; a script gives the same parameters.

FiftyOne does not fill in the defaults of a form on the server: an answer that is missing means the default.
"""

from collections.abc import Iterable
from typing import Any

import fiftyone.core.media as fomm
from fiftyone.core.collections import SampleCollection

WHOLE_IMAGES = "(whole images)"
"""Stands for "no patches_field" in forms; no field can have this name."""


def text_of(ctx: Any, name: str) -> str | None:
    """A text without surrounding spaces; None when it is empty."""
    answer = ctx.params.get(name)
    return (answer.strip() if isinstance(answer, str) else answer) or None


def number_of(ctx: Any, name: str) -> Any:
    """A number, or whatever was typed instead; None when the input is empty."""
    answer = ctx.params.get(name)
    return None if answer == "" else answer


def patches_field_of(ctx: Any) -> str | None:
    """The field with the detections to work on; None for whole images."""
    answer = text_of(ctx, "patches_field")
    return None if answer == WHOLE_IMAGES else answer


def given(ctx: Any, names: Iterable[str]) -> dict[str, Any]:
    """The parameters that were given; the function that gets them has defaults for the others."""
    answers = {name: ctx.params.get(name) for name in names}
    answers = {name: answer.strip() if isinstance(answer, str) else answer for name, answer in answers.items()}
    return {name: answer for name, answer in answers.items() if answer not in (None, "")}


def whole_dataset(ctx: Any) -> SampleCollection:
    """The dataset; of a grouped dataset, the slices that the App shows."""
    is_grouped = ctx.dataset.media_type == fomm.GROUP
    return ctx.flatten_group_slices(ctx.view) if is_grouped else ctx.dataset
