"""For a deploy.py: `converge()` brings a host to its declared state."""

from provision.engines.pyinfra.deploy import converge

__all__ = ["converge"]
