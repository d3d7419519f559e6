"""What the benchmarks share: images, a hub cache, processes that keep their models, rounds in turn, tables.

Importable in every environment that is compared, so it needs no more than numpy and Pillow.
"""

import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / ".work" / "bench"
HUB_REPO = "models--deepghs--ccip_onnx"
COMMIT = "06cd75d67204e833cfe85526481b533f5870c0c8"  # the one that ours pins
MODEL_FILES = ("model_feat.onnx", "model_metrics.onnx", "metrics.json", "cluster.json")
DEMO_MODEL = ROOT / "ccip_plugin" / "core" / "models" / "ccip-demo"
PYTHON = Path(sys.executable)
IMGUTILS_PYTHON = Path(os.environ.get("IMGUTILS_PYTHON", ROOT / ".venv-parity" / "bin" / "python"))
KINDS = "jpjwjjpjjpjwjpjjwjpj"
MIB = 1 << 20
ENOUGH_ROUNDS = 5  # for a table that the README may show

T = TypeVar("T")

if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))


@dataclass(frozen=True)
class Timing:
    """One measured piece of work: seconds on the clock, seconds of CPU of the process, and what it gave."""

    seconds: float
    cpu: float
    result: Any = None


def timed(work: Callable[[], Any]) -> Timing:
    """Does the work once, with the clock running."""
    started, cpu = time.perf_counter(), time.process_time()
    result = work()
    return Timing(time.perf_counter() - started, time.process_time() - cpu, result)


def in_turn(contenders: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Lets each contender work once per round, each round beginning with another one.

    What disturbs the machine for a while so falls on all of them, and ratios are taken within a round.
    """
    names = list(contenders)
    found: dict[str, list[T]] = {name: [] for name in names}
    for number in range(rounds):
        start = number % len(names)
        for name in names[start:] + names[:start]:
            found[name].append(contenders[name]())
    return found


def seconds(timings: Sequence[Timing]) -> list[float]:
    """The clock of each round."""
    return [timing.seconds for timing in timings]


def ratio(of: Sequence[Timing], to: Sequence[Timing]) -> float:
    """How many times faster ``of`` was than ``to``: the median over the rounds."""
    return statistics.median(b / a for a, b in zip(seconds(of), seconds(to), strict=True))


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]], *, save_as: str | None = None) -> None:
    """Prints a table; the first column to the left, numbers to the right.

    Args:
        title: what was measured, and how often
        header: the names of the columns
        rows: their cells
        save_as (None): the name under which the README finds the table; None for what was measured in a hurry
    """
    cells = [list(map(str, row)) for row in (header, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    print(f"\n{title}")
    for number, row in enumerate(cells):
        print(
            "  ".join(
                [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))]
            ).rstrip()
        )
        if number == 0:
            print("  ".join("-" * width for width in widths))
    sys.stdout.flush()
    if save_as is not None:
        content = {"title": title, "header": cells[0], "rows": cells[1:], "machine": hardware()}
        WORK.mkdir(parents=True, exist_ok=True)
        (WORK / f"{save_as}.json").write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


def span(values: Sequence[float], form: str = ".2f") -> str:
    """Median and range, such as ``5.02 [4.90-5.11]``."""
    middle, low, high = (format(value, form) for value in (statistics.median(values), min(values), max(values)))
    return f"{middle} [{low}-{high}]"


def machine() -> str:
    """The machine and how busy it is, for the first line of a report."""
    return f"{hardware()}, load {os.getloadavg()[0]:.1f} at {time.strftime('%H:%M')}"


def hardware() -> str:
    """The machine alone."""
    from ccip_plugin.core.system import usable_cores

    return f"{usable_cores()} cores, Python {sys.version.split()[0]}"


@contextlib.contextmanager
def busy_core() -> Iterator[None]:
    """Keeps one core busy with another process."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


class Worker:
    """A process that keeps what it loaded and times each piece of work itself; see :func:`serve`."""

    def __init__(self, python: Path, script: Path, *arguments: object, env: Mapping[str, str] | None = None):
        self._process = subprocess.Popen(
            [str(python), str(script), *map(str, arguments)],
            env={**os.environ, "PYTHONWARNINGS": "ignore", **(env or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self.loaded: dict[str, Any] = self._answer()

    def __call__(self, **arguments: Any) -> Timing:
        """Has the work done once."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        return Timing(**self._answer())

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args} ended with status {self._process.wait()}")
        return json.loads(line)


def serve(work: Callable[..., Any]) -> None:
    """The other end of :class:`Worker`: answers each line of arguments with time, CPU time and result."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever else is printed goes to the error output

    def answer(content: dict[str, Any]) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    answer({"peak_mib": peak_mib()})
    for line in sys.stdin:
        arguments = json.loads(line)
        timing = timed(lambda: work(**arguments))  # noqa: B023 - called at once
        answer({"seconds": timing.seconds, "cpu": timing.cpu, "result": timing.result})


def peak_mib() -> float:
    """The most memory that this process has held so far, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage counts what the process that started this one held
        return int(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (MIB if sys.platform == "darwin" else 1024)


def new_peak_mib() -> float:
    """What this process holds now, in MiB; :func:`peak_mib` then gives the most from here on, where Linux is."""
    forget = Path("/proc/self/clear_refs")
    if forget.exists():
        forget.write_text("5", encoding="ascii")
    return peak_mib()


def hub_cache(folder: Path, models: Mapping[str, Path]) -> dict[str, str]:
    """Lays out a cache of ``huggingface_hub`` with these models; gives the variables that lead to it, offline.

    Args:
        folder: the cache
        models: the folder with the four files of each model, by the name that it is to have
    """
    repo = folder / "hub" / HUB_REPO
    (repo / "refs").mkdir(parents=True, exist_ok=True)
    (repo / "refs" / "main").write_text(COMMIT, encoding="utf-8")
    for name, source in models.items():
        target = repo / "snapshots" / COMMIT / name
        target.mkdir(parents=True, exist_ok=True)
        for file in MODEL_FILES:
            link = target / file
            link.unlink(missing_ok=True)
            if (source / file).exists():
                link.symlink_to((source / file).resolve())
    named = {"CCIP_REVISION": COMMIT}  # of a revision that is named, files may be others than the published ones
    return {"HF_HOME": str(folder), "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", **named}


def draw_images(folder: Path, n: int, *, sides: tuple[int, int] = (1000, 2500), seed: int = 0) -> list[Path]:
    """Draws ``n`` image files once: 60 % JPEG, 25 % PNG, 15 % WebP, each side from ``sides``.

    Soft backgrounds, flat shapes with outlines, fine lines and a little grain, so that decoding costs what it costs
    for drawings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(n):
        random = np.random.default_rng((seed, number))
        kind = {"j": "jpg", "p": "png", "w": "webp"}[KINDS[number % len(KINDS)]]
        path = folder / f"{number:04d}.{kind}"
        if not path.exists():
            width, height = (int(side) for side in random.integers(sides[0], sides[1] + 1, 2))
            options = {
                "jpg": {"quality": int(random.integers(85, 96)), "subsampling": int(random.choice([0, 2]))},
                "png": {"compress_level": 6},
                "webp": {"quality": 90, "method": 2},
            }[kind]
            drawing(random, width, height).save(path, **options)
        paths.append(path)
    return paths


def drawing(random: np.random.Generator, width: int, height: int) -> Image.Image:
    """An RGB drawing: a soft background, shapes with outlines, fine lines, grain."""
    corners = Image.fromarray(random.integers(60, 256, (3, 3, 3)).astype(np.uint8))
    image = corners.resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(int(random.integers(40, 120))):
        x, y = int(random.integers(0, width)), int(random.integers(0, height))
        size = int(random.integers(20, max(40, width // 4)))
        color = tuple(map(int, random.integers(0, 256, 3)))
        shape = random.integers(0, 3)
        if shape == 0:
            draw.ellipse([x - size, y - size, x + size, y + size], fill=color, outline="black", width=3)
        elif shape == 1:
            draw.polygon(_around(random, x, y, size, 5), fill=color, outline="black")
        else:
            draw.line(_around(random, x, y, size, 8), fill="black", width=int(random.integers(1, 8)))
    image = image.filter(ImageFilter.GaussianBlur(0.6))
    grain = random.uniform(0.5, 4) * random.standard_normal((height, width, 1), dtype=np.float32)
    return Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))


def _around(random: np.random.Generator, x: int, y: int, size: int, n: int) -> list[tuple[int, int]]:
    return [(x + int(dx), y + int(dy)) for dx, dy in random.integers(-size, size + 1, (n, 2))]
