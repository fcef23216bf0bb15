"""What Debian and its descendants do alike: the programs behind what a role asks for.

A distribution's own file adds only its names. Programs come from `apt`, `boot` and `dkms`, one idea each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from shlex import quote

from provision.catalog import KernelArgumentRule
from provision.model import KernelArgument, Package
from provision.model.places import LEDGER
from provision.platforms import (
    apt,
    boot,
    command_line,
    dkms,
    kernel_removal,
    leftovers,
    module_files,
    pins,
    ready,
    signing,
    simulation,
    symbols,
    trial_boot,
    updates,
)
from provision.platforms.platform import NodeFile, Platform, VersionLock
from provision.platforms.settings import KEYRINGS, SOURCES

LOCK_PATIENCE = 300
"""Seconds that a bring-up waits for another package manager: a first unattended upgrade takes minutes."""

PINS = "/etc/apt/preferences.d"

PREFERENCES = f"{PINS}/provision-driver"

KERNEL_PREFERENCES = f"{PINS}/provision-kernel"


@dataclass(frozen=True)
class AptFamily(Platform):
    """Programs of a node that has apt, dpkg, dkms, initramfs-tools and, if it boots by itself, GRUB."""

    def version_lock(self, packages: Sequence[Package]) -> VersionLock:
        return VersionLock(PREFERENCES, pins.preferences(pins.pins(packages)))

    def lock_of(self, component: str, packages: Sequence[Package], never: Mapping[str, str]) -> VersionLock:
        return VersionLock(f"{PINS}/provision-{component}", pins.preferences(pins.pins(packages, never)))

    def fetch_offers(self) -> str:
        return apt.update(LOCK_PATIENCE)

    def initrd(self, release: str) -> str:
        return boot.initrd(release)

    def boot_complete(self) -> str:
        return boot.complete()

    def boot_menu(self) -> str:
        return boot.boot_menu()

    def withdraw_kernel(self, release: str) -> str:
        return kernel_removal.withdraw(release)

    def default_kernel(self) -> str:
        return boot.default_release()

    def trial_files(self, release: str, words: Sequence[str], seconds: int) -> Mapping[str, NodeFile]:
        return {
            "boot-settings": NodeFile("/etc/default/grub.d/zz-provision-boot.cfg", "644", boot.settings()),
            "trial-entry": NodeFile("/etc/grub.d/42_provision_trial", "755", trial_boot.entry(release, words)),
            "trial-dead-man": NodeFile(
                "/etc/initramfs-tools/scripts/init-top/provision-trial", "755", trial_boot.dead_man(seconds)
            ),
        }

    def can_be_tried(self, release: str, words: Sequence[str]) -> str:
        return trial_boot.can_be_tried(release, words)

    def started_with(self, words: Sequence[str]) -> str:
        return trial_boot.started_with(words)

    def boot_settings_agree(self, arguments: Sequence[KernelArgument], rules: Sequence[KernelArgumentRule]) -> str:
        return command_line.agrees(arguments, rules)

    def prune_kernels(self, release: str, keep: int) -> str:
        return kernel_removal.prune(release, keep)

    def kernel_lock(self) -> VersionLock:
        """The metapackages that pull in the newest kernel are not installed anew, and not upgraded where they are."""
        never = dict.fromkeys(self.kernel_metas(), "version *")
        return VersionLock(KERNEL_PREFERENCES, pins.preferences(pins.pins((), never=never)))

    def update_exceptions(self) -> VersionLock:
        return VersionLock(updates.EXCEPTIONS, updates.exceptions(self.set_globs()))

    def update_lease(self) -> Mapping[str, NodeFile]:
        return {
            f"lease-{timer}": NodeFile(f"/etc/systemd/system/{timer}.service.d/provision.conf", "644", updates.LEASE)
            for timer in updates.TIMED
        }

    def first_boot_is_over(self, seconds: int) -> str:
        return ready.first_boot_is_over(seconds)

    def modules_can_be_signed(self) -> str:
        return signing.can_sign()

    def module_key_known(self) -> str:
        return signing.key_known()

    def old_ofed_absent(self) -> str:
        return ready.old_ofed_absent()

    def doca_can_become(self, version: str, profiles: Sequence[str]) -> str:
        return ready.doca_can_become(version, profiles)

    def package_settings(self) -> tuple[str, ...]:
        return (f"{SOURCES}/provision-*.sources", f"{KEYRINGS}/provision-*.asc", f"{PINS}/provision-*")

    def drop_package_settings(self, keep: Sequence[str]) -> str:
        return leftovers.drop(self.package_settings(), keep)

    def package_settings_dropped(self, keep: Sequence[str]) -> str:
        return leftovers.gone(self.package_settings(), keep)

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
        # Both archives have a nvidia-modprobe, and either goes with any driver.
        of_driver = [name for name in self.driver_package_patterns() if name not in self.drivers.modprobe]
        return apt.sources_unmixed(of_driver)

    def build_modules(self, driver: str, modules: str, release: str) -> str:
        module, version = self.dkms_module(driver, modules)
        built = dkms.build(module, version, release, inputs=self._ofed_exports(release))
        return built + dkms.keep_verdict(self._wanted(driver, modules, release))

    def build_log(self, driver: str, modules: str) -> str:
        return dkms.log_glob(*self.dkms_module(driver, modules))

    def modules_built(self, driver: str, modules: str, release: str) -> str:
        return dkms.built(self._wanted(driver, modules, release))

    def ready_made(self, driver: str, modules: str, release: str) -> str:
        return module_files.judged(self.module_names(modules), driver, release, _licence(modules))

    def build_ofed(self, modules: Sequence[str], release: str) -> str:
        return dkms.build_all(modules, release, exports=self._ofed_exports(release)[0])

    def ofed_log(self, modules: Sequence[str]) -> str:
        return dkms.log_glob(modules[0], "*")

    def ofed_built(self, modules: Sequence[str], release: str) -> str:
        return dkms.all_built(modules, release)

    def build_beside_driver(self, built: Sequence[str], driver: str, modules: str, release: str) -> str:
        # Without the path, gdrcopy takes the first driver source that it finds, which may be a stale one's
        # (NVIDIA/gdrcopy fcec3ce, src/gdrdrv/Makefile, read 2026-11-21).
        module, version = self.dkms_module(driver, modules)
        source = f"/usr/src/{module}-{version}"
        inputs = (f"{source}/nvidia/nv-p2p.h", f"{source}/dkms.conf")
        return f"export NVIDIA_SRC_DIR={quote(source)}/nvidia\n" + dkms.build_all(built, release, inputs=inputs)

    def build_other_modules(self, own: Sequence[str], release: str) -> str:
        return dkms.build_others(own, release, inputs=self._ofed_exports(release))

    def other_modules_log(self) -> str:
        return dkms.log_glob("*", "*")

    def other_modules_built(self, own: Sequence[str], release: str) -> str:
        return dkms.others_built(own, release)

    def brings_no_other_driver(self, packages: Sequence[Package], own: Sequence[Package], driver: str) -> str:
        names = [package.name for package in own]
        return simulation.brings_no_other(packages, self.driver_package_patterns(), names, driver)

    def peer_memory_fits(self, modules: str, release: str) -> str:
        return symbols.peer_memory_fits(self.module_names(modules)[-1], release)

    def one_flavour(self, modules: str) -> str:
        other = "open" if modules == "proprietary" else "proprietary"
        return apt.none_installed(self.module_package_patterns(other))

    def _ofed_exports(self, release: str) -> tuple[str, ...]:
        """Where OFED's build leaves its symbol versions, in the order in which NVIDIA's build looks for them.

        NVIDIA/open-gpu-kernel-modules df1c9a3d, kernel-open/nvidia-peermem/nvidia-peermem.Kbuild, read 2026-11-21.
        """
        places = (f"{self.arch}/{release}", release, "default")
        return tuple(f"/usr/src/ofa_kernel/{place}/Module.symvers" for place in places)

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
        return dkms.Wanted(module, version, release, self.module_names(modules), _licence(modules))


def _licence(modules: str) -> str:
    """What modinfo says of a flavour's licence, as a shell pattern."""
    return "*GPL*" if modules == "open" else "NVIDIA"
