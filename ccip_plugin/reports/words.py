"""Numbers and names as text."""


def duration(seconds: float) -> str:
    """Seconds as people say them: ``45 s``, ``3 min``, ``2 h 05 min``."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


def printable(text: str) -> str:
    """The text without what would move the cursor, set colors or break the line; names of files may hold anything."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
