"""Errors of this package; each keeps the invalid value and what was expected."""

import re
import types
import warnings
from collections.abc import Mapping
from pathlib import Path

_MAX_SUGGESTIONS = 3  # more suggestions do not help beside the list of all names


def printable(message: str) -> str:
    """A message with the names of files that are not valid text, so that it can be printed."""
    return message.encode("utf-8", "backslashreplace").decode("utf-8")


class CCIPError(Exception):
    """Base class of the errors of this package.

    Attributes:
        mentions: the options and functions that the message names as in Python, e.g. ``max_pixels``
    """

    mentions: tuple[str, ...] = ()

    def spelled(self, spellings: Mapping[str, str]) -> str:
        """The message with the options and functions that it mentions as another interface calls them.

        Quoted text is kept: it is the user's.

        Args:
            spellings: e.g. ``{"max_pixels": "--max-pixels"}``; other names stay as in Python
        """
        names = "|".join(name for name in self.mentions if name in spellings)
        if not names:
            return str(self)
        mention = rf"(?<![\w'\"./-])({names})(?:=True\b|(=))?(?![\w'\"/-]|\.\w)"
        return re.sub(mention, lambda match: spellings[match[1]] + (" " if match[2] else ""), str(self))


class UnknownModelError(CCIPError, ValueError):
    """The model name is not in the registry."""

    def __init__(self, name: str, known: tuple[str, ...], close: tuple[str, ...] = ()):
        hint = f"did you mean {' or '.join(map(repr, close))}? " if 0 < len(close) <= _MAX_SUGGESTIONS else ""
        super().__init__(f"unknown CCIP model {name!r}; {hint}available: {', '.join(known)}")
        self.name, self.known, self.close = name, known, close


class ModelFileError(CCIPError):
    """A file of a model cannot be used.

    Attributes:
        path: the file
        problem: what is wrong with it
        expected: a description of the expected file
        remedy: what to do, also without network
    """

    mentions = ("model_dir",)

    def __init__(self, path: str | Path, problem: str, *, expected: str, remedy: str = ""):
        message = f"{path}: {problem}; expected {expected}.{' ' if remedy else ''}{remedy}"
        super().__init__(printable(message))
        self.path, self.problem, self.expected, self.remedy = Path(path), problem, expected, remedy


class ModelFileMissingError(ModelFileError, FileNotFoundError):
    """A model file is missing."""


class ModelFileDamagedError(ModelFileError, ValueError):
    """A model file is empty, truncated, too large, or another kind of file."""


class ModelFileChangedError(ModelFileError, ValueError):
    """A model file has changed since it was downloaded, or is not the published one."""


class ModelMismatchError(ModelFileError, ValueError):
    """A model file can be loaded, but has other input or output shapes or types than a CCIP model."""


class DownloadError(CCIPError, ConnectionError):
    """The download of a model or an archive failed."""

    mentions = ("model_dir",)

    def __init__(self, what: str, problem: str, *, remedy: str = ""):
        super().__init__(f"could not download {what}: {problem}.{' ' if remedy else ''}{remedy}")
        self.what, self.problem, self.remedy = what, problem, remedy


class UnknownRevisionError(DownloadError):
    """The repository on the hub has no such commit, tag or branch."""

    def __init__(self, what: str, revision: str, *, remedy: str = ""):
        super().__init__(what, f"the repository on the hub has no revision {revision!r}", remedy=remedy)
        self.revision = revision


class UnknownPresetError(CCIPError, ValueError):
    """The model has no published parameters of that name."""

    def __init__(self, name: str, model_name: str, known: tuple[str, ...]):
        super().__init__(f"{model_name} has no preset {name!r}; it has: {', '.join(known)}")
        self.name, self.model_name, self.known = name, model_name, known


class ProviderError(CCIPError, RuntimeError):
    """The requested execution provider is not available or does not start."""

    def __init__(self, provider: str, problem: str, *, available: tuple[str, ...], remedy: str = ""):
        names = ", ".join(available)
        super().__init__(f"provider {provider!r} {problem}; available: {names}.{' ' if remedy else ''}{remedy}")
        self.provider, self.problem, self.available, self.remedy = provider, problem, available, remedy


class SessionError(CCIPError, RuntimeError):
    """A loaded model could not be run."""


class ClosedError(CCIPError, RuntimeError):
    """An encoder or session was used after it was closed."""

    def __init__(self, what: str):
        super().__init__(f"{what} is closed; open a new one")
        self.what = what


class EmbeddingError(CCIPError, ValueError):
    """The output of the model for an image is not usable: zero, NaN or infinite."""


class UnreadableImageError(CCIPError, ValueError):
    """An image could not be read.

    Attributes:
        name: the file, or a description of the image
        path: the file, None for bytes, arrays and images in memory
        reason: what is wrong with it
    """

    def __init__(self, name: str, reason: str, *, path: str | None = None):
        super().__init__(printable(f"cannot read {name}: {reason}"))
        self.name, self.reason, self.path = name, reason, path


class ImageTooLargeError(UnreadableImageError):
    """An image has more pixels than the limit; it was not decoded."""

    mentions = ("max_pixels",)

    def __init__(self, name: str, size: tuple[int, int], limit: int, *, path: str | None = None):
        width, height = size
        pixels = width * height
        reason = (
            f"{width} x {height} is {pixels / 1e6:.1f} million pixels, over the limit of {limit / 1e6:g} million; "
            "resize the image or raise max_pixels"
        )
        super().__init__(name, reason, path=path)
        self.size, self.pixels, self.limit = size, pixels, limit


class EmptyCropError(CCIPError, ValueError):
    """A bounding box contains no pixel of the image."""

    def __init__(self, box: tuple[float, ...], size: tuple[int, int], reason: str):
        super().__init__(f"cannot crop box {list(box)} from an image of {size[0]} x {size[1]}: {reason}")
        self.box, self.size, self.reason = box, size, reason


class VectorsError(CCIPError, ValueError):
    """Vectors are not CCIP embeddings, or not of the same model.

    Attributes:
        reason: what is wrong
        row: the first invalid row, None if the error is about all rows
    """

    def __init__(self, reason: str, *, row: int | None = None):
        super().__init__(reason if row is None else f"row {row}: {reason}")
        self.reason, self.row = reason, row


class MatrixTooLargeError(CCIPError, MemoryError):
    """A full matrix of differences would exceed its memory limit."""

    def __init__(self, shape: tuple[int, int], n_bytes: int, limit: int):
        super().__init__(
            f"the differences of {shape[0]} x {shape[1]} vectors take {n_bytes / 2**30:.1f} GiB, more than the limit "
            f"of {limit / 2**30:.1f} GiB; use radius_graph, which keeps only those up to a radius, or fewer vectors"
        )
        self.shape, self.n_bytes, self.limit = shape, n_bytes, limit


class ParameterError(CCIPError, ValueError):
    """Invalid parameter value.

    Attributes:
        name: the parameter
        value: its value
        expected: a description of the valid values
    """

    def __init__(self, name: str, value: object, expected: str):
        super().__init__(f"{name} is {value!r}; it must be {expected}")
        self.name, self.value, self.expected = name, value, expected
        self.mentions = (name,)

    @property
    def wanted(self) -> str:
        """As ``expected``, which it is called now."""
        warnings.warn("wanted of a ParameterError is now called expected", DeprecationWarning, stacklevel=2)
        return self.expected


def check_type(name: str, value: object, kind: type | types.UnionType, expected: str) -> None:
    """Checks the type of an argument.

    Args:
        name: the parameter
        value: its value
        kind: the type that it must have; True and False are no numbers
        expected: a description of the valid values

    Raises:
        ParameterError: it has another type
    """
    kinds = kind.__args__ if isinstance(kind, types.UnionType) else (kind,)
    if not isinstance(value, kind) or (isinstance(value, bool) and bool not in kinds):
        raise ParameterError(name, value, expected)


class RadiusError(CCIPError, ValueError):
    """``eps`` is larger than the radius of a neighbor graph."""

    def __init__(self, eps: float, radius: float):
        super().__init__(
            f"the radius of this graph is {radius:g}, smaller than {eps:g}; build a graph with a larger radius"
        )
        self.eps, self.radius = eps, radius


class GraphTooLargeError(CCIPError, MemoryError):
    """A neighbor graph exceeds its memory limit.

    Attributes:
        n_pairs: number of pairs found so far
        share: fraction of all pairs compared so far
        radius: the radius of the graph
        limit: the memory limit, in bytes
    """

    def __init__(self, n_pairs: int, share: float, radius: float, limit: int):
        super().__init__(
            f"more than {n_pairs:,} pairs have a difference up to {radius:g} ({share:.0%} compared), too many for "
            f"{limit / 2**30:.1f} GiB; use a smaller radius, or allow more memory"
        )
        self.n_pairs, self.share, self.radius, self.limit = n_pairs, share, radius, limit


class ContradictionError(CCIPError, ValueError):
    """Must-link and cannot-link constraints contradict each other.

    Attributes:
        pairs: indices of two images each that one constraint keeps together and another one apart
    """

    def __init__(self, pairs: list[tuple[int, int]]):
        shown = ", ".join(f"{a} and {b}" for a, b in pairs[:5]) + (", ..." if len(pairs) > 5 else "")
        super().__init__(f"images {shown} must be in one group and in different groups: remove one of the constraints")
        self.pairs = pairs


class MissingExtraError(CCIPError, ImportError):
    """An optional library is not installed.

    Attributes:
        package: the package to install
        extra: the extra of this project that contains it
    """

    def __init__(self, what: str, package: str, extra: str):
        super().__init__(
            f"{what} needs {package}, which is not installed: pip install {package}, "
            f'or pip install "fiftyone-ccip[{extra}]"'
        )
        self.package, self.extra = package, extra
