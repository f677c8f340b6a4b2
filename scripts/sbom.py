#!/usr/bin/env python3
"""Prints what build/relay is made of, as CycloneDX 1.6 JSON: the Debian packages of the libraries that
it is linked with (by version, as installed or unpacked here), the packages whose code is in the
dashboard's files (web/package-lock.json), and the model.

    scripts/sbom.py VERSION
"""
import gzip
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import urllib.parse
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def needed(program):
    """The libraries that the program itself asks for, not those that they ask for in turn."""
    wanted = re.findall(r"NEEDED.*\[(.+)\]", run("readelf", "-d", str(program)))
    paths = dict(re.findall(r"(\S+) => (\S+)", run("ldd", str(program))))
    return [pathlib.Path(paths[name]) for name in wanted if name in paths]


def of_fetched(package):
    """A package that scripts/setup.sh unpacked into build/deps: its own files tell its version."""
    root = ROOT / "build/deps/usr"
    with gzip.open(root / "share/doc" / package / "changelog.Debian.gz", "rt") as changes:
        version = re.search(r"\((.+?)\)", changes.readline()).group(1)
    return {"name": package, "version": version, "purl": purl(package, version),
            "licenses": licences(root / "share/doc" / package)}


def purl(package, version):
    return f"pkg:deb/debian/{package}@{urllib.parse.quote(version, safe='.-~')}"


def of_installed(package):
    fields = run("dpkg-query", "-W", "-f", "${Version}|${Homepage}", package).split("|")
    part = {"name": package, "version": fields[0], "purl": purl(package, fields[0]),
            "licenses": licences(pathlib.Path("/usr/share/doc") / package)}
    if fields[1]:
        part["externalReferences"] = [{"type": "website", "url": fields[1]}]
    return part


def owner_of(path):
    """The installed package that a file belongs to, or None. Merged /usr gives it two names."""
    for name in (path, path.resolve(), pathlib.Path("/usr") / path.relative_to("/")):
        found = subprocess.run(["dpkg", "-S", str(name)], capture_output=True, text=True)
        if found.returncode == 0:
            return found.stdout.split(":")[0]
    return None


def packages():
    """Of the libraries that the program is linked with. Of llhttp it is the archive that is linked in."""
    for path in needed(ROOT / "build/relay"):
        package = owner_of(path)
        if package is not None:
            yield of_installed(package)
    for package in ("libyyjson0", "libllhttp-dev"):
        if (ROOT / "build/deps/usr/share/doc" / package).exists():
            yield of_fetched(package)
        elif package == "libllhttp-dev":
            yield of_installed(package)


def licences(documents):
    """What a package's machine-readable copyright file names, as it names it."""
    try:
        text = (documents / "copyright").read_text(errors="replace")
    except OSError:
        return []
    return [{"license": {"name": name}} for name in sorted(set(re.findall(r"^License: *(\S.*?) *$", text, re.M)))]


def of_dashboard():
    """Packages that the built files contain: the dependencies, and what these depend on in turn."""
    lock = json.loads((ROOT / "web/package-lock.json").read_text())["packages"]
    for path, facts in sorted(lock.items()):
        if not path or facts.get("dev") or facts.get("optional"):
            continue
        name = path.rsplit("node_modules/", 1)[1]
        part = {"name": name, "version": facts["version"],
                "purl": f"pkg:npm/{name.replace('@', '%40')}@{facts['version']}"}
        if "license" in facts:
            part["licenses"] = [{"license": {"name": facts["license"]}}]
        yield part


def of_model():
    weights = ROOT / "build/models/all-MiniLM-L6-v2/model.safetensors"
    if weights.exists():
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
        yield {"type": "machine-learning-model", "name": "all-MiniLM-L6-v2",
               "hashes": [{"alg": "SHA-256", "content": digest}],
               "licenses": [{"license": {"id": "Apache-2.0"}}]}


def main():
    version = sys.argv[1]
    parts = {part["purl"]: part for part in packages()}.values()
    parts = [*parts, *of_dashboard(), *of_model()]
    for part in parts:
        part.setdefault("type", "library")
        part["bom-ref"] = part.get("purl", part["name"])
        if not part.get("licenses"):
            part.pop("licenses", None)
    parts.sort(key=lambda part: part["bom-ref"])
    stamp = int(os.environ.get("SOURCE_DATE_EPOCH") or run("git", "-C", str(ROOT), "log", "-1", "--format=%ct"))
    body = json.dumps(parts, sort_keys=True)
    json.dump({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, version + body)}",
        "version": 1,
        "metadata": {
            "timestamp": run("date", "-u", "-d", f"@{stamp}", "+%Y-%m-%dT%H:%M:%SZ").strip(),
            "component": {"type": "application", "name": "relay", "version": version, "bom-ref": "relay"},
        },
        "components": parts,
        "dependencies": [{"ref": "relay", "dependsOn": [part["bom-ref"] for part in parts]}],
    }, sys.stdout, indent=2)
    print()


main()
