"""Neighbor search: pairs of images with a difference up to a radius."""

from .graph import NeighborGraph, radius_graph

__all__ = ["NeighborGraph", "radius_graph"]
