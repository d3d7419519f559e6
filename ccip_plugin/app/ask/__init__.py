"""Questions that the forms of several operators share."""
