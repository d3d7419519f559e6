"""Shares the items to embed among processes that embed one dataset; nothing is claimed, and no process waits."""

import itertools
import random
from collections.abc import Callable, Container, Iterator, Sequence

from .store import Key, Keys


class Sharing:
    """Goes through blocks of items that other processes may embed as well.

    A process begins at a random block, takes one after the other and looks again before each. Where another process was
    already, it jumps to the middle of the longest run of blocks that none has begun; what another one has begun comes
    last. So what two do twice is about one block: the one that the other is at when nothing else is left.

    Args:
        keys: the items
        embedded: returns those of some items that have an embedding now
    """

    def __init__(self, keys: Keys, embedded: Callable[[Sequence[Key]], Container[Key]]):
        self._keys, self._embedded = keys, embedded
        self._blocks = keys.blocks()
        self._has_met = False
        self.n_elsewhere = 0

    def blocks(self) -> Iterator[list[Key]]:
        """Yields the items of each block that have no embedding yet."""
        left, begun = dict.fromkeys(range(len(self._blocks))), []
        at = random.choice([*left, 0])
        while left:
            del left[at]
            keys, missing = self._look(at)
            if 0 < len(missing) < len(keys):
                begun.append(at)
            elif missing:
                yield missing
            else:
                self.n_elsewhere += len(keys)
            at += 1
            if at not in left or len(missing) < len(keys) or self._has_met:
                self._has_met = False
                at = self._middle(list(left))
        for at in begun:
            keys, missing = self._look(at)
            self.n_elsewhere += len(keys) - len(missing)
            if missing:
                yield missing

    def wrote(self, n_embedded: int) -> None:
        """Is told how many of the items that are written now had an embedding already: another process is here."""
        self._has_met |= n_embedded > 0

    def _look(self, at: int) -> tuple[list[Key], list[Key]]:
        """The items of a block, and those of them that have no embedding."""
        keys = self._keys.part(*self._blocks[at])
        embedded = self._embedded(keys)
        return keys, [key for key in keys if key not in embedded]

    def _middle(self, left: Sequence[int]) -> int:
        """The middle of the longest run of blocks of which neither the first nor the last item has an embedding."""
        ends = {at: [self._keys[self._blocks[at][0]], self._keys[self._blocks[at][1] - 1]] for at in left}
        embedded = self._embedded(list(itertools.chain.from_iterable(ends.values())))
        untouched = [at for at in left if not any(key in embedded for key in ends[at])]
        starts = [i for i, at in enumerate(untouched) if not i or at != untouched[i - 1] + 1]
        runs = [untouched[a:b] for a, b in itertools.pairwise([*starts, len(untouched)])]
        longest = max(runs, key=len, default=left)
        return random.choice(longest[len(longest) // 3 : len(longest) * 2 // 3 + 1]) if longest else -1
