#!/usr/bin/env python3
"""Lesson 4 of Airbyte Academy's API course, with the SDK of the course (airbyte-api 0.52.2) and one line changed.

    course.py http://127.0.0.1:8484/v1

The calls, their order and their arguments are the lesson's; Colab's secrets are any words, because the proxy answers
the SDK's request for a token itself.
"""

import sys

from airbyte_api import AirbyteAPI
from airbyte_api.api import ListWorkspacesRequest
from airbyte_api.models import (
    ConnectionCreateRequest,
    DestinationCreateRequest,
    DestinationDuckdb,
    JobCreateRequest,
    JobTypeEnum,
    SchemeClientCredentials,
    Security,
    SourceCreateRequest,
    SourceFaker,
)
from steps import expect, step


def lesson(url):
    credentials = SchemeClientCredentials(
        client_id="any",
        client_secret="any",
        token_url="v1/applications/token",
    )
    # The changed line: the lesson has no server_url.
    airbyte_api = AirbyteAPI(server_url=url, security=Security(client_credentials=credentials))

    res = airbyte_api.workspaces.list_workspaces(request=ListWorkspacesRequest())
    for workspace in res.workspaces_response.data:
        step(f"workspace: {workspace.name} {workspace.workspace_id}")
    wid = res.workspaces_response.data[0].workspace_id

    req = SourceCreateRequest(
        configuration=SourceFaker(count=35),
        name="my_source_faker_using_api",
        workspace_id=wid,
    )
    res = airbyte_api.sources.create_source(request=req)
    source_id = res.source_response.source_id
    expect(res.source_response.source_type == "faker", "a faker source")
    step(f"source: {source_id}")

    req = DestinationCreateRequest(
        configuration=DestinationDuckdb(destination_path="md:lms", motherduck_api_key="a-key"),
        name="my_duck_using_api",
        workspace_id=wid,
    )
    res = airbyte_api.destinations.create_destination(request=req)
    destination_id = res.destination_response.destination_id
    step(f"destination: {destination_id}")

    req = ConnectionCreateRequest(
        name="my_connection_using_api",
        source_id=source_id,
        destination_id=destination_id,
    )
    res = airbyte_api.connections.create_connection(request=req)
    connection_id = res.connection_response.connection_id
    expect(res.connection_response.workspace_id == wid, "a connection in the workspace")
    step(f"connection: {connection_id}")

    req = JobCreateRequest(connection_id=connection_id, job_type=JobTypeEnum.SYNC)
    res = airbyte_api.jobs.create_job(request=req)
    expect(res.job_response.connection_id == connection_id, "a job of the connection")
    step(f"job: {res.job_response.job_id} {res.job_response.status.value}")


if __name__ == "__main__":
    lesson(sys.argv[1])
    step("ok")
