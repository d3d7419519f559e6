"""Opens the App on what the demo worked on last, or ends what the demo started: ``python -m demo.app [stop]``."""

from __future__ import annotations

import argparse
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

from scripts.local_services import ServiceError

from .servers import FOLDER, BusyError, Servers


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    options = _parser().parse_args(arguments)
    servers = Servers(options.folder)
    try:
        print(_stop(servers) if options.what == "stop" else _open(servers, options.port), flush=True)
    except (ServiceError, BusyError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    return 0


def _open(servers: Servers, port: int | None) -> str:
    address, was_open = servers.open_app(port)
    port = urlsplit(address).port
    lines = [
        f"The App is {'still ' if was_open else ''}open:  {address}",
        f"From another machine:  ssh -L {port}:127.0.0.1:{port} {socket.gethostname()}   and then the same address",
        "To end it:  make stop",
    ]
    return "\n".join(lines)


def _stop(servers: Servers) -> str:
    return "\n".join(f"ended {what}" for what in servers.stop()) or "Nothing of the demo was running."


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: a whole number from 1 to 65535")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make app", usage="make app [PORT=N]", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("open", "stop"), default="open")
    parser.add_argument("--port", type=_port, help="where the App listens; 5151 by default, or a free one")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the demo keeps its files")
    return parser


if __name__ == "__main__":
    sys.exit(main())
