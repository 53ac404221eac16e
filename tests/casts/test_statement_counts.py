"""What a set of casts costs the database, in statements and commits: as much as one cast. These numbers do not vary."""

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from django.db import connection

from casts import callbacks, engine, errands
from casts.clock import database_now
from casts.conductor.callbacks import Callbacks, Taken, Taker
from casts.conductor.threads import Threads
from casts.engine import Advanced, Known, Report, Via
from casts.models import Cast
from generations.models import Generation
from generations.tools.contract import Result, Submitted
from spells.plan import plan_of
from tests.databases import database_under_test

from .providers import Provider, register, sign
from .scenes import Hand, Unlimited, billed, cast, user, version

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = 5
# Lock wakeups; tools and the clock.
READS = 2
# What is changed and what is new: on PostgreSQL one statement.
WRITTEN = 1 if database_under_test() == "postgresql" else 2
FIRST = READS + 1 + WRITTEN  # lock and read casts; the casts run, intents
NEXT = READS + WRITTEN  # results, intents
LAST = READS + 5  # results; casts, wakeups, events, inboxes
# A wakeup is locked, and taken or rung for: on PostgreSQL in one statement.
RINGS = WRITTEN
WRITES = re.compile(r"\b(INSERT|UPDATE (?!OF)|DELETE)\b")
# Casts that are not remembered are locked and read, and what they have begun is.
UNKNOWN = 2


@dataclass
class Told:
    """The statements and commits of a block. A statement that writes outside of a transaction is committed by itself."""

    statements: list[str] = field(default_factory=list)
    commits: int = 0

    @property
    def counts(self) -> tuple[int, int]:
        return len(self.statements), self.commits


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch):
    @contextmanager
    def count() -> Iterator[Told]:
        told = Told()
        commit = connection.commit

        def note_commit() -> None:
            told.commits += 1
            commit()

        def note_statement(execute, sql, params, many, context):
            told.statements.append(sql)
            told.commits += WRITES.search(sql) is not None and not connection.in_atomic_block
            return execute(sql, params, many, context)

        with monkeypatch.context() as patch, connection.execute_wrapper(note_statement):
            patch.setattr(connection, "commit", note_commit)
            yield told

    return count


def start(casts: int) -> None:
    texts = ["{{ inputs.text }}", *(f"{{{{ steps.step{number}.text }}}}" for number in range(STEPS - 1))]
    steps = [{"key": f"step{number}", "params": {"text": text}} for number, text in enumerate(texts)]
    pinned = version(*steps, inputs={"text": {"type": "string", "default": "a"}}, outputs={"text": f"{{{{ steps.step{STEPS - 1}.text }}}}"})
    plan_of(pinned.pk)  # is kept from here on
    for _ in range(casts):
        engine.start(version=pinned, initiator_id=user().pk, inputs={"text": "a"}, now=database_now())


def reports_of(advanced: Advanced) -> list[Report]:
    return [
        Report(generation_id=call.pk, claim=turn.state.claim, via=Via.RUN, news=Result(output={"text": "b"}))
        for turn in advanced.turns
        for call in turn.calls
    ]


@pytest.mark.parametrize("remembers", [True, False], ids=["remembered", "read"])
@pytest.mark.parametrize("casts", [1, 50])
def test_a_step_of_a_set_takes_one_commit_and_as_many_statements_as_that_of_one_cast(counted, casts: int, remembers: bool):
    start(casts)
    claimed = engine.claim(limit=casts)
    assert len(claimed) == casts
    taken = []
    with counted() as told:
        advanced = engine.advance(claimed=claimed, slots=Unlimited())
    taken.append(told.counts)
    for _ in range(STEPS):
        reports = reports_of(advanced)
        assert len(reports) == casts
        known = Known(advanced.left) if remembers else None
        with counted() as told:
            advanced = engine.settle(reports=reports, slots=Unlimited(), known=known)
        taken.append(told.counts)
    assert {cast.status for cast in Cast.objects.all()} == {"succeeded"}
    more = 0 if remembers else UNKNOWN
    assert taken == [(FIRST, 1), *[(NEXT + more, 1)] * (STEPS - 1), (LAST + more, 1)]


def test_a_claim_takes_one_commit_and_one_statement_whatever_it_takes(counted):
    start(50)
    with counted() as told:
        claimed = engine.claim(limit=50)
    assert len(claimed) == 50
    assert told.counts == (1, 1)


def test_a_look_at_what_is_due_is_one_statement_and_no_transaction(counted):
    start(1)
    with counted() as told:
        assert engine.look().casts
    assert told.counts == (1, 0)


def job_that_waits() -> Generation:
    """Cast a step that its provider has taken as a job, and one that reads what comes of it."""
    hand = Hand(cast({"key": "one", "tool": billed(Provider.key)}, {"key": "two", "params": {"n": "{{ steps.one.n }}"}}))
    hand.look()
    hand.answer("one", Submitted(job_id="job", poll_after=600.0))
    return hand.generation("one")


def test_a_callback_takes_four_commits_to_the_next_call_and_few_statements(counted, monkeypatch):
    """It is stored, taken, applied, and its cast is looked at: that is known by then, and held."""
    register(monkeypatch)
    waiting = job_that_waits()
    monkeypatch.setattr(callbacks, "knock", lambda **_: None)  # a NOTIFY on PostgreSQL, and another matter on SQLite
    body = json.dumps({"status": "done", "output": {"n": 1}}).encode()
    with counted() as storing:
        headers = {"x-signature": sign(body)}
        assert callbacks.take_in(adapter_key=Provider.key, generation_id=waiting.pk, headers=headers, body=body)
    taken: list[Taken] = []
    doing = Callbacks(threads=Threads(each=1), taker=Taker(room=lambda: 1, take=taken.append, lease_seconds=30.0))
    with counted() as taking:
        (job,) = doing.load(errands.claim(doing.model, limit=50))
    read = asyncio.run(doing.do(job))
    with counted() as applying:
        doing.note([read])
    (each,) = taken
    with counted() as looking:
        advanced = engine.advance(claimed=each.claims, slots=Unlimited(), known=Known(each.left))
    assert [call.step.key for turn in advanced.turns for call in turn.calls] == ["two"]
    assert storing.counts == (2, 1)  # whose it is; the callback
    assert taking.counts == (2, 1)  # the claim of the errand; all that is to be known of it
    assert applying.counts == (RINGS + 5, 1)  # wakeups; casts, tools, attempts; the result, the callback
    assert looking.counts == (READS + 2, 1)  # outputs that are read, intents
