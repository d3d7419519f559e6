"""Character recognition by references: folders, images or labeled datasets."""

import functools
import logging
import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
from fiftyone.core.collections import SampleCollection
from PIL import Image

from ..core.arrays import Vectors
from ..core.clustering.statistics import confidence
from ..core.differences import normalize
from ..core.encoder.encoder import Encoder
from ..core.encoder.pipeline import extract
from ..core.encoder.reading import BLANK_FAIL
from ..core.errors import CCIPError, EmbeddingError, UnreadableImageError
from ..core.plain import canonical_name
from ..core.preprocessing import (
    BLANK_REASON,
    READING_POLICY,
    collected_warnings,
    is_blank,
    load_image,
    preprocess,
    resized,
)
from ..core.references import NO_MATCH, SHARE, References, match
from ..core.system import usable_cores
from ..embeddings.load import load_embeddings
from ..embeddings.provenance import Provenance
from ..embeddings.store import EmbeddingStore, Keys
from ..io.images import find_images
from ..storage.fields import EMBEDDINGS_FIELD, STATUS_IGNORED, UNASSIGNED
from ..storage.targets import Target, resolve

logger = logging.getLogger(__name__)

UNKNOWN = "unknown"
"""The label of images that match no character."""


class ReferencesError(CCIPError, ValueError):
    """The references are invalid."""


@dataclass(frozen=True)
class Recognizer:
    """Names the character in an image by the rule of :func:`~ccip_plugin.core.references.match`.

    Attributes:
        references: the references of the characters
        encoder: the model of all embeddings
        threshold: the difference up to which two images show one character
        share: the share of a character's references that has to be within the threshold
    """

    references: References
    encoder: Encoder
    threshold: float
    share: float = SHARE

    def labels(self, vectors: Vectors) -> list[fo.Classification]:
        """Labels images.

        Args:
            vectors: their ``(n, dim)`` embeddings

        Returns:
            ``n`` labels with the name of the character or :data:`UNKNOWN`; the deciding ``difference``; the
            ``confidence`` computed from it, 0.5 at the threshold; and the ``margin``, the mean difference to the
            second nearest character minus that to the nearest, None with one character only. For an unknown image,
            the numbers are those of the nearest character
        """
        matches = match(
            vectors, self.references, threshold=self.threshold, share=self.share, measure=self.encoder.differences
        )
        confidences = np.atleast_1d(confidence(matches.difference, self.threshold))
        return [
            fo.Classification(
                label=UNKNOWN if matches.character[i] == NO_MATCH else self.references.names[matches.character[i]],
                confidence=float(confidences[i]),
                difference=float(matches.difference[i]),
                margin=float(matches.margin[i]) if np.isfinite(matches.margin[i]) else None,
            )
            for i in range(len(confidences))
        ]


def gather(
    references: Any, encoder: Encoder, *, field: str | None = None, embeddings_field: str = EMBEDDINGS_FIELD
) -> References:
    """Embeds references of any kind.

    Images that cannot be read or show nothing are skipped with a warning.

    Args:
        references: a folder with one subfolder of images per character; a mapping of names to one or several images
            (paths, folders, bytes, arrays, PIL images) or embeddings (float arrays); or a dataset, a view or the name
            of a dataset with labels. Embeddings of this model in the dataset are used, missing ones are computed
        encoder: the model
        field (None): for a dataset, the field with the names: classifications, strings, detections (by their label) or
            an attribute of them, such as ``faces.character_group``. The labels ``unassigned`` and ``unknown`` and
            ignored labels are skipped
        embeddings_field ("ccip_embedding"): for a dataset, the field (on detections: the attribute) with embeddings

    Returns:
        the :class:`~ccip_plugin.core.references.References`

    Raises:
        ReferencesError: the references are of no supported kind, or a character has no usable reference
        VectorsError: the embeddings are of another model
        TargetError: the samples or the field are not supported
    """
    if isinstance(references, References):
        return references
    if isinstance(references, Mapping):
        return _of_mapping(references, encoder)
    if isinstance(references, str | os.PathLike):
        folder = Path(references).expanduser()
        if folder.is_dir():
            return _of_mapping(_characters_in(folder), encoder)
        if not isinstance(references, str) or not fo.dataset_exists(references):
            raise ReferencesError(f"there is neither a folder {str(folder.absolute())!r} nor a dataset {references!r}")
        references = fo.load_dataset(references)
    if not isinstance(references, fo.Dataset | fo.DatasetView):
        raise ReferencesError(
            f"references are a {type(references).__name__}; expected a folder, a mapping of names to images or "
            "embeddings, or a dataset or view with labels"
        )
    if field is None:
        raise ReferencesError("references are a dataset: set references_field, the field with the names")
    return _of_samples(references, field, embeddings_field, encoder)


# -- folders and mappings


def _characters_in(folder: Path) -> dict[str, list[Path]]:
    characters: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith("."):
            characters.setdefault(unicodedata.normalize("NFC", path.name), []).append(path)
    if not characters:
        raise ReferencesError(f"{folder} has no subfolders; expected one per character, with images of it")
    return characters


def _of_mapping(characters: Mapping[Any, Any], encoder: Encoder) -> References:
    sources = [(str(name), source) for name, value in characters.items() for source in _sources(value)]
    with collected_warnings(), ThreadPoolExecutor(usable_cores(), thread_name_prefix="ccip") as pool:
        vectors = list(pool.map(functools.partial(_embedded, encoder), (source for _, source in sources)))
    names = [name for name, _ in sources]
    return _references(map(str, characters), zip(names, vectors, strict=True))


def _sources(value: Any) -> Iterator[Any]:
    """The images and ``(dim,)`` embeddings of a character."""
    if isinstance(value, str | os.PathLike):
        path = Path(value).expanduser()
        yield from find_images(path).paths if path.is_dir() else [path]
    elif isinstance(value, np.ndarray):
        is_many = value.ndim == 4 or (value.dtype.kind == "f" and value.ndim == 2)
        yield from value if is_many else [value]
    elif isinstance(value, bytes | bytearray | memoryview | Image.Image) or hasattr(value, "read"):
        yield value
    elif isinstance(value, Sequence) and value and isinstance(value[0], Real):
        yield np.asarray(value, np.float32)
    elif isinstance(value, Iterable):
        for item in value:
            yield from _sources(item)
    else:
        raise ReferencesError(f"a {type(value).__name__} is neither an image nor an embedding")


def _embedded(encoder: Encoder, source: Any) -> Vectors | str:
    """The embedding of an image, or the reason why it has none."""
    if isinstance(source, np.ndarray) and source.dtype.kind == "f":
        if source.shape != (encoder.spec.dim,):
            raise ReferencesError(
                f"a float array of shape {source.shape} is no embedding, which has shape ({encoder.spec.dim},); images "
                "are uint8 arrays"
            )
        return source.astype(np.float32)
    try:
        picture = resized(load_image(source))
        return BLANK_REASON if is_blank(picture) else normalize(encoder.embed_tensor(preprocess(picture)))
    except (UnreadableImageError, EmbeddingError) as error:
        return str(error)


def _references(names: Iterable[str], results: Iterable[tuple[str, Vectors | str]]) -> References:
    """Collects vectors by name; a result is a text for a reference that could not be embedded.

    Names that differ in their Unicode form only are one: the first one.
    """
    spelling: dict[str, str] = {}
    vectors: dict[str, list[Vectors]] = {spelling.setdefault(canonical_name(name), name): [] for name in names}
    problems: dict[str, list[str]] = {}
    for name, result in ((spelling[canonical_name(name)], result) for name, result in results):
        if isinstance(result, str):
            problems.setdefault(name, []).append(result)
        else:
            vectors[name].append(result)
    if UNKNOWN in vectors:
        raise ReferencesError(
            f"{UNKNOWN!r} is the label of images that match no character; give the character another name"
        )
    for name, reasons in problems.items():
        logger.warning("%d references of %r are skipped; the first: %s", len(reasons), name, reasons[0])
    if empty := [name for name, usable in vectors.items() if not usable]:
        reasons = problems.get(empty[0], ["there are none"])
        raise ReferencesError(f"no usable reference of {', '.join(map(repr, empty))}: {reasons[0]}")
    return References.of(vectors)


# -- labeled datasets


def _of_samples(samples: SampleCollection, field: str, embeddings_field: str, encoder: Encoder) -> References:
    target, label = _labeled(samples, field)
    ids, _, columns = target.values(label, _status_of(label))
    rows = zip(ids, columns[label], columns[_status_of(label)], strict=True)
    names = {item_id: name for item_id, name, status in rows if _is_character(name, status)}
    if not names:
        raise ReferencesError(f"no label in {field!r} names a character")
    return _references(dict.fromkeys(names.values()), _vectors(target, embeddings_field, encoder, names))


def _labeled(samples: SampleCollection, field: str) -> tuple[Target, str]:
    """The items that a field labels, and their attribute with the names."""
    root, *others = field.split(".")
    whole = resolve(samples)
    declared = whole.dataset.get_field(root)
    if getattr(declared, "document_type", None) is fo.Detections:
        return resolve(samples, root), others[-1] if others else "label"
    path = f"{field}.label" if getattr(declared, "document_type", None) is fo.Classification and not others else field
    if not isinstance(whole.dataset.get_field(path), fo.StringField):
        raise ReferencesError(
            f"{field!r} of {whole.dataset.name!r} holds {declared}; expected classifications, strings or detections"
        )
    return whole, path


def _status_of(label: str) -> str:
    """The attribute with the status of a character group, beside that of its name."""
    return label.replace(".label", ".status") if "." in label else f"{label.removesuffix('_group')}_status"


def _is_character(name: str | None, status: str | None) -> bool:
    return bool(name and name.strip()) and name not in (UNASSIGNED, UNKNOWN) and status != STATUS_IGNORED


def _vectors(
    target: Target, embeddings_field: str, encoder: Encoder, names: Mapping[str, str]
) -> Iterator[tuple[str, Vectors | str]]:
    """Name and vector of each labeled item: the stored vector, else a computed one."""
    store = EmbeddingStore(target, embeddings_field)
    recorded, done = store.provenance, set()
    if recorded is not None and _is_of(encoder, recorded):
        stored = load_embeddings(target.view, embeddings_field=embeddings_field, patches_field=target.patches_field)
        for item_id, vector in zip(stored.ids, stored.vectors, strict=True):
            done.add(item_id)
            if item_id in names:
                yield names[item_id], vector
    item_keys = store.keys()
    missing = Keys(key for key in item_keys if key.item_id in names and key.item_id not in done)
    alpha, force_square = (recorded.alpha or 0.0, recorded.force_square or False) if recorded else (0.0, False)
    items = store.items(missing)
    for result in extract(items, encoder, alpha=alpha, force_square=force_square, blank=BLANK_FAIL):
        yield names[result.key.item_id], result.vector if result.vector is not None else str(result.error)


def _is_of(encoder: Encoder, recorded: Provenance) -> bool:
    computed = replace(
        recorded, model_name=encoder.model_name, sha256=encoder.fingerprint, reading_policy=READING_POLICY
    )
    return computed.contrast(recorded) is None
