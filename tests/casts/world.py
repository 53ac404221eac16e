"""The world of the engine's model: conductors that hold claims and make calls, and what providers really did.

It keeps its own account of what happened, in words of its own, so that the engine's rows can be held against it.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from casts import engine
from casts.engine import Advanced, Claim, Report, Via
from generations.models import Generation
from generations.tools.contract import Result, ToolError
from spells.models import Effects, Recovery

from .scenes import Unlimited

Place = tuple[UUID, str, int]


@dataclass
class Call:
    """A call that was really made. `final` is what came of it at its provider, once that is decided: it never changes."""

    generation_id: UUID
    place: Place
    key: UUID
    is_billed: bool
    resends: bool
    final: Result | ToolError | None = None
    told: bool = False  # the engine knows what came of it
    written_off: bool = False  # somebody said that it did not happen


@dataclass
class Job:
    """A call or a poll at work in a conductor, under the claim that it was asked for with."""

    generation_id: UUID
    claim: Claim
    via: Via
    may_stop: bool = False


@dataclass
class World:
    """What happened, whatever the engine's rows say."""

    calls: dict[UUID, Call] = field(default_factory=dict)
    by_place: dict[Place, list[Call]] = field(default_factory=lambda: defaultdict(list))
    costs: dict[UUID, Decimal] = field(default_factory=dict)  # the first that the engine was told, by generation
    epochs: dict[UUID, int] = field(default_factory=dict)
    outputs: dict[Place, Any] = field(default_factory=dict)
    without_wakeup: set[UUID] = field(default_factory=set)
    paused: set[UUID] = field(default_factory=set)
    cancelled: set[UUID] = field(default_factory=set)

    def claimed(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            assert claim.epoch > self.epochs.get(claim.cast_id, 0), "an epoch was given out twice"
            self.epochs[claim.cast_id] = claim.epoch

    def called(self, generation: Generation) -> None:
        """Note that a call is made, and judge whether it may be."""
        place = (generation.cast_id, generation.step.key, generation.item)
        tool = generation.step.tool
        assert place not in self.outputs, "a step that succeeded is called again"
        assert generation.cast_id not in self.paused, "a call starts while its cast is paused"
        assert generation.cast_id not in self.cancelled, "a call starts after its cast was cancelled"
        assert generation.pk not in self.calls, "one generation is called twice"
        call = Call(
            generation_id=generation.pk,
            place=place,
            key=generation.idempotency_key,
            is_billed=tool.effects == Effects.BILLED,
            resends=tool.recovery == Recovery.RESEND,
        )
        if call.is_billed:
            self._judge_second_call(call)
        self.by_place[place].append(call)
        self.calls[generation.pk] = call

    def _judge_second_call(self, call: Call) -> None:
        """Refuse a call that may be paid for beside another one. The same key, where it counts, is the same call."""
        settled = {each.key for each in self.by_place[call.place] if each.told or each.written_off}
        for earlier in self.by_place[call.place]:
            same = call.resends and earlier.key == call.key
            assert same or earlier.key in settled, "a billed call is made again though nobody knows of the last one"

    def tell(self, generation_id: UUID, news: Any) -> None:
        """Note what the engine is about to be told of a generation."""
        call = self.calls.get(generation_id)
        if isinstance(news, Result | ToolError) and news.cost is not None:
            self.costs.setdefault(generation_id, news.cost.usd)
        if call is not None and (isinstance(news, Result) or (isinstance(news, ToolError) and not news.ambiguous)):
            call.told = True


@dataclass
class Conductor:
    """One that claims, looks, calls and settles as the real one does, a transaction at a time, and may stop in between."""

    world: World
    claims: dict[UUID, Claim] = field(default_factory=dict)
    jobs: dict[UUID, Job] = field(default_factory=dict)

    def claim(self, *, limit: int) -> list[Claim]:
        claims = engine.claim(limit=1, suspects=True)
        self.world.claimed(claims)
        if claims and claims[0].lost >= engine.MAX_LOST_CLAIMS:
            engine.give_up(claim=claims[0], message="It took its workers along.")
            return []
        if not claims:
            claims = engine.claim(limit=limit)
            self.world.claimed(claims)
        self.claims |= {claim.cast_id: claim for claim in claims}
        return claims

    def look(self, *, unheard: bool = False) -> None:
        """Look at all casts that are held. `unheard`: the commit's answer is lost, and with it the calls to make."""
        claimed = list(self.claims.values())
        advanced = engine.advance(claimed=claimed, slots=Unlimited(), in_flight=set(self.jobs))
        if not unheard:
            self._take_in(advanced)

    def report(self, job: Job, news: Any) -> None:
        """Settle one answer."""
        self.world.tell(job.generation_id, news)
        del self.jobs[job.generation_id]
        report = Report(generation_id=job.generation_id, claim=job.claim, via=job.via, news=news)
        held = [self.claims[job.claim.cast_id]] if job.claim.cast_id in self.claims else []
        self._take_in(engine.settle(reports=[report], claimed=held, slots=Unlimited(), in_flight=set(self.jobs)))

    def renew(self) -> None:
        held = engine.renew(claims=list(self.claims.values()))
        self.claims = {cast_id: claim for cast_id, claim in self.claims.items() if cast_id in held}

    def hand_back(self) -> None:
        engine.hand_back(claims=list(self.claims.values()))
        self.claims.clear()

    def die(self) -> None:
        self.claims.clear()
        self.jobs.clear()

    def _take_in(self, advanced: Advanced) -> None:
        for cast_id in advanced.fenced:
            self.claims.pop(cast_id, None)
        for turn in advanced.turns:
            claim = turn.state.claim
            for generation in turn.calls:
                self.world.called(Generation.objects.select_related("step__tool").get(pk=generation.pk))
                self.jobs[generation.pk] = Job(generation_id=generation.pk, claim=claim, via=Via.RUN)
            for attempt in turn.polls():
                self.jobs[attempt.id] = Job(generation_id=attempt.id, claim=claim, via=Via.POLL)
            for generation_id in turn.aborts():
                self.jobs[generation_id].may_stop = self.jobs[generation_id].via is Via.RUN
            if turn.is_held:
                self.claims[claim.cast_id] = claim
            else:
                self.claims.pop(claim.cast_id, None)
