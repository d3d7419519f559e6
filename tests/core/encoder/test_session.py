"""Running an ONNX file on the provider that was asked for."""

import threading

import numpy as np
import pytest
from onnx import TensorProto, helper

from ccip_plugin.core.encoder.session import CPU, METRIC, available_providers, open_session
from ccip_plugin.core.errors import ClosedError, ModelFileDamagedError, ModelMismatchError, ProviderError, SessionError
from tests.support import tiny_models


def images(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 3, 384, 384)).astype(np.float32)


@pytest.fixture
def path(tmp_path):
    def save(model, name="model_feat.onnx"):
        (tmp_path / name).write_bytes(model.SerializeToString())
        return tmp_path / name

    return save


@pytest.fixture
def feat(path):
    return path(tiny_models.feat_model())


def test_gives_a_vector_for_each_image(feat):
    with open_session(feat) as session:
        vectors = session.run(images(3))
    assert (vectors.shape, vectors.dtype) == ((3, 768), np.float32)
    assert np.isfinite(vectors).all()


def test_no_images_give_no_vectors(feat):
    with open_session(feat) as session:
        assert session.run(images(0)).shape == (0, 768)


def test_the_metric_gives_all_pairs(path):
    vectors = np.eye(4, 768, dtype=np.float32)
    with open_session(path(tiny_models.metrics_model()), signature=METRIC) as session:
        differences = session.run(vectors)
    np.testing.assert_allclose(differences, 0.5 - 0.5 * np.eye(4), atol=1e-6)


@pytest.mark.parametrize("threads", [None, 1, 2, 3])
def test_threads_do_not_change_a_bit(feat, threads):
    with open_session(feat) as one, open_session(feat, threads=threads) as other:
        assert np.array_equal(one.run(images(1)), other.run(images(1)))


def test_one_session_serves_many_threads(feat):
    with open_session(feat) as session:
        expected = [session.run(images(1, seed)) for seed in range(6)]
        found = {}
        threads = [threading.Thread(target=lambda k=k: found.update({k: session.run(images(1, k))})) for k in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(np.array_equal(found[k], expected[k]) for k in range(6))


# --- providers


@pytest.mark.parametrize("name", ["auto", "AUTO", "cpu", "CPU", "CPUExecutionProvider", "cpuexecutionprovider"])
def test_the_cpu_is_reported_as_used(feat, name):
    if name.lower() == "auto" and "CUDAExecutionProvider" in available_providers():
        pytest.skip("auto is CUDA here")
    with open_session(feat, provider=name) as session:
        assert session.provider == CPU


def test_auto_is_never_another_provider_than_cuda_or_the_cpu(feat):
    with open_session(feat) as session:
        assert session.provider in (CPU, "CUDAExecutionProvider")


@pytest.mark.parametrize(
    "name, wheel",
    [
        pytest.param("cuda", "onnxruntime-gpu", id="cuda"),
        pytest.param("CUDAExecutionProvider", "onnxruntime-gpu", id="full name"),
        pytest.param("TensorRT", "onnxruntime-gpu", id="capitals"),
        pytest.param("openvino", "onnxruntime-openvino", id="openvino"),
        pytest.param("directml", "onnxruntime-directml", id="directml"),
        pytest.param("quantum", "", id="nothing known"),
        pytest.param("", "", id="empty"),
    ],
)
def test_a_provider_that_is_not_there_is_an_error_that_names_those_that_are(feat, name, wheel):
    if any(name.lower() and name.lower() in there.lower() for there in available_providers()):
        pytest.skip(f"{name} is here")
    with pytest.raises(ProviderError, match="is not available") as caught:
        open_session(feat, provider=name)
    assert all(there in str(caught.value) for there in available_providers())
    assert wheel in str(caught.value)
    assert caught.value.available == available_providers()


def test_a_provider_that_sends_models_elsewhere_is_not_there(feat):
    """Azure is listed by the ordinary wheel, first, and would leave all the work to the CPU."""
    with pytest.raises(ProviderError, match="is not available"):
        open_session(feat, provider="AzureExecutionProvider")
    assert "AzureExecutionProvider" not in available_providers()
    assert CPU in available_providers()


@pytest.mark.parametrize("threads", [0, -1])
def test_no_threads_are_refused(feat, threads):
    with pytest.raises(ValueError, match="at least 1"):
        open_session(feat, threads=threads)


# --- files


@pytest.mark.parametrize(
    "variant, says",
    [
        pytest.param("wrong_dim", r"output 'output' \['batch', 512\]", id="other length of vectors"),
        pytest.param("wrong_size", r"input 'input' \['batch', 3, 224, 224\]", id="other size of images"),
        pytest.param("wrong_type", r"tensor\(double\)", id="other numbers"),
        pytest.param("fixed_batch", r"\[2, 3, 384, 384\]", id="only two at a time"),
    ],
)
def test_a_model_with_another_signature_is_refused(path, variant, says):
    file = path(tiny_models.feat_model(variant))
    with pytest.raises(ModelMismatchError, match=says) as caught:
        open_session(file, remedy="Fetch it.")
    assert str(caught.value).startswith(str(file))
    assert "expected one input (n, 3, 384, 384) and one output (n, 768), float32, for any n. Fetch it." in str(
        caught.value
    )


@pytest.mark.parametrize("variant", ["wrong_dim", "one_output"])
def test_a_metric_with_another_signature_is_refused(path, variant):
    with pytest.raises(ModelMismatchError, match=r"expected one input \(n, 768\) and one output \(n, n\)"):
        open_session(path(tiny_models.metrics_model(variant)), signature=METRIC)


def test_a_metric_in_the_place_of_the_features_is_refused(path):
    with pytest.raises(ModelMismatchError):
        open_session(path(tiny_models.metrics_model()))


def test_the_names_of_input_and_output_do_not_matter(feat, path):
    other = path(tiny_models.feat_model("other_name"), "other.onnx")
    with open_session(feat) as one, open_session(other) as two:
        assert np.array_equal(one.run(images(1)), two.run(images(1)))


def two_outputs():
    model = tiny_models.feat_model()
    model.graph.output.append(helper.make_tensor_value_info("colour", TensorProto.FLOAT, ["batch", 27]))
    return model


def undeclared_length():
    """Says nothing about the length of its vectors, and gives 512 numbers."""
    model = tiny_models.feat_model()
    model.graph.node[-1].output[0] = "long"
    model.graph.node.append(helper.make_node("Compress", ["long", "kept"], ["output"], axis=1))
    model.graph.initializer.append(helper.make_tensor("kept", TensorProto.BOOL, [768], [k < 512 for k in range(768)]))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "what comes"
    return model


def test_two_outputs_are_refused(path):
    with pytest.raises(ModelMismatchError, match="1 inputs and 2 outputs"):
        open_session(path(two_outputs()))


def test_a_length_that_is_not_declared_is_checked_when_the_model_runs(path):
    with (
        open_session(path(undeclared_length())) as session,
        pytest.raises(ModelMismatchError, match=r"\(1, 512\) for 1 rows"),
    ):
        session.run(images(1))


def unknown_operator():
    model = tiny_models.feat_model()
    model.graph.node[0].op_type = "Teleport"
    return model


def unknown_opset():
    model = tiny_models.feat_model()
    model.opset_import[0].version = 9999
    return model


def missing_weights():
    model = tiny_models.feat_model()
    del model.graph.initializer[:]
    return model


def garbled_weights():
    model = tiny_models.feat_model()
    model.graph.initializer[0].raw_data = b"123"
    return model


@pytest.mark.parametrize("make", [unknown_operator, unknown_opset, missing_weights, garbled_weights])
def test_a_model_that_cannot_be_loaded_is_named(path, make):
    file = path(make())
    with pytest.raises((ModelFileDamagedError, ModelMismatchError)) as caught:
        open_session(file, remedy="Fetch it.")
    assert caught.value.path == file
    assert "Fetch it." in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x08"], ids=["empty", "text", "cut short"])
def test_a_file_that_is_no_model_is_named(tmp_path, content):
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises((ModelFileDamagedError, ModelMismatchError)) as caught:
        open_session(tmp_path / "m.onnx")
    assert caught.value.path == tmp_path / "m.onnx"


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ModelFileDamagedError, match="nowhere"):
        open_session(tmp_path / "nowhere.onnx")


# --- running


@pytest.mark.parametrize("shape", [(3, 384, 384), (1, 3, 384, 383), (1, 1, 384, 384), (1, 768)])
def test_other_shapes_are_refused(feat, shape):
    with open_session(feat) as session, pytest.raises(ValueError, match="the model takes"):
        session.run(np.zeros(shape, np.float32))


def test_other_numbers_are_turned_into_float32(feat):
    with open_session(feat) as session:
        assert np.array_equal(session.run(images(1).astype(np.float64)), session.run(images(1)))


def one_row_more():
    """Asks for one row more than it gets, which only fails when it runs."""
    nodes = [
        helper.make_node("Shape", ["input"], ["shape"]),
        helper.make_node("Add", ["shape", "one_more"], ["larger"]),
        helper.make_node("Reshape", ["input", "larger"], ["output"]),
    ]
    taken, given = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 768]) for name in ("input", "output"))
    one_more = helper.make_tensor("one_more", TensorProto.INT64, [2], [1, 0])
    graph = helper.make_graph(nodes, "g", [taken], [given], [one_more])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_failing_run_is_our_error(path):
    with (
        open_session(path(one_row_more()), signature=METRIC) as session,
        pytest.raises(SessionError, match="failed on CPUExecutionProvider with 3 rows"),
    ):
        session.run(np.zeros((3, 768), np.float32))


def test_a_closed_session_says_so(feat):
    session = open_session(feat)
    session.close()
    session.close()
    with pytest.raises(ClosedError, match=r"session of model_feat.onnx is closed"):
        session.run(images(1))


@pytest.mark.parametrize("threads, expected", [(None, 1), (3, 3)])
def test_threads_never_spin_and_one_is_the_default(feat, threads, expected):
    """A spinning thread takes its core from the worker beside it."""
    with open_session(feat, threads=threads) as session:
        options = session._session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (expected, 1)
    for kind in ("intra", "inter"):
        assert options.get_session_config_entry(f"session.{kind}_op.allow_spinning") == "0"
