#!/usr/bin/env bash
# image.sh BINARY|FOLDER: runs the root file system of the image as a container would, and holds it to its promises.
#
# BINARY is put into a root file system by the script that the Dockerfile uses; of FOLDER, the mounted root of an image that
# has been built, a copy is run. Then: how large it is, that nothing else in it can be run, and, in namespaces of its own, read-only,
# as the image's user, without capabilities: the demo, its health, names, certificates, and its end.
# Needs root, for the namespaces. Nothing of the network is used, and nothing outside a temporary folder is changed.
set -euo pipefail
cd "$(dirname "$0")/../.."

fail() {
    echo "image: $*" >&2
    exit 1
}

# Run again by itself inside new namespaces, with the root file system as $2.
inside() {
    root=$1
    ip link set lo up
    # As a runtime does it: names by a file of its own, /proc, and nothing that can be written.
    printf '127.0.0.1 localhost airbyte.test\n' >"$scratch/hosts"
    mount --bind "$root" "$scratch/root"
    root=$scratch/root
    mount -t proc -o ro,nosuid,nodev,noexec proc "$root/proc"
    mount --bind "$scratch/hosts" "$root/etc/hosts"
    mount -o remount,bind,ro,nosuid,nodev "$root"

    # Something of the image, as its user, with these variables and no others.
    variables=()
    contain=(/usr/bin/setpriv --no-new-privs /usr/sbin/chroot --userspec=65532:65532 --groups= "$root")
    contained() { env -i "${variables[@]}" "${contain[@]}" /usr/local/bin/airbyte-proxy "$@"; }

    (touch "$root/x") 2>/dev/null && fail 'its root can be written'
    "${contain[@]}" /bin/sh -c true 2>/dev/null && fail 'it has a shell'

    # The program is process 1, for which signals that nobody handles do nothing.
    env -i /usr/bin/unshare --pid --fork "${contain[@]}" /usr/local/bin/airbyte-proxy demo >"$scratch/demo" 2>&1 &
    runner=$!
    for _ in $(seq 100); do
        contained healthcheck --ready 2>/dev/null && break
        kill -0 "$runner" 2>/dev/null || fail "the demo ended: $(cat "$scratch/demo")"
        sleep 0.1
    done
    contained healthcheck || fail 'it is not healthy'
    contained healthcheck --ready || fail 'it is not ready'
    curl --silent --show-error --fail --max-time 10 http://localhost:8484/v1/workspaces | grep -q '"data"' || fail 'no workspaces'
    pid=$(cat "/proc/$runner/task/$runner/children")
    pid=${pid% }
    grep -q $'^NSpid:.*\t1$' "/proc/$pid/status" || fail 'it is not process 1'
    grep -q $'^Uid:\t65532\t65532\t65532\t65532$' "/proc/$pid/status" || fail 'it runs as another user'
    grep -q $'^CapEff:\t0000000000000000$' "/proc/$pid/status" || fail 'it has capabilities'
    kill -TERM "$pid"
    code=0
    wait "$runner" || code=$?
    [ "$code" = 0 ] || fail "it ended with $code: $(cat "$scratch/demo")"

    # Names: of /etc/hosts, without a name server. Nothing listens at that port.
    variables=(AIRBYTE_CLIENT_ID=x AIRBYTE_CLIENT_SECRET=x AIRBYTE_PROXY_UPSTREAM_ALLOW_HTTP=true
        AIRBYTE_PROXY_UPSTREAM_API_URL=http://airbyte.test:9/v1)
    contained token 2>"$scratch/said" && fail 'a token from nobody'
    grep -qi 'refused' "$scratch/said" || fail "names of /etc/hosts are not found: $(cat "$scratch/said")"
    # Certificates: with them it gets as far as the connection.
    variables=(AIRBYTE_CLIENT_ID=x AIRBYTE_CLIENT_SECRET=x AIRBYTE_PROXY_UPSTREAM_API_URL=https://airbyte.test:9/v1)
    contained token 2>"$scratch/said" && fail 'a token from nobody'
    grep -qi 'refused' "$scratch/said" || fail "not ready for https: $(cat "$scratch/said")"
}

if [ "${1:-}" = --inside ]; then
    scratch=$3
    inside "$2"
    exit
fi

[ $# = 1 ] || fail 'image.sh BINARY|FOLDER'
if [ "$(id -u)" != 0 ]; then
    echo 'image: left out, it needs root'
    exit
fi
scratch=$(mktemp -d)
trap 'rm -rf --one-file-system "$scratch"' EXIT
mkdir "$scratch/root" "$scratch/image"
root=$scratch/image
if [ -f "$1" ]; then
    config/containers/rootfs.sh "$1" "$root"
else
    cp -a "$1/." "$root"
fi
# A runtime makes the places where it mounts something.
mkdir -p "$root/proc"
[ -e "$root/etc/hosts" ] || : >"$root/etc/hosts"

bytes=$(du --summarize --apparent-size --block-size=1 "$root" | cut -f1)
program=$(stat --format=%s "$root/usr/local/bin/airbyte-proxy")
[ $((bytes - program)) -lt 5000000 ] || fail "$((bytes - program)) bytes besides the program"
if [ "$program" -lt 20000000 ]; then
    [ "$bytes" -lt 20000000 ] || fail "$bytes bytes"
else
    echo "image: the program is no release ($program bytes), so the whole is not measured"
fi
runnable=$(find "$root" -type f -perm /111 -printf '%P\n' | grep -vE '^(usr/)?lib(64)?/' | sort)
[ "$runnable" = usr/local/bin/airbyte-proxy ] || fail "what can be run in it: $runnable"
strays=$(find "$root" -mindepth 1 ! -type d ! -type f -printf '%P\n')
[ -z "$strays" ] || fail "neither files nor folders: $strays"

timeout 120 unshare --mount --net --propagation private tests/containers/image.sh --inside "$root" "$scratch"
echo "image: $bytes bytes, of which the program has $program; it serves the demo as user 65532, read-only, as process 1"
