"""Every plan of the support table is the one that a person has looked at."""

from __future__ import annotations

import pytest
from golden_plans import HERE, cases, told

CASES = cases()


@pytest.mark.parametrize("name", CASES)
def test_the_plan_is_the_one_that_was_reviewed(name: str) -> None:
    kept = (HERE / f"{name}.txt").read_text()
    assert told(CASES[name]) == kept, f"look at the difference; `make golden` keeps the new plan of {name}"


def test_no_plan_is_kept_that_nobody_declares() -> None:
    assert {file.stem for file in HERE.glob("*.txt")} == set(CASES)
