"""A call of the panel: its dataset, what it reviews, who calls, and the token of the writing methods."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Any

import fiftyone as fo

from ...review.board import ReviewBoard
from ...review.cards import Table, progress_of, table_of
from ...review.overview.keeping import board_of, shelf_of
from ...review.overview.preview import Preview
from ...review.problems import ReviewError
from ...review.queue import queue_of
from ...review.sources import chosen_source
from ...storage.internals import dataset_id

_SECRET = secrets.token_bytes(32)
"""Of this process. A page of another site can post to the App, but never reads what comes back: so it has no token."""


def progress(board: ReviewBoard | Preview) -> dict[str, Any]:
    """How far the review is, with the numbers of images of several characters and of contradictions.

    Args:
        board: the board, or what is kept of it: then what only the board knows is None
    """
    if isinstance(board, Preview):
        return {**board.progress(), "several": None, "disputes": None}
    known, queue = progress_of(board), queue_of(board)
    return {**known, "several": len(queue.several()), "disputes": len(queue.contradicted())}


@dataclass
class Call:
    """A call of the panel.

    Attributes:
        dataset: the dataset that is open in the App
        source: what is reviewed, as the panel sends it; None for the only field with groups
        tab: the random id of the tab
        by: the name of the person, None where it was not asked
        is_view: whether the App shows a view
        ctx: the context of the operator, None in a call from Python
    """

    dataset: fo.Dataset
    source: dict[str, Any] | None = None
    tab: str | None = None
    by: str | None = None
    is_view: bool = False
    ctx: Any = None

    def board(self) -> ReviewBoard:
        """The board of what is reviewed, up to date."""
        return board_of(self.dataset, chosen_source(self.dataset, self.source))

    def shelf(self) -> ReviewBoard | Preview:
        """What cards can be made of at once: the board, or what is kept of it while it is being read."""
        return shelf_of(self.dataset, chosen_source(self.dataset, self.source))

    def groups(self) -> tuple[ReviewBoard, Table]:
        """The board, and its groups as columns."""
        board = self.board()
        return board, table_of(board)

    def token(self) -> str:
        """What writing methods want."""
        return hmac.new(_SECRET, str(dataset_id(self.dataset)).encode(), hashlib.sha256).hexdigest()

    def check_token(self, given: object) -> None:
        """Checks the token of a writing method.

        Raises:
            ReviewError: it is another one, as after a restart of the server
        """
        if not isinstance(given, str) or not hmac.compare_digest(
            given.encode("utf-8", "replace"), self.token().encode()
        ):
            raise ReviewError(
                "token",
                "the server was started again since this panel was opened, or it is another dataset: open it again",
            )
