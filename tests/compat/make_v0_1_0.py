"""Makes ``v0_1_0.bson.gz``: the data of version 0.1.0, in every state that data can be in.

The file is kept, and this script with it as the record of where it comes from. It runs the code of commit 095ab53, from
a checkout of its own, on a MongoDB of its own; needs ffmpeg. From the root of the repository:

    git worktree add --detach ../at-0.1.0 095ab53
    .venv/bin/python -m tests.compat.make_v0_1_0 ../at-0.1.0

Unfinished changes come from real ones: each is done by a process that kills itself at that point. Names, labels and
files are the same each time; ids, times and process numbers are not.
"""

import argparse
import importlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .archive import connect, save

COMMIT = "095ab53"
TARGET = Path(__file__).with_name("v0_1_0.bson.gz")
DATABASE = "ccip_v0_1_0"
MODEL = "ccip-caformer-24-randaug-pruned"
COLOURS = {
    "a": (230, 40, 40),  # from A by 0.16, from the others by more than 0.4
    "A": (230, 150, 40),
    "b": (40, 60, 230),
    "c": (40, 220, 60),
    "e": (20, 20, 20),
}
CHARACTERS = ("a1", "a2", "a3", "A1", "A2", "A3", "b1", "b2", "b3", "c1", "c2", "e1")
STRICT, LOOSE = 0.1, 0.3  # eps: a and A are two characters, or one
WHEN = 1_750_000_000  # when all files were written


def main() -> None:
    """Runs the steps, each in a process of its own, and copies what they leave."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help=f"of commit {COMMIT}")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    checkout = options.checkout.resolve()
    sys.path[:0] = [str(checkout), str(checkout / "scripts"), str(checkout / "tests")]
    if options.step:
        socket.gethostname = lambda: "a-machine"  # which a lease names
        STEPS[options.step](Path(os.environ["COMPAT_FOLDER"]))
        return
    head = subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout
    if not head.startswith(COMMIT):
        parser.error(f"{checkout} is at {head.strip()}, not at {COMMIT}")
    with tempfile.TemporaryDirectory(prefix="ccip-compat-") as work:
        make(Path(work).resolve(), checkout)
    print(f"{TARGET}: {TARGET.stat().st_size:,} bytes")


def make(work: Path, checkout: Path) -> None:
    """Fills a database and a folder, and writes them into the file."""
    from local_services import Mongo, isolated_environment

    folder = work / "files"
    with Mongo(work / "mongo") as mongo:
        env = isolated_environment(os.environ, folder, uri=mongo.uri, database=DATABASE)
        env |= {"CCIP_MODEL_DIR": str(folder / "models"), "COMPAT_FOLDER": str(folder)}
        plugin = folder / "plugins" / "@ccip" / "characters"
        plugin.parent.mkdir(parents=True)
        plugin.symlink_to(checkout, target_is_directory=True)
        for step in STEPS:
            print(step, flush=True)
            command = [sys.executable, "-m", "tests.compat.make_v0_1_0", str(checkout), "--step", step]
            status = subprocess.run(command, env=env, check=False).returncode
            if status != (-signal.SIGKILL if step in KILLED else 0):
                raise SystemExit(f"{step}: exit status {status}")
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                written(path)
        save(TARGET, connect(mongo.uri, DATABASE), folder, {"FOLDER": folder, "CHECKOUT": checkout})


def of_then(module: str) -> Any:
    """A module of the package as it was then: today it may have another name."""
    return importlib.import_module(f"ccip_plugin.{module}")


# -- files


def draw(path: Path, characters: str) -> str:
    """An image of these characters side by side, without compression, so that it is the same each time."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(sum(map(ord, path.name)))
    pixels = np.zeros((16, 16 * len(characters), 3), np.int64)
    for place, character in enumerate(characters):
        pixels[:, 16 * place : 16 * (place + 1)] = COLOURS[character]
    pixels += rng.integers(-6, 7, (1, pixels.shape[1], 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, compress_level=9)
    return written(path)


def written(path: Path) -> str:
    os.utime(path, (WHEN, WHEN))
    return str(path)


def write_model(folder: Path) -> None:
    """A model whose vectors are the colours in 16 parts of an image; most of a vector is 0, and so takes no room."""
    import onnx
    import tiny_models
    from onnx import TensorProto, helper

    tiny_models.write_model_dir(folder, name=MODEL)
    pads = helper.make_tensor("pads", TensorProto.INT64, [4], [0, 0, 0, 768 - 48])
    graph = helper.make_graph(
        [
            helper.make_node("AveragePool", ["input"], ["cells"], kernel_shape=[96, 96], strides=[96, 96]),
            helper.make_node("Flatten", ["cells"], ["row"], axis=1),
            helper.make_node("Pad", ["row", "pads"], ["output"]),
        ],
        "colours",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, 384, 384])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", 768])],
        [pads],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(folder / MODEL / "model_feat.onnx"))
    for path in (folder / MODEL).iterdir():
        written(path)


# -- what people do in the App


def edit(dataset: Any, names: Mapping[str, str], field: str = "character_group") -> None:
    """Other names for the groups of samples, and nothing else, as the App's editor does it."""
    for sample in dataset.match({"key": {"$in": list(names)}}):
        sample[field].label = names[sample.key]
        sample.save()


def edit_boxes(dataset: Any, values: Mapping[str, Mapping[str, str]]) -> None:
    """Other attributes of detections."""
    for sample in dataset:
        for box in sample["people"].detections:
            for name, value in values.get(box.key, {}).items():
                box[name] = value
        sample.save()


# -- the steps


def build_samples(folder: Path) -> None:
    """Whole images: groups of every kind, decisions of every kind, runs of every kind."""
    import fiftyone as fo

    from ccip_plugin import compute_embeddings, group_characters, reject, undo

    write_model(folder / "models")
    dataset = fo.Dataset("samples", persistent=True)
    paths = {key: draw(folder / "images" / f"{key}.png", key[0]) for key in CHARACTERS}
    broken = folder / "images" / "x1.png"
    broken.write_bytes(b"no image")
    paths["x1"] = written(broken)
    truth = {key: fo.Classification(label=key[0]) for key in CHARACTERS}
    dataset.add_samples([fo.Sample(path, key=key, truth=truth.get(key)) for key, path in paths.items()])
    compute_embeddings(dataset)  # all but x1
    group_characters(dataset, eps=STRICT)
    edit(dataset, {"b1": "綾波レイ", "b2": "綾波レイ", "b3": "綾波レイ", "c2": "nobody any more"})
    ignored = dataset.match({"key": "e1"}).first()
    ignored.character_group.status = "ignored"
    ignored.save()
    group_characters(dataset, eps=STRICT)  # confirms what was edited
    edit(dataset, {"c2": dataset.match({"key": "c1"}).first().character_group.label})
    group_characters(dataset, eps=STRICT)  # a group with a name and without images
    reject(dataset.match({"key": "a1"}))
    group_characters(dataset, eps=LOOSE)  # the rest of a becomes a part of A
    add_runs(dataset)
    group_characters(dataset, method="dbscan", eps=STRICT)
    undo(dataset)  # and may be brought back
    edit(dataset, {"A1": "惣流"})  # only the label
    replaced = dataset.match({"key": "c1"}).first()
    replaced["character_group"] = fo.Classification(label="真希波", tags=["by hand"])  # all of it
    replaced.save()


def add_runs(dataset: Any) -> None:
    """What is kept beside groups: calibration, answers, evaluation, comparison, indexes, adopted vectors, a graph."""
    from ccip_plugin import (
        calibrate,
        compute_embeddings,
        compute_similarity,
        compute_visualization,
        evaluate_groups,
        evaluate_model,
        explore_parameters,
        register_model,
        save_answers,
    )

    answer = of_then("asking").PairAnswer
    ids = dict(zip(dataset.values("key"), dataset.values("id"), strict=True))
    pairs = [*itertools.combinations(CHARACTERS, 2)]
    answers = [answer(ids[first], ids[second], first[0].lower() == second[0].lower()) for first, second in pairs]
    save_answers(dataset, [*answers[:-1], answer(answers[-1].first, answers[-1].second, None)])
    calibrate(dataset)
    evaluate_groups(dataset, "character_group", "truth")
    evaluate_model(dataset, "truth", models=[MODEL], clusters=False)
    compute_similarity(dataset)
    compute_visualization(dataset, method="pca")
    explore_parameters(dataset, max_eps=LOOSE)  # keeps the graph of neighbors
    embedded = dataset.match({"key": {"$in": CHARACTERS}})
    dataset.clone_sample_field("ccip_embedding", "old_vectors")
    dataset.get_field("old_vectors").info = None
    dataset.get_field("old_vectors").save()
    compute_embeddings(embedded, embeddings_field="old_vectors", model_name=MODEL, adopt=True)
    dataset.save_view("not confirmed", dataset.match({"character_group.status": {"$ne": "confirmed"}}))
    register_model()


def build_fields(folder: Path) -> None:
    """More groups of the same images, each field as it is before a change that will not be finished."""
    import fiftyone as fo

    from ccip_plugin import group_characters, propose_groups, undo

    of_then("label_store").CHUNK = 2  # labels that are written at a time: these runs are to be interrupted between them
    dataset = fo.load_dataset("samples")
    for field in ("writing", "prepared", "undoing", "redoing", "pruned", "proposed"):
        group_characters(dataset, eps=STRICT, group_field=field)
        edit(dataset, {"b1": "綾波レイ"}, field)
    for field in ("undoing", "redoing"):
        group_characters(dataset, eps=LOOSE, group_field=field)
    undo(dataset, group_field="redoing")
    propose_groups(dataset, eps=LOOSE, group_field="proposed")
    edit(dataset, {"b2": "after the proposal"}, "proposed")


def build_detections(folder: Path) -> None:
    """Detections: one field with decisions of every kind, and one that is about to be grouped first."""
    import fiftyone as fo

    from ccip_plugin import compute_embeddings, compute_similarity, group_characters, reject, undo

    dataset = fo.Dataset("detections", persistent=True)
    for number, (cast, heads) in enumerate([("abc", "ab"), ("abx", "ab"), ("abc", "")], start=1):
        path = draw(folder / "images" / f"scene {number}.png", cast.replace("x", "e"))
        people = [box(f"{who}{number}", place, 0 if who == "x" else 1) for place, who in enumerate(cast)]
        sample = fo.Sample(path, people=fo.Detections(detections=people))
        if heads:
            faces = [box(f"{who}{number}", place) for place, who in enumerate(heads)]
            sample["heads"] = fo.Detections(detections=faces)
        dataset.add_sample(sample)
    dataset.add_dynamic_sample_fields()
    for field in ("people", "heads"):
        compute_embeddings(dataset, patches_field=field)
    group_characters(dataset, patches_field="people")
    edit_boxes(dataset, {key: {"character_group": "綾波レイ"} for key in ("b1", "b2", "b3")})
    edit_boxes(dataset, {"c1": {"character_status": "ignored"}})
    group_characters(dataset, patches_field="people")
    reject(dataset.filter_labels("people", fo.ViewField("key") == "a1"), patches_field="people")
    compute_similarity(dataset, patches_field="people")
    group_characters(dataset, patches_field="people", method="dbscan", eps=1.0, min_samples=2, same_image="ignore")
    undo(dataset, patches_field="people")
    edit_boxes(dataset, {"a2": {"character_group": "惣流"}})
    replace_box(dataset, "a3", "真希波")
    dataset.save_view("people", dataset.to_patches("people"))


def box(key: str, place: int, height: float = 1) -> Any:
    """A detection as a detector writes it."""
    import fiftyone as fo

    return fo.Detection(label="person", confidence=0.75, key=key, bounding_box=[place / 3, 0, 1 / 3, height])


def replace_box(dataset: Any, key: str, name: str) -> None:
    """Puts a detection with the same id in the place of another, as a script does that draws boxes anew."""
    import fiftyone as fo
    from bson import ObjectId

    for sample in dataset:
        boxes = sample["people"].detections
        for place, old in enumerate(boxes):
            if old.key != key:
                continue
            boxes[place] = fo.Detection(
                label="person",
                key=key,
                bounding_box=old.bounding_box,
                character_group=name,
                ccip_embedding=old.ccip_embedding,
                ccip_source=old.ccip_source,
            )
            boxes[place]._id = ObjectId(old.id)
            sample.save()


def build_frames(folder: Path) -> None:
    """Frames of two videos, as a dataset of their own, with tracks."""
    import fiftyone as fo

    from ccip_plugin import compute_embeddings, group_characters

    videos = fo.Dataset("videos", persistent=True)
    for name, cast in (("one", "ab"), ("two", "cc")):
        path = film(folder / "videos" / f"{name}.mp4", cast)
        sample = fo.Sample(path, key=name)
        for number in (1, 2):
            boxes = [fo.Detection(label="person", index=1, key=f"{name} {number}", bounding_box=[0, 0, 1, 1])]
            sample.frames[number] = fo.Frame(people=fo.Detections(detections=boxes))
        videos.add_sample(sample)
    frames = videos.to_frames(sample_frames=True).clone("frames", persistent=True)
    for path in frames.values("filepath"):
        written(Path(path))
    frames.add_dynamic_sample_fields()
    compute_embeddings(frames, patches_field="people")
    compute_embeddings(frames, patches_field="people", embeddings_field="wide", alpha=0.5)
    group_characters(frames, patches_field="people", tracks="sample_id")
    sample = frames.match({"frame_number": 1}).first()
    sample["people"].detections[0]["character_group"] = "綾波レイ"
    sample.save()
    group_characters(frames, patches_field="people", tracks="sample_id")


def film(path: Path, cast: str) -> str:
    """A video with a frame for each character."""
    frames = path.parent / "frames of it"
    for number, character in enumerate(cast):
        draw(frames / f"{number}.png", character)
    command = ["ffmpeg", "-loglevel", "error", "-framerate", "1", "-i", str(frames / "%d.png")]
    codec = ["-c:v", "mpeg4", "-q:v", "1", "-bitexact", str(path)]
    subprocess.run([*command, *codec], check=True)
    shutil.rmtree(frames)
    return written(path)


def edit_after_crash(folder: Path) -> None:
    """People go on while a run is half written: one label that it has written, and one that it has not."""
    import fiftyone as fo

    edit(fo.load_dataset("samples"), {"a1": "洞木", "A3": "惣流"}, "prepared")


def queue(folder: Path) -> None:
    """Operations that wait for a worker."""
    import fiftyone as fo
    import fiftyone.operators as foo

    foo.get_operator("@ccip/characters/group_characters")(
        fo.load_dataset("samples"),
        delegate=True,
        method="linkage",
        eps=LOOSE,
        min_samples=2,
        parameters="published",
        graph="exact",
        mode="all",
        group_field="queued",
        embeddings_field="ccip_embedding",
        run_key="queued_run",
    )
    foo.get_operator("@ccip/characters/compute_visualization")(
        fo.load_dataset("detections"), delegate=True, patches_field="people", method="pca"
    )


def killed(work: Callable[[Any, Callable[[Any], None]], None]) -> Callable[[Path], None]:
    """A step that does some work and kills itself when its second two labels have been written."""

    def step(folder: Path) -> None:
        import fiftyone as fo

        of_then("label_store").CHUNK = 2
        n_chunks = 0

        def progress(now: Any) -> None:
            nonlocal n_chunks
            n_chunks += now.stage == "writing labels"
            if n_chunks == 2:
                die()

        work(fo.load_dataset("samples"), progress)

    return step


def die(*_: Any) -> None:
    """Ends this process as a crash does: nothing is tidied up."""
    os.kill(os.getpid(), signal.SIGKILL)


def kill_preparing(dataset: Any, progress: Any) -> None:
    from ccip_plugin import group_characters

    of_then("journal").Journal.put_plan = die
    group_characters(dataset, eps=LOOSE, group_field="writing")


def kill_writing(dataset: Any, progress: Any) -> None:
    from ccip_plugin import group_characters

    group_characters(dataset, eps=LOOSE, group_field="prepared", progress=progress)


def kill_undoing(dataset: Any, progress: Any) -> None:
    from ccip_plugin import undo

    undo(dataset, group_field="undoing", progress=progress)


def kill_redoing(dataset: Any, progress: Any) -> None:
    from ccip_plugin import redo

    redo(dataset, group_field="redoing", progress=progress)


def kill_pruning(dataset: Any, progress: Any) -> None:
    from ccip_plugin import group_characters

    os.environ["CCIP_KEPT_CHANGES"] = "1"
    of_then("journal").Journal.remove = die
    group_characters(dataset, eps=LOOSE, group_field="pruned")


def kill_first_run(dataset: Any, progress: Any) -> None:
    import fiftyone as fo

    from ccip_plugin import group_characters

    def at_once(now: Any) -> None:
        if now.stage == "writing labels":
            die()

    group_characters(fo.load_dataset("detections"), patches_field="heads", progress=at_once)


KILLED: dict[str, Callable[[Path], None]] = {
    "writing": killed(kill_preparing),
    "prepared": killed(kill_writing),
    "undoing": killed(kill_undoing),
    "redoing": killed(kill_redoing),
    "pruned": killed(kill_pruning),
    "heads": killed(kill_first_run),
}
STEPS: dict[str, Callable[[Path], None]] = {
    "samples": build_samples,
    "fields": build_fields,
    "detections": build_detections,
    "frames": build_frames,
    **KILLED,
    "edits": edit_after_crash,
    "queue": queue,
}

if __name__ == "__main__":
    main()
