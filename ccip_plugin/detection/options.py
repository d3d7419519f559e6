"""Options of ``detect_characters``, each defined once."""

from dataclasses import dataclass

from ..core.detection.registry import KINDS, PERSONS
from ..core.encoder.pipeline import MEMORY
from ..core.options import Options, option
from ..core.preprocessing import MAX_PIXELS


@dataclass(frozen=True)
class DetectionOptions(Options):
    """Options of ``detect_characters``: keywords of the function, the form and the command line.

    Raises:
        ParameterError: the value of an option is invalid
    """

    detector: str = option(
        PERSONS,
        f"what to detect ({', '.join(KINDS)}: by the detector of the field, else by the default one), or the name of a "
        "detector",
        label="Detect",
        metavar="NAME",
    )
    field: str | None = option(
        None,
        "the field for the detections; default: what is detected, such as persons",
        label="Field for the detections",
        metavar="FIELD",
    )
    min_score: float | None = option(
        None,
        "detections with this score or less are left out; default: as recorded with the field, else as published",
        label="Lowest score",
        minimum=0,
        maximum=1,
        metavar="S",
        is_advanced=True,
    )
    max_overlap: float | None = option(
        None,
        "the overlap (intersection over union) up to which two detections are both kept; default: as recorded with the "
        "field, else as published",
        label="Largest overlap",
        minimum=0,
        maximum=1,
        metavar="IOU",
        is_advanced=True,
    )
    overwrite: bool = option(False, "also detect in images that are done", in_form=False)
    verify: bool = option(
        False,
        "also detect in images whose file (size and modification time) has changed since",
        in_form=False,
    )
    provider: str = option(
        "auto",
        "the execution provider of onnxruntime, such as cpu or cuda; auto is CUDA if it works, else the CPU",
        label="Compute on",
        metavar="NAME",
    )
    workers: int | None = option(
        None,
        "the number of images to work on at once; default: one per core, one more on a busy machine",
        minimum=1,
        metavar="N",
        in_form=False,
    )
    max_pixels: int | None = option(
        MAX_PIXELS,
        "the largest number of pixels of an image, None for no limit; larger images fail",
        minimum=1,
        metavar="N",
        in_form=False,
    )
    memory: int = option(
        MEMORY,
        "the memory limit of the images that are read at once, in bytes",
        minimum=1,
        in_form=False,
        on_command_line=False,
    )
    model_dir: str | None = option(
        None,
        "a folder DIR/<detector>/model.onnx of model files; default: $CCIP_MODEL_DIR, else the hub and its cache",
        metavar="DIR",
        in_form=False,
    )
