#!/usr/bin/env python3
"""A small MCP server over stdio, as one for Airbyte might be: it knows a base URL and a key, and no secret.

Speaks as much of the Model Context Protocol as a client needs to list its tools and call them.
"""

import json
import os
import sys
import urllib.error
import urllib.request

TOOLS = {
    "list_connections": ("GET", "/v1/connections?limit=all"),
    "start_sync": ("POST", "/v1/jobs"),
}


def call(method, path):
    body = b'{"connectionId": "%s", "jobType": "sync"}' % b"0" if method == "POST" else None
    request = urllib.request.Request(os.environ["AIRBYTE_PROXY_URL"] + path, data=body, method=method)
    request.add_header("Authorization", "Bearer " + os.environ["AIRBYTE_PROXY_KEY"])
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read().decode(), False
    except urllib.error.HTTPError as refusal:
        return refusal.read().decode(), True


def answer(request):
    if request["method"] == "initialize":
        info = {"name": "stand-in", "version": "1"}
        return {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}
    if request["method"] == "tools/list":
        return {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]}
    if request["method"] == "tools/call":
        text, failed = call(*TOOLS[request["params"]["name"]])
        return {"content": [{"type": "text", "text": text}], "isError": failed}
    return {}


for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": answer(message)}), flush=True)
