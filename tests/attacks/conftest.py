"""The seeds of the random attacks: a fixed one, or those that ``CCIP_ATTACK_SEED`` names, such as ``7`` or ``1-10``."""

import time

import pytest

from tests.support import services

VARIABLE = "CCIP_ATTACK_SEED"
DEFAULT = "1"

_used: dict[str, float] = {}
_started = time.monotonic()


def _seeds() -> list[int]:
    """The seeds to attack with: numbers and ranges, between blanks or commas."""
    given = services.INHERITED.get(VARIABLE) or DEFAULT
    seeds: list[int] = []
    for part in given.replace(",", " ").split():
        first, _, last = part.partition("-")
        seeds.extend(range(int(first), int(last or first) + 1))
    return seeds


def pytest_generate_tests(metafunc):
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", _seeds(), ids=lambda seed: f"seed-{seed}")


@pytest.fixture(autouse=True)
def _seed_is_shown(request):
    """Says with which seed a test ran, also when it passes."""
    started = time.monotonic()
    yield
    name = request.node.name
    print(f"repeat it with {VARIABLE}={request.node.callspec.params['seed']}: {name}")
    _used[name] = time.monotonic() - started


def pytest_terminal_summary(terminalreporter):
    if _used:
        seconds = ", ".join(f"{name} {value:.0f} s" for name, value in _used.items())
        terminalreporter.write_line(f"attacks: {VARIABLE}={services.INHERITED.get(VARIABLE) or DEFAULT} ({seconds})")
