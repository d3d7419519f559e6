"""The kinds of questions."""

from dataclasses import dataclass, field

from ..arrays import FloatArray, IntArray

SAME, HALVES, OUT, IN, WHO, WHOLE = "same", "halves", "out", "in", "who", "whole"
KINDS = (SAME, HALVES, OUT, IN, WHO, WHOLE)
"""Two groups; halves of a group; which do not belong to it; which others do; whose is this image; a whole group."""

MOST_TILES = 12
"""How many images or groups one question of kind "out" or "in" shows."""

MOST_GROUPS = 5
"""How many groups a question of kind "who" offers."""


@dataclass(frozen=True, eq=False)
class Question:
    """A question to a person.

    Attributes:
        kind: one of :data:`KINDS`
        groups: the groups. "same": two; "halves", "out", "whole": one; "who": those to choose from; "in": the group,
            then, per tile, the small group that it is, 0 for an image in no group
        items: rows. "same": all of either group; "halves", "whole": of either part; "out": one array, a tile per row;
            "in": per tile; "who": one array with one row
        gain: expected number of images put right per answer
        difference: mean difference of what is asked about
        probability: of "one character"; of strips the mean over the tiles
        images: rows to show as examples of each of ``groups``, of either half, or of either part
        chances: probability of "one character" per tile or group of strips and "who"
        features: what the probabilities were computed from, a row per matter: one, or a tile or group each
    """

    kind: str
    groups: tuple[int, ...]
    items: tuple[IntArray, ...]
    gain: float
    difference: float
    probability: float
    images: tuple[IntArray, ...] = field(repr=False)
    chances: tuple[float, ...] = ()
    features: tuple[FloatArray, ...] = field(default=(), repr=False)

    @property
    def key(self) -> tuple[object, ...]:
        """What makes it the same question: kind, groups and, where images are asked about, these."""
        if self.kind == SAME:
            return (self.kind, *sorted(self.groups))
        if self.kind == HALVES:
            return (self.kind, self.groups[0], len(self.items[0]), len(self.items[1]), int(self.items[1].min()))
        if self.kind == WHOLE:
            return (self.kind, self.groups[0])
        return (self.kind, *self.groups, *(int(row) for rows in self.items for row in rows[:1]), len(self.items[0]))

    @property
    def matters(self) -> list[frozenset[int] | tuple[int, int]]:
        """What it is about: two groups, or an image and a group, each as one matter. Halves are none."""
        if self.kind == SAME:
            return [frozenset(self.groups)]
        if self.kind == OUT:
            return [(int(row), self.groups[0]) for row in self.rows]
        if self.kind == WHO:
            return [(int(self.rows[0]), group) for group in self.groups]
        if self.kind == IN:
            tiles = zip(self.groups[1:], self.items, strict=True)
            return [
                frozenset((self.groups[0], tile)) if tile else (int(rows[0]), self.groups[0]) for tile, rows in tiles
            ]
        return []

    @property
    def rows(self) -> IntArray:
        """For "out" and "who": the images asked about."""
        return self.items[0]
