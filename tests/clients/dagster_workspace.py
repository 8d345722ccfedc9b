#!/usr/bin/env python3
"""Dagster's AirbyteWorkspace (dagster-airbyte 0.29.27), told the two base URLs and nothing else.

    dagster_workspace.py http://127.0.0.1:8484

The streams of a connection come from the Configuration API, everything else from the public one.
"""

import sys

import dagster as dg
from dagster_airbyte import AirbyteWorkspace, airbyte_assets, build_airbyte_assets_definitions
from steps import biggest_workspace, expect, rows, step


def workspace_of(base, workspace_id, **more):
    return AirbyteWorkspace(
        rest_api_base_url=f"{base}/api/public/v1",
        configuration_api_base_url=f"{base}/api/v1",
        workspace_id=workspace_id,
        request_max_retries=0,
        poll_interval=0.2,
        **more,
    )


def specs(workspace, connections):
    found = workspace.load_asset_specs()
    expect(found, "assets")
    owners = {spec.metadata["dagster-airbyte/connection_id"] for spec in found}
    expect(owners == connections, f"assets of {len(connections)} connections, not of {len(owners)}")
    step(f"specs: {len(found)} tables of {len(owners)} connections")
    return found


def materialize(workspace, connection_id, name):
    """Runs one sync, as a Dagster job would."""

    @airbyte_assets(connection_id=connection_id, workspace=workspace, name=name)
    def tables(context: dg.AssetExecutionContext, airbyte: AirbyteWorkspace):
        yield from airbyte.sync_and_poll(context=context)

    result = dg.materialize([tables], resources={"airbyte": workspace})
    expect(result.success, "a run that succeeds")
    written = result.get_asset_materialization_events()
    expect(written, "materialized tables")
    step(f"sync: {len(written)} tables")


def main():
    base = sys.argv[1].rstrip("/")
    public = f"{base}/api/public/v1"
    workspace_id = biggest_workspace(public)
    connections = {row["connectionId"] for row in rows(public, f"/connections?workspaceIds={workspace_id}")}
    for more in [{"client_id": "any", "client_secret": "any"}, {}]:
        workspace = workspace_of(base, workspace_id, **more)
        with workspace.process_config_and_initialize_cm_cached() as workspace:
            specs(workspace, connections)
            expect(build_airbyte_assets_definitions(workspace=workspace), "definitions")
    # A connection with a job under way is one that Dagster refuses to sync.
    idle = next((c for c in sorted(connections) if not busy(public, c)), None)
    expect(idle, "a connection without a job under way")
    materialize(workspace_of(base, workspace_id), idle, "tables")
    step("ok")


def busy(public, connection_id):
    jobs = rows(public, f"/jobs?connectionId={connection_id}")
    return any(job["status"] in ("pending", "running", "incomplete") for job in jobs)


if __name__ == "__main__":
    main()
