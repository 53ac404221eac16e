"""What initiators and operators do to casts, at any time and in any order."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Protocol, TypeVar
from uuid import UUID

import pytest
from hypothesis.stateful import RuleBasedStateMachine

from casts import engine
from casts.clock import database_now
from casts.models import LIVE, Cast, Wakeup
from generations.models import Generation, GenerationStatus
from generations.tools.contract import Result, ToolError
from spells.models import Provider, SpellVersion
from tests.casts.scenes import user

from .answers import Providers
from .world import World

T = TypeVar("T")


class Pick(Protocol):
    """Picks one of several options, as the example wills."""

    def __call__(self, options: Sequence[T], /) -> T: ...


MOST_CASTS = 4
ALLOWED: dict[str, tuple[str, ...]] = {
    "cancel": tuple(LIVE),
    "pause": ("queued", "running"),
    "resume": ("paused",),
    "retry": ("failed", "cancelled"),
}
VERBS: dict[str, Callable[..., Cast]] = {"cancel": engine.cancel, "pause": engine.pause, "resume": engine.resume, "retry": engine.retry}


class People(RuleBasedStateMachine):
    """What people do."""

    world: World
    providers: Providers
    spells: list[SpellVersion]
    casts: dict[UUID, Cast]  # as they stood after the last step

    def start(self, pick: Pick) -> None:
        version = self.spells[pick(range(len(self.spells)))]
        initiator_id, budget = user(pick(["ada", "ada", "bob"])).pk, pick([None, None, Decimal("0.02"), Decimal("0.1")])
        started = engine.start(version=version, initiator_id=initiator_id, inputs={}, now=database_now(), max_cost_usd=budget)
        self.world.after_commit()
        self.world.started(started.cast)

    def ask(self, pick: Pick) -> None:
        """Cancel, pause, resume or retry a cast, most often one that allows it."""
        verb = pick(list(VERBS))
        fitting = [pk for pk in self.world.casts if self.casts[pk].status in ALLOWED[verb]]
        fits = pick([True, True, True, False])
        cast_id = pick(fitting if fitting and fits else self.world.casts)
        act = VERBS[verb]
        if Cast.objects.values_list("status", flat=True).get(pk=cast_id) not in ALLOWED[verb]:
            with pytest.raises(engine.TransitionRefusedError):
                act(cast_id=cast_id, actor_id=None, now=database_now())
            return
        act(cast_id=cast_id, actor_id=None, now=database_now())
        self.world.after_commit()
        match verb:
            case "cancel":
                self.world.cancelled.add(cast_id)
            case "pause":
                self.world.paused.add(cast_id)
            case "resume":
                self.world.paused.discard(cast_id)
            case "retry":
                self.world.began_anew(cast_id)

    def skip(self, pick: Pick) -> None:
        over = [pk for pk in self.world.casts if self.casts[pk].status in ALLOWED["retry"]]
        cast_id = pick(over or self.world.casts)
        step_key, item = pick([(None, None), (None, None), ("one", 0), ("one", 1), ("other", 0), ("two", 0)])
        output, resume = pick([None, {"by": "hand"}, {"by": "hand"}, [{"by": "hand"}]]), pick([True, True, False])
        cast = Cast.objects.get(pk=cast_id)
        before = list(Generation.objects.filter(cast=cast).order_by("pk").values_list("pk", "status"))
        act: dict[str, Any] = {
            "cast_id": cast_id,
            "reason": "",
            "now": database_now(),
            "step_key": step_key,
            "item": item,
            "output": output,
            "resume": resume,
        }
        if cast.status not in ("failed", "cancelled"):
            with pytest.raises(engine.TransitionRefusedError):
                engine.skip(**act)
            return
        try:
            engine.skip(**act)
        except (engine.NotSkippableError, engine.InvalidOutputError):
            assert list(Generation.objects.filter(cast=cast).order_by("pk").values_list("pk", "status")) == before
            return
        self.world.after_commit()
        made = Generation.objects.select_related("step").exclude(pk__in=[pk for pk, _ in before]).get(cast=cast)
        skipped = (cast_id, made.step.key, made.item)
        assert step_key in (None, made.step.key)
        assert skipped not in self.world.outputs, "a step that succeeded is skipped"
        for sending in self.world.ledger.places.get(skipped, ()):
            is_known = not sending.call.is_billed or sending.call.knows_keys or sending.call.is_settled
            assert is_known, "a step is skipped though nobody knows of its call"
        self.world.skipped.add(skipped)
        if resume:
            self.world.began_anew(cast_id)

    def resolve(self, pick: Pick) -> None:
        unknown = list(Generation.objects.filter(status=GenerationStatus.UNKNOWN).order_by("pk"))
        self.say(unknown[pick(range(len(unknown)))], pick(["happened", "again", "written off"]))

    def say(self, generation: Generation, how: str) -> None:
        """Tell what became of a call. Who says that it happened has seen it in the provider's books; else they may be wrong."""
        ledger = self.world.ledger
        call = ledger.sendings[generation.pk].call
        final = self.providers.final(call, "result") if how == "happened" else None
        found: dict[str, Any] = {"again": how == "again"}
        if isinstance(final, Result):
            found = {"output": final.output}
            ledger.priced.add(call.tool.slug)
        if isinstance(final, Result | ToolError) and final.cost is not None:
            found["cost_usd"] = final.cost.usd
            if call.told_cost is None:
                call.told_cost = final.cost.usd
                ledger.costs[generation.cast_id] = ledger.costs.get(generation.cast_id, Decimal(0)) + final.cost.usd
        call.is_told |= final is not None
        call.is_written_off |= final is None
        engine.resolve(generation_id=generation.pk, now=database_now(), **found)
        self.world.after_commit()

    def set_breaker(self, pick: Pick) -> None:
        what = pick(["open", "close", "close"])
        act = {"open": engine.open_breaker, "close": engine.close_breaker}[what]
        act(owner=Provider.objects.get(slug="faraway"), reason="An operator says so.", by="olga")
        self.world.limits.forget()
        self.world.after_commit()

    # What goes wrong beside the engine, and what heals it

    def reap(self, _: Pick | None = None) -> None:
        given = engine.reap(now=database_now()).given_a_wakeup
        self.world.after_commit()
        assert set(given) == self.world.without_wakeup & set(Cast.objects.live().values_list("pk", flat=True))
        for cast_id in self.world.without_wakeup:
            self.world.holders.pop(cast_id, None)
        self.world.without_wakeup.clear()

    def delete_a_wakeup(self, pick: Pick) -> None:
        cast_id = pick(self.world.casts)
        if Wakeup.objects.filter(pk=cast_id).delete()[0]:
            self.world.without_wakeup.add(cast_id)
