# Runs as root on a node. The stand-ins' trees lie in $work/SUITE/PACKAGE; what is made: /srv/stand-ins/SUITE, signed.
set -eu
work=/srv/stand-ins/trees
cd "$work"
arch=$(dpkg --print-architecture)
while read -r path soname; do
    mkdir -p "${path%/*}"
    case $path in
    *.ko) gcc-14 -c -x c -o "$path" /dev/null ;;
    *) gcc-14 -shared -nostdlib -Wl,-soname,"$soname" -x c -o "$path" /dev/null ;;
    esac
done <libraries
for tree in */*/DEBIAN; do
    tree=${tree%/DEBIAN}
    chmod 755 "$tree" "$tree/DEBIAN"
    find "$tree" -type f -path '*/DEBIAN/p*' -exec chmod 755 {} +
    dpkg-deb --root-owner-group -Zgzip -z1 --build "$tree" "${tree%/*}" >/dev/null
    rm -rf "$tree"
done

# Headers without the thousands of empty markers that only a build of the kernel itself reads, and without the image
# that type information is taken from: unpacking them would be most of a bring-up.
thin() {
    find "$1/include/config" -type f -empty -delete
    rm -rf "$1/vmlinux"
}
dpkg-deb -R "$work"/real/linux-headers-"$release"_*.deb new
rm -rf new/usr/share new/DEBIAN/md5sums
thin "new/usr/src/linux-headers-$release"
cp -a new old
dpkg-deb --root-owner-group -Zgzip -z1 --build new common >/dev/null

# The older kernel's headers: the same under another release.
find old -depth -name "*$release*" | while read -r path; do
    name=${path##*/}
    mv "$path" "${path%/*}/$(printf %s "$name" | sed "s/$release/$older/g")"
done
tree=old/usr/src/linux-headers-$older
grep -rIlF "$release" "$tree" old/DEBIAN/postinst | xargs sed -i "s/$release/$older/g"
ln -sfn "../../../src/linux-headers-$older" "old/usr/lib/modules/$older/build"
{ sed '/^Description:/,$d' old/DEBIAN/control | sed "s/$upstream/$earlier/g"; cat description; } >control
mv control old/DEBIAN/control
dpkg-deb --root-owner-group -Zgzip -z1 --build old common >/dev/null
rm -rf old new

export GNUPGHOME=$work/key
mkdir -m 700 "$GNUPGHOME"
gpg --batch --quiet --passphrase '' --quick-generate-key 'stand-ins <stand-ins@localhost>' rsa3072 sign never
gpg --batch --quiet --export --output /srv/stand-ins/key.gpg
for suite in good bad fixed; do
    mkdir -p "/srv/stand-ins/$suite"
    ln common/*.deb "$suite"/*.deb "/srv/stand-ins/$suite/"
    cd "/srv/stand-ins/$suite"
    apt-ftparchive packages . >Packages
    apt-ftparchive -o APT::FTPArchive::Release::Origin=stand-ins -o APT::FTPArchive::Release::Suite="$suite" release . \
        >../Release
    mv ../Release Release
    gpg --batch --quiet --clearsign --output InRelease Release
    rm Release
    cd "$work"
done
gpgconf --kill all
cd /
rm -rf "$work"

# Nothing but the stand-ins is offered from now on: a bring-up needs no network, and no real package of the same
# version can be taken instead.
mkdir -p /etc/apt/stand-ins.d
cat >/etc/apt/apt.conf.d/99zz-stand-ins <<'END'
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "/etc/apt/stand-ins.d";
END
printf '%s\n' MODULES=list COMPRESSLEVEL=1 >/etc/initramfs-tools/conf.d/stand-ins
