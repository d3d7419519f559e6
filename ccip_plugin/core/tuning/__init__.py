"""Tuning of thresholds and clustering parameters on labeled images."""
