"""What is plugged in, read from sysfs: no driver and no lspci is needed. Tests in POSIX sh, one line of evidence.

A virtual function (SR-IOV) is left out where its physical function is seen beside it: it is for a guest. In a guest it
stands alone and counts like any other.
"""

from __future__ import annotations

from collections.abc import Sequence

from provision.platforms.shell import program

FOR_GUESTS = ("vfio-pci", "pci-stub", "xen-pciback")
"""Drivers that hold a function for a guest: no driver of this machine can have it."""

_FUNCTIONS = """\
value() { value=; [ -r "$1" ] && IFS= read -r value <"$1"; }
# `id driver` of every function of a vendor whose class begins so: 03 displays and 3D controllers (0300, 0302), 02
# network cards, 0680 bridges, which NVSwitches are (pci.ids c1c12547).
functions() {
    for device in /sys/bus/pci/devices/*; do
        value "$device/vendor" && [ "$value" = "0x$1" ] || continue
        value "$device/class" || continue
        case ${value#0x} in "$2"*) ;; *) continue ;; esac
        [ ! -e "$device/physfn" ] || continue
        value "$device/device" || continue
        driver=$(readlink "$device/driver" 2>/dev/null) || driver=
        echo "$1:${value#0x} ${driver##*/}"
    done
}
"""

_GPU = """\
seen='' away='' beside=''
while read -r id driver; do
    case " $for_guests " in
    *" ${driver:-none} "*) away="$away $id ($driver)" ;;
    *) seen="${seen}${id:+ $id}" ;;
    esac
done <<END
$(functions 10de 03)
END
for id in $seen; do
    case " $wanted " in '  ' | *" $id "*) echo "on the PCI bus:$seen"; exit 0 ;; esac
done
[ -z "$away" ] || { echo "handed to guests, so no driver of this machine can have them:$away"; exit 1; }
switches=$(functions 10de 0680 | wc -l)
[ "$switches" = 0 ] || beside=", but $switches NVSwitches, which are no GPUs"
echo "NVIDIA GPUs on the PCI bus:${seen:- none}$beside"
exit 1
"""

_CARD = """\
cards=$(functions 15b3 02 | cut -d ' ' -f 1 | tr '\\n' ' ')
[ -n "$cards" ] || { echo 'no network card of Mellanox or NVIDIA (15b3, class 02) is on the PCI bus'; exit 1; }
echo "on the PCI bus: ${cards% }"
"""

_VBIOS = """\
told='' old=''
for file in /proc/driver/nvidia/gpus/*/information; do
    [ -r "$file" ] || continue
    address=${file%/information}; address=${address##*/}
    value /sys/bus/pci/devices/"$address"/device || continue
    case " $ids " in *" 10de:${value#0x} "*) ;; *) continue ;; esac
    has=$(sed -n 's/^Video BIOS:[[:blank:]]*//p' "$file")
    told="${told:+$told, }$address has $has"
    # Bytes in hexadecimal, two digits each, in either case: their order is that of the text.
    [ "$(printf '%s\\n' "$least" "$has" | tr A-F a-f | LC_ALL=C sort | head -n 1)" = "$least" ] || old=yes
done
[ -n "$told" ] || { echo 'no driver is loaded, so no VBIOS can be read here'; exit 0; }
echo "$told"
[ -z "$old" ]
"""


def gpu_is_there(ids: Sequence[str]) -> str:
    """Test: a GPU of NVIDIA's is there for this machine to use, and one of these ids (`10de:2342`) if any are given."""
    return program(_FUNCTIONS, _GPU, wanted=" ".join(ids), for_guests=" ".join(FOR_GUESTS))


def card_is_there() -> str:
    """Test: a network card is there for which NVIDIA's network drivers are."""
    return program(_FUNCTIONS, _CARD)


def vbios_is_new_enough(ids: Sequence[str], least: str) -> str:
    """Test: no GPU of these ids has an older VBIOS, as far as a loaded driver tells it: nothing else can read it."""
    return program(_FUNCTIONS, _VBIOS, ids=" ".join(ids), least=least.lower())
