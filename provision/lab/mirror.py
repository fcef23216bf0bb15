"""Which Debian archive a node uses: the one this machine's own apt uses, with the settings it needs for that."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field

from provision.lab import program
from provision.lab.error import LabError
from provision.model import Frozen

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SUITE = "trixie"
SYSTEM = "debian13"
"""What that release calls itself: `ID` and `VERSION_ID` of os-release."""
COMPONENTS = "main contrib non-free non-free-firmware"

_FIELDS = ("ORIGIN", "LABEL", "COMPONENT", "RELEASE", "REPO_URI")
# apt.conf(5): what decides whether and how an archive is reached. Never what lowers its authentication.
_NEEDED = re.compile(
    r"^Acquire::(Check-Valid-Until|Check-Date|Max-ValidTime|Min-ValidTime|Retries|ForceIPv[46]"
    r"|https?::(Proxy|No-Cache|Timeout|Pipeline-Depth)(::.*)?) ",
    re.IGNORECASE,
)
_LOOPBACK = re.compile(r"(?<=//)(localhost|127\.\d+\.\d+\.\d+|\[::1\])(?=[:/]|$)")


class Mirror(Frozen):
    """Where Debian's packages come from; empty where this machine's apt names no Debian archive.

    Then mmdebstrap takes its own default, with the updates and security archives that go with it (mmdebstrap(1)).
    """

    archive: str = ""
    security: str = ""
    options: tuple[str, ...] = ()
    """Lines of apt.conf."""
    addresses: dict[str, str] = Field(default_factory=dict)
    """Host name -> address, for hosts that only this machine's own hosts file knows."""

    @property
    def https(self) -> bool:
        return any(uri.startswith("https:") for uri in (self.archive, self.security))

    def sources(self, codename: str = SUITE, components: str = COMPONENTS) -> str:
        """A release's sources in deb822 form; empty for mmdebstrap's own."""
        wanted = ((self.archive, (codename, f"{codename}-updates")), (self.security, (f"{codename}-security",)))
        return "\n".join(_paragraph(uri, suites, components) for uri, suites in wanted if uri)

    def backports(self) -> str:
        """The suite with newer versions of some programs, in deb822 form; empty where no archive is named."""
        return _paragraph(self.archive, (f"{SUITE}-backports",), "main") if self.archive else ""

    def seen_from(self, gateway: str) -> Mirror:
        """The same archive for a node, whose own loopback is not this machine's."""
        return Mirror(
            archive=_LOOPBACK.sub(gateway, self.archive),
            security=_LOOPBACK.sub(gateway, self.security),
            options=tuple(_LOOPBACK.sub(gateway, line) for line in self.options),
            addresses={name: _not_loopback(address, gateway) for name, address in self.addresses.items()},
        )


def read() -> Mirror:
    """Asks apt of this machine."""
    if program.find("apt-get") is None:
        return Mirror()
    fields = "|".join(f"$({field})" for field in _FIELDS)
    archive, security = choose(program.run("apt-get", "indextargets", "--format", fields).splitlines())
    options = acquire_options(program.run("apt-config", "dump").splitlines(), os.environ)
    return Mirror(
        archive=archive,
        security=security,
        options=options,
        addresses=_local_addresses([archive, security, *re.findall(r'"(https?://[^"]+)"', "\n".join(options))]),
    )


def choose(targets: Iterable[str]) -> tuple[str, str]:
    """Archive and security archive out of `apt-get indextargets` lines in the form ORIGIN|LABEL|COMPONENT|RELEASE|URI.

    A line counts when apt has verified that Debian signed it, or, before the first `apt-get update` of the machine
    (then apt knows no origin), when its address ends as Debian's archives do.
    """
    archive = security = ""
    for line in targets:
        origin, label, component, release, uri = line.split("|")
        if component != "main" or not uri.startswith(("http://", "https://")):
            continue
        address = uri.rstrip("/")
        known = origin == "Debian" or (
            origin in ("", "$(ORIGIN)") and address.endswith(("/debian", "/debian-security"))
        )
        if not known:
            continue
        if label == "Debian-Security" or release.endswith("-security"):
            security = address
        elif "/" not in release and not release.endswith("-backports"):
            archive = address
    return (archive, security) if archive else ("", "")


def acquire_options(dump: Iterable[str], environment: Mapping[str, str]) -> tuple[str, ...]:
    """The lines of `apt-config dump` that a node needs too, plus the proxy of the environment where apt has none."""
    lines = [line for line in dump if _NEEDED.match(line) and not line.endswith(' "";')]
    for scheme in ("http", "https"):
        proxy = environment.get(f"{scheme}_proxy", "")
        if proxy and not any(line.startswith(f"Acquire::{scheme}::Proxy ") for line in lines):
            if '"' in proxy:
                raise LabError(f"{scheme}_proxy holds a quotation mark, which apt.conf cannot carry: unset it.")
            lines.append(f'Acquire::{scheme}::Proxy "{proxy}";')
    return tuple(lines)


def resolver() -> str:
    """A resolv.conf for nodes: this machine's name servers, past a stub that listens on its loopback only."""
    for path in (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")):
        if not path.exists():
            continue
        lines = path.read_text(encoding="utf-8").splitlines()
        servers = [line for line in lines if line.startswith("nameserver") and not _is_loopback(line.split()[1])]
        if servers:
            kept = [line for line in lines if line.startswith(("search", "domain"))]
            # A dead name server would otherwise hold every login and sudo for 10 s (resolv.conf(5)).
            return "\n".join([*servers, *kept, "options timeout:2 attempts:2"]) + "\n"
    return ""


def _paragraph(uri: str, suites: tuple[str, ...], components: str) -> str:
    return f"Types: deb\nURIs: {uri}\nSuites: {' '.join(suites)}\nComponents: {components}\nSigned-By: {KEYRING}\n"


def _local_addresses(uris: Iterable[str]) -> dict[str, str]:
    found = {}
    for host in sorted({urlsplit(uri).hostname or "" for uri in uris} - {"", "localhost"}):
        if not program.succeeds("getent", "-s", "hosts:files", "ahostsv4", host):
            continue
        answer = program.run("getent", "-s", "hosts:files", "ahostsv4", host).split()[0]
        if answer != host:
            found[host] = answer
    return found


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"


def _not_loopback(address: str, gateway: str) -> str:
    return gateway if _is_loopback(address) else address
