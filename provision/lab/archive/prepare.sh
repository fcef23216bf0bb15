# Runs as root on a node that reaches Debian's archive. Installs what is real about a node with stand-ins, and lays
# Debian's kernel headers ($headers, or the newest) into $place/headers; prints what `Ground` holds, one word and its value a line.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
arch=$(dpkg --print-architecture)
[ -n "$headers" ] || headers=$(apt-cache show "linux-headers-$arch" | sed -n 's/^Depends: \(linux-headers-[^ ,]*\).*/\1/p' | head -n 1)
needs=$(apt-cache show "$headers" | sed -n 's/^Depends: //p' | head -n 1 | tr ',' '\n' |
    sed 's/^ *//' | grep -v '^linux-image-')
names=$(printf '%s\n' "$needs" | sed 's/[ |(].*//')
# shellcheck disable=SC2086
apt-get -q -y --no-install-recommends install dkms make kmod zstd initramfs-tools linux-base $names $wanted \
    >"$place/installed" </dev/null || { tail -n 20 "$place/installed"; exit 1; }
rm "$place/installed"
cd "$place"
apt-get -q download "$headers" >/dev/null
rm -rf headers unpacked
dpkg-deb -x "$headers"_*.deb unpacked
rm -f "$headers"_*.deb
mv "unpacked/usr/src/$headers" headers
rm -rf unpacked headers/vmlinux
# Thousands of empty markers that only a build of the kernel itself reads.
find headers/include/config -type f -empty -delete
for link in scripts tools; do ln -sfn "/usr/lib/$(readlink "headers/$link" | sed 's,^.*/lib/,,')" "headers/$link"; done
apt-get clean
printf 'package_arch %s\n' "$arch"
printf 'multiarch %s\n' "$(gcc -print-multiarch)"
printf 'common %s\n' "$(sed -n 's,^include \(.*\)/Makefile$,\1,p' headers/Makefile)"
printf 'generated %s\n' "$(ls headers/include/generated | tr '\n' ' ')"
printf '%s\n' "$needs" | sed 's/^/needs /'
