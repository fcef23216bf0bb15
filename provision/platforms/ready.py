"""Is a Debian-family node ready for a bring-up? Tests in POSIX sh: exit 0 or 1, one line of evidence."""

from __future__ import annotations

from provision.platforms.shell import program


def first_boot_is_over(seconds: int) -> str:
    """Test: cloud-init has ended, well or badly; waited for `seconds`. A node without it is past its first boot.

    `cloud-init status --wait` exits 1 or 2 where something went wrong, which is not our concern (cloud-init 22.4,
    cloudinit/cmd/status.py, from memory, not verified); timeout(1) exits 124.
    """
    body = """\
command -v cloud-init >/dev/null || { echo 'no cloud-init here'; exit 0; }
timeout "$seconds" cloud-init status --wait >/dev/null 2>&1 || [ $? != 124 ] || {
    echo "cloud-init has been at work for more than $seconds s: $(cloud-init status 2>&1 | tr '\\n' ' ')"
    exit 1
}
echo 'cloud-init has ended'
"""
    return program(body, seconds=str(seconds))


# Five bytes, the last of which is 1 where it is on (UEFI 2.10, 3.3 and 8.2, from memory).
_SECURE_BOOT = """\
variable=/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c
[ -e "$variable" ] || { echo 'no Secure Boot here'; exit 0; }
[ "$(od -A n -t u1 -j 4 -N 1 "$variable" | tr -d ' ')" = 1 ] || { echo 'Secure Boot is off'; exit 0; }
"""


def modules_can_be_signed() -> str:
    """Test: Secure Boot is off, or what makes the key of modules, and what enrols it, is here.

    Whether a key is enrolled is not asked: dkms makes it while it builds the first module, with openssl, which its
    package does not depend on (`prepare_mok` in dkms 3.0.10 of Debian 12 and 3.2.2 of 13, read 2026-11-21).
    """
    body = """\
for tool in openssl mokutil; do
    command -v "$tool" >/dev/null || { echo "Secure Boot is on, and there is no $tool on this node"; exit 1; }
done
echo 'Secure Boot is on, and modules can be signed here'
"""
    return program(_SECURE_BOOT, body)


def secure_boot_admits() -> str:
    """Test: Secure Boot is off, or the key that DKMS signs with is enrolled.

    The key lies where dkms 3 (Debian) or shim-signed (Ubuntu) put it.
    """
    body = """\
key=
for each in /var/lib/shim-signed/mok/MOK.der /var/lib/dkms/mok.pub; do
    [ ! -s "$each" ] || [ -n "$key" ] || key=$each
done
[ -n "$key" ] || { echo 'Secure Boot is on, and this node has no key to sign modules with'; exit 1; }
command -v mokutil >/dev/null || { echo "Secure Boot is on, and there is no mokutil to ask about $key"; exit 1; }
case $(mokutil --test-key "$key" 2>&1) in
*'is already enrolled'*) echo "Secure Boot is on and knows $key" ;;
*) echo "Secure Boot is on, and $key is not enrolled"; exit 1 ;;
esac
"""
    return program(_SECURE_BOOT, body)


def old_ofed_absent() -> str:
    """Test: no MLNX_OFED, whose modules and libraries are those of DOCA-OFED under other package names.

    Its installer leaves a metapackage `mlnx-ofed-*` and an `ofed_info` that calls itself MLNX_OFED_LINUX; DOCA-OFED's
    says `OFED-internal-` (from memory, not verified).
    """
    body = """\
told=
! command -v ofed_info >/dev/null || told=$(ofed_info -s 2>/dev/null)
metas=$(dpkg-query -W -f '${db:Status-Abbrev}|${Package}\\n' 'mlnx-ofed-*' 2>/dev/null |
    awk -F '|' 'substr($1, 2, 1) == "i" && $2 !~ /^mlnx-ofed-kernel/ { printf "%s%s", sep, $2; sep = ", " }')
case $told in
MLNX_OFED_LINUX*) echo "ofed_info says $told${metas:+; installed: $metas}"; exit 1 ;;
esac
[ -z "$metas" ] || { echo "installed: $metas"; exit 1; }
echo "no MLNX_OFED${told:+; ofed_info says $told}"
"""
    return program(body)
