"""From descriptions and catalog to stand-ins: the whole archive of one operating system, by repository."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from provision.catalog import Catalog
from provision.lab.archive.cases import Case, cases
from provision.lab.archive.description import Described, Dkms, Group, descriptions, repositories, text, texts
from provision.lab.archive.ground import Ground, headers_tree
from provision.lab.archive.package import Built, StandIn, control
from provision.platforms import Platform

Archive = dict[str, tuple[StandIn, ...]]
"""Folder of a repository -> its packages."""

_PLACEHOLDER = re.compile(r"@([a-z_]+)@")


def archive(catalog: Catalog, platform: Platform, ground: Ground) -> Archive:
    """Every stand-in there is for this operating system. Raises: Unknown where the catalog lacks a component."""
    found: dict[str, dict[tuple[str, str], StandIn]] = {}
    for group in descriptions():
        for case in cases(group.each, catalog, platform):
            folder = repositories()[group.repository].folder.format(**case.values)
            for item in _Making(group, case, catalog, ground).packages():
                # Two flavours of a kernel may share a metapackage's name, never its version.
                found.setdefault(folder, {}).setdefault((item.name, item.control), item)
    return {folder: tuple(packages.values()) for folder, packages in found.items()}


@dataclass(frozen=True)
class _Making:
    """What all packages of one group and version share."""

    group: Group
    case: Case
    catalog: Catalog
    ground: Ground

    def packages(self) -> Iterator[StandIn]:
        for described in self.group.packages:
            for template in described.names:
                if self._is_called(described.beside or template) and _names(template) <= set(self.case.values):
                    yield self._package(described, template)

    def _is_called(self, template: str) -> bool:
        """Does the catalog, if it has the name at all, have it for this version?"""
        return template not in self.case.elsewhere

    def _package(self, described: Described, template: str) -> StandIn:
        values = self._values(described, template)
        files, links = _content(described, values)
        if described.headers:
            tree, pointers = headers_tree(values["release"], self.ground)
            files, links = files | tree, links | pointers
        if described.dkms:
            files |= _source(described.dkms, values)
        return StandIn(
            name=values["name"],
            control=_control(described, values, dict(self._relations(described, template, values))),
            stands_for=self._stands_for(values["name"]),
            files=files,
            links=links,
            libraries={path.format(**values): soname for path, soname in described.libraries.items()},
            scripts=_scripts(described, values),
            built=self._built(described, values),
        )

    def _built(self, described: Described, values: Mapping[str, str]) -> Built | None:
        ready = described.built
        if ready is None:
            return None
        release = values["release"]
        files, links = headers_tree(release, self.ground)
        below = f"/usr/src/linux-headers-{release}/"
        return Built(
            release=release,
            place=ready.place.format(**values),
            source={path: filled(text, values) for path, text in texts("dkms", ready.source).items()},
            headers={path.removeprefix(below): text for path, text in files.items()},
            header_links={path.removeprefix(below): to for path, to in links.items() if path.startswith(below)},
        )

    def _values(self, described: Described, template: str) -> dict[str, str]:
        ground = self.ground
        values = {
            **self.case.values,
            "arch": ground.arch,
            "package_arch": ground.package_arch,
            "multiarch": ground.multiarch,
            "headers_need": ", ".join(ground.needs),
            "suffix": f"-{self.case.values['branch']}" if "{branch}" in template else "",
        }
        values["name"] = template.format(**values)
        values["self"] = (described.version or self.group.version).format(**values)
        values |= {key: value.format(**values) for key, value in described.values.items()}
        if described.built:
            values |= {"module": described.built.source, "module_version": values["driver"]}
        if described.dkms:
            values["module"] = described.dkms.module.format(**values)
            values["module_version"] = described.dkms.version.format(**values)
        return values

    def _relations(self, described: Described, template: str, values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        suffix = "-{branch}" if "{branch}" in template else ""
        for field, entries in described.relations.items():
            there = [
                entry.format(**values)
                for entry in entries
                if _names(entry) <= set(values) and self._is_called(entry.split()[0].replace("{suffix}", suffix))
            ]
            yield "-".join(word.capitalize() for word in field.split("-")), ", ".join(there)

    def _stands_for(self, name: str) -> str:
        known = "read" if self.group.verified else "partly unverified"
        repository = repositories()[self.group.repository]
        return f"{name} of {repository.stands_for} ({known}: {self.catalog.cite(self.group.source)})"


def _names(template: str) -> set[str]:
    return set(re.findall(r"\{([a-z_]+)\}", template))


def _content(described: Described, values: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    paths = {path.format(**values): file for path, file in described.files.items()}
    files = {
        path: filled(text("files", file), {**values, "stem": PurePosixPath(path).stem}) for path, file in paths.items()
    }
    return files, {path.format(**values): target.format(**values) for path, target in described.links.items()}


def _control(described: Described, values: Mapping[str, str], relations: Mapping[str, str]) -> str:
    return control(
        {
            "Package": values["name"],
            "Version": values["self"],
            "Architecture": "all" if described.architecture == "all" else values["package_arch"],
            "Maintainer": "provision lab <nobody@localhost>",
            "Section": "misc",
            "Priority": "optional",
            **relations,
        }
    )


def _source(dkms: Dkms, values: Mapping[str, str]) -> dict[str, str]:
    folder = f"/usr/src/{values['module']}-{values['module_version']}"
    return {f"{folder}/{path}": filled(content, values) for path, content in texts("dkms", dkms.source).items()}


def _scripts(described: Described, values: Mapping[str, str]) -> dict[str, str]:
    found = dict(texts("scripts", described.scripts)) if described.scripts else {}
    if described.dkms:
        found |= texts("scripts", "dkms")
    if any(soname != "module" for soname in described.libraries.values()):
        found["triggers"] = "activate-noawait ldconfig\n"
    return {name: filled(script, values) for name, script in found.items()}


def filled(content: str, values: Mapping[str, str]) -> str:
    """The text with every `@name@` replaced. Raises: KeyError for a name that has no value."""
    return _PLACEHOLDER.sub(lambda match: values[match[1]], content)
