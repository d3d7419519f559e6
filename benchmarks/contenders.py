"""One contender in a process of its own: loads its model, then embeds the files whenever it is told to.

Run by ``extraction.py`` and ``operations.py``, in the environment that the contender needs.
"""

import argparse
import itertools
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import common
import numpy as np

Embed = Callable[[list[str]], np.ndarray]
MODEL_NAME = "ccip-caformer-24-randaug-pruned"  # the name under which every contender finds the model


def ours(folder: Path) -> Embed:
    """The pipeline of the plugin, as ``compute_embeddings`` runs it."""
    from ccip_plugin.core.encoder import Encoder
    from ccip_plugin.core.encoder.pipeline import extract
    from ccip_plugin.core.encoder.reading import Item

    encoder = Encoder.open(MODEL_NAME, model_dir=folder)

    def embed(files: list[str]) -> np.ndarray:
        found = {one.key: one.vector for one in extract((Item(i, file) for i, file in enumerate(files)), encoder)}
        return np.stack([found[i] for i in range(len(files))])

    return embed


def tensors_ready(folder: Path, *, threads: int = 1) -> Embed:
    """The limit: onnxruntime alone, on tensors that are in memory; a session of ``threads`` per run, all cores used."""
    import onnxruntime

    from ccip_plugin.core.preprocessing import load_image, preprocess

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    path = folder / MODEL_NAME / "model_feat.onnx"
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    tensors: dict[str, np.ndarray] = {}

    def embed(files: list[str]) -> np.ndarray:
        for file in files:
            if file not in tensors:  # in the first round, which does not count
                tensors[file] = preprocess(load_image(file))[None]
        with ThreadPoolExecutor(cores() // threads) as pool:
            return np.concatenate(list(pool.map(lambda file: session.run(None, {"input": tensors[file]})[0], files)))

    return embed


def native(folder: Path) -> Embed:
    """``dataset.compute_embeddings`` with a plain FiftyOne model: FiftyOne reads the files."""
    from scripts.local_services import Mongo, isolated_environment

    place = folder.parent / "native"
    mongo = Mongo(place / "mongo").start()
    env = isolated_environment(os.environ, place, uri=mongo.uri, database=f"native_{os.getpid()}")
    os.environ.clear()
    os.environ.update(env)
    import fiftyone as fo
    from native_model import NativeModel

    model = NativeModel(folder, MODEL_NAME, threads=cores())

    def embed(files: list[str]) -> np.ndarray:
        dataset = fo.Dataset()
        dataset.add_samples([fo.Sample(file) for file in files])
        vectors = dataset.compute_embeddings(model)
        dataset.delete()
        return vectors

    return embed


def imgutils(folder: Path, *, together: int = 1) -> Embed:
    """dghs-imgutils, called with ``together`` images at a time."""
    from imgutils.metrics import ccip_batch_extract_features

    def embed(files: list[str]) -> np.ndarray:
        calls = [files[i : i + together] for i in range(0, len(files), together)]
        return np.concatenate([ccip_batch_extract_features(call, model=MODEL_NAME) for call in calls])

    return embed


def cores() -> int:
    """The cores that this process may use."""
    from ccip_plugin.core.system import usable_cores

    return usable_cores()


CONTENDERS: dict[str, Callable[[Path], Embed]] = {
    "ours": ours,
    "limit_workers": tensors_ready,
    "limit_threads": lambda folder: tensors_ready(folder, threads=cores()),
    "native": native,
    "imgutils_1": imgutils,
    "imgutils_8": lambda folder: imgutils(folder, together=8),
}


def main() -> None:
    """Loads the model, waits for work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("models", type=Path, help="a folder of models")
    parser.add_argument("files", nargs="+")
    arguments = parser.parse_args()
    embed = CONTENDERS[arguments.contender](arguments.models)
    counter = itertools.count()

    def work(save: str | None = None) -> dict[str, float]:
        vectors = embed(arguments.files)
        if save:
            np.save(save, vectors)
        return {"round": next(counter), "peak_mib": common.peak_mib()}

    common.serve(work)


if __name__ == "__main__":
    sys.exit(main())
