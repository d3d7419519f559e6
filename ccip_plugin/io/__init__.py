"""Images and datasets in."""
