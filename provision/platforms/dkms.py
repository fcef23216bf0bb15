"""DKMS: build one module for one kernel, and judge what was built.

Every function returns POSIX sh. `build` runs as root; tests need no root, exit 0 or 1 and print one line.
What dkms does when it is killed was read in, and seen with, dkms 3.2.2 of Debian 13 (2026-11-21).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from provision.platforms import signing
from provision.platforms.shell import lines, program

_TREE = """\
arch=$(uname -m)
tree=/var/lib/dkms/$module/$version
built=$tree/$release/$arch
"""

_FIRST_ERROR = """\
first_error() {
    for pattern in ': (fatal )?error: ' '^ERROR: ' '(^|[^A-Za-z])[Ee]rror[ !:]'; do
        ! grep -h -m 1 -E -e "$pattern" "$tree/build/make.log" 2>/dev/null || return 0
    done
    echo 'no compiler error is logged'
}
"""

# By path: the vendors' file names (nvidia-current-open.ko.xz) are not the names that the modules bear.
_JUDGE = (
    signing.JUDGE
    + """\
wrong_module() {
    if [ ! -s "$1" ]; then
        printf '%s is missing or empty\\n' "$1"
        return 0
    fi
    info=$(modinfo "$1" 2>/dev/null) || info=
    made_for=$(says vermagic)
    made_for=${made_for%% *}
    if [ -z "$made_for" ]; then
        printf '%s is not a kernel module\\n' "$1"
    elif [ "$made_for" != "$release" ]; then
        printf '%s is built for kernel %s, not for %s\\n' "$1" "$made_for" "$release"
    else
        wrong_signature "$1"
    fi
}
says() {
    printf '%s\\n' "$info" | sed -n "s/^$1: *//p" | head -n 1
}
not_installed() {
    status=$(dkms status -m "$module" -v "$version" -k "$release" 2>&1) || :
    case $status in
    *[Dd]iff* | *missing* | *WARNING*) printf 'dkms status: %s\\n' "$status" ;;
    *": installed"*) return 1 ;;
    *) printf '%s/%s is not installed for kernel %s; dkms status: %s\\n' \\
        "$module" "$version" "$release" "${status:-nothing}" ;;
    esac
}
"""
)

# dkms itself judges by the presence of directories. The digest of what a build was made from lies inside that build,
# so that whatever removes the build removes the claim as well.
_BUILD = """\
headers=/lib/modules/$release/build
source=/usr/src/$module-$version
inputs_digest() {
    {
        printf '%s\\n' "$module" "$version" "$release" "$arch"
        (cd "$source" && find . -type f -exec sha256sum {} + | sort -k 2)
        for file in "$headers/include/config/auto.conf" "$headers/include/generated/utsrelease.h" \\
            "$headers/Module.symvers" /etc/dkms/framework.conf; do
            [ ! -r "$file" ] || sha256sum "$file"
        done
        printf '%s\\n' "$inputs" | while read -r file; do
            [ -z "$file" ] || [ ! -r "$file" ] || sha256sum "$file"
        done
        dpkg-query -W "linux-headers-$release" 2>/dev/null || :
        compiler=$(sed -n 's/^CONFIG_CC_VERSION_TEXT="*\\([^" ]*\\) .*/\\1/p' "$headers/include/config/auto.conf")
        "${compiler:-gcc}" --version 2>/dev/null | head -n 1 || :
    } | sha256sum
}
unsound() {
    for file in "$1"/*.ko*; do
        ! wrong_module "$file" || return 0
    done
    return 1
}
# Killed inside `dkms add`, a tree is left without its link to the source.
add() {
    [ "$(readlink "$tree/source" 2>/dev/null)" != "$source" ] || return 0
    rm -rf "$tree/source"
    dkms add -m "$module" -v "$version" || die "dkms cannot add $module/$version from $source"
}
rebuild() {
    rm -rf "$built" "$tree/$release"/.tmp_* "$tree/build"
    find /var/lib/dkms -maxdepth 1 -name 'mok.*' -empty -delete
    code=0
    dkms build -m "$module" -v "$version" -k "$release" || code=$?
    [ "$code" -ne 77 ] || die "$module/$version refuses kernel $release (BUILD_EXCLUSIVE in its dkms.conf)"
    [ "$code" -eq 0 ] || die "$module/$version does not build for kernel $release: $(first_error)"
    ! reason=$(unsound "$built/module") || die "$module/$version for kernel $release: dkms reports success, but $reason"
    printf '%s\\n' "$1" >"$built/inputs"
    sync -f "$built/inputs"
}
# Killed while it copies, dkms has not yet said that this kernel's modules are its own, and would next time keep the
# half-copied file as the distribution's original, to be put back later.
put_in_place() {
    if [ ! -L "/var/lib/dkms/$module/kernel-$release-$arch" ]; then
        for file in "$built/module"/*.ko*; do
            name=${file##*/}
            rm -f "/lib/modules/$release/updates/dkms/${name%.ko*}".ko*
        done
    fi
    dkms install --force -m "$module" -v "$version" -k "$release" ||
        die "dkms cannot install $module/$version for kernel $release"
}

[ -d "$source" ] || die "the source of $module/$version is not on this node: there is no $source"
[ -d "$headers/include" ] || die "$module/$version needs the headers of kernel $release: there is no $headers/include"
add
digest=$(inputs_digest)
if [ "$(cat "$built/inputs" 2>/dev/null)" != "$digest" ] || unsound "$built/module"; then
    rebuild "$digest"
else
    echo "$module/$version is built for kernel $release, and nothing that it was built from has changed"
fi
# Killed before its depmod, dkms calls the module installed all the same.
if not_installed >/dev/null; then put_in_place; else depmod "$release" || die "depmod failed for kernel $release"; fi
sync -f "/lib/modules/$release"
! reason=$(not_installed) || die "$reason"
for file in "$built/module"/*.ko*; do
    path=$(find "/lib/modules/$release/" -name "${file##*/}" | head -n 1)
    ! reason=$(wrong_module "${path:-/lib/modules/$release/updates/dkms/${file##*/}}") || die "$reason"
done
echo "$module/$version is installed for kernel $release"
"""


def build(module: str, version: str, release: str, inputs: Sequence[str] = ()) -> str:
    """Build and install one module for kernel `release`, whose headers are on the node; mends what a kill left.

    Built again only when the source, the headers, the compiler or a file of `inputs` (absolute paths: what else it is
    compiled against) changed since. Fails with `MODULE/VERSION does not build for kernel RELEASE: FIRST ERROR`.
    """
    return program(
        _TREE,
        _FIRST_ERROR,
        _JUDGE,
        _BUILD,
        module=module,
        version=version,
        release=release,
        inputs=lines(inputs),
    )


def log_glob(module: str, version: str) -> str:
    """The log that dkms writes while it builds, and leaves there when the build fails."""
    return f"/var/lib/dkms/{module}/{version}/build/make.log"


def first_error(module: str, version: str) -> str:
    """Print the first compiler error of a failed build; says so when none is logged."""
    return program(
        "tree=/var/lib/dkms/$module/$version\n", _FIRST_ERROR, "first_error\n", module=module, version=version
    )


# The judgement reads every module whole, through xz and twice, and `dkms status` compares them once more: most of a
# second of a node's time, while on a converged fleet nothing has changed. So a verdict is kept with the digests of all
# bytes that it is about, where dkms itself would take it away with the build, and stands as long as they are the same.
# What a digest does not tell is asked each time: dkms's own links, and that depmod would choose these very files.
_VERDICT = """\
verdict=$built/verdict
question() {
    set -- "$licence" $files $(demanded)
    printf '%s\\n' "$*"
}
stands() {
    [ "/var/lib/dkms/$module/kernel-$release-$arch" -ef "$built" ] || return 1
    [ -r "$tree/source/dkms.conf" ] && [ -r "$verdict" ] || return 1
    {
        IFS= read -r asked && IFS= read -r told && [ "$asked" = "$(question)" ] || return 1
        set --
        while read -r _ path; do
            case $path in /lib/modules/*) set -- "$@" -e "${path#"/lib/modules/$release/"}:" ;; esac
        done
    } <"$verdict"
    [ $# -gt 0 ] && [ "$(grep -c -F "$@" "/lib/modules/$release/modules.dep")" = $(($# / 2)) ] &&
        sha256sum --check --status "$verdict" 2>/dev/null
}
installed() {
    find "/lib/modules/$release/updates/" "/lib/modules/$release/" -name "$1.ko" -o -name "$1.ko.*" 2>/dev/null |
        head -n 1
}
judge() {
    ! reason=$(not_installed) || die "$reason"
    count=0
    for name in $files; do
        path=$(installed "$name")
        [ -n "$path" ] || die "there is no $name.ko in /lib/modules/$release"
        ! wrong_module "$path" || exit 1
        [ "$(says version)" = "$version" ] || die "$path is version $(says version), not $version"
        # The first tells the flavour: of Debian 13's proprietary ones others say MIT, Linux-OpenIB (read 2026-11-21).
        [ "$count" -gt 0 ] || flavour=$(says license)
        # shellcheck disable=SC2254
        case $flavour in $licence) ;; *) die "$path has licence $flavour, not $licence" ;; esac
        grep -q -F -e "/$name.ko" "/lib/modules/$release/modules.dep" || die "depmod does not know $path"
        count=$((count + 1))
    done
    echo "$module/$version is installed for kernel $release: $count modules, licence $flavour"
}
"""


class Wanted(NamedTuple):
    """Modules that dkms must have installed for a kernel."""

    module: str
    version: str
    release: str
    files: Sequence[str]
    """Names of the module files, without `.ko`."""
    licence: str = "*"
    """A shell pattern over what `modinfo` says of the first file, e.g. `*GPL*` for modules that must be open."""


def keep_verdict(wanted: Wanted) -> str:
    """After `build`, as root: judge as `built` does, and keep a good verdict for it.

    It never fails, because without a verdict nothing is lost but time.
    """
    body = """\
rm -f "$verdict"
if told=$(judge); then
    set -- "$built/module"/*.ko*
    for name in $files; do set -- "$@" "$(installed "$name")"; done
    { question && printf '%s\\n' "$told" && sha256sum "$@"; } >"$verdict.new" &&
        sync "$verdict.new" && mv "$verdict.new" "$verdict" || :
fi
"""
    return _judging(body, wanted)


def built(wanted: Wanted) -> str:
    """Test: these modules are installed as they should be."""
    body = 'if stands; then printf "%s\\n" "$told"; else judge; fi\n'
    return _judging(body, wanted)


def known(wanted: Wanted) -> str:
    """Test, without a word: what `keep_verdict` kept still stands. When it does not, nothing is known."""
    return _judging("stands\n", wanted)


def _judging(body: str, wanted: Wanted) -> str:
    if not wanted.files:
        raise ValueError("a build without module files proves nothing")
    return program(_TREE, _JUDGE, _VERDICT, body, **{**wanted._asdict(), "files": lines(wanted.files)})


# Vendors' packages mask failures of their builds (Azure/azhpc-images 8e9d055f, utils/utilities.sh, read 2026-11-21), so
# what is there is found by its source and judged by what dkms has installed.
_FOUND = """\
version_of() {
    find /usr/src -maxdepth 2 -path "/usr/src/$1-[0-9]*/dkms.conf" | sort -V | tail -n 1 |
        sed "s|^/usr/src/$1-||; s|/dkms.conf\\$||"
}
first=${modules%% *}
[ -n "$(version_of "$first")" ] || die "no source of $first is on this node: there is no /usr/src/$first-VERSION"
"""


def build_all(modules: Sequence[str], release: str, exports: str = "", inputs: Sequence[str] = ()) -> str:
    """Build and install, in this order, those modules whose source is on the node, whatever its version.

    Args:
        modules: DKMS's names; the first must be there, and what comes after it is compiled against it.
        release: of the kernel, whose headers are on the node.
        exports: absolute path of the symbol versions that the first leaves for the others.
        inputs: absolute paths of what the first is compiled against beside the headers.
    """
    body = f"""\
for module in $modules; do
    version=$(version_of "$module")
    [ -n "$version" ] || continue
    (
{_TREE}{_FIRST_ERROR}{_JUDGE}{_BUILD}    )
    inputs=$exports
done
"""
    return program(
        "set -eu\n",
        _FOUND,
        body,
        modules=" ".join(modules),
        release=release,
        exports=exports,
        inputs=lines(inputs),
    )


# Modules that no plan brings: those that are installed for a kernel this node boots now, and packages' sources of which
# dkms has not heard, because it may build nothing by itself (common.postinst of dkms 3.0.10 and 3.2.2 ends before
# `dkms add` where /etc/dkms/no-autoinstall is; read 2026-11-21). A container's running kernel is its host's, so there
# every other kernel counts. What dkms knows and has built for none of them was lost before, and is left alone.
_OTHERS = """\
arch=$(uname -m)
kernels=$(uname -r)
[ -e "/lib/modules/$kernels" ] || kernels=$(find /lib/modules -mindepth 1 -maxdepth 1 -printf '%f\\n')
is_own() {
    case " $own " in *" $1 "*) ;; *) return 1 ;; esac
}
is_built_for() {
    [ -L "/var/lib/dkms/$1/kernel-$2-$arch" ]
}
installed_now() {
    for module in /var/lib/dkms/*/; do
        module=${module%/}
        module=${module##*/}
        for kernel in $kernels; do
            is_built_for "$module" "$kernel" || continue
            version=$(readlink "/var/lib/dkms/$module/kernel-$kernel-$arch")
            is_own "$module" || printf '%s/%s\\n' "$module" "${version%%/*}"
            break
        done
    done
}
never_added() {
    for conf in /usr/src/*/dkms.conf; do
        [ -r "$conf" ] && grep -q '^ *AUTOINSTALL=["'"'"']*[yY1]' "$conf" || continue
        module=$(sed -n 's/^ *PACKAGE_NAME=["'"'"']*\\([^"'"'"' #]*\\).*/\\1/p' "$conf" | tail -n 1)
        folder=${conf%/dkms.conf}
        version=${folder#"/usr/src/$module-"}
        [ -n "$module" ] && [ "$version" != "$folder" ] && ! is_own "$module" || continue
        ! ls -d "/var/lib/dkms/$module"/*/source >/dev/null 2>&1 || continue
        ! dpkg-query -S "$conf" >/dev/null 2>&1 || printf '%s/%s\\n' "$module" "$version"
    done
}
others() {
    { installed_now; never_added; } | sort -u
}
"""

# `tsort` takes pairs, and one name twice for a module that waits for nobody.
_IN_ORDER = """\
awaited_by() {
    for conf in "/usr/src/$1-$2/dkms.conf" "/etc/dkms/$1.conf" "/etc/dkms/$1-$2.conf"; do
        [ ! -r "$conf" ] || sed -n 's/^ *BUILD_DEPENDS[^=]*=//p' "$conf" | sed 's/#.*//' | tr -c 'A-Za-z0-9_.+\\n-' ' '
    done
}
in_order() {
    printf '%s\\n' "$1" | while IFS=/ read -r module version; do
        printf '%s %s\\n' "$module" "$module"
        for first in $(awaited_by "$module" "$version"); do
            ! printf '%s\\n' "$1" | grep -q "^$first/" || printf '%s %s\\n' "$first" "$module"
        done
    done | tsort | while read -r module; do
        printf '%s\\n' "$1" | grep "^$module/"
    done
}
"""


def build_others(own: Sequence[str], release: str, inputs: Sequence[str] = ()) -> str:
    """Build and install for kernel `release` what dkms has for the kernels of now and no plan of ours brings.

    In the order of their `BUILD_DEPENDS`. What dkms built for that kernel by itself is left as it is. Fails as `build`
    does, and tells where the log is and what a person can do.

    Args:
        own: DKMS's names of the plan's own modules, whatever the version.
        release: of the kernel, whose headers are on the node.
        inputs: absolute paths of what such a module may be compiled against beside the headers.
    """
    body = f"""\
set -- $(in_order "$(others)")
for each in "$@"; do
    module=${{each%%/*}}
    version=${{each#*/}}
    if is_built_for "$module" "$release" && [ ! -e "/var/lib/dkms/$module/$version/$release/$arch/inputs" ]; then
        echo "$module is installed for kernel $release"
        continue
    fi
    set +e
    (
        set -e
{_TREE}{_FIRST_ERROR}{_JUDGE}{_BUILD}    )
    code=$?
    set -e
    log=/var/lib/dkms/$module/$version/build/make.log
    [ "$code" = 0 ] || die "$module/$version is no part of this plan, but the node has it now, and would be \\
without it on kernel $release. $([ ! -e "$log" ] || echo "Its log: $log. ")Install a version that builds \\
for this kernel, or take the module off (its package, or dkms remove $module/$version --all); then run again"
done
echo "modules of others for kernel $release: ${{*:-none}}"
"""
    return program("set -eu\n", _OTHERS, _IN_ORDER, body, own=" ".join(own), release=release, inputs=lines(inputs))


def others_built(own: Sequence[str], release: str) -> str:
    """Test: every module that `build_others` would build is installed for kernel `release`."""
    body = """\
set -- $(others)
for each in "$@"; do
    module=${each%%/*}
    is_built_for "$module" "$release" || die "$each is on this node, and dkms has not installed it for kernel $release"
    for file in "/var/lib/dkms/$module/kernel-$release-$arch/module"/*.ko*; do
        name=${file##*/}
        grep -q -F -e "/${name%%.ko*}.ko" "/lib/modules/$release/modules.dep" ||
            die "depmod does not know $name of $each"
    done
done
echo "modules of others for kernel $release: ${*:-none}"
"""
    return program(_OTHERS, body, own=" ".join(own), release=release)


def all_built(modules: Sequence[str], release: str) -> str:
    """Test: those modules whose source is on the node, the first among them, are installed for the kernel."""
    body = f"""\
told=
for module in $modules; do
    version=$(version_of "$module")
    [ -n "$version" ] || continue
{_TREE}{_JUDGE}    ! reason=$(not_installed) || die "$reason"
    for file in "$built/module"/*.ko*; do
        path=$(find "/lib/modules/$release/updates/" -name "${{file##*/}}" | head -n 1)
        ! wrong_module "${{path:-$file, installed,}}" || exit 1
        cmp -s "$file" "$path" || die "$path is not what dkms built: $file"
        name=${{path#"/lib/modules/$release/"}}
        grep -q -F -e "$name:" "/lib/modules/$release/modules.dep" || die "depmod would not choose $path"
    done
    told="${{told:+$told, }}$module/$version"
done
echo "installed for kernel $release: $told"
"""
    return program(_FOUND, body, modules=" ".join(modules), release=release)
