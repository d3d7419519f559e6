"""Operators that compute embeddings."""
