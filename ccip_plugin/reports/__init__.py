"""Charts, files and text of reports; knows no feature."""
