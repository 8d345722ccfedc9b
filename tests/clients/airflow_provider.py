#!/usr/bin/env python3
"""Airflow's Airbyte provider (apache-airflow-providers-airbyte 6.2.0): its hook, operator and sensor, no scheduler.

    airflow_provider.py http://127.0.0.1:8484/v1

The connection is given as Airflow takes it from the environment: the host is the base URL, the rest may be empty.
"""

import json
import os
import sys
import tempfile

from steps import expect, rows, step


def connection(name, host, **more):
    """As the fields of Airflow's form are stored: Server URL is host, Token URL is schema."""
    os.environ[f"AIRFLOW_CONN_{name.upper()}"] = json.dumps({"conn_type": "airbyte", "host": host, **more})


def prepare(url):
    # Before the first import of Airflow, which writes its settings and its database there.
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-")
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "WARNING"
    connection("airbyte_default", url)
    connection("with_credentials", url, login="any", password="any")
    connection("with_token_url", url, login="any", password="any", schema="/v1/applications/token")


def idle_connection(url):
    busy = {job["connectionId"] for job in rows(url, "/jobs") if job["status"] in ("pending", "running")}
    return next(row["connectionId"] for row in rows(url, "/connections") if row["connectionId"] not in busy)


def test_button():
    from airflow.providers.airbyte.hooks.airbyte import AirbyteHook

    for name in ["airbyte_default", "with_credentials", "with_token_url"]:
        good, message = AirbyteHook(airbyte_conn_id=name).test_connection()
        expect(good, f"the test of {name}: {message}")
        step(f"test button, {name}: {message}")


def operator(url):
    from airflow.providers.airbyte.operators.airbyte import AirbyteTriggerSyncOperator

    for name in ["airbyte_default", "with_credentials"]:
        task = AirbyteTriggerSyncOperator(
            task_id=f"sync_{name}",
            airbyte_conn_id=name,
            connection_id=idle_connection(url),
            wait_seconds=0.2,
            timeout=120,
        )
        step(f"operator, {name}: job {task.execute({})} succeeded")


def sensor(url):
    from airflow.providers.airbyte.hooks.airbyte import AirbyteHook
    from airflow.providers.airbyte.operators.airbyte import AirbyteTriggerSyncOperator
    from airflow.providers.airbyte.sensors.airbyte import AirbyteJobSensor

    start = AirbyteTriggerSyncOperator(task_id="start", connection_id=idle_connection(url), asynchronous=True)
    job = start.execute({})
    look = AirbyteJobSensor(task_id="wait", airbyte_job_id=job)
    AirbyteHook().wait_for_job(job, wait_seconds=0.2, timeout=120)
    expect(look.poke({}), f"a sensor that sees that job {job} has ended")
    step(f"sensor: job {job} has ended")


def main():
    url = sys.argv[1]
    prepare(url)
    test_button()
    operator(url)
    sensor(url)
    step("ok")


if __name__ == "__main__":
    main()
