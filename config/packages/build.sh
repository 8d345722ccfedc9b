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
case $# in
    1) binary=$1 profile='' ;;
    2) [ "$1" = --profile ] || set --; binary='' profile=${2:-} ;;
esac
[ $# -gt 0 ] && [ $# -lt 3 ] || { echo "usage: $0 BINARY, or $0 --profile FILE"; exit 2; }
mkdir -p "$(dirname "$binary$profile")"
output=$(realpath "$binary$profile")
cd "$(dirname "$0")/../.."

# Of whoever asks; they would stand in the way of counting.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS "${!AIRBYTE_PROXY_@}"
host=$(rustc -vV | sed -n 's/^host: //p')
profdata="$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata"
[ -x "$profdata" ] || { echo "there is no llvm-profdata for this compiler: rustup component add llvm-tools"; exit 1; }
folder="${CARGO_TARGET_DIR:-$PWD/target}/shipped"
counts="$folder/counts"
rm -rf "$counts" && mkdir -p "$counts"

# In a folder of its own: the flags would be taken for a reason to compile everything else anew.
compile() {
    RUSTFLAGS=$1 CARGO_TARGET_DIR="$folder" \
        cargo build --locked --profile dist --bin airbyte-proxy --target "$host"
}

compile "-Cprofile-generate=$counts"
cp "$folder/$host/dist/airbyte-proxy" "$folder/counting"

# Requests that are forwarded: over TLS, by both protocols, small and large, in both directions.
report=$(cargo bench --locked --profile dev --bench peers -- --binary "$folder/counting" --proxies airbyte-proxy \
    --only 64,512,1k,1m --repeat 1 --seconds 1 --warm 0.2)
! grep 'Not counted' <<<"$report" || { echo 'a part of the profile is missing'; exit 1; }

# Lists, whole and by pages. Asked for by the shell alone, since a place to build in may have no curl.
exec {said}< <(exec "$folder/counting" demo --listen 127.0.0.1:0 2>&1)
demo=$! port=''
trap 'kill "$demo" 2>/dev/null || true' EXIT
while [ -z "$port" ] && read -r -t 60 -u "$said" line; do
    [[ $line =~ http://127\.0\.0\.1:([0-9]+)$ ]] && port=${BASH_REMATCH[1]}
done
[ -n "$port" ] || { echo 'the demo does not say where it listens'; exit 1; }
cat <&"$said" >/dev/null &
for _ in {1..100}; do
    for path in '/v1/connections' '/v1/jobs?limit=10' '/v1/sources?limit=5&offset=5' '/-/all/v1/jobs'; do
        exec {socket}<>"/dev/tcp/127.0.0.1/$port"
        printf 'GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$path" >&"$socket"
        read -r -t 20 -u "$socket" line
        cat <&"$socket" >/dev/null
        exec {socket}<&-
        [[ $line == 'HTTP/1.1 200 '* ]] || { echo "$path is answered with $line"; exit 1; }
    done
done
kill "$demo"
# It writes what it has counted when it ends.
wait "$demo"

"$profdata" merge --output "${profile:+$output}${binary:+$folder/profile}" "$counts"
if [ -n "$binary" ]; then
    compile "-Cprofile-use=$folder/profile"
    cp "$folder/$host/dist/airbyte-proxy" "$output"
fi
ls -l "$output"
