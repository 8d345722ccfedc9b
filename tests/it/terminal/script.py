import os

from airbyte_api import AirbyteAPI, api

airbyte = AirbyteAPI(server_url=os.environ["AIRBYTE_API_URL"])
listed = airbyte.workspaces.list_workspaces(request=api.ListWorkspacesRequest())
for workspace in listed.workspaces_response.data:
    print(workspace.name)
