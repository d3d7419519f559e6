"""A hub on this machine: serves files as the hub does, breaks connections on request, and lists what it was asked."""

import contextlib
import hashlib
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

REPO = "deepghs/ccip_onnx"
COMMIT = "06cd75d67204e833cfe85526481b533f5870c0c8"
NAME, OTHER = "ccip-v2-caformer_s36-10", "ccip-caformer-6-randaug-pruned_fp32"
"""Models of which no published hash is known: small files can be served under their names."""


class TinyHub:
    """Serves folders as the commits of one repository, on 127.0.0.1, in a thread of its own.

    Attributes:
        repo: the repository; ``datasets/`` before it when it is one of data
        commits: the folder of each commit
        main: the commit of the branch "main"
        requests: (method, path in the repository, value of the Range header or "") of each request
        cut_after: how many bytes a connection gives before it breaks; None for all
        stall_after: how many bytes a connection gives before nothing more comes; None for all
        pause: seconds between pieces of 10,000 bytes
        ignore_range: whether an answer always begins at the first byte
        error_codes: whether refusals say what is missing, as those of the hub do
        is_proxy: whether a proxy answers 404 to everything
        answered: called with the path after each answer
        garble: whether bytes are changed on the way
        size: what is announced as the size of each file; None for the truth
        etag: what is announced as the hash of each file, made from its content; None for the truth
    """

    def __init__(self, folder: Path, *, commit: str = COMMIT, repo: str = REPO):
        self.commits, self.main, self.repo = {commit: Path(folder)}, commit, repo
        self.requests: list[tuple[str, str, str]] = []
        self.cut_after: int | None = None
        self.stall_after: int | None = None
        self.pause = 0.0
        self.ignore_range = self.garble = self.is_proxy = False
        self.error_codes = True
        self.answered: Callable[[str], None] = lambda _: None
        self.is_over = threading.Event()
        self.size: int | None = None
        self.etag: Callable[[bytes], str] | None = None

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def endpoint(self) -> str:
        """The address, for ``HF_ENDPOINT``."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def asked_for(self, method: str = "GET") -> list[str]:
        """The files that were asked for, in order."""
        return [path for verb, path, _ in self.requests if verb == method]


class _Handler(BaseHTTPRequestHandler):
    hub: TinyHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, *, with_body: bool) -> None:
        revision, path = self._split()
        asked_range = self.headers.get("Range", "")
        self.hub.requests.append((self.command, path, asked_range))
        commit = self.hub.main if revision == "main" else revision
        file = self.hub.commits.get(commit, Path()) / path
        if self.hub.is_proxy:
            self._refuse(None)
        elif commit not in self.hub.commits:
            self._refuse("RevisionNotFound" if self.hub.error_codes else None)
        elif not path or not file.is_file():
            self._refuse("EntryNotFound" if self.hub.error_codes else None, commit)
        else:
            self._give(file.read_bytes(), commit, file.suffix, asked_range, with_body)
        self.hub.answered(path)

    def _split(self) -> tuple[str, str]:
        start = f"/{self.hub.repo}/resolve/"
        revision, _, path = (
            self.path.removeprefix(start).partition("/") if self.path.startswith(start) else ("", "", "")
        )
        return revision, path

    def _refuse(self, code: str | None, commit: str | None = None) -> None:
        self.send_response(404)
        for name, value in (("X-Error-Code", code), ("X-Repo-Commit", commit)):
            if value is not None:
                self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _give(self, content: bytes, commit: str, suffix: str, asked_range: str, with_body: bool) -> None:
        start = int(asked_range.removeprefix("bytes=").partition("-")[0]) if asked_range else 0
        start = 0 if self.hub.ignore_range else start
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("X-Repo-Commit", commit)
        etag = _etag(content, suffix) if self.hub.etag is None else self.hub.etag(content)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("Accept-Ranges", "bytes")
        size = len(content) if self.hub.size is None else self.hub.size
        self.send_header("Content-Length", str(size - start))
        self.end_headers()
        if with_body:
            self._send(content[start:])

    def _send(self, content: bytes) -> None:
        if self.hub.garble:
            content = content[:-1] + bytes([content[-1] ^ 1])
        if self.hub.cut_after is not None and len(content) > self.hub.cut_after:
            content = content[: self.hub.cut_after]
            self.close_connection = True
        if self.hub.stall_after is not None and len(content) > self.hub.stall_after:
            self.wfile.write(content[: self.hub.stall_after])
            self.hub.is_over.wait()
            self.close_connection = True
            return
        if not self.hub.pause:
            self.wfile.write(content)
            return
        with contextlib.suppress(ConnectionError):  # who asked has left
            for start in range(0, len(content), 10_000):
                self.wfile.write(content[start : start + 10_000])
                self.hub.is_over.wait(self.hub.pause)


def _etag(content: bytes, suffix: str) -> str:
    """As the hub: sha256 of what is in large-file storage, git's own hash of the rest."""
    if suffix in (".onnx", ".xz"):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
