"""Looks into an ONNX file without loading it: is it whole, is it one file."""

import mmap
from collections.abc import Iterator
from pathlib import Path

from ..errors import ModelFileDamagedError

MAX_BYTES = 1 << 30  # the largest published model has 0.4 GB
EXPECTED = "an ONNX model in one file"

# What other files begin with that end up under the name of a model: (beginning, what it is).
_OTHERS = (
    (
        b"version https://git-lfs",
        "is a git-lfs pointer (a short text), not the model: the repository came without its files",
    ),
    (b"<", "is a web page or XML, not the model"),
    (b"PK\x03\x04", "is a zip archive (perhaps a PyTorch checkpoint), not an ONNX model"),
    (b"\x80\x02", "is a Python pickle, not an ONNX model; it was not opened"),
    (b"\x80\x04", "is a Python pickle, not an ONNX model; it was not opened"),
    (b"{", "is JSON, not an ONNX model"),
)

# The parts of a model that can hold tensors, as protocol buffers number them: {message: {field: message}}.
_PARTS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_GRAPH, _OPSET = 7, 8  # fields of a model that every model has
_EXTERNAL_DATA, _DATA_LOCATION, _EXTERNAL = 13, 14, 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def check(path: Path, *, remedy: str = "") -> None:
    """Refuses what cannot be a model: empty, cut short, too large, something else, or keeping its weights elsewhere.

    Data outside the file is refused wherever it points to: the published models have none, it would not be covered by
    the fingerprint, and older onnxruntime versions follow such a path to any file.

    Args:
        path: an existing file
        remedy (""): what the error tells people to do

    Raises:
        ModelFileDamagedError: says what is wrong
    """
    problem = _problem(path)
    if problem:
        raise ModelFileDamagedError(path, problem, expected=EXPECTED, remedy=remedy)


def _problem(path: Path) -> str | None:
    size = path.stat().st_size
    if size == 0:
        return "is empty"
    if size > MAX_BYTES:
        return f"is too large ({size / 1e9:.1f} GB, at most {MAX_BYTES / 1e9:.1f} GB are read)"
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        beginning = data[:64].lstrip()
        for magic, what in _OTHERS:
            if beginning.startswith(magic):
                return what
        try:
            return _look_through(data)
        except _CutError as error:
            return f"is cut short: it has {size:,} bytes and should have {error.end:,} or more"
        except _MalformedError as error:
            return f"is damaged or not an ONNX model ({error})"


def _look_through(data: mmap.mmap) -> str | None:
    """Walks through every part that can hold a tensor; says what is wrong with the first that is."""
    top = set()
    to_do = []
    for number, start, end in _fields(data, 0, len(data), cut=True):
        top.add(number)
        if end is not None and number in _PARTS["model"]:
            to_do.append((_PARTS["model"][number], start, end))
    if not {_GRAPH, _OPSET} <= top:
        return "lacks its graph or its operator version: cut short, or not an ONNX model"
    while to_do:
        part, start, end = to_do.pop()
        for number, value, value_end in _fields(data, start, end):
            if part == "tensor" and (number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value == _EXTERNAL)):
                return "keeps weights in another file (external data), which is refused"
            if value_end is not None and number in _PARTS[part]:
                to_do.append((_PARTS[part][number], value, value_end))
    return None


def _fields(data: mmap.mmap, at: int, end: int, *, cut: bool = False) -> Iterator[tuple[int, int, int | None]]:
    """The fields of a message: (number, value, None) of numbers, (number, start, end) of everything with a length."""
    while at < end:
        key, at = _varint(data, at, end)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(data, at, end)
            yield number, value, None
            continue
        if kind == _BYTES:
            length, at = _varint(data, at, end)
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise _MalformedError(f"unknown field type {kind}")
        if number == 0:
            raise _MalformedError("field number 0")
        if at + length > end:
            raise _CutError(at + length) if cut and length <= MAX_BYTES else _MalformedError("a part is too long")
        yield number, at, at + length if kind == _BYTES else None
        at += length


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise _MalformedError("a number does not end")


class _CutError(Exception):
    """The file ends before what it announces."""

    def __init__(self, end: int):
        super().__init__(end)
        self.end = end


class _MalformedError(Exception):
    """Not a message of protocol buffers."""
