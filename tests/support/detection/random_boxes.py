"""Tiny real ONNX detectors with random weights: many overlapping boxes of two classes, from what the image shows."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LABELS = ("head", "person")
SIZE, CELL = 128, 8
N_BOXES = (SIZE // CELL) ** 2


def write_random_detector(path: Path, layout: str = "yolo", seed: int = 0) -> Path:
    """Writes a detector: a box for each cell of the image, whose numbers are sums of the cell's mean colors.

    Args:
        path: the file
        layout ("yolo"): "yolo", "end_to_end" or "rtdetr"
        seed (0): of the weights
    """
    random = np.random.default_rng(seed)
    side = SIZE // CELL
    place = np.stack(np.meshgrid(np.arange(side), np.arange(side))).reshape(1, 2, -1).astype(np.float32) + 0.5
    constants = {
        "weights": random.normal(size=(6, 3, 1, 1)) * 4,
        "bias": random.normal(size=6),
        "shape": np.array([1, 6, -1]),
        "place": place * CELL,
        "sizes": np.float32(SIZE * 0.6),
        "half": np.float32(0.5),
        "share": np.float32(1 / SIZE),
        "least": np.float32(3),
        "over classes": np.array([1]),
        "ramp": np.arange(N_BOXES).reshape(1, 1, -1)
        * 1e-5,  # no two boxes of the same score: their order would be open
    }
    nodes = [
        helper.make_node("AveragePool", ["images"], ["pooled"], kernel_shape=[CELL, CELL], strides=[CELL, CELL]),
        helper.make_node("Conv", ["pooled", "weights", "bias"], ["mixed"]),
        helper.make_node("Sigmoid", ["mixed"], ["shares"]),
        helper.make_node("Reshape", ["shares", "shape"], ["columns"]),
        helper.make_node("Split", ["columns"], ["moves", "extents", "raw"], axis=1, num_outputs=3),
        helper.make_node("Add", ["raw", "ramp"], ["scores"]),
        helper.make_node("Mul", ["moves", "sizes"], ["shifts"]),
        helper.make_node("Mul", ["shifts", "half"], ["shift"]),
        helper.make_node("Add", ["place", "shift"], ["centers"]),
        helper.make_node("Mul", ["extents", "sizes"], ["extent"]),
        helper.make_node("Add", ["extent", "least"], ["lengths"]),
    ]
    if layout == "end_to_end":
        nodes += _end_to_end()
    else:
        is_share = layout == "rtdetr"
        nodes += [
            helper.make_node("Concat", ["centers", "lengths"], ["pixels"], axis=1),
            helper.make_node("Mul" if is_share else "Identity", ["pixels", "share"][: 1 + is_share], ["boxes"]),
            helper.make_node("Concat", ["boxes", "scores"], ["both"], axis=1),
            helper.make_node("Transpose", ["both"], ["output0"], perm=[0, 2, 1] if is_share else [0, 1, 2]),
        ]
    kinds = {"shape": np.int64, "over classes": np.int64}
    graph = helper.make_graph(
        nodes,
        "random boxes",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, None, None])],
        [
            numpy_helper.from_array(np.asarray(each, kinds.get(name, np.float32)), name)
            for name, each in constants.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {"names": str(dict(enumerate(LABELS))), "imgsz": f"[{SIZE}, {SIZE}]"})
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def _end_to_end() -> list[onnx.NodeProto]:
    """Corners, the higher score, and its class."""
    return [
        helper.make_node("Mul", ["lengths", "half"], ["halves"]),
        helper.make_node("Sub", ["centers", "halves"], ["low"]),
        helper.make_node("Add", ["centers", "halves"], ["high"]),
        helper.make_node("ReduceMax", ["scores", "over classes"], ["score"], keepdims=1),
        helper.make_node("ArgMax", ["scores"], ["number"], axis=1, keepdims=1),
        helper.make_node("Cast", ["number"], ["class"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["low", "high", "score", "class"], ["both"], axis=1),
        helper.make_node("Transpose", ["both"], ["output0"], perm=[0, 2, 1]),
    ]
