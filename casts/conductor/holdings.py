"""What a conductor holds: claims, the calls at work for them, and when each cast needs another look."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from uuid import UUID

from casts.engine import CastState, Claim, Known, Report, Turn


@dataclass(slots=True)
class Work:
    """A call or a poll at work. It is `aborted` if we stopped it ourselves: whatever else cancels it is its adapter's."""

    cast_id: UUID
    task: "asyncio.Task[None]"
    aborted: bool = False

    def abort(self) -> None:
        self.aborted = True
        self.task.cancel()


@dataclass(slots=True)
class Holding:
    """A claimed cast. Times are of this machine's monotonic clock; `look_at` is when it needs a look.

    A `starved` one waits for room; if it `waits`, for nothing else. `known` is how the last look left it.
    """

    claim: Claim
    lease_ends: float
    look_at: float
    starved: bool = False
    waits: bool = False
    known: CastState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Casts that are looked at together, under these claims, and what came back for them.

    `known` is what is remembered of them, `in_flight` are the generations at work, `seated` is how many of
    the casts are held until there is room.
    """

    reports: list[Report]
    claimed: list[Claim]
    known: Known
    in_flight: set[UUID]
    seated: int

    @property
    def cast_ids(self) -> set[UUID]:
        return {claim.cast_id for claim in self.claimed} | {report.claim.cast_id for report in self.reports}


@dataclass(slots=True)
class Holdings:
    """All of it. A generation stays in flight from the start of its call until its report is settled.

    Casts that are `busy` are in a batch, and in no other until that is over. Those that rang meanwhile are looked at
    again after it, and those that were written to meanwhile are read again.
    """

    lease_seconds: float
    casts: dict[UUID, Holding] = field(default_factory=dict)
    work: dict[UUID, Work] = field(default_factory=dict)
    reports: list[Report] = field(default_factory=list)
    busy: set[UUID] = field(default_factory=set)
    _rang: set[UUID] = field(default_factory=set)
    _written: set[UUID] = field(default_factory=set)

    def begin(self, *, most: int, least: int = 1, alone: UUID | None = None) -> Batch | None:
        """Return what to look at next: at most so many reports, and so many casts that are due; None if there are fewer than `least` of both.

        These casts are busy until `end`. One that is to be looked at `alone` is looked at with what came back for it.
        """
        reports = list(islice((each for each in self.reports if self._may_begin(each.claim.cast_id, alone)), most))
        due = [claim for claim in self.to_look_at() if self._may_begin(claim.cast_id, alone)][:most]
        if max(len(reports), len(due)) < least:
            return None
        claimed = list({claim.cast_id: claim for claim in (*due, *self.claims_for(reports))}.values())
        batch = Batch(
            reports=reports,
            claimed=claimed,
            known=self.recall(claimed),
            in_flight=self.in_flight(beside=reports),
            seated=sum(self.casts[claim.cast_id].waits for claim in claimed),
        )
        self.busy |= batch.cast_ids
        return batch

    def _may_begin(self, cast_id: UUID, alone: UUID | None) -> bool:
        return cast_id not in self.busy and alone in (None, cast_id)

    def has_any(self) -> bool:
        """Tell whether there is something to begin."""
        return bool(self.to_look_at()) or any(report.claim.cast_id not in self.busy for report in self.reports)

    def end(self, batch: Batch, *, is_settled: bool) -> bool:
        """Let go of a batch. If it is not settled, its reports are still to be settled, and its casts to be looked at.

        Returns whether a cast of it rang that is not held any more: it is due, for anybody.
        """
        if is_settled:
            settled = {id(report) for report in batch.reports}
            self.reports[:] = [report for report in self.reports if id(report) not in settled]
        rang = self._rang & batch.cast_ids
        for marked in (self.busy, self._rang, self._written):
            marked.difference_update(batch.cast_ids)
        return not rang <= self.casts.keys()

    def take(self, claims: Iterable[Claim], *, asked_at: float, known: Mapping[UUID, CastState] = MappingProxyType({})) -> None:
        """Take claims whose statement was sent at `asked_at`: their leases end no later than reckoned from there. Look at them now."""
        for claim in claims:
            self.casts[claim.cast_id] = Holding(
                claim=claim, lease_ends=asked_at + self.lease_seconds, look_at=asked_at, known=known.get(claim.cast_id)
            )

    def drop(self, cast_id: UUID) -> None:
        """Let go of a cast. Calls of it that are at work run on: what they cost must be known."""
        self.casts.pop(cast_id, None)

    def lose(self, claim: Claim) -> None:
        """Let go of a cast whose claim another has taken, unless it was taken here."""
        holding = self.casts.get(claim.cast_id)
        if holding is not None and holding.claim.epoch == claim.epoch:
            self.drop(claim.cast_id)

    def renewed(self, *, bells: Mapping[UUID, int], lost: Iterable[Claim], asked_at: float) -> bool:
        """Note what became of the claims since `asked_at`: those of `bells` have another lease. Returns whether a cast rang."""
        for cast_id in bells:
            if cast_id in self.casts:
                self.casts[cast_id].lease_ends = asked_at + self.lease_seconds
        for claim in lost:
            self.lose(claim)
        return self.rang(bells)

    def in_flight(self, *, beside: Iterable[Report] = ()) -> set[UUID]:
        """Return the generations whose calls are at work or whose reports wait, without those of `beside`."""
        return (self.work.keys() | {report.generation_id for report in self.reports}) - {report.generation_id for report in beside}

    def claims(self) -> list[Claim]:
        return [holding.claim for holding in list(self.casts.values())]

    def claims_for(self, reports: Iterable[Report]) -> list[Claim]:
        """Return our claims on the casts that reports are about. A report may be older than the claim that stands."""
        cast_ids = {report.claim.cast_id for report in reports}
        return [self.casts[cast_id].claim for cast_id in cast_ids if cast_id in self.casts]

    def to_look_at(self) -> list[Claim]:
        """Return our claims on those casts that need a look now and are not busy."""
        now = time.monotonic()
        return [holding.claim for cast_id, holding in self.casts.items() if holding.look_at <= now and cast_id not in self.busy]

    def next_look(self) -> float:
        """Return the monotonic time of the earliest look at a cast that is not busy, or infinity."""
        return min((holding.look_at for cast_id, holding in self.casts.items() if cast_id not in self.busy), default=float("inf"))

    def look_in(self, cast_id: UUID, *, seconds: float = 0.0) -> bool:
        """Ask for another look at a cast. Returns False when it is not held here."""
        holding = self.casts.get(cast_id)
        if holding is None:
            return False
        holding.look_at = min(holding.look_at, time.monotonic() + seconds)
        if cast_id in self.busy:
            self._rang.add(cast_id)
        return True

    def recall(self, claims: Iterable[Claim]) -> Known:
        """Return what is known of these casts, and forget it: it holds until somebody looks at them."""
        known = {}
        for claim in claims:
            holding = self.casts.get(claim.cast_id)
            if holding is not None and holding.known is not None:
                known[claim.cast_id], holding.known = holding.known, None
        return Known(known)

    def forget(self, cast_ids: Iterable[UUID]) -> None:
        """Let these casts be read anew: something of them was written beside their claims."""
        for cast_id in cast_ids:
            if cast_id in self.casts:
                self.casts[cast_id].known = None
            if cast_id in self.busy:
                self._written.add(cast_id)

    def settle(self, turn: Turn, *, left: CastState | None) -> None:
        """Keep or drop a cast as its turn left it, unless it was claimed anew since."""
        cast_id = turn.state.cast.pk
        holding = self.casts.get(cast_id)
        if holding is None or holding.claim.epoch != turn.state.claim.epoch:
            return
        if not turn.is_held:
            self.drop(cast_id)
            return
        holding.claim, holding.starved, holding.waits = turn.state.claim, turn.starved, turn.waits
        holding.known = None if cast_id in self._written else left
        seconds = 0.0 if cast_id in self._rang else max(0.0, (turn.due_at() - turn.now).total_seconds())
        holding.look_at = time.monotonic() + seconds

    def waiting(self) -> int:
        """Return how many casts are held for nothing but room."""
        return sum(holding.waits for holding in self.casts.values())

    def look_at_starved(self, *, most: int) -> int:
        """Ask for another look at those casts that have waited longest for room. Returns how many there were to ask for."""
        starved = (cast_id for cast_id, holding in self.casts.items() if holding.starved and cast_id not in self.busy)
        return sum(self.look_in(cast_id) for cast_id in islice(starved, most))

    def rang(self, bells: Mapping[UUID, int]) -> bool:
        """Ask for another look at each cast that rang since its turn. Returns whether any did."""
        changed = [id_ for id_, bell in bells.items() if id_ in self.casts and self.casts[id_].claim.bell != bell]
        for cast_id in changed:
            self.look_in(cast_id)
        return bool(changed)

    def has_margin(self, claim: Claim) -> bool:
        """Tell whether a call may start under a claim: it still stands, and its lease has a third left, by our own clock."""
        holding = self.casts.get(claim.cast_id)
        if holding is None or holding.claim.epoch != claim.epoch:
            return False
        return holding.lease_ends - time.monotonic() > self.lease_seconds / 3
