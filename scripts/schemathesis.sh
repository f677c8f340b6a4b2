#!/usr/bin/env bash
# By hand: schemathesis asks a running gateway before relay-sim everything that the descriptions of its two APIs
# allow, and much that they forbid: no answer is a server's error, none is another than described, none comes without
# a key. It is heavy, so it has an environment of its own.
#
#   scripts/schemathesis.sh [SECONDS]       for each of the two, 120
set -euo pipefail
cd "$(dirname "$0")/.."
requirements=tests/wire/schemathesis.txt venv=build/venv-schemathesis
[ -x build/relay ] || scripts/build.sh release
for pair in "build/venv tests/wire/requirements.txt" "$venv $requirements"; do
    read -r folder wanted <<<"$pair"
    [ -x "$folder/bin/python" ] || python3 -m venv "$folder"
    "$folder/bin/pip" install -q --disable-pip-version-check -r "$wanted"
done
PYTHONDONTWRITEBYTECODE=1 SCHEMATHESIS=$PWD/$venv/bin/schemathesis \
    build/venv/bin/python tests/wire/conformity.py "${1:-120}"
