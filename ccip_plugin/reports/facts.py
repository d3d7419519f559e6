"""The content of a report as text: a headline, labeled values and warnings."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from .tables import table_text
from .words import printable


@dataclass(frozen=True)
class Facts:
    """What a report states, written once: ``str``, the command line, the App and exports render it.

    Attributes:
        headline: the result in one line
        pairs: ``(label, value)`` in reading order
        warnings: what needs attention
    """

    headline: str
    pairs: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, headline: str, pairs: Iterable[tuple[str, object]] = (), warnings: Iterable[str] = ()) -> "Facts":
        """Formats values: thousands separators for numbers, no row for None and empty text.

        Args:
            headline: the result in one line
            pairs (()): ``(label, value)``
            warnings (()): what needs attention
        """
        rows = ((label, _text(value)) for label, value in pairs if value is not None and value != "")
        return cls(headline, tuple(rows), tuple(warnings))

    def __getitem__(self, label: str) -> str:
        return dict(self.pairs)[label]

    def __contains__(self, label: object) -> bool:
        return any(label == each for each, _ in self.pairs)

    def as_dict(self) -> dict[str, object]:
        """Plain values, for exports."""
        return {"headline": self.headline, **dict(self.pairs), "warnings": list(self.warnings)}

    def lines(self) -> list[str]:
        """The pairs, aligned, and the warnings."""
        return [*table_text(self.pairs).splitlines(), *(f"warning: {printable(warning)}" for warning in self.warnings)]

    def __str__(self) -> str:
        return "\n".join([printable(self.headline), *self.lines()])


def decimals(value: float | None, digits: int = 4) -> str:
    """A number with a fixed number of decimals; empty where there is none."""
    return "" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def counted(n: int, noun: str) -> str:
    """A number with its noun: ``1 image``, ``2,000 images``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
