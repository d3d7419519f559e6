"""Datasets, fields and runs as stored in the database, and locks on them."""
