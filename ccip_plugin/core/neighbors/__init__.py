"""Neighbor search: which images differ by at most a radius."""

from .graph import NeighborGraph, radius_graph

__all__ = ["NeighborGraph", "radius_graph"]
