"""Modules that no plan brings: which are found, built in which order, and what is said when one refuses the new kernel.

The programs run in a folder that stands for a root. Stand-ins for dkms, modinfo and depmod do what those were seen to do
(dkms 3.0.10 and 3.2.2); the real ones, and a real compiler, are asked in tests/lab/test_other_modules.py.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from golden_plans import SHIPPED

from provision.model import Derived, NodeSpec
from provision.planning import assemble, rooms
from provision.platforms import dkms

OLD, NEW = "1.2.3-amd64", "1.3.0-amd64"
OWN = ("nvidia-current-open", "nvidia")
ARCH = os.uname().machine

DKMS = """\
#!/bin/sh
# Stand-in: builds by copying, refuses a source that holds `refuses RELEASE`.
command=$1 module='' version='' release=''
shift
while [ $# -gt 0 ]; do
    case $1 in -m) module=$2; shift ;; -v) version=$2; shift ;; -k) release=$2; shift ;; esac
    shift
done
tree=ROOT/var/lib/dkms/$module
built=$tree/$version/$release/ARCH
echo "$command $module/$version $release" >>ROOT/calls
case $command in
add) mkdir -p "$tree/$version"; ln -s "ROOT/usr/src/$module-$version" "$tree/$version/source" ;;
build)
    mkdir -p "$tree/$version/build"
    if grep -q "refuses $release" "ROOT/usr/src/$module-$version"/*; then
        echo "$module.c:7:9: error: too few arguments to function" >"$tree/$version/build/make.log"
        exit 10
    fi
    mkdir -p "$built/module"
    echo "$release" >"$built/module/$module.ko"
    rm -r "$tree/$version/build" ;;
install)
    mkdir -p "ROOT/lib/modules/$release/updates/dkms"
    cp "$built/module/$module.ko" "ROOT/lib/modules/$release/updates/dkms/"
    echo "updates/dkms/$module.ko:" >>"ROOT/lib/modules/$release/modules.dep"
    ln -sfn "$version/$release/ARCH" "$tree/kernel-$release-ARCH" ;;
status) [ ! -L "$tree/kernel-$release-ARCH" ] || echo "$module/$version, $release, ARCH: installed" ;;
esac
"""
MODINFO = '#!/bin/sh\necho "vermagic: $(cat "$1") SMP"\n'
OWNED = '#!/bin/sh\ngrep -qxF "$2" ROOT/owned\n'
"""dpkg-query -S FILE"""


class Machine:
    """A root with two kernels, of which the old one runs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for release in (OLD, NEW):
            (root / "lib/modules" / release / "build/include/config").mkdir(parents=True)
            (root / "lib/modules" / release / "build/include/config/auto.conf").touch()
            (root / "lib/modules" / release / "modules.dep").touch()
        for folder in ("bin", "usr/src", "etc/dkms", "var/lib/dkms"):
            (root / folder).mkdir(parents=True)
        (root / "owned").touch()
        (root / "calls").touch()
        programs = {
            "dkms": DKMS,
            "modinfo": MODINFO,
            "dpkg-query": OWNED,
            "depmod": "#!/bin/sh\n",
            "sync": "#!/bin/sh\n",
        }
        uname = f"#!/bin/sh\ncase $1 in -r) echo {OLD} ;; *) echo {ARCH} ;; esac\n"
        for name, text in (programs | {"uname": uname}).items():
            (root / "bin" / name).write_text(text.replace("ROOT", str(root)).replace("ARCH", ARCH))
            (root / "bin" / name).chmod(0o755)

    def source(self, module: str, version: str = "1.0", *, conf: str = "AUTOINSTALL=yes\n", code: str = "") -> None:
        folder = self.root / f"usr/src/{module}-{version}"
        folder.mkdir()
        (folder / "dkms.conf").write_text(f'PACKAGE_NAME="{module}"\nPACKAGE_VERSION="{version}"\n{conf}')
        (folder / "module.c").write_text(code)

    def packaged(self, module: str, version: str = "1.0", **more: str) -> None:
        """What a package leaves behind where dkms may not build by itself."""
        self.source(module, version, **more)
        with (self.root / "owned").open("a") as owned:
            owned.write(f"{self.root}/usr/src/{module}-{version}/dkms.conf\n")

    def installed(self, module: str, version: str = "1.0", release: str = OLD, **more: str) -> None:
        self.source(module, version, **more)
        for command in ("add", "build", "install"):
            subprocess.run([self.root / "bin/dkms", command, "-m", module, "-v", version, "-k", release], check=True)
        (self.root / "calls").write_text("")

    def run(self, program: str) -> subprocess.CompletedProcess[str]:
        text = re.sub(r"(?<![\w.$}])/(lib/modules|usr/src|etc/dkms|var/lib/dkms)", rf"{self.root}/\1", program)
        environment = os.environ | {"PATH": f"{self.root}/bin:{os.environ['PATH']}", "LC_ALL": "C"}
        return subprocess.run(["sh", "-euc", text], capture_output=True, text=True, env=environment, check=False)

    def build(self) -> subprocess.CompletedProcess[str]:
        return self.run(dkms.build_others(OWN, NEW))

    def judge(self) -> subprocess.CompletedProcess[str]:
        return self.run(dkms.others_built(OWN, NEW))

    def calls(self, command: str) -> list[str]:
        lines = (line.split() for line in (self.root / "calls").read_text().splitlines())
        return [module for done, module, *_ in lines if done == command]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("text", [dkms.build_others(OWN, NEW, ["/a"]), dkms.others_built(OWN, NEW)])
def test_the_programs_are_posix_shell(text: str) -> None:
    assert subprocess.run(["dash", "-n"], input=text, capture_output=True, text=True, check=False).stderr == ""


def test_a_node_without_others_pays_nothing(machine: Machine) -> None:
    machine.installed("nvidia-current-open", "550")
    for program in (machine.build, machine.judge):
        told = program()
        assert (told.returncode, told.stderr) == (0, "")
        assert told.stdout == f"modules of others for kernel {NEW}: none\n"
    assert (machine.root / "calls").read_text() == ""


def test_what_the_running_kernel_has_is_built_for_the_new_one_and_once_only(machine: Machine) -> None:
    machine.installed("zfs", "2.3")
    judged = machine.judge()
    assert judged.returncode == 1
    assert f"zfs/2.3 is on this node, and dkms has not installed it for kernel {NEW}" in judged.stderr

    for _ in range(2):
        told = machine.build()
        assert told.returncode == 0, told.stderr
        assert machine.judge().stdout == f"modules of others for kernel {NEW}: zfs/2.3\n"
    assert machine.calls("build") == ["zfs/2.3"]
    assert machine.calls("install") == ["zfs/2.3"]


def test_one_waits_for_another_that_its_dkms_conf_names(machine: Machine) -> None:
    machine.installed("alpha", conf='BUILD_DEPENDS[0]="omega"\nBUILD_DEPENDS[1]="nvidia"\n')
    machine.installed("beta")
    machine.installed("omega", conf='BUILD_DEPENDS+=( "psi" ) # as an array\n')
    machine.installed("psi")
    (machine.root / "etc/dkms/beta.conf").write_text('BUILD_DEPENDS="alpha"\n')
    assert machine.build().returncode == 0
    assert machine.calls("build") == ["psi/1.0", "omega/1.0", "alpha/1.0", "beta/1.0"]


def test_one_that_refuses_the_new_kernel_is_named_with_its_error_its_log_and_the_way_out(machine: Machine) -> None:
    machine.installed("xpmem", "2.7", code=f"refuses {NEW}")
    told = machine.build()
    assert told.returncode == 1
    log = f"{machine.root}/var/lib/dkms/xpmem/2.7/build/make.log"
    first, then = told.stderr.splitlines()
    assert first == f"xpmem/2.7 does not build for kernel {NEW}: xpmem.c:7:9: error: too few arguments to function"
    assert f"Its log: {log}." in then
    assert "dkms remove xpmem/2.7 --all" in then
    assert Path(log).is_file()
    assert machine.judge().returncode == 1


def test_what_dkms_built_for_that_kernel_by_itself_is_left(machine: Machine) -> None:
    machine.installed("zfs")
    machine.installed("zfs", "2.0", release=NEW)
    assert machine.build().returncode == 0
    assert machine.calls("build") == []


def test_a_source_that_a_package_left_unbuilt_is_built_too(machine: Machine) -> None:
    """After a refusal somebody installs a newer package, and dkms, which may not build by itself, does not even add it."""
    machine.packaged("zfs", "2.4")
    assert machine.judge().returncode == 1
    told = machine.build()
    assert told.returncode == 0, told.stderr
    assert machine.calls("add") == ["zfs/2.4"]
    assert machine.judge().returncode == 0


@pytest.mark.parametrize(
    "leave",
    [
        lambda machine: machine.source("by-hand"),
        lambda machine: machine.packaged("on-demand", conf="AUTOINSTALL=\n"),
        lambda machine: machine.packaged("nvidia", "580"),
        lambda machine: machine.installed("lost-before", release="1.0.0-amd64"),
    ],
    ids=["a source nobody owns", "one that is not built by itself", "the plan's own", "of a kernel that is gone"],
)
def test_what_the_node_did_not_have_before_is_not_brought(machine: Machine, leave: Callable[[Machine], None]) -> None:
    leave(machine)
    assert machine.build().stdout == f"modules of others for kernel {NEW}: none\n"
    assert machine.judge().returncode == 0


def test_where_the_running_kernel_is_the_host_s_every_kernel_here_counts(machine: Machine) -> None:
    machine.installed("zfs")
    uname = machine.root / "bin/uname"
    uname.write_text(uname.read_text().replace(OLD, "6.6.6-host"))
    assert machine.build().returncode == 0
    assert machine.calls("build") == ["zfs/1.0"]


def test_an_installed_module_that_depmod_does_not_know_is_told(machine: Machine) -> None:
    machine.installed("zfs")
    machine.build()
    (machine.root / f"lib/modules/{NEW}/modules.dep").write_text("")
    assert "depmod does not know zfs.ko of zfs/1.0" in machine.judge().stderr


@pytest.mark.parametrize("reboots", ["single", "staged"])
def test_the_plan_builds_the_rest_after_its_own_modules_and_before_any_initrd(reboots: str) -> None:
    declared = {"os": "debian13", "arch": "x86_64", "gpu": "H100", "features": ["rdma", "gdrcopy"], "reboots": reboots}
    plan = assemble(NodeSpec.model_validate(declared), rooms([SHIPPED])).plan
    for number, boot in enumerate(plan.boots, 1):
        names = [entry.name for entry in boot]
        if not any(name.startswith("initrd") for name in names):
            continue
        (place,) = [n for n, name in enumerate(names) if re.fullmatch(r"other-modules(-2)?", name)]
        (initrd,) = [n for n, name in enumerate(names) if name.startswith("initrd")]
        assert place < initrd, number
        assert all(names.index(name) < place for name in ("ofed-build", "module-build") if name in names)
        resource, image = boot[place].resource, boot[initrd].resource
        assert isinstance(resource, Derived)
        assert isinstance(image, Derived)
        assert names[place] in image.inputs
        (own,) = re.findall("^own='([^']*)'", resource.command, re.MULTILINE)
        assert {"nvidia-current", "nvidia-current-open", "mlnx-ofed-kernel", "gdrdrv"} <= set(own.split())
        assert resource.undo, "the new kernel is taken off again, so the node boots its old one"
    assert [e.name for e in plan.entries].count("dkms-by-plan") == 1
