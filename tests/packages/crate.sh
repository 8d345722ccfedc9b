#!/usr/bin/env bash
# The crate: what would be published is enough to build it, and not the whole repository.
#
#     tests/packages/crate.sh                        packs it, and looks at what is in it
#     tests/packages/crate.sh --install PROFILE      also installs from that, and runs the demo
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/packages/common.sh

profile=''
while [ $# -gt 0 ]; do
    case $1 in
        --install) profile=$2; shift 2 ;;
        *) die "what is $1?" ;;
    esac
done

target=${CARGO_TARGET_DIR:-$PWD/target}
# That no URL of a repository is known yet is a warning.
cargo package --locked --allow-dirty --no-verify --quiet 2>/dev/null || cargo package --locked --allow-dirty --no-verify
crate=$(ls -t "$target"/package/airbyte-proxy-*.crate | head -n 1)
kib=$(($(stat -c %s "$crate") / 1024))
files=$(tar -tzf "$crate" | cut -d / -f 2-)
echo "$(basename "$crate"): $kib KiB, $(wc -l <<<"$files") files"
[ "$kib" -lt 2048 ] || die 'more than 2 MiB'
! grep -E '^(tests|benches|\.ci|\.github|target)/' <<<"$files" || die 'it has what nobody needs who installs it'
for file in Cargo.lock README.md SECURITY.md LICENSE-APACHE LICENSE-MIT src/main.rs pyproject.toml docs/third-party-licenses.txt; do
    grep -qx "$file" <<<"$files" || die "it has no $file"
done
[ -n "$profile" ] || exit 0

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
tar -xzf "$crate" -C "$scratch"
CARGO_TARGET_DIR=$target cargo install --quiet --locked --profile "$profile" --no-track --root "$scratch/root" \
    --path "$scratch"/airbyte-proxy-*
demo_answers "$scratch/root/bin/airbyte-proxy"
