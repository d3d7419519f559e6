"""Starts a shell, or a command, that uses the database of the demo: ``python -m demo.shell [-- COMMAND ...]``.

In it ``ccip`` is the command line of this checkout and ``python`` its Python, so that the examples of the README can be
tried on the dataset of the demo.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from scripts.local_services import ServiceError

from .servers import FOLDER, ROOT, Servers

HELLO = """\
This shell uses the database of the demo. Its dataset is ccip-demo. For example:
  ccip models
  ccip undo --dataset ccip-demo
  python -c 'import fiftyone as fo; print(fo.load_dataset("ccip-demo"))'
Leave it with: exit"""


def main(arguments: list[str] | None = None) -> int:
    """The command line. A command takes the place of this process."""
    options = _parser().parse_args(arguments)
    try:
        env = environment(Servers(options.folder))
    except ServiceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    command = options.command or [os.environ.get("SHELL") or "/bin/sh"]
    if not options.command:
        print(HELLO, flush=True)
    try:
        os.execvpe(command[0], command, env)
    except OSError as error:
        print(f"error: {command[0]} does not start: {error.strerror}", file=sys.stderr)
    return 1


def environment(servers: Servers) -> Mapping[str, str]:
    """The environment of the demo, with ``ccip`` and this Python first in the path.

    Raises:
        ServiceError: the demo has made nothing yet, or the database does not start
    """
    if not (servers.folder / "state.json").exists():
        raise ServiceError("there is no demo yet: make demo")
    env = dict(servers.environment())
    commands = servers.folder / "bin"
    commands.mkdir(exist_ok=True)
    ccip = commands / "ccip"
    ccip.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m ccip_plugin "$@"\n', encoding="utf-8")
    ccip.chmod(0o755)
    before = {"PATH": [str(commands), str(Path(sys.executable).parent)], "PYTHONPATH": [str(ROOT)]}
    for name, folders in before.items():
        env[name] = os.pathsep.join([*folders, *filter(None, [env.get(name)])])
    return env


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make shell", description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the demo keeps its files")
    parser.add_argument("command", nargs="*", help="a command to run in place of a shell, after --")
    return parser


if __name__ == "__main__":
    sys.exit(main())
