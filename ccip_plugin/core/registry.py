"""Registry of the CCIP models: files, input and output sizes, published scores and parameters."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from .errors import UnknownModelError

HUB_REPO = "deepghs/ccip_onnx"
REVISION = "06cd75d67204e833cfe85526481b533f5870c0c8"
BUNDLED = "bundled"
DEFAULT_MODEL = "ccip-caformer-24-randaug-pruned"
DEMO_MODEL = "ccip-demo"


@dataclass(frozen=True)
class PublishedFile:
    """Published hash and size of a model file.

    Attributes:
        sha256: hash of its content, in hexadecimal
        size: in bytes, None if it is unknown
    """

    sha256: str
    size: int | None = None


@dataclass(frozen=True)
class ModelSpec:
    """A CCIP model.

    Attributes:
        name: the folder of the model in the hub repository, and its name everywhere
        backbone: the architecture of the image network
        size_mb: approximate size of ``model_feat.onnx``, in MB
        threshold: the difference up to which two images are one character, inclusive
        f1: published F1 score of "these two images are one character" at the threshold, None for a stand-in
        precision: likewise, precision
        recall: likewise, recall
        cluster_2: published adjusted Rand score of the best DBSCAN with ``min_samples=2``
        cluster_free: published adjusted Rand score of the best OPTICS
        presets: published clustering parameters as ``(eps, min_samples)``, by ``dbscan_2``, ``dbscan_free`` and
            ``optics``, as far as they were published
        files: hash and size of published files by name, as far as the pages of the hub show them. Only files that no
            later commit changes, so the hash is valid at the pinned revision and at ``main``
        revision: full commit of the hub repository, for reproducible results; "bundled" for a model in this package
        is_stand_in: whether this is a stand-in for a model, for demonstrations and tests
        input_size: width and height of its input images
        dim: dimension of its embeddings
        license: license of the published files
    """

    name: str
    backbone: str
    size_mb: float
    threshold: float
    f1: float | None = None
    precision: float | None = None
    recall: float | None = None
    cluster_2: float | None = None
    cluster_free: float | None = None
    presets: Mapping[str, tuple[float, int]] = field(default_factory=dict, hash=False)
    files: Mapping[str, PublishedFile] = field(default_factory=dict, hash=False)
    revision: str = REVISION
    is_stand_in: bool = False
    input_size: int = 384
    dim: int = 768
    license: str = "openrail"


MODELS: Mapping[str, ModelSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            ModelSpec(
                name="ccip-caformer_b36-24",
                backbone="caformer_b36",
                size_mb=384,
                f1=0.9409252669039146,
                precision=0.9382540809084458,
                recall=0.9436117059243397,
                threshold=0.21323118981474148,
                cluster_2=0.89508,
                cluster_free=0.957017,
                files={
                    "model_feat.onnx": PublishedFile(
                        "c1e7333a55c2ad9e03cd340c635e96c9c1d86f0836fa7eae65720e7c9c94ee51", 383_591_416
                    ),
                },
                presets={
                    "dbscan_2": (0.14131923458258427, 2),
                    "dbscan_free": (0.14154183286367422, 2),
                    "optics": (0.21196399114951675, 5),
                },
            ),
            ModelSpec(
                name="ccip-caformer-24-randaug-pruned",
                backbone="caformer_s36",
                size_mb=150,
                f1=0.9172113289760349,
                precision=0.9334811529933481,
                recall=0.9014989293361885,
                threshold=0.17847511429108218,
                cluster_2=0.890366,
                cluster_free=0.922375,
                files={
                    "model_feat.onnx": PublishedFile(
                        "4ea118d16496274f4f6e08d3afc768cc592389e8f7f32f8732ce2215c228ac5f"
                    ),
                    "model_metrics.onnx": PublishedFile(
                        "7e4646fdfbe369ad485b227ec47ac4092c98b8deef3af44e19fdbd8ba7bc25c1", 1_649
                    ),
                },
                presets={
                    "dbscan_2": (0.12921094122454668, 2),
                    "dbscan_free": (0.1291187648928262, 2),
                    "optics": (0.1836453739562513, 5),
                },
            ),
            ModelSpec(
                name="ccip-v2-caformer_s36-10",
                backbone="caformer_s36",
                size_mb=150,
                f1=0.9064220183486239,
                precision=0.9327794561933535,
                recall=0.8815132048536759,
                threshold=0.2077573707442962,
                cluster_2=0.874592,
                cluster_free=0.89241,
                presets={
                    "dbscan_2": (0.164073674320534, 2),
                    "dbscan_free": (0.1640717730343776, 3),
                    "optics": (0.1913291147868042, 4),
                },
            ),
            ModelSpec(
                name="ccip-caformer-6-randaug-pruned_fp32",
                backbone="caformer_s36",
                size_mb=150,
                f1=0.878403,
                precision=0.893648,
                recall=0.863669,
                threshold=0.1951224011983088,
                cluster_2=0.810176,
                cluster_free=0.897904,
                presets={
                    "dbscan_2": (0.13602043028285105, 2),
                    "dbscan_free": (0.14055283543441566, 4),
                    "optics": (0.19939865442140375, 4),
                },
            ),
            ModelSpec(
                name="ccip-caformer-5_fp32",
                backbone="caformer_s36",
                size_mb=150,
                f1=0.864362690449647,
                precision=0.9015503875968992,
                recall=0.8301213418986438,
                threshold=0.18397327797685215,
                cluster_2=0.792051,
                cluster_free=0.862289,
                files={
                    "model_metrics.onnx": PublishedFile(
                        "b1d3bda200fade097f58fa28ad4b1af5fa8f92e086160c6e6849197e28c82b77", 1_618
                    ),
                },
                presets={
                    "dbscan_2": (0.12584071601692626, 2),
                    "dbscan_free": (0.12563902601678312, 2),
                    "optics": (0.1700672904996856, 4),
                },
            ),
            ModelSpec(
                name="ccip-caformer-4_fp32",
                backbone="caformer_s36",
                size_mb=150,
                f1=0.844967,
                precision=0.870553,
                recall=0.820842,
                threshold=0.18367,
                cluster_2=0.795565,
                cluster_free=0.868133,
                files={
                    "model_metrics.onnx": PublishedFile(
                        "22694914204ad0304afae85829883cee45ac3defd41debbab638bb208a1fc594"
                    ),
                },
                presets={},
            ),
            ModelSpec(
                name="ccip-caformer_query-12",
                backbone="caformer (query)",
                size_mb=155,
                f1=0.8239277652370204,
                precision=0.8711217183770883,
                recall=0.7815845824411135,
                threshold=0.14130825509050327,
                cluster_2=0.787237,
                cluster_free=0.809426,
                presets={
                    "dbscan_2": (0.09595194009386476, 2),
                    "dbscan_free": (0.10052283798760486, 2),
                    "optics": (0.14285240231240065, 4),
                },
            ),
            ModelSpec(
                name="ccip-caformer-23_randaug_fp32",
                backbone="caformer_s36",
                size_mb=150,
                f1=0.8162504658963847,
                precision=0.8541341653666147,
                recall=0.781585,
                threshold=0.136797,
                cluster_2=0.745697,
                cluster_free=0.8068,
                files={
                    "model_feat.onnx": PublishedFile(
                        "50f0916415237174ec116b119b0746ed5b62b755128b0ba966e88920dff263f6", 150_248_245
                    ),
                    "model_metrics.onnx": PublishedFile(
                        "78f063dfe283c7489d2a1beca23497fca03732d5a682ff66dc7469729435021f"
                    ),
                },
                presets={
                    "dbscan_2": (0.09289023352357711, 2),
                    "dbscan_free": (0.09411060772710378, 2),
                    "optics": (0.12631775527804834, 4),
                },
            ),
            ModelSpec(
                name="ccip-caformer-2-randaug-pruned_fp32",
                backbone="caformer_s36",
                size_mb=150,
                f1=0.78561,
                precision=0.800148,
                recall=0.771592,
                threshold=0.171053,
                cluster_2=0.686617,
                cluster_free=0.728195,
                files={
                    "model_feat.onnx": PublishedFile(
                        "e872215c3485bdba8b89eff98e510367e4ea36c9feafb6c3168c06a58988b0b0", 150_248_245
                    ),
                    "model_metrics.onnx": PublishedFile(
                        "fe02ef58b65e0c12fb6c8a0cb379267101adeb2c714e071bead076ce1ba58b4a"
                    ),
                },
                presets={},
            ),
            ModelSpec(
                name="ccip-caformer-2_fp32",
                backbone="caformer_s36",
                size_mb=150,
                f1=0.755125,
                precision=0.790172,
                recall=0.723055,
                threshold=0.141275,
                cluster_2=0.64977,
                cluster_free=0.718516,
                files={
                    "model_metrics.onnx": PublishedFile(
                        "198c03a4fbb300e3c9da14979a0feba9b6e2a255e115bd119a69cbeb6237a7fc", 1_649
                    ),
                },
                presets={},
            ),
            ModelSpec(
                name=DEMO_MODEL,
                backbone="none",
                size_mb=1.5,
                threshold=0.17339324951171875,
                presets={
                    "dbscan_2": (0.1257101058959961, 2),
                    "dbscan_free": (0.1257101058959961, 3),
                    "optics": (0.1758702959333147, 5),
                },
                revision=BUNDLED,
                is_stand_in=True,
                license="Apache-2.0",
            ),
        )
    }
)


def get_spec(name: str) -> ModelSpec:
    """Returns the record of a model.

    Raises:
        UnknownModelError: the name is not in the registry; lists similar names
    """
    spec = MODELS.get(name)
    if spec is None:
        raise UnknownModelError(name, tuple(MODELS), _close_names(str(name).lower()))
    return spec


def _close_names(name: str) -> tuple[str, ...]:
    containing = [model_name for model_name in MODELS if name and name in model_name]
    return tuple(containing or difflib.get_close_matches(name, MODELS, n=2, cutoff=0.6))
