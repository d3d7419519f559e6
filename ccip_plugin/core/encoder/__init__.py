"""Computes embeddings of image files and arrays."""

from .encoder import Encoder

__all__ = ["Encoder"]
