#!/bin/bash
# Boots a systemd of its own, in namespaces, with the units of config/systemd and nothing else, and runs steps.sh there.
#
#   boot.sh FOLDER BINARY PORT
#
# FOLDER holds client-id, client-secret and config.toml; the output of the steps is in FOLDER/steps.log afterwards, and
# that of the service in FOLDER/service.log. The units listen on PORT instead of 8484. Needs root, and a kernel that
# lets it have namespaces and a cgroup; without these it ends with 77.
#
# Tried where there is a hierarchy of cgroups a controller; not where there is one alone.
#
# Of this machine it changes nothing: what systemd would write to lies under memory, and its cgroup is removed.
set -euo pipefail

own=airbyte-proxy-test-$$
here=$(cd "$(dirname "$0")" && pwd)

skip() {
    echo "skipped: $*"
    exit 77
}

# === outside ===

# Where the hierarchies of cgroups are: one, or one a controller.
hierarchies() {
    if [ -d /sys/fs/cgroup/systemd ]; then printf '%s\n' /sys/fs/cgroup/*/; else echo /sys/fs/cgroup/; fi
}

# Into a cgroup of its own in each of them, which is all that the systemd will see.
enter() {
    local root
    for root in $(hierarchies); do
        mkdir "$root$own" 2>/dev/null && echo $$ 2>/dev/null >"$root$own/cgroup.procs" || true
    done
    grep -q "name=systemd:.*$own\|^0::.*$own" /proc/self/cgroup
}

leave() {
    local root tries
    for root in $(hierarchies); do
        [ -d "$root$own" ] || continue
        echo $$ 2>/dev/null >"${root}cgroup.procs" || true
        # What was killed just now is still leaving.
        for tries in 1 2 3 4 5 6 7 8 9 10; do
            find "$root$own" -depth -type d -exec rmdir {} + 2>/dev/null && break
            sleep 0.2
        done
    done
}

outside() {
    [ "$(id -u)" = 0 ] || skip 'not root'
    [ -x /lib/systemd/systemd ] || skip 'there is no systemd here'
    unshare --fork --pid --mount --cgroup true 2>/dev/null || skip 'no namespaces here'
    trap leave EXIT
    enter || skip 'no cgroup to be had'
    timeout --kill-after=5 60 unshare --fork --pid --kill-child --mount-proc --mount --cgroup \
        "$0" --inside "$@" >"$1/boot.log" 2>&1 || { cat "$1/boot.log"; exit 1; }
}

# === inside, as process 1 ===

inside() {
    local folder=$1 binary=$2 port=$3
    mount --make-rprivate /
    mount -t tmpfs tmpfs /run
    mkdir -p /run/lock /run/given /run/kept /run/tests /run/etc-upper /run/etc-work
    mount --bind "$folder" /run/given
    cp "$here"/* /run/tests/
    cp "$here"/../../config/systemd/airbyte-proxy.* /run/tests/

    mount -t tmpfs tmpfs /usr/local
    mkdir /usr/local/bin
    cp "$binary" /usr/local/bin/airbyte-proxy
    for hidden in /tmp /var/tmp /var/log /var/lib /var/cache; do mount -t tmpfs tmpfs $hidden; done
    mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/etc-upper,workdir=/run/etc-work /etc
    cgroups

    # Of this machine's own units, only those that any other needs.
    cp /lib/systemd/system/{sysinit,basic,sockets,paths,timers,slices,swap,local-fs,local-fs-pre,network,network-online,shutdown,umount,final,exit}.target \
        /lib/systemd/system/systemd-exit.service /run/kept/
    mount -t tmpfs tmpfs /usr/lib/systemd/system
    cp /run/kept/* /usr/lib/systemd/system/
    rm -rf /etc/systemd/system
    mkdir -p /etc/systemd/system/airbyte-proxy.service.d /etc/airbyte-proxy
    install -m 600 /run/given/client-id /run/given/client-secret /etc/airbyte-proxy/
    install -m 644 /run/given/config.toml /etc/airbyte-proxy/
    units "$port"

    # As on a machine; in what it takes for a container systemd leaves it out, and credentials need it.
    mount --make-rshared /
    exec env -i container=test PATH="$PATH" /lib/systemd/systemd --system --unit=steps.service --log-target=console --show-status=no
}

# Rooted at the one that we were put into.
cgroups() {
    if [ -d /sys/fs/cgroup/systemd ]; then
        # It mounts them itself.
        mount -t tmpfs tmpfs /sys/fs/cgroup
    else
        mount -t cgroup2 cgroup2 /sys/fs/cgroup
    fi
}

units() {
    sed "s#/usr/bin/airbyte-proxy#/usr/local/bin/airbyte-proxy#" /run/tests/airbyte-proxy.service >/etc/systemd/system/airbyte-proxy.service
    sed "s#:8484#:$1#" /run/tests/airbyte-proxy.socket >/etc/systemd/system/airbyte-proxy.socket
    # There is no journal.
    printf '[Service]\nStandardError=append:/run/given/service.log\n' >/etc/systemd/system/airbyte-proxy.service.d/log.conf
    cat >/etc/systemd/system/steps.service <<-END
	[Service]
	Type=oneshot
	ExecStart=/bin/bash /run/tests/steps.sh $1
	ExecStopPost=/bin/systemctl --no-block exit 0
	StandardOutput=file:/run/given/steps.log
	StandardError=file:/run/given/steps.log
	END
}

if [ "$1" = --inside ]; then
    shift
    inside "$@"
else
    outside "$@"
fi
