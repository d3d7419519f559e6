"""Keeps a process on this machine: connections and look-ups that would leave it fail as if it were offline.

Standard library only: it is also loaded at the start of every Python process that a test starts.
"""

import ipaddress
import socket
from typing import Any

ATTEMPTS: list[str] = []  # where somebody tried to go, in order


class NetworkBlockedError(ConnectionError):
    """Something tried to reach another machine during a test."""


def install() -> None:
    """Puts the guard into :mod:`socket`. Python code only: a library with its own network code is not seen."""
    if getattr(socket.socket.connect, "is_guarded", False):
        return
    for name in ("connect", "connect_ex", "sendto"):
        setattr(socket.socket, name, _guarded_method(name))
    socket.getaddrinfo = _guarded_lookup(socket.getaddrinfo)


def _guarded_method(name: str) -> Any:
    original = getattr(socket.socket, name)

    def guarded(self: socket.socket, *args: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _refuse_other_machines(args[-1][0])  # the address is the last argument of all three
        return original(self, *args)

    guarded.is_guarded = True  # type: ignore[attr-defined]
    return guarded


def _guarded_lookup(original: Any) -> Any:
    def guarded(host: Any, *args: Any, **kwargs: Any) -> Any:
        _refuse_other_machines(host)
        return original(host, *args, **kwargs)

    return guarded


def _refuse_other_machines(host: Any) -> None:
    host = host.decode() if isinstance(host, bytes) else host
    if not host or _is_this_machine(host):
        return
    ATTEMPTS.append(host)
    raise NetworkBlockedError(f"a test tried to reach {host}; tests stay on this machine")


def _is_this_machine(host: str) -> bool:
    if host in ("localhost", socket.gethostname()):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
