"""Image files and arrays in, embeddings out."""

from .encoder import Encoder

__all__ = ["Encoder"]
