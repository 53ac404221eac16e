"""Time in the model: it stands still unless it is moved, so that what was found once is found again."""

import datetime as dt
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Self

import pytest
from django.db import connection

from config.sqlite import base as sqlite
from tests.conftest import Clock

BEGINNING = datetime(2030, 1, 1, tzinfo=UTC)


class StandingClock(Clock):
    """The database's clock, and a monotonic one that goes with it: it may stand for the module `time`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        if connection.vendor == "sqlite":
            monkeypatch.setattr(sqlite, "datetime", _Standing)
        else:
            with connection.cursor() as cursor:
                cursor.execute(
                    "CREATE OR REPLACE FUNCTION grimoire_now() RETURNS timestamptz LANGUAGE sql VOLATILE"
                    " AS 'SELECT current_setting(''grimoire.now'')::timestamptz'"
                )
        self._show()

    def monotonic(self) -> float:
        return 1_000.0 + self.shift.total_seconds()

    def reset(self) -> None:
        self.shift = timedelta()
        self._show()

    def _show(self) -> None:
        if connection.vendor == "sqlite":
            sqlite.clock_shift = self.shift
            return
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('grimoire.now', %s, false)", [(BEGINNING + self.shift).isoformat()])


class _Standing(dt.datetime):
    @classmethod
    def now(cls, _: tzinfo | None = None) -> Self:
        return cls(2030, 1, 1, tzinfo=UTC)
