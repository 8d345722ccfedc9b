#!/usr/bin/env python3
"""Writes docs/third-party-licenses.txt: the notices of all that is linked into the binary, which every package ships.

    config/packages/licenses.py            writes it
    config/packages/licenses.py --check    fails if it is not what Cargo.lock asks for

The texts come out of the packages themselves. Where a licence may be chosen it is MIT, the shortest; what has to be kept
of it is its text with the copyright line.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = ROOT / "docs" / "third-party-licenses.txt"
# What releases are built for, and Windows, where people build it themselves.
PLATFORMS = [
    "x86_64-unknown-linux-gnu",
    "aarch64-unknown-linux-gnu",
    "x86_64-apple-darwin",
    "aarch64-apple-darwin",
    "x86_64-pc-windows-msvc",
]
RULE = "=" * 100

HEAD = """Licences of what is built into airbyte-proxy

airbyte-proxy itself is under the MIT licence or the Apache License 2.0, as you like (LICENSE-MIT, LICENSE-APACHE). Its binary
contains the libraries below on one platform or another. Written by config/packages/licenses.py; not to be changed by hand.

It also contains parts of the Rust standard library, copyright The Rust Project Developers and contributors, and of the libraries in
it (addr2line, adler2, cfg-if, gimli, hashbrown, libc, memchr, miniz_oxide, object, rustc-demangle): MIT OR Apache-2.0, of which the
Apache License 2.0 is chosen here, whose text stands below; its tables of Unicode are under Unicode-3.0, below as well.
"""


def metadata(platform):
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", platform]
    return json.loads(subprocess.check_output(command, cwd=ROOT))


def linked(data):
    """Packages reached from the root by normal dependencies alone: nothing that only builds or tests."""
    edges = {node["id"]: node["deps"] for node in data["resolve"]["nodes"]}
    found, todo = set(), [data["resolve"]["root"]]
    while todo:
        package = todo.pop()
        if package not in found:
            found.add(package)
            todo += [d["pkg"] for d in edges[package] if any(kind["kind"] is None for kind in d["dep_kinds"])]
    found.discard(data["resolve"]["root"])
    return [package for package in data["packages"] if package["id"] in found]


def files(package):
    """The files to keep: of a choice MIT alone, else all; a NOTICE always."""
    folder = pathlib.Path(package["manifest_path"]).parent
    names = sorted(name for name in os.listdir(folder) if re.match(r"(?i)(un)?licen[cs]e|copying|notice", name))
    names = [name for name in names if (folder / name).is_file()]
    choice = re.split(r" OR |/", package["license"] or "")
    mit = [name for name in names if "mit" in name.lower()]
    if "MIT" in [part.strip() for part in choice] and mit and " AND " not in package["license"]:
        names = mit + [name for name in names if name.lower().startswith("notice")]
    return [folder / name for name in names]


def text_of(path):
    lines = path.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def collect():
    packages = {}
    for platform in PLATFORMS:
        for package in linked(metadata(platform)):
            packages[package["name"], package["version"]] = package
    by_text, missing = {}, []
    for (name, version), package in sorted(packages.items()):
        found = files(package)
        if not found:
            missing.append(f"{name} {version} ({package['license']})")
        for path in found:
            text = text_of(path)
            key = " ".join(text.split())
            by_text.setdefault(key, (text, []))[1].append(f"{name} {version} ({package['license']})")
    return packages, by_text, missing


def main():
    packages, by_text, missing = collect()
    if missing:
        sys.exit("without a file of its licence: " + ", ".join(missing))
    parts = [HEAD]
    for text, users in by_text.values():
        parts.append(f"{RULE}\n" + "\n".join(sorted(set(users))) + f"\n{'-' * 100}\n\n{text}\n")
    content = "\n".join(parts)
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(content, encoding="utf-8")
        print(f"{TARGET.relative_to(ROOT)}: {len(packages)} libraries, {len(by_text)} texts")
    elif not TARGET.exists() or TARGET.read_text(encoding="utf-8") != content:
        sys.exit(f"{TARGET.relative_to(ROOT)} is not up to date; run config/packages/licenses.py and commit what it writes")


if __name__ == "__main__":
    main()
