"""What operators and panels share."""
