"""Secure Boot and signatures: which key dkms signs with, whether the machine knows it, what is said of a module.

Keys and openssl are real; what modinfo, dkms and mokutil say is recorded. Each machine is a directory.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from test_dkms import GOOD, INSTALLED, RELEASE, TINY, installed_module, judged, replay
from test_ready import run, tool

from provision.platforms import dkms, signing

VARIABLE = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
DKMS, SHIM = "var/lib/dkms/mok.pub", "var/lib/shim-signed/mok/MOK.der"
NAME = "DKMS module signing key"
CURVE = ("-pkeyopt", "ec_paramgen_curve:P-256")
"""dkms takes RSA, whose keys take longer to make."""


def secure_boot(root: Path, value: int) -> None:
    path = root / VARIABLE
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes([6, 0, 0, 0, value]))


def system(root: Path, os: str, framework: str = "") -> None:
    """Its os-release, and what the site set for dkms."""
    (root / "etc/dkms").mkdir(parents=True)
    (root / "etc/os-release").write_text(f"ID={os.rstrip('.0123456789')}\nID_LIKE=debian\n")
    (root / "etc/dkms/framework.conf").write_text(framework)


def make_key(root: Path, path: str, name: str = NAME) -> str:
    """A key as dkms makes one; returns its serial number."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    new = ["openssl", "req", "-new", "-x509", "-nodes", "-days", "9", "-subj", f"/CN={name}", "-newkey", "ec", *CURVE]
    subprocess.run([*new, "-keyout", f"{file}.key", "-outform", "DER", "-out", file], check=True, capture_output=True)
    told = subprocess.run(["openssl", "x509", "-in", file, "-noout", "-serial"], check=True, capture_output=True)
    return told.stdout.decode().strip().removeprefix("serial=")


class TestTheMachine:
    def test_without_it_passes(self, tmp_path: Path) -> None:
        assert run(tmp_path, signing.key_known()) == (0, "no Secure Boot here")

    def test_off_passes(self, tmp_path: Path) -> None:
        secure_boot(tmp_path, 0)
        assert run(tmp_path, signing.key_known()) == (0, "Secure Boot is off")

    def test_on_without_a_key_does_not(self, tmp_path: Path) -> None:
        secure_boot(tmp_path, 1)
        code, told = run(tmp_path, signing.key_known())
        assert (code, told) == (1, "Secure Boot is on, and this node has no key to sign modules with")

    @pytest.mark.parametrize(
        ("answer", "code", "words"),
        [
            ("is already enrolled", 0, "knows"),
            ("is already in db", 0, "knows"),
            ("is already in the built-in trusted keyring", 0, "knows"),
            ("is already in the enrollment request", 1, "MokManager asks at the next start"),
            ("is not enrolled", 1, "is not enrolled"),
            ("", 1, "is not enrolled"),
        ],
    )
    def test_on_with_a_key_passes_when_it_is_known(self, tmp_path: Path, answer: str, code: int, words: str) -> None:
        secure_boot(tmp_path, 1)
        make_key(tmp_path, DKMS)
        tool(tmp_path, "mokutil", f'echo "$2 {answer}"')
        got, told = run(tmp_path, signing.key_known())
        assert got == code
        assert words in told

    def test_the_key_to_enrol_is_told_with_what_a_person_compares(self, tmp_path: Path) -> None:
        secure_boot(tmp_path, 1)
        make_key(tmp_path, DKMS)
        tool(tmp_path, "mokutil", 'echo "$2 is not enrolled"')
        _code, told = run(tmp_path, signing.key_known())
        shown = ["openssl", "x509", "-in", tmp_path / DKMS, "-noout", "-fingerprint", "-sha1"]
        fingerprint = subprocess.run(shown, check=True, capture_output=True, text=True).stdout.strip().partition("=")[2]
        assert f"{tmp_path / DKMS} (" in told
        assert NAME in told
        assert fingerprint in told


OWN = "/etc/keys/site"
WHICH = {
    "Debian 12": ("debian12", "", DKMS),
    "Debian 13": ("debian13", "", DKMS),
    "Ubuntu 24.04": ("ubuntu24.04", "", SHIM),
    "Debian, a key of the site": (
        "debian13",
        f"mok_signing_key={OWN}.key\nmok_certificate={OWN}-$kernelver.der\n",
        f"etc/keys/site-{RELEASE}.der",
    ),
    "Ubuntu, a key of the site": (
        "ubuntu24.04",
        f"mok_signing_key={OWN}.key\nmok_certificate={OWN}.der\n",
        "etc/keys/site.der",
    ),
    "Ubuntu, a certificate alone: dkms takes shim's": ("ubuntu24.04", f"mok_certificate={OWN}.der\n", SHIM),
    "Ubuntu, a signing key alone: dkms takes its own": ("ubuntu24.04", f"mok_signing_key={OWN}.key\n", DKMS),
}


@pytest.mark.parametrize(("os", "framework", "key"), WHICH.values(), ids=WHICH)
def test_the_key_is_the_one_that_dkms_signs_with(tmp_path: Path, os: str, framework: str, key: str) -> None:
    secure_boot(tmp_path, 1)
    for other in (DKMS, SHIM, key):
        make_key(tmp_path, other)
    system(tmp_path, os, framework.replace("=/etc/", f"={tmp_path}/etc/"))
    tool(tmp_path, "mokutil", 'echo "$2 is not enrolled"')
    code, told = run(tmp_path, f"release={RELEASE}\n{signing.key_known()}")
    assert code == 1
    assert told.startswith(f"Secure Boot is on, and {tmp_path / key} (")


BEARS = {
    "on, by this key": (1, "right", ""),
    "on, nobody's": (1, "none", "tiny.ko.xz is not signed, and with Secure Boot no kernel loads it; dkms signs with"),
    "on, by another key": (1, "other", 'tiny.ko.xz is signed by "Somebody", key '),
    "off, nobody's": (0, "none", ""),
    "off, by another key": (0, "other", ""),
}
KEYS = {"debian12": "dkms-tree/mok.pub", "debian13": "dkms-tree/mok.pub", "ubuntu24.04": SHIM}


@pytest.mark.parametrize("os", KEYS)
@pytest.mark.parametrize(("state", "bears", "refusal"), BEARS.values(), ids=BEARS)
def test_a_module_that_this_machine_would_refuse_is_told_of_before_the_reboot(
    tmp_path: Path, os: str, state: int, bears: str, refusal: str
) -> None:
    secure_boot(tmp_path, state)
    system(tmp_path, os)
    right, other = make_key(tmp_path, KEYS[os]), make_key(tmp_path, "elsewhere.der", "Somebody")
    installed_module(tmp_path, GOOD + signature(bears, right, other), INSTALLED)
    result = judged(tmp_path)
    assert (result.returncode, result.stderr) == (int(bool(refusal)), "")
    assert refusal in result.stdout
    if bears == "other" and state:
        assert f"key {other}, but dkms signs with {tmp_path / KEYS[os]}, key {right}" in result.stdout


def test_a_key_that_is_not_there_signed_nothing(tmp_path: Path) -> None:
    secure_boot(tmp_path, 1)
    system(tmp_path, "debian13")
    installed_module(tmp_path, GOOD + signature("right", "0A0B", ""), INSTALLED)
    assert "but dkms signs with" in judged(tmp_path).stdout


def test_what_was_judged_without_secure_boot_is_judged_anew_with_it(tmp_path: Path) -> None:
    system(tmp_path, "debian13")
    installed_module(tmp_path, GOOD, INSTALLED)
    tree = tmp_path / f"dkms-tree/tiny/1.0/{RELEASE}"
    arch = subprocess.run(["uname", "-m"], check=True, capture_output=True, text=True).stdout.strip()
    (tree / arch / "module").mkdir(parents=True)
    (tree / arch / "module/tiny.ko.xz").write_text("a module")
    (tmp_path / "dkms-tree/tiny/1.0/source").mkdir()
    (tmp_path / "dkms-tree/tiny/1.0/source/dkms.conf").touch()
    (tmp_path / f"dkms-tree/tiny/kernel-{RELEASE}-{arch}").symlink_to(f"1.0/{RELEASE}/{arch}")
    judged(tmp_path, dkms.keep_verdict)
    replay(tmp_path, "dkms", "dkms was asked\n")
    assert judged(tmp_path, dkms.known).returncode == 0

    secure_boot(tmp_path, 1)
    make_key(tmp_path, "dkms-tree/mok.pub")
    assert judged(tmp_path, dkms.known, TINY).returncode == 1


def signature(bears: str, right: str, other: str) -> str:
    """What modinfo of Debian 13 says of it, with the serial number in pairs of digits."""
    if bears == "none":
        return ""
    serial, signer = (right, NAME) if bears == "right" else (other, "Somebody")
    pairs = ":".join(serial[at : at + 2] for at in range(0, len(serial), 2))
    return f"sig_id:         PKCS#7\nsigner:         {signer}\nsig_key:        {pairs}\nsig_hashalgo:   sha256\n"
