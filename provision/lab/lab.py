"""A lab: named nodes under one state folder, and the layers kept of them.

Every command may be killed at any moment; the next one mends what it left. Two at once wait for each other.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, TextIO, TypeAlias, TypeVar

from pydantic import TypeAdapter, ValidationError

from provision.lab import base, mirror, mounts, network, node, settings
from provision.lab.cgroup import Group, groups_below
from provision.lab.container import Container, ContainerRecord, Layer
from provision.lab.error import InputError, LabError
from provision.lab.kept import PART
from provision.lab.mirror import Mirror
from provision.lab.network import Network
from provision.lab.node import Node, Site
from provision.lab.ssh import NAME_MAX, Ssh
from provision.lab.vm import saved
from provision.lab.vm.machine import Firmware, Machine, machine_of
from provision.lab.vm.node import MachineRecord, VirtualMachine
from provision.lab.vm.saved import Saved
from provision.model import Frozen, digest, refusals
from provision.model.spec import Arch

STATE_VARIABLE = "PROVISION_LAB"
NETWORK_VARIABLE = "PROVISION_LAB_NETWORK"
_NAME = re.compile(rf"[a-z][a-z0-9-]{{0,{NAME_MAX - 1}}}")
_LAYER = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")

MAKER = "first.boot"
"""A group of this name, which no node can have, holds the machine whose first boot is saved."""

KINDS = (Container, VirtualMachine)
LabNode: TypeAlias = Container | VirtualMachine
Kept: TypeAlias = Layer | Saved
_KEPT: TypeAdapter[Kept] = TypeAdapter(Kept)
_RECORD: TypeAdapter[ContainerRecord | MachineRecord] = TypeAdapter(ContainerRecord | MachineRecord)


class Settled(Frozen):
    """What the lab decided at its first `up`, and all its nodes share."""

    subnet: IPv4Network
    mirror: Mirror


_SETTLED = TypeAdapter(Settled)
Read = TypeVar("Read")


def default_state() -> Path:
    return Path(os.environ.get(STATE_VARIABLE, ".lab"))


def _quiet(_line: str) -> None:
    pass


class Lab:
    """Nodes under `state`; `store` (default: the same folder) keeps base and layers and may be shared by labs.

    `subnet`: a private network such as 10.233.7.0/24; by default one that nobody on this machine uses.
    `firmware` is that of virtual machines which `up` makes.
    `say` gets one short line for each slow stage.
    """

    def __init__(
        self,
        state: Path,
        *,
        store: Path | None = None,
        subnet: str | None = None,
        firmware: Firmware = "plain",
        say: Callable[[str], None] = _quiet,
    ) -> None:
        self.state = state.absolute()
        self.store = (store or state).absolute()
        self.id = digest(str(self.state))[:6]
        self._asked = network.parse_subnet(subnet) if subnet else None
        self._firmware = firmware
        self._say = say
        self._ssh = Ssh(self.state)

    @property
    def ssh_config(self) -> Path:
        return self._ssh.config

    def nodes(self) -> list[LabNode]:
        if not (self.state / "lab.json").exists():
            return []
        settled = self._settled()
        whole = (path for folder in sorted(self._nodes.glob("*")) if (path := folder / "node.json").exists())
        records = (_read(_RECORD, path) for path in whole)
        return [self._node(record, settled) for record in records]

    def node(self, name: str) -> LabNode:
        known = self.nodes()
        found = next((item for item in known if item.name == name), None)
        if found is None:
            names = ", ".join(item.name for item in known) or "none"
            raise InputError(
                f"The lab in {self.state} has no node {name!r} (it has: {names}); `provision lab up {name}`."
            )
        return found

    def up(
        self, names: Iterable[str], layer: str | None = None, vm: Arch | None = None, suite: str = mirror.SUITE
    ) -> list[LabNode]:
        """Nodes of these names, running and ready to log in; one that runs is left as it is.

        `layer` puts new nodes on a saved layer; `vm` makes them virtual machines of this architecture, as does a layer
        that was saved of one; `suite` is the Debian release of containers without a layer. When one fails, those that
        this call started are taken away again.
        """
        machine = machine_of(vm, self._firmware) if vm else None
        wanted = tuple(dict.fromkeys(names))
        _check_names(wanted)
        if not wanted:
            return []
        with self._locked():
            self._mend()
            self._ssh.prepare()
            known = {item.name for item in self.nodes()}
            for name in (name for name in wanted if name in known):
                _refuse_other(self.node(name), layer, machine)
            fresh = [name for name in wanted if name not in known]
            settled = self._settle() if fresh else self._settled()
            if fresh:
                on = self._ground(layer, machine, suite, settled)
                for name in fresh:
                    node.create(self._nodes / name, self._record(name, on, settled))
            self._ssh.write(item.peer() for item in self.nodes())
            selected = [self.node(name) for name in wanted]
            asleep = [item for item in selected if not item.running]
            try:
                self._refuse_taken(asleep)
                self._start(asleep)
            except BaseException:
                # What a new node says about its failure is in the message; an old one keeps what it holds.
                for item in selected:
                    if item.name not in known:
                        item.wipe()
                self._ssh.write(item.peer() for item in self.nodes())
                self._leave_if_idle()
                raise
            for item in selected:
                item.wait()
            return selected

    def down(self, names: Iterable[str] | None = None) -> list[str]:
        """Takes nodes down and forgets what they wrote (all of them by default); returns the names that were there."""
        asked = None if names is None else tuple(names)
        _check_names(asked or ())
        if not self.state.exists():
            return []
        with self._locked():
            self._mend()
            gone = [item for item in self.nodes() if asked is None or item.name in asked]
            for item in gone:
                item.wipe()
            self._ssh.write(item.peer() for item in self.nodes())
            self._leave_if_idle()
            return [item.name for item in gone]

    def reset(self, name: str) -> LabNode:
        """The same name, address and layers on a node that is new in all else: files, machine-id, host key."""
        with self._locked():
            self._mend()
            old = self.node(name)
            old.wipe()
            node.create(old.folder, old.record.model_copy(update={"machine_id": node.new_machine_id()}))
            self._ssh.write(item.peer() for item in self.nodes())
            fresh = self.node(name)
            self._start([fresh])
            return fresh

    def save(self, name: str, layer: str) -> Kept:
        """Keeps what the node holds now as a read-only layer, on which the node is started again.

        A container is shut down in order; of a virtual machine the memory is kept, too, so that it goes on from there.
        A layer of that name that exists already is returned, and the node is left alone.
        """
        if not _LAYER.fullmatch(layer):
            raise InputError(f"{layer!r} does not do for a layer's name: letters, digits, dot, dash, up to 64 of them.")
        with self._locked():
            self._mend()
            if layer in self._layer_names():
                return self.layer(layer)
            source = self.node(name)
            source.settle()
            self._keep(source, layer)
            self._start([self.node(name)])
            return self.layer(layer)

    def layers(self) -> list[Kept]:
        return [self.layer(name) for name in self._layer_names()]

    def layer(self, name: str) -> Kept:
        known = self._layer_names()
        if name not in known:
            raise InputError(f"There is no layer {name!r} in {self._layers} (there are: {', '.join(known) or 'none'}).")
        return _read(_KEPT, self._layers / name / "layer.json")

    def drop(self, layer: str) -> None:
        """Deletes a saved layer; refused while a node of this lab stands on it."""
        with self._locked():
            self.layer(layer)
            if standing := [item.name for item in self.nodes() if layer in item.layers]:
                raise LabError(f"Layer {layer} is in use by {', '.join(standing)}; `provision lab down` them first.")
            mounts.remove_tree(self._layers / layer)

    def clean(self) -> None:
        """Removes nodes, settings, and the lab's own files, base and layers; a store elsewhere is left alone."""
        if self.state.exists():
            with self._locked():
                self._mend()
                for item in self.nodes():
                    item.wipe()
                self._forget_kernel_state()
                self._remove_files()
                (self.state / "lock").unlink(missing_ok=True)
            if not any(self.state.iterdir()):
                self.state.rmdir()
            return
        self._forget_kernel_state()

    # Starting

    def _ground(self, layer: str | None, machine: Machine | None, suite: str, settled: Settled) -> Kept:
        """What new nodes stand on; built if it is missing."""
        if layer:
            return _fitting(self.layer(layer), machine)
        if machine:
            return saved.provide(self.store, machine, settled.mirror, Group(f"{self._group}/{MAKER}"), self._say)
        return Layer(name="", base=base.provide(self.store, settled.mirror, self._say, suite), suite=suite)

    def _record(self, name: str, on: Kept, settled: Settled) -> ContainerRecord | MachineRecord:
        address = self._network(settled).next_address(item.record.address for item in self.nodes())
        own: dict[str, Any] = {"name": name, "address": address, "machine_id": node.new_machine_id()}
        match on:
            case Saved():
                return MachineRecord(**own, machine=on.machine, tools=on.tools, layers=(on.name, *on.below))
            case Layer(name=""):
                return ContainerRecord(**own, base=on.base, suite=on.suite)
        root = self._layers / on.name / "root"
        return ContainerRecord(**own, base=on.base, suite=on.suite, layers=(root, *on.below))

    def _start(self, nodes: list[LabNode]) -> None:
        if not nodes:
            return
        net = self._network(self._settled())
        try:
            settings.join(self.id, self.state, settings.wanted(len(self.nodes())))
            network.open_way_out(net)
            if chain := network.obstacle(network.firewall_chains()):
                self._say(
                    f"the firewall chain {chain} drops forwarded packets: nodes may not reach the archive until it "
                    f"accepts those from and to {net.subnet}"
                )
            for item in nodes:
                item.start()
            for item in nodes:
                item.wait()
        except BaseException:
            for item in nodes:
                item.release()
            raise

    def _refuse_taken(self, nodes: Iterable[LabNode]) -> None:
        waiting = tuple(nodes)
        for item in waiting:
            item.release()
        for address in network.answering(item.record.address for item in waiting):
            raise LabError(
                f"The address {address} is taken: a machine answers there. Give the lab another network, "
                f"e.g. {NETWORK_VARIABLE}=10.99.0.0/24."
            )

    def _settle(self) -> Settled:
        before = self._settled() if (self.state / "lab.json").exists() else None
        if before and self._asked and before.subnet != self._asked and self.nodes():
            raise InputError(
                f"The lab in {self.state} has nodes on {before.subnet}, so it does not move to {self._asked}; "
                "`provision lab down` first."
            )
        net = network.choose(self.id, self._asked or (before.subnet if before else None))
        settled = Settled(subnet=net.subnet, mirror=mirror.read())
        part = self.state / "lab.json.part"
        part.write_text(settled.model_dump_json(indent=1), encoding="utf-8")
        part.replace(self.state / "lab.json")
        return settled

    # Saving: one rename, announced before and booked after, so that a killed controller loses nothing

    def _keep(self, source: LabNode, name: str) -> None:
        folder, layer = self._layers / name, source.layer(name)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "layer.json").write_text(layer.model_dump_json(indent=1), encoding="utf-8")
        (source.folder / "saving").write_text(name, encoding="utf-8")
        try:
            source.written.rename(folder / source.kept_as)
        except OSError as error:
            (source.folder / "saving").unlink()
            raise LabError(
                f"{source.name} cannot be kept in {folder}: {error}. Store and state share a disk."
            ) from error
        self._book(source)

    def _book(self, source: LabNode) -> None:
        saving = source.folder / "saving"
        layer = saving.read_text(encoding="utf-8")
        if not source.written.exists() and layer not in source.layers:
            node.write_record(source.folder, source.on(self._layers / layer))
        saving.unlink()

    # Mending

    def _mend(self) -> None:
        for item in self.nodes():
            if (item.folder / "saving").exists():
                self._book(item)
        known = {item.name for item in self.nodes()}
        for folder in self._nodes.glob("*"):
            if folder.name not in known:
                mounts.unmount_below(folder)
                mounts.remove_tree(folder)
        self._release_strangers(known)
        saved.forget(self.store)

    def _release_strangers(self, known: set[str]) -> None:
        for name in {*network.nodes_connected(self.id), *groups_below(self._group)} - known:
            group = Group(f"{self._group}/{name}")
            group.kill()
            network.disconnect(self.id, name)
            mounts.unmount_nspawn(network.namespace(self.id, name))
            group.remove()

    def _leave_if_idle(self) -> None:
        # A node that is off counts: its power may come back without the lab being asked.
        if self.nodes():
            return
        network.close_way_out(self.id)
        settings.leave(self.id)

    def _forget_kernel_state(self) -> None:
        self._release_strangers(set())
        saved.forget(self.store)
        self._leave_if_idle()

    def _remove_files(self) -> None:
        mounts.unmount_below(self._nodes)
        mounts.remove_tree(self._nodes)
        if self.store == self.state:
            for built in (*self.store.glob("base-*"), self._layers, self.store / saved.FOLDER):
                mounts.remove_tree(built)
            (self.store / "base.lock").unlink(missing_ok=True)
        mounts.remove_tree(self._ssh.sockets)
        own = ("lab.json", "key", "key.pub", "ssh_config", "known_hosts", ".gitignore")
        for name in own:
            (self.state / name).unlink(missing_ok=True)

    # Where things are

    @property
    def _nodes(self) -> Path:
        return self.state / "nodes"

    @property
    def _layers(self) -> Path:
        return self.store / "layers"

    def _layer_names(self) -> tuple[str, ...]:
        whole = (part.parent.name for kind in KINDS for part in self._layers.glob(f"*/{kind.kept_as}"))
        return tuple(sorted(name for name in whole if not name.endswith(PART)))

    @property
    def _group(self) -> str:
        return f"provision-lab-{self.id}"

    def _settled(self) -> Settled:
        return _read(_SETTLED, self.state / "lab.json")

    def _network(self, settled: Settled) -> Network:
        return Network(lab=self.id, subnet=settled.subnet)

    def _node(self, record: ContainerRecord | MachineRecord, settled: Settled) -> LabNode:
        folder, site = self._nodes / record.name, Site(self._network(settled), self._ssh, settled.mirror, self.store)
        if isinstance(record, MachineRecord):
            return VirtualMachine(folder, record, site)
        return Container(folder, record, site)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._lock():
            (self.state / ".gitignore").write_text("*\n", encoding="ascii")
            yield

    def _lock(self) -> TextIO:
        path = self.state / "lock"
        while True:
            self.state.mkdir(parents=True, exist_ok=True)
            lock = path.open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._say("waiting for another lab command to end")
                fcntl.flock(lock, fcntl.LOCK_EX)
            # The command waited for may have been `clean`, which deletes the file.
            if path.exists() and os.path.samestat(path.stat(), os.fstat(lock.fileno())):
                return lock
            lock.close()


def _read(kind: TypeAdapter[Read], path: Path) -> Read:
    """LabError where the file holds something else, as that of another version of this program does."""
    try:
        return kind.validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as unknown:
        raise LabError(
            f"{path} is of another version of this program ({refusals(unknown)[0]}). Let that version take its lab "
            f"away (`provision lab clean`), or give this one a lab of its own with {STATE_VARIABLE}=FOLDER."
        ) from unknown


def _refuse_other(present: Node, layer: str | None, machine: Machine | None) -> None:
    """LabError when a node that exists is not what was asked for."""
    undo = f"`provision lab down {present.name}` first."
    if layer and layer not in present.layers:
        raise LabError(f"{present.name} exists already, and not on layer {layer}: {undo}")
    if machine is None:
        return
    if not isinstance(present, VirtualMachine):
        raise LabError(f"{present.name} exists already, as a container and not as a virtual machine: {undo}")
    if present.kind != machine.kind:
        raise LabError(
            f"{present.name} exists already, as a machine of {present.kind} and not of {machine.kind}: {undo}"
        )


def _fitting(layer: Kept, machine: Machine | None) -> Kept:
    if machine and not (isinstance(layer, Saved) and layer.machine.kind == machine.kind):
        raise InputError(f"Layer {layer.name} was not saved of a virtual machine of {machine.kind}.")
    return layer


def _check_names(names: Iterable[str]) -> None:
    wrong = [name for name in names if not _NAME.fullmatch(name)]
    if wrong:
        raise InputError(
            f"{', '.join(map(repr, wrong))} does not do for a node's name: a small letter, then small letters, digits "
            f"and dashes, up to {NAME_MAX}."
        )
