"""Is a Debian-family node ready for a bring-up? Tests in POSIX sh: exit 0 or 1, one line of evidence."""

from __future__ import annotations

from collections.abc import Sequence

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


def doca_can_become(version: str, profiles: Sequence[str]) -> str:
    """Test: no DOCA-OFED is installed, or one over which DOCA-OFED `version` may be installed.

    One older than 2.6 must be taken off whole first; from 2.6 on it is upgraded (docs.nvidia.com, DOCA-Host
    Installation, an excerpt read 2026-11-20). A way back to an older one was not read, so it is refused alike.

    Args:
        version: what the plan has, or the beginning of it (`2.9`).
        profiles: DOCA's metapackages, which bear its version.
    """
    body = """\
installed=$(dpkg-query -W -f '${db:Status-Abbrev}|${Package}|${Version}\\n' $profiles 2>/dev/null |
    awk -F '|' 'substr($1, 2, 1) == "i" { print $2, $3 }') || :
[ -n "$installed" ] || { echo 'no DOCA-OFED is installed'; exit 0; }
printf '%s\\n' "$installed" | {
    while read -r name whole; do
        have=${whole#*:}
        have=${have%%-*}
        case $have in "$version" | "$version".*) continue ;; esac
        ! dpkg --compare-versions "$have" lt 2.6 || die "$name $whole is installed, which cannot be upgraded"
        ! dpkg --compare-versions "$have" gt "$version" || die "$name $whole is installed, newer than $version"
    done
    printf '%s\\n' "$installed" | tr '\\n' ';'
    echo
}
"""
    return program(body, version=version, profiles=" ".join(profiles))
