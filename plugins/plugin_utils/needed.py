"""What is said to somebody who installed the collection and not the Python package that it is the thin side of."""

from __future__ import annotations

import sys
from importlib.util import find_spec


def lacking() -> str:
    """Empty where the package is there to be imported."""
    if _is_there():
        return ""
    return (
        "The collection provision.core needs its Python package provision beside ansible-core, and "
        f"{sys.executable}, which runs Ansible here, has none; install it there. No machine was touched."
    )


def _is_there() -> bool:
    """A part of it is asked for: on the index, another project has its name."""
    try:
        return find_spec("provision.engines.ansible") is not None
    except ImportError:
        return False
