"""The table of faults beside the tests that are there."""

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LAST_ROW = 30


@pytest.mark.sqlite
def test_each_fault_of_the_table_has_its_tests_and_each_test_its_fault():
    rows = re.findall(r"^\| (\d+) \|.*\| ([^|]+) \|$", (HERE / "README.md").read_text(), re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, LAST_ROW + 1))
    named = [re.findall(r"`(test_\w+)`", tests) for _, tests in rows]
    assert all(named)
    sources = (path.read_text() for path in HERE.glob("test_*.py") if path.name not in ("test_table.py", "test_long_form.py"))
    there = [name for source in sources for name in re.findall(r"^def (test_\w+)", source, re.MULTILINE)]
    assert sorted(name for names in named for name in names) == sorted(there)
