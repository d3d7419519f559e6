"""The CCIP models as a source of FiftyOne's model zoo: the manifest and the hooks that FiftyOne calls."""

import json
import logging
import re
import sys
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.operators.types as types

from ..core.hub import find_files
from ..core.registry import HUB_REPO, MODELS, ModelSpec, get_spec
from ..reports.terminal import progress_display
from .model import CCIPModel, CCIPModelConfig

logger = logging.getLogger(__name__)

SOURCE_NAME = "ccip_characters"
"""The name of the source and of its folder in ``fiftyone.config.model_zoo_dir``. With a slash in the name, FiftyOne
fails at the first load in a process."""
RECORD = "registration.json"
"""The file that marks a folder created by :mod:`ccip_plugin.zoo.registration`."""
TAGS = ("embeddings", "anime", "character", "onnx")  # FiftyOne offers models with the first one for indexes
PACKAGES = (
    "cachetools",
    "filelock",
    "huggingface_hub>=0.24",
    "numpy",
    "onnxruntime>=1.20|onnxruntime-gpu>=1.20",
    "pillow>=10.3",
    "scikit-learn",
    "tabulate",
    "tqdm",
)
_OPTIONS = ("references", "references_field", "threshold", "provider")


def manifest() -> dict[str, Any]:
    """The content of ``manifest.json``, which lists the models for FiftyOne."""
    return {"name": SOURCE_NAME, "models": [_entry(spec) for spec in MODELS.values()]}


def manifest_text() -> str:
    """The text of ``manifest.json``."""
    return json.dumps(manifest(), indent=4, ensure_ascii=False) + "\n"


def download_model(model_name: str, model_path: str) -> None:
    """Downloads a model, unless it is on this machine, and writes the file that marks it as downloaded for FiftyOne.

    The model itself is in the cache of the hub or in ``CCIP_MODEL_DIR``, where the rest of the plugin finds it, too.

    Args:
        model_name: a name of the registry
        model_path: the path of the file to write

    Raises:
        CCIPError: the model is missing and cannot be downloaded; the text says what to do
    """
    display = progress_display(sys.stderr, is_quiet=not fo.config.show_progress_bars)
    try:
        files = find_files(model_name, progress=display)
    finally:
        display.close()
    origin = {"model_name": model_name, "source": files.source, "revision": files.revision, "sha256": files.fingerprint}
    Path(model_path).write_text(json.dumps(origin, indent=4) + "\n", encoding="utf-8")


def load_model(model_name: str, model_path: str, **options: Any) -> CCIPModel:
    """Loads a model; downloads it again if its files were deleted.

    Args:
        model_name: a name of the registry
        model_path: the path of the file that :func:`download_model` wrote
        options: the attributes of a :class:`~ccip_plugin.zoo.model.CCIPModelConfig`

    Returns:
        the model

    Raises:
        CCIPError: the model or the references cannot be used; the text says why
    """
    _warn_of_old_copy(Path(model_path).parent)
    return CCIPModel(CCIPModelConfig(model_name, **options))


def resolve_input(model_name: str, ctx: Any) -> types.Property:
    """The form of the App for the options of a model.

    Args:
        model_name: a name of the registry
        ctx: the execution context
    """
    spec = get_spec(model_name)
    inputs = types.Object()
    if spec.is_stand_in:
        notice = f"{spec.name} only knows the demo drawings. Choose another model for other images."
        inputs.view("stand_in", types.Warning(label=notice))
    inputs.str(
        "references",
        label="References",
        description="A folder on the server with one subfolder of images per character, or the name of a dataset with "
        "labels: images get names. If empty, they get embeddings",
    )
    inputs.str(
        "references_field",
        label="Field of the references",
        description="If the references are a dataset: the field with the names",
    )
    inputs.float(
        "threshold",
        label="Threshold",
        min=0,
        max=1,
        description=f"The difference up to which two images show one character; {spec.threshold:.3f} for this model",
    )
    inputs.str(
        "provider",
        label="Execution provider",
        default="auto",
        description="auto: the GPU (CUDA) if it works, else the CPU; or the name of a provider",
    )
    return types.Property(inputs)


def parse_parameters(model_name: str, ctx: Any, params: dict[str, Any]) -> None:
    """Converts answers to options of :func:`load_model`, in place; removes empty ones.

    Args:
        model_name: a name of the registry
        ctx: the execution context
        params: the answers
    """
    for name in _OPTIONS:
        answer = params.pop(name, None)
        answer = answer.strip() if isinstance(answer, str) else answer
        if answer not in (None, ""):
            params[name] = answer
    params.pop("stand_in", None)


def _entry(spec: ModelSpec) -> dict[str, Any]:
    description = f"CCIP ({spec.backbone}): tells which images show the same anime character; F1 {spec.f1 or 0:.3f}"
    if spec.is_stand_in:
        description = (
            "A tiny stand-in for CCIP that comes with the plugin and only knows the drawings of its demonstration"
        )
    return {
        "base_name": spec.name,
        "base_filename": f"{spec.name}.json",  # a file directly in the source; FiftyOne takes it for the model
        "author": "the fiftyone-ccip authors" if spec.is_stand_in else "DeepGHS",
        "source": None if spec.is_stand_in else f"https://huggingface.co/{HUB_REPO}",
        "license": spec.license,
        "description": description,
        "tags": list(TAGS),
        "size_bytes": round(spec.size_mb * 1_000_000),
        "requirements": {"packages": list(PACKAGES), "cpu": {"support": True}, "gpu": {"support": True}},
    }


def _warn_of_old_copy(folder: Path) -> None:
    """Warns if this code is a copy and the original has another version."""
    record = read_record(folder)
    if record is None or record["is_linked"]:
        return
    current = version_in(Path(record["package"]))
    if current is not None and current != record["version"]:
        logger.warning(
            "%s is a copy of version %s of the plugin, which is now %s: run register_model again",
            folder,
            record["version"],
            current,
        )


def read_record(folder: Path) -> dict[str, Any] | None:
    """The record of a folder created by :mod:`ccip_plugin.zoo.registration`; None for other folders."""
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return record
    except FileNotFoundError:
        return None


def version_in(package: Path) -> str | None:
    """The version of the package in a folder, None when there is none."""
    try:
        text = (package / "__init__.py").read_text(encoding="utf-8")
    except OSError:
        return None
    version = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    return version[1] if version else None
