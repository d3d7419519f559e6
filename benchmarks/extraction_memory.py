"""How much memory extraction takes, against the number, the size and the kind of images.

The target: model + workers x (72 MiB + 2 x the decoded bytes of the largest image), beyond what the process has, and no
growth with the number of images. The model is what a process takes to load it and run it once. Decoded is what Pillow
holds, 4 bytes for a pixel. Every row is a process of its own that embeds files through FiftyOne, with our own MongoDB.
Linux only, where a process can forget its peak.

    python benchmarks/extraction_memory.py
"""

import argparse
import ctypes
import gc
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from common import MIB, WORK, machine, table
from extraction import model_files
from fiftyone_overhead import tiny_model, use_own_database
from PIL import Image

MODEL = "ccip-caformer-24-randaug-pruned"
REAL = "caformer_s36"  # the backbone of most of the published models
WORKER_MIB = 72
BYTES_PER_PIXEL = 4


def main() -> None:
    """The command line."""
    options = _parser().parse_args()
    if options.child:
        print(json.dumps(_measure(**json.loads(options.child))))
        return
    print(machine())
    counts = (100, 1000, 10_000) if options.long else (50, 200, 800)
    workers, most = options.workers, 4 * options.workers
    _print("the number of images", [("mixed", n, 1200, workers) for n in counts])
    _print("their size", [("mixed", most, side, workers) for side in (500, 2000, 6000)])
    _print("the number of workers", [("mixed", 4 * n, 3000, n) for n in (1, 2, 4)])
    _print("the kind of file", [(kind, most, 4000, workers) for kind in KINDS_OF_FILES])
    _print("the size of WebP files", [("WebP", most, side, workers) for side in (1200, 6000)])
    _print(f"files of each size with {REAL}", [("mixed", most, side, workers, REAL) for side in (500, 2000, 6000)])


def _print(what: str, cases: list[tuple[str, int, int, int] | tuple[str, int, int, int, str]]) -> None:
    header = ("files", "images", "side", "workers", "model MiB", "peak MiB", "target MiB", "share of target")
    rows = [_row(*case) for case in cases]
    table(f"{what} and the peak memory of compute_embeddings", header, rows, save_as=f"memory-{what.split()[-1]}")


def _row(kind: str, n: int, side: int, workers: int, model: str | None = None) -> tuple[object, ...]:
    arguments = {"kind": kind, "n": n, "side": side, "workers": workers, "model": model}
    command = [sys.executable, __file__, "--child", json.dumps(arguments)]
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
    target = found["model"] + workers * (WORKER_MIB + 2 * side * side * BYTES_PER_PIXEL / MIB)
    peak = found["peak"]
    return kind, n, side, workers, f"{found['model']:.0f}", f"{peak:.0f}", f"{target:.0f}", f"{peak / target:.0%}"


def _measure(kind: str, n: int, side: int, workers: int, model: str | None) -> dict[str, float]:
    paths = _files(kind, n, side)
    use_own_database()
    import fiftyone as fo

    from ccip_plugin.core.encoder import Encoder
    from ccip_plugin.embeddings import compute_embeddings

    model_dir = tiny_model(MODEL) if model is None else _folder_with(model)
    first = _files("JPEG", 2, 64)
    samples = fo.Dataset("memory")
    samples.add_samples([fo.Sample(str(path)) for path in [*first, *paths]], progress=False)
    compute_embeddings(samples[:2], model_dir=model_dir, workers=1)  # all is imported now
    before = _resident()
    with Encoder.open(MODEL, model_dir=model_dir, provider="CPUExecutionProvider") as encoder:
        encoder.embed(first)
        of_model = max(0.0, _resident() - before)  # of a tiny one there is only noise
    before = _resident()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak
    report = compute_embeddings(samples, model_dir=model_dir, workers=workers)
    assert report.n_computed == n, str(report)
    return {"model": of_model, "peak": _status("VmHWM") - before}


def _resident() -> float:
    """What this process has, without what was freed and not given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return _status("VmRSS")


def _folder_with(model: str) -> Path:
    """A folder of models in which a model with random weights stands for the default one."""
    folder = WORK / "memory-models" / model
    folder.mkdir(parents=True, exist_ok=True)
    source = model_files(model)
    if not (folder / MODEL).exists():
        (folder / MODEL).symlink_to(source, target_is_directory=True)
    return folder


def _files(kind: str, n: int, side: int) -> list[Path]:
    """``n`` files of a kind: one of each that is named, again and again, under names of their own."""
    kinds = ("JPEG", "PNG", "PNG with alpha", "WebP") if kind == "mixed" else (kind,)
    folder = WORK / "memory"
    originals = [_file(folder, name, side) for name in kinds]
    paths = [folder / f"{number:06d}-{originals[number % len(kinds)].name}" for number in range(n)]
    for number, path in enumerate(paths):
        if not path.exists():
            path.symlink_to(originals[number % len(kinds)])
    return paths


def _file(folder: Path, kind: str, side: int) -> Path:
    suffix, mode, options = KINDS_OF_FILES[kind]
    path = folder / f"{kind}-{side}.{suffix}".replace(" ", "-")
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        small = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 60, 3)).astype(np.uint8))
        small.resize((side, side)).convert(mode).save(path, **options)
    return path


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


KINDS_OF_FILES = {
    "JPEG": ("jpg", "RGB", {}),
    "progressive JPEG": ("jpg", "RGB", {"progressive": True, "subsampling": 0}),
    "JPEG to be turned": ("jpg", "RGB", {"exif": _turned()}),
    "PNG": ("png", "RGB", {"compress_level": 1}),
    "PNG with alpha": ("png", "RGBA", {"compress_level": 1}),
    "grey PNG": ("png", "L", {"compress_level": 1}),
    "WebP": ("webp", "RGB", {"method": 0}),
    "WebP with alpha": ("webp", "RGBA", {"method": 0}),
    "CMYK JPEG": ("jpg", "CMYK", {}),
}


def _status(name: str) -> float:
    """A line of the status of this process, in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1]) / 1024


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2, help="threads where the row does not say (2)")
    parser.add_argument("--long", action="store_true", help="more images, up to 10,000")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    main()
