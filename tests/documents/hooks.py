"""Hooks of schemathesis: ids that exist, so that not every answer is a 404; and which operations have succeeded.

AIRBYTE_API is the base URL of an API that may be spoiled. The names of what has succeeded are written to the file SUCCEEDED.
"""

import json
import os
import urllib.request

import schemathesis

API = os.environ["AIRBYTE_API"]
SUCCEEDED = os.environ["SUCCEEDED"]
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))

succeeded = set()


def rows(path):
    with DIRECT.open(API + path, timeout=20) as answer:
        return json.load(answer)["data"]


def ids():
    """Of each kind, what there is; the first workspace and what is in it."""
    workspace = rows("/workspaces")[0]["workspaceId"]
    organization = rows("/organizations")[0]["organizationId"]
    inside = f"?limit=100&workspaceIds={workspace}"
    found = {
        "workspaceId": [workspace],
        "organizationId": [organization],
        "userId": [row["id"] for row in rows(f"/users?organizationId={organization}")],
        "groupId": [row["groupId"] for row in rows(f"/groups?limit=100&organizationId={organization}")],
        "regionId": [row["regionId"] for row in rows(f"/regions?organizationId={organization}")],
    }
    for name in ["source", "destination", "connection", "tag", "permission", "dataplane"]:
        query = "" if name in ("permission", "dataplane") else inside
        found[f"{name}Id"] = [row[f"{name}Id"] for row in rows(f"/{name}s{query}")]
    found["jobId"] = [row["jobId"] for row in rows(f"/jobs{inside}")]
    return found


IDS = ids()


def existing(members, turn):
    """Puts an id that exists in the place of every other one."""
    for name in members or {}:
        for known in (name, name.removesuffix("s")):
            if known in IDS and IDS[known]:
                value = IDS[known][turn % len(IDS[known])]
                members[name] = [value] if name.endswith("s") and name != known else value


@schemathesis.hook
def before_call(context, case, kwargs):
    before_call.turn += 1
    # What is deleted is not missed: it is taken from the end.
    turn = -1 - before_call.turn if case.method == "DELETE" else before_call.turn % 3
    existing(case.path_parameters, turn)
    existing(case.query, turn)
    if isinstance(case.body, dict):
        existing(case.body, turn)


before_call.turn = 0


@schemathesis.hook
def after_call(context, case, response):
    name = case.operation.definition.raw["operationId"]
    if response.status_code < 400 and name not in succeeded:
        succeeded.add(name)
        with open(SUCCEEDED, "a", encoding="utf-8") as file:
            print(name, file=file)
