"""The repository as its host gives it away: copied, or as a zip that a server on this machine has."""

import contextlib
import shutil
import threading
import zipfile
from collections.abc import Iterator
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


@contextlib.contextmanager
def served_archive(folder: Path) -> Iterator[str]:
    """The address of a zip of the repository, as hosts of repositories make them: in a folder of its own."""
    source = copy_source(folder / "fiftyone-ccip-main")
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
