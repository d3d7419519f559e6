"""The options of a grouping run, each defined once."""

from dataclasses import dataclass

from ..core.clustering.methods import DEFAULT_METHOD, METHODS
from ..core.neighbors.choice import APPROXIMATE, AUTO, EXACT
from ..core.options import Choice, Options, option
from ..storage.fields import ADD, ALL, EMBEDDINGS_FIELD, GROUP_FIELD

PUBLISHED, CALIBRATED = "published", "calibrated"
"""Sources of eps and min_samples: published for the model, or calibrated on the user's own images."""

APART, IGNORE = "apart", "ignore"
"""Meanings of two detections in one image: kept apart unless they are very similar, or none."""


def method_choices() -> list[Choice]:
    """The clustering methods, as people see them; the default method first."""
    methods = sorted(METHODS.values(), key=lambda method: method.name != DEFAULT_METHOD)
    return [Choice(method.name, method.label, method.description) for method in methods]


def method_label(name: str) -> str:
    """The label of a method for people; its name where there is no such method any more."""
    return METHODS[name].label if name in METHODS else name


@dataclass(frozen=True)
class GroupingOptions(Options):
    """Options of a grouping run: keywords of the functions, the form, the command line and the record of a run.

    Raises:
        ParameterError: an option has a value that it cannot have
    """

    embeddings_field: str = option(
        EMBEDDINGS_FIELD, "the field with the embeddings", label="Embeddings", metavar="FIELD"
    )
    group_field: str = option(
        GROUP_FIELD,
        "the field (on detections: the attribute) for the groups",
        label="Field for the groups",
        description="",
        metavar="FIELD",
        is_recorded=False,
    )
    method: str | None = option(
        None,
        f"the clustering method; {DEFAULT_METHOD} by default",
        label="Method",
        choices=method_choices,
        metavar="NAME",
        is_advanced=True,
    )
    parameters: str = option(
        PUBLISHED,
        "the source of eps and min_samples where they are not given: published for the model, or calibrated on your "
        "own images",
        label="Parameters",
        choices=(Choice(PUBLISHED, "Published for the model"), Choice(CALIBRATED, "Calibrated on your images")),
        is_recorded=False,
    )
    eps: float | None = option(
        None,
        "the largest difference between neighbors (linkage: the largest mean difference in a group); as published by "
        "default",
        label="Largest difference (eps)",
        description="Smaller: stricter groups. Empty: as shown",
        noun="a difference",
        minimum=0,
        maximum=1,
        metavar="X",
    )
    min_samples: int | None = option(
        None,
        "the number of images that make a group, or the core of one; as published by default",
        label="Smallest group (min_samples)",
        description="Images that make one. Empty: as shown",
        minimum=1,
        metavar="N",
        is_advanced=True,
    )
    mode: str = option(
        ALL,
        "all gives a new label to every image without a user label; add only gives labels to images without any label",
        label="What may change",
        choices=(
            Choice(ALL, "All labels but user labels"),
            Choice(ADD, "Only images without a label"),
        ),
    )
    graph: str = option(
        AUTO,
        "exact compares all pairs of images; approximate finds nearly all similar pairs in a fraction of the time "
        '(needs the extra "index"); auto is approximate from 100,000 images on where that is installed',
        label="Compare images",
        choices=(
            Choice(AUTO, "Automatically", "nearly all similar pairs from 100,000 images on, else all pairs"),
            Choice(EXACT, "All pairs", "exact, in time proportional to the square of the number of images"),
            Choice(
                APPROXIMATE,
                "Nearly all similar pairs",
                "in a fraction of the time; recall is measured. Needs the extra 'index'; not for OPTICS",
            ),
        ),
        is_advanced=True,
    )
    same_image: str = option(
        APART,
        "for detections and the method linkage: apart keeps two of one image apart unless they are very similar; "
        "ignore does not, as for mirrors, comics and character sheets",
        label="Two boxes in one image",
        choices=(
            Choice(APART, "Are rarely one character", "kept apart unless they are very similar"),
            Choice(IGNORE, "May be one character", "for mirrors, comics, collages, character sheets"),
        ),
        is_advanced=True,
        for_patches=True,
    )
    tracks: str | None = option(
        None,
        "for detections in frames of videos and the method linkage: the field of samples that names the video of a "
        "frame, e.g. sample_id; detections of one video with the same index stay together unless user labels say "
        "otherwise",
        label="Field with the video of a frame",
        description="Boxes of one video with the same index stay together. Empty: the index is not used",
        metavar="FIELD",
        is_advanced=True,
        for_patches=True,
    )
    model_dir: str | None = option(
        None,
        "a folder DIR/<model>/model_feat.onnx of model files; default: $CCIP_MODEL_DIR, else the hub and its cache",
        metavar="DIR",
        in_form=False,
        is_recorded=False,
    )
