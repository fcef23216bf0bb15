"""A bare node that knows no vendor's repository: refused before anything is changed, and brought on once it knows one.

NVIDIA's packages are stand-ins here: empty ones of the same names and version, in a repository without a signature.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from shlex import quote

import pytest

from provision.lab import Node
from provision.model import NodeSpec, Packages
from provision.planning import assemble, rooms

DECLARED = {
    "os": "debian13",
    "arch": os.uname().machine,
    "gpu": "H100",
    "hardware": "absent",
    "features": ["containers"],
    "roles": ["preflight", "container_toolkit"],
}

CHANGED = "find /etc /var/lib/provision /var/lib/dpkg -newer /run/before -type f 2>/dev/null | sort"

REPOSITORY = """\
mkdir -p /srv/vendor && cd /srv/vendor
for item in {packages}; do
    name=${{item%%=*}} version=${{item#*=}}
    mkdir -p "$name/DEBIAN"
    printf 'Package: %s\\nVersion: %s\\nArchitecture: all\\nMaintainer: a test\\nDescription: a stand-in\\n' \\
        "$name" "$version" >"$name/DEBIAN/control"
    dpkg-deb --build "$name" "$name.deb" >/dev/null
    {{ dpkg-deb -f "$name.deb"; printf 'Filename: ./%s.deb\\nSize: %s\\nSHA256: %s\\n\\n' "$name" \\
        "$(stat -c %s "$name.deb")" "$(sha256sum <"$name.deb" | cut -c1-64)"; }} >>Packages
done
echo 'deb [trusted=yes] file:/srv/vendor ./' >/etc/apt/sources.list.d/vendor.list
apt-get -qq update
"""


class Site:
    """An inventory without a key, and the command line."""

    def __init__(self, folder: Path, node: Node) -> None:
        self.folder = folder
        keys = {**DECLARED, "sudo": True, "ssh_config_file": str(node.ssh_config)}
        (folder / "inventory.py").write_text(
            f"from provision import fleet\n\nlab = fleet([{node.name!r}], **{keys!r})\n"
        )

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PROVISION_")}
        return subprocess.run(
            [sys.executable, "-m", "provision", *words, "inventory.py"],
            cwd=self.folder, env=kept | {"PROVISION_STATE": str(self.folder / "state")}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False,
        )  # fmt: skip


def packages() -> list[str]:
    """`name=version` of what only the vendor's repository has."""
    plan = assemble(NodeSpec.model_validate(DECLARED), rooms()).plan
    found = [one for e in plan.entries if isinstance(e.resource, Packages) for one in e.resource.packages]
    return [f"{one.name}={one.version.replace('*', '1')}" for one in found if one.repository != "archive"]


def test_a_bare_node_is_refused_with_exit_code_2_until_it_knows_the_repository(node: Node, tmp_path: Path) -> None:
    site = Site(tmp_path, node)
    planned = site.run("plan")
    assert planned.returncode == 0, planned.stderr
    assert "The node must know" in planned.stdout

    assert node.sudo("touch /run/before").returncode == 0
    refused = site.run("apply")
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert "declare container_toolkit_key, the text of gpgkey" in refused.stdout
    assert node.sudo(CHANGED).stdout == ""

    served = node.sudo(f"set -eu\n{REPOSITORY.format(packages=' '.join(map(quote, packages())))}")
    assert served.returncode == 0, served.stdout + served.stderr
    known = site.run("apply", "--dry")
    assert known.returncode == 3, known.stdout + known.stderr
    assert "container-packages" in known.stdout


@pytest.mark.parametrize("engine", ["ansible"])
def test_the_other_engine_refuses_it_as_well(node: Node, tmp_path: Path, engine: str) -> None:
    refused = Site(tmp_path, node).run("apply", "--engine", engine)
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert "declare container_toolkit_key" in refused.stdout
