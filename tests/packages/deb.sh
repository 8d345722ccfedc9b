#!/usr/bin/env bash
# The Debian package: it installs in a clean Debian, its binary serves the demo there, and a purge leaves nothing.
#
#     tests/packages/deb.sh                     builds the binary as it is shipped, which takes minutes
#     tests/packages/deb.sh --binary FILE       packs this one
#     tests/packages/deb.sh --deb FILE          tries the package that is there
#     tests/packages/deb.sh … --without-tree    packs and looks at it, and installs it nowhere
#
# Needs cargo-deb, unless it is given a package; root, debootstrap and Debian's mirror for the clean Debian.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/packages/common.sh

binary='' deb='' tree=yes arguments=("$@")
while [ $# -gt 0 ]; do
    case $1 in
        --binary) binary=$2; shift 2 ;;
        --deb) deb=$(realpath "$2"); shift 2 ;;
        --without-tree) tree=''; shift ;;
        *) die "what is $1?" ;;
    esac
done

# The clean Debian lives in memory, which spares the disk dpkg's care for it; in a view of the mounts that is ours alone, so
# that nothing stays mounted however this ends.
if [ -n "$tree" ] && [ "$(id -u)" = 0 ] && [ -z "${OWN_MOUNTS:-}" ] && unshare --mount true 2>/dev/null; then
    OWN_MOUNTS=yes exec unshare --mount "$PWD/tests/packages/deb.sh" "${arguments[@]}"
fi

scratch=$(mktemp -d)
root=$scratch/debian
mkdir "$root"
clean() {
    ! mountpoint --quiet "$root" || umount "$root"
    rm -rf --one-file-system "$scratch"
}
trap clean EXIT

# Packs as $1, with further options.
pack() {
    CARGO_TARGET_DIR="$PWD/target/packages" cargo deb --quiet --no-build --profile dist --compress-system --output "$1" "${@:2}" >/dev/null
}

newer=''
if [ -z "$deb" ]; then
    if [ -z "$binary" ]; then
        cargo build --locked --profile dist
        binary=${CARGO_TARGET_DIR:-target}/dist/airbyte-proxy
    fi
    config/packages/stage.sh "$binary"
    deb=$scratch/airbyte-proxy.deb newer=$scratch/newer.deb
    pack "$deb"
    pack "$newer" --fast --deb-version 999.0.0-1
fi
echo "$(dpkg-deb --show --showformat '${Package} ${Version} ${Architecture}, depends on ${Depends}' "$deb")," \
    "$(($(stat -c %s "$deb") / 1024)) KiB"

files=$(dpkg-deb --contents "$deb" | awk '{ print $6 }')
for file in usr/bin/airbyte-proxy etc/airbyte-proxy/README usr/share/man/man1/airbyte-proxy.1.gz \
    usr/share/man/man1/airbyte-proxy-run.1.gz usr/share/bash-completion/completions/airbyte-proxy \
    usr/share/zsh/vendor-completions/_airbyte-proxy usr/share/fish/vendor_completions.d/airbyte-proxy.fish \
    usr/share/doc/airbyte-proxy/copyright usr/share/doc/airbyte-proxy/docs/third-party-licenses.txt \
    usr/share/doc/airbyte-proxy/examples/airbyte-proxy.toml usr/lib/systemd/system/airbyte-proxy.service \
    usr/lib/systemd/system/airbyte-proxy.socket; do
    grep -qx "./$file" <<<"$files" || die "the package has no $file"
done

if command -v lintian >/dev/null; then
    # The owner's to fill in, and no changelog is kept.
    lintian --allow-root --fail-on error --suppress-tags malformed-contact,no-changelog "$deb"
else
    echo 'no lintian: not asked'
fi
[ -n "$tree" ] || exit 0

[ "$(id -u)" = 0 ] || die 'a clean Debian is made by root alone; --without-tree leaves it out'
[ -z "${OWN_MOUNTS:-}" ] || mount -t tmpfs -o size=2g,mode=755 tmpfs "$root"
# From where this machine has its packages.
mirror=$(find /etc/apt -maxdepth 2 -name '*.sources' -o -name '*.list' |
    xargs sed -n 's/^URIs: *//p; s/^deb \(\[[^]]*\] \)\?\([^ ]*\) .*/\2/p' | grep -m 1 '/debian/\?$') || die 'no mirror of Debian in the sources of apt'
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
debootstrap --variant=minbase "$suite" "$root" "$mirror" >"$scratch/debootstrap.log" 2>&1 ||
    { tail -n 20 "$scratch/debootstrap.log"; die 'debootstrap failed'; }

# Every file of the tree, without the lists and logs of the package manager itself.
listing() {
    (cd "$root" && find . -path ./proc -prune -o -path ./sys -prune -o -path ./var/cache -prune -o -path ./var/log -prune \
        -o -path ./var/lib/dpkg -prune -o -path ./var/lib/apt -prune -o -print | sort)
}
inside() {
    chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"
}

listing >"$scratch/before"
cp "$deb" "$root/root/airbyte-proxy.deb"
# What it depends on is there already; what it recommends would come from the network.
inside apt-get install -o Dpkg::Use-Pty=0 --quiet --quiet --yes --no-install-recommends /root/airbyte-proxy.deb
demo_answers chroot --userspec=nobody "$root" /usr/bin/airbyte-proxy
[ "$(inside airbyte-proxy --version)" = "$("$root/usr/bin/airbyte-proxy" --version)" ] || die 'it says another version'
! find "$root/etc/systemd/system" -name 'airbyte-proxy*' | grep . || die 'the service is enabled'

if [ -n "$newer" ]; then
    echo 'changed by hand' >>"$root/etc/airbyte-proxy/README"
    cp "$newer" "$root/root/airbyte-proxy.deb"
    inside apt-get install -o Dpkg::Use-Pty=0 --quiet --quiet --yes --no-install-recommends /root/airbyte-proxy.deb
    [ "$(inside dpkg-query --show --showformat '${Version}' airbyte-proxy)" = 999.0.0-1 ] || die 'not upgraded'
    grep -q 'changed by hand' "$root/etc/airbyte-proxy/README" || die 'an upgrade threw a change away'
    echo 'upgraded, and what was changed by hand is still there'
fi

# What somebody wrote there is theirs: a purge must not take it.
touch "$root/etc/airbyte-proxy/client-secret"
inside apt-get purge -o Dpkg::Use-Pty=0 --quiet --quiet --yes airbyte-proxy
rm "$root/root/airbyte-proxy.deb"
rm "$root/etc/airbyte-proxy/client-secret" || die 'the purge took a file that is not of the package'
rmdir "$root/etc/airbyte-proxy"
listing >"$scratch/after"
diff "$scratch/before" "$scratch/after" || die 'the purge has left that'
echo 'purged, and nothing is left but what was written by hand'
