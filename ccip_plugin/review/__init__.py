"""Questions to people about groups."""
