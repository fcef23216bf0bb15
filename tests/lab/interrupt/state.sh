# Runs as root on a node: everything by which two brought-up nodes may be compared, one fact a line.
export LC_ALL=C
cd /etc
find . \( -type f -o -type l \) | grep -v -x -E \
    './(hostname|hosts|machine-id|resolv.conf|\.pwd.lock|\.updated|ld.so.cache|ssh/ssh_host_.*|apt/apt.conf.d/99provision-lab)' |
    while read -r file; do
        if [ -L "$file" ]; then echo "etc $file -> $(readlink "$file")"
        else echo "etc $(stat -c '%n %a %U:%G' "$file") $(sha256sum <"$file" | cut -c1-16)"; fi
    done
for file in /boot/*; do echo "boot $file $([ -s "$file" ] && echo full || echo empty)"; done
for link in /vmlinuz /initrd.img /vmlinuz.old /initrd.img.old; do echo "link $link $(readlink "$link")"; done
for image in /boot/initrd.img-*; do
    lsinitramfs "$image" >/tmp/initrd-names || echo "unreadable $image"
    echo "initrd $image $(sort /tmp/initrd-names | sha256sum | cut -c1-16) $(grep -c . /tmp/initrd-names)"
    unmkinitramfs "$image" /tmp/initrd-tree 2>/dev/null
    find /tmp/initrd-tree -path '*/modprobe.d/*' -type f | while read -r file; do
        echo "initrd $image ${file#/tmp/initrd-tree} $(sha256sum <"$file" | cut -c1-16)"
    done
    rm -rf /tmp/initrd-names /tmp/initrd-tree
done
dpkg-query -W -f 'package ${db:Status-Abbrev} ${Package} ${Version}\n'
apt-mark showmanual | sed 's/^/manual /'
dpkg --audit | sed 's/^/audit /'
for file in /var/lib/dpkg/updates/*; do echo "dpkg $file"; done
dkms status | sed 's/^/dkms /'
find /lib/modules/ -name '*.ko*' | while read -r file; do
    echo "module $file $(modinfo -F version "$file") $(modinfo -F vermagic "$file")"
done
grep -h . /lib/modules/*/modules.dep | sed 's/^/depends /'
(cd /var/lib/provision/derived && grep . * | sed 's/^/stamp /')
find /var/lib/provision /var/lib/dkms /var/cache/apt/archives /usr/src /usr/lib/modules -xdev |
    grep -v '^/usr/src/linux-headers-.*/' | sed 's/^/path /'
echo "paths of /usr: $(find /usr -xdev | grep -v /__pycache__ | sort | sha256sum)"
find / -xdev \( -name '.*.provision' -o -name '*.dpkg-new' -o -name '*.dpkg-tmp' \) | sed 's/^/leftover /'
for daemon in early late; do
    unit=stand-in-$daemon.service
    systemctl show "$unit" -p ActiveState -p UnitFileState -p NeedDaemonReload | sed "s/^/unit $daemon /"
    cmp "/etc/stand-in-$daemon.conf" "/run/stand-in-$daemon.configuration" && echo "unit $daemon has its configuration"
    echo "unit $daemon is of generation $(cat "/run/stand-in-$daemon.generation")"
done
echo "system $(systemctl is-system-running --wait)"
systemctl list-units --failed --plain --no-legend | sed 's/^/failed /'
for file in /run/provision/doing /run/provision/lease.provision; do [ ! -e "$file" ] || echo "leftover $file"; done
