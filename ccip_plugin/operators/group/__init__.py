"""Operators that group."""
