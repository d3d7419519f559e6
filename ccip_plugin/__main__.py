"""The command line: groups the images of a folder by character, as labels in a FiftyOne dataset."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from . import __version__
from .cli.parsers import COMMANDS, make_parser, parse
from .cli.work import WRONG_USAGE, Work


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        argv (None): the arguments, those of the process by default

    Returns:
        the exit status, see ``--help``
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    if not arguments:
        make_parser(_prog(), ()).print_help(sys.stderr)
        return WRONG_USAGE
    options = parse(arguments, _prog(), f"ccip {__version__}")
    return Work(options, f"{_prog()} {shlex.join(arguments)}").do(COMMANDS[options.command].run)


def _prog() -> str:
    return "ccip" if Path(sys.argv[0]).stem == "ccip" else "python -m ccip_plugin"


if __name__ == "__main__":
    sys.exit(main())
