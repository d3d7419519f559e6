"""Tiny real ONNX detectors that find rectangles of a colour, in the three layouts of the published ones.

A pixel counts as class k where it is near colour k. Each class gives the box around its pixels, with the share of the
box that they cover as the score, and the same box once more with half the score, for the suppression.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

COLORS = {"head": (255, 0, 0), "person": (0, 0, 255)}
LABELS = tuple(COLORS)
LAYOUTS = ("yolo", "end_to_end", "rtdetr")
_FAR = 1e4


class _Graph:
    """Collects nodes and constants."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: object, dtype: type = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def do(self, op: str, *inputs: str, **attributes: object) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name


def detector(layout: str = "yolo", *, width: int = 64, height: int = 64, names: str | None = None) -> onnx.ModelProto:
    """A detector of rectangles.

    Args:
        layout ("yolo"): one of :data:`LAYOUTS`
        width (64): of the input, in pixels
        height (64): of the input, in pixels
        names (None): the classes in the metadata; those of :data:`COLORS` by default
    """
    graph = _Graph()
    found = [_box(graph, color, width, height) for color in COLORS.values()]
    rows = [_row(graph, layout, number, *each, part) for number, each in enumerate(found) for part in (1.0, 0.5)]
    output = graph.do("Concat", *rows, axis=1)  # (1, boxes, columns)
    if layout == "yolo":
        output = graph.do("Transpose", output, perm=[0, 2, 1])
    elif layout == "rtdetr":
        scale = graph.constant([1 / width, 1 / height, 1 / width, 1 / height, *(1.0 for _ in COLORS)])
        output = graph.do("Mul", output, scale)
    graph.nodes.append(helper.make_node("Identity", [output], ["output0"]))
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "rectangles",
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, height, width])],
            [helper.make_tensor_value_info("output0", TensorProto.FLOAT, ["batch", None, None])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    said = str(dict(enumerate(LABELS))) if names is None else names
    helper.set_model_props(model, {"names": said, "imgsz": f"[{width}, {height}]"})
    onnx.checker.check_model(model)
    return model


def write_detector(path: Path, layout: str = "yolo", **options: object) -> Path:
    """Writes a detector of rectangles."""
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(detector(layout, **options), path)
    return path


def write_fixed_detector(path: Path, box: tuple[float, float, float, float] = (0.1, 0.1, 0.8, 0.8)) -> Path:
    """Writes a detector that finds one person at the same place of every image: x, y, width, height as shares."""
    x, y, width, height = (64 * each for each in box)
    column = np.array([x + width / 2, y + height / 2, width, height, 0.9], np.float32).reshape(1, 5, 1)
    graph = _Graph()
    nothing = graph.do("Mul", graph.do("ReduceMean", "images", axes=[1, 2, 3], keepdims=0), graph.constant(0))
    graph.nodes.append(helper.make_node("Add", [graph.constant(column), nothing], ["output0"]))
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "fixed",
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 64, 64])],
            [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 5, 1])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    helper.set_model_props(model, {"names": "{0: 'person'}", "imgsz": "[64, 64]"})
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def _box(graph: _Graph, color: tuple[int, int, int], width: int, height: int) -> tuple[list[str], str]:
    """Left, top, right, bottom of the pixels of a colour, each ``(1, 1, 1)``, and the share of it they cover."""
    wanted = graph.constant(np.reshape(color, (1, 3, 1, 1)) / 255.0)
    off = graph.do("ReduceMax", graph.do("Abs", graph.do("Sub", "images", wanted)), axes=[1], keepdims=0)
    mask = graph.do("Cast", graph.do("Less", off, graph.constant(0.5)), to=TensorProto.FLOAT)  # (1, height, width)
    low, high = [], []
    for axis, n in ((2, width), (1, height)):  # along the other axis
        other = 3 - axis
        seen = graph.do("ReduceMax", mask, axes=[other], keepdims=1)
        far = graph.do("Mul", graph.do("Sub", graph.constant(1), seen), graph.constant(_FAR))
        grid = graph.constant(np.arange(n).reshape((1, 1, n) if axis == 2 else (1, n, 1)))
        low.append(graph.do("ReduceMin", graph.do("Add", grid, far), axes=[axis], keepdims=1))
        last = graph.do("ReduceMax", graph.do("Sub", grid, far), axes=[axis], keepdims=1)
        high.append(graph.do("Add", last, graph.constant(1)))
    sides = [graph.do("Relu", graph.do("Sub", end, start)) for start, end in zip(low, high, strict=True)]
    area = graph.do("Max", graph.do("Mul", *sides), graph.constant(1))
    rows = graph.do("ReduceSum", mask, graph.constant([1, 2], np.int64), keepdims=1)
    return [*low, *high], graph.do("Div", rows, area)


def _row(graph: _Graph, layout: str, number: int, corners: list[str], score: str, part: float) -> str:
    """One box as a row ``(1, 1, columns)``."""
    left, top, right, bottom = corners
    mine = graph.do("Mul", score, graph.constant(part))
    if layout == "end_to_end":
        which = graph.do("Add", graph.do("Mul", score, graph.constant(0)), graph.constant(number))
        return graph.do("Concat", left, top, right, bottom, mine, which, axis=2)
    half = graph.constant(0.5)
    x, y = (graph.do("Mul", graph.do("Add", *each), half) for each in ((left, right), (top, bottom)))
    width, height = (graph.do("Relu", graph.do("Sub", *each)) for each in ((right, left), (bottom, top)))
    none = graph.do("Mul", score, graph.constant(0))
    scores = [mine if each == number else none for each in range(len(COLORS))]
    return graph.do("Concat", x, y, width, height, *scores, axis=2)
