"""Measured speeds of the models on this machine, for time estimates in forms."""

import json
import logging
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..core.system import atomic_write, cache_dir
from ..reports.words import duration

logger = logging.getLogger(__name__)

FILE = "speeds.json"
LEAST = 20
"""Runs over fewer images are not recorded: they say little about speed."""


@dataclass(frozen=True)
class Speed:
    """Speed of the last run over many images.

    Attributes:
        provider: the execution provider
        per_second: images per second, on average over the run
    """

    provider: str
    per_second: float

    def is_of(self, provider: str) -> bool:
        """Whether this speed is of an execution provider, by its short name; "auto" stands for any provider."""
        return provider in ("auto", self._provider.lower())

    def estimate(self, n: int) -> str:
        """The time for ``n`` images, as text."""
        seconds = n / self.per_second
        time = "less than a second" if seconds < 1 else f"about {duration(seconds)}"
        return f"{time} on {self._provider}, at the speed of the last run"

    @property
    def _provider(self) -> str:
        return self.provider.removesuffix("ExecutionProvider")


def remember(model_name: str, speed: Speed, n: int) -> None:
    """Records the speed of a model; write errors are only logged.

    Args:
        model_name: the model
        speed: the measured speed
        n: number of images of the run; runs over few images are not recorded
    """
    if n < LEAST or speed.per_second <= 0:
        return
    path = _path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as part:
            part.write_text(json.dumps({**_read(), model_name: asdict(speed)}, indent=1), encoding="utf-8")
    except OSError as error:
        logger.info("cannot record the speed of %s: %s", model_name, error)


def recall(model_name: str) -> Speed | None:
    """The recorded speed of a model on this machine, None without a record."""
    record: Any = _read().get(model_name)
    try:
        speed = Speed(str(record["provider"]), float(record["per_second"]))
    except (TypeError, KeyError, ValueError, OverflowError):
        return None  # no record, or one of another version
    return speed if 0 < speed.per_second < math.inf else None


def _path() -> Path:
    return cache_dir() / FILE


def _read() -> dict[str, dict[str, Any]]:
    try:
        records = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return records if isinstance(records, dict) else {}
