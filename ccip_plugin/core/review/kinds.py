"""The kinds of questions."""

from collections.abc import Sequence
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


def is_question(kind: str, groups: Sequence[int], items: Sequence[Sequence[object]]) -> bool:
    """Whether a question of a kind can be about some groups and items, as it comes back with an answer.

    Args:
        kind: one of :data:`KINDS`
        groups: the ids of the groups; 0 only for a tile that is a single image
        items: the ids of the items by side or tile; none of two groups, and none where there were too many to show
    """
    ids, named = [each for part in items for each in part], [each for each in groups if each]
    if len({*ids}) < len(ids) or len({*named}) < len(named) or not all(groups[: 1 if kind == IN else None]):
        return False
    n_groups, n_parts = {
        SAME: (2, (0,)),
        HALVES: (1, (0, 2)),
        WHOLE: (1, (0, 2)),
        OUT: (1, (1,)),
        IN: (1 + len(items), (len(items),)),
        WHO: (max(1, len(groups)), (1,)),
    }[kind]
    is_fine = len(groups) == n_groups and len(items) in n_parts and all(items)
    return is_fine and (kind != WHO or len(ids) == 1)
