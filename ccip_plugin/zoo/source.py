"""The CCIP models as a source of FiftyOne's model zoo: what it lists, and what it calls to fetch and load one."""

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
"""The name of the source, and of its folder in ``fiftyone.config.model_zoo_dir``. One level: of a name with a slash,
the first load in a process fails."""
RECORD = "registration.json"
"""The file by which :mod:`ccip_plugin.zoo.registration` knows a folder that it made."""
TAGS = ("embeddings", "anime", "character", "onnx")  # by the first one FiftyOne finds what can make an index
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
    """The content of ``manifest.json``, by which FiftyOne knows the models."""
    return {"name": SOURCE_NAME, "models": [_entry(spec) for spec in MODELS.values()]}


def manifest_text() -> str:
    """The same as it stands in the file."""
    return json.dumps(manifest(), indent=4, ensure_ascii=False) + "\n"


def download_model(model_name: str, model_path: str) -> None:
    """Fetches a model, unless it is on this machine, and leaves the file by which FiftyOne knows that it is.

    The model itself stays in the cache of the hub (or in ``CCIP_MODEL_DIR``), where everything else finds it, too.

    Args:
        model_name: a name of the registry
        model_path: where FiftyOne looks for the model

    Raises:
        CCIPError: the model is not here and cannot be downloaded; says what to do
    """
    display = progress_display(sys.stderr, is_quiet=not fo.config.show_progress_bars)
    try:
        files = find_files(model_name, progress=display)
    finally:
        display.close()
    found = {"model_name": model_name, "source": files.source, "revision": files.revision, "sha256": files.fingerprint}
    Path(model_path).write_text(json.dumps(found, indent=4) + "\n", encoding="utf-8")


def load_model(model_name: str, model_path: str, **options: Any) -> CCIPModel:
    """Loads a model; one that has gone from this machine since is fetched again.

    Args:
        model_name: a name of the registry
        model_path: where FiftyOne looks for the model
        options: the attributes of a :class:`~ccip_plugin.zoo.model.CCIPModelConfig`

    Returns:
        the model

    Raises:
        CCIPError: the model cannot be had or used, or the references cannot be used
    """
    _warn_of_old_copy(Path(model_path).parent)
    return CCIPModel(CCIPModelConfig(model_name, **options))


def resolve_input(model_name: str, ctx: Any) -> types.Property:
    """What a person can choose when applying a model in the App.

    Args:
        model_name: a name of the registry
        ctx: the execution context
    """
    spec = get_spec(model_name)
    inputs = types.Object()
    if spec.is_stand_in:
        notice = f"{spec.name} only knows the drawings of the demonstration; for other images choose another model."
        inputs.view("stand_in", types.Warning(label=notice))
    inputs.str(
        "references",
        label="References",
        description="A folder on the server with a folder of images for each character, or the name of a dataset with "
        "labels: then images get names. Left empty, they get embeddings",
    )
    inputs.str(
        "references_field",
        label="Field of the references",
        description="Where the references are a dataset: the field with the names",
    )
    inputs.float(
        "threshold",
        label="Threshold",
        min=0,
        max=1,
        description=f"The difference up to which two images are one character; {spec.threshold:.3f} for this model",
    )
    inputs.str(
        "provider",
        label="Compute on",
        default="auto",
        description="auto is the GPU (CUDA) if it works, else the CPU; others by name",
    )
    return types.Property(inputs)


def parse_parameters(model_name: str, ctx: Any, params: dict[str, Any]) -> None:
    """Turns what was typed into the options of :func:`load_model`, in place; what was left empty goes.

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
    about = f"CCIP ({spec.backbone}): tells which images show the same anime character; F1 {spec.f1 or 0:.3f}"
    if spec.is_stand_in:
        about = "A tiny stand-in for CCIP that comes with the plugin and only knows the drawings of its demonstration"
    return {
        "base_name": spec.name,
        "base_filename": f"{spec.name}.json",  # in the folder of the source, and a file: by it FiftyOne knows
        "author": "the fiftyone-ccip authors" if spec.is_stand_in else "DeepGHS",
        "source": None if spec.is_stand_in else f"https://huggingface.co/{HUB_REPO}",
        "license": spec.license,
        "description": about,
        "tags": list(TAGS),
        "size_bytes": spec.size_mb * 1_000_000,
        "requirements": {"packages": list(PACKAGES), "cpu": {"support": True}, "gpu": {"support": True}},
    }


def _warn_of_old_copy(folder: Path) -> None:
    """Warns when this code is a copy and the plugin that it was made from has another version now."""
    record = read_record(folder)
    if record is None or record["is_linked"]:
        return
    current = version_in(Path(record["package"]))
    if current is not None and current != record["version"]:
        logger.warning(
            "%s is a copy of version %s of the plugin, which is %s now: run register_model again",
            folder,
            record["version"],
            current,
        )


def read_record(folder: Path) -> dict[str, Any] | None:
    """What :mod:`ccip_plugin.zoo.registration` noted about a folder that it made; None for any other."""
    try:
        return json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def version_in(package: Path) -> str | None:
    """The version that the code in a folder is of, None when there is none."""
    try:
        text = (package / "__init__.py").read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    return found[1] if found else None
