"""The floor: psycopg alone, which writes the rows of Grimoire's tables, and knows beforehand what it will write.

No claim, no lock, no plan, no expression: what remains is the database. Modes: `steps`, one commit for each step on one
connection; `pair`, the same on two connections; `sets`, one commit for each step of 50 workflows.
"""

import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import django
import psycopg
from uuid_utils.compat import uuid7

from benchmarks.contenders.work import TEXT, Asked, Measured, contend, step

SET = 50

START = """
    WITH started AS (
        INSERT INTO casts_cast (
            id, version_id, initiator_id, status, inputs, reason, cost_usd, request_digest, priority, round, last_epoch, traceparent,
            deadline_at, created_at
        )
        SELECT id, %(version)s, %(user)s, 'queued', %(text)s, '', 0, '', 0, 0, 0, '', now() + interval '1 day', now() FROM unnest(%(ids)s) AS id
        RETURNING id, initiator_id
    ), told AS (
        INSERT INTO casts_castevent (cast_id, kind, actor_id, at) SELECT id, 'started', initiator_id, now() FROM started
    )
    INSERT INTO casts_wakeup (cast_id, due_at, epoch, bell, initiator_id, priority, lost) SELECT id, now(), 1, 0, initiator_id, 0, 0 FROM started
    """
BEGIN = "UPDATE casts_cast SET status = 'running', started_at = now() WHERE id = ANY(%(ids)s)"
INTENT = """
    INSERT INTO generations_generation (
        id, cast_id, version_id, step_id, tool_id, item, attempt, round, status, epoch, inputs, reason, job_id, job_handle,
        lost, excused, deadline_at, created_at, started_at
    )
    SELECT made.id, made.cast_id, %(version)s, %(step)s, %(tool)s, 0, 1, 0, 'running', 1, %(text)s, '', '', '{}',
        false, false, now() + interval '1 hour', now(), now()
    FROM unnest(%(generations)s::uuid[], %(ids)s::uuid[]) AS made(id, cast_id)
    """
RESULT = """
    UPDATE generations_generation
    SET status = 'succeeded', output = %(text)s, cost_usd = 0, cost_basis = '{}', cost_booked_at = now(), finished_at = now()
    WHERE id = ANY(%(generations)s)
    """
END = """
    WITH ended AS (
        UPDATE casts_cast SET status = 'succeeded', outputs = %(text)s, finished_at = now() WHERE id = ANY(%(ids)s) RETURNING id, initiator_id
    ), gone AS (
        DELETE FROM casts_wakeup WHERE cast_id = ANY(%(ids)s)
    ), told AS (
        INSERT INTO casts_castevent (cast_id, kind, at) SELECT id, 'succeeded', now() FROM ended
    )
    INSERT INTO casts_notification (recipient_id, cast_id, round, kind, channel, target, attempts, tries, said, created_at, delivered_at)
    SELECT initiator_id, id, 0, 'cast.succeeded', 'inbox', initiator_id::text, 0, 0, '', now(), now() FROM ended
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """The ids that rows name."""

    version: int
    tool: int
    user: int
    steps: Sequence[int]


class Writer:
    """One connection."""

    def __init__(self, url: str, spell: Spell) -> None:
        """Connect."""
        self._connection = psycopg.connect(url, prepare_threshold=0)
        self._spell = spell

    def start(self, casts: Sequence[UUID]) -> None:
        self._write(START, ids=casts, text=TEXT)
        self._connection.commit()

    def work(self, casts: Sequence[UUID]) -> None:
        """Take these casts through all their steps: a commit for each step, as each is on record before it begins."""
        text, generations = TEXT, list[UUID]()
        self._write(BEGIN, ids=casts)
        for step_id in self._spell.steps:
            if generations:
                text = step(text)
                self._write(RESULT, generations=generations, text=text)
            generations = [uuid7() for _ in casts]
            self._write(INTENT, ids=casts, generations=generations, step=step_id, text=text)
            self._connection.commit()
        text = step(text)
        self._write(RESULT, generations=generations, text=text)
        self._write(END, ids=casts, text=text)
        self._connection.commit()

    def _write(self, statement: str, *, text: str = "", **values: Any) -> None:
        known = {"version": self._spell.version, "tool": self._spell.tool, "user": self._spell.user}
        self._connection.execute(statement.encode(), {**known, "text": json.dumps({"text": text}), **values})


def measure(asked: Asked) -> Measured:
    """Do the work on a database that has Grimoire's tables."""
    os.environ |= {"DATABASE_URL": asked.url, "DJANGO_SETTINGS_MODULE": "config.settings", "GRIMOIRE_ENV_FILE": os.devnull}
    django.setup()
    from benchmarks.contenders import conducting  # noqa: PLC0415 - models can be imported from here on

    conducting.prepare()
    spell = Spell(**conducting.ids())
    writers = [Writer(asked.url, spell) for _ in range(2 if asked.mode == "pair" else 1)]
    size = SET if asked.mode == "sets" else 1
    for writer in writers:  # prepares its statements
        _all(writer, [uuid7() for _ in range(size)])
    casts = [uuid7() for _ in range(asked.workflows)]
    writers[0].start(casts)
    sets = [casts[first : first + size] for first in range(0, len(casts), size)]
    began_at = time.monotonic()
    with ThreadPoolExecutor(len(writers)) as threads:
        shares = [sets[place :: len(writers)] for place in range(len(writers))]
        list(threads.map(lambda writer, share: [writer.work(some) for some in share], writers, shares))
    many = time.monotonic() - began_at
    alone = []
    for _ in range(asked.alone if size == 1 else 0):
        began_at = time.monotonic()
        _all(writers[0], [uuid7()])
        alone.append(time.monotonic() - began_at)
    conducting.check()
    return Measured(many=many, alone=alone)


def _all(writer: Writer, casts: Sequence[UUID]) -> None:
    writer.start(casts)
    writer.work(casts)


if __name__ == "__main__":
    contend(measure)
