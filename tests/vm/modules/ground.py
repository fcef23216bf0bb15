"""The state that every case starts from: a machine that never had a driver, and an archive of its own to bring one up.

Real in that archive: the kernel with its headers, and all small packages of the driver, with Debian's own settings for
modprobe. Stand-ins: see `packages`. The machine needs no other archive from then on.
"""

from __future__ import annotations

import re
from pathlib import Path
from shlex import quote
from typing import Any

from bring_up import OS, BringUp, clone

from modules.packages import LARGE, doca, driver, source_name
from provision.catalog import load
from provision.lab import Lab, Node, VirtualMachine
from provision.lab.archive import PLACE, Ground, repositories, served
from provision.lab.archive.build import NEEDS, Offered, build
from provision.model import Frozen, NodeSpec, Snapshot, Stack, digest
from provision.model.spec import Arch
from provision.platforms import Component, Platform, packages_of, platform_for
from provision.probe import parse, probe_program
from provision.stack import resolve

ARCH: Arch = "x86_64"
PATIENCE = 1800
"""Seconds for one program of ours: a compiler is unpacked by an emulated processor."""
HERE = Path(__file__).parent
BESIDE_LIBRARIES: tuple[Component, ...] = ("modprobe", "persistenced")

GOOD, BAD = "good", "bad"
"""Suites of the archive: the driver builds for every kernel; it does not for the one that is to come."""

OF_THE_PLAN = re.compile(r".*(nvidia|cuda|glx).*|linux-(image|headers|kbuild)-.*")
"""What a bring-up shall install itself, and what comes with that."""


class Facts(Frozen):
    """What the resolver chose from Debian's archive when the state was made."""

    old: str
    """The kernel that runs."""
    release: str
    driver: str
    doca: str
    ofed: str


class Start(Frozen):
    layer: str
    facts: Facts


def provide(lab: Lab) -> Start:
    """Made once per image and text of these programs; takes the network and emulated minutes. Raises: NoFit."""
    with clone(lab, "ground", ARCH) as node:
        texts = "".join((HERE / name).read_text(encoding="utf-8") for name in ("ground.py", "packages.py"))
        known = [item.model_dump_json() for item in doca(_platform(), _ground(), load().doca_releases[-1].id)]
        layer = f"modules-{digest(repr((node.layers, texts, known)))}"
        if layer not in {kept.name for kept in lab.layers()}:
            facts = _furnish(node)
            sudo(node, f"cat >{PLACE}/facts.json; sync", stdin=facts.model_dump_json())
            lab.save(node.name, layer)
    with clone(lab, "facts", ARCH, layer) as node:
        return Start(layer=layer, facts=Facts.model_validate_json(node.ssh(f"cat {PLACE}/facts.json").stdout))


def declared(folder: Path, node: VirtualMachine, start: Start, **more: Any) -> BringUp:
    """The bring-up of a machine on this state; `more` is declared of it besides.

    doca-roce is the smallest profile with modules of its own: every build is emulated.
    """
    ofed = served(node, "doca", version=start.facts.doca)
    given = {
        "features": ["rdma"],
        "roles": ["preflight", "kernel_64k", "doca_ofed", "open_kernel_modules", "cuda_drivers"],
        "doca_ofed_profile": "doca-roce",
        "doca_ofed_url": ofed.url,
        "doca_ofed_key": ofed.key,
        "doca_ofed_key_fingerprints": list(ofed.key_fingerprints),
        "kernel_64k_trial_minutes": 30,
    }
    return BringUp(folder, node, **given | more)


def serve(node: VirtualMachine, suite: str) -> None:
    """Which driver source the machine's archive offers."""
    text = f"Types: deb\nURIs: copy:{PLACE}/{suite}\nSuites: ./\nSigned-By: {PLACE}/{suite}.gpg\n"
    sudo(node, f"printf %s {quote(text)} >/etc/apt/sources.list.d/stand-ins.sources\napt-get -qq update")


def sudo(node: Node, program: str, stdin: str = "") -> str:
    """Standard output of a program that root runs on the node; AssertionError when it fails."""
    done = node.sudo(f"set -eu\n{program}", stdin=stdin, seconds=PATIENCE)
    assert done.returncode == 0, f"{program}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def _furnish(node: VirtualMachine) -> Facts:
    platform, ground = _platform(), _ground()
    sudo(node, "apt-get -qq update")
    spec = NodeSpec.model_validate({"os": OS, "arch": ARCH, "gpu": "H100", "hardware": "absent", "features": ["rdma"]})
    reading = parse(sudo(node, "sh -s", stdin=probe_program(globs=platform.offered_names(spec))), node.name)
    stack = resolve(spec, load(), reading)
    release = next(row for row in load().doca_releases if row.id == stack.version("doca"))
    facts = Facts(
        old=reading.kernel,
        release=stack.version("kernel"),
        driver=stack.version("driver"),
        doca=release.id,
        ofed=release.ofed,
    )
    wanted = _wanted(platform, stack, reading)
    stand_ins = (source_name(platform, facts.driver), *LARGE)
    _fetch(node, wanted, stand_ins)
    controls = {name: fields(sudo(node, f"apt-cache show {quote(f'{name}={wanted[name]}')}")) for name in stand_ins}
    folder = repositories()["doca"].folder.format(version=facts.doca)
    build(
        node,
        [
            _offered(GOOD, tuple(driver(platform, facts.driver, controls))),
            _offered(BAD, tuple(driver(platform, facts.driver, controls, refused_by=facts.release))),
            _offered(folder, doca(platform, ground, facts.doca)),
        ],
    )
    # The pin: where this machine's apt uses an archive on itself, the lab writes that source again for every clone.
    sudo(
        node,
        "rm -f /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources\n"
        "printf '%s\\n' 'Package: *' 'Pin: release o=Debian' 'Pin-Priority: -1' >/etc/apt/preferences.d/stand-ins\n"
        "rm -rf /var/lib/apt/lists/*",
    )
    serve(node, GOOD)
    return facts


def _wanted(platform: Platform, stack: Stack, reading: Snapshot) -> dict[str, str]:
    """Every package of the plan at the version in which Debian's archive offers it; `*` where it was not asked."""
    version = stack.version("driver")
    beside = (package for part in BESIDE_LIBRARIES for package in packages_of(platform, part, version).packages)
    found = {}
    for package in (
        *platform.kernel_packages(stack.version("kernel")),
        *platform.driver_kernel_packages(version, stack.version("modules")),
        *platform.driver_user_packages(version),
        *beside,
    ):
        versions = (reading.offers or {}).get(package.name, ())
        of_driver = [one for one in versions if platform.upstream(one) == version]
        found[package.name] = next(iter(of_driver or versions), "*")
    return found


def _fetch(node: VirtualMachine, wanted: dict[str, str], stand_ins: tuple[str, ...]) -> None:
    """Installs what a bring-up takes for granted, the compiler for one; of the rest the real packages go to the archive."""
    names = " ".join(quote(name if version == "*" else f"{name}={version}") for name, version in wanted.items())
    simulated = sudo(node, f"apt-get -s --no-install-recommends install {names}")
    found = dict(re.findall(r"(?m)^Inst (\S+) (?:\[\S+\] )?\((\S+)", simulated))
    ours = [
        f"{name}={version}" for name, version in found.items() if OF_THE_PLAN.fullmatch(name) and name not in stand_ins
    ]
    others = [f"{name}={version}" for name, version in found.items() if not OF_THE_PLAN.fullmatch(name)]
    sudo(
        node,
        f"""
export DEBIAN_FRONTEND=noninteractive
apt-get -q -y --no-install-recommends install make {" ".join(map(quote, (*others, *NEEDS)))} </dev/null
mkdir -p {PLACE}/{GOOD} {PLACE}/{BAD}
cd {PLACE}/{GOOD}
apt-get -q -o APT::Sandbox::User=root download {" ".join(map(quote, ours))}
ln *.deb {PLACE}/{BAD}/
apt-get clean
""",
    )


def _offered(folder: str, packages: tuple[Any, ...]) -> Offered:
    row = repositories()["doca"]
    is_doca = folder.startswith("doca")
    origin, label = (row.origin, row.label) if is_doca else ("stand-ins", "stand-ins")
    return Offered(folder=folder, origin=origin, label=label, packages=packages)


def fields(shown: str) -> str:
    """What a package says of itself, without what describes the real one's file and content."""
    dropped = ("Size", "Filename", "MD5sum", "SHA", "Installed-Size", "Description", "Tag", "Homepage")
    kept: list[str] = []
    keep = True
    for line in shown.split("\n\n", maxsplit=1)[0].splitlines():
        keep = keep if line.startswith(" ") else not line.startswith(dropped)
        if keep:
            kept.append(line)
    return "\n".join(kept) + "\n"


def _platform() -> Platform:
    return platform_for(OS, ARCH)


def _ground() -> Ground:
    """Nothing here is laid on kernel headers: those are real, and come with the kernel."""
    named = {"package_arch": "amd64", "multiarch": "x86_64-linux-gnu"}
    return Ground(arch=ARCH, headers="", common="", generated=(), **named)
