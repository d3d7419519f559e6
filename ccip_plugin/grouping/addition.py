"""What a run that adds images to existing groups did with them."""

from dataclasses import dataclass, field
from typing import Any

import fiftyone as fo
import numpy as np
from fiftyone.core.collections import SampleCollection

from ..core.identity.ids import Ids, ids_of, texts_of
from ..core.identity.planning import Plan
from ..core.identity.state import NONE
from ..reports.facts import counted
from ..storage.targets import items_view, resolve


@dataclass(frozen=True)
class Added:
    """The new items of a run with ``mode="add"``.

    Attributes:
        n_joined: those that joined a group that was there before
        n_joined_groups: these groups
        n_founders: those in new groups
        n_new_groups: these groups
        n_none: those in no group
        n_moved: labels of other items that name another group than before; none, by the mode
        ids: the ids of the new items; they are not stored with a proposal
    """

    n_joined: int
    n_joined_groups: int
    n_founders: int
    n_new_groups: int
    n_none: int
    n_moved: int = 0
    ids: Ids = field(default_factory=lambda: ids_of(()), compare=False, repr=False)

    @property
    def n_items(self) -> int:
        """The number of new items."""
        return self.n_joined + self.n_founders + self.n_none

    def as_dict(self) -> dict[str, int]:
        """The numbers as plain values."""
        names = ("n_joined", "n_joined_groups", "n_founders", "n_new_groups", "n_none", "n_moved")
        return {name: getattr(self, name) for name in names}

    def text(self, noun: str) -> str:
        """What became of them: ``of 20 new images: 17 joined 12 groups, 3 in none; no other label moved``.

        Args:
            noun: what the items are called
        """
        if not self.n_items:
            return f"no new {noun}"
        parts = [
            f"{self.n_joined:,} joined {counted(self.n_joined_groups, 'group')}" if self.n_joined else None,
            f"{self.n_founders:,} make {counted(self.n_new_groups, 'new group')}" if self.n_founders else None,
            f"{self.n_none:,} in none" if self.n_none else None,
        ]
        others = f"{counted(self.n_moved, 'other label')} moved" if self.n_moved else "no other label moved"
        items = counted(self.n_items, f"new {noun.removesuffix('s')}")
        return f"of {items}: {', '.join(part for part in parts if part)}; {others}"

    def view(self, samples: SampleCollection, patches_field: str | None = None) -> fo.DatasetView:
        """A view of exactly the new items.

        Args:
            samples: the dataset, or any view of it
            patches_field (None): the field with the detections, when they were grouped
        """
        return items_view(resolve(samples, patches_field).whole(), texts_of(self.ids))


def added_by(plan: Plan) -> Added:
    """What a plan does with items that had no label; it sets no others, as it was made with ``adds_only``."""
    writes = plan.writes.take(np.flatnonzero(plan.writes.is_labeled))
    group_ids, first_new = writes.group_ids, plan.identities.registry.next_id
    joined, founders = (group_ids[group_ids != NONE] for _ in range(2))
    joined, founders = joined[joined < first_new], founders[founders >= first_new]
    by_kind: dict[str, Any] = plan.n_by_kind()
    return Added(
        len(joined),
        len(np.unique(joined)),
        len(founders),
        len(np.unique(founders)),
        int((group_ids == NONE).sum()),
        sum(by_kind[kind] for kind in ("moved", "merged", "split")),
        writes.ids,
    )
