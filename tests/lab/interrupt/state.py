"""What a node that was interrupted is compared by with one that was not."""

from __future__ import annotations

from pathlib import Path

from provision.lab import Node

PROGRAM = (Path(__file__).parent / "state.sh").read_text(encoding="utf-8")


def read_state(node: Node) -> list[str]:
    """One line per fact, sorted; nothing in it differs between two nodes that were brought up in the same way."""
    done = node.sudo("sh -s", stdin=PROGRAM)
    assert done.returncode == 0, done.stderr
    return sorted(done.stdout.splitlines())


def differences(state: list[str], reference: list[str]) -> list[str]:
    """`-` what the reference has and this node lacks, `+` what it has beyond."""
    return [f"- {line}" for line in reference if line not in set(state)] + [
        f"+ {line}" for line in state if line not in set(reference)
    ]
