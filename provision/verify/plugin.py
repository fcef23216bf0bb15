"""pytest plugin: `--provision-inventory FILE` gives testinfra its hosts and every test the plan of its node.

Without that option it does nothing and imports nothing: every pytest of its environment loads it.
"""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("provision", "verify nodes against their plan")
    group.addoption("--provision-inventory", metavar="FILE", help="inventory whose nodes are verified")
    group.addoption("--provision-nodes", metavar="NAMES", default="", help="comma-separated (default: all of them)")
    group.addoption("--provision-readings", metavar="DIR", help="where the engines keep things (default: .provision)")
    group.addoption("--provision-summary", metavar="FILE", help="write a JSON summary of all checks")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(*limits): not applicable to a node that has one of these limits")
    if config.getoption("--provision-inventory") is None:
        return
    from provision.verify.session import VerifySession

    config.pluginmanager.register(VerifySession.of(config), "provision-verify-session")
