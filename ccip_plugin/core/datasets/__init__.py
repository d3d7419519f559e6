"""Downloads and extracts archives of published datasets."""
