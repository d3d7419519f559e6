"""Scores of pairs and groups against true characters."""

from .groups import GroupMetrics, group_metrics
from .pairs import PairMetrics, pair_metrics

__all__ = ["GroupMetrics", "PairMetrics", "group_metrics", "pair_metrics"]
