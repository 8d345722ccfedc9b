#!/bin/bash
# What is done under the systemd that boot.sh has booted. Each step says what came of it in a line.
port=$1
at=http://127.0.0.1:$port
unit=airbyte-proxy.service

ask() { curl --silent --show-error --max-time 20 --noproxy '*' --output /dev/null --write-out '%{http_code}' "$@"; }
state() { systemctl show --property="$1" --value "$unit"; }

systemctl start airbyte-proxy.socket
echo "before anybody asks: $(state ActiveState)"
echo "the first request: $(ask "$at/v1/workspaces")"
echo "by IPv6: $(ask "http://[::1]:$port/v1/workspaces")"
echo "then: $(state ActiveState), $(state StatusText)"

pid=$(state MainPID)
uid=$(awk '/^Uid:/ { print $2 }' "/proc/$pid/status")
echo "a user of its own: $([ "$uid" -ge 61184 ] && [ "$uid" -le 65519 ] && echo yes || echo "$uid")"
echo "capabilities, filter: $(awk '/^(CapEff|CapBnd|NoNewPrivs|Seccomp):/ { printf "%s ", $2 }' "/proc/$pid/status")"
credentials=/run/credentials/$unit
echo "somebody else reads them: $(setpriv --reuid=65534 --regid=65534 --clear-groups cat "$credentials/client-secret" 2>&1 | grep -c 'Permission denied')"
echo "the environment holds the secret: $(grep -c -F -f /etc/airbyte-proxy/client-secret "/proc/$pid/environ")"

systemctl reload "$unit"
echo "reload: $?, $(state ActiveState)"
[ "$(state MainPID)" = "$pid" ] && echo 'the same process'

# Requests all the time while it restarts.
for _ in $(seq 60); do ask "$at/v1/workspaces"; echo; done >/run/answers &
asking=$!
for _ in 1 2 3; do systemctl restart "$unit" || echo 'no restart'; done
wait "$asking"
echo "during restarts: $(sort /run/answers | uniq -c | awk '{ print $2 " " $1 }')"
[ "$(state MainPID)" = "$pid" ] || echo 'another process'

systemctl stop "$unit" 2>/dev/null
echo "stop: $(state Result), $(state ExecMainStatus)"
echo "started again by a request: $(ask "$at/-/live"), $(state ActiveState)"

systemctl stop airbyte-proxy.socket "$unit" 2>/dev/null
systemctl start "$unit"
echo "without the socket: $(ask "$at/v1/workspaces"), $(state ActiveState)"

# Whoever has written something wrongly is told, and not started again and again.
systemctl stop "$unit"
echo 'no_such_key = 1' >/etc/airbyte-proxy/config.toml
systemctl reset-failed
systemctl start "$unit" 2>/dev/null
echo "a wrong configuration: $(state Result), $(state ExecMainStatus), restarts $(state NRestarts)"
rm /etc/airbyte-proxy/client-secret
systemctl reset-failed
systemctl start "$unit" 2>/dev/null
echo "without the file of the secret: $(state Result), $(state ExecMainStatus)"
echo 'all steps done'
