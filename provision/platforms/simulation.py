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
others=$(printf '%s\\n' "$told" | awk -v parts="^($parts)$" -v own=" $own " -v driver="$driver" '
    $1 != "Inst" && $1 != "Remv" { next }
    { name = $2; sub(/:.*/, "", name) }
    name !~ parts { next }
    $1 == "Remv" { printf " %s (removed)", name; next }
    {
        version = $0; sub(/^[^(]*[(]/, "", version); sub(/ .*/, "", version)
        upstream = version; sub(/^[0-9]+:/, "", upstream)
        fits = upstream == driver || index(upstream, driver "-") == 1 || index(upstream, driver ".") == 1
        if (!fits || !index(own, " " name " ")) printf " %s=%s", name, version
    }')
[ -z "$others" ] || die "with$wanted would come$others, and the driver is $driver"
echo "nothing of a driver but $driver comes with$wanted"
"""

PULLS = ("cuda", "cuda-[0-9]+-[0-9]+", "cuda-runtime-[0-9]+-[0-9]+", "cuda-drivers(-.*)?", "nvidia-open(-.*)?")
"""Packages without a file of a driver that bring a whole one, the newest of their kind.

`cuda`, `cuda-X-Y` and `cuda-drivers` beside `cuda-toolkit-X-Y`: Azure/azhpc-images and dell/omnia install them so (read
2026-11-21). That `cuda-runtime-X-Y` brings a driver was not read.
"""


def brings_no_other(packages: Sequence[Package], parts: Sequence[str], own: Sequence[str], driver: str) -> str:
    """Test: to install these packages brings or takes no package of a driver, but what the plan itself brings of it.

    Args:
        packages: with their version patterns; of each the newest that matches is taken.
        parts: extended regular expressions over the names of a driver's packages, whoever packs it.
        own: names of those that the plan brings.
        driver: its upstream version, or its branch.
    """
    return program(
        _ASK,
        packages=lines(f"{package.name} {package.version}" for package in packages),
        parts="|".join((*parts, *PULLS)),
        own=" ".join(own),
        driver=driver,
    )
