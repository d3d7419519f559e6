"""Parameters chosen on labelled images."""
