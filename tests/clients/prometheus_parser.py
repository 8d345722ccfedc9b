#!/usr/bin/env python3
"""Reads /-/metrics with the parsers of Prometheus' own Python client (prometheus-client 0.26.0), in both formats.

    prometheus_parser.py http://127.0.0.1:8484

The one for OpenMetrics is strict: what the standard forbids is an exception.
"""

import sys
import urllib.request

from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics
from steps import expect, step

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def families(base, accept, kind, parse):
    request = urllib.request.Request(base + "/-/metrics", headers={"Accept": accept})
    with OPENER.open(request, timeout=20) as answer:
        expect(answer.headers["Content-Type"] == kind, answer.headers["Content-Type"])
        text = answer.read().decode("utf-8")
    return {family.name: family for family in parse(text)}


def main(base):
    step("OpenMetrics, as Prometheus asks for it")
    new = families(
        base,
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
        openmetrics.text_string_to_metric_families,
    )
    step("the format before it")
    old = families(
        base,
        "text/plain;version=0.0.4",
        "text/plain; version=0.0.4; charset=utf-8",
        parser.text_string_to_metric_families,
    )
    step("the same families in both; the older one knows no info")
    names = {name + "_info" if family.type == "info" else name for name, family in new.items()}
    expect(names == set(old), names ^ set(old))
    step("their types, and what was done before")
    for name, kind in [
        ("airbyte_proxy_requests", "counter"),
        ("airbyte_proxy_request_duration_seconds", "histogram"),
        ("airbyte_proxy_token_expires_in_seconds", "gauge"),
        ("airbyte_proxy_build", "info"),
    ]:
        expect(new[name].type == kind, f"{name}: {new[name].type}")
    seen = {(s.labels["route"], s.labels["answered_by"]) for s in new["airbyte_proxy_requests"].samples}
    expect(("/v1/jobs", "airbyte") in seen, seen)


main(sys.argv[1].rstrip("/"))
step("ok")
