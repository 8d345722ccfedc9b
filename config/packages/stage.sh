#!/usr/bin/env bash
# Lays ready what a Debian package and an archive hold besides the repository's own files, out of a built binary:
#
#     config/packages/stage.sh BINARY
#
# target/packages/dist/airbyte-proxy, target/packages/man/*.1, target/packages/completions/*
set -euo pipefail
binary=$(realpath "${1:?which binary?}")
cd "$(dirname "$0")/../.."

stage=target/packages
rm -rf "$stage/dist" "$stage/man" "$stage/completions"
mkdir -p "$stage/dist" "$stage/man" "$stage/completions"
# Where cargo-deb looks for it, told that the target folder is this one.
install -m 755 "$binary" "$stage/dist/airbyte-proxy"

"$binary" man >"$stage/man/airbyte-proxy.1"
# The commands, as the help lists them.
commands=$("$binary" --help | sed -n '/^Commands:$/,/^$/s/^  \([a-z][a-z]*\) .*/\1/p' | grep -vx help)
[ "$(wc -w <<<"$commands")" -ge 10 ] || { echo "the help lists too few commands: $commands"; exit 1; }
for command in $commands; do
    "$binary" man "$command" >"$stage/man/airbyte-proxy-$command.1"
done

"$binary" completions bash >"$stage/completions/airbyte-proxy.bash"
"$binary" completions zsh >"$stage/completions/_airbyte-proxy"
"$binary" completions fish >"$stage/completions/airbyte-proxy.fish"
