"""The closed vocabulary of desired state. Data only: how a kind is applied, observed or asserted stands elsewhere."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, StringConstraints, field_validator, model_validator

from provision.model.base import Frozen
from provision.model.openpgp import fingerprints

Limit = Literal["boot", "modules", "sysctl", "hardware"]
"""What a node may be unable to hold: its own kernel, kernel modules, kernel settings, a GPU."""

Path = Annotated[str, StringConstraints(pattern=r"^/[^\x00-\x1f]*$")]
ResourceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
"""Names are the same on every host of a fleet (pyinfra tells operations apart by position), so no versions in them."""

Printable = Annotated[str, StringConstraints(pattern=r"^[ -~]+$")]
Account = Annotated[str, StringConstraints(pattern=r"^[a-z_][a-z0-9_-]*$")]
Fingerprint = Annotated[str, StringConstraints(pattern=r"^([0-9A-F]{40}|[0-9A-F]{64})$")]
Suite = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9./][A-Za-z0-9./_+~-]*$")]
Uri = Annotated[str, StringConstraints(pattern=r"^(https?://[^\s/@]+|file:)(/[!-~]*)?$")]
"""Without user and password: a secret has no place in a plan."""


class BaseResource(Frozen):
    name: ResourceName
    needs: tuple[Limit, ...] = ()
    """Limits under which a node cannot hold this resource: then it is not applicable, never told as converged."""
    boot_scoped: bool = False
    """Only a reboot makes a change of this resource effective."""
    after: Literal["kernel", "driver"] | None = None
    """Not before the node runs the target kernel, or has loaded the target driver: it stands behind that reboot."""


PackageSource = Literal["archive", "cuda", "doca", "container-toolkit", "site"]
"""Whose repository has a package: the distribution's own archive, one of NVIDIA's, or, of what a vendor publishes as
single files, a site's own."""


class Package(Frozen):
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9+.-]*$")]
    version: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z.+:~*-]*$")] = "*"
    """A shell pattern over the archive's version: `550.163.01-*`; `*` takes what the archive prefers."""
    repository: PackageSource = Field(default="archive", exclude=True)
    """Who has it: no part of what should be on the node, so it is in no digest."""


class Packages(BaseResource):
    """Packages installed at a version, in the one transaction of their boot, and held there."""

    kind: Literal["packages"] = "packages"
    packages: tuple[Package, ...]
    hold: bool = False
    metas: tuple[Annotated[str, StringConstraints(pattern=r"^[a-z0-9][\[\]a-z0-9+.*?-]*$")], ...] = ()
    """Names, as shell patterns, of packages that would pull in newer ones of these: held where they are installed."""

    @model_validator(mode="after")
    def _holds_what_it_names(self) -> Self:
        if self.metas and not self.hold:
            raise ValueError("metapackages are held with the packages that they pull in, and these are not held")
        return self

    @property
    def without_holds(self) -> Packages:
        """What of it is installed, at which versions."""
        return self.model_copy(update={"hold": False, "metas": ()})


class File(BaseResource):
    """A file whose whole content is ours, written atomically."""

    kind: Literal["file"] = "file"
    path: Path
    content: str
    mode: Annotated[str, StringConstraints(pattern=r"^[0-7]{3,4}$")] = "644"


class Directory(BaseResource):
    kind: Literal["directory"] = "directory"
    path: Path
    mode: Annotated[str, StringConstraints(pattern=r"^[0-7]{3,4}$")] = "755"


class Unit(BaseResource):
    """A systemd unit, enabled and running or not. Restarts are `Derived`, and stand before their unit."""

    kind: Literal["unit"] = "unit"
    unit: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9@._-]+\.[a-z]+$")]
    enabled: bool = True
    running: bool = True


class KernelArgument(Frozen):
    """One word of the kernel's command line, and who says that it belongs there."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
    value: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.,:=/@+%!-]*$")] | None = None
    """None for a word alone (`quiet`). Only what neither sh nor GRUB's own language takes for something else."""
    source: Annotated[str, StringConstraints(min_length=1)]
    """Where this is asked for; no part of the meaning, so better words make nothing due."""

    @property
    def word(self) -> str:
        return self.name if self.value is None else f"{self.name}={self.value}"


class BootEntry(BaseResource):
    """What starts by default: a kernel, and our words on its command line (GRUB, `GRUB_DEFAULT=saved`)."""

    kind: Literal["boot-entry"] = "boot-entry"
    release: Annotated[str, StringConstraints(pattern=r"^[0-9][0-9A-Za-z.+~_-]*$")]
    arguments: tuple[KernelArgument, ...] = ()
    """Behind the distribution's own. They are tried like a kernel: until then only the trial's entry has them."""

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(argument.word for argument in self.arguments)


class Derived(BaseResource):
    """A consequence of other resources: due when its stamp does not tell of its inputs as they are now."""

    kind: Literal["derived"] = "derived"
    inputs: tuple[str, ...]
    """Names of resources of the plan, or absolute paths of files on the node."""
    also: tuple[str, ...] = ()
    """Inputs too, where the plan has them: resources of roles that a node may go without. Planning resolves them."""
    command: str
    """POSIX sh; every value in it quoted by whoever wrote it. Runs under `set -eu`."""
    outputs: tuple[Path, ...] = ()
    """Files that must exist afterwards; one that is missing makes this due."""
    log: Path | None = None
    """A file the command writes while it works (may hold a `*`): shown as progress, and the evidence when it fails."""
    version: int = 1
    """Raised when the meaning of the command changes, so that it runs again everywhere."""
    undo: str | None = None
    """POSIX sh that leaves a node that boots when the command failed; its last line says what was done."""


class Gate(BaseResource):
    """A condition that must hold before the plan may go on."""

    kind: Literal["gate"] = "gate"
    test: str
    """POSIX sh that exits 0 when the condition holds and prints its evidence on one line."""
    expect: str
    """The condition in words: `page size is 65536`."""
    remedy: str
    """What a person does when it does not hold."""
    proves: tuple[str, ...] = ()
    """Derived resources that are due when this does not hold: a stamp alone does not tell that they were harmed."""
    precondition: bool = False
    """Asked only before a change of its boot (room on the disk, free locks); says nothing about a converged node."""


class SigningKey(Frozen):
    """The keys that may sign a repository, known by what their owner published."""

    armour: str
    """ASCII-armoured OpenPGP: the text of the vendor's key file."""
    fingerprints: Annotated[tuple[Fingerprint, ...], Field(min_length=1)]
    """Of every primary key in it, no more and no less: a key that nobody declared must not sign anything."""

    @model_validator(mode="after")
    def _is_what_was_declared(self) -> Self:
        found = set(fingerprints(self.armour))
        if found != set(self.fingerprints):
            told = ", ".join(sorted(found)) or "no public key"
            raise ValueError(f"the key text holds {told}, declared is {', '.join(self.fingerprints)}")
        return self


class Repository(BaseResource):
    """A source of packages, and the key that signs it. Believed only after its index was fetched with that key."""

    kind: Literal["repository"] = "repository"
    form: Literal["deb822"] = "deb822"
    """How the package manager writes it down; dnf's and zypper's `.repo` would be others."""
    uris: Annotated[tuple[Uri, ...], Field(min_length=1)]
    suites: Annotated[tuple[Suite, ...], Field(min_length=1)]
    components: tuple[Suite, ...] = ()
    architectures: tuple[Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+$")], ...] = ()
    """As packages call them; none means the node's own."""
    key: SigningKey
    carries: PackageSource | None = Field(default=None, exclude=True)
    """Whose packages it is there for, where the catalog knows them; in no digest."""

    @model_validator(mode="after")
    def _flat_or_with_components(self) -> Self:
        flat = {suite.endswith("/") for suite in self.suites}
        if flat not in ({True}, {False}) or flat == {bool(self.components)}:
            raise ValueError("a suite that ends with / has no components, and any other suite has some")
        return self


class Symlink(BaseResource):
    kind: Literal["symlink"] = "symlink"
    path: Path
    target: Printable
    """As the link holds it: absolute, or relative to the link's folder."""


class Alternatives(BaseResource):
    """Which of several programs a common name means, chosen by hand so that no package changes it."""

    kind: Literal["alternatives"] = "alternatives"
    alternative: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9+._-]*$")]
    link: Path
    """The common name: `/usr/local/cuda`."""
    path: Path
    """What it stands for here."""


class Setting(Frozen):
    """One key inside a file of others. `key`: for JSON the way down to it, otherwise one word."""

    key: Annotated[tuple[Printable, ...], Field(min_length=1)]
    value: JsonValue


class Fragment(BaseResource):
    """Our keys inside a file that others own: their keys, their comments and their order stay."""

    kind: Literal["fragment"] = "fragment"
    path: Path
    format: Literal["shell", "json"]
    """`shell`: lines KEY="value" as in /etc/default; `json` needs jq on the node."""
    settings: Annotated[tuple[Setting, ...], Field(min_length=1)]

    @field_validator("format", mode="before")
    @classmethod
    def _toml_has_a_better_way(cls, value: object) -> object:
        if value == "toml":
            raise ValueError(
                "no POSIX tool edits TOML and keeps its comments: put a file of ours beside it, in the folder that the "
                "program imports (containerd: /etc/containerd/conf.d)"
            )
        return value

    @model_validator(mode="after")
    def _can_be_written(self) -> Self:
        keys = [setting.key for setting in self.settings]
        nested = [k for k in keys for other in keys if k != other and other[: len(k)] == k]
        if len(set(keys)) < len(keys) or nested:
            raise ValueError("a key is set twice")
        if self.format == "shell":
            for setting in self.settings:
                ShellSetting.model_validate({"key": ".".join(setting.key), "value": setting.value})
        return self


class ShellSetting(Frozen):
    """What needs no escape in sh, in systemd's EnvironmentFile, nor in whatever else reads such a file."""

    key: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    value: Annotated[str, StringConstraints(pattern=r"^[ !#%-\[\]^_a-~]*$")]


class KernelArguments(BaseResource):
    """Words on the command line of every kernel of the boot menu. What the running kernel lacks takes a reboot."""

    kind: Literal["kernel-arguments"] = "kernel-arguments"
    needs: tuple[Limit, ...] = ("boot",)
    boot_scoped: bool = True
    arguments: Annotated[tuple[KernelArgument, ...], Field(min_length=1)]


class ModuleOption(Frozen):
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]+$")]
    value: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.,:;=/@+%-]*$")]


class Module(BaseResource):
    """A kernel module: there from every boot on, or kept out, and the options it gets when it is loaded.

    `boot_scoped`: only the next boot loads it, keeps it out, or gives it its options. Otherwise it is loaded (or taken
    out) at once; options of one that is loaded already wait for whatever loads it anew, which is a `Derived`.
    """

    kind: Literal["module"] = "module"
    needs: tuple[Limit, ...] = ("modules",)
    module: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    loaded: bool | None = None
    """True: at every boot. False: not by itself (`blacklist`). None: whoever wants it loads it."""
    options: tuple[ModuleOption, ...] = ()

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.loaded is None and not self.options:
            raise ValueError("neither says whether the module is loaded nor gives it options")
        return self


class SysctlSetting(Frozen):
    key: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+(\.[A-Za-z0-9_-]+)+$")]
    value: Annotated[str, StringConstraints(pattern=r"^[!-~]+( [!-~]+)*$")]
    """Several words stand apart by one blank."""


class Sysctl(BaseResource):
    """Settings of the running kernel, now and from every boot on."""

    kind: Literal["sysctl"] = "sysctl"
    needs: tuple[Limit, ...] = ("sysctl",)
    settings: Annotated[tuple[SysctlSetting, ...], Field(min_length=1)]


class Group(BaseResource):
    kind: Literal["group"] = "group"
    group: Account
    system: bool = False
    """How it is made where it is missing; a number once given stays, because files belong to it."""


class User(BaseResource):
    """An account that exists and belongs to groups, among others it may be in."""

    kind: Literal["user"] = "user"
    user: Account
    system: bool = False
    """As with `Group`."""
    groups: tuple[Account, ...] = ()
    shell: Path | None = None
    """None: whatever it has, or what the distribution gives a new account."""


class Archive(BaseResource):
    """A folder that is what one archive holds: fetched by the node, known by its digest, put in place whole.

    Everything in it is root's, and what an earlier archive of this resource left there goes.
    """

    kind: Literal["archive"] = "archive"
    url: Annotated[str, StringConstraints(pattern=r"^(https?://[^\s/@]+|file:)/[!-~]*[!-.0-~]$")]
    """Without user and password; a path behind `file:` is taken as it stands. `http` will do: the digest proves it."""
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    to: Annotated[str, StringConstraints(pattern=r"^(/[^/\x00-\x1f]+)+$")]
    strip: Annotated[int, Field(ge=0)] = 0
    """Leading folders of the archive's names that are dropped: most have one, with the version in its name."""

    @field_validator("to")
    @classmethod
    def _leads_nowhere_else(cls, value: str) -> str:
        if {".", ".."} & set(value.split("/")):
            raise ValueError("a path without . and .. is needed")
        return value


GPU_MODES = {
    "compute-mode": ("default", "exclusive-process", "prohibited"),
    "ecc": ("enabled", "disabled"),
    "mig": ("enabled", "disabled"),
}


class GpuSetting(BaseResource):
    """One setting of every GPU of a node, now and from every boot on.

    Of every one: a GPU's number is not the same after each boot, and a node's GPUs are of one model. ECC waits for a
    reboot. MIG does so where the driver says that it is pending, and is at once so from Hopper on.
    """

    kind: Literal["gpu-setting"] = "gpu-setting"
    needs: tuple[Limit, ...] = ("boot", "modules", "hardware")
    after: Literal["kernel", "driver"] | None = "driver"
    setting: Literal["compute-mode", "power-limit", "ecc", "mig"]
    value: str
    """A word for a mode; whole watts for the power limit."""

    @field_validator("setting", mode="before")
    @classmethod
    def _persistence_has_an_owner(cls, value: object) -> object:
        if value == "persistence-mode":
            raise ValueError(
                "persistence mode belongs to nvidia-persistenced, which sets it back whenever it starts: declare its "
                "unit (the role cuda_drivers does)"
            )
        return value

    @model_validator(mode="after")
    def _is_a_value_of_it(self) -> Self:
        modes = GPU_MODES.get(self.setting)
        if modes is None and not re.fullmatch("[1-9][0-9]{0,4}", self.value):
            raise ValueError(f"{self.setting} is a number of whole watts, not {self.value!r}")
        if modes is not None and self.value not in modes:
            raise ValueError(f"{self.setting} is {' or '.join(modes)}, not {self.value!r}")
        if self.boot_scoped != (self.setting == "ecc"):
            raise ValueError("boot_scoped belongs to ecc, and to no other setting")
        return self

    @model_validator(mode="before")
    @classmethod
    def _ecc_takes_a_reboot(cls, given: Any) -> Any:
        is_ecc = isinstance(given, dict) and given.get("setting") == "ecc"
        return {"boot_scoped": True, **given} if is_ecc else given


class Manual(BaseResource):
    """What only a person can do, at a console or in a machine room. Never applied: the run stops with the instruction.

    What stands before it in its boot is carried out first.
    """

    kind: Literal["manual"] = "manual"
    title: str
    instruction: str
    test: str
    """POSIX sh that exits 0 when it was done, and prints its evidence on one line."""


Resource = Annotated[
    Packages
    | File
    | Directory
    | Unit
    | BootEntry
    | Derived
    | Gate
    | Repository
    | Symlink
    | Alternatives
    | Fragment
    | KernelArguments
    | Module
    | Sysctl
    | Group
    | User
    | Archive
    | GpuSetting
    | Manual,
    Field(discriminator="kind"),
]
