"""The records of a character library: characters, their prototypes, and the model of these."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from ..arrays import IntArray, Vectors
from ..differences import normalize
from ..errors import CCIPError, ParameterError, VectorsError, check_type
from ..plain import canonical_name

MAX_NAME = 200
"""The largest number of characters of a name, an alias or a series."""

MAX_ALIASES = 100
"""The largest number of aliases of a character."""

_SHOWN = 20  # characters that a printed library lists


class LibraryError(CCIPError, ValueError):
    """A character library is invalid, or cannot be used here."""


class OtherModelError(LibraryError):
    """A library has prototypes of another model than the embeddings."""

    def __init__(self, theirs: "Origin", ours: "Origin"):
        if theirs.model_name != ours.model_name:
            what = f"the library is of the model {theirs.model_name!r}, the embeddings are of {ours.model_name!r}"
        else:
            what = f"the library and the embeddings are of different files of the model {ours.model_name!r} (SHA-256)"
        super().__init__(
            f"{what}: vectors of different models cannot be compared. Compute embeddings with "
            f"{theirs.model_name!r} in another embeddings field, or save the library again from a dataset with "
            f"embeddings of {ours.model_name!r}"
        )
        self.theirs, self.ours = theirs, ours


@dataclass(frozen=True)
class Origin:
    """The model that computed the vectors of a library.

    Attributes:
        model_name: the CCIP model
        sha256: the hash of its file, None if unknown
        reading_policy: the version of the rules by which image files became pixels, None if unknown
    """

    model_name: str
    sha256: str | None = None
    reading_policy: int | None = None

    def check(self, ours: "Origin") -> None:
        """Checks that vectors of two models can be compared. An unknown file counts as the same one.

        Raises:
            OtherModelError: they cannot
        """
        is_other_file = None not in (self.sha256, ours.sha256) and self.sha256 != ours.sha256
        if self.model_name != ours.model_name or is_other_file:
            raise OtherModelError(self, ours)


@dataclass(frozen=True, eq=False)
class Character:
    """A character of a library.

    Attributes:
        name: its name
        prototypes: ``(k, dim)`` unit vectors, at least one: one for each appearance, such as an outfit
        counts: ``(k,)`` number of images that each prototype stands for
        negatives: ``(m, dim)`` unit vectors of images that users rejected from this character
        aliases: other names, e.g. in kana and in romaji
        series: what the character is from, None if unknown
        limit: the difference to a prototype up to which an image shows this character, None for the model's threshold
        thumbnail: a small WebP image, None without
    """

    name: str
    prototypes: Vectors
    counts: IntArray
    negatives: Vectors
    aliases: tuple[str, ...] = ()
    series: str | None = None
    limit: float | None = None
    thumbnail: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(
        cls,
        name: str,
        prototypes: ArrayLike,
        *,
        counts: ArrayLike | None = None,
        negatives: ArrayLike | None = None,
        aliases: Iterable[str] = (),
        series: str | None = None,
        limit: float | None = None,
        thumbnail: bytes | None = None,
    ) -> Self:
        """Makes a character, with vectors of any length.

        Raises:
            LibraryError: a name, the limit or a number is invalid
            VectorsError: a vector is zero or not finite
        """
        name, others = checked_name(name), dict.fromkeys(map(checked_name, aliases))
        others.pop(name, None)
        if len(others) > MAX_ALIASES:
            raise LibraryError(f"{name!r} has {len(others):,} aliases; the limit is {MAX_ALIASES}")
        if not np.size(prototypes):
            raise VectorsError(f"the character {name!r} has no prototype")
        vectors = np.atleast_2d(normalize(prototypes))
        no_negatives = np.empty((0, vectors.shape[1]), np.float32)
        n_images = np.ones(len(vectors), np.int64) if counts is None else np.asarray(counts, np.int64)
        if n_images.shape != (len(vectors),) or (n_images < 1).any():
            raise LibraryError(f"{name!r} needs one number of images for each prototype, at least 1")
        if limit is not None and not 0 < limit <= 1:
            raise LibraryError(f"the limit of {name!r} is {limit}; it must be a difference over 0 and at most 1")
        return cls(
            name,
            vectors,
            n_images,
            no_negatives if negatives is None or not np.size(negatives) else np.atleast_2d(normalize(negatives)),
            tuple(others),
            None if series is None else checked_name(series),
            limit,
            thumbnail,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The name and the aliases."""
        return self.name, *self.aliases

    def __str__(self) -> str:
        also = f", also {', '.join(self.aliases)}" if self.aliases else ""
        series = f", of {self.series}" if self.series else ""
        counts = {"image": int(self.counts.sum()), "prototype": len(self.prototypes)}
        numbers = ", ".join(f"{n:,} {what}" + "s" * (n > 1) for what, n in counts.items())
        return f"{self.name}{also}{series} ({numbers})"

    def __repr__(self) -> str:
        return f"<Character {self}>"


@dataclass(frozen=True, eq=False)
class Library:
    """Named characters with prototypes, to be shared as a file.

    Attributes:
        origin: the model of the vectors
        characters: the characters, each name once
        created: when it was made, in UTC
    """

    origin: Origin
    characters: tuple[Character, ...] = ()
    created: str | None = None

    def __post_init__(self) -> None:
        names: set[str] = set()
        for character in self.characters:
            key = canonical_name(character.name)
            if key in names:
                raise LibraryError(f"two characters of a library are called {character.name!r}: rename one of them")
            names.add(key)
        if len({character.prototypes.shape[1] for character in self.characters}) > 1:
            raise VectorsError("prototypes of different dimensions are not of one model")

    def __len__(self) -> int:
        return len(self.characters)

    def __str__(self) -> str:
        lines = [f"{len(self):,} characters of {self.origin.model_name}", *map(str, self.characters[:_SHOWN])]
        return "\n".join([*lines, *[f"and {len(self) - _SHOWN:,} more"] * (len(self) > _SHOWN)])

    def __repr__(self) -> str:
        return f"<Library of {len(self):,} characters, {self.origin.model_name}>"

    @property
    def n_prototypes(self) -> int:
        """The number of prototypes of all characters."""
        return sum(len(character.prototypes) for character in self.characters)

    @property
    def names(self) -> list[str]:
        """The names of the characters."""
        return [character.name for character in self.characters]

    def __getitem__(self, name: str) -> Character:
        """The character of a name or an alias.

        Raises:
            KeyError: there is none
        """
        for exact in (True, False):
            for character in self.characters:
                names = character.names[:1] if exact else character.aliases
                if canonical_name(name) in map(canonical_name, names):
                    return character
        raise KeyError(name)

    def find(self, text: str) -> list[Character]:
        """Searches characters by name, alias or series.

        Upper and lower case, full-width and narrow letters, and kinds of kana count as the same.

        Args:
            text: a part of a name, an alias or a series

        Returns:
            the characters; those of which it is a whole name first
        """
        check_type("text", text, str, "a part of a name")
        wanted = search_form(text)
        if not wanted:
            return []
        ranked = []
        for place, character in enumerate(self.characters):
            forms = [*map(search_form, character.names)]
            texts = [*forms, search_form(character.series or "")]
            if any(wanted in each for each in texts):
                ranked.append((wanted not in forms, place, character))
        return [character for _, _, character in sorted(ranked, key=lambda each: each[:2])]

    def described(
        self, name: str, *, aliases: Iterable[str] | None = None, series: str | None = None, new_name: str | None = None
    ) -> "Library":
        """The library with other details of one character.

        Args:
            name: its name or an alias
            aliases (None): its aliases, instead of those before
            series (None): what it is from
            new_name (None): another name; the one before becomes an alias

        Raises:
            LibraryError: there is no such character, or a name is invalid or in use
        """
        try:
            old = self[name]
        except KeyError:
            raise LibraryError(f"the library has no character {name!r}") from None
        given = old.aliases if aliases is None else aliases
        check_type("aliases", given, Iterable, "a list of names")
        if isinstance(given, str | bytes):
            raise ParameterError("aliases", given, "a list of names")
        other_names = [*given] if new_name is None else [old.name, *given]
        new = Character.of(
            new_name or old.name,
            old.prototypes,
            counts=old.counts,
            negatives=old.negatives,
            aliases=other_names,
            series=old.series if series is None else series,
            limit=old.limit,
            thumbnail=old.thumbnail,
        )
        return replace(self, characters=tuple(new if each is old else each for each in self.characters))


def checked_name(name: object) -> str:
    """A name without blanks around it, in Unicode's composed form.

    Raises:
        LibraryError: it is no text of one line, empty, or too long
    """
    if not isinstance(name, str):
        raise LibraryError(f"a name is {name!r}; it must be a text")
    text = canonical_name(name)
    shown = f"{name[:40]!r}{'...' if len(name) > 40 else ''}"
    if not text:
        raise LibraryError("a name is empty")
    if len(text) > MAX_NAME:
        raise LibraryError(f"the name {shown} has {len(text):,} characters; the limit is {MAX_NAME}")
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in text):
        raise LibraryError(f"the name {shown} has control characters or a half of a character")
    return text


def search_form(text: str) -> str:
    """A text as it is searched: case folded, compatibility forms the same, katakana as hiragana."""
    folded = unicodedata.normalize("NFKC", text).strip().casefold()
    return "".join(chr(ord(letter) - 0x60) if "\u30a1" <= letter <= "\u30f6" else letter for letter in folded)
