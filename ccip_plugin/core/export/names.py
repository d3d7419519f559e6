"""Names of folders and files that every system can store and every trainer reads as one name."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping

from ..errors import ParameterError
from ..plain import canonical_name

MAX_FOLDER_BYTES, MAX_STEM_BYTES = 80, 100
"""Limits in UTF-8 bytes: file systems have 255, some with encryption 143, and trainers append suffixes."""

MASK_SUFFIXES = ("-masklabel", "-condlabel")
"""Ends of stems that OneTrainer reads as masks of another image."""

NAMELESS = "character"
"""The name of a character whose own name leaves nothing that can be stored or read."""

_RESERVED = re.compile(r"(?:con|prn|aux|nul|clock\$|conin\$|conout\$|(?:com|lpt)[0-9¹²³])", re.IGNORECASE)
_FORBIDDEN = str.maketrans({**dict.fromkeys('<>:"/\\|?*', "-"), "[": "(", "]": ")"})  # brackets: loaders glob
_ENDING = re.compile(r"\.(?=[0-9A-Za-z]{1,5}$)")  # a folder with the name of an image, or of settings
_DROPPED = "Cf", "Cs", "Cn"  # no width, no valid text, no character
_BLANK = "Cc", "Zl", "Zp", "Zs"
_FIRST = " .-_~"  # hidden, caches of trainers, options of commands
_LAST = " ."  # Windows drops them
_DIGEST = 8


def safe_name(text: str, *, max_bytes: int = MAX_FOLDER_BYTES, fallback: str = NAMELESS) -> str:
    """A name for a folder that is valid on Linux, macOS and Windows, and hidden to no trainer.

    The same text gives the same name everywhere, and a name that is safe already is not changed.

    Args:
        text: any text, such as the name of a character
        max_bytes: limit of the length in UTF-8 bytes, at least 8
        fallback: the name of a text that has no usable character; safe itself

    Returns:
        a name in NFC, without separators, reserved names of Windows, blanks and dots at its ends, control characters,
        and the ending of a file

    Raises:
        ParameterError: ``max_bytes`` is too small
    """
    if max_bytes < _DIGEST:
        raise ParameterError("max_bytes", max_bytes, f"at least {_DIGEST}")
    name = text
    while (cleaned := _cleaned(name, max_bytes)) != name:
        name = cleaned
    return name or _shortened(fallback, max_bytes)


def safe_stem(text: str, *, max_bytes: int = MAX_STEM_BYTES, fallback: str = NAMELESS) -> str:
    """A name for a file without its ending, or a part of one.

    It has no dot, so that all readers find the same ending; no ``_``, since kohya's scripts take the caption of a
    shortened name of one with five parts; and does not end like the name of a mask.

    Args:
        text: any text
        max_bytes: limit of the length in UTF-8 bytes, at least 8
        fallback: the stem of a text that has no usable character

    Raises:
        ParameterError: ``max_bytes`` is too small
    """
    stem = text
    while (cleaned := _unmasked(safe_name(stem, max_bytes=max_bytes, fallback=fallback))) != stem:
        stem = cleaned
    return stem


def folded(name: str) -> str:
    """A name as file systems compare names: equal for names that cannot lie in one folder on every system."""
    text = unicodedata.normalize("NFKC", name).casefold()
    return unicodedata.normalize("NFKC", text).casefold()


def folder_names(characters: Iterable[str]) -> dict[str, str]:
    """A folder name for each character, different on every system.

    Names do not depend on the order. Where two characters would have the same folder, the folders get a digest of the
    character's name, but for the one whose name is the folder's.

    Args:
        characters: the names; those that are equal as :func:`~ccip_plugin.core.plain.canonical_name` has them are one

    Returns:
        the folder name of each
    """
    texts = set(characters)
    names = _unique({canonical_name(text): safe_name(text) for text in texts}, MAX_FOLDER_BYTES)
    return {text: names[canonical_name(text)] for text in sorted(texts)}


def file_stems(images: Mapping[str, str]) -> dict[str, str]:
    """A stem for the file of each image, different in the whole export: ``<character>_<key>``.

    Args:
        images: the name of the character of each image, by the key of the image

    Returns:
        the stem of each image, by its key
    """
    return _unique({key: _stem(character, key) for key, character in images.items()}, MAX_STEM_BYTES)


def _stem(character: str, key: str) -> str:
    part = safe_stem(key, max_bytes=40, fallback="image")
    if len(key.encode("utf-8", "surrogatepass")) > 40:
        part = _digest(key, 32)
    name = safe_stem(character, max_bytes=MAX_STEM_BYTES - len(part.encode()) - 1)
    return f"{name}_{part}"


def _unique(names: Mapping[str, str], max_bytes: int) -> dict[str, str]:
    """Makes names different: those that are equal when folded get a digest of their text."""
    same: dict[str, list[str]] = {}
    for text, name in names.items():
        same.setdefault(folded(name), []).append(text)
    result: dict[str, str] = {}
    for group in same.values():
        own = [text for text in group if text == names[text]]
        kept = group if len(group) == 1 else own if len(own) == 1 else []
        result.update({text: names[text] for text in kept})
    taken = {folded(name) for name in result.values()}
    for text in sorted(set(names) - set(result), key=lambda text: text.encode("utf-8", "surrogatepass")):
        length = _DIGEST
        while folded(name := _with_digest(names[text], text, length, max_bytes)) in taken:
            length += 4
        result[text] = name
        taken.add(folded(name))
    return {text: result[text] for text in names}


def _with_digest(name: str, text: str, length: int, max_bytes: int) -> str:
    return f"{_shortened(name, max_bytes - length - 1)}-{_digest(text, length)}"


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]


def _cleaned(text: str, max_bytes: int) -> str:
    """One pass of the rules; a pass can make work for another one, so they run until nothing changes."""
    kept = (_character(each) for each in unicodedata.normalize("NFC", text))
    name = " ".join("".join(kept).translate(_FORBIDDEN).split())
    name = _ENDING.sub("-", _shortened(name.lstrip(_FIRST), max_bytes).rstrip(_LAST))
    base, dot, rest = name.partition(".")
    if _RESERVED.fullmatch(base.rstrip(" ")):
        name = _shortened(f"{base.rstrip(' ')}-{dot}{rest}", max_bytes)
    return unicodedata.normalize("NFC", name)


def _character(character: str) -> str:
    category = unicodedata.category(character)
    return "" if category in _DROPPED else " " if category in _BLANK else character


def _shortened(text: str, max_bytes: int) -> str:
    """The beginning of a text, of up to ``max_bytes`` in UTF-8; combining characters stay with their letter."""
    if len(text.encode("utf-8")) <= max_bytes:
        return text
    kept = text.encode("utf-8")[:max_bytes].decode("utf-8", "ignore")
    if unicodedata.combining(text[len(kept)]):
        kept = kept.rstrip("".join({each for each in kept if unicodedata.combining(each)}))[:-1] or kept
    return kept.rstrip(_LAST)


def _unmasked(stem: str) -> str:
    stem = stem.replace(".", "-").replace("_", "-")
    for suffix in MASK_SUFFIXES:
        if folded(stem).endswith(suffix):
            return stem[: -len(suffix)] + stem[-len(suffix) :].replace("-", " ")
    return stem
