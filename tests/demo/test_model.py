"""The bundled stand-in model: the contract of a real one, and good on drawings that it was not made from."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from ccip_plugin.core import calibration
from ccip_plugin.core.clustering import cluster
from ccip_plugin.core.encoder import Encoder
from ccip_plugin.core.evaluation import group_metrics, pair_metrics
from ccip_plugin.core.registry import DEMO_MODEL, get_spec
from demo import build_model, model_graph
from demo.picture import make_single, render
from demo.world import SHORT_SIDE, make_cast

pytestmark = pytest.mark.slow  # thousands of drawings

HELD_OUT = 777  # seed of characters that the model was not made from and that nothing was measured on
N_CHARACTERS, PER_CHARACTER = 20, 8
FILES = ("model_feat.onnx", "model_metrics.onnx", "metrics.json", "cluster.json")


@pytest.fixture(scope="module")
def held_out() -> tuple[np.ndarray, np.ndarray]:
    """Vectors of drawings of held-out characters, and whose they are."""
    images = []
    for number, character in enumerate(make_cast(HELD_OUT, N_CHARACTERS)):
        for k in range(PER_CHARACTER):
            random = np.random.default_rng([HELD_OUT, number, k])
            picture = make_single(random, character, short_side=SHORT_SIDE)
            images.append(render(picture, scale=420 / max(picture.size))[0])
    with Encoder.open(DEMO_MODEL) as encoder:
        return encoder.embed(images), np.repeat(np.arange(N_CHARACTERS), PER_CHARACTER)


def committed(name: str) -> onnx.ModelProto:
    return onnx.load(str(build_model.FOLDER / name))


def shape_of(value: onnx.ValueInfoProto) -> list[int | str]:
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


def test_the_files_are_small():
    assert sorted(path.name for path in build_model.FOLDER.iterdir()) == sorted(FILES)
    assert sum((build_model.FOLDER / name).stat().st_size for name in FILES) <= 2_000_000


@pytest.mark.parametrize(
    "name, taken, given",
    [
        pytest.param("model_feat.onnx", ["batch", 3, 384, 384], ["batch", 768], id="features"),
        pytest.param("model_metrics.onnx", ["n", 768], ["n", "n"], id="metric"),
    ],
)
def test_inputs_and_outputs_are_those_of_a_real_model(name, taken, given):
    graph = committed(name).graph
    assert [(v.name, shape_of(v)) for v in graph.input] == [("input", taken)]
    assert [(v.name, shape_of(v)) for v in graph.output] == [("output", given)]
    kinds = {v.type.tensor_type.elem_type for v in (*graph.input, *graph.output)}
    assert kinds == {onnx.TensorProto.FLOAT}


@pytest.mark.parametrize("name", ["model_feat.onnx", "model_metrics.onnx"])
def test_the_files_say_that_they_are_a_stand_in(name):
    model = committed(name)
    assert "stand-in" in model.doc_string and "stand-in" in model.graph.doc_string
    assert {p.key: p.value for p in model.metadata_props}["stand_in"] == "true"
    assert get_spec(DEMO_MODEL).is_stand_in


def test_the_committed_file_is_what_the_script_writes_from_its_weights():
    model = committed("model_feat.onnx")
    weights = {
        t.name.removesuffix(".half"): numpy_helper.to_array(t).astype(np.float32)
        for t in model.graph.initializer
        if t.name.endswith(".half")
    }
    written = model_graph.feat_model(weights).SerializeToString(deterministic=True)
    assert written == (build_model.FOLDER / "model_feat.onnx").read_bytes()
    metric = model_graph.metrics_model().SerializeToString(deterministic=True)
    assert metric == (build_model.FOLDER / "model_metrics.onnx").read_bytes()


def test_the_json_files_have_the_keys_of_a_real_model():
    metrics = json.loads((build_model.FOLDER / "metrics.json").read_text(encoding="utf-8"))
    cluster = json.loads((build_model.FOLDER / "cluster.json").read_text(encoding="utf-8"))
    assert set(metrics) == {"f1_score", "precision", "recall", "threshold"}
    assert set(cluster) == {"dbscan_2", "dbscan_free", "optics"}
    assert all(set(values) == {"eps", "min_samples"} for values in cluster.values())
    assert cluster["dbscan_2"]["min_samples"] == 2
    assert all(type(values["min_samples"]) is int for values in cluster.values())
    assert calibration.load(DEMO_MODEL).threshold == metrics["threshold"]


def test_the_registry_knows_the_numbers_of_the_files():
    spec = get_spec(DEMO_MODEL)
    assert calibration.load(DEMO_MODEL).threshold == spec.threshold
    assert calibration.read_presets(build_model.FOLDER / "cluster.json") == spec.presets


def test_vectors_are_no_unit_vectors_and_do_not_depend_on_their_neighbours():
    random = np.random.default_rng(0)
    tensors = random.normal(size=(3, 3, 384, 384)).astype(np.float32)
    with Encoder.open(DEMO_MODEL) as encoder:
        alone = np.stack([encoder.embed_tensor(tensor) for tensor in tensors])
        together = encoder.embed_tensors(tensors)
    assert np.abs(np.linalg.norm(alone, axis=1) - 1).min() > 0.5
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_it_tells_held_out_characters_apart(held_out):
    vectors, who = held_out
    scores = pair_metrics(vectors, who).at(calibration.load(DEMO_MODEL).threshold)
    assert scores.f1 >= 0.90, scores


@pytest.mark.parametrize("method", ["dbscan", "dbscan_2", "dbscan_free", "optics", "optics_best"])
def test_its_presets_group_held_out_characters(held_out, method):
    vectors, who = held_out
    labels = cluster(vectors, method=method, model_name=DEMO_MODEL)
    assert group_metrics(labels, who).ari >= 0.85


def test_it_was_made_from_other_characters_than_the_demo_and_the_tests_show():
    seeds = [*build_model.SEEDS.values(), HELD_OUT, 0]
    assert len(set(seeds)) == len(seeds)
    casts = [make_cast(seed, 50) for seed in seeds]
    known = {character.hair.seed for cast in casts for character in cast if not character.twin_of}
    assert len(known) == 44 * len(seeds)


def test_without_pytorch_training_says_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "demo.model_training", raising=False)
    with pytest.raises(SystemExit, match="PyTorch"):
        build_model.main(["--only", "train", "--folder", str(tmp_path)])
    assert not list(tmp_path.iterdir())


def test_building_needs_pytorch_only_to_train():
    code = "import sys, demo.build_model, demo.model_graph; sys.exit('torch' in sys.modules)"
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
