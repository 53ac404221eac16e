"""Conductors that claim, look, call and settle a transaction at a time, as the real one does, and may stop in between.

A batch that is settled slowly is chosen, committed and heard of at three moments; other batches and claims come between.

What they hold they hold in its own `Holdings`, on a clock that moves with the database's.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from casts import engine
from casts.conductor.due import claim_due
from casts.conductor.holdings import Batch, Holdings, Work
from casts.engine import LEASE_SECONDS, Advanced, Asked, Claim, Report, Turn, Via
from generations.models import Generation
from tests.casts.remembered import Checked
from tests.casts.scenes import Unlimited

from .ledger import Sending
from .world import World


@dataclass(eq=False, repr=False, kw_only=True)
class Job:
    """A call or a poll at work, under the claim that it was asked for with. To `Holdings` it is a task."""

    sending: Sending
    claim: Claim
    via: Via
    asked: Asked | None = None
    may_stop: bool = False

    def __repr__(self) -> str:
        return f"{self.via.value} {self.sending}"

    def cancel(self) -> None:
        self.may_stop = True


@dataclass(eq=False, repr=False)
class Conductor:
    """One conductor. `jobs` are the calls and polls that have not answered; answers wait in `held.reports` until they are settled.

    `slow` is a batch that is being settled, with what came of it once it is committed.
    """

    world: World
    held: Holdings = field(default_factory=lambda: Holdings(lease_seconds=LEASE_SECONDS))
    jobs: dict[UUID, Job] = field(default_factory=dict)
    slow: tuple[Batch, Advanced | None] | None = None

    def __repr__(self) -> str:
        return f"conductor of {len(self.held.casts)}"

    def now(self) -> float:
        return self.world.clock.monotonic()

    @property
    def has_to_settle(self) -> bool:
        return self.held.has_any()

    def claim(self, *, limit: int) -> list[Claim]:
        asked_at = self.now()
        claims = claim_due(limit=limit, lease_seconds=LEASE_SECONDS).claims
        self.world.after_commit()
        self.world.see_ends()  # it may have given one up
        self.world.claimed(claims, by=self.held)
        self.held.take(claims, asked_at=asked_at)
        return claims

    def settle(self, *, slots: Any = None, most: int = 50, is_heard: bool = True, is_followed: bool = True) -> bool:
        """Settle what came back and look at what needs it. Returns whether there was anything.

        Not `is_heard`: the commit's answer is lost. Not `is_followed`: what was to be done after the commit is.
        """
        batch = self.held.begin(most=most)
        if batch is None:
            return False
        advanced = self._commit(batch, slots=slots or Unlimited(), is_followed=is_followed)
        if is_heard:
            self._take_in(advanced)
        self.held.end(batch, is_settled=is_heard)
        return True

    def settle_slowly(self) -> None:
        """Do the next of what makes up the settling of a batch: choose it, commit it, hear of that."""
        if self.slow is None:
            batch = self.held.begin(most=2)
            self.slow = None if batch is None else (batch, None)
            return
        batch, advanced = self.slow
        if advanced is None:
            self.slow = batch, self._commit(batch, slots=Unlimited(), is_followed=True)
            return
        self.slow = None
        self._take_in(advanced, is_slow=True)
        self.held.end(batch, is_settled=True)

    def _commit(self, batch: Batch, *, slots: Any, is_followed: bool) -> Advanced:
        known = Checked(batch.known.states)
        with self.world.told(batch.reports, by=self.held) as settled:
            advanced = engine.settle(reports=batch.reports, claimed=batch.claimed, slots=slots, in_flight=batch.in_flight, known=known)
            settled(advanced, batch.in_flight)
        self.world.after_commit(is_followed=is_followed)
        return advanced

    def report(self, job: Job, news: Any) -> None:
        """Take the answer of a call or a poll, to be settled."""
        generation_id = job.sending.generation_id
        del self.jobs[generation_id], self.held.work[generation_id]
        self.held.reports.append(Report(generation_id=generation_id, claim=job.claim, via=job.via, news=news, asked=job.asked))

    def listen(self) -> None:
        self.held.rang(engine.bells(cast_ids=list(self.held.casts)))

    def renew(self) -> None:
        asked_at, claims = self.now(), self.held.claims()
        bells = engine.renew(claims=claims)
        lost = [claim for claim in claims if claim.cast_id not in bells]
        self.held.renewed(bells=bells, lost=lost, asked_at=asked_at)

    def leave(self) -> None:
        """Stop as one does that was told to: settle what came back, hand back the rest."""
        while self.slow is not None:
            self.settle_slowly()
        while self.held.reports:
            self.settle()
        engine.hand_back(claims=self.held.claims())
        self.die()

    def die(self) -> None:
        self.held, self.slow = Holdings(lease_seconds=LEASE_SECONDS), None
        self.jobs.clear()

    def _take_in(self, advanced: Advanced, *, is_slow: bool = False) -> None:
        for claim in advanced.fenced:
            self.held.lose(claim)
        for turn in advanced.turns:
            self.held.settle(turn, left=advanced.left.get(turn.state.cast.pk))
            for generation_id in turn.aborts():
                if work := self.held.work.get(generation_id):
                    work.abort()
        for turn in advanced.turns:
            self._start(turn, (generation.pk for generation in turn.calls), is_slow=is_slow)
            rows = Generation.objects.in_bulk([attempt.id for attempt in turn.polls()])
            self._start(turn, rows, {pk: Asked(job_id=row.job_id, poll_at=row.poll_at) for pk, row in rows.items()})

    def _start(self, turn: Turn, generation_ids: Iterable[UUID], asked: dict[UUID, Asked] | None = None, *, is_slow: bool = False) -> None:
        claim = turn.state.claim
        for generation_id in generation_ids:
            if not self.held.has_margin(claim):
                self.held.look_in(claim.cast_id, seconds=0.2)
                continue
            sending = self.world.ledger.sendings[generation_id]
            if asked is None:
                self.world.called(sending, is_slow=is_slow)
            via = Via.RUN if asked is None else Via.POLL
            job = Job(sending=sending, claim=claim, via=via, asked=None if asked is None else asked[generation_id])
            task: Any = job
            self.jobs[generation_id], self.held.work[generation_id] = job, Work(cast_id=claim.cast_id, task=task)
