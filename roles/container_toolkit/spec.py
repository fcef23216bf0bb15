"""container_toolkit: GPUs in containers, for whatever container engine is on the node."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote
from typing import ClassVar

from pydantic import Field

from provision.catalog import load
from provision.model import (
    Derived,
    File,
    Fragment,
    Gate,
    NodeSpec,
    Package,
    Packages,
    Resource,
    Setting,
    Unit,
)
from provision.planning import Context, Role, vendor_repository
from provision.platforms import carried

# NVIDIA/cloud-native-docs 52dcb7b8, container-toolkit install guide, 2026-08-21. The fingerprint stands alike in five
# public installers (searched 2026-11-21).
URL = "https://nvidia.github.io/libnvidia-container/stable/deb/{arch}"
FINGERPRINTS = ("C95B321B61E88C1809C4F759DDCAE044F796ECB0",)

SPECIFICATION = "/var/run/cdi/nvidia.yaml"
"""Where the toolkit's own nvidia-cdi-refresh.service writes it (nvidia-container-toolkit d34b3046, read 2026-11-21)."""

SETTINGS = "/etc/nvidia-container-toolkit/nvidia-cdi-refresh.env"

# NVIDIA/nvidia-docker#1671: runc asks for links in /dev/char when systemd sets a container's devices anew, which a
# `systemctl daemon-reload` makes it do; where they are missing the container loses its GPU (read 2026-11-21).
DEVICE_LINKS = """\
# Written by provision. A container keeps its GPU over `systemctl daemon-reload` where its devices are linked here.
ACTION=="add", DEVPATH=="/bus/pci/drivers/nvidia", \\
    RUN+="/usr/bin/nvidia-ctk system create-dev-char-symlinks --create-all"
"""

# What `nvidia-ctk runtime configure --runtime=crio` writes (built from d34b3046 and run, 2026-11-21).
CRIO = """\
# Written by provision.
[crio.runtime.runtimes.nvidia]
runtime_path = "/usr/bin/nvidia-container-runtime"
runtime_type = "oci"
"""

DOCKER = (
    Setting(key=("runtimes", "nvidia", "path"), value="nvidia-container-runtime"),
    Setting(key=("features", "cdi"), value=True),
)

CONTAINERD_UNIT = "/usr/lib/systemd/system/containerd.service"
CONTAINERD_DROP_IN = "/etc/containerd/conf.d/99-nvidia.toml"

# containerd before 2.1 replaces a plugin's whole section by that of the file that it imports, so a file with our keys
# alone takes away the CNI folders and the runc runtime, and its CRI plugin ends with "no corresponding runtime
# configured". So does the toolkit's own default, --config-source=file, on Debian's containerd 1.7.24. Both were seen,
# 2026-11-21. Therefore the file is made from what containerd itself says it runs with, without the file of before.
CONTAINERD = f"""\
if ! command -v containerd >/dev/null; then echo 'containerd is not on this node'; exit 0; fi
rm -f {CONTAINERD_DROP_IN}
nvidia-ctk --quiet runtime configure --runtime=containerd --config-source=command --cdi.enabled
[ ! -e {CONTAINERD_DROP_IN} ] || touch {CONTAINERD_DROP_IN}
systemctl try-restart containerd.service
"""

CONTAINERD_TAKES = f"""\
if ! command -v containerd >/dev/null; then echo 'containerd is not on this node'; exit 0; fi
if [ -e {CONTAINERD_DROP_IN} ] && [ /etc/containerd/config.toml -nt {CONTAINERD_DROP_IN} ]; then
    echo '/etc/containerd/config.toml is newer than what was made from it'
    exit 1
fi
told=$(containerd config dump 2>/dev/null) || {{ echo 'containerd cannot read its configuration'; exit 1; }}
echo "$told" | grep -q 'nvidia-container-runtime' || {{ echo 'containerd knows no nvidia runtime'; exit 1; }}
! echo "$told" | grep -q 'enable_cdi = false' || {{ echo 'containerd does not take CDI devices'; exit 1; }}
echo 'containerd knows the nvidia runtime and takes CDI devices'
"""

DOCKER_RESTART = """\
if ! systemctl cat docker.service >/dev/null 2>&1; then echo 'docker is not on this node'; exit 0; fi
systemctl try-restart docker.service
"""

# First versions that read the CDI specification as it is written now; each engine is asked for its own version.
READS_CDI = """\
old=
while read -r engine first; do
    command -v "$engine" >/dev/null || continue
    is=$("$engine" --version 2>/dev/null | grep -oE '[0-9]+\\.[0-9]+\\.[0-9]+' | head -n 1)
    [ -n "$is" ] || continue
    [ "$(printf '%s\\n' "$first" "$is" | sort -V | head -n 1)" = "$first" ] || old="$old $engine $is (from $first on)"
done <<'EOF'
{floors}
EOF
[ -z "$old" ] || {{ echo "these do not read the CDI specification:$old"; exit 1; }}
echo 'every container engine here reads the CDI specification'
"""
PROGRAMS = {"docker": "dockerd", "cri-o": "crio"}
"""The catalog's name of an engine -> its program, where that is another."""


class ContainerToolkit(Role):
    """NVIDIA's container toolkit, its keys in docker's, containerd's and CRI-O's own files, and the CDI specification.

    Nothing asks which engines a node has: every file below is harmless without its engine and waits for it, and what
    is done to containerd is due as soon as containerd is there. Podman reads the CDI specification and needs no more;
    `apptainer run --nv` looks for the driver's libraries by itself.
    """

    component: ClassVar[str] = "containers"

    url: str = Field(default=URL, description="the toolkit's repository; {arch} is filled in")
    key: str | None = Field(
        default=None, description="its signing key as ASCII text; without one no repository is added"
    )
    key_fingerprints: tuple[str, ...] = Field(default=FINGERPRINTS, description="of every primary key in that text")
    plain_cdi: bool = Field(
        default=False, description="write a CDI specification that engines older than CDI 0.7 read as well"
    )

    @classmethod
    def wanted(cls, spec: NodeSpec) -> bool:
        return "containers" in spec.features

    def resources(self, ctx: Context) -> Iterator[Resource]:
        places = {"arch": ctx.platform.package_arch}
        yield from vendor_repository("container_toolkit", "container-toolkit", self, "/", places)
        toolkit = carried(ctx.platform, "container_toolkit", ctx.stack.version("container_toolkit"))
        yield Packages(name="container-packages", packages=toolkit.packages, hold=True)
        yield Packages(name="container-tools", packages=(Package(name="jq"),))
        yield File(name="container-crio", path="/etc/crio/crio.conf.d/99-nvidia.toml", content=CRIO)
        yield File(name="container-links", path="/etc/udev/rules.d/71-nvidia-dev-char.rules", content=DEVICE_LINKS)
        yield Derived(
            name="container-links-read",
            inputs=("container-links",),
            command="udevadm control --reload || echo 'no udev daemon is running here'",
        )
        yield Fragment(name="container-docker", path="/etc/docker/daemon.json", format="json", settings=DOCKER)
        yield Derived(
            name="container-docker-restart",
            inputs=("container-docker", "container-packages", "/usr/lib/systemd/system/docker.service"),
            command=DOCKER_RESTART,
        )
        yield Derived(name="container-containerd", inputs=("container-packages", CONTAINERD_UNIT), command=CONTAINERD)
        yield Gate(
            name="container-containerd-takes",
            test=CONTAINERD_TAKES,
            expect="containerd, where it is, knows the nvidia runtime and takes CDI devices",
            remedy="`containerd config dump` and `journalctl -u containerd` tell what it reads and why it does not",
            proves=("container-containerd",),
        )
        yield from self._specification()

    def _specification(self) -> Iterator[Resource]:
        """The CDI specification: after the driver is loaded, and again after every change of it."""
        plain = "no-additional-gids-for-device-nodes" if self.plain_cdi else ""
        flags = f"NVIDIA_CTK_CDI_GENERATE_FEATURE_FLAGS={plain}\n" if plain else ""
        yield File(name="container-cdi-settings", path=SETTINGS, content=f"# Written by provision.\n{flags}")
        if not self.plain_cdi:
            floors = ((PROGRAMS.get(row.id, row.id), row.first) for row in load().cdi_runtimes)
            yield Gate(
                name="container-engines-read-cdi",
                test=READS_CDI.format(floors="\n".join(f"{program} {first}" for program, first in floors)),
                expect="the container engines that are there read the CDI specification",
                remedy="Set container_toolkit_plain_cdi=true, or bring newer engines",
            )
        feature = f"--feature-flag={plain} " if plain else ""
        yield Derived(
            name="container-cdi",
            inputs=("container-packages", "container-cdi-settings"),
            also=("driver-packages", "module-packages", "module-build"),
            command=f"nvidia-ctk --quiet cdi generate {feature}--output={quote(SPECIFICATION)}",
            outputs=(SPECIFICATION,),
            needs=("boot", "modules", "hardware"),
            after="driver",
        )
        for unit in ("nvidia-cdi-refresh.path", "nvidia-cdi-refresh.service"):
            yield Unit(
                name=f"container-{unit.removeprefix('nvidia-').replace('.', '-')}",
                unit=unit,
                running=unit.endswith(".path"),
                needs=("boot", "modules", "hardware"),
                after="driver",
            )
