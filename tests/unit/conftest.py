"""How many cases a property is tried with: few and always the same ones here, many and new ones in `make nightly`."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("few", max_examples=50, derandomize=True, deadline=None)
settings.register_profile(
    "nightly", max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("few")
