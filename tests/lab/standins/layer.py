"""The layer that test nodes stand on: the stand-ins' archive, everything real that they need, and an older kernel."""

from __future__ import annotations

import base64
import fcntl
import io
import os
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from shlex import quote

from provision.catalog import load
from provision.lab import Lab, Node, base, mirror
from provision.model import Frozen, NodeSpec, Snapshot, Stack, digest
from provision.platforms import Platform, platform_for
from provision.probe import parse, probe_program
from provision.stack import resolve
from standins.packages import DESCRIPTION, StandIn, driver_part, driver_source, follower, image, older

HERE = Path(__file__).parent
PLACE = "/srv/stand-ins"

DAEMONS = ("early", "late")
"""One whose new configuration belongs before the plan's reboot, and one behind it."""

DAEMON = """\
#!/bin/sh
cat "/etc/stand-in-$1.conf" >"/run/stand-in-$1.configuration"
echo "$2" >"/run/stand-in-$1.generation"
exec sleep infinity
"""


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
    name = f"standins-{digest(chr(10).join([base.recipe_digest(mirror.read()), *texts]))}"
    lab.store.mkdir(parents=True, exist_ok=True)
    with (lab.store / "standins.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if name not in [layer.name for layer in lab.layers()]:
            # A node that an earlier attempt left half furnished is no start for this one.
            lab.down(["standins"])
            (node,) = lab.up(["standins"])
            _build(node)
            lab.save(node.name, name)
            lab.down([node.name])
    return name


def sudo(node: Node, program: str, stdin: str = "") -> str:
    """Standard output of a program that root runs on the node; AssertionError when it fails."""
    done = node.sudo(f"set -eu\n{program}", stdin=stdin)
    assert done.returncode == 0, f"{program}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def _build(node: Node) -> None:
    platform = platform_for("debian13", os.uname().machine)
    sudo(node, "apt-get -qq update")
    answer = sudo(node, "sh -s", stdin=probe_program(globs=platform.offered_names(spec())))
    reading = parse(answer, node.name)
    stack = resolve(spec(), load(), reading)
    real = _real(platform, stack, reading)
    kernel = [package.name for package in platform.kernel_packages(stack.version("kernel"))]
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
    multiarch = sudo(node, "dpkg-architecture -q DEB_HOST_MULTIARCH").strip()
    trees = dict(_trees(platform, chosen, controls, kernel, multiarch))
    sudo(node, f"base64 -d | tar -C {PLACE}/trees -xz", stdin=base64.b64encode(_archive(trees)).decode())
    values = {"release": chosen.release, "older": chosen.older, "upstream": upstream, "earlier": earlier}
    assignments = "".join(f"{name}={quote(value)}\n" for name, value in values.items())
    sudo(node, "sh -s", stdin=assignments + (HERE / "build.sh").read_text(encoding="utf-8"))
    serve(node, "good")
    _furnish(node, chosen)


def _real(platform: Platform, stack: Stack, reading: Snapshot) -> dict[str, str]:
    """Every package of the plan at the version in which the archive offers it; `*` where it was not asked about."""
    driver = stack.version("driver")
    packages = [
        *platform.kernel_packages(stack.version("kernel")),
        *platform.driver_kernel_packages(driver, stack.version("modules")),
        *platform.driver_user_packages(driver),
    ]
    found = {}
    for package in packages:
        versions = (reading.offers or {}).get(package.name, ())
        of_driver = [version for version in versions if platform.upstream(version) == driver]
        found[package.name] = next(iter(of_driver or versions), "*")
    return found


def _install_real(node: Node, real: dict[str, str], kernel: list[str]) -> None:
    """All that apt would install with the plan's packages, save those that stand-ins or the plan bring."""
    _image, headers, *needs = kernel
    kept_out = [name for name in real if name not in needs]
    wanted = " ".join(quote(name if version == "*" else f"{name}={version}") for name, version in real.items())
    sudo(
        node,
        f"""
mkdir -p {PLACE}/trees/real
cd {PLACE}/trees/real
apt-get -s --no-install-recommends install {wanted} >../simulated
awk '$1 == "Inst" {{ sub(/^\\(/, "", $3); print $2 "=" $3 }}' ../simulated |
    grep -v -E '^({"|".join(name.replace("+", "[+]").replace(".", "[.]") for name in kept_out)})=' >../needed
export DEBIAN_FRONTEND=noninteractive
apt-get -q -y --no-install-recommends install $(cat ../needed) apt-utils gpg gpg-agent zstd </dev/null
apt-get -q download {quote(f"{headers}={real[headers]}")}
apt-get clean
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


def _trees(
    platform: Platform, chosen: Facts, controls: dict[str, str], kernel: list[str], multiarch: str
) -> Iterator[tuple[str, StandIn]]:
    """Every stand-in, by the folder it is packed in: one per suite, `common` for what all suites have."""
    upstream, earlier = older(chosen.release)
    image_name, _headers, *needs = kernel
    yield f"common/{image_name}", image(chosen.release, image_name, controls[image_name])
    yield (
        "common/older-image",
        image(
            chosen.older,
            image_name.replace(upstream, earlier),
            controls[image_name].replace(upstream, earlier),
        ),
    )
    for name in needs:
        tree = follower(name.replace(upstream, earlier), controls[name].replace(upstream, earlier), name)
        yield f"common/{tree.name}", tree
    source, *parts = platform.driver_kernel_packages(chosen.driver, chosen.modules)
    for package in (*parts, *platform.driver_user_packages(chosen.driver)):
        control = controls[package.name]
        yield f"common/{package.name}", driver_part(package.name, control, chosen.driver, f"/usr/lib/{multiarch}")
    fields = controls[source.name]
    good = driver_source(platform, chosen.driver, chosen.modules, fields)
    bad = driver_source(platform, chosen.driver, chosen.modules, fields, changed_in=chosen.release)
    fixed = driver_source(
        platform, chosen.driver, chosen.modules, _next_revision(fields), changed_in=chosen.release, mended=True
    )
    yield from ((f"{suite}/{tree.name}", tree) for suite, tree in (("good", good), ("bad", bad), ("fixed", fixed)))


def _next_revision(fields: str) -> str:
    return "\n".join(f"{line}+fixed1" if line.startswith("Version:") else line for line in fields.splitlines())


def _archive(trees: dict[str, StandIn]) -> bytes:
    """All trees as a compressed tar, with the list of what is compiled on the node."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for folder, tree in trees.items():
            for path, content, is_link in tree.entries():
                _add(tar, f"{folder}/{path}", content, is_link)
        libraries = [(f"{folder}{path}", so) for folder, tree in trees.items() for path, so in tree.libraries.items()]
        _add(tar, "libraries", "".join(f"{path} {soname or '-'}\n" for path, soname in libraries), False)
        _add(tar, "description", DESCRIPTION, False)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, path: str, content: str, is_link: bool) -> None:
    member = tarfile.TarInfo(path)
    member.mode = 0o755 if content.startswith("#!") else 0o644
    if is_link:
        member.type, member.linkname = tarfile.SYMTYPE, content
        tar.addfile(member)
        return
    data = content.encode()
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def _sources(suite: str) -> str:
    text = f"Types: deb\nURIs: copy:{PLACE}/{suite}\nSuites: ./\nSigned-By: {PLACE}/key.gpg\n"
    return f"printf %s {quote(text)} >/etc/apt/stand-ins.d/stand-ins.sources\n"


def _furnish(node: Node, chosen: Facts) -> None:
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
