"""Symbol versions: would the kernel let one module use what another exports? Asked of the files, before any reboot.

The kernel compares, symbol by symbol, the checksum that a module was built against with the one that the exporter
bears, and refuses with `disagrees about version of symbol` (NVIDIA/gpu-operator#2868, read 2026-11-21). The importer's
checksums are what `modprobe --dump-modversions` prints (kmod 30 and 34, x86_64), the exporter's are the values of its
`__crc_` symbols: absolute, or where they point to in a section (kernels 5.10 to 6.12, read 2026-11-21).
"""

from __future__ import annotations

from provision.platforms.shell import program

_CHECK = """\
folder=/lib/modules/$release
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 143' HUP INT TERM
plain() {
    case $1 in
    *.xz) xz -dc "$1" ;;
    *.zst) zstd -dcq "$1" ;;
    *.gz) gzip -dc "$1" ;;
    *) cat "$1" ;;
    esac
}
# Of what depmod would let modprobe choose: symbol -> the module that exports it.
exporter_of() {
    awk -v alias="symbol:$1" '$2 == alias { print $3; exit }' "$folder/modules.symbols"
}
section_word() {
    objdump -s -j "$2" --start-address="0x$3" --stop-address=$((0x$3 + 4)) "$1" | awk '
        content { print "0x" substr($2, 7, 2) substr($2, 5, 2) substr($2, 3, 2) substr($2, 1, 2); exit }
        /^Contents of section/ { content = 1 }'
}
exported() {
    set -- "$1" $(objdump -t "$1" | awk -v name="__crc_$2" '$NF == name { print $(NF - 2), $1; exit }')
    [ $# = 3 ] || return 0
    if [ "$2" = '*ABS*' ]; then printf '0x%08x\\n' "0x$3"; else section_word "$1" "$2" "$3"; fi
}

[ -r "$folder/modules.symbols" ] || die "kernel $release has no $folder/modules.symbols: depmod did not run"
if [ -z "$(exporter_of "$required")" ]; then
    echo "no module for kernel $release exports $required: no OFED that $importer could use"
    exit 0
fi
path=$(find "$folder/updates/" "$folder/" -name "$importer.ko" -o -name "$importer.ko.*" 2>/dev/null | head -n 1)
[ -n "$path" ] || die "there is no $importer.ko for kernel $release"
command -v objdump >/dev/null || die 'objdump (binutils) is not on this node, so symbol versions cannot be compared'
modprobe --dump-modversions "$path" >"$scratch/imports" || die "$path: modprobe cannot read its symbol versions"
grep -q -w "$required" "$scratch/imports" ||
    die "$path was built without OFED: it does not use $required, which $(exporter_of "$required") exports"
count=0
while read -r crc symbol; do
    case $symbol in ib_*) ;; *) continue ;; esac
    from=$(exporter_of "$symbol")
    [ -n "$from" ] || die "$path wants $symbol, and no module for kernel $release exports it"
    if [ ! -e "$scratch/$from" ]; then
        file=$(modinfo -k "$release" -n "$from") && [ -r "$file" ] || die "there is no $from for kernel $release"
        plain "$file" >"$scratch/$from"
    fi
    has=$(exported "$scratch/$from" "$symbol")
    [ -n "$has" ] || die "$from exports $symbol without a version"
    [ "$((crc))" = "$((has))" ] ||
        die "$path was built against another OFED: it wants $symbol $crc, $from has $has"
    count=$((count + 1))
done <"$scratch/imports"
echo "$importer fits OFED for kernel $release: $count symbol versions are those of $from"
"""

PEER_MEMORY = "ib_register_peer_memory_client"
"""What OFED's InfiniBand core exports for nvidia-peermem and the distributions' do not (nvidia-peermem.Kbuild)."""


def peer_memory_fits(importer: str, release: str) -> str:
    """Test: the module uses the peer memory of the OFED that is installed for the kernel; or there is no such OFED.

    Args:
        importer: file name of nvidia-peermem without `.ko`.
        release: of the kernel that will load it.
    """
    return program(_CHECK, importer=importer, release=release, required=PEER_MEMORY)
