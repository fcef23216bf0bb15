"""The suite without an inventory asks nothing, and says so."""

from __future__ import annotations

import pytest


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.config.getoption("--provision-inventory", default=None) is None:
        told = "name the inventory whose nodes are to be verified: --provision-inventory FILE"
        pytest.exit(told, returncode=pytest.ExitCode.USAGE_ERROR)
