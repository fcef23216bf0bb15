"""Which archive a node uses, out of what apt of this machine says."""

from __future__ import annotations

import pytest

from provision.lab import base
from provision.lab.mirror import Mirror, acquire_options, choose

# `apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(RELEASE)|$(REPO_URI)'` on Debian, other host names.
OWN = [
    "Debian|Debian|main|bookworm|https://mirror.example.org/debian/",
    "Debian|Debian|main|bookworm-updates|https://mirror.example.org/debian/",
    "Debian|Debian Backports|main|bookworm-backports|https://backports.example.org/debian/",
    "Debian|Debian-Security|main|bookworm-security|https://mirror.example.org/debian-security/",
    "Docker|Docker CE|stable|bookworm|https://docker.example.org/linux/debian/",
]
DEFAULT = ("", "")
"""mmdebstrap takes its own."""
MIRROR = ("https://mirror.example.org/debian", "https://mirror.example.org/debian-security")


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        pytest.param(OWN, MIRROR, id="a Debian machine's own mirror"),
        pytest.param(
            [line.replace("Debian|Debian-Security|", "||").replace("Debian|Debian|", "||") for line in OWN],
            MIRROR,
            id="before its first apt-get update apt knows no origin",
        ),
        pytest.param(["Ubuntu|Ubuntu|main|noble|http://archive.example.org/ubuntu/"], DEFAULT, id="Ubuntu"),
        pytest.param(["Debian|Debian|main|trixie|cdrom:[Debian 13]/"], DEFAULT, id="an installation disc"),
        pytest.param(OWN[4:], DEFAULT, id="somebody else's repository for Debian"),
        pytest.param([], DEFAULT, id="no sources at all"),
    ],
)
def test_the_archive_is_the_one_apt_uses_here(targets: list[str], expected: tuple[str, str]) -> None:
    assert choose(targets) == expected


def test_a_node_gets_the_settings_that_reach_the_archive_and_none_that_weaken_it() -> None:
    dump = [
        'Acquire::Check-Valid-Until "false";',
        'Acquire::http::Proxy "http://proxy.example.org:3142";',
        'Acquire::http::Proxy::mirror.example.org "DIRECT";',
        'Acquire::https::Proxy "";',
        'Acquire::AllowInsecureRepositories "1";',
        'Acquire::http::Proxy-Auto-Detect "/usr/bin/detect";',
        'APT::Install-Recommends "0";',
    ]
    environment = {"http_proxy": "http://ignored.example.org", "https_proxy": "http://secure.example.org"}
    assert acquire_options(dump, environment) == (
        *dump[:3],
        'Acquire::https::Proxy "http://secure.example.org";',
    )


def test_loopback_of_this_machine_is_the_gateway_for_a_node() -> None:
    here = Mirror(
        archive="http://localhost:3142/debian",
        security="http://mirror.example.org/debian-security",
        options=('Acquire::http::Proxy "http://127.0.0.1:3142";',),
        addresses={"mirror.example.org": "127.0.0.1"},
    )
    seen = here.seen_from("10.233.7.1")
    assert seen.archive == "http://10.233.7.1:3142/debian"
    assert seen.security == here.security
    assert seen.options == ('Acquire::http::Proxy "http://10.233.7.1:3142";',)
    assert seen.addresses == {"mirror.example.org": "10.233.7.1"}


def test_sources_name_all_suites_and_components() -> None:
    text = Mirror(archive="http://a.example.org/debian", security="http://s.example.org/debian-security").sources()
    assert "URIs: http://a.example.org/debian\nSuites: trixie trixie-updates\n" in text
    assert "URIs: http://s.example.org/debian-security\nSuites: trixie-security\n" in text
    assert text.count("Components: main contrib non-free non-free-firmware\n") == 2


def test_another_archive_is_another_base() -> None:
    one = Mirror(archive="http://a.example.org/debian", security="http://s.example.org/debian-security")
    other = one.model_copy(update={"archive": "http://b.example.org/debian"})
    assert base.recipe_digest(one) == base.recipe_digest(one.model_copy())
    assert base.recipe_digest(one) != base.recipe_digest(other)
