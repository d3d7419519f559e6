"""What to look at after a grouping: likely pairs of groups first."""

from .report import GroupingReport, GroupShape

_LIKELY = 1.5  # of eps: two groups that are less apart are worth a look


def nearest_pairs(report: GroupingReport, n: int) -> list[GroupShape]:
    """The groups that are likely the same character as the one nearest to them, the likeliest pair first.

    Of two groups that are nearest to each other, it has one. Those as far apart as groups of different characters
    usually are, and those that users keep apart, are left out.

    Args:
        report: a grouping
        n: how many at most
    """
    pairs: dict[frozenset[int], GroupShape] = {}
    for shape in report.shapes:
        if _is_likely(shape, report.parameters.eps):
            pairs.setdefault(frozenset((shape.group_id, shape.rival_id or 0)), shape)
    return sorted(pairs.values(), key=lambda shape: shape.apart or 0.0)[:n]


def next_steps(report: GroupingReport) -> list[tuple[GroupShape, str]]:
    """The groups with a question about each, those to look at first on top: likely pairs, the likeliest first, then
    groups of images that differ as much as those of several characters, then the others, which have no question.

    Args:
        report: a grouping
    """
    eps = report.parameters.eps

    def place(shape: GroupShape) -> tuple[float, ...]:
        return (0, shape.apart or 0.0) if _is_likely(shape, eps) else (1,) if _is_loose(shape, eps) else (2,)

    def question(shape: GroupShape) -> str:
        if _is_likely(shape, eps):
            return f"the same as {shape.rival}?"
        return "several characters?" if _is_loose(shape, eps) else ""

    return [(shape, question(shape)) for shape in sorted(report.shapes, key=place)]


def _is_likely(shape: GroupShape, eps: float) -> bool:
    """Whether a group is likely the same character as the one nearest to it."""
    is_near = shape.apart is not None and shape.apart <= _LIKELY * eps
    return shape.rival_id is not None and is_near and not shape.is_kept_apart


def _is_loose(shape: GroupShape, eps: float) -> bool:
    """Whether the images of a group differ as much as those of several characters."""
    return shape.cohesion is not None and shape.cohesion > eps
