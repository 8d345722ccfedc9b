#!/usr/bin/env bash
# An archive for those who have no package manager for it:
#
#     config/packages/archive.sh BINARY NAME FOLDER        writes FOLDER/NAME.tar.gz, with one folder NAME in it
set -euo pipefail
[ $# = 3 ] || { echo "usage: $0 BINARY NAME FOLDER"; exit 2; }
binary=$(realpath "$1") name=$2
mkdir -p "$3"
folder=$(cd "$3" && pwd)
cd "$(dirname "$0")/../.."

config/packages/stage.sh "$binary"
stage=target/packages/archive
rm -rf "$stage" && mkdir -p "$stage/$name/config"
cp target/packages/dist/airbyte-proxy README.md SECURITY.md LICENSE-APACHE LICENSE-MIT "$stage/$name/"
cp -R target/packages/man target/packages/completions docs "$stage/$name/"
cp -R config/airbyte-proxy.toml config/systemd "$stage/$name/config/"
tar -C "$stage" -czf "$folder/$name.tar.gz" "$name"
rm -rf "$stage"
echo "$folder/$name.tar.gz"
