"""What the App shows first: the grid coloured by character group, beside it the review and the visualization."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

import fiftyone as fo
import fiftyone.core.utils as fou

from ccip_plugin.storage.fields import GROUP_FIELD, UNASSIGNED

WORKSPACE = "Character groups"
VIEW = "By character group"
MAX_COLORS = 200  # groups with a colour of their own; others take one from the pool
UNASSIGNED_COLOR = "#9aa0a6"

_GOLDEN = 0.618034  # of the circle of hues: colours that follow each other are far apart
_SHADES = ((0.60, 0.75), (0.45, 0.65), (0.70, 0.85))  # lightness and saturation, in turns
_LUMINANCE = 0.30  # at most, for the white text on it


def arrange(dataset: fo.Dataset, *, patches_field: str | None = None) -> str:
    """Saves a workspace and a view with a dataset, and colours for its groups. What people arranged or coloured stays.

    Args:
        dataset: a grouped dataset
        patches_field (None): a field of detections that are grouped, too

    Returns:
        the address of the dataset in this workspace, without the server
    """
    if not dataset.has_workspace(WORKSPACE):
        dataset.save_workspace(
            WORKSPACE, workspace(), description="Images, the review of their groups, and the map of their embeddings"
        )
    if not dataset.has_saved_view(VIEW):
        dataset.save_view(VIEW, dataset.exists(GROUP_FIELD).sort_by(f"{GROUP_FIELD}.label"))
    colored = {GROUP_FIELD: ("label", f"{GROUP_FIELD}.label")}
    if patches_field is not None:
        colored[patches_field] = (GROUP_FIELD, f"{patches_field}.detections.{GROUP_FIELD}")
    config = dataset.app_config
    was = config.to_dict()
    if config.color_scheme is None:
        config.color_scheme = fo.ColorScheme(color_by="value", color_pool=_colors(range(MAX_COLORS)), fields=[])
    for field, (attribute, path) in colored.items():
        _color(config.color_scheme, field, attribute, [name for name in dataset.distinct(path) if name])
    if config.active_fields is None:
        config.active_fields = fo.ActiveFields(paths=list(colored))
    if config.to_dict() != was:
        dataset.save()
    return f"datasets/{quote(dataset.name, safe='')}?workspace={fou.to_slug(WORKSPACE)}"


def workspace() -> fo.Space:
    """Images on the left, the review and the map on the right."""
    images = fo.Panel(type="Samples", pinned=True, component_id="ccip-images")
    embeddings = fo.Panel(type="Embeddings", component_id="ccip-map")  # it begins with a list of maps to choose from
    review = fo.Panel(type="review_characters", component_id="ccip-review")
    sides = [_side(images), _side(review, embeddings)]
    return fo.Space(children=sides, orientation="horizontal", sizes=[0.5, 0.5], component_id="ccip-groups")


def _side(panel: fo.Panel, *behind: fo.Panel) -> fo.Space:
    name = panel.component_id
    return fo.Space(children=[panel, *behind], active_child=name, component_id=f"{name}-side")


def _color(scheme: Any, field: str, attribute: str, names: Sequence[str]) -> None:
    """Gives a colour to each name that has none."""
    known = next((each for each in scheme.fields if each["path"] == field), None)
    if known is None:
        known = {"path": field, "colorByAttribute": attribute, "valueColors": []}
        scheme.fields.append(known)
    values = known.setdefault("valueColors", [])
    colored = {each["value"] for each in values}
    new = [name for name in names if name not in colored][: max(0, MAX_COLORS - len(values))]
    for name, color in zip(new, _colors(range(len(values), len(values) + len(new))), strict=True):
        values.append({"value": name, "color": UNASSIGNED_COLOR if name == UNASSIGNED else color})


def _colors(numbers: Iterable[int]) -> list[str]:
    """Colours that are easily told apart when their numbers are near each other."""
    return [_color_of(number * _GOLDEN % 1, *_SHADES[number % len(_SHADES)]) for number in numbers]


def _color_of(hue: float, lightness: float, saturation: float) -> str:
    """A colour as ``#rrggbb``, darker than asked for where white text could not be read on it."""
    while True:
        rgb = colorsys.hls_to_rgb(hue, lightness, saturation)
        red, green, blue = (value**2.2 for value in rgb)  # sRGB, nearly
        if 0.2126 * red + 0.7152 * green + 0.0722 * blue <= _LUMINANCE:
            return "#" + "".join(f"{round(255 * value):02x}" for value in rgb)
        lightness -= 0.02
