"""The repository as its host publishes it: as a folder, or as a zip on a local server."""

import contextlib
import shutil
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILES = ("__init__.py", "manifest.json", "fiftyone.yml", "requirements.txt")
FOLDERS = ("ccip_plugin", "assets", "skills")


def copy_source(folder: Path) -> Path:
    """Copies what makes the repository a plugin and a source of models, as FiftyOne does."""
    folder.mkdir(parents=True)
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def copy_repository(folder: Path) -> Path:
    """Copies all files of the repository; where there is no git, those of :func:`copy_source`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        return copy_source(folder)
    for name in listed.stdout.split("\0"):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@contextlib.contextmanager
def served_archive(folder: Path, copy: Callable[[Path], Path] = copy_source) -> Iterator[str]:
    """The address of a zip of the repository, in a folder of its own, as hosts make them.

    Args:
        folder: an empty folder
        copy: what is in the zip, :func:`copy_source` or :func:`copy_repository`
    """
    source = copy(folder / "fiftyone-ccip-main")
    with zipfile.ZipFile(folder / "main.zip", "w") as zipped:
        for path in sorted(source.rglob("*")):
            zipped.write(path, path.relative_to(source.parent))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/main.zip"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass
