#!/usr/bin/env python3
"""PyAirbyte's CloudWorkspace (airbyte 0.71.3) with nothing but its API root changed.

    pyairbyte.py http://127.0.0.1:8484/api/public/v1

From a root that ends like this one it finds the Configuration API by itself, at /api/v1 of the same address.
"""

import os
import sys

os.environ.setdefault("DO_NOT_TRACK", "1")

from airbyte.cloud.workspaces import CloudWorkspace  # noqa: E402  it reads the environment
from steps import biggest_workspace, expect, rows, step  # noqa: E402


def connect(root, workspace_id, **credentials):
    workspace = CloudWorkspace(workspace_id=workspace_id, api_root=root, **credentials)
    workspace.connect()
    return workspace


def read(workspace, root):
    """Lists are whole: it asks for pages of 100 until one is empty."""
    for path, listed in [
        ("/connections", workspace.list_connections()),
        ("/sources", workspace.list_sources()),
        ("/destinations", workspace.list_destinations()),
    ]:
        there = len(rows(root, f"{path}?workspaceIds={workspace.workspace_id}"))
        expect(len(listed) == there, f"{there} rows of {path}, not {len(listed)}")
        step(f"{path}: {there}")
    connection = workspace.get_connection(workspace.list_connections()[0].connection_id)
    expect(connection.check_is_valid(), "a connection of this workspace")
    expect(connection.stream_names, "streams")
    step(f"connection: {connection.name}, {len(connection.stream_names)} streams")
    return connection


def sync(connection):
    result = connection.run_sync(wait=True, wait_timeout=120)
    expect(result.get_job_status().value == "succeeded", f"a job that succeeds: {result.get_job_status()}")
    step(f"job: {result.job_id} succeeded, {result.records_synced} records")
    return result


def configuration_api(workspace, connection, result):
    """What it asks of the Configuration API when it is asked for more than the public one tells."""
    expect(workspace.get_organization().organization_id, "the organization")
    step("organization: found")
    expect(connection.dump_raw_catalog() is not None, "a catalog")
    step("catalog: read")
    expect(connection.dump_raw_state(normalize=False), "a state")
    step("state: read")
    expect(len(result.get_attempts()) >= 1, "an attempt")
    step("attempts: read")


def main():
    root = sys.argv[1]
    workspace_id = biggest_workspace(root)
    # It wants credentials of one kind or the other, whichever they are.
    connect(root, workspace_id, bearer_token="any")
    workspace = connect(root, workspace_id, client_id="any", client_secret="any")
    connection = read(workspace, root)
    result = sync(connection)
    configuration_api(workspace, connection, result)
    step("ok")


if __name__ == "__main__":
    main()
