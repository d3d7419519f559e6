#!/bin/sh
# Makes the environment in .venv (or $VENV): a Python, the requirements, a MongoDB server. Run it again at any time.
set -eu
cd "$(dirname "$0")/.."
venv=${VENV:-.venv}

is_usable() {
    "$venv/bin/python" -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

if ! is_usable; then
    python=$(scripts/find-python.sh)
    echo "Making an environment in $venv with $python ..."
    "$python" -m venv "$venv"
    if ! is_usable; then
        echo "$venv exists, but is not a working environment of Python 3.11 or newer. Remove it, then: make setup" >&2
        exit 1
    fi
fi

echo "Installing requirements (a few minutes the first time) ..."
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-dev.txt
"$venv/bin/python" scripts/ensure_mongo.py
echo "Set up. 'make help' lists what can be done now; 'make doctor' looks for what is missing."
