"""For what a group of stand-ins is made: every version that the catalog knows of a component, and its placeholders."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from provision.catalog import Catalog, DriverNames, Kernel, branch_of
from provision.lab.archive.description import Each
from provision.model import Frozen
from provision.platforms import Platform


class Unknown(LookupError):
    """The catalog has nothing of which an archive could be made."""


class Case(Frozen):
    """One version of a component.

    `called`: name templates that the catalog has for it. `elsewhere`: those that it has for other versions only.
    """

    values: dict[str, str]
    called: frozenset[str] = frozenset()
    elsewhere: frozenset[str] = frozenset()


def cases(each: Each, catalog: Catalog, platform: Platform) -> tuple[Case, ...]:
    """In the catalog's order. Raises: Unknown."""
    kinds: dict[Each, Callable[[Catalog, Platform], Iterable[Case]]] = {
        "kernel": _kernels,
        "driver": _drivers,
        "archive_driver": _archive_drivers,
        "precompiled": _precompiled,
        "cuda_toolkit": _toolkits,
        "cuda_compat": _compats,
        "doca": _docas,
        "container_toolkit": lambda catalog, _: (
            Case(values={"version": row.id}) for row in catalog.container_toolkits
        ),
        "gdrcopy": _gdrcopies,
        "dcgm": _dcgms,
    }
    found = tuple(kinds[each](catalog, platform))
    if not found:
        raise Unknown(f"the catalog has no {each} for {platform.os.name} on {platform.arch}")
    return found


def _kernels(catalog: Catalog, platform: Platform) -> Iterator[Case]:
    """Kernels of the node's architecture, and the flavours that only another one has: their names are tried here."""
    own = {row.flavour for row in platform.kernels}
    rows = [row for row in catalog.kernels if row.os == platform.os.id and row.flavour not in own]
    for row in (*platform.kernels, *rows):
        for release in row.releases:
            yield Case(values=_kernel_values(row, release))


def _kernel_values(row: Kernel, release: str) -> dict[str, str]:
    match = re.fullmatch(row.release, release)
    if match is None:
        raise Unknown(f"{row.id}: {release} is not of the form {row.release}")
    metas = {_part_of(name): name for name in row.metas}
    return {"release": release, "flavour": row.flavour, **match.groupdict(), **metas}


def _part_of(meta: str) -> str:
    """What a metapackage follows: `image_meta`, `headers_meta`, `tools_meta`, or `meta` for image and headers."""
    part = re.match(r"linux-(image|headers|tools)-", meta)
    return f"{part[1]}_meta" if part else "meta"


def _drivers(catalog: Catalog, platform: Platform) -> Iterator[Case]:
    every = frozenset(template for row in platform.names for template in _templates(row))
    absent = frozenset(name for row in platform.names for name in row.absent.get(platform.arch, ()))
    for branch in catalog.driver_branches:
        for row in platform.names:
            if int(row.first) <= int(branch.id) <= int(row.last or branch.id):
                called = frozenset(_templates(row)) - absent
                lockstep = called - {*row.nvlsm, row.pinning}
                pinned = " ".join(sorted(name.format(branch=branch.id) for name in lockstep))
                values = {"driver": branch.newest, "version": branch.newest, "branch": branch.id, "pinned": pinned}
                yield Case(values=values, called=called, elsewhere=every - called)


def _templates(row: DriverNames) -> Iterator[str]:
    for names in (*row.kernel.values(), *row.whole.values()):
        yield from names
    for names in (row.user, row.persistenced, row.fabricmanager, row.imex, row.nscq, row.nvsdm, row.nvlsm):
        yield from names
    if row.pinning:
        yield row.pinning


def _archive_drivers(catalog: Catalog, platform: Platform) -> Iterator[Case]:
    """The newest version of every branch that the archive offers: the catalog knows no other of them."""
    row = platform.drivers
    kernel = [*row.modules.values(), *(name for names in row.kernel.values() for name in names)]
    called = frozenset([*kernel, *row.user, *row.persistenced, *row.modprobe, *row.fabricmanager, *row.nscq])
    offered = sorted({branch_of(version) for versions in row.offered.values() for version in versions})
    for branch in offered:
        newest = catalog.branch[branch].newest
        values = {"driver": newest, "version": newest, "branch": branch}
        yield Case(values=values, called=called)


def _precompiled(catalog: Catalog, platform: Platform) -> Iterator[Case]:
    """Modules of the archive's drivers for the newest kernel of each flavour that is taken without being asked for."""
    called = frozenset(name for names in platform.drivers.precompiled.values() for name in names)
    newest = [(row, platform.newest_first(row.releases)[0]) for row in platform.kernels if row.default and row.releases]
    for driver in _archive_drivers(catalog, platform):
        for row, release in newest:
            yield Case(values={**_kernel_values(row, release), **driver.values}, called=called)


def _toolkits(catalog: Catalog, platform: Platform) -> Iterator[Case]:
    for row in catalog.cuda_toolkits:
        if platform.arch in row.archs and not row.preview:
            major, minor = row.id.split(".")[:2]
            # A driver that nobody published cannot be asked for.
            floor = {"floor": row.driver} if row.driver else {}
            yield Case(values={"version": row.id, "major": major, "minor": minor, **floor})


def _compats(catalog: Catalog, _: Platform) -> Iterator[Case]:
    for row in catalog.cuda_compat:
        if row.driver:
            major, minor = row.cuda.split(".")
            yield Case(values={"version": row.driver, "driver": row.driver, "major": major, "minor": minor})


def _docas(catalog: Catalog, _: Platform) -> Iterator[Case]:
    """Releases whose modules are built on the node; of earlier ones the ready-made modules would be the point."""
    for row in catalog.doca_releases:
        if not row.prebuilt:
            yield Case(values={"version": row.id, "ofed": row.ofed, "train": row.ofed.replace(".", "_")})


def _gdrcopies(catalog: Catalog, platform: Platform) -> Iterator[Case]:
    for version in _published(catalog, platform, "gdrcopy"):
        yield Case(values={"version": version, "upstream": version.partition("-")[0]})


def _dcgms(catalog: Catalog, platform: Platform) -> Iterator[Case]:
    for version in _published(catalog, platform, "dcgm"):
        for row in catalog.cuda_majors:
            yield Case(values={"version": version, "major": row.id})


def _published(catalog: Catalog, platform: Platform, component: str) -> list[str]:
    """Versions in published sets for this system; where there is none, one that is nobody's."""
    rows = [row for row in catalog.combinations if row.works and row.os == platform.os.id]
    return sorted({row.other[component] for row in rows if component in row.other}) or ["0"]
