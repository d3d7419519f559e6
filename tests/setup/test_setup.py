"""Set-up: what is installed, what it must not disturb, and what is said when something is missing."""

import importlib.metadata
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import doctor
import pytest
from local_services import Mongo, ServiceError, find_mongod, isolated_environment, missing_libraries
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.support import services

ROOT = Path(__file__).resolve().parents[2]
FIFTYONES_OWN = ("fiftyone", "fiftyone-brain", "voxel51-eta")

with_own_server = pytest.mark.skipif(
    find_mongod() is None, reason="the tests run on a server that was started elsewhere"
)


def requirements(name: str = "requirements.txt") -> list[Requirement]:
    lines = (line.partition("#")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line]


@pytest.fixture(scope="module")
def fiftyone_family() -> dict[str, list[Requirement]]:
    """FiftyOne and everything that it brings: a canonical name to what FiftyOne's own packages demand of it."""
    family: dict[str, list[Requirement]] = {"fiftyone": []}
    waiting = ["fiftyone"]
    while waiting:
        demanding = waiting.pop()
        for text in importlib.metadata.requires(demanding) or []:
            needed = Requirement(text)
            if needed.marker and not needed.marker.evaluate({"extra": ""}):
                continue
            name = canonicalize_name(needed.name)
            if name not in family:
                waiting.append(name)
                family[name] = []
            if demanding in FIFTYONES_OWN:
                family[name].append(needed)
    return family


def test_asks_nothing_more_of_what_fiftyone_brings(fiftyone_family):
    """A bound that FiftyOne itself does not set could replace a package in somebody's working environment."""
    for ours in requirements():
        theirs = [
            bound for needed in fiftyone_family.get(canonicalize_name(ours.name), []) for bound in needed.specifier
        ]
        lowest = [Version(bound.version) for bound in theirs if bound.operator in (">=", "~=", "==")]
        if canonicalize_name(ours.name) in fiftyone_family and ours.name != "fiftyone":
            for bound in ours.specifier:
                assert bound.operator == ">=", f"{ours} can force an older version on FiftyOne"
                assert Version(bound.version) <= max(lowest, default=Version("0")), f"{ours}: FiftyOne takes older ones"


@pytest.mark.install
def test_installing_changes_no_package_of_fiftyone(fiftyone_family, pip, tmp_path):
    """pip's own plan for our requirements in an environment that has FiftyOne and its family, and nothing else."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (site_packages,) = environment.glob("lib/python*/site-packages")
    for name in fiftyone_family:
        installed_in = Path(str(importlib.metadata.distribution(name).locate_file("")))
        for record in installed_in.glob("*.*-info"):  # dist-info, or egg-info as an older pip writes it
            if canonicalize_name(record.name.split("-")[0]) == name:
                shutil.copytree(record, site_packages / record.name)
    python = environment / "bin" / "python"
    plan = json.loads(
        pip("--python", python, "install", "--dry-run", "--quiet", "--report", "-", "-r", ROOT / "requirements.txt")
    )
    planned = {canonicalize_name(each["metadata"]["name"]) for each in plan["install"]}
    assert "onnxruntime" in planned
    assert planned & fiftyone_family.keys() == set()


# --- make ---


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A copy of the files that `make` works with, and a set-up environment that is only a stamp."""
    folder = tmp_path / "a checkout"
    folder.mkdir()
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt"):
        shutil.copy2(ROOT / name, folder)
    shutil.copytree(ROOT / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / ".venv").mkdir()
    (folder / ".venv" / ".set-up").touch()
    return folder


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environment}
    return subprocess.run(["make", *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_setup_does_nothing_when_it_is_up_to_date(checkout):
    assert make(checkout, "--question", "setup").returncode == 0


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "scripts/setup.sh"])
def test_setup_runs_again_when_it_would_do_something_else(checkout, name):
    later = time.time() + 60
    os.utime(checkout / name, (later, later))
    assert make(checkout, "--question", "setup").returncode == 1


def test_help_is_what_make_says_first_and_names_every_target(checkout):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.search(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE).group(1).split()
    shown = make(checkout).stdout
    assert [target for target in targets if not re.search(rf"^  make {target} +\S", shown, flags=re.MULTILINE)] == []


@pytest.mark.parametrize("script", sorted((ROOT / "scripts").glob("*.sh")), ids=lambda path: path.name)
def test_scripts_are_plain_shell(script):
    assert os.access(script, os.X_OK)
    assert subprocess.run(["sh", "-n", script], check=False).returncode == 0


@pytest.fixture
def commands(tmp_path):
    """``commands(name="script", ...)`` gives a PATH of only these commands, and the few that any shell has."""

    def make_path(**scripts: str) -> str:
        folder = tmp_path / "commands"
        folder.mkdir()
        for name, script in scripts.items():
            command = folder / name.replace("_", ".")
            command.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
            command.chmod(0o755)
        for name in ("sh", "cat", "dirname"):
            (folder / name).symlink_to(shutil.which(name))
        return str(folder)

    return make_path


@pytest.mark.parametrize(
    "pythons, found",
    [
        pytest.param({}, None, id="none"),
        pytest.param({"python3": "exit 1"}, None, id="too old or without venv"),
        pytest.param(
            {"python3_11": "exit 127", "python3": 'exec PYTHON "$@"'}, sys.executable, id="a broken one first"
        ),
        pytest.param({"python3_12": 'exec PYTHON "$@"'}, sys.executable, id="a newer one"),
    ],
)
def test_finds_a_python_or_says_what_to_do(commands, pythons, found):
    path = commands(**{name: script.replace("PYTHON", sys.executable) for name, script in pythons.items()})
    script = ROOT / "scripts" / "find-python.sh"
    done = subprocess.run([script], env={"PATH": path}, capture_output=True, text=True, check=False)
    if found:
        assert (done.returncode, done.stdout.strip()) == (0, found)
    else:
        assert done.returncode == 1
        assert "apt-get install python3-venv" in done.stderr


def test_setup_leaves_a_foreign_environment_alone(checkout, commands):
    """One of an old Python, for example: it is named, and neither emptied nor installed into."""
    old = checkout / "old env" / "bin" / "python"
    old.parent.mkdir(parents=True)
    old.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    old.chmod(0o755)
    path = commands(python3=f'[ "$1" = -m ] || exec {sys.executable} "$@"')
    env = {"PATH": path, "VENV": "old env"}
    done = subprocess.run([checkout / "scripts" / "setup.sh"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "old env exists, but is not a working environment" in done.stderr
    assert old.exists()


# --- the doctor ---


def run_doctor(**environment: str) -> subprocess.CompletedProcess[str]:
    left_out = ("FIFTYONE_DATABASE_URI", "CCIP_REQUIRE")
    env = {name: value for name, value in services.INHERITED.items() if name not in left_out}
    command = [sys.executable, ROOT / "scripts" / "doctor.py"]
    return subprocess.run(command, env=env | environment, capture_output=True, text=True, check=False)


@pytest.mark.mongo
@pytest.mark.slow
@with_own_server
def test_doctor_finds_this_environment_healthy():
    done = run_doctor()
    assert done.returncode == 0, done.stdout
    assert "ok       MongoDB server: " in done.stdout
    assert "MISSING" not in done.stdout
    assert done.stdout.endswith("Everything needed is here.\n")


@pytest.mark.mongo
@pytest.mark.slow
@with_own_server
def test_doctor_fails_when_something_needed_is_missing():
    done = run_doctor(PATH="", CCIP_REQUIRE="browser")
    assert done.returncode == 1
    assert "MISSING  Browser: no Chromium on the PATH" in done.stdout
    assert done.stdout.endswith("Needed and missing: Browser.\n")


def test_a_browser_is_needed_only_when_required(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert (doctor.browser().is_ok, doctor.browser().is_needed) == (False, False)
    monkeypatch.setenv("CCIP_REQUIRE", "browser,mongo")
    assert doctor.browser().is_needed


def test_nothing_but_videos_needs_ffmpeg(monkeypatch):
    monkeypatch.setenv("PATH", "")
    finding = doctor.ffmpeg()
    assert (finding.is_ok, finding.is_needed) == (False, False)
    assert finding.detail == "no ffmpeg and no ffprobe on the PATH"


def test_doctor_asks_the_users_server_and_keeps_the_password(monkeypatch):
    monkeypatch.setenv("FIFTYONE_DATABASE_URI", "mongodb://me:secret@127.0.0.1:9")
    finding = doctor.users_mongo()
    assert not finding.is_ok
    assert finding.is_needed
    assert finding.detail.startswith("mongodb://127.0.0.1:9 does not answer")
    assert "secret" not in finding.detail


@pytest.mark.parametrize(
    "line, problems",
    [
        pytest.param("numpy  # with a comment", [], id="all is well"),
        pytest.param("", [], id="nothing asked"),
        pytest.param("no-such-package>=1", ["no-such-package is not installed"], id="not installed"),
        pytest.param("numpy<1", [f"numpy is {importlib.metadata.version('numpy')}, not <1"], id="another version"),
    ],
)
def test_doctor_compares_requirements_with_what_is_installed(tmp_path, line, problems):
    path = tmp_path / "requirements.txt"
    path.write_text(line, encoding="utf-8")
    assert doctor.wrong_in(path) == problems


@pytest.mark.parametrize(
    "lacking, said",
    [
        pytest.param([], None, id="none"),
        pytest.param(
            ["libcurl.so.4"],
            "libcurl.so.4, which this system lacks (Debian, Ubuntu: apt-get install libcurl4)",
            id="one",
        ),
        pytest.param(["libssl.so.3", "libcrypto.so.3"], "apt-get install libssl3)", id="two of one package"),
        pytest.param(["libwhat.so"], "needs libwhat.so, which this system lacks", id="of an unknown package"),
    ],
)
def test_names_the_libraries_that_a_binary_lacks(commands, monkeypatch, tmp_path, lacking, said):
    binary = tmp_path / "mongod"
    binary.touch()
    lines = [
        "linux-vdso.so.1 (0x0)",
        *(f"{name} => not found" for name in lacking),
        "libm.so.6 => /lib/libm.so.6 (0x0)",
    ]
    monkeypatch.setenv("PATH", commands(ldd="\n".join(f"echo '{line}'" for line in lines)))
    answer = missing_libraries(binary)
    assert (answer or "").endswith(said or "")
    assert (answer is None) == (said is None)


# --- servers ---


@pytest.mark.mongo
@with_own_server
class TestMongo:
    def test_starts_answers_and_ends(self, tmp_path):
        import pymongo

        with Mongo(tmp_path / "a folder 日本") as server:
            process = server.process
            with pymongo.MongoClient(server.uri) as client:
                client.test.things.insert_one({"name": "初音ミク"})
                assert client.test.things.count_documents({}) == 1
        assert process.poll() == 0

    def test_keeps_its_data(self, tmp_path):
        import pymongo

        for expected in (1, 2):
            with Mongo(tmp_path) as server, pymongo.MongoClient(server.uri) as client:
                client.test.things.insert_one({})
                assert client.test.things.count_documents({}) == expected

    def test_a_second_one_on_the_same_folder_says_why_not(self, tmp_path):
        with Mongo(tmp_path / "one") as first:
            second = Mongo(tmp_path / "two")
            (tmp_path / "two").mkdir()
            (tmp_path / "two" / "data").symlink_to(first.folder / "data")
            with pytest.raises(ServiceError, match="lock"):
                second.start()

    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel of Linux does this")
    def test_ends_with_a_killed_parent(self, start_python, tmp_path):
        code = """
            import sys, time
            sys.path.insert(0, sys.argv[1])
            from pathlib import Path
            from local_services import Mongo
            print(Mongo(Path(sys.argv[2])).start().process.pid, flush=True)
            time.sleep(600)
        """
        parent = start_python(code, ROOT / "scripts", tmp_path / "mongo")
        pid = int(parent.stdout.readline())
        os.kill(parent.pid, signal.SIGKILL)
        assert wait_until(lambda: not is_running(pid))


def test_a_server_that_cannot_start_says_what_it_printed(tmp_path):
    binary = tmp_path / "mongod"
    binary.write_text("#!/bin/sh\necho 'libcurl.so.4: cannot open shared object file'\nexit 127\n", encoding="utf-8")
    binary.chmod(0o755)
    with pytest.raises(ServiceError, match=r"(?s)status 127.*libcurl\.so\.4"):
        Mongo(tmp_path / "data", binary=binary).start()


def is_running(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def wait_until(check, *, seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.1)
    return False


# --- the tests' own surroundings ---


def test_the_environment_is_ours(tmp_path):
    inherited = {"PATH": "/bin", "FIFTYONE_PLUGINS_DIR": "/theirs", "CCIP_MODEL_DIR": "/theirs", "HF_TOKEN": "x"}
    env = isolated_environment(inherited, tmp_path, uri="mongodb://here", database="name")
    assert env["PATH"] == "/bin"
    assert "/theirs" not in env.values()
    assert not {"HF_TOKEN", "CCIP_MODEL_DIR"} & env.keys()
    assert env["FIFTYONE_DATABASE_URI"] == "mongodb://here"


CALLS = {
    "by name": "import urllib.request; urllib.request.urlopen('http://example.com')",
    "by number": "import socket; socket.create_connection(('93.184.216.34', 80))",
    "by IPv6": "from socket import *\nwith socket(AF_INET6) as s: s.connect(('2606:2800:220:1::', 80))",
    "unasked": "from socket import *\nwith socket(type=SOCK_DGRAM) as s: s.sendto(b'x', ('8.8.8.8', 53))",
}


@pytest.mark.parametrize("code", [pytest.param(code, id=name) for name, code in CALLS.items()])
def test_nothing_leaves_this_machine(code, offline, run_python):
    with pytest.raises(OSError, match="a test tried to reach"):
        exec(code, {})
    assert len(offline) == 1
    assert "NetworkBlockedError" in run_python(code, status=1).stderr
