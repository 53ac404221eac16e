from pathlib import Path

from tests.databases import database_under_test


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Ask the API of one database only; what asks it takes a second to import."""
    return True if collection_path.name == "test_schemathesis.py" and database_under_test() != "sqlite" else None
