#!/usr/bin/env python3
"""Whole lists for clients that can change nothing but their base URL; for airbyte-api 1.0.1 and 0.52.2 alike.

    whole.py http://127.0.0.1:8484/-/all/v1 http://127.0.0.1:8484/v1

Under the first URL one call gives every row, and both ways to go on, by `next` and by offsets, end with no row twice.
The second one serves the same lists page by page, to compare with.
"""

import sys
import urllib.parse

from airbyte_api import AirbyteAPI, api, models
from steps import expect, get, rows, step

# name of the list, its room in the SDK, its call, its request, the id of a row in the SDK and in JSON
LISTS = [
    ("workspaces", "list_workspaces", api.ListWorkspacesRequest, "workspace_id", "workspaceId"),
    ("sources", "list_sources", api.ListSourcesRequest, "source_id", "sourceId"),
    ("destinations", "list_destinations", api.ListDestinationsRequest, "destination_id", "destinationId"),
    ("connections", "list_connections", api.ListConnectionsRequest, "connection_id", "connectionId"),
    ("jobs", "list_jobs", api.ListJobsRequest, "job_id", "jobId"),
]


class List:
    """One list as the SDK sees it."""

    def __init__(self, airbyte, name, call, request, key):
        self.call = getattr(getattr(airbyte, name), call)
        self.answer, self.request, self.key = f"{name}_response", request, key

    def page(self, **asked):
        page = getattr(self.call(request=self.request(**asked)), self.answer)
        return [getattr(row, self.key) for row in page.data], page.next


def one_call(name, listed, there):
    """The SDK's own defaults (limit=20&offset=0), and the largest page there is."""
    for asked in [{}, {"limit": 20}, {"limit": 100}]:
        ids, after = listed.page(**asked)
        expect(sorted(ids) == sorted(there), f"{len(there)} {name} with {asked}, not {len(ids)}")
        expect(after == "", f"no next page of {name}, not {after!r}")


def by_next(listed):
    """The loop that follows `next`, taking limit and offset out of it."""
    ids, asked = [], {}
    while True:
        more, after = listed.page(**asked)
        ids += more
        if not after:
            return ids
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(after).query))
        asked = {"limit": int(query["limit"]), "offset": int(query["offset"])}


def by_offset(listed, limit):
    """The loop that goes on until a page is empty."""
    ids, calls = [], 0
    while True:
        more, _ = listed.page(limit=limit, offset=len(ids))
        calls += 1
        if not more:
            return ids, calls
        ids += more


def other_limits(url, there):
    """A limit that is nobody's default is one that somebody meant."""
    page = get(f"{url}/jobs?limit=7")["data"]
    expect(len(page) == min(7, len(there)), f"7 jobs, not {len(page)}")


def main():
    url, plain = sys.argv[1], sys.argv[2]
    credentials = models.SchemeClientCredentials(
        client_id="any", client_secret="any", token_url=f"{urllib.parse.urlsplit(url).path}/applications/token"
    )
    for more in [{}, {"security": models.Security(client_credentials=credentials)}]:
        airbyte = AirbyteAPI(server_url=url, **more)
        for name, call, request, key, json_key in LISTS:
            there = [row[json_key] for row in rows(plain, f"/{name}")]
            listed = List(airbyte, name, call, request, key)
            one_call(name, listed, there)
            expect(sorted(by_next(listed)) == sorted(there), f"every one of {name} once, by next")
            for limit in [20, 100]:
                ids, calls = by_offset(listed, limit)
                expect(sorted(ids) == sorted(there), f"every one of {name} once, by offsets of {limit}")
                expect(calls <= 2, f"two calls for {name}, not {calls}")
            step(f"{name}: {len(there)} in one call")
    other_limits(url, rows(plain, "/jobs"))
    step("ok")


if __name__ == "__main__":
    main()
