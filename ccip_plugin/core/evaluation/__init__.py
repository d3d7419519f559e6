"""Metrics of pairs and of groups against named characters."""

from .groups import GroupMetrics, group_metrics
from .pairs import PairMetrics, pair_metrics

__all__ = ["GroupMetrics", "PairMetrics", "group_metrics", "pair_metrics"]
