#!/usr/bin/env python3
"""How long every row of a list takes: the Python SDK's own loop, and one curl with limit=all.

    compare.py SDK_BASE_URL [CURL_BASE_URL] [--list jobs] [--rows 5000] [--runs 3]

Both may be one address, a proxy in front of an Airbyte with some latency. Needs airbyte-api (1.0.1) and curl. Prints
the best of the runs and how many times longer the SDK takes; ends with 1 if either saw another number of rows.
"""

import argparse
import json
import subprocess
import sys
import time

from airbyte_api import AirbyteAPI, api
from steps import expect

LISTS = {
    "jobs": ("list_jobs", api.ListJobsRequest),
    "connections": ("list_connections", api.ListConnectionsRequest),
    "sources": ("list_sources", api.ListSourcesRequest),
}


def sdk(url, name, limit):
    """What people write who want every row: pages until one is short. Without a limit, the SDK's own of 20."""
    call, request = LISTS[name]
    rows, size = 0, limit or 20
    with AirbyteAPI(server_url=url) as airbyte:
        call = getattr(getattr(airbyte, name), call)
        while True:
            asked = {"offset": rows, **({"limit": limit} if limit else {})}
            page = getattr(call(request=request(**asked)), f"{name}_response").data
            rows += len(page)
            if len(page) < size:
                return rows


def curl(url, name):
    """One request; the rows are counted too, since a list that is not read is not worth much."""
    command = ["curl", "--silent", "--show-error", "--fail", "--noproxy", "*", f"{url}/{name}?limit=all"]
    said = subprocess.run(command, capture_output=True, check=False)
    expect(said.returncode == 0, f"curl: {said.stderr.decode()}")
    return len(json.loads(said.stdout)["data"])


def best(runs, work):
    """The shortest of the runs, in seconds, and the rows of the last."""
    times = []
    for _ in range(runs):
        before = time.monotonic()
        rows = work()
        times.append(time.monotonic() - before)
    return min(times), rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sdk_url", help="base URL for the SDK")
    parser.add_argument("curl_url", nargs="?", help="base URL for curl; the same if none is given")
    parser.add_argument("--list", default="jobs", choices=sorted(LISTS))
    parser.add_argument("--rows", type=int, help="how many there have to be")
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    whole, there = best(args.runs, lambda: curl(args.curl_url or args.sdk_url, args.list))
    print(f"curl, limit=all:        {there} rows in {whole:.3f} s", flush=True)
    wrong = args.rows is not None and there != args.rows
    for limit in [None, 100]:
        paged, rows = best(args.runs, lambda limit=limit: sdk(args.sdk_url, args.list, limit))
        name = f"limit={limit or 20}{'' if limit else ' (default)'}"
        print(f"SDK, {name + ':':<19}{rows} rows in {paged:.3f} s, {paged / whole:.1f} times as long", flush=True)
        wrong |= rows != there
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
