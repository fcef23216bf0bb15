"""What Debian and its descendants do alike: the programs behind what a role asks for.

A distribution's own file adds only its names. Programs come from `apt`, `boot` and `dkms`, one idea each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from shlex import quote

from provision.model import Package
from provision.model.places import STATE
from provision.platforms import apt, boot, dkms, pins
from provision.platforms.platform import Platform, VersionLock

LOCK_PATIENCE = 300
"""Seconds that a bring-up waits for another package manager: a first unattended upgrade takes minutes."""

PREFERENCES = "/etc/apt/preferences.d/provision-driver"

LEDGER = f"{STATE}/ledger"


@dataclass(frozen=True)
class AptFamily(Platform):
    """Programs of a node that has apt, dpkg, dkms, initramfs-tools and, if it boots by itself, GRUB."""

    def version_lock(self, packages: Sequence[Package]) -> VersionLock:
        return VersionLock(PREFERENCES, pins.preferences(pins.pins(packages)))

    def initrd(self, release: str) -> str:
        return boot.initrd(release)

    def boot_complete(self) -> str:
        return boot.complete()

    def boot_menu(self) -> str:
        return boot.boot_menu()

    def withdraw_kernel(self, release: str) -> str:
        return boot.withdraw(release)

    def default_kernel(self) -> str:
        return boot.default_release()

    def wait_for_package_locks(self) -> str:
        """Test that nobody else works with packages, asked again until it is so or patience ends."""
        return (
            f"waited=0\nuntil told=$( {apt.locks_free()}); do\n"
            f'  [ "$waited" -lt {LOCK_PATIENCE} ] || {{ echo "after {LOCK_PATIENCE} s: $told"; exit 1; }}\n'
            '  [ $((waited % 20)) -ne 0 ] || echo "waiting: $told"\n'
            '  sleep 2; waited=$((waited + 2))\ndone\necho "$told"'
        )

    def packages_mendable(self) -> str:
        """Test that dpkg is consistent, or that what is left is what a bring-up mends.

        That is what a cut change of ours left, and kernel and driver packages that are merely not configured: Debian's
        own hooks leave them so where the driver does not build, and that kernel without an initrd as the default.
        """
        ours = "|".join(apt.extended_regex(name) for name in (*self.kernel_globs(), *self.driver_globs()))
        unconfigured = quote(f"({ours})(:[a-z0-9]+)? \\(i[UFWt]\\)")
        return (
            f'if told=$( {apt.consistent()}); then echo "$told"; exit 0; fi\n'
            f"case $(grep -v ' preflight-' {LEDGER} 2>/dev/null | tail -n 1) in *' begin '* | *' failed '*)\n"
            '  echo "left by an interrupted run, which its rerun mends: $told"; exit 0 ;;\nesac\n'
            "left=${told#dpkg left unfinished: }\n"
            '[ "$left" != "$told" ] || { echo "$told"; exit 1; }\n'
            f"others=$(echo \"$left\" | sed 's/, /\\n/g' | grep -vxE -e {unconfigured}) || :\n"
            '[ -z "$others" ] || { echo "$told"; exit 1; }\n'
            'echo "left by a build that failed, which is taken up again: $told"'
        )

    def driver_sources_unmixed(self) -> str:
        return apt.sources_unmixed(self.driver_globs())

    def build_modules(self, driver: str, modules: str, release: str) -> str:
        module, version = self.dkms_module(driver, modules)
        return dkms.build(module, version, release) + dkms.keep_verdict(self._wanted(driver, modules, release))

    def build_log(self, driver: str, modules: str) -> str:
        return dkms.log_glob(*self.dkms_module(driver, modules))

    def modules_built(self, driver: str, modules: str, release: str) -> str:
        return dkms.built(self._wanted(driver, modules, release))

    def one_driver_version(self, driver: str, modules: str, release: str) -> str:
        """Test that libcuda, NVML and the built modules bear the driver's version."""
        first = self.module_names(modules)[0]
        known = dkms.known(self._wanted(driver, modules, release))
        return (
            "set -- $(ldconfig -p | awk '\n"
            '  $1 == "libcuda.so.1" || $1 == "libnvidia-ml.so.1" { if (!seen[$1]++) print $NF }\')\n'
            '[ $# = 2 ] || { echo "of libcuda.so.1 and libnvidia-ml.so.1 the loader finds ${*:-none}"; exit 1; }\n'
            'for real in $(readlink -f "$@"); do\n'
            f'  case $real in *.so.{quote(driver)}) ;; *) echo "the loader finds $real"; exit 1 ;; esac\n'
            "done\n"
            f"if ! {known}then\n"
            f"  set -- {quote(first + '.ko')} {quote(first + '.ko.*')}\n"
            f'  module=$(find /lib/modules/{quote(release)}/ -name "$1" -o -name "$2" | head -n 1)\n'
            '  [ -n "$module" ] || { echo "the module is not there"; exit 1; }\n'
            '  is=$(modinfo -F version "$module")\n'
            f'  [ "$is" = {quote(driver)} ] || {{ echo "$module is $is"; exit 1; }}\n'
            "fi\n"
            f"echo libcuda, NVML and the modules are {quote(driver)}"
        )

    def _wanted(self, driver: str, modules: str, release: str) -> dkms.Wanted:
        module, version = self.dkms_module(driver, modules)
        licence = "*GPL*" if modules == "open" else "NVIDIA"
        return dkms.Wanted(module, version, release, self.module_names(modules), licence)
