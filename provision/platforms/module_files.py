"""Kernel modules that nobody built here: judged by their files alone. POSIX sh, no root, one line of evidence."""

from __future__ import annotations

from collections.abc import Sequence

from provision.platforms.shell import lines, program

_JUDGE = """\
says() {
    modinfo -F "$1" "$path" 2>/dev/null | head -n 1
}
for name in $files; do
    path=$(find "/lib/modules/$release/" -name "$name.ko" -o -name "$name.ko.*" 2>/dev/null | head -n 1)
    [ -n "$path" ] || die "there is no $name.ko for kernel $release"
    made_for=$(says vermagic)
    [ "${made_for%% *}" = "$release" ] || die "$path is built for kernel ${made_for%% *}, not for $release"
    [ "$(says version)" = "$version" ] || die "$path is version $(says version), not $version"
    # shellcheck disable=SC2254
    case $(says license) in $licence) ;; *) die "$path has licence $(says license), not $licence" ;; esac
    [ -n "$(says signer)" ] || die "$path is not signed"
done
echo "$version is there for kernel $release, signed by $(says signer), licence $(says license)"
"""


def judged(files: Sequence[str], version: str, release: str, licence: str) -> str:
    """Test: these module files (names without `.ko`) are there for the kernel, signed, at the version.

    `licence`: a shell pattern over what modinfo says.
    """
    return program(_JUDGE, files=lines(files), version=version, release=release, licence=licence)
