#!/usr/bin/env python3
"""Airbyte Academy's pipeline through the official Python SDK (airbyte-api 1.0.1), used as its documentation shows.

    sdk.py http://127.0.0.1:8484/v1                      any credentials, as a client of airbyte-proxy would have
    sdk.py http://127.0.0.1:8484/v1 --mode none          no security at all: only a proxy can answer that
    sdk.py URL --client-id ID --client-secret-env NAME   the real ones, for an Airbyte that checks them

Prints one line a step and "ok". Ends with 1 at the first thing that is not as it should be.
"""

import argparse
import os
import sys
import time

from airbyte_api import AirbyteAPI, api, models

TERMINAL = (
    models.JobStatusEnum.SUCCEEDED,
    models.JobStatusEnum.FAILED,
    models.JobStatusEnum.CANCELLED,
)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="base URL, with /v1 or /api/public/v1")
    parser.add_argument("--mode", choices=["credentials", "none"], default="credentials")
    parser.add_argument("--client-id", default="any")
    parser.add_argument("--client-secret-env", metavar="NAME", help="variable with the secret; without it: any")
    parser.add_argument("--token-url", default="v1/applications/token", help="as the course gives it")
    parser.add_argument("--timeout", type=float, default=60, help="seconds the job may take")
    return parser.parse_args()


def client(args):
    if args.mode == "none":
        return AirbyteAPI(server_url=args.url)
    secret = os.environ[args.client_secret_env] if args.client_secret_env else "any"
    credentials = models.SchemeClientCredentials(
        client_id=args.client_id,
        client_secret=secret,
        token_url=args.token_url,
    )
    return AirbyteAPI(server_url=args.url, security=models.Security(client_credentials=credentials))


def expect(condition, what):
    if not condition:
        sys.exit(f"not as expected: {what}")


def step(text):
    print(text, flush=True)


def read_everything(airbyte):
    """Every list decodes, seeded rows included. Returns a workspace's id."""
    workspaces = airbyte.workspaces.list_workspaces(request=api.ListWorkspacesRequest()).workspaces_response.data
    expect(workspaces, "at least one workspace")
    step(f"workspaces: {', '.join(workspace.name for workspace in workspaces)}")
    sources = airbyte.sources.list_sources(request=api.ListSourcesRequest(limit=100)).sources_response.data
    destinations = airbyte.destinations.list_destinations(
        request=api.ListDestinationsRequest(limit=100)
    ).destinations_response.data
    connections = airbyte.connections.list_connections(
        request=api.ListConnectionsRequest(limit=100)
    ).connections_response.data
    jobs = airbyte.jobs.list_jobs(request=api.ListJobsRequest(limit=100)).jobs_response.data
    step(
        f"lists: {len(sources)} sources, {len(destinations)} destinations, "
        f"{len(connections)} connections, {len(jobs)} jobs on the first page"
    )
    return workspaces[0].workspace_id


def build_pipeline(airbyte, workspace_id):
    source = airbyte.sources.create_source(
        request=models.SourceCreateRequest(
            name="my_source_faker_using_api",
            workspace_id=workspace_id,
            configuration=models.SourceFaker(count=35),
        )
    ).source_response
    expect(source.source_type == "faker", "a faker source")
    expect(isinstance(source.configuration, models.SourceFaker), "a configuration that decodes as faker's")
    expect(source.configuration.count == 35, "the count that was given")
    step("source: created")

    destination = airbyte.destinations.create_destination(
        request=models.DestinationCreateRequest(
            name="my_duck_using_api",
            workspace_id=workspace_id,
            configuration=models.DestinationDuckdb(destination_path="md:lms", motherduck_api_key="a-key"),
        )
    ).destination_response
    expect(destination.destination_type == "duckdb", "a duckdb destination")
    expect(destination.configuration.motherduck_api_key != "a-key", "a secret that is not shown again")
    step("destination: created")

    connection = airbyte.connections.create_connection(
        request=models.ConnectionCreateRequest(
            name="my_connection_using_api",
            source_id=source.source_id,
            destination_id=destination.destination_id,
        )
    ).connection_response
    expect(connection.workspace_id == workspace_id, "a connection in the workspace")
    expect(connection.status == models.ConnectionStatusEnum.ACTIVE, "an active connection")
    step("connection: created")
    return connection.connection_id


def run_job(airbyte, connection_id, timeout):
    job = airbyte.jobs.create_job(
        request=models.JobCreateRequest(connection_id=connection_id, job_type=models.JobTypeEnum.SYNC)
    ).job_response
    expect(job.connection_id == connection_id, "a job of the connection")
    step(f"job: {job.status.value}")
    deadline = time.monotonic() + timeout
    while job.status not in TERMINAL:
        expect(time.monotonic() < deadline, f"a job that ends within {timeout:g} s")
        time.sleep(0.1)
        before = job.status
        job = airbyte.jobs.get_job(request=api.GetJobRequest(job_id=job.job_id)).job_response
        if job.status != before:
            step(f"job: {job.status.value}")
    expect(job.status == models.JobStatusEnum.SUCCEEDED, "a job that succeeds")


def main():
    args = arguments()
    with client(args) as airbyte:
        workspace_id = read_everything(airbyte)
        connection_id = build_pipeline(airbyte, workspace_id)
        run_job(airbyte, connection_id, args.timeout)
    step("ok")


if __name__ == "__main__":
    main()
