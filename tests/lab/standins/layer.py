"""The layer that test nodes stand on: the stand-ins' archive, everything real that they need, and an older kernel."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from shlex import quote

from provision.catalog import load
from provision.lab import Lab, Node
from provision.lab.archive import PLACE, Ground, StandIn
from provision.lab.archive.build import Offered, build
from provision.lab.archive.layer import kept, prepare
from provision.model import Frozen, NodeSpec, Package, Snapshot, Stack
from provision.platforms import Component, Platform, packages_of, platform_for
from provision.probe import parse, probe_program
from provision.stack import resolve
from standins.packages import driver_part, driver_source, follower, headers, image, older

HERE = Path(__file__).parent
BESIDE_LIBRARIES: tuple[Component, ...] = ("modprobe", "persistenced")

DAEMONS = ("early", "late")
"""One whose new configuration belongs before the plan's reboot, and one behind it."""

DAEMON = """\
#!/bin/sh
cat "/etc/stand-in-$1.conf" >"/run/stand-in-$1.configuration"
echo "$2" >"/run/stand-in-$1.generation"
exec sleep infinity
"""

ONLY_STAND_INS = """
mkdir -p /etc/apt/stand-ins.d
cat >/etc/apt/apt.conf.d/99zz-stand-ins <<'END'
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "/etc/apt/stand-ins.d";
END
printf '%s\\n' MODULES=list COMPRESSLEVEL=1 >/etc/initramfs-tools/conf.d/stand-ins
"""
"""A bring-up needs no network from now on, and no real package of the same version can be taken instead."""


def service(daemon: str, generation: str) -> str:
    """The unit of a daemon that keeps in /run what it was started with."""
    return (
        f"[Unit]\nDescription=stand-in for tests: the {daemon} daemon\n\n"
        f"[Service]\nExecStart={PLACE}/daemon {daemon} {generation}\n\n"
        "[Install]\nWantedBy=multi-user.target\n"
    )


class Facts(Frozen):
    """What the resolver chose from the archive of the node that the layer was built on."""

    release: str
    older: str
    driver: str
    modules: str


def spec(**pins: str) -> NodeSpec:
    """What tests declare of a stand-in node."""
    return NodeSpec.model_validate(
        {"os": "debian13", "arch": os.uname().machine, "gpu": "H100", "hardware": "absent", **pins}
    )


def facts(node: Node) -> Facts:
    return Facts.model_validate_json(node.ssh(f"cat {PLACE}/facts.json").stdout)


def serve(node: Node, suite: str) -> None:
    """Which driver source the node's archive offers: `good`, `bad` (refused by the newer kernel), or `fixed`."""
    sudo(node, _sources(suite) + "apt-get -qq update")


def provide(lab: Lab) -> str:
    """The name of the layer; built once per base and per text of this package. Needs the network when it is built."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(HERE.iterdir()) if path.is_file()]
    return kept(lab, "standins", "\n".join(texts), _furnish)


def sudo(node: Node, program: str, stdin: str = "") -> str:
    """Standard output of a program that root runs on the node; AssertionError when it fails."""
    done = node.sudo(f"set -eu\n{program}", stdin=stdin)
    assert done.returncode == 0, f"{program}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def until(node: Node, test: str, seconds: float) -> bool:
    """Did this sh test hold within so many seconds?"""
    return (
        node.sudo(
            f"for _ in $(seq {int(seconds * 4)}); do if {test}; then exit 0; fi; sleep 0.25; done; exit 1"
        ).returncode
        == 0
    )


def _furnish(node: Node) -> None:
    platform = platform_for("debian13", os.uname().machine)
    sudo(node, "apt-get -qq update")
    answer = sudo(node, "sh -s", stdin=probe_program(globs=platform.offered_names(spec())))
    reading = parse(answer, node.name)
    stack = resolve(spec(), load(), reading)
    real = _real(platform, stack, reading)
    kernel = [package.name for package in platform.kernel_packages(stack.version("kernel"))]
    _image, headers_name, *_needs = kernel
    ground = prepare(node, headers_name)
    _install_real(node, real, kernel)
    fields = {name: sudo(node, f"apt-cache show {quote(f'{name}={version}')}") for name, version in real.items()}
    controls = {name: _fields(text) for name, text in fields.items()}
    upstream, earlier = older(stack.version("kernel"))
    chosen = Facts(
        release=stack.version("kernel"),
        older=stack.version("kernel").replace(upstream, earlier),
        driver=stack.version("driver"),
        modules=stack.version("modules"),
    )
    common = tuple(_common(platform, chosen, controls, kernel, ground))
    sources = _driver_sources(platform, chosen, controls)
    build(
        node,
        [
            Offered(folder=suite, origin="stand-ins", label="stand-ins", packages=(*common, source))
            for suite, source in sources.items()
        ],
    )
    sudo(node, ONLY_STAND_INS)
    serve(node, "good")
    _run_what_is_old(node, chosen)


def _real(platform: Platform, stack: Stack, reading: Snapshot) -> dict[str, str]:
    """Every package of the plan at the version in which the archive offers it; `*` where it was not asked about."""
    driver = stack.version("driver")
    packages = [
        *platform.kernel_packages(stack.version("kernel")),
        *platform.driver_kernel_packages(driver, stack.version("modules")),
        *_user_half(platform, driver),
    ]
    found = {}
    for package in packages:
        versions = (reading.offers or {}).get(package.name, ())
        of_driver = [version for version in versions if platform.upstream(version) == driver]
        found[package.name] = next(iter(of_driver or versions), "*")
    return found


def _user_half(platform: Platform, driver: str) -> Iterator[Package]:
    """The driver's libraries and programs, and the daemons beside them."""
    yield from platform.driver_user_packages(driver)
    for part in BESIDE_LIBRARIES:
        yield from packages_of(platform, part, driver).packages


def _install_real(node: Node, real: dict[str, str], kernel: list[str]) -> None:
    """All that apt would install with the plan's packages, save those that stand-ins or the plan bring."""
    _image, _headers, *needs = kernel
    kept_out = [name for name in real if name not in needs]
    wanted = " ".join(quote(name if version == "*" else f"{name}={version}") for name, version in real.items())
    sudo(
        node,
        f"""
apt-get -s --no-install-recommends install {wanted} >{PLACE}/simulated
awk '$1 == "Inst" {{ sub(/^\\(/, "", $3); print $2 "=" $3 }}' {PLACE}/simulated |
    grep -v -E '^({"|".join(name.replace("+", "[+]").replace(".", "[.]") for name in kept_out)})=' >{PLACE}/needed
export DEBIAN_FRONTEND=noninteractive
apt-get -q -y --no-install-recommends install $(cat {PLACE}/needed) </dev/null
apt-get clean
rm {PLACE}/simulated {PLACE}/needed
""",
    )


def _fields(shown: str) -> str:
    """What a package says of itself, without what describes the real one's file and content."""
    dropped = ("Size", "Filename", "MD5sum", "SHA", "Installed-Size", "Description", "Tag", "Homepage")
    first = shown.split("\n\n", maxsplit=1)[0].splitlines()
    fields: list[str] = []
    keep = True
    for line in first:
        keep = keep if line.startswith(" ") else not line.startswith(dropped)
        if keep:
            fields.append(line)
    return "\n".join(fields) + "\n"


def _common(
    platform: Platform, chosen: Facts, controls: dict[str, str], kernel: list[str], ground: Ground
) -> Iterator[StandIn]:
    """What every suite has."""
    upstream, earlier = older(chosen.release)
    image_name, headers_name, *needs = kernel
    yield image(chosen.release, image_name, controls[image_name])
    yield headers(chosen.release, headers_name, controls[headers_name], ground)
    of_older = {name: controls[name].replace(upstream, earlier) for name in kernel}
    yield image(chosen.older, image_name.replace(upstream, earlier), of_older[image_name])
    yield headers(chosen.older, headers_name.replace(upstream, earlier), of_older[headers_name], ground)
    for name in needs:
        yield follower(name.replace(upstream, earlier), of_older[name], name)
    _source, *parts = platform.driver_kernel_packages(chosen.driver, chosen.modules)
    for package in (*parts, *_user_half(platform, chosen.driver)):
        control = controls[package.name]
        yield driver_part(package.name, control, chosen.driver, f"/usr/lib/{ground.multiarch}")


def _driver_sources(platform: Platform, chosen: Facts, controls: dict[str, str]) -> dict[str, StandIn]:
    """By suite: one that is at home on every kernel, one that the newer kernel refuses, and one that was mended."""
    driver, modules = chosen.driver, chosen.modules
    fields = controls[platform.driver_kernel_packages(driver, modules)[0].name]
    mended = _next_revision(fields)
    return {
        "good": driver_source(platform, driver, modules, fields),
        "bad": driver_source(platform, driver, modules, fields, changed_in=chosen.release),
        "fixed": driver_source(platform, driver, modules, mended, changed_in=chosen.release, mended=True),
    }


def _next_revision(fields: str) -> str:
    return "\n".join(f"{line}+fixed1" if line.startswith("Version:") else line for line in fields.splitlines())


def _sources(suite: str) -> str:
    text = f"Types: deb\nURIs: copy:{PLACE}/{suite}\nSuites: ./\nSigned-By: {PLACE}/{suite}.gpg\n"
    return f"printf %s {quote(text)} >/etc/apt/stand-ins.d/stand-ins.sources\n"


def _run_what_is_old(node: Node, chosen: Facts) -> None:
    """The older kernel, and daemons that run with an older configuration than the tests declare."""
    written: Iterable[tuple[str, str]] = (
        (f"{PLACE}/facts.json", chosen.model_dump_json()),
        (f"{PLACE}/daemon", DAEMON),
        *((f"/etc/stand-in-{daemon}.conf", "old\n") for daemon in DAEMONS),
        *((f"/etc/systemd/system/stand-in-{daemon}.service", service(daemon, "old")) for daemon in DAEMONS),
    )
    files = "".join(f"printf %s {quote(text)} >{path}\n" for path, text in written)
    sudo(
        node,
        f"""{files}
chmod 755 {PLACE}/daemon
systemctl daemon-reload
systemctl -q enable --now {" ".join(f"stand-in-{daemon}.service" for daemon in DAEMONS)}
export DEBIAN_FRONTEND=noninteractive
apt-get -q -y install {quote(f"linux-image-{chosen.older}")} </dev/null
[ "$(readlink -f /vmlinuz)" = /boot/vmlinuz-{quote(chosen.older)} ]
[ -s /boot/initrd.img-{quote(chosen.older)} ]
""",
    )
