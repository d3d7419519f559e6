"""Checks an ONNX file without loading it: is it complete, and are all weights in it?

What is valid protobuf, but could be read differently by another reader, is refused: numbers with more bytes than
needed, field tags beyond 32 bits, known fields of another type, and parts of one message in several places.
"""

import contextlib
import mmap
from collections.abc import Iterator
from pathlib import Path

from ..errors import ModelFileDamagedError

MAX_BYTES = 1 << 30  # the largest published model has 0.4 GB
MAX_FIELDS = 1 << 20
"""Limit of the number of fields that are read; models have some ten thousand."""
EXPECTED = "an ONNX model in one file"

# Other kinds of files that are found under the name of a model: (first bytes, description).
_OTHER_KINDS = (
    (
        b"version https://git-lfs",
        "is a git-lfs pointer (a short text), not the model: the repository was cloned without its files",
    ),
    (b"<", "is a web page or XML, not the model"),
    (b"PK\x03\x04", "is a zip archive (perhaps a PyTorch checkpoint), not an ONNX model"),
    (b"\x80\x02", "is a Python pickle, not an ONNX model; it was not opened"),
    (b"\x80\x04", "is a Python pickle, not an ONNX model; it was not opened"),
    (b"{", "is JSON, not an ONNX model"),
)

# Messages of a model that can contain tensors, with their protobuf field numbers: {message: {field: message}}.
_MESSAGES: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
# Those that are at most once in their message; protobuf would merge several.
_SINGLE: dict[str, set[int]] = {"model": {7}, "training": {1, 2}, "attribute": {5, 6, 22}, "sparse": {1, 2}}
_GRAPH, _OPSET = 7, 8  # required fields of a model
_EXTERNAL_DATA, _DATA_LOCATION, _IN_THE_FILE = 13, 14, 0
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_TAG_BITS, _MAX_VARINT = 32, 10  # 10 bytes for 64 bits


def check(path: Path, *, remedy: str = "") -> None:
    """Refuses a file that is empty, truncated, too large, not an ONNX model, or has its weights in another file.

    External data is always refused: the published models have none, the fingerprint would not cover it, and older
    versions of onnxruntime follow its path to any file.

    Args:
        path: an existing file
        remedy (""): advice for the error

    Raises:
        ModelFileDamagedError: names the problem
    """
    problem = _problem(path)
    if problem:
        raise ModelFileDamagedError(path, problem, expected=EXPECTED, remedy=remedy)


@contextlib.contextmanager
def readable(path: Path, *, remedy: str = "") -> Iterator[None]:
    """Converts the exceptions of a file that cannot be read into :class:`ModelFileDamagedError`."""
    try:
        yield
    except OSError as error:
        problem = f"cannot be read ({error.strerror or error})"
        raise ModelFileDamagedError(path, problem, expected="a readable file", remedy=remedy) from error


def _problem(path: Path) -> str | None:
    size = path.stat().st_size
    if size == 0:
        return "is empty"
    if size > MAX_BYTES:
        return f"is too large ({size / 1e9:.1f} GB; the limit is {MAX_BYTES / 1e9:.1f} GB)"
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        first_bytes = data[:64].lstrip()
        for magic, description in _OTHER_KINDS:
            if first_bytes.startswith(magic):
                return description
        try:
            return _problem_in_messages(data)
        except _TruncatedError as error:
            return f"is truncated: it has {size:,} bytes and should have {error.end:,} or more"
        except _MalformedError as error:
            return f"is damaged or not an ONNX model ({error})"


def _problem_in_messages(data: mmap.mmap) -> str | None:
    """Walks through every message that can contain a tensor; returns the first problem."""
    n_fields, pending = 0, [("model", 0, len(data))]
    while pending:
        message, start, end = pending.pop()
        numbers: set[int] = set()
        for number, wire_type, value, value_end in _fields(data, start, end):
            n_fields += 1
            if n_fields > MAX_FIELDS:
                return f"is not a CCIP model: it has more than {MAX_FIELDS:,} fields"
            inner = _MESSAGES[message].get(number)
            if inner is not None:
                _check_inner(message, number, wire_type, numbers)
                pending.append((inner, value, value_end))
            elif message == "tensor" and _is_elsewhere(number, wire_type, value):
                return "has weights in another file (external data), which is refused"
            numbers.add(number)
        if message == "model" and not {_GRAPH, _OPSET} <= numbers:
            return "lacks its graph or its operator version: truncated, or not an ONNX model"
    return None


def _check_inner(message: str, number: int, wire_type: int, numbers: set[int]) -> None:
    """Refuses a field that should be a message and is not, or that occurs twice."""
    if wire_type != _BYTES:
        raise _MalformedError(f"field {number} of a {message} has the type {wire_type}")
    if number in numbers and number in _SINGLE.get(message, ()):
        raise _MalformedError(f"field {number} of a {message} occurs twice")


def _is_elsewhere(number: int, wire_type: int, value: int) -> bool:
    """Whether a field of a tensor says, to any reader, that its numbers are in another file."""
    if number == _DATA_LOCATION:
        return wire_type != _VARINT or value != _IN_THE_FILE
    return number == _EXTERNAL_DATA


def _fields(data: mmap.mmap, position: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yields the fields of a message: number, wire type, and where it starts and ends; of varints value and end.

    Only the last field of the file may be truncated.
    """
    is_top = position == 0 and end == len(data)
    while position < end:
        key, position = _varint(data, position, end)
        if key >> _TAG_BITS:
            raise _MalformedError("a field tag has more than 32 bits")
        number, wire_type = key >> 3, key & 7
        if number == 0:
            raise _MalformedError("field number 0")
        if wire_type == _VARINT:
            value, position = _varint(data, position, end)
            yield number, wire_type, value, position
            continue
        if wire_type == _BYTES:
            length, position = _varint(data, position, end)
        elif wire_type in (_FIXED32, _FIXED64):
            length = 4 if wire_type == _FIXED32 else 8
        else:
            raise _MalformedError(f"unknown field type {wire_type}")
        field_end = position + length
        if field_end > end:
            is_truncated = is_top and length <= MAX_BYTES
            raise _TruncatedError(field_end) if is_truncated else _MalformedError("a field is too long")
        yield number, wire_type, position, field_end
        position = field_end


def _varint(data: mmap.mmap, position: int, end: int) -> tuple[int, int]:
    """Reads a varint of the fewest bytes; returns its value and the position after it."""
    value = shift = 0
    start = position
    while position < min(end, start + _MAX_VARINT):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            if (byte == 0 and position - start > 1) or value >> 64:
                raise _MalformedError("a number has more bytes than needed, or more than 64 bits")
            return value, position
    raise _MalformedError("a number does not end")


class _TruncatedError(Exception):
    """The file ends before the end of its last field."""

    def __init__(self, end: int):
        super().__init__(end)
        self.end = end


class _MalformedError(Exception):
    """The bytes are not a protobuf message."""
