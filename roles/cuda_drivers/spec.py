"""cuda_drivers: the user half of the driver."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from shlex import quote
from typing import ClassVar, Literal

from pydantic import Field

from provision.model import Derived, File, Gate, GpuSetting, Module, Package, Packages, Resource, Unit
from provision.planning import Context, NoPlan, Role
from provision.platforms import FABRIC_PARTS, Component, packages_of

LOADED_AT_BOOT = """\
# Written by provision. Nothing else loads what CUDA and containers open before the first job comes.
nvidia
nvidia-uvm
nvidia-modeset
"""

# A module alone makes no device node of these two (NVIDIA/nvidia-container-toolkit#50, #1979, read 2026-11-21).
# Minor 255 is /dev/nvidiactl; with -u, -c makes unified memory's nodes (nvidia-modprobe of Debian 13, read 2026-11-21).
DEVICE_NODES = """\
# Written by provision.
[Unit]
Description=Device nodes of NVIDIA GPUs: control, unified memory, modeset
After=systemd-modules-load.service
Before=nvidia-persistenced.service nvidia-cdi-refresh.service
ConditionPathExists=/proc/driver/nvidia/version

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/nvidia-modprobe -c 0 -c 255
ExecStart=/usr/bin/nvidia-modprobe -u -c 0
ExecStart=/usr/bin/nvidia-modprobe -m

[Install]
WantedBy=multi-user.target
"""

# The packaged unit starts the daemon without persistence mode (NVIDIA/ansible-role-nvidia-driver f68d4a7, whose lines
# these are; drikster80/gh200-Ubuntu-22.04-autoinstall 1b83f84, read 2026-11-21).
PERSISTENT = """\
# Written by provision: persistence mode is on.
[Service]
ExecStart=
ExecStart=/usr/bin/nvidia-persistenced --user root --persistence-mode --verbose
"""

IMEX_NODES = "/etc/nvidia-imex/nodes_config.cfg"
"""One address a line, the node's own among them, the same on every node of the domain (several sites, 2026-11-21)."""

ON_GPU: tuple[Literal["boot", "modules", "hardware"], ...] = ("boot", "modules", "hardware")

FABRIC_TOOLS: dict[str, tuple[Component, ...]] = {"fabricmanager": ("nscq",), "nvlsm+fabricmanager": ("nscq", "nvsdm")}
"""What tells about a fabric, beside the parts that make it work."""


# Only switches of the older kind are PCI functions of NVIDIA (bridges, class 0680); of the others the bus says nothing.
SWITCHES = """\
switches=$(for device in /sys/bus/pci/devices/*; do
  [ "$(cat "$device/vendor" "$device/class" 2>/dev/null | tr '\\n' ' ')" != '0x10de 0x068000 ' ] || echo x
done | wc -l)
[ "$switches" -gt 0 ] || { echo 'no NVSwitch on the PCI bus'; exit 0; }
"""

MANAGED = """state=$(systemctl is-active nvidia-fabricmanager.service) || :
echo "the fabric manager is $state"
[ "$state" = active ]
"""


FABRIC_UNIT = "nvidia-fabricmanager.service"

# The packaged unit waits for the target that wants it, and is then not started at boot: the line is left out, which no
# drop-in can do (Azure/azhpc-images 8e9d055f, components/install_nvidia_fabric_manager.sh; azhpc-images#365).
FABRIC_AT_BOOT = f"""\
for packaged in /usr/lib/systemd/system /lib/systemd/system; do
    [ ! -e "$packaged/{FABRIC_UNIT}" ] || break
done
own=/etc/systemd/system/{FABRIC_UNIT}
rm -f "$own"
if grep -qs '^After=multi-user.target' "$packaged/{FABRIC_UNIT}"; then
    sed '/^After=multi-user.target/d' "$packaged/{FABRIC_UNIT}" >"$own.new"
    mv -f "$own.new" "$own"
fi
systemctl daemon-reload
"""

# On NVLink 5 the fabric manager talks to the switches through the subnet manager, and that through InfiniBand's
# management datagrams (NVIDIA/gpu-driver-container 06a208c, ubuntu24.04/nvidia-driver, read 2026-11-21).
DATAGRAMS = "ib_umad"


class CudaDrivers(Role):
    """libcuda, NVML and nvidia-smi at exactly the version of the kernel modules, and held there."""

    component: ClassVar[str] = "driver"

    imex_nodes: tuple[str, ...] = Field(
        default=(), description="addresses of all nodes of the IMEX domain; without them IMEX is installed, not started"
    )

    def resources(self, ctx: Context) -> Iterator[Resource]:
        driver, flavour = ctx.stack.version("driver"), ctx.stack.version("modules")
        yield File(
            name="modules-at-boot",
            path="/etc/modules-load.d/provision-nvidia.conf",
            content=LOADED_AT_BOOT,
            boot_scoped=True,
        )
        yield File(
            name="device-node-unit", path="/etc/systemd/system/provision-nvidia-devices.service", content=DEVICE_NODES
        )
        beside = (*self._known(ctx, "modprobe"), *self._known(ctx, "persistenced"))
        user = self._named(ctx, "driver")
        fabric = [package for part in _parts(ctx) for package in self._known(ctx, part)]
        packages = _once((*self._known(ctx, "pinning"), *user, *beside, *fabric))
        yield Packages(name="driver-packages", packages=packages, hold=True, metas=ctx.platform.driver_metas())
        yield Gate(
            name="one-driver-version",
            test=ctx.platform.one_driver_version(driver, flavour, ctx.stack.version("kernel")),
            expect=f"libcuda, NVML and the kernel modules are all {driver}",
            remedy="Another source installed a part of the driver; `dpkg -l '*nvidia*' 'libcuda*'` shows which",
        )
        yield Gate(
            name="one-kernel-flavour",
            test=ctx.platform.one_flavour(flavour),
            expect=f"no kernel modules beside the {flavour} ones are installed",
            remedy="A metapackage brought the other flavour: remove what is named, then run again",
        )
        yield from self._persistence(ctx)
        yield Unit(name="device-nodes", unit="provision-nvidia-devices.service", needs=ON_GPU, after="driver")
        yield from self._fabric(ctx)
        if "mig" in ctx.spec.features:
            # The mode alone: how a GPU is divided is for whoever gives out its parts, and changes without a boot.
            yield GpuSetting(name="mig-mode", setting="mig", value="enabled")
        yield Gate(
            name="gpu-answers",
            test="gpus=$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader) || "
            '{ echo "$gpus"; exit 1; }; echo "$gpus"; '
            f"""echo "$gpus" | awk -F ', ' -v driver={quote(driver)} '$NF != driver {{ exit 1 }}'""",
            expect=f"every GPU answers nvidia-smi with driver {driver}",
            remedy="`nvidia-smi` by hand and `dmesg | grep -i nvrm` tell what is wrong",
            needs=ON_GPU,
            after="driver",
        )
        yield Gate(
            name="device-nodes-there",
            test="for node in nvidiactl nvidia-uvm nvidia-modeset; do\n"
            '  [ -c "/dev/$node" ] || { echo "there is no /dev/$node"; exit 1; }\ndone; echo they are there',
            expect="the device nodes that CUDA and containers open are there from boot on",
            remedy="`journalctl -u provision-nvidia-devices` tells why they were not made",
            needs=ON_GPU,
            after="driver",
        )

    def _persistence(self, ctx: Context) -> Iterator[Resource]:
        if not self._known(ctx, "persistenced"):
            return
        unit = "nvidia-persistenced.service"
        yield File(name="persistence", path=f"/etc/systemd/system/{unit}.d/provision.conf", content=PERSISTENT)
        yield Derived(
            name="persistence-restart",
            inputs=("driver-packages", "persistence"),
            command=f"systemctl daemon-reload\nsystemctl try-restart {unit}",
            needs=ON_GPU,
            after="driver",
        )
        yield Unit(name="persistence-daemon", unit=unit, needs=ON_GPU, after="driver")

    def _fabric(self, ctx: Context) -> Iterator[Resource]:
        fabric = ctx.stack.version("fabric")
        if fabric == "imex" and self.imex_nodes:
            yield File(name="imex-nodes", path=IMEX_NODES, content="".join(f"{node}\n" for node in self.imex_nodes))
            yield Derived(
                name="imex-restart",
                inputs=("driver-packages", "imex-nodes"),
                command="systemctl try-restart nvidia-imex.service",
                needs=ON_GPU,
                after="driver",
            )
            yield Unit(name="imex-daemon", unit="nvidia-imex.service", needs=ON_GPU, after="driver")
        if "fabricmanager" not in fabric:
            return
        if fabric.startswith("nvlsm"):
            yield Module(name="fabric-datagrams", module=DATAGRAMS, loaded=True, boot_scoped=True)
        if self._known(ctx, "fabricmanager"):
            yield Derived(
                name="fabric-at-boot",
                inputs=("driver-packages", f"/usr/lib/systemd/system/{FABRIC_UNIT}"),
                command=FABRIC_AT_BOOT,
            )
            yield Unit(name="fabric-daemon", unit=FABRIC_UNIT, needs=ON_GPU, after="driver")
        yield Gate(
            name="fabric-managed",
            test=(SWITCHES if fabric == "fabricmanager" else "") + MANAGED,
            expect="a fabric manager runs where this host has NVSwitches to manage",
            remedy="CUDA does not start without it. Where the archive has none, take the driver of NVIDIA's "
            "repository (driver_repository=cuda); where another host manages them, say fabricmanager=False",
            needs=ON_GPU,
            after="driver",
        )

    def _named(self, ctx: Context, part: Component) -> tuple[Package, ...]:
        try:
            return packages_of(ctx.platform, part, ctx.stack.version("driver"), ctx.spec.driver_repository).packages
        except LookupError as error:
            raise NoPlan(f"cuda_drivers: {error.args[0]}") from None

    def _known(self, ctx: Context, part: Component) -> tuple[Package, ...]:
        """Nothing where the repository has no such part as far as is known."""
        try:
            return packages_of(ctx.platform, part, ctx.stack.version("driver"), ctx.spec.driver_repository).packages
        except LookupError:
            return ()


def _parts(ctx: Context) -> tuple[Component, ...]:
    fabric = ctx.stack.version("fabric")
    return (*FABRIC_PARTS[fabric], *FABRIC_TOOLS.get(fabric, ()))


def _once(packages: Iterable[Package]) -> tuple[Package, ...]:
    return tuple({package.name: package for package in packages}.values())
