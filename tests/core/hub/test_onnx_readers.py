"""What another protobuf reader could understand otherwise is refused; the work is bounded."""

import contextlib
import random

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper

from ccip_plugin.core.errors import ModelFileDamagedError
from ccip_plugin.core.hub import onnx_file
from tests.support import tiny_models

BIT_32 = 1 << 32
VARINT, BYTES = 0, 2
MODEL, GRAPH, NODE, ATTRIBUTE, TENSOR = "model", "graph", "node", "attribute", "tensor"
INNER = {MODEL: {7: GRAPH}, GRAPH: {1: NODE, 5: TENSOR}, NODE: {5: ATTRIBUTE}, ATTRIBUTE: {5: TENSOR, 6: GRAPH}}


def varint(value: int, n_bytes: int = 1) -> bytes:
    """A varint of at least ``n_bytes``."""
    out = []
    while value > 127 or n_bytes > 1:
        out.append(value & 127 | 128)
        value, n_bytes = value >> 7, n_bytes - 1
    return bytes([*out, value])


def field(number: int, content: bytes | int, *, more: int = 0, n_bytes: int = 1) -> bytes:
    kind = VARINT if isinstance(content, int) else BYTES
    tag = varint(number << 3 | kind | more, n_bytes)
    return tag + (varint(content) if isinstance(content, int) else varint(len(content)) + content)


def named(tensor: bytes) -> bytes:
    """A tensor of four numbers with a name."""
    return field(1, 4) + field(2, TensorProto.FLOAT) + field(8, b"w") + tensor


def model(graph: bytes) -> bytes:
    return field(1, 8) + field(7, graph) + field(8, field(2, 17))


PLACE = field(1, b"location") + field(2, b"weights.bin")
INSIDE = field(9, np.ones(4, np.float32).tobytes())
FEAT = tiny_models.feat_model().SerializeToString()


def check(tmp_path, content: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    onnx_file.check(tmp_path / "m.onnx")


@pytest.mark.parametrize("content", [
    pytest.param(model(field(5, named(field(13, PLACE, more=BIT_32)))), id="bit 32 of a tag"),
    pytest.param(model(field(5, named(field(13, PLACE, more=1 << 40)))), id="bit 40 of a tag"),
    pytest.param(model(field(5, named(INSIDE + field(14, 1, more=BIT_32)))), id="bit 32 of the tag of the mark"),
    pytest.param(model(field(5, named(field(14, 1)), more=BIT_32)), id="bit 32 of the tag of a tensor"),
    pytest.param(model(b"") + field(7, field(5, named(field(14, 1))), more=BIT_32), id="a second graph, bit 32"),
    pytest.param(model(field(5, named(INSIDE + field(14, BIT_32 + 1)))), id="bit 32 of the mark"),
    pytest.param(model(field(5, named(INSIDE + field(14, 2)))), id="a mark that does not exist yet"),
    pytest.param(model(field(5, named(INSIDE + field(14, b"\1")))), id="the mark as a list"),
    pytest.param(model(field(5, named(field(13, 1)))), id="a place that is a number"),
    pytest.param(model(field(5, named(INSIDE), n_bytes=3)), id="a tag with needless bytes"),
    pytest.param(model(varint(5 << 3 | BYTES) + varint(len(named(INSIDE)), 5) + named(INSIDE)), id="a length as well"),
    pytest.param(model(field(5, field(1, 4) + varint(2 << 3) + varint(1, 9))), id="a value as well"),
    pytest.param(model(field(1, 5)), id="a node that is a number"),
    pytest.param(model(b"") + field(7, b""), id="two graphs"),
    pytest.param(model(field(1, field(5, field(5, named(INSIDE)) + field(5, b"")))), id="two tensors of one attribute"),
    pytest.param(model(field(15, field(1, named(INSIDE)) * 2)), id="the values of a sparse tensor twice"),
    pytest.param(model(varint(99 << 3 | 3) + varint(99 << 3 | 4)), id="a group"),
    pytest.param(model(varint(99 << 3 | 1) + b"1234"), id="a number that ends elsewhere"),
    pytest.param(model(field(5, named(varint(14 << 3) + b"\xff" * 9 + b"\x02"))), id="a number beyond 64 bits"),
])  # fmt: skip
def test_what_could_be_read_differently_is_refused(tmp_path, content):
    with pytest.raises(ModelFileDamagedError):
        check(tmp_path, content)


def test_numbers_below_zero_and_repeated_parts_are_usual(tmp_path):
    made = tiny_models.feat_model()
    made.graph.node[0].attribute.add(name="axis", i=-1, type=onnx.AttributeProto.INT)
    made.graph.node[0].attribute.add(name="axes", ints=[-1, -2], type=onnx.AttributeProto.INTS)
    made.functions.add(name="f"), made.functions.add(name="g")
    check(tmp_path, made.SerializeToString())


def fields_of(content: bytes) -> list[tuple[int, bytes | int]]:
    """The fields of a message without tricks."""
    place, found = 0, []

    def number() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte, place, shift = content[place], place + 1, shift + 7
            value |= (byte & 127) << (shift - 7)
            if byte < 128:
                return value

    while place < len(content):
        tag = number()
        if tag & 7 == VARINT:
            found.append((tag >> 3, number()))
        else:
            size = number() if tag & 7 == BYTES else {1: 8, 5: 4}[tag & 7]
            found.append((tag >> 3, content[place : place + size]))
            place += size
    return found


def disguised(content: bytes, message: str, dice: random.Random, share: float) -> bytes:
    """The same message, where some fields are written in another way."""
    parts = []
    for number, value in fields_of(content):
        inner = INNER.get(message, {}).get(number)
        if inner is not None:
            value = disguised(value, inner, dice, share)
        trick = dice.choice(("bits", "bytes", "twice", "split")) if dice.random() < share else ""
        more, n_bytes = BIT_32 << dice.randrange(31) if trick == "bits" else 0, dice.randrange(2, 11)
        once = field(number, value, more=more, n_bytes=n_bytes if trick == "bytes" else 1)
        if trick == "split" and inner is not None:
            half = [field(n, v) for n, v in fields_of(value)] if dice.random() < 0.5 else [value]
            once = field(number, b"".join(half[::2])) + field(number, b"".join(half[1::2]))
        parts.append(once * (2 if trick == "twice" else 1))
    return b"".join(parts)


def weights_outside() -> bytes:
    tensor = numpy_helper.from_array(np.ones(4, np.float32), "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    inner = helper.make_graph([helper.make_node("Constant", [], ["c"], value=tensor)], "i", [], [])
    node = helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner)
    made = helper.make_graph([node], "g", [], [], [tensor])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()


def names_another_file(graph: onnx.GraphProto) -> bool:
    tensors, graphs = list(graph.initializer), []
    for node in graph.node:
        tensors += [attribute.t for attribute in node.attribute]
        graphs += [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    return any(t.external_data or t.data_location for t in tensors) or any(map(names_another_file, graphs))


@pytest.mark.parametrize("seed", range(20))
def test_no_disguise_gets_weights_in_another_file_past(tmp_path, seed):
    dice, outside, n_read = random.Random(seed), weights_outside(), 0
    for _ in range(50):
        content = disguised(outside, MODEL, dice, share=dice.choice((0.02, 0.05, 0.1)))
        for _ in range(dice.randrange(2)):  # and some damage
            place = dice.randrange(len(content))
            content = content[:place] + bytes([dice.randrange(256)]) + content[place + dice.randrange(2) :]
        with contextlib.suppress(DecodeError):
            if names_another_file(onnx.ModelProto.FromString(content).graph):
                n_read += 1
                with pytest.raises(ModelFileDamagedError):
                    check(tmp_path, content)
    assert n_read > 5, f"seed {seed}"


@pytest.mark.parametrize("content", [
    pytest.param(lambda n: field(1, 8) * n, id="of the model"),
    pytest.param(lambda n: model(field(5, b"") * n), id="tensors"),
    pytest.param(lambda n: model(field(1, field(5, b"") * n)), id="attributes"),
    pytest.param(lambda n: model(field(5, field(1, 1) * n)), id="numbers of a tensor"),
    pytest.param(lambda n: model(field(99, b"") * n), id="of no meaning"),
])  # fmt: skip
def test_the_work_is_bounded(tmp_path, monkeypatch, content):
    read, usual = [], onnx_file._varint
    monkeypatch.setattr(onnx_file, "MAX_FIELDS", 1000)
    monkeypatch.setattr(onnx_file, "_varint", lambda *place: read.append(1) or usual(*place))
    with pytest.raises(ModelFileDamagedError, match="more than 1,000 fields"):
        check(tmp_path, content(50_000))
    assert len(read) <= 2 * 1001


def test_models_are_far_from_the_bound(monkeypatch, tmp_path):
    monkeypatch.setattr(onnx_file, "MAX_FIELDS", onnx_file.MAX_FIELDS // 100)
    check(tmp_path, FEAT)
