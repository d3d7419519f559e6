"""Makes what both tools work on: image files of every kind, models, published values, embeddings."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from PIL import Image, ImageDraw, ImageFilter

from benchmarks import common, make_models, simulation
from ccip_plugin.core.registry import DEFAULT_MODEL, DEMO_MODEL, MODELS
from tests.support import tiny_models
from tests.support.detection.random_boxes import write_random_detector
from tests.support.detection.rectangles import COLORS, write_detector

from .questions import DETECTOR_REPO, IDENTITY, LAYOUTS

SIZES = ((384, 384), (1210, 1701), (37, 900), (640, 5), (1, 1))
OWN_METRIC = "ccip-caformer-5_fp32"  # gets a metric file that is not (1 - cos) / 2
N_SIMULATED = (12, 60, 200, 500)


def build(folder: Path) -> dict[str, Any]:
    """Writes everything into ``folder``; gives the index, which is written, too."""
    models = _models(folder / "models")
    index = {
        "files": _ordinary(folder / "images"),
        "stated": _stated(folder / "images"),
        "embedded": [str(path) for path in common.draw_images(folder / "drawings", 12, sides=(300, 900))],
        "rectangles": _rectangles(folder / "rectangles"),
        "models": [name for name in models if (models[name] / "model_feat.onnx").exists() and name != IDENTITY],
        "published": [name for name in models if (models[name] / "metrics.json").exists()],
        "model_dir": str(folder / "models"),
        "nothing": str(folder / "nothing"),
        "env": common.hub_cache(folder / "cache", models),
        "detectors": _detectors(folder / "cache" / "hub" / f"models--{DETECTOR_REPO.replace('/', '--')}"),
    }
    np.savez(folder / "vectors.npz", **_vectors())
    (folder / "nothing").mkdir()
    (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
    return index


def _models(folder: Path) -> dict[str, Path]:
    """Folders of models by name: three that can embed, one that shows its input, the published values of the others."""
    for number, spec in enumerate(MODELS.values()):
        if not spec.is_stand_in:
            _write_published(folder / spec.name, spec, number)
    _write_graphs(folder / DEFAULT_MODEL, make_models.Caformer(make_models.SHAPES["caformer_mini"]).model(), "good")
    _write_graphs(folder / OWN_METRIC, tiny_models.feat_model(), "squared")
    pixels = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3, 384, 384]) for name in ("input", "output")
    ]
    graph = helper.make_graph([helper.make_node("Identity", ["input"], ["output"])], "shows", pixels[:1], pixels[1:])
    (folder / IDENTITY).mkdir()
    same = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(same, str(folder / IDENTITY / "model_feat.onnx"))
    models = {path.name: path for path in sorted(folder.iterdir())}
    if (common.DEMO_MODEL / "model_feat.onnx").exists():
        models[DEMO_MODEL] = common.DEMO_MODEL
    return models


def _detectors(repo: Path) -> dict[str, dict[str, str]]:
    """Detectors of each layout, as in a cache of the hub: drawn rectangles, and many overlapping boxes."""
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(common.COMMIT, encoding="utf-8")
    found: dict[str, dict[str, str]] = {}
    for layout in LAYOUTS:
        for kind, write in (("rectangles", write_detector), ("random", write_random_detector)):
            model = repo / "snapshots" / common.COMMIT / f"{layout}_{kind}"
            path = write(model / "model.onnx", layout)
            if layout == "rtdetr":
                (model / "model_type.json").write_text(json.dumps({"model_type": layout}), encoding="utf-8")
            found.setdefault(layout, {})[model.name] = str(path)
    return found


def _write_published(folder: Path, spec: Any, number: int) -> None:
    """The default model keeps its values; others get theirs changed, so that it shows who reads the files."""
    folder.mkdir(parents=True)
    change = 0.0 if spec.name == DEFAULT_MODEL else 0.001 * (number + 1)
    (folder / "metrics.json").write_text(json.dumps({"threshold": spec.threshold + change}), encoding="utf-8")
    presets = {
        name: {"eps": eps + change, "min_samples": min_samples + bool(change)}
        for name, (eps, min_samples) in spec.presets.items()
    }
    (folder / "cluster.json").write_text(json.dumps(presets), encoding="utf-8")


def _write_graphs(folder: Path, features: onnx.ModelProto, metric: str) -> None:
    onnx.save(features, str(folder / "model_feat.onnx"))
    onnx.save(tiny_models.metrics_model(metric), str(folder / "model_metrics.onnx"))


def _ordinary(folder: Path) -> dict[str, list[str]]:
    """Files by kind, which both tools must read identically."""
    folder.mkdir()
    files: dict[str, list[str]] = {}

    def save(kind: str, image: Image.Image, name: str, **options: Any) -> None:
        path = folder / f"{kind} {image.width}x{image.height} {name}"
        image.save(path, **options)
        files.setdefault(f"{kind}, {path.suffix[1:].upper().replace('JPG', 'JPEG')}", []).append(str(path))

    for number, (width, height) in enumerate(SIZES):
        image = common.drawing(np.random.default_rng(number), width, height)
        clear = _cut_out(image)
        grey = image.convert("L")
        for name, options in (("a.jpg", {"quality": 92}), ("b.jpg", {"subsampling": 0, "progressive": True})):
            save("RGB", image, name, **options)
        save("RGB", image, "a.png")
        save("RGB", image, "a.webp", quality=85)
        save("RGB", image, "b.webp", lossless=True)
        save("RGB", image, "a.bmp")
        for suffix in ("jpg", "png", "webp"):
            save("grey", grey, f"a.{suffix}")
        save("black and white", image.convert("1"), "a.png")
        save("palette", image.quantize(200), "a.png")
        save("palette", image.quantize(64), "a.gif")
        save("RGBA", clear, "a.png")
        save("RGBA", clear, "a.webp", lossless=True)
        save("grey with alpha", clear.convert("LA"), "a.png")
        save("CMYK", image.convert("CMYK"), "a.jpg", quality=90)
    return files


def _stated(folder: Path) -> dict[str, list[tuple[str, str]]]:
    """Files that are read differently on purpose, each with a copy from which both tools must get the same."""
    image = common.drawing(np.random.default_rng(99), 500, 700)
    pairs: dict[str, list[tuple[str, str]]] = {"EXIF orientation": [], "16-bit grey": [], "transparent palette": []}
    pairs |= {"transparent color": [], "animation with a blank first frame": []}

    def add(kind: str, odd: str, plain: Image.Image) -> None:
        plain.save(folder / f"plain {odd}.png")
        pairs[kind].append((str(folder / odd), str(folder / f"plain {odd}.png")))

    for orientation, method in ((3, "ROTATE_180"), (5, "TRANSPOSE"), (6, "ROTATE_270"), (8, "ROTATE_90")):
        exif = Image.Exif()
        exif[0x112] = orientation
        name = f"turned {orientation}.jpg"
        image.save(folder / name, exif=exif, quality=92)
        stored = Image.open(folder / name).convert("RGB")
        add("EXIF orientation", name, stored.transpose(Image.Transpose[method]))
    deep = np.linspace(0, 65535, 500 * 700).astype(np.uint16).reshape(700, 500)
    Image.fromarray(deep).save(folder / "deep.png")
    add("16-bit grey", "deep.png", Image.fromarray((deep >> 8).astype(np.uint8)))
    _cut_out(image).quantize(64).save(folder / "clear palette.png")
    add("transparent palette", "clear palette.png", Image.open(folder / "clear palette.png").convert("RGBA"))
    image.save(folder / "hole.png", transparency=image.getpixel((0, 0)))
    add("transparent color", "hole.png", Image.open(folder / "hole.png").convert("RGBA"))
    frames = [Image.new("RGB", image.size, "white"), image]
    frames[0].save(folder / "moving.webp", save_all=True, append_images=frames[1:], duration=100, lossless=True)
    add("animation with a blank first frame", "moving.webp", image)
    return pairs


def _rectangles(folder: Path) -> list[str]:
    """Images with a rectangle of each class, of odd sizes, so that edges fall between pixels."""
    folder.mkdir()
    paths = []
    for number, (width, height) in enumerate(((64, 64), (333, 217), (1000, 40), (71, 640))):
        random = np.random.default_rng(number)
        image = Image.new("RGB", (width, height), "white")
        for label, column in zip(COLORS, random.permutation(2).tolist(), strict=True):
            left, top = column * width // 2 + random.integers(width // 6 + 1), random.integers(height // 3 + 1)
            right, bottom = (
                left + random.integers(width // 5, width // 3),
                top + random.integers(height // 3, height // 2),
            )
            ImageDraw.Draw(image).rectangle((left, top, right, bottom), COLORS[label])
        paths.append(str(folder / f"{number}.png"))
        image.save(paths[-1])
    return paths


def _cut_out(image: Image.Image) -> Image.Image:
    """The image as RGBA, gone at the edges, with colors kept under what is transparent."""
    x, y = np.meshgrid(np.linspace(-1, 1, image.width), np.linspace(-1, 1, image.height))
    alpha = Image.fromarray(((x**2 + y**2 < 0.8) * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(5))
    clear = image.convert("RGBA")
    clear.putalpha(alpha)
    return clear


def _vectors() -> dict[str, np.ndarray]:
    """Sets of embeddings: simulated ones of several sizes, and one in which every image is there three times."""
    sets = {f"{n} simulated": simulation.simulate(n, seed=n)[0] for n in N_SIMULATED}
    return sets | {"40 simulated, each 3 times": np.repeat(simulation.simulate(40, seed=1)[0], 3, axis=0)}
