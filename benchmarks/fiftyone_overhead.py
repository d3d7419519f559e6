"""What a dataset costs: ``compute_embeddings`` against the bare extraction of the same files.

Both open the model, read the files and run it; the difference is FiftyOne: finding what is to do, writing embeddings,
leases. The target is 3 ms per image. Starts a MongoDB of its own.

    python benchmarks/fiftyone_overhead.py --images 400 --rounds 5
"""

import argparse
import atexit
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from common import ROOT, WORK, draw_images, in_turn, machine, span, table, timed

from scripts.local_services import Mongo, isolated_environment

TARGET_MS = 3.0


def main() -> None:
    """The command line."""
    options = _parser().parse_args()
    print(machine())
    use_own_database()
    import fiftyone as fo

    paths = draw_images(WORK / f"images-{options.side}", options.images, sides=(options.side, options.side))
    model = {"model_name": options.model, "model_dir": options.model_dir or tiny_model(options.model)}
    samples = fo.Dataset("overhead")
    box = fo.Detection(label="all", bounding_box=[0, 0, 1, 1])
    samples.add_samples(
        [fo.Sample(str(path), found=fo.Detections(detections=[box.copy()])) for path in paths], progress=False
    )
    _print_extraction(samples, paths, model, options.rounds)
    _print_done(samples, options.rounds)


def _print_extraction(samples: Any, paths: list[Path], model: dict[str, Any], rounds: int) -> None:
    from ccip_plugin.core.encoder import Encoder
    from ccip_plugin.core.encoder.pipeline import extract
    from ccip_plugin.core.encoder.reading import Item
    from ccip_plugin.embeddings import compute_embeddings

    def bare() -> int:
        with Encoder.open(**model) as encoder:
            items = (Item(number, str(path)) for number, path in enumerate(paths))
            return sum(found.vector is not None for found in extract(items, encoder))

    def of_samples() -> int:
        return compute_embeddings(samples, overwrite=True, **model).n_computed

    def of_detections() -> int:
        return compute_embeddings(samples, patches_field="found", overwrite=True, **model).n_computed

    contenders = {"bare extraction": bare, "samples": of_samples, "detections, one per image": of_detections}
    for work in contenders.values():
        assert work() == len(paths)  # and everything is loaded
    found = in_turn({name: lambda work=work: timed(work) for name, work in contenders.items()}, rounds)  # type: ignore[misc]
    each = {name: [1000 * timing.seconds / len(paths) for timing in timings] for name, timings in found.items()}
    cpu = {name: [1000 * timing.cpu / len(paths) for timing in timings] for name, timings in found.items()}
    over = {name: [a - b for a, b in zip(each[name], each["bare extraction"], strict=True)] for name in each}
    rows = [
        (name, span(each[name]), span(cpu[name]), span(over[name]) if name != "bare extraction" else "")
        for name in each
    ]
    header = ("embed all images", "ms per image", "CPU ms per image", f"over bare (target {TARGET_MS:g})")
    table(f"{len(paths)} images, {rounds} rounds, median [range]", header, rows, save_as="overhead")


def _print_done(samples: Any, rounds: int) -> None:
    from ccip_plugin.embeddings import compute_embeddings
    from ccip_plugin.embeddings.load import count_missing, load_embeddings

    work = {
        "compute_embeddings, nothing to do": lambda: compute_embeddings(samples),
        "the same with verify": lambda: compute_embeddings(samples, verify=True),
        "count_missing": lambda: count_missing(samples),
        "load_embeddings": lambda: load_embeddings(samples),
    }
    found = in_turn({name: lambda call=call: timed(call) for name, call in work.items()}, rounds)  # type: ignore[misc]
    rows = [(name, span([timing.seconds for timing in timings], ".3f")) for name, timings in found.items()]
    table(f"{len(samples):,} images that have embeddings", ("call", "seconds"), rows, save_as="nothing-to-do")


def use_own_database() -> None:
    """Starts a MongoDB for this process, to be called before FiftyOne is imported: FiftyOne's farewell needs it."""
    running = ExitStack()
    atexit.register(running.close)
    folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="ccip-bench-")))
    mongo = running.enter_context(Mongo(folder / "mongo"))
    env = isolated_environment(os.environ, folder, uri=mongo.uri, database="bench")
    os.environ.clear()
    os.environ.update(env)


def tiny_model(name: str) -> Path:
    """A folder with a model that takes milliseconds."""
    sys.path.append(str(ROOT))
    from tests.support import tiny_models

    return tiny_models.write_model_dir(WORK / "tiny", name=name)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=400, help="how many (400)")
    parser.add_argument("--side", type=int, default=512, help="their width and height (512)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured, in turn (5)")
    parser.add_argument("--model", default="ccip-caformer-24-randaug-pruned", help="name of the model")
    parser.add_argument("--model-dir", help="folder of models; by default a tiny model is made, which costs little")
    return parser


if __name__ == "__main__":
    main()
