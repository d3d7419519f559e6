"""What thumbnails cost in ``compute_embeddings``: with them, with those of an earlier run, with a folder that cannot be
written, and without; of images and of detections. All in one process, in turn. Starts a MongoDB of its own.

    python benchmarks/thumbnails.py --images 60 --rounds 5
"""

import argparse
import os
import shutil
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from common import WORK, Timing, draw_images, in_turn, machine, span, table, timed
from fiftyone_overhead import tiny_model, use_own_database

MODEL = "ccip-caformer-24-randaug-pruned"
WITHOUT = "without"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=60, help="how many (60)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured, in turn (5)")
    parser.add_argument("--model-dir", help="folder of models; by default a tiny model is made, which costs little")
    options = parser.parse_args()
    print(machine())
    use_own_database()
    import fiftyone as fo

    model = {"model_name": MODEL, "model_dir": options.model_dir or tiny_model(MODEL)}
    samples = fo.Dataset("thumbnails")
    boxes = [[0, 0, 0.5, 0.5], [0.5, 0, 0.5, 0.5], [0, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.5]]
    for path in draw_images(WORK / "images", options.images):
        faces = fo.Detections(detections=[fo.Detection(label="face", bounding_box=box) for box in boxes])
        samples.add_sample(fo.Sample(str(path), faces=faces))
    with tempfile.TemporaryDirectory(prefix="ccip-thumbnails-") as folder:
        for patches_field, n_items in ((None, options.images), ("faces", len(boxes) * options.images)):
            show(samples, patches_field, n_items, model, Path(folder), options.rounds)
    print(f"\nAt the end: {machine()}")


def show(
    samples: Any, patches_field: str | None, n_items: int, model: dict[str, Any], folder: Path, rounds: int
) -> None:
    """Measures images or detections, and prints a table."""
    contenders = contenders_on(samples, patches_field, model, folder)
    for work in contenders.values():
        assert work().result == n_items  # and everything is loaded
    found = in_turn(contenders, rounds)
    each = {name: [1000 * timing.seconds / n_items for timing in timings] for name, timings in found.items()}
    cpu = {name: [1000 * timing.cpu / n_items for timing in timings] for name, timings in found.items()}
    more = {name: [a - b for a, b in zip(cpu[name], cpu[WITHOUT], strict=True)] for name in each}
    rows = [(name, span(each[name]), span(cpu[name]), span(more[name])) for name in each]
    what = "detections, four in an image" if patches_field else "images"
    header = ("thumbnails", "ms each", "CPU ms each", "more CPU")
    sizes = [path.stat().st_size for path in (folder / "kept").rglob("*.webp")]
    title = f"{n_items} {what}, of files of 1000-2500 px; {rounds} rounds, median [range]"
    table(f"{title}; a thumbnail takes {statistics.mean(sizes):,.0f} bytes", header, rows)


def contenders_on(
    samples: Any, patches_field: str | None, model: dict[str, Any], folder: Path
) -> dict[str, Callable[[], Timing]]:
    """What is compared."""
    from ccip_plugin.embeddings import compute_embeddings

    taken = folder / "taken"
    taken.touch()

    def embed(cache: Path, is_new: bool, thumbnails: bool) -> Timing:
        os.environ["CCIP_CACHE_DIR"] = str(cache)
        if is_new:
            shutil.rmtree(cache, ignore_errors=True)
        options = {"patches_field": patches_field, "overwrite": True, "thumbnails": thumbnails}
        return timed(lambda: compute_embeddings(samples, **options, **model).n_computed)

    return {
        WITHOUT: partial(embed, folder / "none", False, False),
        "made": partial(embed, folder / "new", True, True),
        "made by an earlier run": partial(embed, folder / "kept", False, True),
        "folder not writable": partial(embed, taken, False, True),
    }


if __name__ == "__main__":
    main()
