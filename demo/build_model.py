"""Builds ``ccip-demo``, the stand-in model that only knows these drawings: ``python -m demo.build_model``.

Steps: draw characters, train small networks on them (needs PyTorch; nothing else in the project does), fit the linear
map at their end on characters that they were not trained on, write the ONNX files, and measure threshold and
clustering parameters on characters that were used for neither. The characters of the demo (seed 0) are in none.

``--only measure`` measures the files that are there and needs no PyTorch.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import logging
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ccip_plugin.core import clustering, evaluation
from ccip_plugin.core.encoder import Encoder

from .character import Character, make_character, make_twin
from .figure import face_of
from .model_graph import DIM, NAME, SIZE, feat_model, metrics_model, save
from .picture import make_single, render
from .world import SHORT_SIDE, make_cast

logger = logging.getLogger(__name__)

FOLDER = Path(__file__).resolve().parents[1] / "ccip_plugin" / "core" / "models" / NAME
SEEDS = {"train": 9001, "fit": 9002, "measure": 9003}  # of the worlds that the characters are from
N_TRAIN, N_FIT, N_MEASURE = 600, 150, 80
PER_CHARACTER = 10
OUTPUT_LENGTH = 8.0  # about how long vectors are; those of the real models are no unit vectors either


@dataclass(frozen=True)
class Drawings:
    """Drawings as the model gets them.

    Attributes:
        images: ``(n, 384, 384, 3)`` uint8
        faces: ``(n, 4)`` middle (x, y) and half the size (x, y) of the face, from -1 to 1 over the image
        who: ``(n,)`` indices into ``cast``
        cast: the characters
    """

    images: NDArray[np.uint8]
    faces: NDArray[np.float32]
    who: NDArray[np.int64]
    cast: list[Character]


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if options.only in (None, "train"):
        build(options.folder, work=options.work, workers=options.workers)
    if options.only in (None, "measure"):
        measure(options.folder, workers=options.workers)
    return 0


def build(folder: Path, *, work: Path | None = None, workers: int | None = None) -> None:
    """Writes ``model_feat.onnx`` and ``model_metrics.onnx`` into ``folder``; keeps drawings in ``work`` if given."""
    from . import model_training as training

    with tempfile.TemporaryDirectory() as spare:
        work = work or Path(spare)
        training.prepare(seed=0)
        known = drawings("train", N_TRAIN, work=work, workers=workers)
        pixels = training.Pixels(known.images)
        finder = training.train_finder(pixels, known.faces)
        looker = training.train_looker(pixels, known.faces, known.who, known.cast)
        fresh = drawings("fit", N_FIT, work=work, workers=workers)
        pixels = training.Pixels(fresh.images)
        kept = training.look(looker, pixels, training.find(finder, pixels))
    weights = training.folded(finder, looker) | last_map(looker.embed.weight.detach().numpy(), kept, fresh.who)
    folder.mkdir(parents=True, exist_ok=True)
    save(feat_model(weights), folder / "model_feat.onnx")
    save(metrics_model(), folder / "model_metrics.onnx")
    logger.info("wrote %s", folder)


def last_map(
    embed: NDArray[np.float32], features: NDArray[np.float32], who: NDArray[np.int64]
) -> dict[str, NDArray[np.float32]]:
    """The linear map from features to vectors in which characters differ much and their images little.

    Linear discriminant analysis in the space of the trained embedding, turned into all 768 numbers.

    Args:
        embed: ``(d, features)`` the trained embedding
        features: ``(n, features)`` of images of characters that the network does not know
        who: ``(n,)`` the characters

    Returns:
        ``out.weight`` (d, features), ``out.bias`` (d,) and ``turn.weight`` (768, d)
    """
    points = features @ embed.T
    codes = np.unique(who, return_inverse=True)[1]
    means = np.stack([points[codes == k].mean(axis=0) for k in range(codes.max() + 1)])
    inside = np.cov((points - means[codes]).T)
    inside = 0.8 * inside + 0.2 * np.trace(inside) / len(inside) * np.eye(len(inside))
    variances, axes = np.linalg.eigh(inside)
    whiten = axes / np.sqrt(variances) @ axes.T
    spread = np.linalg.eigh(np.cov((means @ whiten).T))
    ratio = np.clip(spread[0], 0, None)
    kept = whiten @ spread[1] * np.sqrt(ratio / (ratio + 1))
    weight = kept.T @ embed
    weight *= OUTPUT_LENGTH / np.linalg.norm((features - features.mean(axis=0)) @ weight.T, axis=1).mean()
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(DIM, len(inside))))[0]
    values = {"out.weight": weight, "out.bias": -weight @ features.mean(axis=0), "turn.weight": turn}
    return {name: value.astype(np.float32) for name, value in values.items()}


def measure(folder: Path, *, workers: int | None = None) -> dict[str, dict[str, float]]:
    """Writes ``metrics.json`` and ``cluster.json`` of the model in ``folder``, found on fresh characters."""
    with tempfile.TemporaryDirectory() as model_dir:
        (Path(model_dir) / NAME).symlink_to(folder.resolve())
        with Encoder.open(NAME, model_dir=model_dir) as encoder:
            vectors, who = embedded(encoder, SEEDS["measure"], N_MEASURE, PER_CHARACTER, workers=workers)
    pairs = evaluation.pair_metrics(vectors, who)
    metrics = {
        "f1_score": pairs.f1,
        "precision": pairs.precision,
        "recall": pairs.recall,
        "threshold": pairs.threshold,
    }
    cluster = {
        "dbscan_2": _best(vectors, who, "dbscan", _around(pairs.threshold, 0.5, 1.3), (2,)),
        "dbscan_free": _best(vectors, who, "dbscan", _around(pairs.threshold, 0.5, 1.3), (2, 3, 4)),
        "optics": _best(vectors, who, "optics", _around(pairs.threshold, 0.7, 1.8, 12), (3, 4, 5)),
    }
    _write(folder / "metrics.json", metrics)
    _write(folder / "cluster.json", {k: {"eps": v["eps"], "min_samples": v["min_samples"]} for k, v in cluster.items()})
    for name, values in (("pairs", metrics), *cluster.items()):
        logger.info("%s: %s", name, ", ".join(f"{key} {value:.4f}" for key, value in values.items()))
    return {"metrics": metrics, **cluster}


def embedded(
    encoder: Encoder, seed: int, n_characters: int, per_character: int, *, workers: int | None = None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Vectors ``(n, 768)`` of single-character drawings of a world and the numbers of their characters."""
    cast = make_cast(seed, n_characters)
    work = [(seed, c, n, k) for n, c in enumerate(cast) for k in range(per_character)]
    files = _mapped(_file, work, workers)
    return encoder.embed(io.BytesIO(data) for data in files), np.repeat(np.arange(n_characters), per_character)


def drawings(part: str, n_characters: int, *, work: Path, workers: int | None = None) -> Drawings:
    """The drawings of a part of the work, about 4 MB per character; those that are in ``work`` are not drawn again."""
    seed, shape = SEEDS[part], (n_characters * PER_CHARACTER, SIZE, SIZE, 3)
    cast = training_cast(seed, n_characters)
    work.mkdir(parents=True, exist_ok=True)
    images = _kept(work / f"{part}-images.npy", np.uint8, shape)
    faces = _kept(work / f"{part}-faces.npy", np.float32, (shape[0], 4))
    missing = np.flatnonzero(faces[:, 2] == 0)
    jobs = [(seed, cast[i // PER_CHARACTER], i // PER_CHARACTER, i % PER_CHARACTER) for i in map(int, missing)]
    for i, (image, face) in zip(missing, _mapped(_small, jobs, workers), strict=True):
        images[i], faces[i] = image, face
    return Drawings(images, np.array(faces), np.repeat(np.arange(n_characters), PER_CHARACTER), cast)


def _kept(path: Path, kind: type, shape: tuple[int, ...]) -> NDArray:
    """An array in a file; zeros when the file is new."""
    return np.lib.format.open_memmap(path, "r+" if path.exists() else "w+", None if path.exists() else kind, shape)


def training_cast(seed: int, n_characters: int) -> list[Character]:
    """Characters of which every third is easily taken for the one before."""
    cast: list[Character] = []
    for n in range(n_characters):
        cast.append(make_twin(cast[-1], seed, n) if n % 3 == 2 else make_character(seed, n))
    return cast


def _small(job: tuple[int, Character, int, int]) -> tuple[NDArray[np.uint8], tuple[float, ...]]:
    """A drawing at the size that the model takes, and where the face is."""
    seed, character, number, k = job
    picture = make_single(np.random.default_rng([seed, number, k]), character, short_side=SHORT_SIDE)
    image, _ = render(picture, scale=1.1 * SIZE / max(picture.size))
    figure, (width, height) = picture.figures[0], picture.size
    x, y = face_of(figure.pose, figure.place)
    unit = figure.place.unit
    face = (2 * x / width - 1, 2 * y / height - 1, 2 * unit / width, 2 * unit / height)
    return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR)), face


def _file(job: tuple[int, Character, int, int]) -> bytes:
    """A drawing as a file, at its full size."""
    seed, character, number, k = job
    random = np.random.default_rng([seed, number, k])
    data = io.BytesIO()
    render(make_single(random, character, short_side=SHORT_SIDE))[0].save(data, "JPEG", quality=88)
    return data.getvalue()


def _mapped(function, jobs: list, workers: int | None) -> Iterable:
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for done, result in enumerate(pool.map(function, jobs, chunksize=8), start=1):
            if done % 500 == 0:
                logger.info("%d of %d drawings", done, len(jobs))
            yield result


def _around(threshold: float, low: float, high: float, n: int = 33) -> list[float]:
    return [float(threshold * share) for share in np.linspace(low, high, n)]


def _best(
    vectors: NDArray[np.float32], who: NDArray[np.int64], method: str, eps: list[float], min_samples: tuple[int, ...]
) -> dict[str, float]:
    """The parameters with the best adjusted Rand index; the middle of equals."""
    scores = {}
    for radius, least in itertools.product(eps, min_samples):
        labels = clustering.cluster(vectors, method=method, eps=radius, min_samples=least)
        scores[radius, least] = evaluation.group_metrics(labels, who).ari
    best = max(scores.values())
    equals = [key for key, score in scores.items() if score >= best - 1e-9]
    radius, least = equals[len(equals) // 2]
    return {"eps": radius, "min_samples": least, "ari": best}


def _write(path: Path, values: dict) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo.build_model", description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the files go")
    parser.add_argument("--work", type=Path, help="a folder that keeps the drawings between runs")
    parser.add_argument("--workers", type=int, help="processes that draw (one per core)")
    parser.add_argument("--only", choices=("train", "measure"), help="one half of the work")
    return parser


if __name__ == "__main__":
    sys.exit(main())
