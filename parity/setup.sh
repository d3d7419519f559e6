#!/bin/sh
# Makes the environment of dghs-imgutils in .venv-parity (or the folder named), beside the project's own.
set -eu
cd "$(dirname "$0")/.."
ours=${VENV:-.venv}
theirs=${1:-.venv-parity}

if ! "$ours/bin/python" -c 'import sys; sys.exit(sys.version_info >= (3, 13))'; then
    echo "dghs-imgutils needs numpy < 2, which there is for Python 3.11 and 3.12 only: make setup PYTHON=python3.11" >&2
    exit 1
fi
echo "Making an environment with dghs-imgutils in $theirs (a minute or two) ..."
"$ours/bin/python" -m venv --clear "$theirs"
"$ours/bin/python" -m pip list --format=freeze --disable-pip-version-check |
    grep -iE '^(onnxruntime|pillow|scikit-learn)==' >"$theirs/same-versions.txt"
"$theirs/bin/python" -m pip install --quiet --disable-pip-version-check \
    -r parity/requirements.txt -c "$theirs/same-versions.txt"
