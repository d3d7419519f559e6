"""Tiny real ONNX pairs with the inputs and outputs of a CCIP model, and the folders they live in.

The features are a soft histogram of colours plus a weak picture of where the colours are. Equal pixels give equal
vectors; images of one colour scheme lie near each other (differences mostly under 0.1), images of different colours
around 0.4 to 0.55.
"""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

NAME = "ccip-caformer-24-randaug-pruned"
DIM = 768
SIZE = 384
THRESHOLD = 0.17847511429108218
CLUSTER = {
    "dbscan_2": {"eps": 0.12921094122454668, "min_samples": 2},
    "dbscan_free": {"eps": 0.1291187648928262, "min_samples": 2},
    "optics": {"eps": 0.1836453739562513, "min_samples": 5},
}
METRICS = {
    "f1_score": 0.9172113289760349,
    "precision": 0.9334811529933481,
    "recall": 0.9014989293361885,
    "threshold": THRESHOLD,
}
FEAT_VARIANTS = (
    "good",
    "other_weights",
    "wrong_dim",
    "wrong_size",
    "wrong_type",
    "other_name",
    "fixed_batch",
    "nan",
    "zero",
    "batch_mean",
)
METRIC_VARIANTS = ("good", "squared", "wrong_dim", "one_output")


def feat_model(variant: str = "good") -> onnx.ModelProto:
    """The graph of ``model_feat.onnx``: ``input`` (batch, 3, 384, 384) -> ``output`` (batch, 768), not unit length.

    Args:
        variant ("good"): ``other_weights`` gives other vectors, ``other_name`` the same through an input of another
            name; ``wrong_dim``, ``wrong_size``, ``wrong_type`` and ``fixed_batch`` break the contract; ``nan`` and
            ``zero`` give vectors of these; ``batch_mean`` mixes the images of a batch: a vector is only right when its
            image ran alone
    """
    dim = 512 if variant == "wrong_dim" else DIM
    size = 224 if variant == "wrong_size" else SIZE
    batch: Any = 2 if variant == "fixed_batch" else "batch"
    kind = TensorProto.DOUBLE if variant == "wrong_type" else TensorProto.FLOAT
    name = "pixels" if variant == "other_name" else "input"
    rng = np.random.default_rng(7 if variant == "other_weights" else 0)
    nodes = [helper.make_node("Cast", [name], ["x"], to=TensorProto.FLOAT), *_colour_nodes(size), *_place_nodes(size)]
    nodes += [
        helper.make_node("Concat", ["colour", "place"], ["all"], axis=1),
        helper.make_node("MatMul", ["all", "weights"], ["vectors"]),
        *_last_nodes(variant),
    ]
    centres = _colour_centres()
    constants = {
        "centres": 4.0 * centres[:, :, None, None],
        "offsets": -2.0 * (centres**2).sum(1),
        "weights": np.vstack([rng.normal(size=(27, dim)), 0.01 * rng.normal(size=(48, dim))]),
        "scale": np.array([{"nan": np.nan, "zero": 0.0}.get(variant, 1.0)]),
    }
    return _model(
        nodes,
        helper.make_tensor_value_info(name, kind, [batch, 3, size, size]),
        helper.make_tensor_value_info("output", TensorProto.FLOAT, [batch, dim]),
        constants,
    )


def metrics_model(variant: str = "good") -> onnx.ModelProto:
    """The graph of ``model_metrics.onnx``: ``input`` (n, 768) -> ``output`` (n, n), clip((1 - cos) / 2, 0, 1).

    Args:
        variant ("good"): ``squared`` gives the square of it, a metric of its own; ``wrong_dim`` takes 512 numbers;
            ``one_output`` gives (n,) instead of (n, n)
    """
    dim = 512 if variant == "wrong_dim" else DIM
    last = {
        "squared": helper.make_node("Mul", ["half", "half"], ["output"]),
        "one_output": helper.make_node("ReduceSum", ["half", "last_axis"], ["output"], keepdims=0),
    }.get(variant, helper.make_node("Clip", ["half", "zero", "one"], ["output"]))
    nodes = [
        helper.make_node("ReduceL2", ["input"], ["length"], axes=[1], keepdims=1),
        helper.make_node("Div", ["input", "length"], ["unit"]),
        helper.make_node("Transpose", ["unit"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["unit", "turned"], ["cosine"]),
        helper.make_node("Sub", ["one", "cosine"], ["twice"]),
        helper.make_node("Mul", ["twice", "point_five"], ["half"]),
        last,
    ]
    shape = ["n"] if variant == "one_output" else ["n", "n"]
    constants = {"zero": np.array(0.0), "one": np.array(1.0), "point_five": np.array(0.5)}
    return _model(
        nodes,
        helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", dim]),
        helper.make_tensor_value_info("output", TensorProto.FLOAT, shape),
        constants,
        {"last_axis": np.array([1], dtype=np.int64)},
    )


def write_model_dir(
    path: str | Path, *, name: str = NAME, variant: str = "good", metric: str | None = "good", jsons: bool = True
) -> Path:
    """Lays out ``<path>/<name>/`` with the four files of a model; gives ``path``, to pass as ``model_dir``.

    Args:
        path: the model folder, created when missing
        name (NAME): the name of the model
        variant ("good"): which features, see :func:`feat_model`
        metric ("good"): which metric, see :func:`metrics_model`; None for no metric file
        jsons (True): whether ``metrics.json`` and ``cluster.json`` are there
    """
    folder = Path(path) / name
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(feat_model(variant), str(folder / "model_feat.onnx"))
    if metric is not None:
        onnx.save(metrics_model(metric), str(folder / "model_metrics.onnx"))
    if jsons:
        (folder / "metrics.json").write_text(json.dumps(METRICS), encoding="utf-8")
        (folder / "cluster.json").write_text(json.dumps(CLUSTER), encoding="utf-8")
    return Path(path)


def _colour_centres() -> np.ndarray:
    """27 colours over the range of normalised pixels, (27, 3)."""
    return np.array(list(itertools.product((-1.5, 0.2, 1.9), repeat=3)))


def _colour_nodes(size: int) -> list[onnx.NodeProto]:
    cell = size // 16
    return [
        helper.make_node("AveragePool", ["x"], ["cells"], kernel_shape=[cell, cell], strides=[cell, cell]),
        helper.make_node("Conv", ["cells", "centres", "offsets"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["bins"], axis=1),
        helper.make_node("GlobalAveragePool", ["bins"], ["histogram"]),
        helper.make_node("Flatten", ["histogram"], ["colour"], axis=1),
    ]


def _place_nodes(size: int) -> list[onnx.NodeProto]:
    cell = size // 4
    return [
        helper.make_node("AveragePool", ["x"], ["quarters"], kernel_shape=[cell, cell], strides=[cell, cell]),
        helper.make_node("Flatten", ["quarters"], ["place"], axis=1),
    ]


def _last_nodes(variant: str) -> list[onnx.NodeProto]:
    if variant == "batch_mean":
        return [
            helper.make_node("ReduceMean", ["vectors"], ["mean"], axes=[0], keepdims=1),
            helper.make_node("Add", ["vectors", "mean"], ["output"]),
        ]
    return [helper.make_node("Mul", ["vectors", "scale"], ["output"])]


def _model(
    nodes: list[onnx.NodeProto],
    taken: onnx.ValueInfoProto,
    given: onnx.ValueInfoProto,
    constants: dict[str, np.ndarray],
    integers: dict[str, np.ndarray] | None = None,
) -> onnx.ModelProto:
    """A checked model; ``constants`` become float32. Constants that no node uses are left out."""
    used = {name for node in nodes for name in node.input}
    tensors = [numpy_helper.from_array(a.astype(np.float32), n) for n, a in constants.items() if n in used]
    tensors += [numpy_helper.from_array(a, n) for n, a in (integers or {}).items() if n in used]
    graph = helper.make_graph(nodes, "tiny_ccip", [taken], [given], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model
