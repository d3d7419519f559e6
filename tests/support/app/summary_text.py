"""Reads the summary that the command line prints."""

import re


def blocks(text):
    """The facts by the titles of their blocks, other lines by number: ``{"Embeddings": {"Embedded now": "4"}}``."""
    found, title = {}, None
    for number, line in enumerate(text.splitlines()):
        if re.fullmatch(r"\S.*[^:]", line) and ": " not in line:
            title = line
            found[title] = {}
        elif title is not None and line.startswith("  "):
            label, _, value = line.strip().partition("  ")
            found[title].update({label: value.strip()} if value else {number: label})
        else:
            title = None
    return found
