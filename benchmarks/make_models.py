"""Models with the architecture of CCIP and random weights: as much work per image as the published ones, no download.

The published models are a CAFormer (Yu et al., 2022) at 384 x 384 and an attention pool to 768 numbers. What such a
network computes takes the same time whatever its weights are, so speed can be measured without them.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SIZE, DIM = 384, 768
HEAD = 32  # numbers per head of attention
STAR_RELU = (0.8944, -0.4472)
THRESHOLD = 0.17847511429108218
CLUSTER = {
    "dbscan_2": {"eps": 0.12921094122454668, "min_samples": 2},
    "dbscan_free": {"eps": 0.1291187648928262, "min_samples": 2},
    "optics": {"eps": 0.1836453739562513, "min_samples": 5},
}


@dataclass(frozen=True)
class Shape:
    """Channels and blocks of the four stages of a CAFormer; convolutions in the first two, attention in the others."""

    widths: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]


SHAPES = {
    "caformer_s18": Shape((64, 128, 320, 512), (3, 3, 9, 3)),
    "caformer_s36": Shape((64, 128, 320, 512), (3, 12, 18, 3)),
    "caformer_m36": Shape((96, 192, 384, 576), (3, 12, 18, 3)),
    "caformer_b36": Shape((128, 256, 512, 768), (3, 12, 18, 3)),
    "caformer_mini": Shape((8, 16, 32, 64), (1, 1, 1, 1)),  # every operator of the others, in milliseconds
}


class Caformer:
    """Builds the graph of ``model_feat.onnx``, node by node; values are named by numbers."""

    def __init__(self, shape: Shape, seed: int = 0):
        self._shape, self._random = shape, np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def model(self) -> onnx.ModelProto:
        """``input`` (batch, 3, 384, 384) -> ``output`` (batch, 768), not unit length."""
        widths = self._shape.widths
        x = self._conv("input", 3, widths[0], 7, stride=4, pad=2, bias=True)
        x = self._norm_of_channels(x, widths[0])
        for stage, (width, depth) in enumerate(zip(widths, self._shape.depths, strict=True)):
            if stage:
                x = self._norm_of_channels(x, widths[stage - 1])
                x = self._conv(x, widths[stage - 1], width, 3, stride=2, pad=1, bias=True)
            blocks = self._attention_blocks if stage >= 2 else self._convolution_blocks
            x = blocks(x, width, depth)
        self._op("Identity", self._pool(x, widths[-1]), to="output")
        return self._finished()

    def _convolution_blocks(self, x: str, width: int, depth: int) -> str:
        for _ in range(depth):
            y = self._star_relu(self._conv(self._norm_of_channels(x, width), width, 2 * width, 1))
            y = self._conv(y, 2 * width, 2 * width, 7, pad=3, groups=2 * width)
            x = self._op("Add", x, self._conv(y, 2 * width, width, 1))
            y = self._star_relu(self._conv(self._norm_of_channels(x, width), width, 4 * width, 1))
            x = self._op("Add", x, self._conv(y, 4 * width, width, 1))
        return x

    def _attention_blocks(self, x: str, width: int, depth: int) -> str:
        """On (batch, places, channels); both branches are added to a scaled copy of what went in."""
        side = SIZE // (32 if width == self._shape.widths[3] else 16)
        x = self._op("Transpose", self._op("Reshape", x, self._int([0, width, -1])), perm=[0, 2, 1])
        for _ in range(depth):
            y = self._attention(self._norm(x, width), width)
            x = self._op("Add", self._op("Mul", x, self._float(np.ones(width))), y)
            y = self._star_relu(self._linear(self._norm(x, width), width, 4 * width))
            y = self._linear(y, 4 * width, width)
            x = self._op("Add", self._op("Mul", x, self._float(np.ones(width))), y)
        return self._op("Reshape", self._op("Transpose", x, perm=[0, 2, 1]), self._int([0, width, side, side]))

    def _attention(self, x: str, width: int) -> str:
        qkv = self._op("Reshape", self._linear(x, width, 3 * width), self._int([0, -1, 3, width // HEAD, HEAD]))
        qkv = self._op("Transpose", qkv, perm=[2, 0, 3, 1, 4])
        q, k, v = (self._op("Gather", qkv, self._int(i), axis=0) for i in range(3))
        scores = self._op("MatMul", q, self._op("Transpose", k, perm=[0, 1, 3, 2]))
        weights = self._op("Softmax", self._op("Mul", scores, self._float(HEAD**-0.5)), axis=-1)
        y = self._op("Transpose", self._op("MatMul", weights, v), perm=[0, 2, 1, 3])
        return self._linear(self._op("Reshape", y, self._int([0, -1, width])), width, width)

    def _pool(self, x: str, width: int, heads: int = 8) -> str:
        """One query, the mean of all places, attends to all of them: (batch, width, 12, 12) -> (batch, 768)."""
        places = (SIZE // 32) ** 2
        x = self._op("Transpose", self._op("Reshape", x, self._int([0, width, -1])), perm=[0, 2, 1])
        mean = self._op("ReduceMean", x, axes=[1], keepdims=1)
        x = self._op("Add", self._op("Concat", mean, x, axis=1), self._weights(places + 1, width, scale=width**-0.5))
        first = self._op("Slice", x, self._int([0]), self._int([1]), self._int([1]))
        split = self._int([0, -1, heads, width // heads])
        q, k, v = (self._op("Reshape", self._linear(part, width, width, bias=True), split) for part in (first, x, x))
        q = self._op("Transpose", self._op("Mul", q, self._float((width // heads) ** -0.5)), perm=[0, 2, 1, 3])
        scores = self._op("MatMul", q, self._op("Transpose", k, perm=[0, 2, 3, 1]))
        y = self._op("MatMul", self._op("Softmax", scores, axis=-1), self._op("Transpose", v, perm=[0, 2, 1, 3]))
        y = self._op("Reshape", self._op("Transpose", y, perm=[0, 2, 1, 3]), self._int([0, width]))
        return self._linear(y, width, DIM, bias=True)

    def _conv(
        self, x: str, taken: int, given: int, size: int, *, stride: int = 1, pad: int = 0, groups: int = 1, bias=False
    ) -> str:
        inputs = [x, self._weights(given, taken // groups, size, size)]
        inputs += [self._float(np.zeros(given))] if bias else []
        sides = {"kernel_shape": [size, size], "strides": [stride, stride], "pads": [pad] * 4, "group": groups}
        return self._op("Conv", *inputs, **sides)

    def _linear(self, x: str, taken: int, given: int, *, bias: bool = False) -> str:
        y = self._op("MatMul", x, self._weights(taken, given))
        return self._op("Add", y, self._float(np.zeros(given))) if bias else y

    def _norm(self, x: str, width: int) -> str:
        return self._op("LayerNormalization", x, self._float(np.ones(width)), axis=-1, epsilon=1e-6)

    def _norm_of_channels(self, x: str, width: int) -> str:
        """A norm over the channels of (batch, channels, height, width)."""
        return self._op("Transpose", self._norm(self._op("Transpose", x, perm=[0, 2, 3, 1]), width), perm=[0, 3, 1, 2])

    def _star_relu(self, x: str) -> str:
        scale, offset = (self._float([value]) for value in STAR_RELU)
        squared = self._op("Pow", self._op("Relu", x), self._float(2.0))
        return self._op("Add", self._op("Mul", squared, scale), offset)

    def _op(self, kind: str, *inputs: str, to: str = "", **attributes) -> str:
        name = to or f"{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def _weights(self, *shape: int, scale: float = 0.02) -> str:
        return self._float(self._random.standard_normal(shape, dtype=np.float32) * np.float32(scale))

    def _float(self, values) -> str:
        return self._constant(np.asarray(values, np.float32))

    def _int(self, values) -> str:
        return self._constant(np.asarray(values, np.int64))

    def _constant(self, values: NDArray) -> str:
        self._constants.append(numpy_helper.from_array(values, f"constant_{len(self._constants)}"))
        return self._constants[-1].name

    def _finished(self) -> onnx.ModelProto:
        taken = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, SIZE, SIZE])
        given = helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", DIM])
        graph = helper.make_graph(self._nodes, "caformer", [taken], [given], self._constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def metric_model() -> onnx.ModelProto:
    """The graph of ``model_metrics.onnx``: ``input`` (n, 768) -> ``output`` (n, n), clip((1 - cos) / 2, 0, 1)."""
    constants = [numpy_helper.from_array(np.float32(value), name) for name, value in (("0", 0), ("1", 1), ("2", 2))]
    nodes = [
        helper.make_node("ReduceL2", ["input"], ["length"], axes=[1], keepdims=1),
        helper.make_node("Div", ["input", "length"], ["unit"]),
        helper.make_node("Transpose", ["unit"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["unit", "turned"], ["cosine"]),
        helper.make_node("Sub", ["1", "cosine"], ["twice"]),
        helper.make_node("Div", ["twice", "2"], ["half"]),
        helper.make_node("Clip", ["half", "0", "1"], ["output"]),
    ]
    taken = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", DIM])
    given = helper.make_tensor_value_info("output", TensorProto.FLOAT, ["n", "n"])
    graph = helper.make_graph(nodes, "metric", [taken], [given], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def write_model(folder: Path, architecture: str) -> None:
    """Writes the four files of a model into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(Caformer(SHAPES[architecture]).model(), str(folder / "model_feat.onnx"))
    onnx.save(metric_model(), str(folder / "model_metrics.onnx"))
    (folder / "metrics.json").write_text(json.dumps({"threshold": THRESHOLD}), encoding="utf-8")
    (folder / "cluster.json").write_text(json.dumps(CLUSTER), encoding="utf-8")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="each model gets a folder in it, with the four files of a model")
    parser.add_argument("architecture", nargs="+", choices=SHAPES, help="which models to make")
    arguments = parser.parse_args()
    for architecture in arguments.architecture:
        write_model(arguments.folder / architecture, architecture)
        size = (arguments.folder / architecture / "model_feat.onnx").stat().st_size / 1e6
        print(f"{arguments.folder / architecture}: {size:.0f} MB")


if __name__ == "__main__":
    main()
