#!/usr/bin/env bash
# What the semantic cache serves and how much of it is wrong, on a folder of labelled questions (DATA), which is
# no part of this repository: docs/guides/cache-safety.md says what is in it. Arguments go to tests/bench/cache.py.
# At the end the encoder beside ONNX Runtime, unless ENCODER=no.
set -euo pipefail
cd "$(dirname "$0")/.."
files=(minimal_pairs.tsv banking77.tsv qqp.tsv sts.tsv)
if [ -z "${DATA:-}" ]; then
    echo "bench-cache needs a folder with ${files[*]}: make bench-cache DATA=folder" >&2
    exit 1
fi
for file in "${files[@]}"; do
    [ -f "$DATA/$file" ] || {
        echo "bench-cache: $DATA has no $file" >&2
        exit 1
    }
done
venv=build/venv-cache
requirements=tests/bench/requirements.txt
scripts/build.sh release relay-embed relay-nearest
scripts/model.sh
if ! cmp -s "$requirements" "$venv/requirements"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check -r "$requirements"
    cp "$requirements" "$venv/requirements"
fi
# One thread each: the streams take a process per core.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
"$venv/bin/python" tests/bench/cache.py "$DATA" "$@"
[ "${ENCODER:-}" = no ] || scripts/bench_encoder.sh
