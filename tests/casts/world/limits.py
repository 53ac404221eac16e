"""Limits and breakers as somebody sees them who counts the calls that begin and remembers what was told of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from casts.engine import Report, Unasked, Via
from casts.models import BreakerState, Gate
from generations.tools.contract import Progress, ToolError
from spells.models import Provider, Tool

from .ledger import Ledger, Sending
from .spells import FAILURES_TO_OPEN, FIRST_WAIT_SECONDS

Owner = tuple[type, int]


def owners_of(tool: Tool) -> list[Tool | Provider]:
    return [tool] if tool.provider is None else [tool, tool.provider]


def key_of(owner: Tool | Provider) -> Owner:
    return type(owner), owner.pk


def answerable(tool: Tool) -> Owner:
    return key_of(tool.provider or tool)


@dataclass
class Limits:
    """The gates as they were after the last transaction, and what must hold of the calls that begin in the next one."""

    ledger: Ledger
    gates: dict[Owner, Gate] = field(default_factory=dict)
    outages: Counter[Owner] = field(default_factory=Counter)
    quiet_until: dict[Owner, datetime] = field(default_factory=dict)

    def observe(self) -> None:
        """Read the gates, and judge whether the breakers are open that must be."""
        self.gates = {key_of(gate.owner): gate for gate in Gate.objects.select_related("tool", "provider")}
        for owner, outages in self.outages.items():
            limit = FAILURES_TO_OPEN if owner[0] is Provider else Provider().failures_to_open
            if outages >= limit:
                assert self.gates[owner].state != BreakerState.CLOSED, "outages in a row opened no breaker"

    def begun(self, fresh: Sequence[Sending], *, now: datetime) -> None:
        """Judge calls that begin together: as many as were allowed, and none at the door of a provider that is left alone."""
        at_work = self.ledger.at_work()
        minute = [each for each in self.ledger.sendings.values() if each.begun_at > now - timedelta(seconds=60)]
        for owner in {key_of(owner): owner for sending in fresh for owner in owners_of(sending.tool)}.values():
            behind = [sending for sending in at_work if owner in owners_of(sending.tool)]
            if owner.max_in_flight is not None:
                assert len(behind) <= owner.max_in_flight, f"more calls of {owner} are in flight than allowed"
            if owner.max_per_minute is not None:
                begun = sum(owner in owners_of(sending.tool) for sending in minute)
                assert begun <= owner.max_per_minute, f"more calls of {owner} began within a minute than allowed"
        for key in {answerable(sending.tool) for sending in fresh}:
            self._judge_breaker(key, [sending for sending in fresh if answerable(sending.tool) == key], now=now)

    def _judge_breaker(self, key: Owner, fresh: Sequence[Sending], *, now: datetime) -> None:
        gate = self.gates.get(key)
        assert now >= self.quiet_until.get(key, now), "a provider that asked for rest is called"
        if gate is None or gate.state == BreakerState.CLOSED:
            return
        assert len(fresh) == 1, "more than one call tries whether a provider is back"
        if gate.state == BreakerState.OPEN:
            assert gate.retry_at is not None, "a call passes a breaker that an operator opened"
            assert gate.since is not None
            assert now >= gate.since + timedelta(seconds=FIRST_WAIT_SECONDS), "a call passes an open breaker"
        probe = self.ledger.sendings.get(gate.probe_id) if gate.probe_id else None
        assert probe is None or probe.is_over, "two calls try whether a provider is back"

    def told(self, reports: Sequence[Report], *, late: Sequence[Report], taken: set[object], now: datetime) -> None:
        """Take what calls and polls met, as far as the engine must have learnt it. Where that is in doubt, the count begins anew."""
        for report in reports:
            if report.via is Via.CALLBACK or report.claim.cast_id not in taken:
                continue
            owner = answerable(self.ledger.sendings[report.generation_id].tool)
            error = report.news.error if isinstance(report.news, Unasked) else report.news
            is_late = any(report is each for each in late)
            if isinstance(error, ToolError) and error.outage and not is_late:
                self.outages[owner] += 1
            elif not (isinstance(report.news, Progress) and report.via is Via.RUN):
                self.outages[owner] = 0
            if isinstance(error, ToolError) and error.code == "rate_limited" and error.retry_after and not is_late:
                until = now + timedelta(seconds=error.retry_after)
                self.quiet_until[owner] = max(until, self.quiet_until.get(owner, until))

    def forget(self) -> None:
        """Begin anew: what the engine was to learn was lost, or an operator has set it right."""
        self.outages.clear()
        self.quiet_until.clear()
