"""What the lab reads from and writes for the machine it runs on."""

from __future__ import annotations

import os
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from provision.lab import host, mounts, ssh
from provision.lab.host import Missing
from provision.lab.ssh import Peer, Ssh


def test_mountinfo_is_read_with_its_escapes_and_options() -> None:
    text = (
        "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n"
        "40 36 0:33 / /sys/fs/cgroup/systemd rw,relatime - cgroup none rw,name=systemd\n"
        "41 36 0:34 / /srv/a\\040lab/\u00fc rw - overlay overlay rw,lowerdir=/x\n"
    )
    read = [(str(mount.target), mount.kind) for mount in mounts.parse(text)]
    assert read == [("/mnt2", "ext3"), ("/sys/fs/cgroup/systemd", "cgroup"), ("/srv/a lab/\u00fc", "overlay")]
    assert mounts.parse(text)[1].options == "rw,name=systemd"


@pytest.mark.parametrize("state", ["/srv/lab", "/" + "deep/" * 12 + ".lab", "/" + "deep/" * 40 + ".lab"])
def test_a_control_socket_always_fits_the_path_of_a_unix_socket(state: str) -> None:
    folder = ssh.socket_folder(Path(state))
    name = "n" * ssh.NAME_MAX
    assert len(os.fsencode(f"{folder}/4294967295-{name}.0123456789abcdef")) < 108


def test_ssh_config_is_strict_and_stays_inside_the_state_folder(tmp_path: Path) -> None:
    state = tmp_path / "a lab"
    state.mkdir()
    files = Ssh(state)
    files.write([Peer(name="one", address=IPv4Address("10.233.7.11"), host_key_public="ssh-ed25519 AAAA one")])
    text = files.config.read_text(encoding="utf-8")
    assert "Host one\n    HostName 10.233.7.11\n" in text
    assert "    StrictHostKeyChecking yes\n" in text
    assert f'    UserKnownHostsFile "{state}/known_hosts"\n' in text
    assert "~" not in text
    assert files.known_hosts.read_text(encoding="utf-8") == "one,10.233.7.11 ssh-ed25519 AAAA\n"


def test_what_is_missing_is_one_sentence_with_the_cure() -> None:
    lacking = (
        Missing(what="root", remedy="run it as root (sudo)"),
        Missing(what="nft", package="nftables"),
        Missing(what="ssh", package="openssh-client"),
        Missing(what="ssh-keygen", package="openssh-client"),
    )
    assert host.sentence(lacking) == (
        "This machine lacks root, nft, ssh, ssh-keygen: install nftables openssh-client "
        "(`provision lab requirements --install` does); run it as root (sudo)."
    )
