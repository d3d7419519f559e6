"""A MongoDB server and an App server of our own: on ports of this machine, started and ended by handle.

A server that outlives the process which started it is known by its :class:`Running` from then on.

Needs the standard library only, because FiftyOne connects to its database while it is imported: whoever wants a
private database starts it here and sets the environment first.
"""

import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOOPBACK = "127.0.0.1"
FOREIGN_PREFIXES = ("FIFTYONE_", "CCIP_", "HF_", "HUGGINGFACE_", "TRANSFORMERS_")
DEBIAN_PACKAGES = {
    "libatomic.so.1": "libatomic1",
    "libcrypto.so.3": "libssl3",
    "libcurl.so.4": "libcurl4",
    "libgcc_s.so.1": "libgcc-s1",
    "liblber-2.5.so.0": "libldap-2.5-0",
    "libldap-2.5.so.0": "libldap-2.5-0",
    "liblzma.so.5": "liblzma5",
    "libssl.so.3": "libssl3",
    "libstdc++.so.6": "libstdc++6",
}
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

MONGOD_PORT_TAKEN = 48  # exit status of mongod when it cannot listen
ENDS_WITH_PARENT = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class ServiceError(RuntimeError):
    """A server did not start, or ended before it should."""


def free_port() -> int:
    """A port of the loopback address that is free right now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


def is_port_free(port: int) -> bool:
    """Whether a server could listen on a port of the loopback address; the system keeps some for itself."""
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex((LOOPBACK, port)) == 0:
            return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was closed just now is free
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


@dataclass(frozen=True)
class Running:
    """A server process that outlives the one which started it.

    Attributes:
        pid: the number of the process
        born: when it began, since another process may have the number after it
        port: where it listens
    """

    pid: int
    born: str
    port: int

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return birth(self.pid) == self.born

    def end(self, *, timeout: float = 20.0) -> None:
        """Ends it and waits until it is gone; killed when it does not end in time. Does nothing when it is gone."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not self.is_alive:
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
            until = time.monotonic() + timeout
            while self.is_alive and time.monotonic() < until:
                time.sleep(0.05)


def birth(pid: int) -> str | None:
    """When a process began, in a form that no other process of this number has; None when there is no such process."""
    if sys.platform.startswith("linux"):
        try:
            status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        state, *numbers = status.rpartition(")")[2].split()  # the name before it may hold anything
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        is_gone = state in "ZX" and int(numbers[16]) < 2  # its first thread may end before those that hold its files
        return None if is_gone else f"{boot} {numbers[18]}"
    command = ["ps", "-o", "lstart=,stat=", "-p", str(pid)]
    began, _, state = (
        subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip().rpartition(" ")
    )
    return None if not began or state.startswith("Z") else began.strip()


def bundled_mongod() -> Path | None:
    """The server binary inside FiftyOne, the only one that FiftyOne starts by itself. Imports nothing of FiftyOne."""
    package = importlib.util.find_spec("fiftyone")
    if package is None or not package.origin:
        return None
    binary = Path(package.origin).parent / "db" / "bin" / "mongod"
    return binary if binary.is_file() and os.access(binary, os.X_OK) else None


def find_mongod() -> Path | None:
    """The server binary inside FiftyOne, else the one on the PATH, else None."""
    on_path = shutil.which("mongod")
    return bundled_mongod() or (Path(on_path) if on_path else None)


def find_chromium() -> Path | None:
    """A Chromium or Chrome on the PATH, or None."""
    found = (shutil.which(name) for name in CHROMIUM_NAMES)
    return next((Path(path) for path in found if path), None)


def why_no_browser() -> str | None:
    """What keeps the tests of the App from driving a browser here, or None."""
    if find_chromium() is None:
        return "no Chromium on the PATH (Debian, Ubuntu: apt-get install chromium)"
    package = importlib.util.find_spec("playwright")
    if package is None or not package.origin:
        return "the Python package playwright is not installed (make setup)"
    return missing_libraries(Path(package.origin).parent / "driver" / "node")


def missing_libraries(binary: Path) -> str | None:
    """Says which shared libraries a binary needs and the loader does not find; None when all are there, or no Linux."""
    ldd = shutil.which("ldd")
    if ldd is None or not binary.exists():
        return None
    listing = subprocess.run([ldd, str(binary)], capture_output=True, text=True, check=False).stdout
    missing = sorted(set(re.findall(r"^\s*(\S+) => not found", listing, flags=re.MULTILINE)))
    if not missing:
        return None
    packages = sorted({DEBIAN_PACKAGES[name] for name in missing if name in DEBIAN_PACKAGES})
    hint = f" (Debian, Ubuntu: apt-get install {' '.join(packages)})" if packages else ""
    return f"{binary} needs {', '.join(missing)}, which this system lacks{hint}"


def ends_with_us(command: list[str]) -> list[str]:
    """The command, changed so that Linux sends it SIGTERM when the process that runs it is gone, even killed."""
    if not sys.platform.startswith("linux"):
        return command
    return [sys.executable, "-I", "-S", "-c", ENDS_WITH_PARENT, *command]


def isolated_environment(inherited: Mapping[str, str], folder: Path, *, uri: str, database: str) -> dict[str, str]:
    """The inherited environment without anybody's FiftyOne, CCIP or hub settings, with everything under a folder.

    Args:
        inherited: the variables to start from, usually ``os.environ``; not modified
        folder: where zoo models, datasets, plugins and caches go instead of the home folder
        uri: the MongoDB server to use
        database: the database on that server

    Returns:
        a new environment
    """
    env = {name: value for name, value in inherited.items() if not name.startswith(FOREIGN_PREFIXES)}
    return own_fiftyone(env, folder, uri=uri, database=database) | {
        "FIFTYONE_ALLOW_LEGACY_ORCHESTRATORS": "true",  # or the App cannot schedule an operation
        "CCIP_CACHE_DIR": str(folder / "ccip-cache"),
        "HF_HOME": str(folder / "huggingface"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }


def own_fiftyone(inherited: Mapping[str, str], folder: Path, *, uri: str, database: str) -> dict[str, str]:
    """The inherited environment without anybody's FiftyOne settings, with everything of FiftyOne under a folder.

    Args:
        inherited: the variables to start from, usually ``os.environ``; not modified
        folder: where zoo models, datasets and plugins go instead of the home folder
        uri: the MongoDB server to use
        database: the database on that server

    Returns:
        a new environment
    """
    env = {name: value for name, value in inherited.items() if not name.startswith("FIFTYONE_")}
    configs = ("CONFIG", "APP_CONFIG", "ANNOTATION_CONFIG", "EVALUATION_CONFIG", "BRAIN_CONFIG")
    env |= {f"FIFTYONE_{name}_PATH": str(folder / f"no-{name.lower()}.json") for name in configs}
    return env | {
        "FIFTYONE_DATABASE_URI": uri,
        "FIFTYONE_DATABASE_NAME": database,
        "FIFTYONE_DATABASE_VALIDATION": "false",  # or it prints a notice about servers older than 7
        "FIFTYONE_DATABASE_DIR": str(folder / "db"),
        "FIFTYONE_PLUGINS_DIR": str(folder / "plugins"),
        "FIFTYONE_MODEL_ZOO_DIR": str(folder / "model-zoo"),
        "FIFTYONE_DATASET_ZOO_DIR": str(folder / "dataset-zoo"),
        "FIFTYONE_DEFAULT_DATASET_DIR": str(folder / "datasets"),
        "FIFTYONE_DO_NOT_TRACK": "true",
        "FIFTYONE_SHOW_PROGRESS_BARS": "false",
    }


class _Server:
    """A child process with a log file that is up once a check answers True. Use as a context manager, or start/stop."""

    name = "server"

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        outlives_us: bool = False,
        env: Mapping[str, str] | None = None,
    ):
        """Prepares a server; nothing is started yet.

        Args:
            folder: where its data and its log go; created when missing
            port: the port to listen on, None for a free one
            outlives_us: keep it running when this process ends; otherwise Linux ends it with the thread that started
                it, however that ends
            env: its environment, None for that of this process
        """
        self.folder = Path(folder)
        self.port = port
        self.outlives_us = outlives_us
        self.env = env
        self.process: subprocess.Popen[bytes] | None = None
        self._any_port = port is None

    @property
    def log(self) -> Path:
        """The file that gets everything the process prints."""
        return self.folder / f"{self.name}.log"

    @property
    def running(self) -> Running:
        """The process, for whoever is to find it when this one has ended."""
        if self.process is None or self.port is None:
            raise ServiceError(f"{self.name} does not run")
        return Running(self.process.pid, birth(self.process.pid) or "", self.port)

    def start(self, *, timeout: float = 120.0, launched: Callable[[Running], None] | None = None):
        """Starts the process and waits until it answers.

        Args:
            timeout: seconds
            launched: called as soon as there is a process, before it answers

        Raises:
            ServiceError: when it ends at once or does not answer in time; the message holds what it printed last
        """
        attempts = 3 if self._any_port else 1  # somebody else may take a free port before the server does
        for attempt in range(attempts):
            if self._any_port:
                self.port = free_port()
            try:
                with _undisturbed():
                    self._launch()
                    if launched is not None:
                        launched(self.running)
                self._wait(timeout)
                return self
            except BaseException as error:  # Ctrl-C, too, leaves nothing behind
                status = self.process.poll() if self.process else None
                self.stop()
                is_port_taken = isinstance(error, ServiceError) and status == MONGOD_PORT_TAKEN
                if not is_port_taken or attempt + 1 == attempts:
                    raise
        raise AssertionError("unreachable")

    def stop(self, *, timeout: float = 20.0) -> None:
        """Ends the process and waits for it; killed when it does not end in time. Does nothing when not running."""
        process, self.process = self.process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self):
        return self if self.process else self.start()

    def __exit__(self, *exc_info):
        self.stop()

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _answers(self) -> bool:
        raise NotImplementedError

    def _last_words(self) -> str:
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-5:])

    def _launch(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = self._command() if self.outlives_us else ends_with_us(self._command())
        # A session of its own: Ctrl-C in the terminal reaches us, and we end the server in good order.
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _wait(self, timeout: float) -> None:
        assert self.process is not None
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise ServiceError(f"{self.name} ended with status {self.process.returncode}:\n{self._last_words()}")
            with contextlib.suppress(OSError):
                if self._answers():
                    return
            time.sleep(0.05)
        raise ServiceError(f"{self.name} did not answer within {timeout:.0f} s:\n{self._last_words()}")


class Mongo(_Server):
    """A MongoDB server with its data in ``folder/data``."""

    name = "mongod"

    def __init__(self, folder: Path, *, binary: Path | None = None, **options: Any):
        """Prepares a server.

        Args:
            folder: where its data and its log go; created when missing
            binary: the ``mongod`` to run, None for the one of :func:`find_mongod`
            options: those of any server
        """
        super().__init__(folder, **options)
        self.binary = binary or find_mongod()

    @property
    def uri(self) -> str:
        """What ``FIFTYONE_DATABASE_URI`` must be to use this server."""
        return f"mongodb://{LOOPBACK}:{self.port}"

    def _command(self) -> list[str]:
        if self.binary is None:
            raise ServiceError("no MongoDB server (mongod) in this environment; `make setup` brings one")
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        command = [str(self.binary), "--dbpath", str(data), "--port", str(self.port), "--bind_ip", LOOPBACK]
        return [*command, "--nounixsocket", "--wiredTigerCacheSizeGB", "0.5"]

    def _answers(self) -> bool:
        assert self.port is not None
        socket.create_connection((LOOPBACK, self.port), timeout=1).close()
        return True

    def _last_words(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join([words for words in map(_complaint, lines) if words][-5:]) or super()._last_words()


class AppServer(_Server):
    """The FiftyOne App, without a Python session attached; takes the database from the environment."""

    name = "app-server"

    @property
    def url(self) -> str:
        """Where the App is."""
        return f"http://{LOOPBACK}:{self.port}"

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "fiftyone.server.main", "--address", LOOPBACK, "--port", str(self.port)]

    def _answers(self) -> bool:
        with urllib.request.urlopen(f"{self.url}/fiftyone", timeout=2) as response:
            return response.status == 200


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Delays Ctrl-C and SIGTERM for a moment, so that no process is started and not recorded."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handlers = {
        number: signal.signal(number, lambda number, _: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)


def _complaint(line: str) -> str:
    """What a line of mongod's log says is wrong; the line itself when it is not one of mongod's own."""
    try:
        entry = json.loads(line)
    except ValueError:
        return line
    if entry.get("s") not in ("E", "F"):
        return ""
    return f"{entry.get('msg')} {json.dumps(entry.get('attr', {}))}"
