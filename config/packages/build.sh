#!/usr/bin/env bash
# Builds the program as it is shipped for Linux:
#
#     config/packages/build.sh BINARY            writes the program to BINARY
#     config/packages/build.sh --profile FILE    writes what another build needs for the same, see below
#
# It is compiled twice. The first one counts which ways through it requests take, and is made to serve for a minute; the second
# one has these ways as the short ones (profile-guided optimisation). docs/performance.md says what that gives.
#
# Another build, such as maturin's, sets RUSTFLAGS=-Cprofile-use=FILE with an absolute path, and takes --profile dist and --target:
# with another profile or without a target symbols have other names, and what was counted is silently of no use.
#
# Linux only. Needs llvm-profdata (rustup component add llvm-tools); takes ten minutes.
set -euo pipefail
binary='' profile=''
case "$#:${1:-}" in
    2:--profile) profile=$2 ;;
    1:[!-]*) binary=$1 ;;
esac
output=$binary$profile
if [ -z "$output" ] || [ -d "$output" ]; then
    echo "usage: $0 BINARY, or $0 --profile FILE" >&2
    exit 2
fi
mkdir -p "$(dirname "$output")"
output=$(realpath "$output")
cd "$(dirname "$0")/../.."

# Of whoever asks; they would stand in the way of counting.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS LLVM_PROFILE_FILE "${!AIRBYTE_PROXY_@}"
host=$(rustc -vV | sed -n 's/^host: //p')
profdata="$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata"
fail() {
    echo "$0: $*" >&2
    exit 1
}
[ -x "$profdata" ] || fail 'there is no llvm-profdata for this compiler: rustup component add llvm-tools'
mkdir -p "${CARGO_TARGET_DIR:-target}/shipped"
# Absolute: whatever counts does so from a folder of its own.
folder=$(realpath "${CARGO_TARGET_DIR:-target}/shipped")
counts="$folder/counts"
rm -rf "$counts" && mkdir "$counts"

# In a folder of its own, since other flags are a reason to compile everything anew. Encoded, a flag may hold spaces.
compile() {
    CARGO_ENCODED_RUSTFLAGS=$1 CARGO_TARGET_DIR="$folder" \
        cargo build --locked --profile dist --bin airbyte-proxy --target "$host"
}

compile "-Cprofile-generate=$counts"
counting="$folder/$host/dist/airbyte-proxy"

# Requests that are forwarded: over TLS, by both protocols, small and large, in both directions.
report=$(cargo bench --locked --profile dev --bench peers -- --binary "$counting" --proxies airbyte-proxy \
    --only 64,512,1k,1m --repeat 1 --seconds 1 --warm 0.2)
echo "$report"
[ "$(grep -c '^| airbyte-proxy .*[0-9] |' <<<"$report")" = 16 ] && ! grep -q 'Not counted' <<<"$report" ||
    fail 'not everything was counted, see above'

# Lists, whole and by pages. Asked for by the shell alone, since a place to build in may have no curl.
"$counting" demo --listen 127.0.0.1:0 >"$folder/demo.log" 2>&1 &
demo=$! port=''
trap 'kill "$demo"' EXIT
for _ in {1..100}; do
    port=$(sed -n 's|.*http://127\.0\.0\.1:\([0-9]*\)$|\1|p' "$folder/demo.log" | head -n 1)
    [ -z "$port" ] || break
    sleep 0.1
done
[ -n "$port" ] || fail "the demo does not say where it listens: $(cat "$folder/demo.log")"
for _ in {1..100}; do
    for path in '/v1/connections' '/v1/jobs?limit=10' '/v1/sources?limit=5&offset=5' '/-/all/v1/jobs'; do
        exec {socket}<>"/dev/tcp/127.0.0.1/$port"
        printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$path" >&"$socket"
        answer=$(timeout 20 cat <&"$socket") || answer=none
        exec {socket}<&-
        [[ $answer == 'HTTP/1.1 200 '* ]] || fail "the demo's answer to $path: ${answer%%$'\r'*}"
    done
done
trap - EXIT
kill "$demo"
# It writes what it has counted when it ends.
wait "$demo" || fail "the demo ended with $?"

if [ -n "$profile" ]; then
    "$profdata" merge --output "$output" "$counts"
else
    "$profdata" merge --output "$folder/profile" "$counts"
    compile "-Cprofile-use=$folder/profile"
    # Anew, since the file may be running, or be one that cargo has made and goes on to take for its own.
    rm -f "$output"
    cp "$folder/$host/dist/airbyte-proxy" "$output"
fi
ls -l "$output"
