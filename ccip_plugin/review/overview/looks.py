"""What a card needs of a group, whether the board knows it or the overview that is kept."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from ...storage.targets import Target


class Item(NamedTuple):
    """An item whose picture is shown.

    Attributes:
        id: its id
        sample_id: the id of its sample
        difference: its mean difference to the others of its group, NaN where there is none
        status: the code of its status
    """

    id: str
    sample_id: str
    difference: float
    status: int


class Looks(NamedTuple):
    """How a group looks.

    Attributes:
        items: what is shown of it, its cover first
        has_near_duplicates: whether two of its images are nearly the same picture
    """

    items: Sequence[Item]
    has_near_duplicates: bool


class Shelf(Protocol):
    """The groups that cards are made of: a board, or an overview that is kept."""

    @property
    def threshold(self) -> float:
        """The difference up to which two images show one character."""

    @property
    def target(self) -> Target:
        """All items."""

    def name(self, group_id: int) -> str:
        """The name of a group."""

    def looks(self, group_id: int) -> Looks:
        """How a group looks."""
