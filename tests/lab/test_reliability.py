"""One thing goes wrong on the way: `provision apply` ends with a sentence that helps, and once the cause is gone the
same command finishes the work.

The node stands on stand-ins (see `standins`) and has converged once, so each test brings back one package and what
follows from it. That the controller may die anywhere is what `test_interrupt` is about.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

import pytest
from interrupt import Project, differences, read_state
from standins import facts, provide, sudo, until

from provision.cli.exits import Exit
from provision.lab import Lab, Node, network
from provision.model import Frozen

NAMES = ("reliable1", "reliable2")
PACKAGE = "nvidia-smi"
"""Nothing depends on it, nothing is built from it: bringing it back takes a second."""

WITHOUT_PACKAGE = f"apt-get -qq -y --allow-change-held-packages purge {PACKAGE}\n"


class Applied(Frozen):
    """A `provision apply` that has ended."""

    code: int
    output: str

    def end_of(self, node: str) -> str:
        """What the conclusion says of a node, in one line."""
        _before, _name, rest = self.output.rpartition(f"\n{node}: ")
        told = []
        for line in rest.splitlines()[1:]:
            if not line.startswith(" "):
                break
            told.append(line.strip())
        return " ".join([rest.splitlines()[0], *told])


class Applying:
    """A `provision apply` that runs."""

    def __init__(self, project: Project) -> None:
        self._path = project.folder / f"apply-{time.monotonic_ns()}.txt"
        with self._path.open("w") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "provision", "apply", "inventory.py"],
                cwd=project.folder,
                env=project.environment | {"PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def until(self, words: str, seconds: float = 120) -> None:
        """Returns when it has said this."""
        deadline = time.monotonic() + seconds
        while words not in self._path.read_text():
            assert self._process.poll() is None and time.monotonic() < deadline, self._path.read_text()
            time.sleep(0.02)

    def wait(self, seconds: float) -> Applied:
        code = self._process.wait(timeout=seconds)
        return Applied(code=code, output=self._path.read_text())

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


@contextmanager
def applying(project: Project) -> Iterator[Applying]:
    run = Applying(project)
    try:
        yield run
    finally:
        run.end()


def apply(project: Project) -> Applied:
    """Runs without a terminal, and must end."""
    with applying(project) as run:
        applied = run.wait(180)
    assert "Traceback" not in applied.output, applied.output
    return applied


@pytest.fixture(scope="module")
def layer(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A node that has converged."""
    (first,) = lab.up(["reliable0"], layer=provide(lab))
    done = Project(tmp_path_factory.mktemp("converged"), [first]).run()
    assert done.code == 0, done.output
    name = f"reliability-{lab.id}"
    lab.save(first.name, name)
    lab.down([first.name])
    lab.up(NAMES, layer=name)
    yield name
    lab.down(NAMES)
    lab.drop(name)


@pytest.fixture(scope="module")
def converged(lab: Lab, layer: str) -> list[str]:
    """The state that every test must end in."""
    return read_state(lab.node(NAMES[0]))


@pytest.fixture
def node(lab: Lab, converged: list[str]) -> Node:
    return lab.reset(NAMES[0])


@pytest.fixture
def project(node: Node, tmp_path: Path) -> Project:
    return Project(tmp_path, [node])


def converges(project: Project, node: Node, state: Sequence[str]) -> None:
    """The same command again finishes the work."""
    again = apply(project)
    assert again.code == Exit.DONE, again.output
    assert differences(read_state(node), list(state)) == []


def failed(applied: Applied, node: Node, *words: str) -> None:
    """It ended as a failure, and its conclusion says all these words about the node."""
    assert applied.code == Exit.FAILED, applied.output
    told = applied.end_of(node.name)
    assert [word for word in words if word not in told] == [], applied.output


# The disk is full


class Full(Frozen):
    """`place`: what has no room, once `before` was done. `says`: what is told then."""

    place: str
    says: tuple[str, ...]
    before: str = WITHOUT_PACKAGE
    bytes: int = 65536


def test_less_room_than_asked_for_is_refused_before_anything_changes(
    node: Node, project: Project, converged: list[str]
) -> None:
    sudo(node, WITHOUT_PACKAGE)
    before = read_state(node)
    project.declare([node], preflight_boot_mib=10**9)

    applied = apply(project)

    failed(applied, node, "preflight-space failed", "/boot has ", " are needed", "Free some room")
    assert differences(read_state(node), before) == []
    project.declare([node])
    converges(project, node, converged)


def full(known_headers: str) -> dict[str, Full]:
    return {
        "the packages' own place": Full(
            place=f"/usr/src/{known_headers}",
            before=f"apt-get -qq -y --allow-change-held-packages remove {known_headers}\n",
            # One page of memory: these headers are links and three small files.
            bytes=4096,
            says=("kernel-packages failed", "No space left on device", "the package transaction failed", "run again"),
        ),
        "apt's archive": Full(
            place="/var/cache/apt/archives",
            says=("driver-packages failed", "No space left on device", "apt cannot get", "run again"),
        ),
        "the build's place": Full(
            place="/var/lib/dkms",
            before="rm -r /var/lib/dkms/nvidia* /var/lib/provision/derived/module-build\n",
            says=("module-build failed", "does not build for kernel", "No space left on device", "stays the default"),
        ),
        "our own place": Full(
            place="/var/lib/provision",
            says=("nothing was begun", "/var/lib/provision has 0 MiB free", "Free some room, then run again"),
        ),
    }


@pytest.mark.parametrize("which", full(""))
def test_a_full_disk(which: str, node: Node, project: Project, converged: list[str]) -> None:
    case = full(f"linux-headers-{facts(node).release}")[which]
    sudo(node, case.before + a_small_disk_at(case.place, case.bytes))

    applied = apply(project)

    failed(applied, node, *case.says)
    sudo(node, f"umount --lazy {quote(case.place)}")
    converges(project, node, converged)


def a_small_disk_at(place: str, size: int) -> str:
    """The same files on a disk with hardly any room, or with none where what is written is little."""
    where = quote(place)
    lines = [
        "mkdir -p /srv/kept " + where,
        f"cp -a {where}/. /srv/kept",
        "rm -f /srv/kept/*.deb",
        f"mount -t tmpfs -o size={size} small {where}",
        f"cp -a /srv/kept/. {where}",
    ]
    if place in {"/var/cache/apt/archives", "/var/lib/provision"}:
        lines.append(f"! head -c {size + 1} /dev/zero >{where}/filler 2>/dev/null")
    return "\n".join(lines) + "\n"


# Other package work, and packages that fail


def offer(node: Node, suffix: str, postinst: str, name: str = PACKAGE) -> None:
    """The node's archive has a newer revision of the package, under this name, with a postinst of its own."""
    sudo(
        node,
        f"""
rm -rf /srv/more
mkdir -p /srv/more
cd /srv/more
dpkg-deb -R /srv/stand-ins/good/{PACKAGE}_*.deb tree
sed -i -e 's/^Version: .*/&{suffix}/' -e 's/^Package: .*/Package: {name}/' tree/DEBIAN/control
[ {name} = {PACKAGE} ] || rm -r tree/usr
printf '#!/bin/sh\\n%s\\n' {quote(postinst)} >tree/DEBIAN/postinst
chmod 755 tree/DEBIAN/postinst
dpkg-deb --root-owner-group --build tree . >/dev/null
rm -r tree
apt-ftparchive packages . >Packages
printf '%s\\n' 'Types: deb' 'URIs: copy:/srv/more' 'Suites: ./' 'Trusted: yes' >/etc/apt/stand-ins.d/more.sources
apt-get -qq update
""",
    )


def offer_no_more(node: Node) -> None:
    sudo(
        node,
        "rm -r /srv/more /etc/apt/stand-ins.d/more.sources; rm -f /var/cache/apt/archives/somebodys_*; apt-get -qq update",
    )


def of_others(found: list[str]) -> list[str]:
    """Differences that are not merely the package's other revision."""
    return [line for line in found if PACKAGE not in line]


AT_WORK_UNTIL_ENOUGH = "touch /run/at-work; until [ -e /run/enough ]; do sleep 0.2; done"


def test_somebody_else_is_at_work_with_packages(node: Node, project: Project, converged: list[str]) -> None:
    offer(node, "", AT_WORK_UNTIL_ENOUGH, name="somebodys")
    sudo(node, WITHOUT_PACKAGE + "systemd-run -q --collect apt-get -qq -y install somebodys")
    assert until(node, "[ -e /run/at-work ]", 60)

    with applying(project) as run:
        run.until("waiting: /var/lib/dpkg/lock-frontend is held by apt-get (pid ")
        sudo(node, "touch /run/enough")
        applied = run.wait(120)

    assert applied.code == Exit.DONE, applied.output
    (events,) = project.state.glob("runs/*/events.jsonl")
    assert "waiting: /var/lib/dpkg/lock-frontend is held by apt-get (pid " in events.read_text()
    assert sudo(node, "dpkg-query -W -f '${db:Status-Status}' somebodys") == "installed", "it was let finish"
    sudo(node, "apt-get -qq -y purge somebodys")
    offer_no_more(node)
    converges(project, node, converged)


def test_a_postinst_fails(node: Node, project: Project, converged: list[str]) -> None:
    sudo(node, WITHOUT_PACKAGE)
    offer(node, "+failing1", "echo the licence server is on holiday >&2; exit 1")

    applied = apply(project)

    says = ("driver-packages failed", "the licence server is on holiday", f"dpkg left unfinished: {PACKAGE} (iF)")
    failed(applied, node, *says, "run again")
    failed(apply(project), node, *says)
    offer(node, "+mended1", "true")
    again = apply(project)
    assert again.code == Exit.DONE, again.output
    assert sudo(node, f"dpkg-query -W -f '${{Version}}' {PACKAGE}").endswith("+mended1")
    offer_no_more(node)
    assert of_others(differences(read_state(node), converged)) == []


# The way to the node


@contextmanager
def cut(lab: Lab, node: Node) -> Iterator[None]:
    """Nothing passes between the node and anybody, and nobody is told."""
    inside = ("ip", "netns", "exec", network.namespace(lab.id, node.name), "nft")
    chains = "".join(
        f"chain {hook} {{ type filter hook {hook} priority 0; policy drop; }}\n" for hook in ("input", "output")
    )
    subprocess.run([*inside, "-f", "-"], input=f"table inet cut {{\n{chains}}}\n", text=True, check=True)
    try:
        yield
    finally:
        subprocess.run([*inside, "delete", "table", "inet", "cut"], check=True)


def test_the_network_is_cut_in_a_transaction(lab: Lab, node: Node, project: Project, converged: list[str]) -> None:
    sudo(node, WITHOUT_PACKAGE)
    offer(node, "+slow1", "touch /run/at-work; sleep 8; touch /run/went-on")

    with applying(project) as run:
        run.until("driver-packages begins")
        assert until(node, "[ -e /run/at-work ]", 60)
        with cut(lab, node):
            applied = run.wait(120)
            later = apply(project)

    says = ("the connection was lost during driver-packages", "goes on there by itself", "run again when")
    failed(applied, node, *says)
    failed(later, node, "unreachable", "run again when")
    assert node.ssh("test -e /run/went-on").returncode == 0, "the node went on without its controller"
    again = apply(project)
    assert again.code == Exit.DONE, again.output
    assert "nothing was due" in again.end_of(node.name)
    offer_no_more(node)
    assert of_others(differences(read_state(node), converged)) == []


def test_a_node_with_another_host_key_is_left_alone(lab: Lab, node: Node, tmp_path: Path, converged: list[str]) -> None:
    known_hosts = node.ssh_config.with_name("known_hosts")
    known = known_hosts.read_text()
    stranger = lab.reset(NAMES[1])
    now_known = known_hosts.read_text()
    assert now_known != known
    sudo(node, WITHOUT_PACKAGE)
    sudo(stranger, WITHOUT_PACKAGE)
    before = read_state(stranger)
    for each in (node, stranger):
        each.ssh("true")
    known_hosts.write_text(known)
    project = Project(tmp_path, [stranger, node])

    applied = apply(project)

    assert known_hosts.read_text() == known, "the new key was not taken for granted"
    known_hosts.write_text(now_known)
    failed(applied, stranger, "shows another ssh host key", f"ssh-keygen -R {stranger.address}", "Nothing was sent")
    assert applied.end_of(node.name).startswith("converged in "), "one bad host never stops the others"
    assert differences(read_state(node), converged) == []
    assert differences(read_state(stranger), before) == []
    converges(project, stranger, converged)


def test_sudo_asks_for_a_password(node: Node, project: Project, converged: list[str]) -> None:
    sudo(node, WITHOUT_PACKAGE + "sed -i 's/NOPASSWD: //' /etc/sudoers.d/lab")

    applied = apply(project)

    failed(applied, node, "sudo asks for a password", "no terminal", "NOPASSWD", "run again")
    sudoers = node.folder / "root/etc/sudoers.d/lab"
    sudoers.write_text(sudoers.read_text().replace("ALL) ALL", "ALL) NOPASSWD: ALL"))
    converges(project, node, converged)
