"""The servers of the demo: its own MongoDB and the App, recorded in a file, used again, ended on request."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scripts.local_services import AppServer, Mongo, Running, ServiceError, is_port_free, own_fiftyone

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".work" / "demo"
PLUGIN = Path("@ccip") / "characters"
DATABASE_NAME = "ccip_demo"
APP_PORT = 5151
GRID_ZOOM = "3"  # 0 to 10; tiles so large that the names of groups fit in
SETTINGS = ("FIFTYONE_", "CCIP_", "HF_")  # variables that make another App


class BusyError(RuntimeError):
    """Another process of the demo is running."""


@dataclass(frozen=True)
class Shown:
    """What the demo worked on last, for the App to show.

    Attributes:
        dataset: the name of the dataset
        path: the address of it in the App, without the server
        is_ours: whether it is in the database of the demo; otherwise it is in the user's
        plugins_dir: where the App finds plugins when it is the user's, None for where FiftyOne is told
    """

    dataset: str
    path: str
    is_ours: bool = True
    plugins_dir: str | None = None


class Servers:
    """The servers of the demo in a folder. Processes that use it at once take turns.

    Args:
        folder: where their data, their logs and the record of them are
    """

    def __init__(self, folder: Path = FOLDER):
        self.folder = folder
        self._record = folder / "state.json"
        self._children: list[AppServer | Mongo] = []  # those that this process has started

    @contextlib.contextmanager
    def job(self, wait: Callable[[str], None] | None = None) -> Iterator[None]:
        """Keeps others from working on the demo at the same time; ends with the process, however that ends.

        Args:
            wait (None): told that there is another one, and then its end is waited for; without it that is an error

        Raises:
            BusyError: there is another one
        """
        with self._lock("job", wait):
            yield

    def environment(self) -> dict[str, str]:
        """Starts the database unless it runs, and gives the environment in which FiftyOne uses it.

        Raises:
            ServiceError: it does not start or does not answer
        """
        with self._lock("servers", lambda _: None):
            return self._environment()

    def show(self, shown: Shown) -> None:
        """Records what the App is to show."""
        with self._lock("servers", lambda _: None):
            self._write(shown=asdict(shown))

    def open_app(self, port: int | None = None) -> tuple[str, bool]:
        """Starts the App unless it runs.

        Args:
            port (None): where it has to listen; by default where it does already, else 5151, else any free port

        Returns:
            its address with what it is to show, and whether it ran already

        Raises:
            ServiceError: nothing to show yet, the port is taken, or it does not start
        """
        with self._lock("servers", lambda _: None):
            running = self._running("app")
            shown = self._shown()
            if port is not None and (running is None or running.port != port) and not is_port_free(port):
                raise ServiceError(f"port {port} is in use or reserved; choose another one: make app PORT={port + 1}")
            env = self._environment() if shown.is_ours else _users_environment(shown)
            is_same = self._read().get("app", {}).get("settings") == _digest(env)
            was_open = running is not None and is_same and port in (None, running.port)
            if running is None or not was_open:
                running = self._start_app(running, env, port)
            return f"http://localhost:{running.port}/{shown.path}", was_open

    def stop(self) -> list[str]:
        """Ends the running servers and describes them; each once, and nothing else.

        Raises:
            BusyError: a demo is running
        """
        with self.job(), self._lock("servers", lambda _: None):
            said = []
            for name, what in (("app", "the App"), ("database", "the database")):
                running = self._running(name)
                if running is not None:
                    running.end()
                    said.append(f"{what} (process {running.pid}, port {running.port})")
                    self._write(**{name: None})
            for child in self._children:
                child.stop()  # it has ended; its parent has to ask for its status
            return said

    # -- the database

    def _environment(self) -> dict[str, str]:
        running = self._running("database")
        if running is None:
            running = self._start_database()
        elif is_port_free(running.port):
            raise ServiceError(
                f"the database of the demo (process {running.pid}) does not answer on port {running.port}; "
                "end it, then try again: make stop"
            )
        env = own_fiftyone(os.environ, self.folder, uri=f"mongodb://127.0.0.1:{running.port}", database=DATABASE_NAME)
        env["FIFTYONE_APP_GRID_ZOOM"] = GRID_ZOOM
        link_plugin(Path(env["FIFTYONE_PLUGINS_DIR"]) / PLUGIN)
        return env

    def _start_database(self) -> Running:
        server = Mongo(self.folder / "mongo", outlives_us=True)
        self._children.append(server)
        try:
            server.start(launched=lambda running: self._write(database=asdict(running)))
        except ServiceError as error:
            raise ServiceError(
                f"the database of the demo does not start: {error}\n`make doctor` looks for the reason"
            ) from None
        return server.running

    # -- the App

    def _shown(self) -> Shown:
        state = self._read()
        if "shown" not in state:
            raise ServiceError("there is nothing to show yet: make demo")
        return Shown(**state["shown"])

    def _start_app(self, running: Running | None, env: Mapping[str, str], port: int | None) -> Running:
        """Starts the App, in place of the one that runs."""
        if running is not None:
            running.end()
        wanted = port or (running.port if running else APP_PORT)
        server = AppServer(
            self.folder / "app", port=wanted if is_port_free(wanted) else None, outlives_us=True, env=env
        )
        self._children.append(server)
        settings = _digest(env)
        server.start(launched=lambda new: self._write(app=asdict(new) | {"settings": settings}))
        return server.running

    # -- the record

    def _running(self, name: str) -> Running | None:
        """A server that was recorded and still runs; a record from before a restart of the machine is of no process."""
        entry = self._read().get(name)
        if not entry:
            return None
        running = Running(entry["pid"], entry["born"], entry["port"])
        return running if running.is_alive else None

    def _read(self) -> dict[str, Any]:
        try:
            return json.loads(self._record.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise ServiceError(
                f"{self._record} is damaged ({error}). End the servers of the demo, if any run, by hand (mongod and "
                "fiftyone.server.main), and remove the file"
            ) from None

    def _write(self, **entries: Any) -> None:
        """Changes entries of the record; one that is None goes."""
        state = {name: entry for name, entry in (self._read() | entries).items() if entry is not None}
        self.folder.mkdir(parents=True, exist_ok=True)
        fresh = self._record.with_suffix(".new")
        fresh.write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
        fresh.replace(self._record)

    @contextlib.contextmanager
    def _lock(self, name: str, wait: Callable[[str], None] | None) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{name}.lock").open("a+", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                other = f"another `make demo` is running (process {file.read().strip() or 'unknown'})"
                if wait is None:
                    raise BusyError(f"{other}; end it first, with Ctrl-C where it runs") from None
                wait(other)
                fcntl.flock(file, fcntl.LOCK_EX)
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield


def link_plugin(path: Path) -> None:
    """Lets FiftyOne find this checkout as the plugin under a path."""
    if path.is_symlink() and path.resolve() == ROOT:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(ROOT, target_is_directory=True)


def _users_environment(shown: Shown) -> dict[str, str]:
    env = dict(os.environ)
    return env | {"FIFTYONE_PLUGINS_DIR": shown.plugins_dir} if shown.plugins_dir else env


def _digest(env: Mapping[str, str]) -> str:
    """A short string for the settings in an environment, which may hold passwords."""
    settings = sorted((name, value) for name, value in env.items() if name.startswith(SETTINGS))
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]
