"""What was on the screen when a key was pressed: an edit is refused where that is not so any more."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...labels.edits.members import Rows, group_in
from ...review.problems import ReviewError


@dataclass(frozen=True)
class Shown:
    """What was shown of the groups and images of an edit; what is None was not sent.

    Attributes:
        sizes: the numbers of images of its groups, by their ids as texts
        group: the group in which its images were shown, 0 for none
        items: the ids of its images or detections
    """

    sizes: Mapping[str, int] | None = None
    group: int | None = None
    items: Sequence[str] | None = None

    def check_names(self, groups: Sequence[int]) -> None:
        """Checks that numbers of images are of the groups of the edit.

        Raises:
            ReviewError: some are of others
        """
        if self.sizes and not {int(key) for key in self.sizes} <= set(groups):
            raise ReviewError("invalid", "numbers of images are expected of the groups of the edit, and of no others")

    def check(self, rows: Rows, draft: Any, reference: Callable[[int], int | str]) -> None:
        """Checks what an edit has read.

        Args:
            rows: the images of its groups, or its images
            draft: the groups
            reference: gives a group as the edits take it

        Raises:
            ReviewError: it is not as it was shown
        """
        gone = set(self.items or ()).difference(item_id for item_id, _, _ in rows)
        if gone:
            raise ReviewError("gone", f"nothing was changed: {_gone(sorted(gone))}")
        counts = Counter(group_in(draft, label) for _, _, label in rows)
        for key, shown in (self.sizes or {}).items():
            group_id = draft.find(reference(int(key)))
            n = 0 if group_id is None else counts[group_id]
            if n != shown:
                name = f"the group {key}" if group_id is None else repr(draft.groups[group_id].name)
                raise _stale(f"{name} had {shown:,} images when it was shown, and has {n:,} now")
        if self.group is not None:
            expected = draft.find(reference(self.group)) if self.group else None
            if (self.group and expected is None) or counts.keys() - {expected}:
                raise _stale("an image is in another group now")


def _gone(ids: Sequence[str]) -> str:
    if len(ids) == 1:
        return f"the image {ids[0]} is not in the dataset any more"
    return f"{len(ids):,} of the images are not in the dataset any more, such as {ids[0]}"


def _stale(why: str) -> ReviewError:
    return ReviewError("stale", f"this card is out of date, and nothing was changed: {why}")
