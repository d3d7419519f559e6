"""Operators that evaluate."""
