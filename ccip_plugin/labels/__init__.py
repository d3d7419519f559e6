"""Character groups as labels: stored, changed through one door, undone."""
