"""Operators that find and compare images."""
