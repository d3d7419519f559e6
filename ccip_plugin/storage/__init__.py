"""Datasets, fields and runs as the database has them."""
