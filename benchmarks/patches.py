"""Embedding detections: ``compute_embeddings(patches_field=...)`` against FiftyOne's ``compute_patch_embeddings``.

Both use the same model file on the same boxes and have to give the same vectors. The target is 1.6 times the speed
of FiftyOne's own call with the registered model and batches of 16. Starts a MongoDB of its own.

    python benchmarks/patches.py --model ccip-demo --images 2000 --rounds 3
"""

import argparse
import functools
import itertools
import logging
from pathlib import Path
from typing import Any

import numpy as np
from common import WORK, draw_images, in_turn, machine, ratio, seconds, span, table, timed
from fiftyone_overhead import tiny_model, use_own_database

TARGET = 1.6
OURS, BATCHES, SINGLE = "compute_embeddings", "compute_patch_embeddings, 16", "compute_patch_embeddings, one by one"


def main() -> None:
    """The command line."""
    options = _parser().parse_args()
    print(machine())
    use_own_database()
    logging.getLogger("ccip_plugin").setLevel(logging.ERROR)
    folder = options.model_dir or (None if options.model == "ccip-demo" else tiny_model(options.model))
    sides = (options.side * 2 // 5, options.side)
    paths = draw_images(WORK / f"patches-{options.side}", min(options.files, options.images), sides=sides)
    _measure(_dataset(paths, options.images, options.boxes), options.model, folder, options.rounds)


def _dataset(paths: list[Path], n_images: int, n_boxes: int) -> Any:
    """A dataset of ``n_images`` images; files are used several times."""
    import fiftyone as fo

    random = np.random.default_rng(0)
    samples = []
    for path in itertools.islice(itertools.cycle(paths), n_images):
        boxes = [[*random.uniform(0, 0.6, 2), *random.uniform(0.15, 0.4, 2)] for _ in range(n_boxes)]
        found = [fo.Detection(label="face", bounding_box=box) for box in boxes]
        samples.append(fo.Sample(str(path), faces=fo.Detections(detections=found)))
    dataset = fo.Dataset("patches")
    dataset.add_samples(samples, progress=False)
    return dataset


def _measure(dataset: Any, model_name: str, folder: Path | None, rounds: int) -> None:
    from ccip_plugin.embeddings import compute_embeddings
    from ccip_plugin.zoo.model import CCIPModel, CCIPModelConfig

    model = CCIPModel(CCIPModelConfig(model_name, model_dir=folder))
    native = functools.partial(dataset.compute_patch_embeddings, model, "faces", progress=False)

    def ours() -> None:
        options = {"model_name": model_name, "model_dir": folder, "overwrite": True}
        report = compute_embeddings(dataset, patches_field="faces", embeddings_field="ours", **options)
        assert not report.n_failed, str(report)

    found = in_turn(
        {
            OURS: lambda: timed(ours),
            BATCHES: lambda: timed(lambda: native(embeddings_field="batches", batch_size=16)),
            SINGLE: lambda: timed(lambda: native(embeddings_field="single")),
        },
        rounds,
    )
    n = len(dataset)
    rows = [
        (
            name,
            span([1000 * each / n for each in seconds(timings)]),
            span([1000 * timing.cpu / n for timing in timings]),
            f"{ratio(found[OURS], timings):.2f}",
        )
        for name, timings in found.items()
    ]
    title = f"{n:,} images, {dataset.count('faces.detections'):,} boxes, {model_name}, {rounds} rounds, median [range]"
    table(title, ("", "ms per image", "CPU ms per image", "ours is faster by"), rows)
    print(f"largest difference of a number of two vectors: {_largest_gap(dataset):.1e}")
    print(f"{ratio(found[OURS], found[BATCHES]):.2f} times as fast as batches of 16 (target {TARGET})")


def _largest_gap(dataset: Any) -> float:
    dataset.reload()
    names = ("ours", "batches", "single")
    columns = [dataset.values(f"faces.detections.{name}", unwind=True) for name in names]
    vectors = [np.stack(column) for column in columns]
    return max(float(np.abs(vectors[0] - other).max()) for other in vectors[1:])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000, help="how many (2000)")
    parser.add_argument("--boxes", type=int, default=3, help="in each image (3)")
    parser.add_argument("--files", type=int, default=40, help="different files among them (40)")
    parser.add_argument("--side", type=int, default=2500, help="longest side of an image (2500); the shortest is 2/5")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured, in turn (3)")
    parser.add_argument("--model", default="ccip-caformer-24-randaug-pruned", help="name of the model")
    parser.add_argument("--model-dir", help="folder of models; by default a tiny model is made, which costs little")
    return parser


if __name__ == "__main__":
    main()
