# Runs as root on a node whose archive is built: gives it the name, the mark, the sources and the kernel it came with.
set -eu
rm -f /etc/os-release
printf '%s' "$os_release" >/etc/os-release
printf '%s' "$told" >"$mark"
# Debian's own packages are not offered beside Ubuntu's names, also where the lab writes its source again.
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources
printf '%s\n' 'Package: *' 'Pin: release o=Debian' 'Pin-Priority: -1' >/etc/apt/preferences.d/stand-ins
printf '%s' "$sources" >/etc/apt/sources.list.d/ubuntu.sources
printf '%s\n' MODULES=list COMPRESSLEVEL=1 >/etc/initramfs-tools/conf.d/stand-ins
rm -rf /var/lib/apt/lists/*
apt-get -qq update
export DEBIAN_FRONTEND=noninteractive
apt-get -q -y --no-install-recommends install "linux-image-$kernel" >"$place/installed" </dev/null || {
    tail -n 20 "$place/installed"
    exit 1
}
[ "$(readlink -f /vmlinuz)" = "/boot/vmlinuz-$kernel" ]
[ -s "/boot/initrd.img-$kernel" ]
rm -f "$place/installed"
