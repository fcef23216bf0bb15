"""What one distribution calls things, in plain data. Whatever differs between distributions is asked here."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from provision.catalog import (
    ComponentPackages,
    DriverNames,
    DriverPackages,
    Kernel,
    KernelArgumentRule,
    Modules,
    OperatingSystem,
    branch_of,
    matches_pin,
)
from provision.model import KernelArgument, NodeSpec, Package
from provision.model.spec import Arch

PULL_A_DRIVER = ("nvidia-driver", "nvidia-driver-[0-9]*", "nvidia-headless-[0-9]*", "cuda-drivers*", "nvidia-open")
"""Metapackages of Debian, Ubuntu and NVIDIA (`apt-cache show` of Debian 12, canonical/ubuntu-drivers-common d3d7856 and
NVIDIA's driver installation guide, read 2026-11-21)."""

Offers = Mapping[str, tuple[str, ...]]
"""Package name -> versions that a package manager offers."""

FREE = ("host_compiler", "inbox_rdma")
"""Components of the distribution itself that fit whatever it updates them to: they are not held."""

MODULE_SUFFIXES = ("", "-uvm", "-modeset", "-drm", "-peermem")


@dataclass(frozen=True)
class VersionLock:
    """A file on the node, and its whole content."""

    path: str
    content: str


@dataclass(frozen=True)
class NodeFile:
    """A whole file of the node, its mode in octal digits."""

    path: str
    mode: str
    content: str


@dataclass(frozen=True)
class Platform(ABC):
    """One operating system on one architecture.

    Data stands in the catalog's rows; a family adds how it writes versions and architectures, and how it does things.
    """

    os: OperatingSystem
    arch: Arch
    kernels: tuple[Kernel, ...]
    drivers: DriverPackages
    """What a driver is called in the distribution's own archive."""
    names: tuple[DriverNames, ...] = ()
    """What its parts are called in NVIDIA's repository."""
    components: tuple[ComponentPackages, ...] = ()

    # Kernels

    def kernel_row(self, release: str) -> Kernel:
        """The flavour that a release belongs to. Raises: LookupError."""
        for row in self.kernels:
            if re.fullmatch(row.release, release):
                return row
        flavours = ", ".join(row.flavour for row in self.kernels)
        raise LookupError(f"{release!r} is no kernel of {self.os.name} on {self.arch} (flavours: {flavours})")

    def kernel_packages(self, release: str) -> tuple[Package, ...]:
        """Image, headers and what the headers need, by exact names. Raises: LookupError."""
        row = self.kernel_row(release)
        names = (row.image, row.headers, *row.needs)
        return tuple(Package(name=_named(row, name, release)) for name in names)

    def kernel_tools(self, release: str) -> tuple[Package, ...]:
        """What measures and sets a kernel, where the distribution packs it per kernel. Raises: LookupError."""
        row = self.kernel_row(release)
        return tuple(Package(name=_named(row, name, release)) for name in row.tools)

    def release_of(self, package: str) -> str | None:
        """The release whose image this package is: `linux-image-R` -> `R`; None for any other package."""
        for row in self.kernels:
            before, _, after = row.image.partition("{release}")
            release = package.removeprefix(before).removesuffix(after)
            if package == f"{before}{release}{after}" and re.fullmatch(row.release, release):
                return release
        return None

    def page_size(self, release: str) -> int:
        """Bytes per page of a kernel release. Raises: LookupError."""
        return self.kernel_row(release).page_size

    def largest_page_size(self) -> int:
        """Bytes per page of the kernel with the largest pages that the distribution ships without being asked twice."""
        return max(row.page_size for row in self.kernels if row.default)

    def offered_kernels(self, offers: Offers) -> tuple[str, ...]:
        """Releases of which image and headers are both offered, newest first.

        An archive keeps the image of a superseded kernel longer than its headers (Debian 13 security, read
        2026-11-21), and without headers no module can be built.
        """
        releases = {release for name in offers if (release := self.release_of(name)) is not None}
        return self.newest_first(r for r in releases if self._headers(r) in offers)

    # The driver

    def driver_kernel_packages(self, driver: str, modules: str = "open") -> tuple[Package, ...]:
        """The modules' DKMS source, firmware and support files, at one version of the driver.

        `driver` is a whole version, or a branch where only that is known; `modules` open or proprietary.
        """
        wanted = flavour(modules)
        return at_version(driver, (self.drivers.modules[wanted], *self.drivers.kernel[wanted]))

    def driver_user_packages(self, driver: str) -> tuple[Package, ...]:
        """libcuda, NVML, nvidia-smi and what they need, at the same version."""
        return at_version(driver, self._user())

    def dkms_module(self, driver: str, modules: str = "open") -> tuple[str, str]:
        """Name and version under which DKMS knows the driver's modules."""
        return self.drivers.dkms[flavour(modules)], driver

    def dkms_modules(self) -> tuple[str, ...]:
        """Every name under which DKMS may know a driver's modules, whatever their flavour and repository."""
        theirs = (name for row in self.names for name in row.dkms.values())
        return tuple(dict.fromkeys((*self.drivers.dkms.values(), *theirs)))

    def module_names(self, modules: str = "open") -> tuple[str, ...]:
        """File names of the installed modules without `.ko`; Debian's differ from the names that modprobe is given."""
        return tuple(self.drivers.dkms[flavour(modules)] + suffix for suffix in MODULE_SUFFIXES)

    def offered_drivers(self, offers: Offers, modules: str) -> tuple[str, ...]:
        """Driver versions of which every package is offered, in no order: the parts are in lockstep."""
        wanted = flavour(modules)
        templates = (self.drivers.modules[wanted], *self.drivers.kernel[wanted], *self._user())
        sets = [self._versions(offers, template) for template in templates]
        return tuple(sorted(set.intersection(*sets)))

    def driver_lock(self, driver: str, modules: str = "open") -> VersionLock | None:
        """What keeps the package manager at this driver; None where the archive carries no other version."""
        carried = set(_flat(self.drivers.offered.values()))
        if self.drivers.complete and carried <= {driver}:
            return None
        return self.version_lock((*self.driver_kernel_packages(driver, modules), *self.driver_user_packages(driver)))

    def offered_names(self, spec: NodeSpec) -> tuple[str, ...]:
        """Globs (`*`, `?`) of package names that a first reading asks the node's package manager about."""
        kernels = [row for row in self.kernels if row.default or spec.kernel is not None]
        images = (template for row in kernels for template in _globs(row))
        theirs = self.vendor_globs(with_driver=spec.driver_repository != "archive")
        return tuple(dict.fromkeys((*images, *self.driver_globs(), *theirs)))

    # What a family answers

    @property
    @abstractmethod
    def package_arch(self) -> str:
        """The architecture as packages call it."""

    @abstractmethod
    def upstream(self, version: str) -> str:
        """A package's version without what the distribution adds."""

    @abstractmethod
    def newest_first(self, releases: Iterable[str]) -> tuple[str, ...]:
        """Kernel releases in the order in which the distribution would take them."""

    @abstractmethod
    def version_lock(self, packages: Sequence[Package]) -> VersionLock:
        """The file that keeps the package manager at these versions."""

    @abstractmethod
    def lock_of(self, component: str, packages: Sequence[Package], never: Mapping[str, str]) -> VersionLock:
        """The file that keeps a component at these versions, and packages out that must not come from somewhere.

        `never`: package -> where it must not come from, as `ComponentPackages.never` has it.
        """

    # How a family does things: every program is POSIX sh; what changes the node runs as root

    @abstractmethod
    def fetch_offers(self) -> str:
        """Fetch what says which packages the node's archives offer, or fail with the package manager's words."""

    @abstractmethod
    def initrd(self, release: str) -> str:
        """Build the initrd of a kernel, once."""

    @abstractmethod
    def boot_complete(self) -> str:
        """Test: every kernel in /boot can boot, and the package database is consistent."""

    @abstractmethod
    def boot_menu(self) -> str:
        """Write the boot loader's menu, if `boot_complete` holds."""

    @abstractmethod
    def withdraw_kernel(self, release: str) -> str:
        """Take a kernel off again for which the modules do not build; its last line says what was done."""

    @abstractmethod
    def default_kernel(self) -> str:
        """Print the release that boots by default."""

    @abstractmethod
    def trial_files(self, release: str, words: Sequence[str], seconds: int) -> Mapping[str, NodeFile]:
        """What makes a trial boot possible and harmless, by the names of the resources that write them.

        `boot-settings` and `trial-entry` belong to the boot menu, `trial-dead-man` to the initrd. Of the menu's entries
        only the trial's has `words` on its command line; an unconfirmed trial ends after `seconds`.
        """

    @abstractmethod
    def can_be_tried(self, release: str, words: Sequence[str]) -> str:
        """Test: the boot loader can start a kernel with these words once, and forget it."""

    @abstractmethod
    def started_with(self, words: Sequence[str]) -> str:
        """Test: the kernel was started with these words, and with no others of ours."""

    @abstractmethod
    def boot_settings_agree(self, arguments: Sequence[KernelArgument], rules: Sequence[KernelArgumentRule]) -> str:
        """Test: no kernel argument in the boot loader's own settings on the node contradicts these."""

    @abstractmethod
    def prune_kernels(self, release: str, keep: int) -> str:
        """Take off older kernels, once `release` runs and is the default: all but it and `keep` others."""

    @abstractmethod
    def kernel_lock(self) -> VersionLock:
        """What keeps the package manager from taking another kernel by itself."""

    @abstractmethod
    def update_exceptions(self) -> VersionLock:
        """What keeps unattended updates off kernels and drivers, and lets all others go on."""

    @abstractmethod
    def update_lease(self) -> Mapping[str, NodeFile]:
        """What keeps unattended updates off a node while a run is at work on it; it expires on the node by itself."""

    @abstractmethod
    def first_boot_is_over(self, seconds: int) -> str:
        """Test: what sets a new machine up at its first boot is done; waited for so long."""

    @abstractmethod
    def modules_can_be_signed(self) -> str:
        """Test: Secure Boot is off, or what makes the key of modules, and what enrols it, is on this node."""

    @abstractmethod
    def module_key_known(self) -> str:
        """Test: Secure Boot is off, or knows the key with which modules are signed on this node."""

    @abstractmethod
    def old_ofed_absent(self) -> str:
        """Test: no MLNX_OFED from before DOCA-OFED is installed."""

    @abstractmethod
    def doca_can_become(self, version: str, profiles: Sequence[str]) -> str:
        """Test: none of DOCA's `profiles` is installed, or at a version over which the vendor installs this one."""

    @abstractmethod
    def package_settings(self) -> tuple[str, ...]:
        """Patterns of the files in which resources tell the package manager of sources and versions."""

    @abstractmethod
    def drop_package_settings(self, keep: Sequence[str]) -> str:
        """Take away all files of `package_settings` but those of `keep`."""

    @abstractmethod
    def package_settings_dropped(self, keep: Sequence[str]) -> str:
        """Test: of `package_settings` there are only those of `keep`."""

    @abstractmethod
    def wait_for_package_locks(self) -> str:
        """Test: nobody else works with packages; asked again until it is so or patience ends."""

    @abstractmethod
    def packages_mendable(self) -> str:
        """Test: the package database is consistent, or an interrupted run of ours left what its rerun mends."""

    @abstractmethod
    def driver_sources_unmixed(self) -> str:
        """Test: what is there of a driver comes from one source."""

    @abstractmethod
    def build_modules(self, driver: str, modules: str, release: str) -> str:
        """Build and install the driver's modules for a kernel."""

    @abstractmethod
    def build_log(self, driver: str, modules: str) -> str:
        """The file that a build writes while it works."""

    @abstractmethod
    def modules_built(self, driver: str, modules: str, release: str) -> str:
        """Test: the modules are installed for a kernel, at the driver's version and with the flavour's licence."""

    @abstractmethod
    def ready_made(self, driver: str, modules: str, release: str) -> str:
        """Test: modules that the distribution built are there for a kernel, at the driver's version and licence."""

    @abstractmethod
    def build_ofed(self, modules: Sequence[str], release: str) -> str:
        """Build and install OFED's modules for a kernel: those of these whose source is on the node, in this order."""

    @abstractmethod
    def ofed_log(self, modules: Sequence[str]) -> str:
        """The file that a build of OFED writes while it works."""

    @abstractmethod
    def ofed_built(self, modules: Sequence[str], release: str) -> str:
        """Test: OFED's modules are installed for a kernel."""

    @abstractmethod
    def build_beside_driver(self, built: Sequence[str], driver: str, modules: str, release: str) -> str:
        """Build and install modules that are compiled against the driver's source for a kernel: gdrdrv."""

    @abstractmethod
    def build_other_modules(self, own: Sequence[str], release: str) -> str:
        """Build and install for a kernel what the node has of modules beside these `own` ones, in their own order."""

    @abstractmethod
    def other_modules_log(self) -> str:
        """The files that a build of other modules writes while it works."""

    @abstractmethod
    def other_modules_built(self, own: Sequence[str], release: str) -> str:
        """Test: what the node has of modules beside these `own` ones is installed for a kernel."""

    @abstractmethod
    def brings_no_other_driver(self, packages: Sequence[Package], own: Sequence[Package], driver: str) -> str:
        """Test: these packages bring nothing of a driver but the plan's `own`, and nothing that pulls one."""

    @abstractmethod
    def peer_memory_fits(self, modules: str, release: str) -> str:
        """Test: the driver's peer memory module was built against the OFED that is there for a kernel, if any is."""

    @abstractmethod
    def one_flavour(self, modules: str) -> str:
        """Test: no package of the other flavour's kernel modules is installed."""

    @abstractmethod
    def one_driver_version(self, driver: str, modules: str, release: str) -> str:
        """Test: libcuda, NVML and the modules bear the driver's version."""

    def kernel_globs(self) -> tuple[str, ...]:
        """Names, as globs, of the packages that make up kernels here, and of those that pull in the newest."""
        found = ((*_globs(row), *_tools(row), *row.metas, *row.others) for row in self.kernels)
        return tuple(dict.fromkeys(_flat(found)))

    def kernel_metas(self) -> tuple[str, ...]:
        """Packages that pull in the newest kernel of a flavour here."""
        return tuple(dict.fromkeys(meta for row in self.kernels for meta in (*row.metas, *row.others)))

    def driver_metas(self) -> tuple[str, ...]:
        """Names, as shell patterns, of packages that pull in a whole driver, whatever their repository."""
        whole = (name for row in self.names for name in _flat(row.whole.values()))
        return tuple(dict.fromkeys((*PULL_A_DRIVER, *map(_glob, whole))))

    def driver_globs(self) -> tuple[str, ...]:
        """Names, as globs, of all packages that make up a driver here."""
        names = (*self.drivers.modules.values(), *_flat(self.drivers.kernel.values()), *self._user())
        return tuple(dict.fromkeys(map(_glob, names)))

    def set_globs(self) -> tuple[str, ...]:
        """Names, as globs, of all packages that a bring-up chooses to fit each other and holds, in every repository."""
        own = self.drivers
        of_kernel = (name.replace("{release}", row.glob) for row in self.kernels for name in row.needs)
        of_archive = (*_flat(own.precompiled.values()), *own.persistenced, *own.modprobe)
        of_fabric = (*own.fabricmanager, *own.nscq, *own.imex)
        of_nvidia = (name for row in self.names for name in row.packages)
        beside = (name for row in self.components if row.component not in FREE for name in row.packages)
        templates = (*of_kernel, *of_archive, *of_fabric, *of_nvidia, *beside)
        named = (name for name in map(_glob, templates) if name != "*")
        return tuple(dict.fromkeys((*self.kernel_globs(), *self.driver_globs(), *named)))

    def vendor_globs(self, with_driver: bool) -> tuple[str, ...]:
        """Names, as globs, of what only repositories beside the archive have: whether a node knows one is seen by them.

        with_driver: those of NVIDIA's own driver packages too.
        """
        theirs = [name for row in self.components if row.repository != "archive" for name in row.packages]
        driver = [name for row in self.names for name in _parts(row)] if with_driver else []
        # DOCA's profiles have no more than their prefix in common.
        names = (name.replace("{profile}", "doca-*") for name in (*theirs, *driver))
        return tuple(dict.fromkeys(re.sub(r"\{[a-z]+\}", "*", name) for name in names))

    def module_package_patterns(self, modules: str) -> tuple[str, ...]:
        """Extended regular expressions of the packages that bring a flavour's modules, whatever their repository."""
        wanted = flavour(modules)
        templates = [
            self.drivers.modules[wanted],
            *self.drivers.precompiled.get(wanted, ()),
            *(row.kernel[wanted][0] for row in self.names if row.kernel.get(wanted)),
        ]
        numbers = {"branch": "[0-9]+", "version": "[0-9.]+", "release": "[0-9].*"}
        return tuple(dict.fromkeys(name.format(**numbers) for name in templates))

    def driver_package_patterns(self) -> tuple[str, ...]:
        """Extended regular expressions of a driver's own packages, whatever their repository, and of what pulls one."""
        parts = (*self.drivers.modules.values(), *_flat(self.drivers.kernel.values()), *self._user())
        theirs = (n for row in self.names for n in (*_flat(row.kernel.values()), *row.user, *_flat(row.whole.values())))
        return tuple(dict.fromkeys(re.sub(r"\{[a-z]+\}", "[0-9][0-9.]*", name) for name in (*parts, *theirs)))

    def _user(self) -> tuple[str, ...]:
        absent = self.drivers.absent.get(self.arch, ())
        return tuple(name for name in self.drivers.user if name not in absent)

    def _headers(self, release: str) -> str:
        row = self.kernel_row(release)
        return _named(row, row.headers, release)

    def _versions(self, offers: Offers, template: str) -> set[str]:
        """Upstream versions offered under a package name, in which `{branch}` must be the version's own."""
        pattern = re.compile(re.escape(template).replace(r"\{branch\}", "[0-9]+"))
        found = {
            (name, self.upstream(version))
            for name, versions in offers.items()
            if pattern.fullmatch(name)
            for version in versions
        }
        return {version for name, version in found if name == template.format(branch=branch_of(version))}


def flavour(modules: str) -> Modules:
    """The word as one of the two there are. Raises: LookupError."""
    if modules == "open":
        return "open"
    if modules == "proprietary":
        return "proprietary"
    raise LookupError(f"kernel modules are open or proprietary, not {modules!r}")


def _named(row: Kernel, template: str, release: str) -> str:
    match = re.fullmatch(row.release, release)
    groups = match.groupdict() if match else {}
    return template.format(release=release, **groups)


def at_version(driver: str, templates: Iterable[str]) -> tuple[Package, ...]:
    """Packages by names that may hold `{branch}` and `{version}`, at one version of the driver (or in one branch)."""
    # A bare branch is followed by a point, a whole version by the distribution's own revision.
    version = f"{driver}.*" if matches_pin(branch_of(driver), driver) else f"{driver}-*"
    return tuple(Package(name=t.format(branch=branch_of(driver), version=driver), version=version) for t in templates)


def _globs(row: Kernel) -> tuple[str, str]:
    """Names of images and headers of one flavour. Too wide is harmless: `release_of` reads the exact form."""
    return row.image.format(release=row.glob), row.headers.format(release=row.glob)


def _glob(template: str) -> str:
    return re.sub(r"\{[a-z]+\}", "*", template)


def _tools(row: Kernel) -> tuple[str, ...]:
    return tuple(name.format(release=row.glob) for name in row.tools)


def _flat(groups: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(name for group in groups for name in group)


def _parts(row: DriverNames) -> tuple[str, ...]:
    """What every part of a driver is called in NVIDIA's repository."""
    beside = (row.user, row.persistenced, row.fabricmanager, row.imex, row.nscq, row.nvsdm, row.nvlsm)
    pinning = () if row.pinning is None else (row.pinning,)
    return (*_flat(row.kernel.values()), *_flat(beside), *pinning)
