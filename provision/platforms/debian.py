"""Debian: dpkg's architectures and versions, and the programs of apt, DKMS, initramfs-tools and GRUB."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from debian.debian_support import NativeVersion

from provision.platforms.apt_family import AptFamily

DPKG_ARCH = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Debian(AptFamily):
    @property
    def package_arch(self) -> str:
        return DPKG_ARCH[self.arch]

    def upstream(self, version: str) -> str:
        """`535.309.01-0+deb12u1` -> `535.309.01`: epoch and Debian revision taken off."""
        return NativeVersion(version).upstream_version or version

    def newest_first(self, releases: Iterable[str]) -> tuple[str, ...]:
        """By dpkg's order of versions, in which `+deb13.1` is newer than `+deb13`."""
        return tuple(sorted(set(releases), key=NativeVersion, reverse=True))
