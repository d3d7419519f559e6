"""The ONNX files of ``ccip-demo``, the stand-in for a CCIP model, from the weights of its small networks.

Four small networks: the first finds the face (position and size), the second refines that twice, the third embeds the
head, cropped and scaled to one size, the fourth the eyes; a linear map makes one vector of the last two. All of it is
one graph of ordinary operators. Weights are stored as float16.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

NAME = "ccip-demo"
DIM, SIZE = 768, 384
MEAN = (0.48145466, 0.4578275, 0.40821073)  # the normalisation of the input, as for the real models
STD = (0.26862954, 0.26130258, 0.27577711)
NOTE = (
    "ccip-demo is a stand-in for a CCIP model. It takes and gives the same shapes, but it only knows the drawings of "
    "demo/ in this project and says nothing about real pictures. Built by demo/build_model.py."
)

Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Layer:
    """A convolution with ReLU; ``added`` to its input or not, ``dilation`` is how far apart the kernel looks."""

    out: int
    kernel: int = 3
    stride: int = 1
    dilation: int = 1
    added: bool = False

    @property
    def pad(self) -> int:
        """Zeros at each side, so that the output is ``stride`` times smaller than the input."""
        return (self.dilation * (self.kernel - 1) - self.stride + 2) // 2


@dataclass(frozen=True)
class View:
    """A part of the head, cut out of the image.

    Attributes:
        rows: height of what is cut out, in pixels
        columns: its width
        left: its borders, in units of half the width of a face, from the middle of the face
        top: likewise
        right: likewise
        bottom: likewise
        pool: means over ``pool`` x ``pool`` pixels of the image are taken first
        layers: the convolutions that embed it
        channels: what is kept of each place
    """

    rows: int
    columns: int
    left: float
    top: float
    right: float
    bottom: float
    pool: int
    layers: tuple[Layer, ...]
    channels: int

    def grid(self) -> NDArray[np.float32]:
        """Where each pixel lies, ``(rows, columns, 2)`` as (x, y) in units."""
        x = self.left + (np.arange(self.columns) + 0.5) / self.columns * (self.right - self.left)
        y = self.top + (np.arange(self.rows) + 0.5) / self.rows * (self.bottom - self.top)
        return np.stack(np.meshgrid(x, y), axis=-1).astype(np.float32)

    @property
    def length(self) -> int:
        """How many numbers are kept in all."""
        stride = int(np.prod([layer.stride for layer in self.layers]))
        return self.channels * (self.rows // stride) * (self.columns // stride)


FIND_POOL, FIND_STRIDE = 3, 8
FIND = (
    Layer(24, kernel=8, stride=4),
    Layer(48, stride=2),
    Layer(48, added=True),
    Layer(48, dilation=2, added=True),
    Layer(48, dilation=4, added=True),
    Layer(48, added=True),
)
CELLS = SIZE // FIND_POOL // FIND_STRIDE  # the face is looked for in CELLS x CELLS places
AGAIN = View(
    rows=40,
    columns=40,
    left=-2.6,
    top=-3.0,
    right=2.6,
    bottom=2.6,
    pool=FIND_POOL,
    layers=(Layer(24, kernel=5, stride=2), Layer(48, stride=2), Layer(48, added=True), Layer(64, stride=2)),
    channels=16,
)
TIMES = 2  # how often place and size of the face are corrected
VIEWS = {
    "head": View(
        rows=72,
        columns=64,
        left=-1.9,
        top=-2.35,
        right=1.9,
        bottom=1.95,
        pool=2,
        layers=(
            Layer(24, kernel=5, stride=2),
            Layer(48, stride=2),
            Layer(48, added=True),
            Layer(96, stride=2),
            Layer(96, added=True),
        ),
        channels=24,
    ),
    "eyes": View(
        rows=24,
        columns=56,
        left=-1.0,
        top=-0.2,
        right=1.0,
        bottom=0.7,
        pool=1,
        layers=(Layer(24, stride=2), Layer(48, stride=2), Layer(48, added=True)),
        channels=12,
    ),
}


def cells() -> NDArray[np.float32]:
    """The center of each cell of the grid, ``(2, CELLS * CELLS)``: x and y from -1 to 1."""
    middle = (np.arange(CELLS) + 0.5) / CELLS * 2 - 1
    x, y = np.meshgrid(middle, middle)
    return np.stack([x.ravel(), y.ravel()]).astype(np.float32)


def feat_model(weights: Weights) -> onnx.ModelProto:
    """``model_feat.onnx``: ``input`` (batch, 3, 384, 384) -> ``output`` (batch, 768), not unit length.

    Args:
        weights: for "find", "again" and each of :data:`VIEWS` ``{part}{i}.weight`` (out, in, k, k) and
            ``{part}{i}.bias`` of the layers; ``face.weight`` (5, channels, 1, 1) and ``face.bias``: how much a place
            looks like a face, how far from the middle of the place, and the logarithm of the size; ``{view}.weight``
            (channels, in, 1, 1) and ``{view}.bias``; ``better.weight`` (4, all that is kept the second time) and
            ``better.bias``: how far the face is from there, in its size, and the logarithm of how much larger it is;
            ``out.weight`` (d, all that is kept); ``turn.weight`` (768, d), whose columns are orthonormal, so that it
            changes no angle
    """
    nodes = _find_nodes()
    for time in range(TIMES):
        nodes += _again_nodes(time)
    for name, view in VIEWS.items():
        nodes += _view_nodes(name, name, view, TIMES)
    nodes += [
        helper.make_node("Concat", [f"{name}.kept" for name in VIEWS], ["seen"], axis=1),
        helper.make_node("Gemm", ["seen", "out.weight"], ["short"], transB=1),
        helper.make_node("Gemm", ["short", "turn.weight"], ["output"], transB=1),
    ]
    constants: dict[str, NDArray] = {
        "places": np.array([0, 0, -1], dtype=np.int64),
        "one_point": np.array([-1, 1, 1, 2], dtype=np.int64),
        "cells": cells()[None],
        "parts": np.array([1, 2, 2], dtype=np.int64),
        "pairs": np.array([2, 2], dtype=np.int64),
        "last_axis": np.array([2], dtype=np.int64),
    }
    constants |= {f"{name}.grid": view.grid()[None] for name, view in (("again", AGAIN), *VIEWS.items())}
    taken = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, SIZE, SIZE])
    given = helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", DIM])
    return _model(nodes, taken, given, weights, constants)


def metrics_model() -> onnx.ModelProto:
    """``model_metrics.onnx``: ``input`` (n, 768) -> ``output`` (n, n), ``clip((1 - cos) / 2, 0, 1)``."""
    nodes = [
        helper.make_node("ReduceL2", ["input"], ["length"], axes=[1], keepdims=1),
        helper.make_node("Max", ["length", "tiny"], ["safe"]),
        helper.make_node("Div", ["input", "safe"], ["unit"]),
        helper.make_node("Transpose", ["unit"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["unit", "turned"], ["cosine"]),
        helper.make_node("Sub", ["one", "cosine"], ["twice"]),
        helper.make_node("Mul", ["twice", "half"], ["difference"]),
        helper.make_node("Clip", ["difference", "zero", "one"], ["output"]),
    ]
    numbers = {"tiny": 1e-12, "one": 1.0, "half": 0.5, "zero": 0.0}
    taken = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", DIM])
    given = helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", "n"])
    constants = {name: np.array(value, dtype=np.float32) for name, value in numbers.items()}
    return _model(nodes, taken, given, {}, constants)


def save(model: onnx.ModelProto, path: Path) -> None:
    """Writes a model; the same model gives the same bytes."""
    path.write_bytes(model.SerializeToString(deterministic=True))


def _find_nodes() -> list[NodeProto]:
    """From the image to ``middle0`` and ``unit0`` of the face, (batch, 1, 1, 2), in the coordinates of GridSample."""
    nodes = [_pool("input", "small", FIND_POOL), *_layers("small", "find", "find", FIND)]
    return [
        *nodes,
        helper.make_node("Conv", ["find.last", "face.weight", "face.bias"], ["face.map"]),
        helper.make_node("Reshape", ["face.map", "places"], ["face.flat"]),
        helper.make_node("Split", ["face.flat", "parts"], ["score", "moved", "size"], axis=1),
        helper.make_node("ReduceMax", ["score"], ["best"], axes=[2], keepdims=1),
        helper.make_node("Equal", ["score", "best"], ["is_best"]),
        helper.make_node("Cast", ["is_best"], ["marks"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["marks", "last_axis"], ["n_marks"], keepdims=1),
        helper.make_node("Div", ["marks", "n_marks"], ["choice"]),
        helper.make_node("Add", ["moved", "cells"], ["middles"]),
        helper.make_node("Exp", ["size"], ["sizes"]),
        helper.make_node("Concat", ["middles", "sizes"], ["faces"], axis=1),
        helper.make_node("Transpose", ["choice"], ["chosen"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["faces", "chosen"], ["face"]),
        helper.make_node("Split", ["face", "pairs"], ["face.middle", "face.size"], axis=1),
        helper.make_node("Reshape", ["face.middle", "one_point"], ["middle0"]),
        helper.make_node("Reshape", ["face.size", "one_point"], ["unit0"]),
    ]


def _again_nodes(time: int) -> list[NodeProto]:
    """From the image and place and size of the face, ``middle{time}`` and ``unit{time}``, to better ones."""
    name, after = f"again{time}", time + 1
    return [
        *_view_nodes(name, "again", AGAIN, time),
        helper.make_node("Gemm", [f"{name}.kept", "better.weight", "better.bias"], [f"{name}.better"], transB=1),
        helper.make_node("Split", [f"{name}.better", "pairs"], [f"{name}.moved", f"{name}.size"], axis=1),
        helper.make_node("Reshape", [f"{name}.moved", "one_point"], [f"{name}.steps"]),
        helper.make_node("Mul", [f"{name}.steps", f"unit{time}"], [f"{name}.way"]),
        helper.make_node("Add", [f"middle{time}", f"{name}.way"], [f"middle{after}"]),
        helper.make_node("Exp", [f"{name}.size"], [f"{name}.growth"]),
        helper.make_node("Reshape", [f"{name}.growth", "one_point"], [f"{name}.factor"]),
        helper.make_node("Mul", [f"unit{time}", f"{name}.factor"], [f"unit{after}"]),
    ]


def _view_nodes(name: str, part: str, view: View, time: int) -> list[NodeProto]:
    """From the image and the place of the face after ``time`` corrections to what is kept, (batch, view.length)."""
    image = "input" if view.pool == 1 else f"{name}.image"
    nodes = [] if view.pool == 1 else [_pool("input", image, view.pool)]
    sample = {"mode": "bilinear", "padding_mode": "border", "align_corners": 0}
    return [
        *nodes,
        helper.make_node("Mul", [f"{part}.grid", f"unit{time}"], [f"{name}.scaled"]),
        helper.make_node("Add", [f"{name}.scaled", f"middle{time}"], [f"{name}.places"]),
        helper.make_node("GridSample", [image, f"{name}.places"], [f"{name}.cut"], **sample),
        *_layers(f"{name}.cut", name, part, view.layers),
        helper.make_node("Conv", [f"{name}.last", f"{part}.weight", f"{part}.bias"], [f"{name}.map"]),
        helper.make_node("Relu", [f"{name}.map"], [f"{name}.signs"]),
        helper.make_node("Flatten", [f"{name}.signs"], [f"{name}.kept"], axis=1),
    ]


def _layers(image: str, name: str, part: str, layers: tuple[Layer, ...]) -> list[NodeProto]:
    """Convolutions with the weights of ``part`` from ``image`` to ``{name}.last``."""
    nodes, last = [], image
    for i, layer in enumerate(layers):
        out, weight = f"{name}.{i}", f"{part}{i}"
        shape = {"strides": [layer.stride] * 2, "pads": [layer.pad] * 4, "dilations": [layer.dilation] * 2}
        given = [last, f"{weight}.weight", f"{weight}.bias"]
        nodes.append(helper.make_node("Conv", given, [f"{out}.conv"], kernel_shape=[layer.kernel] * 2, **shape))
        if layer.added:
            nodes.append(helper.make_node("Add", [f"{out}.conv", last], [f"{out}.sum"]))
        before = f"{out}.sum" if layer.added else f"{out}.conv"
        last = f"{name}.last" if i == len(layers) - 1 else f"{out}.out"
        nodes.append(helper.make_node("Relu", [before], [last]))
    return nodes


def _pool(source: str, target: str, side: int) -> NodeProto:
    return helper.make_node("AveragePool", [source], [target], kernel_shape=[side, side], strides=[side, side])


def _model(
    nodes: list[NodeProto],
    taken: onnx.ValueInfoProto,
    given: onnx.ValueInfoProto,
    weights: Weights,
    constants: Mapping[str, NDArray],
) -> onnx.ModelProto:
    """A checked model whose ``weights`` are kept as float16 and used as float32."""
    casts = []
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    for name, values in weights.items():
        tensors.append(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    graph = helper.make_graph([*casts, *nodes], NAME, [taken], [given], tensors, doc_string=NOTE)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model.doc_string, model.producer_name = NOTE, "demo/build_model.py"
    helper.set_model_props(model, {"name": NAME, "stand_in": "true", "note": NOTE})
    onnx.checker.check_model(model, full_check=True)
    return model
