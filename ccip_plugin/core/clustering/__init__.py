"""Character clustering: embeddings or a neighbor graph in, group labels out."""

from .dispatch import Clustering, cluster
from .parameters import METHODS, NOISE

__all__ = ["METHODS", "NOISE", "Clustering", "cluster"]
