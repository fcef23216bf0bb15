"""apt asked beforehand: what would come along with packages. Nothing is changed, and no root is needed.

`apt-get -s` prints `Inst NAME [INSTALLED] (VERSION SOURCE [ARCHITECTURE])` (apt 3.0 of Debian 13, seen 2026-11-21).
"""

from __future__ import annotations

from collections.abc import Sequence

from provision.model import Package
from provision.platforms.shell import lines, program

# What apt does not know yet comes from a repository of the same plan. It cannot be asked about before that is there.
_ASK = """\
newest() {
    apt-cache madison "$1" | tr -d ' ' | cut -d '|' -f 2 | while read -r version; do
        # shellcheck disable=SC2254
        case $version in $2) printf '%s\\n' "$version"; break ;; esac
    done
}
wanted='' unknown=''
while read -r name pattern; do
    version=$(newest "$name" "$pattern")
    if [ -n "$version" ]; then wanted="$wanted $name=$version"; else unknown="$unknown $name"; fi
done <<EOF
$packages
EOF
[ -n "$wanted" ] || { echo "apt does not know$unknown yet, so what comes with it cannot be told"; exit 0; }
told=$(apt-get -s -q --no-install-recommends --allow-downgrades --allow-change-held-packages install $wanted 2>&1) ||
    die "apt cannot install$wanted: $(printf '%s\\n' "$told" | tail -n 3 | tr -s ' \\n' ' ')"
others=$(printf '%s\\n' "$told" | sed -n 's/^Inst \\([^ ]*\\) [^(]*(\\([^ ]*\\) .*/\\1 \\2/p' |
    grep -E -e "^($parts) " | while read -r name version; do
        case ${version#*:} in "$driver" | "$driver"[-.]*) ;; *) printf ' %s=%s' "$name" "$version" ;; esac
    done)
[ -z "$others" ] || die "with$wanted would come$others, and the driver is $driver"
echo "nothing of a driver but $driver comes with$wanted"
"""


def brings_no_other(packages: Sequence[Package], parts: Sequence[str], driver: str) -> str:
    """Test: to install these packages brings no package of a driver at another version.

    Args:
        packages: with their version patterns; of each the newest that matches is taken.
        parts: extended regular expressions over the names of a driver's packages.
        driver: its upstream version, or its branch.
    """
    return program(
        _ASK,
        packages=lines(f"{package.name} {package.version}" for package in packages),
        parts="|".join(parts),
        driver=driver,
    )
