"""What Ansible's own judges say of the collection: no root, no node; ansible-test downloads what it checks with, once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import sessions
from copies import COLLECTION, copy


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    sessions.mark(items, Path(__file__).parent, pytest.mark.collection)


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """A copy where Ansible wants a collection to lie."""
    place = tmp_path / "ansible_collections" / "provision" / "core"
    copy(COLLECTION, place)
    return place


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PROVISION_", "ANSIBLE_"))}
    return kept | {"NO_COLOR": "1", "ANSIBLE_HOME": str(tmp_path / "ansible-home")}
