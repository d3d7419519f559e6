"""A folder of images of characters with the truth about every file.

``truth.json`` beside the images says what each file shows::

    {"format": 1, "seed": 0,
     "characters": {"c003": {"name": "ルミナ・ノエル", "twin_of": null, "images": 9}, ...},
     "images": {"fanart_0012.jpg": {
         "kind": "single",
         "crop": "bust",
         "characters": [{"character": "c003", "name": "ルミナ・ノエル", "box": [0.1, 0.2, 0.5, 0.8], "outfit": 0}]}}}

Keys of ``images`` are paths below the folder with ``/``. ``kind`` is ``single``, ``group`` (two or three characters),
``nobody`` (no character) or ``broken`` (cannot be read as an image). A box is ``[x, y, width, height]``, relative
to the size of the image, around everything that was drawn of the character, other characters in front of it or not.
``crop`` says how much of them is seen: ``face``, ``bust``, ``half``, ``full``, or ``none`` where there is no character.
"""

from __future__ import annotations

import io
import json
import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ccip_plugin.core.system import usable_cores

from .character import Character, Random, make_character, make_twin, pick
from .picture import Picture, make_group, make_nobody, make_single, render

FORMAT = 1
TRUTH_FILE = "truth.json"
KINDS = ("single", "group", "nobody", "broken")
TWIN_EVERY = 8  # every eighth character is easily taken for the one before
SHORT_SIDE = (500, 1400)
LARGE_SIDE = (1700, 2400)

_STEMS = (
    "illust",
    "fanart",
    "sketch",
    "screenshot",
    "IMG",
    "イラスト",
    "らくがき",
    "お絵かき",
    "夏祭り",
    "メモ",
    "édition",
    "🌸 haru",
)
_FOLDERS = ("", "", "", "", "", "2024", "未整理", "fan art/round 2")
_BREAKAGES = ("cut", "empty", "text", "garbage", "html", "header")


@dataclass(frozen=True)
class Seen:
    """A character in an image: who, and the relative box ``(x, y, width, height)``."""

    character: str
    name: str
    box: tuple[float, float, float, float]
    outfit: int = 0


@dataclass(frozen=True)
class TrueImage:
    """What an image file shows."""

    path: str
    kind: str
    seen: tuple[Seen, ...] = ()
    crop: str = "none"


@dataclass(frozen=True)
class World:
    """A folder of images and the truth about it."""

    folder: Path
    seed: int
    characters: dict[str, Character]
    images: tuple[TrueImage, ...]

    def of_kind(self, kind: str) -> list[TrueImage]:
        """The images of one kind."""
        return [image for image in self.images if image.kind == kind]

    def labels(self) -> dict[str, str]:
        """Path of each single-character image -> key of its character."""
        return {image.path: image.seen[0].character for image in self.images if image.kind == "single"}


@dataclass(frozen=True)
class Job:
    """A file to be written: its path below the folder and what is on it."""

    path: str
    kind: str
    seed: tuple[int, ...]
    characters: tuple[Character, ...] = ()
    breakage: str = ""
    short_side: tuple[int, int] = field(default=SHORT_SIDE)


def make_world(
    folder: str | Path,
    *,
    n_characters: int = 24,
    n_images: int = 300,
    seed: int = 0,
    n_once: int | None = None,
    n_groups: int | None = None,
    n_nobody: int | None = None,
    n_broken: int | None = None,
    short_side: tuple[int, int] = SHORT_SIDE,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> World:
    """Draws a folder of images and writes ``truth.json`` into it. The same arguments give the same files.

    Args:
        folder: where to; made when it is not there
        n_characters (24): characters that are to be found again; every eighth is a near-twin of the one before
        n_images (300): all files together
        seed (0): another seed is another world
        n_once (None): how many further characters appear a single time; by default one in 25 images
        n_groups (None): images with two or three characters; by default one in 14
        n_nobody (None): images without a character; by default one in 20
        n_broken (None): files that cannot be read; by default one in 50, at most six
        short_side ((500, 1400)): limits of the short side in pixels; when left alone, one file in 25 is larger
        workers (None): processes; None for one per core
        progress (None): called with the number of files done and the number of all

    Returns:
        the :class:`World`
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    counts = _counts(n_images, n_once, n_groups, n_nobody, n_broken)
    cast = make_cast(seed, n_characters)
    extras = [make_character(seed, n_characters + i) for i in range(counts["once"])]
    jobs = plan(cast, extras, counts, seed, short_side)
    images: list[TrueImage] = []
    for done, image in enumerate(_drawn(folder, jobs, workers), start=1):
        images.append(image)
        if progress is not None:
            progress(done, len(jobs))
    world = World(folder, seed, {c.key: c for c in (*cast, *extras)}, tuple(images))
    (folder / TRUTH_FILE).write_text(json.dumps(_as_json(world), ensure_ascii=False, indent=1), encoding="utf-8")
    return world


def make_cast(seed: int, n_characters: int) -> list[Character]:
    """The characters of a world: any number, and the first ones do not depend on how many there are."""
    cast: list[Character] = []
    for number in range(n_characters):
        twin = number % TWIN_EVERY == TWIN_EVERY - 1
        cast.append(make_twin(cast[-1], seed, number) if twin else make_character(seed, number))
    return cast


def read_truth(folder: str | Path) -> tuple[TrueImage, ...]:
    """What ``truth.json`` in ``folder`` says about the images."""
    truth = json.loads((Path(folder) / TRUTH_FILE).read_text(encoding="utf-8"))
    if truth["format"] != FORMAT:
        raise ValueError(f"{TRUTH_FILE} has format {truth['format']!r}, this code reads {FORMAT}")
    return tuple(
        TrueImage(
            path,
            entry["kind"],
            tuple(Seen(s["character"], s["name"], tuple(s["box"]), s["outfit"]) for s in entry["characters"]),
            entry["crop"],
        )
        for path, entry in truth["images"].items()
    )


def plan(
    cast: list[Character], extras: list[Character], counts: dict[str, int], seed: int, short_side: tuple[int, int]
) -> list[Job]:
    """Which files there will be, in the order of their numbers."""
    random = np.random.default_rng([seed, 5])
    shown: list[tuple[str, tuple[Character, ...], str]] = []
    shown += [("single", (c,), "") for c in _shared(random, cast, counts["single"])]
    shown += [("single", (c,), "") for c in extras]
    for _ in range(counts["group"]):
        n = min(2 if random.random() < 0.65 else 3, len(cast))
        shown.append(("group", tuple(cast[int(i)] for i in random.permutation(len(cast))[:n]), ""))
    shown += [("nobody", (), "")] * counts["nobody"]
    shown += [("broken", (), _BREAKAGES[i % len(_BREAKAGES)]) for i in range(counts["broken"])]
    jobs = []
    for number, i in enumerate(random.permutation(len(shown))):
        kind, characters, breakage = shown[int(i)]
        large = short_side == SHORT_SIDE and random.random() < 0.04
        path = _path(random, number, kind, breakage)
        side = LARGE_SIDE if large else short_side
        jobs.append(Job(path, kind, (seed, 11, number), characters, breakage, side))
    return jobs


def draw(job: Job) -> tuple[Picture, Image.Image, TrueImage]:
    """Draws the image of a job that is not a broken file."""
    random = np.random.default_rng(job.seed)
    if job.kind == "group":
        picture = make_group(random, job.characters, short_side=job.short_side)
    elif job.kind == "single":
        picture = make_single(random, job.characters[0], short_side=job.short_side)
    else:
        picture = make_nobody(random, short_side=job.short_side)
    image, boxes = render(picture)
    seen = tuple(
        Seen(f.character.key, f.character.name, tuple(round(v, 5) for v in box), f.pose.outfit)  # type: ignore[arg-type]
        for f, box in zip(picture.figures, boxes, strict=True)
    )
    return picture, image, TrueImage(job.path, job.kind, seen, picture.crop)


def write(folder: Path, job: Job) -> TrueImage:
    """Writes the file of a job below ``folder``."""
    path = folder / job.path
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng([*job.seed, 3])
    if job.kind == "broken":
        path.write_bytes(_broken(job, random))
        return TrueImage(job.path, job.kind)
    _, image, truth = draw(job)
    path.write_bytes(_encoded(image, path.suffix, random))
    return truth


def _drawn(folder: Path, jobs: list[Job], workers: int | None) -> Iterator[TrueImage]:
    workers = min(workers or usable_cores(), max(len(jobs) // 8, 1))
    if workers == 1:
        yield from (write(folder, job) for job in jobs)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        yield from pool.map(write, [folder] * len(jobs), jobs, chunksize=4)


def _counts(
    n_images: int, n_once: int | None, n_groups: int | None, n_nobody: int | None, n_broken: int | None
) -> dict[str, int]:
    counts = {
        "once": n_images // 25 if n_once is None else n_once,
        "group": n_images // 14 if n_groups is None else n_groups,
        "nobody": n_images // 20 if n_nobody is None else n_nobody,
        "broken": min(n_images // 50, len(_BREAKAGES)) if n_broken is None else n_broken,
    }
    counts["single"] = n_images - sum(counts.values())
    if counts["single"] < 0:
        raise ValueError(f"{n_images} images are too few for {counts}")
    return counts


def _shared(random: Random, cast: list[Character], n: int) -> list[Character]:
    """``n`` appearances shared among ``cast``: everybody about equally often, main characters a little more."""
    if not cast:
        return []
    weight = random.uniform(0.6, 1.6, len(cast))
    exact = weight / weight.sum() * n
    times = np.floor(exact).astype(int)
    for i in np.argsort(times - exact)[: n - int(times.sum())]:
        times[i] += 1
    return [c for c, count in zip(cast, times, strict=True) for _ in range(int(count))]


def _path(random: Random, number: int, kind: str, breakage: str) -> str:
    suffix = pick(random, (".jpg", ".png", ".webp"), (0.62, 0.22, 0.16))
    if kind == "broken":
        suffix = ".png" if breakage == "header" else ".jpg"
    folder = pick(random, _FOLDERS)
    return f"{folder}{'/' if folder else ''}{pick(random, _STEMS)}_{number:04d}{suffix}"


def _encoded(image: Image.Image, suffix: str, random: Random) -> bytes:
    data = io.BytesIO()
    if suffix == ".jpg":
        image.save(data, "JPEG", quality=int(random.integers(72, 96)), subsampling=int(random.choice([0, 2])))
    elif suffix == ".webp":
        image.save(data, "WEBP", quality=int(random.integers(75, 95)), method=2)
    else:
        image.save(data, "PNG", compress_level=3)
    return data.getvalue()


def _broken(job: Job, random: Random) -> bytes:
    """The content of a file that is no image."""
    if job.breakage == "empty":
        return b""
    if job.breakage == "text":
        return "これは画像ではありません。 This is not an image.\n".encode() * 20
    if job.breakage == "html":
        return b"<!DOCTYPE html><html><body><h1>404 Not Found</h1></body></html>\n"
    if job.breakage == "garbage":
        return random.bytes(20_000)
    data = io.BytesIO()
    picture = make_nobody(random, short_side=(400, 500))
    render(picture)[0].save(data, "PNG" if job.breakage == "header" else "JPEG")
    whole = data.getvalue()
    return whole[:30] if job.breakage == "header" else whole[: len(whole) // 3]


def _as_json(world: World) -> dict[str, Any]:
    times = Counter(seen.character for image in world.images for seen in image.seen)
    characters = {
        key: {"name": c.name, "twin_of": c.twin_of, "images": times[key]} for key, c in world.characters.items()
    }
    return {
        "format": FORMAT,
        "seed": world.seed,
        "characters": characters,
        "images": {image.path: _image_json(image) for image in world.images},
    }


def _image_json(image: TrueImage) -> dict[str, Any]:
    seen: Iterable[Seen] = image.seen
    return {
        "kind": image.kind,
        "crop": image.crop,
        "characters": [
            {"character": s.character, "name": s.name, "box": list(s.box), "outfit": s.outfit} for s in seen
        ],
    }
