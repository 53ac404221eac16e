"""Fixtures of the tests of casts."""

from collections.abc import Iterator

import pytest

from spells import plan


@pytest.fixture(autouse=True)
def _no_plans_of_other_tests() -> Iterator[None]:
    """Forget compiled plans: a rolled back test may have used the same ids for other versions."""
    yield
    plan.forget_all()
