"""The answers of this package to the same questions."""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from ccip_plugin.core import calibration
from ccip_plugin.core.clustering import cluster
from ccip_plugin.core.detection.detector import Detector
from ccip_plugin.core.differences import difference, differences, merge, same
from ccip_plugin.core.encoder import Encoder
from ccip_plugin.core.neighbors import radius_graph
from ccip_plugin.core.preprocessing import load_image, preprocess
from ccip_plugin.core.registry import DEFAULT_MODEL

from .questions import CLUSTERINGS, DIFFERENT_ON_PURPOSE, LIMITS, METHODS, Answers, read_index, read_vectors

RADIUS = 0.25  # of a graph that serves every eps


def main(folder: Path) -> None:
    """Answers everything and writes ``ours.npz``."""
    index, sets, answers = read_index(folder), read_vectors(folder), Answers()
    _tensors(answers, index)
    _boxes(answers, index)
    for model in index["models"]:
        with Encoder.open(model) as encoder:
            _features(answers, index["embedded"], encoder)
    for model in index["published"]:
        answers.ask(f"threshold/{model}", _threshold, model)
        for method in METHODS:
            answers.ask(f"preset/{model}/{method}", _preset, model, method)
    _documented(answers, index)
    threshold = _threshold(DEFAULT_MODEL)
    for name, vectors in sets.items():
        _vectors(answers, name, vectors, threshold)
    answers.save(folder / "ours.npz")


def _tensor(file: str) -> np.ndarray:
    return preprocess(load_image(file))


def _threshold(model: str) -> float:
    return calibration.load(model).threshold


def _preset(model: str, method: str) -> tuple[float, int]:
    return calibration.load(model).preset(method)


def _tensors(answers: Answers, index: dict[str, Any]) -> None:
    for kind, files in index["files"].items():
        for file in files:
            answers.ask(f"tensor/{kind}/{Path(file).name}", _tensor, file)
    for kind, pairs in index["stated"].items():
        for odd, _ in pairs:
            answers.ask(f"plain/{kind}/{Path(odd).name}", _tensor, odd)
            answers.ask(f"stated/{kind}/{Path(odd).name}", _tensor, odd)


def _boxes(answers: Answers, index: dict[str, Any]) -> None:
    for layout, models in index["detectors"].items():
        for model, path in models.items():
            for limits in LIMITS:
                detector = Detector(path, layout=layout, min_score=limits[0], max_overlap=limits[1])
                for file in [*index["rectangles"], *index["embedded"]]:
                    answers.ask(f"boxes/{layout}/{model}/{file}/{limits}", _detect, detector, file)
    file = index["embedded"][-1]
    answers["stated/boxes without an area/all"] = answers[f"boxes/yolo/yolo_random/{file}/{LIMITS[-1]}"]


def _detect(detector: Detector, file: str) -> list[tuple[float, ...]]:
    found = detector.detect(load_image(file))
    return [(box.left, box.top, box.right, box.bottom, detector.labels.index(box.label), box.score) for box in found]


def _features(answers: Answers, files: list[str], encoder: Encoder) -> None:
    model, raw = encoder.model_name, encoder.embed(files, normalize=False, workers=1)
    answers[f"raw/{model}/one a call"] = raw
    answers.ask(f"raw/{model}/all in a call", encoder.embed, files, normalize=False, workers=4)
    matrix = encoder.differences(raw)
    answers[f"matrix/{model}"] = matrix
    answers[f"pair/{model}"] = np.array([encoder.differences(raw[:1], other[None])[0, 0] for other in raw])
    answers[f"same/{model}"] = matrix <= _threshold(model)
    answers.ask(f"inclusive/{model}", same, raw[0], raw[1], difference(raw[0], raw[1]))
    answers.ask(f"merge/of {model}", merge, raw)


def _vectors(answers: Answers, name: str, vectors: np.ndarray, threshold: float) -> None:
    answers.ask(f"matrix/{name}", differences, vectors)
    answers.ask(f"same/{name}", same, vectors, vectors, threshold)
    answers.ask(f"merge/{name}", merge, vectors)
    graph = radius_graph(vectors, RADIUS)
    for method, eps, min_samples in CLUSTERINGS:
        parameters = {"method": method, "eps": eps, "min_samples": min_samples}
        answers.ask(f"labels/{name}/{method} {eps} {min_samples}", cluster, vectors, **parameters)
        if method.startswith("dbscan"):
            answers.ask(f"graph/{name}/{method} {eps} {min_samples}", cluster, graph, **parameters)
    if len(vectors) < 100:
        for what, parameters in DIFFERENT_ON_PURPOSE.items():
            answers.ask(f"stated/{what}/{name}", cluster, vectors, **parameters)


def _documented(answers: Answers, index: dict[str, Any]) -> None:
    """The values of the registry: what there is without any file."""
    for model in index["published"]:
        published = calibration.load(model, model_dir=index["nothing"])
        answers[f"documented/threshold/{model}"] = np.array(published.threshold)
        for method, values in published.presets.items():
            answers[f"documented/preset/{model}/{method}"] = np.array(values)
    own = calibration.load(DEFAULT_MODEL, model_dir=index["nothing"])
    answers["documented/threshold/"] = np.array(own.threshold)
    for method, values in own.presets.items():
        answers[f"documented/preset/{method}"] = np.array(values)
    answers["documented/preset/"] = np.array(own.preset("optics"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
