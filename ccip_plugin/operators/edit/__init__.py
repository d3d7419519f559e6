"""Operators that change groups."""
