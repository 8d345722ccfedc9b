#!/usr/bin/env python3
"""Searches all that a test run has put out for the secrets that it knew.

    scan_log.py FOLDER        secrets from FOLDER/secrets.jsonl, output from FOLDER/*.log; see tests/it/harness/trace.rs
    scan_log.py --self-test   plants secrets in each of their forms, and expects each to be found

A secret is looked for as it is, percent-encoded, as text within JSON and Rust's Debug, and as base64 of anything that
contains it. Ends with 1 if one is found, or if there is nothing that could be trusted to be searched.
"""

import base64
import json
import pathlib
import re
import sys
import tempfile
import urllib.parse

# Planted by the test run itself (tests/it/harness/trace.rs): a scan that does not find it is blind.
CANARY = "canary-0f83d1c2b7a94e65"
# Without lines of these, the run was not what it is thought to be.
MUST_LOG = {"airbyte_proxy::": "our own modules", " h2::": "the HTTP/2 library", '"level":"TRACE"': "the binary"}
SHORTEST = 12

# Tokens, ids, base64 and percent-encoding consist of these. Logs repeat themselves: of each such word, one is kept.
WORD = re.compile(rb"[A-Za-z0-9_.~+/=%%-]{%d,}" % SHORTEST)


def base64_forms(raw):
    """What of `raw` survives in the base64 of a text around it, for each of the three ways to be aligned in it."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw)
        start = (before * 8 + 5) // 6
        end = (before + len(raw)) * 8 // 6
        for form in (encoded[start:end], encoded[start:end].translate(bytes.maketrans(b"+/", b"-_"))):
            if len(form) >= SHORTEST:
                yield form


def forms(secret):
    """Every way in which `secret` could be written, with the name of the way."""
    parts = {secret}
    if secret.count(".") == 2:
        # The signature of a JWT is as good a find as the whole of it.
        parts.add(secret.rpartition(".")[2])
    for part in parts:
        raw = part.encode()
        quoted = urllib.parse.quote(part, safe="")
        everything = "".join(f"%{byte:02X}" for byte in raw)
        yield "raw", raw
        yield "JSON", json.dumps(part)[1:-1].encode()
        yield "JSON", json.dumps(part, ensure_ascii=False)[1:-1].encode()
        yield "Debug", "".join(
            chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{chr(b)}" if b in b'"\\' else f"\\x{b:02x}" for b in raw
        ).encode()
        for encoded in (quoted, urllib.parse.quote(part), urllib.parse.quote_plus(part), everything):
            yield "percent-encoded", encoded.encode()
            yield "percent-encoded", re.sub("%..", lambda code: code[0].lower(), encoded).encode()
        for form in base64_forms(raw):
            yield "base64", form


def search(folder, secrets):
    """(secret, form, file) of all finds, and how many bytes were searched."""
    needles = {}
    for secret in secrets:
        for name, form in forms(secret):
            needles.setdefault(form, (secret, name))
    words_only = {needle for needle in needles if WORD.fullmatch(needle)}
    found, size = [], 0
    for path in sorted(folder.glob("*.log")):
        data = path.read_bytes()
        size += len(data)
        words = b"\n".join(set(WORD.findall(data)))
        for needle, (secret, name) in needles.items():
            if needle in (words if needle in words_only else data):
                found.append((secret, name, path))
    return found, size


def context(path, secret):
    """The beginning of the first line that holds it, to find where it comes from; without the secret itself."""
    for line in path.read_bytes().splitlines():
        if any(form in line for _, form in forms(secret)):
            return line[:160].decode(errors="replace").replace(secret, "[SECRET]")
    return ""


def scan(folder):
    listed = folder / "secrets.jsonl"
    if not listed.exists():
        sys.exit(f"{listed} is missing: the run has kept nothing")
    secrets = {json.loads(line) for line in listed.read_text().splitlines()}
    found, size = search(folder, secrets)
    if not any(secret == CANARY for secret, _, _ in found):
        sys.exit("the planted canary was not found: this scan sees nothing")
    logs = sorted(folder.glob("*.log"))
    for mark, what in MUST_LOG.items():
        if not any(mark.encode() in path.read_bytes() for path in logs):
            sys.exit(f"nothing of {what} is in the log: it is not that of a whole run at TRACE")
    if len(secrets) < 20:
        sys.exit(f"only {len(secrets)} secrets are known: it is not the log of a whole run")
    leaks = [find for find in found if find[0] != CANARY]
    for secret, name, path in leaks[:20]:
        print(f"{path}: holds a secret ({secret[:4]}…, {len(secret)} characters, {name})\n    {context(path, secret)}")
    if leaks:
        sys.exit(f"{len(leaks)} finds")
    print(f"none of {len(secrets) - 1} secrets is in {len(logs)} files of output, {size / 1e6:.1f} MB")


def self_test():
    secrets = ["aB3dE5gH7jK9mN1p", "p@ss+w/ö%rd=&\"\\ of 24", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJlLW9mLWl0"]
    tried = 0
    for secret in secrets:
        raw = secret.encode()
        ways = [
            ("raw", raw),
            ("within a word", b"x" + raw + b"x"),
            ("JSON", json.dumps({"message": f"it is {secret}"}).encode()),
            ("percent-encoded", urllib.parse.urlencode({"client_secret": secret}).encode()),
            ("lower case", re.sub(b"%..", lambda code: code[0].lower(), urllib.parse.quote(secret, safe="").encode())),
            ("every byte", "".join(f"%{byte:02x}" for byte in raw).encode()),
        ]
        for before in range(6):
            text = b"u" * before + b":" + raw + b":v"
            ways.append((f"base64 {before}", b"Basic " + base64.b64encode(text)))
            ways.append((f"base64url {before}", base64.urlsafe_b64encode(text).rstrip(b"=")))
        if secret.count(".") == 2:
            ways.append(("signature", secret.rpartition(".")[2].encode()))
        for name, planted in ways:
            with tempfile.TemporaryDirectory() as folder:
                folder = pathlib.Path(folder)
                (folder / "x.log").write_bytes(b"TRACE h2::codec some=words\n2026 " + planted + b" more=words\n")
                tried += 1
                if {find[0] for find in search(folder, secrets)[0]} != {secret}:
                    sys.exit(f"not found although planted: {name}: {planted!r}")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        others = "aB3dE5gH7jK9mN1 aB3dE5gH 3dE5gH7jK9mN1p eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.other-signature"
        (folder / "x.log").write_text(others)
        if finds := search(folder, secrets)[0]:
            sys.exit(f"found although not there: {finds}")
    print(f"self-test: {tried} planted secrets found, and nothing where there is none")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    elif sys.argv[1] == "--self-test":
        self_test()
    else:
        scan(pathlib.Path(sys.argv[1]))
