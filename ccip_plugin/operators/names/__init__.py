"""Operators about named characters."""
