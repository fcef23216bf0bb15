"""For a deploy.py: `converge()` brings a host to its declared state, `role(NAME)` to what one role wants of it."""

from provision.engines.pyinfra.deploy import converge, role

__all__ = ["converge", "role"]
