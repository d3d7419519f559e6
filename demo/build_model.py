"""Builds ``ccip-demo``, the stand-in model that only knows these drawings: ``python -m demo.build_model``.

Steps: draw characters, train small networks on them, write the ONNX files, and measure threshold and clustering
parameters on characters that they were not trained on. The characters of the demo (seed 0) are in neither. It takes
about half an hour on two cores and gives the same files every time on the same kind of processor.

To rebuild the model: ``pip install torch`` (a version for the CPU) into an environment that has this project, then
``python -m demo.build_model --work FOLDER``. FOLDER keeps drawings (2.2 GB) and training, so that an
interrupted build resumes. Then put the numbers that are printed at the end into the registry.

``--only measure`` measures the existing files and needs no PyTorch.
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
from types import ModuleType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ccip_plugin.core.clustering import cluster
from ccip_plugin.core.encoder import Encoder
from ccip_plugin.core.evaluation import group_metrics, pair_metrics
from ccip_plugin.core.system import usable_cores

from .character import Character, make_character, make_twin
from .figure import face_of
from .model_graph import DIM, NAME, SIZE, feat_model, metrics_model, save
from .picture import make_single, render
from .world import SHORT_SIDE, make_cast

logger = logging.getLogger(__name__)

FOLDER = Path(__file__).resolve().parents[1] / "ccip_plugin" / "core" / "models" / NAME
SEEDS = {"train": 9001, "measure": 9003}  # of the worlds that the characters are from
N_CHARACTERS = {"train": 1000, "measure": 80}
PER_CHARACTER = {"train": 5, "measure": 10}
FILE_SIDE = 2 * SIZE  # drawings that are measured on are no larger: they are resized to SIZE anyway
NEEDS = "Training needs PyTorch (a version for the CPU will do); nothing else in this project does."


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
    training = _training()
    with tempfile.TemporaryDirectory() as spare:
        work = work or Path(spare)
        training.prepare()
        known = drawings(work, workers=workers)
        pixels = training.Pixels(known.images)
        finder = training.train_finder(pixels, known.faces, kept=work / "finder.pt")
        corrector = training.train_corrector(pixels, known.faces, kept=work / "corrector.pt")
        looker = training.train_looker(pixels, known.faces, known.who, known.cast, kept=work / "looker.pt")
        weights = training.folded(finder, corrector, looker) | {"turn.weight": turn(training.EMBEDDING)}
    folder.mkdir(parents=True, exist_ok=True)
    save(feat_model(weights), folder / "model_feat.onnx")
    save(metrics_model(), folder / "model_metrics.onnx")
    logger.info("wrote %s", folder)


def _training() -> ModuleType:
    """The module that needs PyTorch."""
    try:
        from . import model_training
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise SystemExit(f"{NEEDS} It is not installed here: pip install torch, or --only measure.") from error
    return model_training


def turn(short: int) -> NDArray[np.float32]:
    """A map ``(768, short)`` that changes no angle: its columns are orthonormal."""
    return np.linalg.qr(np.random.default_rng(0).normal(size=(DIM, short)))[0].astype(np.float32)


def measure(folder: Path, *, workers: int | None = None) -> dict[str, dict[str, float]]:
    """Writes ``metrics.json`` and ``cluster.json`` of the model in ``folder``, found on fresh characters."""
    with tempfile.TemporaryDirectory() as model_dir:
        (Path(model_dir) / NAME).symlink_to(folder.resolve())
        with Encoder.open(NAME, model_dir=model_dir) as encoder:
            vectors, who = embedded(
                encoder, SEEDS["measure"], N_CHARACTERS["measure"], PER_CHARACTER["measure"], workers=workers
            )
    return write_numbers(folder, vectors, who)


def write_numbers(folder: Path, vectors: NDArray[np.float32], who: NDArray[np.int64]) -> dict[str, dict[str, float]]:
    """Writes threshold and clustering parameters that are best for ``vectors`` of the characters ``who``."""
    of_pairs = pair_metrics(vectors, who)
    metrics = {
        "f1_score": of_pairs.f1,
        "precision": of_pairs.precision,
        "recall": of_pairs.recall,
        "threshold": of_pairs.threshold,
    }
    cluster = {
        "dbscan_2": _best(vectors, who, "dbscan", _around(of_pairs.threshold, 0.5, 1.3), (2,)),
        "dbscan_free": _best(vectors, who, "dbscan", _around(of_pairs.threshold, 0.5, 1.3), (2, 3, 4)),
        "optics": _best(vectors, who, "optics", _around(of_pairs.threshold, 0.7, 1.8, 8), (3, 4, 5)),
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


def drawings(work: Path, *, workers: int | None = None) -> Drawings:
    """The drawings to train on, about 0.4 MB each; those that are in ``work`` are not drawn again."""
    seed, n_characters, each = SEEDS["train"], N_CHARACTERS["train"], PER_CHARACTER["train"]
    shape = (n_characters * each, SIZE, SIZE, 3)
    cast = training_cast(seed, n_characters)
    work.mkdir(parents=True, exist_ok=True)
    images = _kept(work / "images.npy", np.uint8, shape)
    faces = _kept(work / "faces.npy", np.float32, (shape[0], 4))
    missing = np.flatnonzero(faces[:, 2] == 0)
    jobs = [(seed, cast[i // each], i // each, i % each) for i in map(int, missing)]
    for i, (image, face) in zip(missing, _mapped(_small, jobs, workers), strict=True):
        images[i], faces[i] = image, face
    return Drawings(images, np.array(faces), np.repeat(np.arange(n_characters), each), cast)


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
    """A drawing as a file."""
    seed, character, number, k = job
    random = np.random.default_rng([seed, number, k])
    data = io.BytesIO()
    picture = make_single(random, character, short_side=SHORT_SIDE)
    render(picture, scale=min(FILE_SIDE / max(picture.size), 1.0))[0].save(data, "JPEG", quality=88)
    return data.getvalue()


def _mapped(function, jobs: list, workers: int | None) -> Iterable:
    with ProcessPoolExecutor(workers or usable_cores(), mp_context=get_context("spawn")) as pool:
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
        labels = cluster(vectors, method=method, eps=radius, min_samples=least)
        scores[radius, least] = group_metrics(labels, who).ari
    best = max(scores.values())
    equals = [key for key, score in scores.items() if score >= best - 1e-9]
    radius, least = equals[len(equals) // 2]
    return {"eps": radius, "min_samples": least, "ari": best}


def _write(path: Path, values: dict) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m demo.build_model", description=__doc__.splitlines()[0], epilog=NEEDS
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the files go")
    parser.add_argument("--work", type=Path, help="a folder that keeps drawings and training between runs")
    parser.add_argument("--workers", type=int, help="processes that draw (one per core)")
    parser.add_argument("--only", choices=("train", "measure"), help="one half of the work")
    return parser


if __name__ == "__main__":
    sys.exit(main())
