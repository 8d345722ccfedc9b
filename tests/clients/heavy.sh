#!/usr/bin/env bash
# Runs the clients that are too heavy for .ci/run against the demo of the built binary, and prints one line for each.
#
#     tests/clients/heavy.sh                    all of them
#     tests/clients/heavy.sh pyairbyte java     these
#
# Needs Python 3 with venv, about 1.2 GB of disk and, the first time, some two minutes; java also a JDK (11 or later).
# AIRBYTE_PROXY names another binary than target/debug/airbyte-proxy.
set -euo pipefail
cd "$(dirname "$0")/../.."

target="${CARGO_TARGET_DIR:-$PWD/target}"
binary="${AIRBYTE_PROXY:-$target/debug/airbyte-proxy}"
folder="$target/clients"
mkdir -p "$folder"
[ -x "$binary" ] || { echo "there is no $binary; run cargo build"; exit 1; }
export NO_PROXY='*' DO_NOT_TRACK=1

# The environment of a client, made if it is not there. Prints its interpreter.
environment() {
    local venv="$folder/$1"
    "$venv/bin/python" -c '' 2>/dev/null || python3 -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --retries 5 \
        -r "tests/clients/requirements-$1.txt" >&2
    echo "$venv/bin/python"
}

# The command of a client, in front of the address and the path that are added.
command_of() {
    case "$1" in
        pyairbyte) command=("$(environment pyairbyte)" tests/clients/pyairbyte.py) path=/api/public/v1 ;;
        airflow) command=("$(environment airflow)" tests/clients/airflow_provider.py) path=/v1 ;;
        dagster) command=("$(environment more)" tests/clients/dagster_workspace.py) path='' ;;
        java) command=(java tests/clients/JavaHttpClient.java) path=/v1 ;;
        *) echo "no client: $1"; exit 2 ;;
    esac
}

# Starts the demo on a free port, with nothing of this environment, and waits until it says where it listens.
start_demo() {
    env -i PATH="$PATH" HOME="$folder" "$binary" demo --listen 127.0.0.1:0 >"$folder/demo.out" 2>"$folder/demo.log" &
    demo=$!
    trap 'kill "$demo" 2>/dev/null || true' EXIT
    local tries=0
    until base=$(grep -m 1 '"listening"' "$folder/demo.log" | grep -o -m 1 'http://127\.0\.0\.1:[0-9]*' | head -n 1); do
        kill -0 "$demo" 2>/dev/null && [ $((tries += 1)) -lt 100 ] || { cat "$folder/demo.log"; exit 1; }
        sleep 0.1
    done
}

failed=0
clients=("$@")
[ $# -gt 0 ] || clients=(pyairbyte airflow dagster java)
start_demo
for client in "${clients[@]}"; do
    if [ "$client" = java ] && ! command -v java >/dev/null; then
        echo "java: left out, there is no JDK"
        continue
    fi
    command_of "$client"
    before=$SECONDS
    if "${command[@]}" "$base$path" >"$folder/$client.log" 2>&1 && grep -qx ok "$folder/$client.log"; then
        echo "$client: ok, $((SECONDS - before)) s"
    else
        echo "$client: failed, see $folder/$client.log"
        tail -n 5 "$folder/$client.log" | cut -c -300
        failed=1
    fi
done
exit "$failed"
