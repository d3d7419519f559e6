"""Looking into an ONNX file without loading it."""

import contextlib

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from ccip_plugin.core.errors import ModelFileDamagedError
from ccip_plugin.core.hub import onnx_file
from tests.support import tiny_models

FEAT = tiny_models.feat_model().SerializeToString()


def outside(location="weights.bin"):
    """A tensor whose numbers are in another file."""
    tensor = numpy_helper.from_array(np.ones(4, np.float32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def graph(*nodes, tensors=()):
    return helper.make_graph(list(nodes), "g", [], [], list(tensors))


def constant(tensor):
    return helper.make_node("Constant", [], ["c"], value=tensor)


def model(of):
    return helper.make_model(of, opset_imports=[helper.make_opsetid("", 17)])


def in_initializer():
    return model(graph(tensors=[outside()]))


def in_constant():
    return model(graph(constant(outside())))


def in_branch_of_branch():
    inner = helper.make_node("If", ["x"], ["y"], then_branch=graph(constant(outside())), else_branch=graph())
    return model(graph(helper.make_node("If", ["x"], ["y"], then_branch=graph(), else_branch=graph(inner))))


def in_list_of_graphs():
    return model(graph(helper.make_node("Odd", [], [], bodies=[graph(), graph(tensors=[outside()])])))


def in_list_of_tensors():
    return model(graph(helper.make_node("Odd", [], [], many=[outside(), outside()])))


def in_sparse_initializer():
    made = model(graph())
    made.graph.sparse_initializer.add(values=outside())
    return made


def in_sparse_attribute():
    made = model(graph(helper.make_node("Constant", [], ["c"])))
    made.graph.node[0].attribute.add(name="sparse_value").sparse_tensor.indices.CopyFrom(outside())
    return made


def in_function():
    made = model(graph())
    made.functions.add(name="f").node.append(constant(outside()))
    return made


def in_default_of_function():
    made = model(graph())
    made.functions.add(name="f").attribute_proto.add(name="a").t.CopyFrom(outside())
    return made


def in_training():
    made = model(graph())
    made.training_info.add().algorithm.CopyFrom(graph(tensors=[outside()]))
    return made


def with_path_only():
    made = in_initializer()
    made.graph.initializer[0].ClearField("data_location")
    return made


def with_mark_only():
    made = in_initializer()
    made.graph.initializer[0].ClearField("external_data")
    return made


@pytest.mark.parametrize(
    "make",
    [
        in_initializer,
        in_constant,
        in_branch_of_branch,
        in_list_of_graphs,
        in_list_of_tensors,
        in_sparse_initializer,
        in_sparse_attribute,
        in_function,
        in_default_of_function,
        in_training,
        with_path_only,
        with_mark_only,
    ],
)
def test_weights_in_another_file_are_refused_wherever_they_are_named(tmp_path, make):
    (tmp_path / "m.onnx").write_bytes(make().SerializeToString())
    with pytest.raises(ModelFileDamagedError, match="external data"):
        onnx_file.check(tmp_path / "m.onnx")


@pytest.mark.parametrize("location", ["../w.bin", "/etc/passwd", "w.bin", "*/_ORT_MEM_ADDR_/*", ""])
def test_weights_in_another_file_are_refused_wherever_that_is(tmp_path, location):
    (tmp_path / "m.onnx").write_bytes(model(graph(tensors=[outside(location)])).SerializeToString())
    with pytest.raises(ModelFileDamagedError, match="external data"):
        onnx_file.check(tmp_path / "m.onnx")


def test_a_tensor_that_says_it_is_inside_is_inside(tmp_path):
    made = tiny_models.feat_model()
    for tensor in made.graph.initializer:
        tensor.data_location = TensorProto.DEFAULT
    made.metadata_props.add(key="location", value="../w.bin")  # a remark, not a place of weights
    (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
    onnx_file.check(tmp_path / "m.onnx")


@pytest.mark.parametrize("variant", tiny_models.FEAT_VARIANTS)
def test_whole_models_pass(tmp_path, variant):
    onnx.save(tiny_models.feat_model(variant), str(tmp_path / "モデル 🎀.onnx"))
    onnx_file.check(tmp_path / "モデル 🎀.onnx")


@pytest.mark.parametrize(
    "content, says",
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git-lfs pointer", id="git-lfs"),
        pytest.param(b"\n <!DOCTYPE html><html>Sign in</html>", "web page", id="web page"),
        pytest.param(b"<?xml version='1.0'?><Error>AccessDenied</Error>", "web page or XML", id="XML"),
        pytest.param(b"PK\x03\x04" + b"\0" * 100, "zip archive", id="zip"),
        pytest.param(b"\x80\x02}q\x00.", "pickle", id="pickle 2"),
        pytest.param(b"\x80\x04\x95", "pickle", id="pickle 4"),
        pytest.param(b'{"error": "not found"}', "is JSON", id="JSON"),
        pytest.param(b"\0" * 1000, "not an ONNX model", id="zeros"),
        pytest.param(b"\xff" * 1000, "not an ONNX model", id="ones"),
        pytest.param(b"\x08\x08", "lacks its graph", id="a version and no more"),
        pytest.param(FEAT[:-1], "lacks its graph|truncated|damaged", id="one byte short"),
        pytest.param(FEAT[: len(FEAT) // 2], "truncated", id="half"),
        pytest.param(FEAT[len(FEAT) // 2 :], "damaged|truncated|lacks", id="the other half"),
    ],
)
def test_what_is_no_whole_model_is_refused_with_what_it_is(tmp_path, content, says):
    path = tmp_path / "model_feat.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFileDamagedError, match=says) as caught:
        onnx_file.check(path, remedy="Fetch it again.")
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "expected an ONNX model in one file" in message
    assert message.endswith("Fetch it again.")


def test_a_file_cut_short_says_how_much_is_missing(tmp_path):
    (tmp_path / "m.onnx").write_bytes(FEAT[:100_000])
    with pytest.raises(ModelFileDamagedError, match=r"has 100,000 bytes and should have 23\d,\d{3} or more"):
        onnx_file.check(tmp_path / "m.onnx")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(FEAT) - 1))
def test_no_beginning_of_a_model_passes(tmp_path_factory, length):
    path = tmp_path_factory.mktemp("cut") / "m.onnx"
    path.write_bytes(FEAT[:length])
    with pytest.raises(ModelFileDamagedError):
        onnx_file.check(path)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_judged_without_another_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "m.onnx"
    path.write_bytes(b"\x08\x08" + content)
    with contextlib.suppress(ModelFileDamagedError):
        onnx_file.check(path)


def test_a_file_beyond_the_limit_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "MAX_BYTES", 1000)
    (tmp_path / "m.onnx").write_bytes(FEAT)
    with pytest.raises(ModelFileDamagedError, match="too large"):
        onnx_file.check(tmp_path / "m.onnx")
