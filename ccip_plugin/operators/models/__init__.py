"""Operators that manage models."""
