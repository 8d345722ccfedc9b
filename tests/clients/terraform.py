#!/usr/bin/env python3
"""What the Terraform provider (airbytehq/airbyte 1.3) sends for a plan, an apply and a destroy, sent by curl.

    terraform.py http://127.0.0.1:8484/v1                        no credentials at all
    terraform.py http://127.0.0.1:8484/v1 --credentials          any client id and secret, its own default token_url
    terraform.py http://127.0.0.1:8484/api/public/v1 --credentials --token-url /api/public/v1/applications/token
    terraform.py URL --definitions                               custom connectors as well

Methods, paths, queries, fields and accepted statuses are those of its source. Needs curl and nothing else.
"""

import argparse
import json
import subprocess
import urllib.parse

from steps import biggest_workspace, expect, step

AGENT = "speakeasy-sdk/terraform 1.3.0 2.881.17 1.0.0 github.com/airbytehq/terraform-provider-airbyte/internal/sdk"
MISSING = "00000000-0000-4000-8000-000000000000"


class Provider:
    def __init__(self, server_url):
        self.server_url = server_url.rstrip("/")
        self.token = None

    def curl(self, method, url, fields, body=None):
        """Status and body, as the HTTP client of Go's library would see them."""
        command = ["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "60", "--request", method]
        command += ["--compressed", "--header", "Accept-Encoding: gzip", "--write-out", "\n%{http_code}"]
        for field in fields:
            command += ["--header", field]
        if body is not None:
            command += ["--data-binary", body]
        said = subprocess.run([*command, url], capture_output=True, text=True, check=False)
        expect(said.returncode == 0, f"curl: {said.stderr}")
        text, status = said.stdout.rsplit("\n", 1)
        return int(status), text

    def mint(self, token_url):
        """Its token request: a form, to an address relative to the server's."""
        form = urllib.parse.urlencode({"client_id": "any", "client_secret": "any", "grant_type": "client_credentials"})
        url = urllib.parse.urljoin(self.server_url, token_url)
        fields = ["Content-Type: application/x-www-form-urlencoded"]
        status, text = self.curl("POST", url, fields, form)
        expect(200 <= status < 300, f"a token, not {status} {text}")
        answer = json.loads(text)
        expect(answer["token_type"].lower() == "bearer", "a bearer token")
        expect(answer["expires_in"] > 60, "a token that is not asked for again with each request")
        self.token = answer["access_token"]

    def send(self, method, path, body=None, status=200):
        # What has no body to read accepts anything.
        accept = "*/*" if method == "DELETE" and status != 200 else "application/json"
        fields = [f"Accept: {accept}", f"User-Agent: {AGENT}"]
        if self.token:
            fields.append(f"Authorization: Bearer {self.token}")
        if body is not None:
            fields.append("Content-Type: application/json")
            body = json.dumps(body)
        got, text = self.curl(method, self.server_url + path, fields, body)
        expect(got == status, f"{method} {path}: {status}, not {got} {text}")
        step(f"{method} {path}: {got}")
        return json.loads(text) if text else None

    def delete(self, path, status=204):
        self.send("DELETE", path, status=status)


def plan(provider, workspace_id):
    """Data sources; and a resource that somebody has deleted, which is a 404 and no error."""
    provider.send("GET", f"/workspaces/{workspace_id}")
    listed = provider.send("GET", f"/connections?includeDeleted=false&limit=20&offset=0&workspaceIds={workspace_id}")
    expect(listed["data"], "connections")
    provider.send("GET", f"/connections/{listed['data'][0]['connectionId']}")
    for kind in ["workspaces", "sources", "destinations", "connections"]:
        provider.send("GET", f"/{kind}/{MISSING}", status=404)


def connector(provider, kind, workspace_id, configuration):
    """A source or a destination, which it reads again after each write."""
    name = kind[:-1]
    body = {"name": f"a {name}", "workspaceId": workspace_id, "configuration": configuration}
    made = provider.send("POST", f"/{kind}", body)
    path = f"/{kind}/{made[f'{name}Id']}"
    provider.send("GET", path)
    provider.send("PUT", path, {"name": f"another {name}", "configuration": configuration})
    read = provider.send("GET", path)
    expect(read["name"] == f"another {name}", "the new name")
    return made[f"{name}Id"], path


def apply(provider):
    workspace = provider.send("POST", "/workspaces", {"name": "terraform"})["workspaceId"]
    provider.send("PATCH", f"/workspaces/{workspace}", {"name": "terraformed"})
    source, source_path = connector(provider, "sources", workspace, {"sourceType": "faker", "count": 35})
    duckdb = {"destinationType": "duckdb", "destination_path": "md:lms", "motherduck_api_key": "a-key"}
    destination, destination_path = connector(provider, "destinations", workspace, duckdb)
    # Fields with a default are always there, and null is written where there is none.
    defaults = {
        "namespaceDefinition": "destination",
        "namespaceFormat": None,
        "prefix": "",
        "nonBreakingSchemaUpdatesBehavior": "ignore",
    }
    made = provider.send(
        "POST",
        "/connections",
        {
            "name": "a connection",
            "sourceId": source,
            "destinationId": destination,
            "schedule": {"scheduleType": "manual"},
            "status": "active",
            **defaults,
        },
    )
    connection = f"/connections/{made['connectionId']}"
    provider.send("GET", connection)
    provider.send("PATCH", connection, {"name": "another connection", "namespaceFormat": None, "status": "inactive"})
    expect(provider.send("GET", connection)["status"] == "inactive", "the new status")
    return [connection, source_path, destination_path, f"/workspaces/{workspace}"]


def definitions(provider, workspace_id):
    """Custom connectors, which are deleted with an answer."""
    for kind in ["sources", "destinations"]:
        path = f"/workspaces/{workspace_id}/definitions/{kind}"
        body = {"name": "mine", "dockerRepository": "me/mine", "dockerImageTag": "1.0.0"}
        made = f"{path}/{provider.send('POST', path, body)['id']}"
        provider.send("GET", made)
        provider.send("PUT", made, {"name": "mine", "dockerImageTag": "1.0.1"})
        provider.send("DELETE", made)
        provider.send("GET", made, status=404)
    path = f"/workspaces/{workspace_id}/definitions/declarative_sources"
    manifest = {"version": "6.0.0", "type": "DeclarativeSource"}
    made = f"{path}/{provider.send('POST', path, {'name': 'mine', 'manifest': manifest})['id']}"
    provider.send("GET", made)
    provider.send("PUT", made, {"manifest": manifest})
    provider.send("DELETE", made)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="server_url of the provider")
    parser.add_argument("--credentials", action="store_true", help="client_id and client_secret are set")
    parser.add_argument("--token-url", default="/v1/applications/token", help="token_url of the provider")
    parser.add_argument("--definitions", action="store_true", help="custom connectors as well")
    args = parser.parse_args()
    provider = Provider(args.url)
    if args.credentials:
        provider.mint(args.token_url)
        step("token: given")
    workspace_id = biggest_workspace(args.url)
    plan(provider, workspace_id)
    resources = apply(provider)
    for path in resources:
        provider.delete(path)
    provider.delete(resources[0], status=404)
    if args.definitions:
        definitions(provider, workspace_id)
    step("ok")


if __name__ == "__main__":
    main()
