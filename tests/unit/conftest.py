"""No terminal here; and how many cases a property is tried with.

Few and always the same ones, but many and new ones in `make nightly`.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("few", max_examples=50, derandomize=True, deadline=None)
settings.register_profile(
    "nightly", max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("few")


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """xdist gives its workers the width of a terminal, which none of them has."""
    monkeypatch.delenv("COLUMNS", raising=False)
