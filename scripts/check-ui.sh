#!/bin/sh
# Types of the review panel, and a rebuild of its bundle, where Node is there; a test finds a stale bundle without it.
set -eu
cd "$(dirname "$0")/../ui"

if ! command -v npm >/dev/null; then
    echo "ui: not checked, there is no Node"
    exit 0
fi
lock=node_modules/.package-lock.json
if ! [ -e "$lock" ] || [ package-lock.json -nt "$lock" ]; then
    if ! npm ci --no-audit --no-fund --loglevel=error; then
        echo "ui: not checked, npm could not install what it needs"
        exit 0
    fi
fi
npm run --silent check
before=$(cksum dist/index.umd.js)
npm run --silent build
if [ "$before" != "$(cksum dist/index.umd.js)" ]; then
    echo "ui/dist/index.umd.js was not built from ui/src; it is now: commit it" >&2
    exit 1
fi
