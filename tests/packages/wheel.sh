#!/usr/bin/env bash
# The wheel: it installs in a fresh virtual environment, and `airbyte-proxy demo` runs from there; and with uv, if there is one.
#
#     tests/packages/wheel.sh                   builds the wheel as it is shipped, which takes minutes
#     tests/packages/wheel.sh --profile dev     out of what `cargo build` has built already
#     tests/packages/wheel.sh --wheel FILE      the one that is there
#
# `--sdist` also installs the source distribution, which compiles. Needs maturin, unless it is given a wheel.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/packages/common.sh

profile=dist wheel='' sdist=''
while [ $# -gt 0 ]; do
    case $1 in
        --profile) profile=$2; shift 2 ;;
        --wheel) wheel=$(realpath "$2"); shift 2 ;;
        --sdist) sdist=yes; shift ;;
        *) die "what is $1?" ;;
    esac
done

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if [ -z "$wheel" ]; then
    # The shipped profile is stripped; elsewhere that would only mean to link once more.
    strip=(); [ "$profile" = dist ] || strip=(--strip false)
    maturin build --quiet --locked --profile "$profile" "${strip[@]}" --out "$scratch/wheels"
    wheel=$(echo "$scratch"/wheels/*.whl)
fi
echo "$(basename "$wheel"): $(($(stat -c %s "$wheel") / 1024)) KiB"

python3 -m zipfile --extract "$wheel" "$scratch/unzipped"
info=$(echo "$scratch"/unzipped/airbyte_proxy-*.dist-info)
for file in LICENSE-APACHE LICENSE-MIT docs/third-party-licenses.txt; do
    [ -s "$info/licenses/$file" ] || die "the wheel has no $file"
done
# The index shows this page, and knows nothing of our folders.
! grep -nP '\]\((?!https://)|<img' "$info/METADATA" || die 'a link of the page leads nowhere on the index'
! find "$scratch/unzipped" -name '*.py' | grep . || die 'the wheel has code in Python'

python3 -m venv "$scratch/venv"
"$scratch/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-index "$wheel"
demo_answers "$scratch/venv/bin/airbyte-proxy"

if command -v uvx >/dev/null; then
    demo_answers uvx --quiet --offline --no-config --cache-dir "$scratch/uv" --from "$wheel" airbyte-proxy
else
    echo 'no uvx: not tried with it'
fi

if [ -n "$sdist" ]; then
    maturin sdist --out "$scratch/sdist"
    files=$(tar -tzf "$scratch"/sdist/*.tar.gz)
    ! grep -E '^[^/]*/(tests|benches)/' <<<"$files" || die 'the sdist has tests'
    python3 -m venv --clear "$scratch/venv"
    MATURIN_PEP517_ARGS="--profile $profile" CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}" \
        "$scratch/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$scratch"/sdist/*.tar.gz
    demo_answers "$scratch/venv/bin/airbyte-proxy"
fi
