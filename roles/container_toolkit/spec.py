"""container_toolkit: GPUs in containers, for whatever container engine is on the node."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote
from typing import ClassVar, Literal

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

# The rule above is obeyed when the driver is bound the next time; a driver that is bound already is not asked again.
LINKS_THERE = """\
for node in /dev/nvidia[0-9]* /dev/nvidiactl /dev/nvidia-uvm; do
    [ -c "$node" ] || continue
    link=/dev/char/$(printf '%d:%d' $(stat -L -c '0x%t 0x%T' "$node"))
    [ -e "$link" ] || { echo "$node has no $link"; exit 1; }
done
echo 'every device of a GPU is linked in /dev/char'
"""

# CRI-O reads crio.conf.d; nvidia-ctk before 1.19.1 wrote into conf.d, which it does not read
# (NVIDIA/nvidia-container-toolkit#1829). The table is what `nvidia-ctk runtime configure --runtime=crio` writes (built
# from d34b3046 and run, 2026-11-21); the default stands in the table above it (pkg/config/engine/crio/crio.go there).
CRIO_DROP_IN = "/etc/crio/crio.conf.d/99-nvidia.toml"
CRIO_DEFAULT = """\
[crio.runtime]
default_runtime = "nvidia"

"""
CRIO = """\
[crio.runtime.runtimes.nvidia]
runtime_path = "/usr/bin/nvidia-container-runtime"
runtime_type = "oci"
"""

CRIO_RESTART = """\
if ! systemctl cat crio.service >/dev/null 2>&1; then echo 'CRI-O is not on this node'; exit 0; fi
systemctl try-restart crio.service
"""

# The daemon is asked, not its file. nvidia-container-runtime hands on to the first of crun and runc that it finds on
# PATH, and CRI-O's own packages put theirs elsewhere (NVIDIA/gpu-operator#984, read 2026-11-21).
CRIO_TAKES = """\
if ! systemctl --quiet is-active crio.service; then echo 'CRI-O does not run on this node'; exit 0; fi
told=$(crio status config 2>/dev/null || crio-status config 2>/dev/null) || {{ echo 'CRI-O does not answer'; exit 1; }}
echo "$told" | grep -q 'crio.runtime.runtimes.nvidia' || {{ echo 'CRI-O knows no nvidia runtime'; exit 1; }}
{default}[ -n "$(command -v crun || command -v runc)" ] || {{ echo 'neither crun nor runc is on PATH'; exit 1; }}
echo 'CRI-O knows the nvidia runtime'
"""
CRIO_HAS_DEFAULT = """\
echo "$told" | grep -q 'default_runtime = "nvidia"' || { echo "nvidia is not CRI-O's default runtime"; exit 1; }
"""

DOCKER = (
    Setting(key=("runtimes", "nvidia", "path"), value="nvidia-container-runtime"),
    Setting(key=("features", "cdi"), value=True),
)
DOCKER_DEFAULT = Setting(key=("default-runtime",), value="nvidia")

CONTAINERD_UNIT = "/usr/lib/systemd/system/containerd.service"
CONTAINERD_DROP_IN = "/etc/containerd/conf.d/99-nvidia.toml"

# containerd before 2.1 replaces a plugin's whole section by that of the file that it imports, so a file with our keys
# alone takes away the CNI folders and the runc runtime, and its CRI plugin ends with "no corresponding runtime
# configured". So does the toolkit's own default, --config-source=file, on Debian's containerd 1.7.24. Both were seen,
# 2026-11-21. Therefore the file is made from what containerd itself says it runs with, without the file of before.
CONTAINERD = f"""\
if ! command -v containerd >/dev/null; then echo 'containerd is not on this node'; exit 0; fi
rm -f {CONTAINERD_DROP_IN}
nvidia-ctk --quiet runtime configure --runtime=containerd --config-source=command --cdi.enabled{{default}}
[ ! -e {CONTAINERD_DROP_IN} ] || touch {CONTAINERD_DROP_IN}
systemctl try-restart containerd.service
"""

# Of version 2 and 3 of its configuration alike: the plugin's name differs, the tables below it do not. A runtime that
# has no type is refused only when a container starts (NVIDIA/nvidia-container-toolkit#1956).
CONTAINERD_TAKES = f"""\
if ! command -v containerd >/dev/null; then echo 'containerd is not on this node'; exit 0; fi
if [ -e {CONTAINERD_DROP_IN} ] && [ /etc/containerd/config.toml -nt {CONTAINERD_DROP_IN} ]; then
    echo '/etc/containerd/config.toml is newer than what was made from it'
    exit 1
fi
told=$(containerd config dump 2>/dev/null) || {{ echo 'containerd cannot read its configuration'; exit 1; }}
echo "$told" | grep -q 'nvidia-container-runtime' || {{ echo 'containerd knows no nvidia runtime'; exit 1; }}
type=$(echo "$told" | awk '
    /^ *\\[/ {{ of_nvidia = /containerd[.]runtimes[.]nvidia\\]/; next }}
    of_nvidia && $1 == "runtime_type" {{ gsub(/["\\047]/, "", $3); print $3; exit }}')
[ -n "$type" ] || {{ echo "containerd's nvidia runtime has no runtime_type"; exit 1; }}
! echo "$told" | grep -q 'enable_cdi = false' || {{ echo 'containerd does not take CDI devices'; exit 1; }}
echo 'containerd knows the nvidia runtime and takes CDI devices'
"""
CONTAINERD_HAS_DEFAULT = """\
containerd config dump | grep -Eq "default_runtime_name = [\"']nvidia[\"']" ||
    { echo "nvidia is not containerd's default runtime"; exit 1; }
"""

# `apptainer --nvccli` runs the program as root and therefore wants it to be root's; `--nv` does without it
# (apptainer/apptainer 05a391e0, internal/pkg/util/gpu/nvidia.go, read 2026-11-21).
APPTAINER_FINDS = """\
if ! command -v apptainer >/dev/null; then echo 'Apptainer is not on this node'; exit 0; fi
program=$(command -v nvidia-container-cli) || { echo 'nvidia-container-cli is not on PATH'; exit 1; }
owner=$(stat -L -c %U "$program")
[ "$owner" = root ] || { echo "$program belongs to $owner"; exit 1; }
echo "apptainer --nvccli finds $program"
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
    told=$(timeout -k 1 10 "$engine" --version 2>/dev/null) || [ $? != 124 ] || {{
        old="$old $engine (it does not tell its version within 10 s)"; continue
    }}
    is=$(printf '%s\\n' "$told" | grep -oE '[0-9]+\\.[0-9]+\\.[0-9]+' | head -n 1)
    [ -n "$is" ] || continue
    [ "$(printf '%s\\n' "$first" "$is" | sort -V | head -n 1)" = "$first" ] || old="$old $engine $is (from $first on)"
done <<'EOF'
{floors}
EOF
[ -z "$old" ] || {{ echo "these do not read the CDI specification:$old"; exit 1; }}
echo 'every container engine here reads the CDI specification'
"""
ON_GPU: tuple[Literal["boot", "modules", "hardware"], ...] = ("boot", "modules", "hardware")

PROGRAMS = {"docker": "dockerd", "cri-o": "crio"}
"""The catalog's name of an engine -> its program, where that is another."""


class ContainerToolkit(Role):
    """NVIDIA's container toolkit, its keys in docker's, containerd's and CRI-O's own files, and the CDI specification.

    Nothing asks which engines a node has: every file below is harmless without its engine and waits for it, and what
    is done to containerd is due as soon as containerd is there. Podman reads the CDI specification and needs no more;
    `apptainer run --nv` looks for the driver's libraries by itself.
    """

    component: ClassVar[str] = "containers"

    url: str | None = Field(
        default=None,
        description="the toolkit's repository, with {arch} filled in; otherwise its owner's",
    )
    key: str | None = Field(
        default=None, description="its signing key as ASCII text; without one the node must know the repository already"
    )
    key_fingerprints: tuple[str, ...] | None = Field(
        default=None, description="of every primary key in that text; otherwise those that the catalog has"
    )
    default_runtime: bool = Field(
        default=False, description="let every container have the nvidia runtime, of docker, containerd and CRI-O alike"
    )
    plain_cdi: bool = Field(
        default=False, description="write a CDI specification that engines older than CDI 0.7 read as well"
    )

    @classmethod
    def wanted(cls, spec: NodeSpec) -> bool:
        return "containers" in spec.features

    def resources(self, ctx: Context) -> Iterator[Resource]:
        places = {"arch": ctx.platform.package_arch}
        yield from vendor_repository(ctx, "container-toolkit", "container-toolkit", self, places)
        toolkit = carried(ctx.platform, "container_toolkit", ctx.stack.version("container_toolkit"))
        yield Packages(name="container-packages", packages=toolkit.packages, hold=True)
        yield Packages(name="container-tools", packages=(Package(name="jq"),))
        yield File(name="container-links", path="/etc/udev/rules.d/71-nvidia-dev-char.rules", content=DEVICE_LINKS)
        yield Derived(
            name="container-links-read",
            inputs=("container-links",),
            command="udevadm control --reload || echo 'no udev daemon is running here'",
        )
        yield from self._links()
        yield from self._docker()
        yield from self._containerd()
        yield from self._crio()
        yield Gate(
            name="container-apptainer-finds",
            test=APPTAINER_FINDS,
            expect="Apptainer, where it is, finds the program behind `--nvccli`, and root owns it",
            remedy="`ls -l $(command -v nvidia-container-cli)`: reinstall libnvidia-container-tools",
        )
        yield from self._specification()

    def _links(self) -> Iterator[Resource]:
        """What the udev rule makes from the next boot on, for a driver that is bound now."""
        yield Derived(
            name="container-links-made",
            inputs=("container-links", "container-packages"),
            command="nvidia-ctk --quiet system create-dev-char-symlinks --create-all",
            needs=ON_GPU,
            after="driver",
        )
        yield Gate(
            name="container-links-there",
            test=LINKS_THERE,
            expect="a container keeps its GPU over `systemctl daemon-reload`: its devices are linked in /dev/char",
            remedy="`nvidia-ctk system create-dev-char-symlinks --create-all` by hand tells what it cannot do",
            needs=ON_GPU,
            after="driver",
            proves=("container-links-made",),
        )

    def _docker(self) -> Iterator[Resource]:
        settings = (*DOCKER, DOCKER_DEFAULT) if self.default_runtime else DOCKER
        yield Fragment(name="container-docker", path="/etc/docker/daemon.json", format="json", settings=settings)
        yield Derived(
            name="container-docker-restart",
            inputs=("container-docker", "container-packages", "/usr/lib/systemd/system/docker.service"),
            command=DOCKER_RESTART,
        )

    def _containerd(self) -> Iterator[Resource]:
        default = " --set-as-default" if self.default_runtime else ""
        yield Derived(
            name="container-containerd",
            inputs=("container-packages", CONTAINERD_UNIT),
            command=CONTAINERD.format(default=default),
        )
        yield Gate(
            name="container-containerd-takes",
            test=CONTAINERD_TAKES + (CONTAINERD_HAS_DEFAULT if self.default_runtime else ""),
            expect="containerd, where it is, knows the nvidia runtime and takes CDI devices",
            remedy="`containerd config dump` and `journalctl -u containerd` tell what it reads and why it does not",
            proves=("container-containerd",),
        )

    def _crio(self) -> Iterator[Resource]:
        default = self.default_runtime
        content = f"# Written by provision.\n{CRIO_DEFAULT if default else ''}{CRIO}"
        yield File(name="container-crio", path=CRIO_DROP_IN, content=content)
        yield Derived(
            name="container-crio-restart",
            inputs=("container-crio", "container-packages", "/usr/lib/systemd/system/crio.service"),
            command=CRIO_RESTART,
        )
        yield Gate(
            name="container-crio-takes",
            test=CRIO_TAKES.format(default=CRIO_HAS_DEFAULT if default else ""),
            expect="CRI-O, where it runs, knows the nvidia runtime and finds what that hands on to",
            remedy="`crio status config` and `journalctl -u crio` tell what it reads. Where crun and runc are CRI-O's "
            "own, `ln -s /usr/libexec/crio/crun /usr/local/bin/` puts one on PATH",
            proves=("container-crio-restart",),
        )

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
            also=("driver-packages", "module-packages", "module-build", "mig-mode"),
            command=f"nvidia-ctk --quiet cdi generate {feature}--output={quote(SPECIFICATION)}",
            outputs=(SPECIFICATION,),
            needs=ON_GPU,
            after="driver",
        )
        for unit in ("nvidia-cdi-refresh.path", "nvidia-cdi-refresh.service"):
            yield Unit(
                name=f"container-{unit.removeprefix('nvidia-').replace('.', '-')}",
                unit=unit,
                running=unit.endswith(".path"),
                needs=ON_GPU,
                after="driver",
            )
