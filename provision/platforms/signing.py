"""Signed kernel modules under Secure Boot: the key that dkms signs with, and whether this machine takes it.

Tests in POSIX sh: exit 0 or 1, one line of evidence, no root. dkms goes on when it cannot sign ("modules won't be
signed"; a sign-file that fails is a warning), and the kernel refuses such modules only after the reboot: so what was
built is asked for its signature (dkms 3.0.10 of Debian 12, 3.2.2 of Debian 13, `prepare_signing`, read 2026-11-21).
"""

from __future__ import annotations

from provision.platforms.shell import program

# Five bytes, the last of which is 1 where it is on (UEFI 2.10, 3.3 and 8.2, from memory; so read on OVMF, 2026-11-21).
# Which key: as `prepare_mok` and `distro_version` of dkms decide it, by framework.conf, which is a program.
_KEY = """\
variable=/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c
takes_any() {
    [ -e "$variable" ] || { echo 'no Secure Boot here'; return 0; }
    [ "$(od -A n -t u1 -j 4 -N 1 "$variable" | tr -d ' ')" = 1 ] || { echo 'Secure Boot is off'; return 0; }
    return 1
}
key_file() (
    ID= mok_signing_key= mok_certificate= kernelver=${release:-}
    for file in /etc/os-release /etc/dkms/framework.conf /etc/dkms/framework.conf.d/*.conf; do
        [ ! -r "$file" ] || . "$file" >/dev/null 2>&1
    done
    own=/var/lib/dkms/mok.pub
    [ "$ID" != ubuntu ] || [ -n "$mok_signing_key" ] || mok_certificate=/var/lib/shim-signed/mok/MOK.der
    echo "${mok_certificate:-$own}"
)
"""

# A signature names its key by the issuer's name and the serial number (PKCS#7); modinfo tells both.
JUDGE = (
    _KEY
    + """\
demanded() {
    ! takes_any >/dev/null || return 0
    serial=$(openssl x509 -in "$(key_file)" -noout -serial 2>/dev/null) || serial=none
    echo "${serial#serial=}"
}
wrong_signature() {
    serial=$(demanded)
    [ -n "$serial" ] || return 1
    bears=$(says sig_key | tr -d :)
    [ "$bears" != "$serial" ] || return 1
    if [ -z "$bears" ]; then
        printf '%s is not signed, and with Secure Boot no kernel loads it; dkms signs with %s\\n' "$1" "$(key_file)"
    else
        printf '%s is signed by "%s", key %s, but dkms signs with %s, key %s\\n' \\
            "$1" "$(says signer)" "$bears" "$(key_file)" "$serial"
    fi
}
"""
)
"""`demanded` prints the serial number of the key that modules must be signed with, and nothing where any module loads.

`wrong_signature PATH` succeeds, and says why, where the kernel would refuse the module; it needs `says FIELD`, which
prints what modinfo tells of it.
"""


def can_sign() -> str:
    """Test: Secure Boot is off, or what makes the key of modules, and what enrols it, is here.

    Whether a key is enrolled is not asked: dkms makes it while it builds the first module, with openssl, which its
    package does not depend on (`prepare_mok` in dkms 3.0.10 of Debian 12 and 3.2.2 of 13, read 2026-11-21).
    """
    body = """\
! takes_any || exit 0
for tool in openssl mokutil; do
    command -v "$tool" >/dev/null || { echo "Secure Boot is on, and there is no $tool on this node"; exit 1; }
done
echo 'Secure Boot is on, and modules can be signed here'
"""
    return program(_KEY, body)


def key_known() -> str:
    """Test: Secure Boot is off, or the key that dkms signs with is known to this machine.

    Enrolled (MOK), built in, or in the firmware's `db`, which Debian's kernels take for modules as well (its patch
    "Make use of platform keyring for module signature verify", Debian bugs 935945 and 1030200, read 2026-11-21).
    The words are mokutil's (0.6.0 of Debian 12, 0.7.2 of Debian 13, read in its binary 2026-11-21).
    """
    body = """\
! takes_any || exit 0
key=$(key_file)
[ -s "$key" ] || { echo 'Secure Boot is on, and this node has no key to sign modules with'; exit 1; }
command -v mokutil >/dev/null || { echo "Secure Boot is on, and there is no mokutil to ask about $key"; exit 1; }
whose=$(openssl x509 -in "$key" -noout -subject -fingerprint -sha1 2>&1 | tr '\\n' ' ')
case $(mokutil --test-key "$key" 2>&1) in
*'is already enrolled'* | *'is already in db'* | *'is already in the built-in trusted keyring'*)
    echo "Secure Boot is on and knows $key" ;;
*'is already in the enrollment request'*)
    echo "Secure Boot is on, and $key (${whose% }) is not enrolled yet: MokManager asks at the next start"; exit 1 ;;
*)  echo "Secure Boot is on, and $key (${whose% }) is not enrolled"; exit 1 ;;
esac
"""
    return program(_KEY, body)
