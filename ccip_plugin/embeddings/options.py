"""Options of ``compute_embeddings``, each defined once."""

from dataclasses import dataclass

from ..core.encoder.pipeline import MEMORY
from ..core.encoder.reading import BLANK_EMBED, BLANK_FAIL
from ..core.options import Choice, Options, option
from ..core.preprocessing import MAX_PIXELS
from ..core.registry import DEFAULT_MODEL
from ..storage.fields import EMBEDDINGS_FIELD

PROVIDERS = ("cpu", "cuda", "coreml", "directml", "openvino", "rocm", "tensorrt")
"""Execution providers in a form; the functions accept any provider of onnxruntime."""


@dataclass(frozen=True)
class EmbeddingOptions(Options):
    """Options of ``compute_embeddings``: keywords of the function, the form and the command line.

    Raises:
        ParameterError: the value of an option is invalid
    """

    embeddings_field: str = option(
        EMBEDDINGS_FIELD,
        "the field (on detections: the attribute) for the embeddings",
        label="Field for the embeddings",
        description="",
        metavar="FIELD",
    )
    model_name: str | None = option(
        None,
        f"the CCIP model; default: the model of the stored embeddings, else {DEFAULT_MODEL}",
        label="Model",
        metavar="NAME",
        flag="--model",
    )
    alpha: float | None = option(
        None,
        "the share by which boxes are enlarged, e.g. 0.1; default: as recorded with the field, else 0",
        label="Enlarge boxes by",
        description="0.1 adds a tenth to each box. All embeddings of a field are made with one value",
        metavar="A",
        for_patches=True,
    )
    force_square: bool | None = option(
        None,
        "whether boxes are made square; default: as recorded with the field, else not",
        label="Make boxes square",
        description="All embeddings of a field are made in one way",
        for_patches=True,
    )
    overwrite: bool = option(False, "also compute embeddings that are stored", in_form=False)
    verify: bool = option(
        False,
        "also recompute embeddings whose file (size and modification time) or box has changed, whose file state is not "
        "recorded, or whose file earlier versions read otherwise; an embedding whose file is missing is kept, with an "
        "error",
        in_form=False,
    )
    adopt: bool = option(
        False,
        "declare that the stored vectors are from model_name: they are checked and normalized, and missing ones are "
        "computed",
        in_form=False,
        on_command_line=False,
    )
    blank: str = option(
        BLANK_FAIL,
        "what is done with pictures that show nothing, such as black frames and white pages: fail, or embed",
        choices=(Choice(BLANK_FAIL, "Fail"), Choice(BLANK_EMBED, "Embed")),
        in_form=False,
    )
    thumbnails: bool = option(
        True,
        "make thumbnails of the embedded images as well, in the cache folder ($CCIP_CACHE_DIR)",
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
        "the number of images to embed at once; default: one per core, one more on a busy machine",
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
        "a folder DIR/<model>/model_feat.onnx of model files; default: $CCIP_MODEL_DIR, else the hub and its cache",
        metavar="DIR",
        in_form=False,
    )
    revision: str | None = option(None, "the revision of the hub repository", in_form=False, on_command_line=False)


def provider_choices() -> list[Choice]:
    """The choices of execution providers in a form."""
    return [
        Choice("auto", "auto: the GPU (CUDA) if it works, else the CPU"),
        *(Choice(name, f"{name}, or an error if it is not available") for name in PROVIDERS),
    ]
