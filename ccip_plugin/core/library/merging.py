"""Merges character libraries, and lists where they disagree."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from ..differences import differences
from ..errors import ParameterError, check_type
from ..plain import canonical_name
from .prototypes import MAX_APPEARANCES, MAX_NEGATIVES, choose_negatives
from .records import MAX_ALIASES, Character, Library, LibraryError


class ConflictKind(StrEnum):
    """What two libraries disagree about."""

    OTHER_LOOK = "one name, different looks"
    OTHER_NAME = "one look, different names"
    ALIAS = "an alias of two characters"
    SERIES = "one character, different series"


@dataclass(frozen=True)
class Conflict:
    """Something that two libraries disagree about.

    Attributes:
        kind: what
        first: the name in the first library
        second: the name in the second one
        difference: the smallest difference of their prototypes
        resolution: what the merged library has
    """

    kind: ConflictKind
    first: str
    second: str
    difference: float
    resolution: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.first!r} and {self.second!r} (difference {self.difference:.3f}); {self.resolution}"


@dataclass(frozen=True, eq=False)
class MergedLibrary:
    """The result of a merge.

    Attributes:
        library: the merged library
        conflicts: what the libraries disagree about
        n_joined: number of characters that are in both
        n_added: number of characters that only the second library has
    """

    library: Library
    conflicts: tuple[Conflict, ...]
    n_joined: int
    n_added: int


def merge(first: Library, second: Library, *, threshold: float) -> MergedLibrary:
    """Merges two libraries of one model. Nothing of either is lost; where they disagree, both are kept.

    A character of the second library joins the one of the first that has its name, or has it as an alias. If no
    prototype of one is within the threshold of one of the other, they may be two characters: both stay, the second one
    under another name, and the conflict is listed. Characters of different names with prototypes within the threshold
    both stay and are listed as well: one may be an alias of the other.

    Args:
        first: a library; its names and series come first
        second: another one
        threshold: the difference up to which two images are one character

    Raises:
        OtherModelError: the libraries are of different models
        ParameterError: the threshold is invalid
    """
    for name, each in (("first", first), ("second", second)):
        check_type(name, each, Library, "a character library")
    if not 0 < threshold <= 1:
        raise ParameterError("threshold", threshold, "a difference over 0 and at most 1")
    second.origin.check(first.origin)
    merging = _Merging(list(first.characters), threshold)
    for character in second.characters:
        merging.add(character)
    merging.compare(len(first), second.characters)
    origin = replace(
        first.origin,
        sha256=first.origin.sha256 or second.origin.sha256,
        reading_policy=max(filter(None, (first.origin.reading_policy, second.origin.reading_policy)), default=None),
    )
    n_added = len(merging.characters) - len(first)
    library = Library(origin, tuple(merging.characters))
    return MergedLibrary(library, tuple(merging.conflicts), merging.n_joined, n_added)


class _Merging:
    """A merge in progress.

    Args:
        characters: the characters of the first library; the list grows
        threshold: the difference up to which two images are one character
    """

    def __init__(self, characters: list[Character], threshold: float) -> None:
        self.characters, self.conflicts, self.n_joined = characters, list[Conflict](), 0
        self._threshold = threshold
        self._joined: set[str] = set()
        self._names = {canonical_name(each.name): place for place, each in enumerate(characters)}
        self._aliases: dict[str, int] = {}
        for place, each in enumerate(characters):
            for alias in each.aliases:
                self._aliases.setdefault(canonical_name(alias), place)

    def add(self, character: Character) -> None:
        """Adds a character of the second library: joins it, or appends it."""
        place = self._place_of(character)
        if place is None:
            self._append(character)
            return
        mine = self.characters[place]
        apart = apart_by(mine, character)
        if apart <= self._threshold:
            self.characters[place] = self._union(mine, character, apart)
            self.n_joined += 1
            self._joined.add(canonical_name(character.name))
            return
        if canonical_name(character.name) not in self._names:  # only an alias is the same
            text = "both are kept, and both have the alias"
            self.conflicts.append(Conflict(ConflictKind.ALIAS, mine.name, character.name, apart, text))
            self._append(character)
            return
        renamed = replace(character, name=self._free_name(character))
        text = f"the second one is kept as {renamed.name!r}"
        self.conflicts.append(Conflict(ConflictKind.OTHER_LOOK, mine.name, character.name, apart, text))
        self._joined.add(canonical_name(renamed.name))
        self._append(renamed)

    def compare(self, n_first: int, added: Sequence[Character]) -> None:
        """Lists characters of different names that look like one."""
        theirs = [each for each in self.characters[n_first:] if canonical_name(each.name) not in self._joined]
        if not theirs or not n_first:
            return
        mine = self.characters[:n_first]
        means = [np.stack([_middle(each) for each in part]) for part in (theirs, mine)]
        apart = differences(means[0], means[1])
        for row, nearest in enumerate(apart.argmin(axis=1).tolist()):
            value = apart_by(mine[nearest], theirs[row])
            if apart[row, nearest] <= self._threshold:
                text = "both are kept: if they are one character, give it the other name as an alias"
                pair = mine[nearest].name, theirs[row].name
                self.conflicts.append(Conflict(ConflictKind.OTHER_NAME, *pair, value, text))

    def _place_of(self, character: Character) -> int | None:
        """The character that has the name of another one, or has it as an alias; or whose name is an alias of it."""
        name = canonical_name(character.name)
        for place in (self._names.get(name), self._aliases.get(name)):
            if place is not None:
                return place
        for alias in map(canonical_name, character.aliases):
            if alias in self._names or alias in self._aliases:
                return self._names.get(alias, self._aliases.get(alias))
        return None

    def _append(self, character: Character) -> None:
        self._names[canonical_name(character.name)] = len(self.characters)
        for alias in character.aliases:
            self._aliases.setdefault(canonical_name(alias), len(self.characters))
        self.characters.append(character)

    def _free_name(self, character: Character) -> str:
        base = f"{character.name} ({character.series})" if character.series else character.name
        name, number = base, 2
        while canonical_name(name) in self._names:
            name, number = f"{base} ({number})", number + 1
        return name

    def _union(self, mine: Character, other: Character, apart: float) -> Character:
        if mine.series and other.series and canonical_name(mine.series) != canonical_name(other.series):
            text = f"{mine.series!r} is kept, not {other.series!r}"
            self.conflicts.append(Conflict(ConflictKind.SERIES, mine.name, other.name, apart, text))
        prototypes, counts = _joined_prototypes(mine, other)
        negatives = np.concatenate([mine.negatives, other.negatives])
        limits = [each for each in (mine.limit, other.limit) if each is not None]
        names = dict.fromkeys([*mine.aliases, *other.names])
        names.pop(mine.name, None)
        if len(names) > MAX_ALIASES:
            raise LibraryError(f"{mine.name!r} would have {len(names):,} aliases; the limit is {MAX_ALIASES}")
        for name in names:
            self._aliases.setdefault(canonical_name(name), self._names[canonical_name(mine.name)])
        return Character.of(
            mine.name,
            prototypes,
            counts=counts,
            negatives=choose_negatives(negatives, prototypes, most=MAX_NEGATIVES) if len(negatives) else None,
            aliases=names,
            series=mine.series or other.series,
            limit=min(limits) if len(limits) == 2 else None,
            thumbnail=mine.thumbnail or other.thumbnail,
        )


def apart_by(first: Character, second: Character) -> float:
    """The smallest difference of two characters' prototypes."""
    return float(differences(first.prototypes, second.prototypes).min())


def _middle(character: Character) -> np.ndarray:
    weighted = character.prototypes * character.counts[:, None].astype(np.float32)
    middle: np.ndarray = weighted.sum(axis=0)
    return middle if middle.any() else character.prototypes[0]


def _joined_prototypes(mine: Character, other: Character) -> tuple[np.ndarray, np.ndarray]:
    """The prototypes of both; the nearest ones are joined until there are few enough. A same one counts once."""
    vectors = list(np.concatenate([mine.prototypes, other.prototypes]).astype(np.float64))
    counts = [*mine.counts.tolist(), *other.counts.tolist()]
    while len(vectors) > 1:
        apart = differences(np.stack(vectors)).astype(np.float64)
        np.fill_diagonal(apart, 2)
        left, right = sorted(divmod(int(apart.argmin()), len(vectors)))
        is_same = apart[left, right] < 1e-6
        if not is_same and len(vectors) <= MAX_APPEARANCES:
            break
        if is_same:  # one library has it from the other
            counts[left] = max(counts[left], counts[right])
        else:
            vectors[left] = vectors[left] * counts[left] + vectors[right] * counts[right]
            vectors[left] /= np.linalg.norm(vectors[left])
            counts[left] += counts[right]
        del vectors[right], counts[right]
    return np.stack(vectors).astype(np.float32), np.array(counts, np.int64)
