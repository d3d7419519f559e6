"""How pure the groups are, how sure that is, and how many questions are left."""

from dataclasses import dataclass

import numpy as np

from .board import Board
from .features import of_halves, of_members
from .memory import Evidence, Memory
from .probabilities import HALVES, STAYS, Probabilities
from .questions import Ranking

DONE = "further answers are as likely to harm as to help"
"""Why no question is left."""

_FEWEST = 20  # answers about images of a group before purity is estimated
_PRIOR = 1.0  # weight of the probabilities before any answer, in wrong images
_UNSEEN = 0.004  # share of images that look right and are wrong; as uncertain as it is large
_TAIL = 0.025


@dataclass(frozen=True)
class Purity:
    """Estimated share of the images that are of the character of their group, of all images in groups.

    Attributes:
        estimate: the share
        low: lower end of its 95 % interval
        high: upper end
        n_images: number of images in groups of two or more
    """

    estimate: float
    low: float
    high: float
    n_images: int


@dataclass(frozen=True)
class Estimate:
    """State of a review.

    Attributes:
        purity: of the groups; None before there are enough answers
        n_left: about how many questions are left
        is_done: whether further answers are as likely to harm as to help
    """

    purity: Purity | None
    n_left: int
    is_done: bool


def estimate(board: Board, memory: Memory, probabilities: Probabilities, ranking: Ranking) -> Estimate:
    """The state of a review; takes longer than the next question, so every few answers is often enough."""
    n_left = ranking.n_left(board, memory, probabilities)
    return Estimate(purity(board, memory, probabilities, ranking), n_left, n_left == 0)


def purity(board: Board, memory: Memory, probabilities: Probabilities, ranking: Ranking) -> Purity | None:
    """Purity of the groups, from the probabilities and how often answers differed from them.

    The number of wrong images is the sum of their probabilities times a factor: how many of the images shown were
    wrong, by how many were expected. The interval has both the factor's uncertainty, which falls with the answers, and
    that of the number itself.
    """
    from scipy.special import gammaincinv

    expected, n_wrong = probabilities.expected_and_said(STAYS)
    if probabilities.n_answers(STAYS) < _FEWEST:
        return None
    memory.follow(board)
    total, n_unseen, n_images = _expected_wrong(board, memory, probabilities, ranking)
    if not n_images:
        return None
    n_slips = memory.slip_rate * probabilities.n_answers(STAYS)  # most of them say of a right image that it is wrong
    shape, rate = _PRIOR + max(0.0, n_wrong - n_slips), _PRIOR + expected
    unlikely = _UNSEEN * n_unseen
    mean = total * shape / rate + unlikely
    spread = total**2 * shape / rate**2 + unlikely**2 + mean
    if mean <= 0:
        return Purity(1.0, 1.0, 1.0, n_images)
    # A gamma distribution with this mean and variance.
    low, high = gammaincinv(mean**2 / spread, [_TAIL, 1 - _TAIL]) * spread / mean
    share, least, most = (float(np.clip(1 - wrong / n_images, 0, 1)) for wrong in (mean, high, low))
    return Purity(share, least, most, n_images)


def _expected_wrong(
    board: Board, memory: Memory, probabilities: Probabilities, ranking: Ranking
) -> tuple[float, int, int]:
    """Expected number of wrong images in groups, how many were never judged by a person, and how many there are."""
    rows = np.flatnonzero(np.isfinite(board.difference))
    if not len(rows):
        return 0.0, 0, 0
    groups = board.group_of[rows]
    stays = probabilities.same(STAYS, of_members(board, rows))
    is_judged = np.isin(rows, memory.known_rows()) | board.confirmed[rows]
    for i in np.flatnonzero(is_judged):
        evidence = memory.about((int(rows[i]), int(groups[i])))
        by_hand = memory.belief(float(stays[i]), Evidence(same=1)) if board.confirmed[rows[i]] else float(stays[i])
        stays[i] = memory.belief(by_hand, evidence)
    ids, which = np.unique(groups, return_inverse=True)
    wrong = np.bincount(which, 1 - stays)
    divided = ranking.halves_of(board)
    together = probabilities.same(HALVES, of_halves(board, [*divided.values()]))
    for p, (group_id, parts) in zip(together.tolist(), divided.items(), strict=True):
        p = memory.belief(p, memory.about_cut(group_id, parts.first, parts.second))
        place = np.searchsorted(ids, group_id)
        wrong[place] = max(wrong[place], (1 - p) * len(parts.second))
    return float(wrong.sum()), int(np.count_nonzero(~is_judged)), len(rows)
