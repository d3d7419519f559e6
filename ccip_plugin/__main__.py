"""The command line: a folder of images in, character groups as labels out."""

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from .cli import parsers
from .cli.commands import apply, group, load_character_similarity, models, turn
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
    name = arguments[0] if arguments and arguments[0] in _COMMANDS else ""
    make_parser, run = _COMMANDS[name]
    parser = make_parser(_prog())
    if not arguments:
        parser.print_help(sys.stderr)
        return WRONG_USAGE
    options = parser.parse_args(arguments[1:] if name else arguments)
    return Work(options, f"{_prog()} {shlex.join(arguments)}").do(run)


def _prog() -> str:
    return "ccip" if Path(sys.argv[0]).stem == "ccip" else "python -m ccip_plugin"


_COMMANDS: dict[str, tuple[Callable[[str], argparse.ArgumentParser], Callable[[Work], int]]] = {
    "": (parsers.group_parser, group),
    "models": (parsers.models_parser, models),
    "apply": (parsers.apply_parser, apply),
    "undo": (parsers.undo_parser, lambda work: turn(work, "undo")),
    "redo": (parsers.redo_parser, lambda work: turn(work, "redo")),
    "character-similarity": (parsers.character_similarity_parser, load_character_similarity),
}


if __name__ == "__main__":
    sys.exit(main())
