"""What the scripts of this folder have in common: they say each step, and end with 1 at the first thing that is wrong.

Only the standard library: each script runs in the environment of its own client.
"""

import json
import sys
import urllib.request


def step(text):
    print(text, flush=True)


def expect(condition, what):
    if not condition:
        sys.exit(f"not as expected: {what}")


def get(url):
    """What a plain GET of `url` answers, past any proxy of the environment."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=60) as answer:
        return json.load(answer)


def rows(base, path, limit=100):
    """Every row of a list, by offsets: what a client that sees whole lists has to see."""
    found, joint = [], "&" if "?" in path else "?"
    while True:
        page = get(f"{base}{path}{joint}limit={limit}&offset={len(found)}")["data"]
        found += page
        if len(page) < limit:
            return found


def biggest_workspace(base):
    """The id of the workspace with the most connections."""
    owners = [connection["workspaceId"] for connection in rows(base, "/connections")]
    expect(owners, "at least one connection")
    return max(sorted(set(owners)), key=owners.count)
