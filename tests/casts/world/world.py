"""The world of the engine's model: what happened, whatever the engine's rows say, and what must hold of what happens next."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

from casts import engine
from casts.clock import database_now
from casts.conductor.holdings import Holdings
from casts.engine import Advanced, Claim, News, Report, Turn, Via
from casts.engine.start import DEADLINE
from casts.models import Cast
from generations.models import Generation, GenerationStatus
from spells.models import Tool

from .clock import StandingClock
from .ledger import Ledger, Place, ProviderCall, Sending
from .limits import Limits


@dataclass
class World:
    """What happened. It knows casts by their ids alone, in the order in which they were started."""

    clock: StandingClock
    ledger: Ledger = field(default_factory=Ledger)
    casts: list[UUID] = field(default_factory=list)
    tools: dict[int, Tool] = field(default_factory=dict)
    budgets: dict[UUID, Decimal] = field(default_factory=dict)
    deadlines: dict[UUID, datetime] = field(default_factory=dict)
    epochs: dict[UUID, int] = field(default_factory=dict)
    holders: dict[UUID, object] = field(default_factory=dict)  # whoever claimed a cast last, while they live
    outputs: dict[Place, Any] = field(default_factory=dict)
    skipped: set[Place] = field(default_factory=set)
    without_wakeup: set[UUID] = field(default_factory=set)
    paused: set[UUID] = field(default_factory=set)
    cancelled: set[UUID] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.limits = Limits(self.ledger)
        self.tools = {tool.pk: tool for tool in Tool.objects.select_related("provider")}

    def after_commit(self, *, is_followed: bool = True) -> None:
        """Do what was to be done after the commit, or, where the process died right after it, nothing."""
        if not is_followed:
            connection.run_on_commit.clear()
            self.limits.forget()
        while connection.run_on_commit:
            hooks, connection.run_on_commit = connection.run_on_commit, []
            for entry in hooks:
                entry[1]()
        self.limits.observe()

    def started(self, cast: Cast) -> None:
        self.casts.append(cast.pk)
        self.deadlines[cast.pk] = database_now() + DEADLINE
        if cast.max_cost_usd is not None:
            self.budgets[cast.pk] = cast.max_cost_usd

    def began_anew(self, cast_id: UUID) -> None:
        """Note that an ended cast goes on."""
        self.holders.pop(cast_id, None)
        self.paused.discard(cast_id)
        self.cancelled.discard(cast_id)
        self.deadlines[cast_id] = database_now() + DEADLINE

    def claimed(self, claims: Sequence[Claim], *, by: object) -> None:
        for claim in claims:
            self.holders[claim.cast_id] = by
            assert claim.epoch > self.epochs.get(claim.cast_id, 0), "an epoch was given out twice"
            self.epochs[claim.cast_id] = claim.epoch

    def called(self, sending: Sending, *, is_slow: bool) -> None:
        """Note that a call is made, and judge whether it may be. Between a slow commit and its calls, anything may happen."""
        assert not sending.is_made, "one generation is called twice"
        assert is_slow or sending.cast_id not in self.paused, "a call starts while its cast is paused"
        assert is_slow or sending.cast_id not in self.cancelled, "a call starts after its cast was cancelled"
        sending.is_made = True

    def receive(self, call: ProviderCall, *, news: News, by: Holdings | None = None) -> None:
        """Have a webhook come: to the address that the first sending under this key named.

        Whoever takes it in may have room to take its cast as well: its claim, and what is known of it, are put `by`.
        """
        key = call.sendings[0].key
        first = next(each for each in self.ledger.places[call.place] if each.key == key)
        claim = Claim(cast_id=first.cast_id, epoch=0, bell=0)
        self.ledger.tell(call.sendings[0].generation_id, Via.CALLBACK, news)
        asked_at = self.clock.monotonic()
        report = Report(generation_id=first.generation_id, claim=claim, via=Via.CALLBACK, news=news)
        received = engine.receive_all(reports=[report], room=0 if by is None else 1)
        self.claimed(received.claims, by=by)
        if by is not None:
            by.take(received.claims, asked_at=asked_at, known=received.left)
        self.ledger.settle(first.generation_id, Via.CALLBACK, news, is_late=False)
        self.after_commit()

    @contextmanager
    def told(self, reports: Sequence[Report], *, by: object) -> Iterator[Callable[[Advanced, Collection[UUID]], None]]:
        """Note what the engine is told by reports while it settles them, and judge what it does then."""
        now = database_now()
        costs = [(report, self.ledger.tell(report.generation_id, report.via, report.news)) for report in reports]

        def settled(advanced: Advanced, in_flight: Collection[UUID]) -> None:
            for turn in advanced.turns:
                assert self.holders.get(turn.state.cast.pk) is by, "a cast is advanced by somebody who does not hold it"
            for report in reports:
                is_late = any(report is each for each in advanced.late)
                self.ledger.settle(report.generation_id, report.via, report.news, is_late=is_late)
            late: dict[UUID, Decimal] = {}
            for report, cost in costs:
                if any(report is each for each in advanced.late):
                    late[report.claim.cast_id] = late.get(report.claim.cast_id, Decimal(0)) + cost
            self._looked(advanced.turns, in_flight, late=late)
            taken: set[object] = {turn.state.cast.pk for turn in advanced.turns}
            self.limits.told(reports, late=advanced.late, taken=taken, now=now)  # learnt after the commit only

        yield settled

    def _looked(self, turns: Sequence[Turn], in_flight: Collection[UUID], *, late: dict[UUID, Decimal]) -> None:
        """Note what became of calls by looks at their casts, and judge the calls that are to begin."""
        now = database_now()
        for turn in turns:
            self._judged(turn, in_flight, now=now)
        calls = {generation.pk: turn for turn in turns for generation in turn.calls if generation.pk not in self.ledger.sendings}
        rows = Generation.objects.select_related("step").in_bulk(list(calls))
        for generation in rows.values():  # or late news settled it already: the call is one with an earlier sending
            stands = generation.status == GenerationStatus.RUNNING or generation.cast_id in late
            assert stands, "a call begins whose intent does not stand"
        fresh = [self._intend(rows[pk], now=now) for pk in calls]
        for sending in fresh:
            self._judge_spending(sending, late.get(sending.cast_id, Decimal(0)))
        self.limits.begun(fresh, now=now)

    def _judged(self, turn: Turn, in_flight: Collection[UUID], *, now: datetime) -> None:
        """Note which calls are over since somebody looked who does not have them at work."""
        cast_id, calls = turn.state.cast.pk, {generation.pk for generation in turn.calls}
        ends = turn.end is not None or cast_id in self.cancelled or now >= self.deadlines[cast_id]
        for sending in self.ledger.of_cast(cast_id):
            if sending.generation_id in in_flight or sending.is_over:
                continue
            if sending.is_parked:
                sending.is_over = ends or now >= sending.deadline_at
            elif sending.generation_id not in calls:
                sending.is_over = True
                sending.came_to_nothing |= not sending.is_made and sending.epoch == turn.state.claim.epoch

    def _intend(self, generation: Generation, *, now: datetime) -> Sending:
        place = (generation.cast_id, generation.step.key, generation.item)
        assert place not in self.outputs, "a step that succeeded is called again"
        assert place not in self.skipped, "a step that was skipped is called"
        assert now < self.deadlines[generation.cast_id], "a call starts after the deadline of its cast"
        assert generation.cast_id not in self.paused, "a call is to start while its cast is paused"
        assert generation.cast_id not in self.cancelled, "a call is to start after its cast was cancelled"
        sending = self.ledger.intend(generation, place=place, tool=self.tools[generation.tool_id], now=now)
        sending.is_over = generation.status != GenerationStatus.RUNNING
        return sending

    def _judge_spending(self, sending: Sending, late: Decimal) -> None:
        """Judge a call by the budget of its cast; `late` is what the engine was told after it had decided."""
        budget = self.budgets.get(sending.cast_id)
        if budget is None or not sending.call.is_billed:
            return
        spent = self.ledger.costs.get(sending.cast_id, Decimal(0)) - late
        assert spent < budget, "a billed call starts though the budget is spent"
        if sending.tool.slug not in self.ledger.priced:
            others = [each for each in self.ledger.of_cast(sending.cast_id) if each.call.is_billed and not each.is_over]
            assert len(others) <= 1, "calls of unknown price are at work together"

    def see_ends(self) -> None:
        """Note which casts have ended: no call of theirs takes room."""
        at_work = self.ledger.at_work()
        ended = set(Cast.objects.ended().filter(pk__in={sending.cast_id for sending in at_work}).values_list("pk", flat=True))
        for sending in at_work:
            sending.is_over = sending.cast_id in ended
