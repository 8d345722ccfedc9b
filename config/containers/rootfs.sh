#!/bin/sh
# rootfs.sh BINARY FOLDER: lays out in FOLDER all that the image holds, taken from the system that this runs on.
#
# That is the program, the C library it is linked with, and the root certificates. No shell, no package manager, nothing
# that a request could be made to start. The Dockerfile runs it in its build stage; the test of the image runs it too, so
# what is tested is what is shipped.
set -eu

binary=$1
root=$2

mkdir -p "$root/usr/local/bin" "$root/etc/ssl/certs" "$root/etc/airbyte-proxy"
cp "$binary" "$root/usr/local/bin/airbyte-proxy"
chmod 0755 "$root/usr/local/bin/airbyte-proxy"

# Each library under the name by which the loader looks for it: "libc.so.6 => /lib/…/libc.so.6 (0x…)", and the loader
# itself, which has no arrow. Since glibc 2.34 libc itself looks names up, in /etc/hosts and by DNS, so this is all of it.
libraries=$(ldd "$binary" | sed -n 's|^[^/]*=> \(/[^ ]*\) .*|\1|p; s|^[[:space:]]*\(/[^ ]*\) (.*|\1|p')
for library in $libraries; do
    mkdir -p "$root${library%/*}"
    cp -L "$library" "$root$library"
done

cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"

# The licences of what is copied.
for package in libc6 libgcc-s1 ca-certificates; do
    mkdir -p "$root/usr/share/doc/$package"
    cp -L "/usr/share/doc/$package/copyright" "$root/usr/share/doc/$package/"
done
