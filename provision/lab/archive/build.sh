# Runs as root on a node. $work/packages/REPOSITORY/N holds a package's tree, `libraries` what is compiled, and
# `repositories` one line each: folder|origin|label. What is made: $place/REPOSITORY, indexed and signed, and
# $place/REPOSITORY.gpg and .asc, the key that signed it. `built` has a line for each package with modules that are built
# here of modules/REPOSITORY/N: folder, kernel, place. The keys' private halves are thrown away. $mark marks the node.
set -eu
cd "$work/packages"
compile() {
    mkdir -p "${1%/*}"
    case $2 in
    module) gcc -c -x c -o "$1" /dev/null ;;
    *) gcc -shared -nostdlib -Wl,-soname,"$2" -x c -o "$1" /dev/null ;;
    esac
}
while read -r path soname; do compile "$path" "$soname"; done <"$work/libraries"

export GNUPGHOME="$work/keys"
mkdir -m 700 "$GNUPGHOME"
sign_with="$work/keys/modules"
[ ! -s "$work/built" ] || openssl req -quiet -new -x509 -newkey rsa:2048 -nodes -days 3650 \
    -subj '/CN=stand-in for a distribution/' -keyout "$sign_with.key" -out "$sign_with.crt"
while read -r folder release where; do
    tree="$work/modules/$folder" into="$folder$where"
    make -s -C "$tree/headers" M="$tree/source" KERNELRELEASE="$release" CONFIG_DEBUG_INFO_BTF_MODULES= modules \
        >"$work/said" 2>&1 || {
        tail -n 20 "$work/said"
        exit 1
    }
    mkdir -p "$into"
    for module in "$tree/source"/*.ko; do
        "$tree/headers/scripts/sign-file" sha256 "$sign_with.key" "$sign_with.crt" "$module" "$into/${module##*/}"
    done
done <"$work/built"

while IFS='|' read -r folder origin label; do
    mkdir -p "$place/$folder"
    for control in "$folder"/*/DEBIAN/control; do
        tree=${control%/DEBIAN/control}
        # A repository may lie in the folder of another one: doca/A beside doca/B, never below it.
        chmod 755 "$tree" "$tree/DEBIAN"
        find "$tree" -type f -path '*/DEBIAN/p*' -exec chmod 755 {} +
        dpkg-deb --root-owner-group -Zgzip -z1 --build "$tree" "$place/$folder" >"$work/said" 2>&1 || {
            cat "$work/said"
            exit 1
        }
    done
    user="stand-ins of $folder <$(echo "$folder" | tr / -)@localhost>"
    gpg --batch --quiet --passphrase '' --quick-generate-key "$user" ed25519 sign never
    gpg --batch --quiet --export --output "$place/$folder.gpg" "$user"
    gpg --batch --quiet --armor --export --output "$place/$folder.asc" "$user"
    (
        cd "$place/$folder"
        apt-ftparchive packages . >Packages
        apt-ftparchive -o "APT::FTPArchive::Release::Origin=$origin" -o "APT::FTPArchive::Release::Label=$label" \
            -o 'APT::FTPArchive::Release::Description=stand-ins, made by provision lab' release . >"$work/Release"
        gpg --batch --quiet --local-user "$user" --clearsign --output InRelease "$work/Release"
    )
done <"$work/repositories"
gpgconf --kill all
[ -e "$mark" ] || printf '%s\n' "the packages from $place are stand-ins" >"$mark"
rm -rf "$work"
