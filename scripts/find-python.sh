#!/bin/sh
# Prints a Python that can make the environment: 3.11 or newer, with venv and pip's installer. Says what to do if none.
set -u

can_make_environments='import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'

for name in ${PYTHON:-python3.11 python3.12 python3.13 python3}; do
    if found=$(command -v "$name") && "$found" -c "$can_make_environments" >/dev/null 2>&1; then
        exec "$found" -c 'import sys; print(sys.executable)'
    fi
done

cat >&2 <<'TEXT'
No Python 3.11 or newer with the venv module was found (tried: python3.11, python3.12, python3.13, python3).
  Debian, Ubuntu:  apt-get install python3-venv     (on releases with an older Python: python3.11 python3.11-venv)
  Fedora:          dnf install python3.11
  macOS:           brew install python@3.12
Or name one that is installed elsewhere:  make setup PYTHON=/path/to/python3
TEXT
exit 1
