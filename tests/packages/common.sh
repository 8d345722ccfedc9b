# What the scripts beside this one share; to be sourced from the top folder. Nothing here waits without a bound.

# Says what is wrong, and ends the script.
die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# Starts `COMMAND… demo` on a free port, asks it for the workspaces, and ends it with SIGTERM, as a service manager would.
demo_answers() {
    local line address='' said='' code=0 answer pid out
    exec {out}< <(exec "$@" demo --listen 127.0.0.1:0 2>&1)
    pid=$!
    while [ -z "$address" ] && read -r -t 60 -u "$out" line; do
        [[ $line =~ (http://127\.0\.0\.1:[0-9]+)$ ]] && address=${BASH_REMATCH[1]}
        said+="$line"$'\n'
    done
    if [ -z "$address" ]; then
        kill "$pid" 2>/dev/null || true
        die "$* demo says no address within 60 s: $said"
    fi
    answer=$(curl --silent --show-error --fail --noproxy '*' --max-time 20 "$address/v1/workspaces") || code=$?
    kill -TERM "$pid"
    # Whatever it still says must find a reader.
    cat <&"$out" >/dev/null
    exec {out}<&-
    wait "$pid" || die "$* demo ended with $? after SIGTERM"
    [ "$code" = 0 ] || die "curl ended with $code"
    grep -q '"workspaceId"' <<<"$answer" || die "no workspaces in: $answer"
    echo "$* demo: workspaces are listed, and SIGTERM ends it with 0"
}
