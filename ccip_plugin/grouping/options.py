"""The options of a grouping run, each defined once."""

from dataclasses import dataclass

from ..core.neighbors.choice import APPROXIMATE, AUTO, EXACT
from ..core.options import Choice, Options, option
from ..storage.fields import ADD, ALL, EMBEDDINGS_FIELD, GROUP_FIELD

DEFAULT_METHOD = "linkage"

PUBLISHED, CALIBRATED = "published", "calibrated"
"""Sources of eps and min_samples: published for the model, or calibrated on the user's own images."""

APART, IGNORE = "apart", "ignore"
"""Meanings of two detections in one image: kept apart unless they are very similar, or none."""


METHOD_CHOICES = (
    Choice(
        "linkage",
        "Average linkage",
        "merges groups whose images are similar on average; needs no tuning, is the most stable as datasets grow, and "
        "keeps together and apart what people decided",
    ),
    Choice("dbscan_2", "DBSCAN (tuned)", "two similar images make a group; a little stricter than the threshold"),
    Choice("dbscan", "DBSCAN (threshold)", "connects all images within the model's threshold: fewer, larger groups"),
    Choice("dbscan_free", "DBSCAN (freely tuned)", "like DBSCAN (tuned), with the smallest group size tuned as well"),
    Choice(
        "hdbscan",
        "HDBSCAN",
        "finds the groups that persist longest as the limit grows; leaves many small ones unassigned",
    ),
    Choice(
        "optics_best",
        "OPTICS (xi, tuned)",
        "finds dense regions by steepness; often one group for each outfit of a character",
    ),
    Choice(
        "optics_cut",
        "OPTICS (cut)",
        "like OPTICS (xi), with one limit for all groups, so that outfits of a character stay together",
    ),
    Choice("optics", "OPTICS (xi)", "with the plain defaults of the method; needs much memory for many images"),
)
"""The clustering methods, as people see them."""


def label_of(method: str) -> str:
    """The label of a method for people; its name where it has none."""
    return next((choice.label for choice in METHOD_CHOICES if choice.value == method), method)


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
        metavar="FIELD",
        is_recorded=False,
    )
    method: str | None = option(
        None,
        f"the clustering method; {DEFAULT_METHOD} by default",
        label="Method",
        choices=METHOD_CHOICES,
        metavar="NAME",
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
        description="Smaller makes stricter, smaller groups. Empty means the value shown",
        noun="a difference",
        minimum=0,
        maximum=1,
        metavar="X",
    )
    min_samples: int | None = option(
        None,
        "the number of images that make a group, or the core of one; as published by default",
        label="Smallest group (min_samples)",
        description="How many similar images make a group. Empty means the value shown",
        minimum=1,
        metavar="N",
    )
    mode: str = option(
        ALL,
        "all gives a new label to every image that no person decided on; add only gives labels to images without one",
        label="What may change",
        choices=(
            Choice(ALL, "Group everything again", "all labels but those that people decided may change"),
            Choice(ADD, "Add new images only", "existing labels stay as they are"),
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
        "for detections, apart keeps two of one image apart unless they are very similar; ignore does not, as for "
        "mirrors, comics and character sheets. For linkage",
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
        "for detections in frames of videos: the field of samples that names the video of a frame, e.g. sample_id; "
        "detections of one video with the same index stay together unless people decided otherwise. For linkage",
        label="Frames of one video have the same",
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
