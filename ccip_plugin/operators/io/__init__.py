"""Operators that bring images in."""
