#!/usr/bin/env bash
# The encoder beside ONNX Runtime on one thread, f32 and int8. Arguments: the number of rounds.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=build/venv-onnx
requirements=tests/bench/encoder_requirements.txt
scripts/build.sh release relay-embed
scripts/model.sh
if ! cmp -s "$requirements" "$venv/requirements"; then
    rm -rf "$venv" build/models/onnx
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check -r "$requirements"
    cp "$requirements" "$venv/requirements"
fi
[ -e build/models/onnx/int8.onnx ] ||
    "$venv/bin/python" tests/bench/encoder_onnx.py build/models/all-MiniLM-L6-v2 build/models/onnx
exec "$venv/bin/python" tests/bench/encoder.py build/release/bench/relay-embed \
    build/models/all-MiniLM-L6-v2 build/models/onnx "$@"
