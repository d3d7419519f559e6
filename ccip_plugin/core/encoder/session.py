"""Runs an ONNX file on the processor or accelerator that was asked for, and says which that is."""

import contextlib
import io
import logging
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import ClosedError, ModelFileDamagedError, ModelMismatchError, ProviderError, SessionError

logger = logging.getLogger(__name__)

AUTO, CPU, CUDA = "auto", "CPUExecutionProvider", "CUDAExecutionProvider"

# How people name the providers of onnxruntime, and the wheel that has each.
_NAMES = {
    "cpu": CPU,
    "cuda": CUDA,
    "gpu": CUDA,
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "directml": "DmlExecutionProvider",
    "dml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
    "qnn": "QNNExecutionProvider",
}
_WHEELS = {
    CUDA: "onnxruntime-gpu",
    "TensorrtExecutionProvider": "onnxruntime-gpu",
    "OpenVINOExecutionProvider": "onnxruntime-openvino",
    "DmlExecutionProvider": "onnxruntime-directml",
    "CoreMLExecutionProvider": "onnxruntime, on macOS",
    "ROCMExecutionProvider": "onnxruntime-rocm",
    "MIGraphXExecutionProvider": "onnxruntime-migraphx",
    "QNNExecutionProvider": "onnxruntime-qnn",
}
_ELSEWHERE = ("AzureExecutionProvider",)  # part of the ordinary wheel; sends models away or does nothing
_QUIET = 3  # errors only: they reach us as exceptions, warnings of the optimiser help nobody


@dataclass(frozen=True)
class Signature:
    """What a model takes and gives besides the number of rows, float32 both."""

    taken: tuple[int, ...]
    given: tuple[int | None, ...]

    def __str__(self) -> str:
        taken, given = (", ".join(str(n or "n") for n in (None, *shape)) for shape in (self.taken, self.given))
        return f"one input (n, {taken[3:]}) and one output (n, {given[3:]}), float32, for any n"


FEATURES = Signature((3, 384, 384), (768,))
METRIC = Signature((768,), (None,))  # n vectors -> (n, n)


class Session:
    """A loaded model, to be used by any number of threads at once. Made by :func:`open_session`."""

    def __init__(self, path: Path, session: Any, signature: Signature):
        self.path, self.signature = path, signature
        self.provider: str = session.get_providers()[0]
        self._session = session
        self._input = session.get_inputs()[0].name
        self._output = session.get_outputs()[0].name

    def run(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Runs the model on all ``n`` rows at once.

        Args:
            rows: ``(n, 3, 384, 384)`` images or ``(n, 768)`` vectors, as the signature says

        Returns:
            ``(n, 768)`` vectors or ``(n, n)`` differences, float32

        Raises:
            ValueError: other shape than the model takes
            SessionError: the provider failed
            ModelMismatchError: the model gave another shape than it should
            ClosedError: after :meth:`close`
        """
        session = self._session
        if session is None:
            raise ClosedError(f"the session of {self.path.name}")
        if rows.shape[1:] != self.signature.taken:
            raise ValueError(f"rows have the shape {rows.shape}, the model takes (n, *{self.signature.taken})")
        n = len(rows)
        shape = (n, *(n if size is None else size for size in self.signature.given))
        if n == 0:
            return np.empty(shape, np.float32)
        try:
            (given,) = session.run([self._output], {self._input: np.ascontiguousarray(rows, dtype=np.float32)})
        except _runtime_errors() as error:
            raise SessionError(f"{self.path.name} failed on {self.provider} with {n} rows: {error}") from error
        if given.shape != shape:
            raise _mismatch(self.path, f"gave an output of shape {given.shape} for {n} rows", self.signature)
        return given

    def close(self) -> None:
        """Frees the model; runs that are under way end in order."""
        self._session = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def available_providers() -> tuple[str, ...]:
    """The execution providers of the installed onnxruntime that run models on this machine, by their full names."""
    import onnxruntime

    return tuple(name for name in onnxruntime.get_available_providers() if name not in _ELSEWHERE)


def open_session(
    path: str | Path,
    *,
    provider: str = AUTO,
    threads: int | None = None,
    signature: Signature = FEATURES,
    remedy: str = "",
) -> Session:
    """Loads an ONNX file.

    Args:
        path: the file
        provider ("auto"): "auto" is CUDA if a trial run succeeds, else the CPU. Everything else by name only: "cpu",
            "cuda", "openvino", ... or a full name such as "CUDAExecutionProvider"
        threads (None): threads of one run on the CPU, 1 by default: many runs share the processor better than one
            run does. They never spin, which would starve their neighbours
        signature (FEATURES): what the model must take and give
        remedy (""): what errors about the file tell people to do

    Raises:
        ProviderError: the provider is not there or does not start; names those that are, and what to install
        ModelFileDamagedError: the file cannot be loaded
        ModelMismatchError: it takes or gives something else
        ValueError: ``threads`` below 1
    """
    path = Path(path)
    if threads is not None and threads < 1:
        raise ValueError(f"threads is {threads}, at least 1 is needed")
    if provider.lower() != AUTO:
        return _open_on(path, _full_name(provider), threads, signature, remedy)
    if CUDA in available_providers():
        try:
            return _open_on(path, CUDA, threads, signature, remedy)
        except (ProviderError, SessionError) as error:
            logger.warning("CUDA is there but is not used: %s", error)
    return _open_on(path, CPU, threads, signature, remedy)


def _open_on(path: Path, provider: str, threads: int | None, signature: Signature, remedy: str) -> Session:
    """A session whose first provider is ``provider``, tried once unless that is the CPU."""
    session = _load(path, provider, threads, remedy)
    _check_signature(path, session, signature, remedy)
    opened = Session(path, session, signature)
    if opened.provider != provider:
        remedy = "Its driver or libraries may be missing: onnxruntime's own message on the error output names them."
        raise _not_started(provider, "its session runs elsewhere", remedy)
    if provider != CPU:
        opened.run(np.zeros((1, *signature.taken), np.float32))
    return opened


def _load(path: Path, provider: str, threads: int | None, remedy: str) -> Any:
    import onnxruntime

    if provider == CUDA:
        _load_cuda_libraries()
    # TF32 would round the numbers of an image to 10 bits. Operators that the provider lacks run on the CPU.
    first = (provider, {"use_tf32": "0"}) if provider == CUDA else provider
    providers = [first] if provider == CPU else [first, CPU]
    try:
        return onnxruntime.InferenceSession(str(path), _options(threads, provider), providers=providers)
    except (*_file_errors(), *_runtime_errors()) as error:
        if provider != CPU and not isinstance(error, _file_errors()):
            raise _not_started(provider, _first_line(error)) from error
        problem, expected = f"cannot be loaded ({_first_line(error)})", "an ONNX model that onnxruntime reads"
        raise ModelFileDamagedError(path, problem, expected=expected, remedy=remedy) from error


def _options(threads: int | None, provider: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _QUIET
    options.intra_op_num_threads = threads or 1
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = provider != CPU  # a plan of it takes 20 MiB more per run, and saves no time there
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def _load_cuda_libraries() -> None:
    """Lets onnxruntime find the CUDA libraries that came as wheels. It prints what it does not find."""
    import onnxruntime

    if hasattr(onnxruntime, "preload_dlls"):  # from version 1.21
        with contextlib.redirect_stdout(io.StringIO()) as said:
            onnxruntime.preload_dlls()
        if said.getvalue():
            logger.info("loading the CUDA libraries: %s", said.getvalue().strip())


def _not_started(provider: str, why: str, remedy: str = "") -> ProviderError:
    others = tuple(name for name in available_providers() if name != provider)
    return ProviderError(
        provider, f"is part of this onnxruntime but did not start ({why})", available=others, remedy=remedy
    )


def _full_name(provider: str) -> str:
    """The onnxruntime name of a provider that is there."""
    there = available_providers()
    wanted = _NAMES.get(provider.lower(), provider)
    for name in there:
        if name.lower() == wanted.lower():
            return name
    wheel = _WHEELS.get(wanted)
    remedy = "" if wheel is None else f"It comes with the wheel {wheel}, which takes the place of onnxruntime."
    raise ProviderError(provider, "is not there", available=there, remedy=remedy)


def _check_signature(path: Path, session: Any, signature: Signature, remedy: str) -> None:
    """Refuses what contradicts the signature; dimensions without a number are checked when the model runs."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        raise _mismatch(path, f"has {len(inputs)} inputs and {len(outputs)} outputs", signature, remedy)
    for what, node, wanted in (("takes", inputs[0], signature.taken), ("gives", outputs[0], signature.given)):
        rows, *rest = node.shape or [None]
        fits = len(rest) == len(wanted) and all(
            not isinstance(size, int) or n is None or size == n for size, n in zip(rest, wanted, strict=True)
        )
        if not fits or isinstance(rows, int) or node.type != "tensor(float)":
            raise _mismatch(path, f"{what} {node.name!r} {node.shape} {node.type}", signature, remedy)


def _mismatch(path: Path, problem: str, signature: Signature, remedy: str = "") -> ModelMismatchError:
    return ModelMismatchError(path, problem, expected=str(signature), remedy=remedy)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _file_errors() -> tuple[type[Exception], ...]:
    """What onnxruntime raises for a file that it cannot read, whatever the provider."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return state.InvalidProtobuf, state.InvalidGraph, state.NoSuchFile, state.NoModel


def _runtime_errors() -> tuple[type[Exception], ...]:
    """What else onnxruntime raises; its exceptions have no base of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        state.Fail,
        state.RuntimeException,
        state.InvalidArgument,
        state.NotImplemented,
        state.EPFail,
        state.EngineError,
        RuntimeError,
        ValueError,
    )
