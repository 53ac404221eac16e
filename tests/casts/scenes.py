"""What the engine's tests play on: small spells, and a hand that conducts them without any tool."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model

from casts import engine
from casts.clock import database_now
from casts.engine import Advanced, CastState, Claim, Known, Report, Turn, Via
from casts.models import Cast
from generations.models import Generation
from generations.tools.contract import Cost, Result, ToolError
from spells.models import Effects, Recovery, Spell, SpellVersion, Step, Tool
from spells.publishing import publish

from .remembered import Checked

ANY_OBJECT = {"type": "object"}


def user(name: str = "ada") -> Any:
    return get_user_model().objects.get_or_create(username=name)[0]


def tool(slug: str = "pure.tool", **values: Any) -> Tool:
    defaults = {"name": slug, "adapter": slug, "input_schema": ANY_OBJECT, "output_schema": ANY_OBJECT, "backoff_seconds": 1.0}
    return Tool.objects.update_or_create(slug=slug, defaults={**defaults, **values})[0]


def billed(slug: str = "billed.tool", *, recovery: str = Recovery.NONE, **values: Any) -> Tool:
    return tool(slug, effects=Effects.BILLED, recovery=recovery, **values)


def version(
    *steps: dict[str, Any], inputs: dict[str, Any] | None = None, outputs: dict[str, str] | None = None, slug: str = "scene"
) -> SpellVersion:
    """Publish a spell of these steps. Each is the values of a `Step`; its key and tool have defaults."""
    spell, _ = Spell.objects.get_or_create(slug=slug, defaults={"name": slug, "owner": user()})
    schema = {"type": "object", "properties": inputs or {}, "additionalProperties": False}
    draft = SpellVersion.objects.create(spell=spell, number=spell.versions.count() + 1, input_schema=schema, outputs=outputs or {})
    for position, values in enumerate(steps):
        given = {"key": f"step{position}", "params": {}, **values}
        given.setdefault("tool", Tool.objects.filter(slug="pure.tool").first() or tool())
        Step.objects.create(version=draft, position=position, **given)
    return publish(version_id=draft.pk, now=database_now())


def cast(*steps: dict[str, Any], given: dict[str, Any] | None = None, **options: Any) -> Cast:
    """Publish a spell of these steps and start a cast of it."""
    pinned = version(*steps, inputs=options.pop("inputs", None), outputs=options.pop("outputs", None), slug=options.pop("slug", "scene"))
    return engine.start(version=pinned, initiator_id=user().pk, inputs=given or {}, now=database_now(), **options).cast


class Unlimited:
    """Slots without end."""

    def begin(self) -> None:
        pass

    def has_room(self, tool: Tool, *, apart: bool, seconds: float) -> bool:
        return True

    def take(self, tool: Tool, *, apart: bool) -> None:
        pass

    def may_poll(self) -> bool:
        return True

    def may_wait(self) -> bool:
        return False

    def leave_for(self) -> float:
        return 0.0


@dataclass
class Limited:
    """Slots for so many calls, and seats for so many casts that wait for one."""

    left: int
    seats: int = 0
    polls: int = 100

    def begin(self) -> None:
        pass

    def has_room(self, tool: Tool, *, apart: bool, seconds: float) -> bool:
        return self.left > 0

    def take(self, tool: Tool, *, apart: bool) -> None:
        self.left -= 1

    def may_poll(self) -> bool:
        self.polls -= 1
        return self.polls >= 0

    def may_wait(self) -> bool:
        self.seats -= 1
        return self.seats >= 0

    def leave_for(self) -> float:
        return 0.0


@dataclass
class Hand:
    """A conductor's hand on one cast: it holds the claim and answers the calls that the engine hands out."""

    cast: Cast
    lease_seconds: float = 30.0
    slots: Any = field(default_factory=Unlimited)
    claim: Claim | None = None
    calls: dict[UUID, Generation] = field(default_factory=dict)
    last: Turn | None = None
    left: dict[UUID, CastState] = field(default_factory=dict)

    def take(self) -> bool:
        """Claim the cast, if it is due."""
        mine = [each for each in engine.claim(limit=100, lease_seconds=self.lease_seconds) if each.cast_id == self.cast.pk]
        self.claim = mine[0] if mine else None
        return self.claim is not None

    def look(self) -> Turn | None:
        """Claim if need be, and advance."""
        if self.claim is None and not self.take():
            return None
        assert self.claim is not None
        return self._after(engine.advance(claimed=[self.claim], slots=self.slots, in_flight=set(self.calls), known=self.known()))

    def answer(self, key: str, *news: Any, item: int = 0, via: Via = Via.RUN, made: Sequence[Any] = ()) -> Turn | None:
        """Report on the call of a step, and advance. A dict is an output."""
        return self.answer_all({(key, item): news[0]}, via=via, made=made)

    def answer_all(self, news: dict[tuple[str, int], Any], *, via: Via = Via.RUN, made: Sequence[Any] = ()) -> Turn | None:
        reports = [self.report(key, item, each, via=via, made=made) for (key, item), each in news.items()]
        answered = {report.generation_id for report in reports}
        advanced = engine.settle(reports=reports, slots=self.slots, in_flight=set(self.calls) - answered, known=self.known())
        for generation_id in answered:
            self.calls.pop(generation_id, None)
        return self._after(advanced)

    def known(self) -> Known:
        """Return what is remembered of the cast, once: the next look finds out for itself."""
        known, self.left = Checked(self.left), {}
        return known

    def report(self, key: str, item: int, news: Any, *, via: Via = Via.RUN, made: Sequence[Any] = ()) -> Report:
        assert self.claim is not None
        generation = self.generation(key, item)
        told = Result(output=news) if isinstance(news, dict) else news
        return Report(generation_id=generation.pk, claim=self.claim, via=via, news=told, made=tuple(made))

    def generation(self, key: str, item: int = 0) -> Generation:
        return self.cast.generations.filter(step__key=key, item=item).latest("attempt")

    def status(self) -> str:
        self.cast.refresh_from_db()
        return self.cast.status

    def _after(self, advanced: Advanced) -> Turn | None:
        self.left = dict(advanced.left)
        if not advanced.turns:
            self.last = None
            return None
        (turn,) = advanced.turns
        self.calls.update({generation.pk: generation for generation in turn.calls})
        self.claim = turn.state.claim if turn.is_held else None
        self.last = turn
        return turn

    def called(self) -> list[tuple[str, int]]:
        """Return the calls that are out, as step key and item."""
        ids = list(self.calls)
        return sorted(Generation.objects.filter(pk__in=ids).values_list("step__key", "item"))


def statuses(cast: Cast) -> dict[str, list[str]]:
    """Return the statuses of all attempts by step key, in the order of items and attempts."""
    told: dict[str, list[str]] = {}
    for key, status in cast.generations.order_by("step__position", "item", "attempt").values_list("step__key", "status"):
        told.setdefault(key, []).append(status)
    return told


def cost(usd: str) -> Cost:
    return Cost(usd=Decimal(usd))


def refusal(message: str = "no", **values: Any) -> ToolError:
    return ToolError(message, **values)
