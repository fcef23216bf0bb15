"""A plan for people: versions with reasons, then the resources in order, boot by boot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from provision.cli.console import grid, put, standard
from provision.model import (
    Alternatives,
    Archive,
    BootEntry,
    Choice,
    Conflict,
    Derived,
    Directory,
    Entry,
    File,
    Fragment,
    Frozen,
    Gate,
    GpuSetting,
    KernelArguments,
    Limit,
    Manual,
    Module,
    NodeSpec,
    Packages,
    Reason,
    Repository,
    Resource,
    Snapshot,
    StandIns,
    Symlink,
    Sysctl,
    Unit,
    User,
)
from provision.model import Group as UserGroup
from provision.planning import Planned


class Clash(Frozen):
    """Nodes for which there is no plan, and why."""

    nodes: tuple[str, ...]
    conflict: Conflict

    def __str__(self) -> str:
        return f"{title(self.nodes)}: {self.conflict}"


class Group(Frozen):
    """Nodes that get the very same; `reading` is what was read of the first of them, if anything was."""

    nodes: tuple[str, ...]
    """Empty for a node that stands in no inventory."""
    planned: Planned
    reading: Snapshot | None = None

    @property
    def standins(self) -> StandIns | None:
        """What is not the real thing on these nodes, as far as was read."""
        return self.reading.standins if self.reading else None

    @property
    def limits(self) -> frozenset[Limit]:
        """What is known before the node is asked of what it cannot hold."""
        read: frozenset[Limit] = self.reading.limits if self.reading else frozenset()
        return read | {"hardware"} if self.planned.spec.hardware == "absent" else read


def show(groups: Iterable[Group], console: Console | None = None) -> None:
    """Print plans: broken to the terminal's width, or one line for each item where there is no terminal."""
    for number, group in enumerate(groups):
        put(console or standard(), [*([Text()] if number else []), *_parts(group)])


def title(nodes: Sequence[str]) -> str:
    """The names of nodes, or a word for one that has none."""
    return ", ".join(nodes) or "a node"


def declared(spec: NodeSpec) -> str:
    """What was declared and is not a default, as the inventory's keys."""
    keys = spec.model_dump(exclude_defaults=True, exclude={"os", "arch"})
    return ", ".join([spec.os, spec.arch, *(f"{key}={_plain(value)}" for key, value in keys.items())])


def what(resource: Resource) -> str:
    """A resource in one line, without its name."""
    match resource:
        case Packages(packages=packages, hold=hold):
            names = ", ".join(p.name if p.version == "*" else f"{p.name}={p.version}" for p in packages)
            return f"{names}; held" if hold else names
        case File(path=path, mode=mode) | Directory(path=path, mode=mode):
            return f"{path} ({mode})"
        case Unit(unit=unit, enabled=enabled, running=running):
            return f"{unit} {'enabled' if enabled else 'disabled'}, {'running' if running else 'stopped'}"
        case BootEntry(release=release, words=words):
            return f"{release} starts by default" + (f", with {' '.join(words)}" if words else "")
        case Derived(inputs=inputs):
            return f"from {', '.join(inputs)}" if inputs else "from what is there"
        case Gate(expect=expect) | Manual(title=expect):
            return expect
        case Repository(uris=uris, suites=suites, components=components):
            return " ".join((*uris, *suites, *components))
        case Symlink(path=path, target=target) | Alternatives(link=path, path=target):
            return f"{path} leads to {target}"
        case Fragment(path=path, settings=settings):
            return f"{', '.join('.'.join(setting.key) for setting in settings)} in {path}"
        case KernelArguments(arguments=arguments):
            return " ".join(argument.word for argument in arguments)
        case Module():
            return _module(resource)
        case Sysctl(settings=values):
            return ", ".join(f"{setting.key}={setting.value}" for setting in values)
        case Archive(url=url, to=to):
            return f"{to} from {url}"
        case GpuSetting(setting=setting, value=value):
            return f"{setting}={value} on every GPU"
        case UserGroup(group=group):
            return f"group {group}"
        case User(user=user, groups=groups):
            return f"user {user}" + (f" in {', '.join(groups)}" if groups else "")


def _module(module: Module) -> str:
    words = {True: " loaded at boot", False: " kept out", None: ""}[module.loaded]
    options = "".join(f" {option.name}={option.value}" for option in module.options)
    return f"{module.module}{words}{':' if options and words else ''}{options}"


def marks(resource: Resource, limits: frozenset[Limit]) -> str:
    """What is special about a resource on this node: it cannot hold it, or only a reboot makes it effective."""
    lacking = [limit for limit in resource.needs if limit in limits]
    if lacking:
        return f"not applicable: {', '.join(lacking)}"
    scoped = resource.boot_scoped and not isinstance(resource, Gate)
    return "takes a reboot" if scoped else ""


def _parts(group: Group) -> Iterator[RenderableType]:
    planned, boots = group.planned, group.planned.plan.boots
    yield Text(title(group.nodes), style="bold")
    yield _indented(declared(planned.spec))
    if group.standins:
        yield from (_indented(Text(told, style="yellow")) for told in group.standins.sentences)
    yield Text()
    yield _heading("Versions", _asked(group))
    sources = _sources(planned.stack.choices.values())
    yield _indented(_versions(planned.stack.choices.values(), sources))
    yield from (_indented(Text(f"warning: {warning}", style="yellow")) for warning in planned.stack.warnings)
    if planned.needs:
        yield Text()
        yield _heading("The node must know", _known(group))
        yield from (_indented(Text(str(need))) for need in planned.needs)
    for number, boot in enumerate(boots, start=1):
        yield Text()
        yield _heading(f"Boot {number} of {len(boots)}", "" if number == 1 else "after a reboot")
        for role, entries in groupby(boot, key=lambda entry: entry.role):
            yield _indented(Text(role, style="cyan"))
            yield _indented(_resources(entries, group.limits), by=4)
    yield Text()
    yield _heading("Sources", "")
    yield _indented(grid(((f"[{number}]", source) for source, number in sources.items()), columns=2))


def _known(group: Group) -> str:
    """Whether the node has what the inventory does not declare."""
    is_asked = group.reading is not None and group.reading.offers is not None
    found = "its archive offers them" if is_asked else "apply asks it, and changes nothing where it does not"
    return f"no key is declared: docs/repositories.md; {found}"


def _indented(part: RenderableType, by: int = 2) -> RenderableType:
    return Padding(part, (0, 0, 0, by), expand=False)


def _heading(title: str, remark: str) -> Text:
    return Text.assemble((title, "bold"), (f"  ({remark})" if remark else "", "dim"))


def _plain(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def _asked(group: Group) -> str:
    nodes = "these nodes" if len(group.nodes) > 1 else "this node"
    if group.reading is None or group.reading.offers is None:
        return f"from the catalog alone: the archive of {nodes} was not asked yet"
    return f"from what the archive of {nodes} offered when first read"


def _sources(choices: Iterable[Choice]) -> dict[str, int]:
    """Every source once, with the number under which reasons cite it."""
    sources = dict.fromkeys(reason.source for choice in choices for reason in choice.reasons)
    return {source: number for number, source in enumerate(sources, start=1)}


def _versions(choices: Iterable[Choice], sources: Mapping[str, int]) -> Table:
    return grid(
        (choice.component, Text(choice.version, "green"), Text("\n").join(_reason(r, sources) for r in choice.reasons))
        for choice in choices
    )


def _reason(reason: Reason, sources: Mapping[str, int]) -> Text:
    doubt = "" if reason.verified else " unverified"
    return Text.assemble(reason.text, (f" [{sources[reason.source]}]", "dim"), (doubt, "yellow"))


def _resources(entries: Iterable[Entry], limits: frozenset[Limit]) -> Table:
    resources = [entry.resource for entry in entries]
    return grid((r.name, Text(r.kind, "dim"), _told(r, limits)) for r in resources)


def _told(resource: Resource, limits: frozenset[Limit]) -> Text:
    marked = marks(resource, limits)
    return Text.assemble(what(resource), (f" ({marked})" if marked else "", "yellow"))
