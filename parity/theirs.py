"""The answers of dghs-imgutils, through its public functions. Runs in its environment, offline, on a prepared cache."""

import doctest
import sys
from pathlib import Path
from typing import Any

import numpy as np
from imgutils.generic.yolo import yolo_predict
from imgutils.metrics import (
    ccip_batch_differences,
    ccip_batch_extract_features,
    ccip_batch_same,
    ccip_clustering,
    ccip_default_clustering_params,
    ccip_default_threshold,
    ccip_difference,
    ccip_extract_feature,
    ccip_merge,
    ccip_same,
)

from .questions import (
    CLUSTERINGS,
    DETECTOR_REPO,
    DIFFERENT_ON_PURPOSE,
    IDENTITY,
    LIMITS,
    METHODS,
    Answers,
    read_index,
    read_vectors,
)


def main(folder: Path) -> None:
    """Answers everything and writes ``theirs.npz``."""
    index, sets, answers = read_index(folder), read_vectors(folder), Answers()
    _tensors(answers, index)
    _boxes(answers, index)
    for model in index["models"]:
        _features(answers, index["embedded"], model)
    for model in index["published"]:
        answers.ask(f"threshold/{model}", ccip_default_threshold, model)
        for method in METHODS:
            answers.ask(f"preset/{model}/{method}", ccip_default_clustering_params, model, method)
    _documented(answers)
    for name, vectors in sets.items():
        _vectors(answers, name, list(vectors))
    answers.save(folder / "theirs.npz")


def _tensors(answers: Answers, index: dict[str, Any]) -> None:
    for kind, files in index["files"].items():
        for file in files:
            answers.ask(f"tensor/{kind}/{Path(file).name}", ccip_extract_feature, file, model=IDENTITY)
    for kind, pairs in index["stated"].items():
        for odd, plain in pairs:
            answers.ask(f"plain/{kind}/{Path(odd).name}", ccip_extract_feature, plain, model=IDENTITY)
            answers.ask(f"stated/{kind}/{Path(odd).name}", ccip_extract_feature, odd, model=IDENTITY)


def _boxes(answers: Answers, index: dict[str, Any]) -> None:
    """Boxes without an area, those outside of the image, are left out of all but one answer."""
    files = [*index["rectangles"], *index["embedded"]]
    for layout, models in index["detectors"].items():
        for model in models:
            for file in files:
                for limits in LIMITS:
                    answers.ask(f"boxes/{layout}/{model}/{file}/{limits}", _detect, file, model, limits)
    answers.ask("stated/boxes without an area/all", _all, files[-1], "yolo_random", LIMITS[-1])


def _detect(file: str, model: str, limits: tuple[float, float]) -> list[tuple[float, ...]]:
    return [box for box in _all(file, model, limits) if box[2] > box[0] and box[3] > box[1]]


def _all(file: str, model: str, limits: tuple[float, float]) -> list[tuple[float, ...]]:
    found = yolo_predict(file, DETECTOR_REPO, model_name=model, conf_threshold=limits[0], iou_threshold=limits[1])
    return [(*box, ("head", "person").index(label), score) for box, label, score in found]


def _features(answers: Answers, files: list[str], model: str) -> None:
    raw = np.stack([ccip_extract_feature(file, model=model) for file in files])
    answers[f"raw/{model}/one a call"] = raw
    answers.ask(f"raw/{model}/all in a call", ccip_batch_extract_features, files, model=model)
    answers[f"pair/{model}"] = np.array([ccip_difference(raw[0], other, model=model) for other in raw])
    answers.ask(f"matrix/{model}", ccip_batch_differences, list(raw), model=model)
    answers.ask(f"same/{model}", ccip_batch_same, list(raw), model=model)
    at = ccip_difference(raw[0], raw[1], model=model)
    answers.ask(f"inclusive/{model}", ccip_same, raw[0], raw[1], threshold=at, model=model)
    answers.ask(f"merge/of {model}", ccip_merge, list(raw), model=model)


def _vectors(answers: Answers, name: str, vectors: list[np.ndarray]) -> None:
    answers.ask(f"matrix/{name}", ccip_batch_differences, vectors)
    answers.ask(f"same/{name}", ccip_batch_same, vectors)
    answers.ask(f"merge/{name}", ccip_merge, vectors)
    for method, eps, min_samples in CLUSTERINGS:
        parameters = {"method": method, "eps": eps, "min_samples": min_samples}
        answers.ask(f"labels/{name}/{method} {eps} {min_samples}", ccip_clustering, vectors, **parameters)
        if method.startswith("dbscan"):
            answers[f"graph/{name}/{method} {eps} {min_samples}"] = answers[
                f"labels/{name}/{method} {eps} {min_samples}"
            ]
    if len(vectors) < 100:
        for what, parameters in DIFFERENT_ON_PURPOSE.items():
            answers.ask(f"stated/{what}/{name}", ccip_clustering, vectors, **parameters)


def _documented(answers: Answers) -> None:
    """The published values that imgutils prints in its documentation."""
    for function, kind in ((ccip_default_threshold, "threshold"), (ccip_default_clustering_params, "preset")):
        for example in doctest.DocTestParser().get_examples(function.__doc__ or ""):
            if not example.source.startswith(f"{function.__name__}("):
                continue
            given = eval(example.source.strip(), {function.__name__: lambda *names, **named: (*names, *named.values())})
            answers[f"documented/{kind}/{'/'.join(given)}"] = np.array(eval(example.want))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
