"""Names everything that is missing on this machine, in plain English. Exit status 1 when something needed is missing.

Runs before the environment exists, too: the standard library only, anything else is examined from outside.
"""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ensure_mongo import advice, version_of, why_no_mongo
from local_services import bundled_mongod, find_chromium, find_mongod, why_no_browser

ROOT = Path(__file__).resolve().parents[1]
OLDEST_PYTHON = (3, 11)
OLDEST_MONGO = (6, 0)
APP_PORT = 5151
GIGABYTES_FOR_SETUP = 3.0  # the environment takes 1.6, pip needs room beside it
GIGABYTES_FOR_WORK = 1.0
SET_UP_AGAIN = "make -B setup (-B: although it was done before)"
MUST_LOAD = ("numpy", "PIL", "cv2", "sklearn", "onnxruntime", "onnx", "playwright")
ASK_VERSION = """
import sys, pymongo
print(pymongo.MongoClient(sys.argv[1], serverSelectionTimeoutMS=5000).server_info()["version"])
"""


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    what: str
    is_ok: bool
    detail: str
    remedy: str = ""
    is_needed: bool = True


def main() -> int:
    """Runs all checks, prints a line for each, and a last line that says whether it will work."""
    findings = []
    for finding in look_at_everything():
        findings.append(finding)
        print(_line(finding), flush=True)
    missing = [finding.what for finding in findings if finding.is_needed and not finding.is_ok]
    if missing:
        print(f"\nNeeded and missing: {', '.join(missing)}.")
        return 1
    print("\nEverything needed is here.")
    return 0


def look_at_everything() -> Iterator[Finding]:
    """Every finding, as soon as it is known."""
    has_environment = sys.prefix != sys.base_prefix
    yield python()
    yield disk_space("Disk space, here", ROOT, GIGABYTES_FOR_WORK if has_environment else GIGABYTES_FOR_SETUP)
    yield disk_space("Disk space, temporary files", Path(tempfile.gettempdir()), GIGABYTES_FOR_WORK)
    if has_environment:
        yield packages()
        yield loading()
        yield mongo()
        yield users_mongo()
    else:
        yield Finding("Environment", False, "there is no .venv yet", "make setup")
    yield browser()
    yield ffmpeg()
    yield app_port()


def python() -> Finding:
    """The version of the interpreter that runs this."""
    version = ".".join(map(str, sys.version_info[:3]))
    wanted = ".".join(map(str, OLDEST_PYTHON))
    return Finding(
        "Python", sys.version_info >= OLDEST_PYTHON, f"{version}, {sys.executable}", f"install {wanted} or newer"
    )


def disk_space(what: str, folder: Path, gigabytes: float) -> Finding:
    """Room in the file system of a folder."""
    free = shutil.disk_usage(folder).free / 1e9
    remedy = f"make room: {gigabytes:.0f} GB or more (the published models take up to 0.6 GB each)"
    return Finding(what, free >= gigabytes, f"{free:.1f} GB free in {folder}", remedy)


def packages() -> Finding:
    """The packages that the requirement files name, and their versions."""
    wrong = [problem for name in ("requirements.txt", "requirements-dev.txt") for problem in wrong_in(ROOT / name)]
    detail = "; ".join(wrong) or f"all of the requirements, in {sys.prefix}"
    return Finding("Python packages", not wrong, detail, SET_UP_AGAIN)


def wrong_in(requirements: Path) -> list[str]:
    """What a requirement file asks for and this environment does not have, as text."""
    if importlib.util.find_spec("packaging") is None:
        return [f"{requirements.name} is not installed"]
    from packaging.requirements import Requirement

    wrong = []
    for line in requirements.read_text(encoding="utf-8").splitlines():
        text = line.partition("#")[0].strip()
        if not text:
            continue
        requirement = Requirement(text)
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{requirement.name} is not installed")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement.name} is {version}, not {requirement.specifier}")
    return wrong


def loading() -> Finding:
    """Whether the packages with compiled code load: here a missing system library shows."""
    failures = []
    for name in MUST_LOAD:
        probe = subprocess.run([sys.executable, "-c", f"import {name}"], capture_output=True, text=True, check=False)
        if probe.returncode:
            failures.append(f"{name}: {(probe.stderr.strip().splitlines() or ['no message'])[-1]}")
    detail = "; ".join(failures) or f"{', '.join(MUST_LOAD)} load"
    return Finding("System libraries of the packages", not failures, detail, "install the library that is named")


def mongo() -> Finding:
    """The MongoDB server of the environment: there, with its libraries, new enough, and able to start."""
    has_own_server = bool(os.environ.get("FIFTYONE_DATABASE_URI"))
    problem = why_no_mongo()
    version = "" if problem else version_of(find_mongod())
    if version and tuple(map(int, version.split(".")[:2])) < OLDEST_MONGO:
        problem = f"version {version} of {find_mongod()} is too old for FiftyOne"
    detail = problem or f"{version}, {find_mongod()}, starts"
    return Finding("MongoDB server", not problem, detail, f"{SET_UP_AGAIN}\n{advice()}", is_needed=not has_own_server)


def users_mongo() -> Finding:
    """The server that the user named; where none is named, whether FiftyOne can start one by itself."""
    what, uri = "FIFTYONE_DATABASE_URI", os.environ.get("FIFTYONE_DATABASE_URI")
    if not uri:
        if bundled_mongod():
            return Finding(what, True, "not set: FiftyOne starts the server of its own package")
        return Finding(
            what, False, "not set, and FiftyOne has no server to start", "see MongoDB server", is_needed=False
        )
    probe = subprocess.run([sys.executable, "-c", ASK_VERSION, uri], capture_output=True, text=True, check=False)
    address = re.sub(r"//[^@/]*@", "//", uri)
    if probe.returncode:
        reason = (probe.stderr.strip().splitlines() or ["no message"])[-1][:200]
        return Finding(what, False, f"{address} does not answer: {reason}", "start it, or unset the variable")
    return Finding(what, True, f"{address} answers, version {probe.stdout.strip()}")


def browser() -> Finding:
    """What the tests of the App drive: Chromium, and the driver that talks to it."""
    is_needed = "browser" in os.environ.get("CCIP_REQUIRE", "")
    if problem := why_no_browser():
        return Finding("Browser", False, problem, "install it; without it the tests of the App are skipped", is_needed)
    found = find_chromium()
    answer = subprocess.run([str(found), "--version"], capture_output=True, text=True, check=False)
    detail = f"{answer.stdout.strip() or answer.stderr.strip()[-200:]}, {found}"
    return Finding("Browser", answer.returncode == 0, detail, "install it again", is_needed)


def ffmpeg() -> Finding:
    """What FiftyOne reads videos with; images need none of it."""
    missing = [name for name in ("ffmpeg", "ffprobe") if shutil.which(name) is None]
    detail = f"no {' and no '.join(missing)} on the PATH" if missing else f"{shutil.which('ffmpeg')}"
    remedy = "install ffmpeg to work on videos; without it their test is skipped"
    return Finding("ffmpeg, for videos", not missing, detail, remedy, is_needed=False)


def app_port() -> Finding:
    """The port on which FiftyOne opens the App unless told otherwise."""
    with socket.socket() as probe:
        is_taken = probe.connect_ex(("127.0.0.1", APP_PORT)) == 0
    detail = f"{APP_PORT} is {'in use, perhaps by another App' if is_taken else 'free'}"
    return Finding("Port of the App", not is_taken, detail, "end it, or open the App on another port", is_needed=False)


def _line(finding: Finding) -> str:
    word = "ok" if finding.is_ok else "MISSING" if finding.is_needed else "note"
    text = f"{word:8} {finding.what}: {finding.detail}"
    if finding.is_ok or not finding.remedy:
        return text
    return "\n".join([text, *(f"         -> {line}" for line in finding.remedy.splitlines())])


if __name__ == "__main__":
    sys.exit(main())
