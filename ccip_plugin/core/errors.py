"""The errors of this package. Each says what came, what would do, and keeps the values."""

from pathlib import Path

_FEW = 3  # names that one may have meant; more are no help beside all there are


class CCIPError(Exception):
    """Base of every error that this package raises on purpose."""


class UnknownModelError(CCIPError, ValueError):
    """The model name is not in the registry."""

    def __init__(self, name: str, known: tuple[str, ...], close: tuple[str, ...] = ()):
        hint = f"did you mean {' or '.join(map(repr, close))}? " if 0 < len(close) <= _FEW else ""
        super().__init__(f"unknown CCIP model {name!r}; {hint}available: {', '.join(known)}")
        self.name, self.known, self.close = name, known, close


class ModelFileError(CCIPError):
    """A file of a model cannot be used.

    Attributes:
        path: the file
        problem: what is wrong with it
        expected: what should have been there
        remedy: what to do, also without network
    """

    def __init__(self, path: str | Path, problem: str, *, expected: str, remedy: str = ""):
        super().__init__(f"{path}: {problem}; expected {expected}.{' ' if remedy else ''}{remedy}")
        self.path, self.problem, self.expected, self.remedy = Path(path), problem, expected, remedy


class ModelFileMissingError(ModelFileError, FileNotFoundError):
    """A model file is not there."""


class ModelFileDamagedError(ModelFileError, ValueError):
    """A model file is empty, cut short, too large, or not what its name says."""


class ModelFileChangedError(ModelFileError, ValueError):
    """A downloaded model file is no longer what it was when it came."""


class ModelMismatchError(ModelFileError, ValueError):
    """A model file is sound, but takes or gives other shapes or types than a CCIP model."""


class DownloadError(CCIPError, ConnectionError):
    """A model, or an archive of images, could not be downloaded."""

    def __init__(self, what: str, problem: str, *, remedy: str = ""):
        super().__init__(f"could not download {what}: {problem}.{' ' if remedy else ''}{remedy}")
        self.what, self.problem, self.remedy = what, problem, remedy


class UnknownRevisionError(DownloadError):
    """The hub says that its repository has no such commit, tag or branch."""

    def __init__(self, what: str, revision: str, *, remedy: str = ""):
        super().__init__(what, f"the hub has no revision {revision!r} of its repository", remedy=remedy)
        self.revision = revision


class UnknownPresetError(CCIPError, ValueError):
    """The model has no published parameters of that name."""

    def __init__(self, name: str, model_name: str, known: tuple[str, ...]):
        super().__init__(f"{model_name} has no preset {name!r}; it has: {', '.join(known)}")
        self.name, self.model_name, self.known = name, model_name, known


class ProviderError(CCIPError, RuntimeError):
    """The execution provider that was asked for is not there or does not start."""

    def __init__(self, provider: str, problem: str, *, available: tuple[str, ...], remedy: str = ""):
        there = ", ".join(available)
        super().__init__(f"provider {provider!r} {problem}; there are: {there}.{' ' if remedy else ''}{remedy}")
        self.provider, self.problem, self.available, self.remedy = provider, problem, available, remedy


class SessionError(CCIPError, RuntimeError):
    """A model was loaded but could not be run."""


class ClosedError(CCIPError, RuntimeError):
    """An encoder or session was used after it was closed."""

    def __init__(self, what: str):
        super().__init__(f"{what} is closed; open a new one")
        self.what = what


class EmbeddingError(CCIPError, ValueError):
    """The model gave no usable vector for an image."""


class UnreadableImageError(CCIPError, ValueError):
    """An image could not be read.

    Attributes:
        path: the file, None for bytes, arrays and images in memory
        reason: what is wrong with it
    """

    def __init__(self, name: str, reason: str, *, path: str | None = None):
        # a file name that is no valid text must not make the message unprintable
        readable = name.encode("utf-8", "backslashreplace").decode("utf-8")
        super().__init__(f"cannot read {readable}: {reason}")
        self.name, self.reason, self.path = name, reason, path


class ImageTooLargeError(UnreadableImageError):
    """An image has more pixels than the limit; it was not decoded."""

    def __init__(self, name: str, size: tuple[int, int], limit: int, *, path: str | None = None):
        width, height = size
        pixels = width * height
        reason = (
            f"{width} x {height} is {pixels / 1e6:.1f} million pixels, over the limit of {limit / 1e6:g} million; "
            "make it smaller or raise max_pixels"
        )
        super().__init__(name, reason, path=path)
        self.size, self.pixels, self.limit = size, pixels, limit


class EmptyCropError(CCIPError, ValueError):
    """A bounding box has no pixel of the image in it."""

    def __init__(self, box: tuple[float, ...], size: tuple[int, int], reason: str):
        super().__init__(f"nothing to crop with box {list(box)} in an image of {size[0]} x {size[1]}: {reason}")
        self.box, self.size, self.reason = box, size, reason


class VectorsError(CCIPError, ValueError):
    """Vectors are no CCIP embeddings, or not of the same model.

    Attributes:
        reason: what is wrong
        row: the first row that is concerned, None when all are
    """

    def __init__(self, reason: str, *, row: int | None = None):
        super().__init__(reason if row is None else f"row {row}: {reason}")
        self.reason, self.row = reason, row


class MatrixTooLargeError(CCIPError, MemoryError):
    """A full matrix of differences would not fit into the memory that it may take."""

    def __init__(self, shape: tuple[int, int], n_bytes: int, limit: int):
        super().__init__(
            f"all differences of {shape[0]} x {shape[1]} vectors take {n_bytes / 2**30:.1f} GiB, more than the "
            f"{limit / 2**30:.1f} GiB allowed; radius_graph keeps only those up to a radius, or pass fewer vectors"
        )
        self.shape, self.n_bytes, self.limit = shape, n_bytes, limit


class ParameterError(CCIPError, ValueError):
    """A parameter has a value that means nothing.

    Attributes:
        name: the parameter
        value: what came
    """

    def __init__(self, name: str, value: object, wanted: str):
        super().__init__(f"{name} is {value!r}; it must be {wanted}")
        self.name, self.value, self.wanted = name, value, wanted


class RadiusError(CCIPError, ValueError):
    """A graph of neighbors does not reach as far as was asked for."""

    def __init__(self, eps: float, radius: float):
        super().__init__(
            f"this graph holds differences up to {radius:g}, and {eps:g} was asked for; build a larger one"
        )
        self.eps, self.radius = eps, radius


class GraphTooLargeError(CCIPError, MemoryError):
    """A graph of neighbors has more pairs than fit into the memory that it may take.

    Attributes:
        n_pairs: pairs found until then
        share: which share of all pairs had been compared
        limit: the memory that was allowed, in bytes
    """

    def __init__(self, n_pairs: int, share: float, radius: float, limit: int):
        super().__init__(
            f"more than {n_pairs:,} pairs have a difference up to {radius:g} ({share:.0%} compared), too many for "
            f"{limit / 2**30:.1f} GiB; use a smaller radius, or allow more memory"
        )
        self.n_pairs, self.share, self.radius, self.limit = n_pairs, share, radius, limit


class ContradictionError(CCIPError, ValueError):
    """Decisions about who belongs together cannot all be kept.

    Attributes:
        pairs: numbers of two images each that are to be together by one decision and apart by another
    """

    def __init__(self, pairs: list[tuple[int, int]]):
        shown = ", ".join(f"{a} and {b}" for a, b in pairs[:5]) + (", ..." if len(pairs) > 5 else "")
        super().__init__(f"images {shown} are to be in one group and in different groups: take one decision back")
        self.pairs = pairs


class MissingExtraError(CCIPError, ImportError):
    """A library that is needed for this alone is not installed.

    Attributes:
        package: what to install
        extra: the extra of this project that has it
    """

    def __init__(self, what: str, package: str, extra: str):
        super().__init__(
            f"{what} needs {package}, which is not installed: pip install {package}, "
            f'or pip install "fiftyone-ccip[{extra}]"'
        )
        self.package, self.extra = package, extra
