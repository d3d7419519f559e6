"""References as people have them (folders, images, labelled datasets), and who is in an image as a label."""

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
from PIL import Image

from ..core.arrays import Vectors
from ..core.clustering.statistics import confidence
from ..core.differences import normalize
from ..core.encoder.encoder import Encoder
from ..core.encoder.pipeline import extract
from ..core.errors import CCIPError, EmbeddingError, UnreadableImageError
from ..core.preprocessing import READING_POLICY, load_image, preprocess
from ..core.references import NO_MATCH, SHARE, References, match
from ..core.system import usable_cores
from ..embeddings.load import load_embeddings
from ..embeddings.store import EmbeddingStore, Keys
from ..io.images import find_images
from ..storage.fields import EMBEDDINGS_FIELD, STATUS_IGNORED, UNASSIGNED
from ..storage.targets import Target, resolve

logger = logging.getLogger(__name__)

UNKNOWN = "unknown"
"""The label of an image that shows none of the characters."""


class ReferencesError(CCIPError, ValueError):
    """Characters cannot be recognized by these references."""


@dataclass(frozen=True)
class Recognizer:
    """Names the character in an image; the rule is that of :func:`~ccip_plugin.core.references.match`.

    Attributes:
        references: of the characters
        encoder: the model of all embeddings
        threshold: the difference up to which two images are one character
        share: which share of a character's references has to be that near
    """

    references: References
    encoder: Encoder
    threshold: float
    share: float = SHARE

    def labels(self, vectors: Vectors) -> list[fo.Classification]:
        """Says whom images show.

        Args:
            vectors: their ``(n, dim)`` embeddings

        Returns:
            ``n`` labels: the name of the character, or :data:`UNKNOWN`; the ``difference`` that decided and, from it,
            ``confidence`` (0.5 at the threshold, so under 0.5 for the unknown; both are then about the character that
            comes nearest); ``margin``, by how much the mean difference to the next character is larger, None where
            there is no other
        """
        found = match(
            vectors, self.references, threshold=self.threshold, share=self.share, measure=self.encoder.differences
        )
        sure = np.atleast_1d(confidence(found.difference, self.threshold))
        return [
            fo.Classification(
                label=UNKNOWN if found.character[i] == NO_MATCH else self.references.names[found.character[i]],
                confidence=float(sure[i]),
                difference=float(found.difference[i]),
                margin=float(found.margin[i]) if np.isfinite(found.margin[i]) else None,
            )
            for i in range(len(sure))
        ]


def gather(
    references: Any, encoder: Encoder, *, field: str | None = None, embeddings_field: str = EMBEDDINGS_FIELD
) -> References:
    """Embeds references, in whatever form they come.

    Images are read as everywhere in this package. Single ones that cannot be read are left out, with a warning.

    Args:
        references: a folder with a folder of images per character; a mapping of names to images (paths, folders,
            bytes, arrays, PIL images) or embeddings (float arrays), one or several; or a dataset, a view or the name
            of a dataset with labels. Embeddings that a dataset has from this model are used, others computed
        encoder: the model
        field (None): of a dataset, the field with the names: classifications or strings, detections (by their label)
            or an attribute of them, such as ``faces.character_group``. Labels that name nobody (``unassigned``,
            ``unknown``, ignored ones) are left out
        embeddings_field ("ccip_embedding"): of a dataset, the field (on detections: the attribute) with embeddings

    Returns:
        the :class:`~ccip_plugin.core.references.References`

    Raises:
        ReferencesError: nothing of that kind is there, or a character has no usable reference
        VectorsError: embeddings of another model
        TargetError: the dataset has no such field
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
            raise ReferencesError(f"there is no folder {str(folder.absolute())!r}, and no dataset of that name")
        references = fo.load_dataset(references)
    if not isinstance(references, fo.Dataset | fo.DatasetView):
        raise ReferencesError(
            f"references are a {type(references).__name__}; wanted a folder, a mapping of names to images or "
            "embeddings, or a dataset or view with labels"
        )
    if field is None:
        raise ReferencesError("references are a dataset: say which field has the names (references_field)")
    return _of_samples(references, field, embeddings_field, encoder)


# -- folders and mappings


def _characters_in(folder: Path) -> dict[str, list[Path]]:
    characters: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith("."):
            characters.setdefault(unicodedata.normalize("NFC", path.name), []).append(path)
    if not characters:
        raise ReferencesError(f"{folder} has no folders in it; wanted one per character, with images of it")
    return characters


def _of_mapping(characters: Mapping[Any, Any], encoder: Encoder) -> References:
    given = [(str(name), thing) for name, value in characters.items() for thing in _things(value)]
    with ThreadPoolExecutor(usable_cores(), thread_name_prefix="ccip") as pool:
        vectors = list(pool.map(functools.partial(_embedded, encoder), (thing for _, thing in given)))
    names = [name for name, _ in given]
    return _references(map(str, characters), zip(names, vectors, strict=True))


def _things(value: Any) -> Iterator[Any]:
    """The images and ``(dim,)`` embeddings in what was given for a character."""
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
        for one in value:
            yield from _things(one)
    else:
        raise ReferencesError(f"a {type(value).__name__} is neither an image nor an embedding")


def _embedded(encoder: Encoder, thing: Any) -> Vectors | str:
    """The embedding of an image, or why there is none."""
    if isinstance(thing, np.ndarray) and thing.dtype.kind == "f":
        if thing.shape != (encoder.spec.dim,):
            raise ReferencesError(
                f"a float array of shape {thing.shape} is no embedding, whose shape is ({encoder.spec.dim},); an image "
                "is an array of uint8"
            )
        return thing.astype(np.float32)
    try:
        return normalize(encoder.embed_tensor(preprocess(load_image(thing))))
    except (UnreadableImageError, EmbeddingError) as error:
        return str(error)


def _references(names: Iterable[str], found: Iterable[tuple[str, Vectors | str]]) -> References:
    """Brings vectors together by name; ``found`` has a text for a reference that could not be embedded."""
    vectors: dict[str, list[Vectors]] = {name: [] for name in names}
    problems: dict[str, list[str]] = {}
    for name, result in found:
        if isinstance(result, str):
            problems.setdefault(name, []).append(result)
        else:
            vectors[name].append(result)
    if UNKNOWN in vectors:
        raise ReferencesError(f"{UNKNOWN!r} is the label of images that show nobody; give the character another name")
    for name, reasons in problems.items():
        logger.warning("%d references of %r are left out, the first: %s", len(reasons), name, reasons[0])
    if empty := [name for name, many in vectors.items() if not many]:
        reasons = problems.get(empty[0], ["none was given"])
        raise ReferencesError(f"no usable reference of {', '.join(map(repr, empty))}: {reasons[0]}")
    return References.of(vectors)


# -- labelled datasets


def _of_samples(samples: Any, field: str, embeddings_field: str, encoder: Encoder) -> References:
    target, label = _labelled(samples, field)
    ids, _, columns = target.values(label, _status_of(label))
    named = zip(ids, columns[label], columns[_status_of(label)], strict=True)
    names = {item_id: name for item_id, name, status in named if _is_somebody(name, status)}
    if not names:
        raise ReferencesError(f"no label in {field!r} names a character")
    return _references(dict.fromkeys(names.values()), _vectors(target, embeddings_field, encoder, names))


def _labelled(samples: Any, field: str) -> tuple[Target, str]:
    """The items that a field labels, and the attribute of them that has the names."""
    root, *others = field.split(".")
    whole = resolve(samples)
    found = whole.dataset.get_field(root)
    if getattr(found, "document_type", None) is fo.Detections:
        return resolve(samples, root), others[-1] if others else "label"
    path = f"{field}.label" if getattr(found, "document_type", None) is fo.Classification and not others else field
    if not isinstance(whole.dataset.get_field(path), fo.StringField):
        raise ReferencesError(
            f"{field!r} of {whole.dataset.name!r} holds {found}; wanted classifications, strings or detections"
        )
    return whole, path


def _status_of(label: str) -> str:
    """Where the status of a character group stands, beside its name."""
    return label.replace(".label", ".status") if "." in label else f"{label.removesuffix('_group')}_status"


def _is_somebody(name: str | None, status: str | None) -> bool:
    return bool(name and name.strip()) and name not in (UNASSIGNED, UNKNOWN) and status != STATUS_IGNORED


def _vectors(
    target: Target, embeddings_field: str, encoder: Encoder, names: Mapping[str, str]
) -> Iterator[tuple[str, Vectors | str]]:
    """Name and vector of each labelled item: the vector that is stored, else one that is computed now."""
    store = EmbeddingStore(target, embeddings_field)
    recorded, done = store.provenance, set()
    if recorded is not None and _is_of(encoder, recorded):
        stored = load_embeddings(target.view, embeddings_field=embeddings_field, patches_field=target.patches_field)
        for item_id, vector in zip(stored.ids, stored.vectors, strict=True):
            done.add(item_id)
            if item_id in names:
                yield names[item_id], vector
    every = store.keys()
    todo = Keys(key for key in every if key.item_id in names and key.item_id not in done)
    alpha, force_square = (recorded.alpha or 0.0, recorded.force_square or False) if recorded else (0.0, False)
    for found in extract(store.items(todo), encoder, alpha=alpha, force_square=force_square):
        yield names[found.key.item_id], found.vector if found.vector is not None else str(found.error)


def _is_of(encoder: Encoder, recorded: Any) -> bool:
    ours = replace(recorded, model_name=encoder.model_name, sha256=encoder.fingerprint, reading_policy=READING_POLICY)
    return ours.contrast(recorded) is None
