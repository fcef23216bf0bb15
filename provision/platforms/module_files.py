"""Kernel modules that nobody built here: judged by their files alone. POSIX sh, no root, one line of evidence."""

from __future__ import annotations

from collections.abc import Sequence

from provision.platforms.shell import lines, program

_JUDGE = """\
says() {
    modinfo -F "$1" "$path" 2>/dev/null | head -n 1
}
flavour=
for name in $files; do
    # The file that depmod chose: what dkms left behind comes before the distribution's own.
    path=$(modinfo -k "$release" -n "$name" 2>/dev/null) && [ -s "$path" ] || die "no $name for kernel $release"
    made_for=$(says vermagic)
    [ "${made_for%% *}" = "$release" ] || die "$path is built for kernel ${made_for%% *}, not for $release"
    [ "$(says version)" = "$version" ] || die "$path is version $(says version), not $version"
    # The first tells the flavour: of the proprietary ones some are open.
    flavour=${flavour:-$(says license)}
    # shellcheck disable=SC2254
    case $flavour in $licence) ;; *) die "$path has licence $flavour, not $licence" ;; esac
    [ -n "$(says signer)" ] || die "$path is not signed"
done
echo "$version is there for kernel $release, signed by $(says signer), licence $flavour"
"""


def judged(files: Sequence[str], version: str, release: str, licence: str) -> str:
    """Test: these module files (names without `.ko`) are there for the kernel, signed, at the version.

    `licence`: a shell pattern over what modinfo says of the first file.
    """
    return program(_JUDGE, files=lines(files), version=version, release=release, licence=licence)
