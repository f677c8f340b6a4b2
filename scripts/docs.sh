#!/usr/bin/env bash
# Builds docs/ as a site into build/site: strict, so that a link that leads nowhere is an error. The
# generator comes from PyPI, pinned in docs/site/requirements.txt, into a virtual environment of its own;
# the build itself asks no network, and nor does what it makes.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=build/venv-docs

stamp=$(python3 --version && cksum <docs/site/requirements.txt)
if [ "$(cat $venv/stamp 2>/dev/null)" != "$stamp" ]; then
    rm -rf $venv
    python3 -m venv $venv
    $venv/bin/pip install -q --disable-pip-version-check -r docs/site/requirements.txt
    printf '%s\n' "$stamp" >$venv/stamp
fi

NO_MKDOCS_2_WARNING=true PYTHONDONTWRITEBYTECODE=1 $venv/bin/mkdocs build --strict -q

# Scripts, styles, fonts and pictures are the site's own.
if grep -rnoE --include='*.html' \
    '<(script|img|iframe|source)[^>]* src="?https?:|<link[^>]* href="?https?:' build/site; then
    echo "docs: the site loads something from elsewhere" >&2
    exit 1
fi
echo "docs: $(find build/site -name '*.html' | wc -l) pages in build/site; open index.html, or, for its search:"
echo "      python3 -m http.server --bind 127.0.0.1 --directory build/site 8000"
