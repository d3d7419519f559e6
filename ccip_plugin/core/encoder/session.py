"""Sessions of onnxruntime: loads an ONNX file with an execution provider and runs it."""

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

# Short names of onnxruntime's execution providers, and the wheels that contain them.
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
_REMOTE = ("AzureExecutionProvider",)  # in the standard wheel; sends models to a service, or does nothing
_ERRORS_ONLY = 3  # log level: errors are raised as exceptions anyway, warnings of the optimizer are of no use


@dataclass(frozen=True)
class Signature:
    """Shapes of the input and the output of a model without the first dimension; both are float32."""

    input_shape: tuple[int, ...]
    output_shape: tuple[int | None, ...]

    def __str__(self) -> str:
        inputs, outputs = (
            ", ".join(str(n or "n") for n in (None, *shape)) for shape in (self.input_shape, self.output_shape)
        )
        return f"one input (n, {inputs[3:]}) and one output (n, {outputs[3:]}), float32, for any n"


FEATURES = Signature((3, 384, 384), (768,))
METRIC = Signature((768,), (None,))  # n vectors -> (n, n)


class Session:
    """A loaded model; thread-safe. Created by :func:`open_session`."""

    def __init__(self, path: Path, session: Any, signature: Signature):
        self.path, self.signature = path, signature
        self.provider: str = session.get_providers()[0]
        self._session = session
        self._input = session.get_inputs()[0].name
        self._output = session.get_outputs()[0].name

    def run(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Runs the model on a batch of ``n`` rows.

        Args:
            rows: ``(n, 3, 384, 384)`` images or ``(n, 768)`` vectors, depending on the signature

        Returns:
            ``(n, 768)`` vectors or ``(n, n)`` differences, float32

        Raises:
            ValueError: the shape of ``rows`` is not the input shape of the model
            SessionError: the provider failed
            ModelMismatchError: the output has another shape than the signature
            ClosedError: the session is closed
        """
        session = self._session
        if session is None:
            raise ClosedError(f"the session of {self.path.name}")
        if rows.shape[1:] != self.signature.input_shape:
            raise ValueError(f"rows have shape {rows.shape}, the model takes (n, *{self.signature.input_shape})")
        n = len(rows)
        shape = (n, *(n if size is None else size for size in self.signature.output_shape))
        if n == 0:
            return np.empty(shape, np.float32)
        output: NDArray[np.float32]
        try:
            (output,) = session.run([self._output], {self._input: np.ascontiguousarray(rows, dtype=np.float32)})
        except _runtime_errors() as error:
            raise SessionError(f"{self.path.name} failed on {self.provider} with {n} rows: {error}") from error
        if output.shape != shape:
            raise _mismatch(self.path, f"returned an output of shape {output.shape} for {n} rows", self.signature)
        return output

    def close(self) -> None:
        """Frees the model; runs in progress are completed."""
        self._session = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class FreeSession:
    """A loaded model of any shape with one input and one output, such as a detector; thread-safe."""

    def __init__(self, path: Path, session: Any):
        self.path = path
        self.provider: str = session.get_providers()[0]
        self._session = session
        self._input, self._output = session.get_inputs()[0], session.get_outputs()[0]

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of the input; None where any number is allowed."""
        return tuple(each if isinstance(each, int) else None for each in self._input.shape or ())

    @property
    def metadata(self) -> dict[str, str]:
        """What the file says of itself."""
        return dict(self._session.get_modelmeta().custom_metadata_map)

    def run(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Runs the model.

        Args:
            values: the input, float32, of the shape of the model

        Raises:
            SessionError: the provider failed
        """
        rows = np.ascontiguousarray(values, dtype=np.float32)
        try:
            (output,) = self._session.run([self._output.name], {self._input.name: rows})
        except _runtime_errors() as error:
            text = f"{self.path.name} failed on {self.provider} with an input of shape {rows.shape}: {error}"
            raise SessionError(text) from error
        return np.asarray(output, np.float32)


def open_free(path: str | Path, *, provider: str = AUTO, threads: int | None = None, remedy: str = "") -> FreeSession:
    """Loads an ONNX file of any shape with one float32 input and one output.

    Args:
        path: the file
        provider ("auto"): as in :func:`open_session`
        threads (None): as in :func:`open_session`
        remedy (""): advice for errors about the file

    Raises:
        ProviderError: the provider is not available or does not start
        ModelFileDamagedError: the file cannot be loaded
        ModelMismatchError: the model has other inputs and outputs
    """
    path = Path(path)
    wanted = provider.lower()
    if wanted == AUTO and CUDA in available_providers():
        try:
            return _open_free(path, CUDA, threads, remedy)
        except ProviderError as error:
            logger.warning("CUDA is available but is not used: %s", error)
    return _open_free(path, CPU if wanted == AUTO else _full_name(provider), threads, remedy)


def _open_free(path: Path, provider: str, threads: int | None, remedy: str) -> FreeSession:
    session = _load(path, provider, threads, remedy)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1 or inputs[0].type != "tensor(float)":
        problem = f"has {len(inputs)} inputs and {len(outputs)} outputs"
        raise ModelMismatchError(path, problem, expected="one float32 input and one output", remedy=remedy)
    if session.get_providers()[0] != provider:
        raise _not_started(provider, "its session runs on another provider")
    return FreeSession(path, session)


def available_providers() -> tuple[str, ...]:
    """Full names of the execution providers of the installed onnxruntime that run models on this machine."""
    import onnxruntime

    return tuple(name for name in onnxruntime.get_available_providers() if name not in _REMOTE)


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
        provider ("auto"): "auto" is CUDA if a trial run succeeds, else the CPU. Other providers are used only if named:
            "cpu", "cuda", "openvino", ... or a full name such as "CUDAExecutionProvider"
        threads (None): number of threads of one run on the CPU; 1 by default, as parallel runs use the cores better
            than parallel threads of one run. The threads do not spin, which would slow down other runs
        signature (FEATURES): the expected input and output
        remedy (""): advice for errors about the file

    Raises:
        ProviderError: the provider is not available or does not start; lists the available ones and what to install
        ModelFileDamagedError: the file cannot be loaded
        ModelMismatchError: the model has another signature
        ValueError: ``threads`` below 1
    """
    path = Path(path)
    if threads is not None and threads < 1:
        raise ValueError(f"threads is {threads}; it must be at least 1")
    if provider.lower() != AUTO:
        return _open_on(path, _full_name(provider), threads, signature, remedy)
    if CUDA in available_providers():
        try:
            return _open_on(path, CUDA, threads, signature, remedy)
        except (ProviderError, SessionError) as error:
            logger.warning("CUDA is available but is not used: %s", error)
    return _open_on(path, CPU, threads, signature, remedy)


def _open_on(path: Path, provider: str, threads: int | None, signature: Signature, remedy: str) -> Session:
    """Opens a session whose first provider is ``provider``; a provider other than the CPU is tested with one run."""
    session = _load(path, provider, threads, remedy)
    _check_signature(path, session, signature, remedy)
    opened = Session(path, session, signature)
    if opened.provider != provider:
        remedy = "Its driver or libraries may be missing: onnxruntime's message on the error output names them."
        raise _not_started(provider, "its session runs on another provider", remedy)
    if provider != CPU:
        opened.run(np.zeros((1, *signature.input_shape), np.float32))
    return opened


def _load(path: Path, provider: str, threads: int | None, remedy: str) -> Any:
    import onnxruntime

    if provider == CUDA:
        _load_cuda_libraries()
    # TF32 would round pixel values to 10 bits. Operators that the provider does not support run on the CPU.
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
    options.log_severity_level = _ERRORS_ONLY
    options.intra_op_num_threads = threads or 1
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = provider != CPU  # on the CPU it takes 20 MiB more per run and saves no time
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def _load_cuda_libraries() -> None:
    """Lets onnxruntime load the CUDA libraries from wheels. It prints the missing ones, which are logged here."""
    import onnxruntime

    if hasattr(onnxruntime, "preload_dlls"):  # from version 1.21
        with contextlib.redirect_stdout(io.StringIO()) as output:
            onnxruntime.preload_dlls()
        if output.getvalue():
            logger.info("loading the CUDA libraries: %s", output.getvalue().strip())


def _not_started(provider: str, reason: str, remedy: str = "") -> ProviderError:
    others = tuple(name for name in available_providers() if name != provider)
    return ProviderError(
        provider, f"is part of this onnxruntime but did not start ({reason})", available=others, remedy=remedy
    )


def _full_name(provider: str) -> str:
    """The onnxruntime name of an available provider."""
    available = available_providers()
    full_name = _NAMES.get(provider.lower(), provider)
    for name in available:
        if name.lower() == full_name.lower():
            return name
    wheel = _WHEELS.get(full_name)
    remedy = "" if wheel is None else f"Install the wheel {wheel} instead of onnxruntime."
    raise ProviderError(provider, "is not available", available=available, remedy=remedy)


def _check_signature(path: Path, session: Any, signature: Signature, remedy: str) -> None:
    """Raises ModelMismatchError for another signature; dimensions without a number are checked when the model runs."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        raise _mismatch(path, f"has {len(inputs)} inputs and {len(outputs)} outputs", signature, remedy)
    for kind, node, shape in (
        ("input", inputs[0], signature.input_shape),
        ("output", outputs[0], signature.output_shape),
    ):
        rows, *rest = node.shape or [None]
        fits = len(rest) == len(shape) and all(
            not isinstance(size, int) or n is None or size == n for size, n in zip(rest, shape, strict=True)
        )
        if not fits or isinstance(rows, int) or node.type != "tensor(float)":
            raise _mismatch(path, f"has the {kind} {node.name!r} {node.shape} {node.type}", signature, remedy)


def _mismatch(path: Path, problem: str, signature: Signature, remedy: str = "") -> ModelMismatchError:
    return ModelMismatchError(path, problem, expected=str(signature), remedy=remedy)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _file_errors() -> tuple[type[Exception], ...]:
    """Exceptions of onnxruntime for a file that it cannot read, with any provider."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return state.InvalidProtobuf, state.InvalidGraph, state.NoSuchFile, state.NoModel


def _runtime_errors() -> tuple[type[Exception], ...]:
    """Other exceptions of onnxruntime; they have no common base class."""
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
