"""Character clustering: embeddings or a neighbor graph in, group labels out."""

from .dispatch import cluster
from .methods import METHODS, Clustering, ClusteringMethod
from .parameters import NOISE

__all__ = ["METHODS", "NOISE", "Clustering", "ClusteringMethod", "cluster"]
