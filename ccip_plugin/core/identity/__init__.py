"""The same groups across runs."""
