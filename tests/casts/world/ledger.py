"""What providers did, by their own books: calls, what came of them, what they cost, and which of it the engine was told."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from casts.engine import Via
from generations.models import Generation
from generations.tools.contract import Lost, Result, Submitted, ToolError
from spells.models import Effects, Recovery, Tool

Place = tuple[UUID, str, int]  # a cast, the key of a step, the index of an item


@dataclass(eq=False, repr=False, kw_only=True)
class ProviderCall:
    """One call as its provider sees it: all sendings under one key where it knows keys, else each sending by itself.

    `final` is what came of it, once that is decided: it never changes, and all who ask are told alike.
    """

    id: UUID
    place: Place
    tool: Tool
    sendings: list["Sending"] = field(default_factory=list)
    final: Result | ToolError | Lost | None = None
    is_told: bool = False  # the engine knows what came of it
    told_cost: Decimal | None = None  # the engine knows what it cost
    is_written_off: bool = False  # a person said that it did not happen, right or wrong

    def __repr__(self) -> str:
        return repr(self.sendings[-1])

    @property
    def job_id(self) -> str:
        return f"job-{self.id}"

    @property
    def is_made(self) -> bool:
        return any(sending.is_made for sending in self.sendings)

    @property
    def is_billed(self) -> bool:
        return self.tool.effects == Effects.BILLED

    @property
    def knows_keys(self) -> bool:
        return self.is_billed and self.tool.recovery == Recovery.RESEND

    @property
    def is_settled(self) -> bool:
        """Tell whether nobody need fear any more that it is billed, as far as the engine was told."""
        return self.is_told or self.is_written_off or all(sending.came_to_nothing for sending in self.sendings)


@dataclass(eq=False, repr=False, kw_only=True)
class Sending:
    """One generation that was to be called. `is_made`: it was sent indeed. `came_to_nothing`: the engine knows that this sending did.

    It takes room from the commit of its intent on until it is `over`, as far as is known outside of the engine; `parked` is
    a job that its provider has taken.
    """

    call: ProviderCall
    generation_id: UUID
    key: UUID
    epoch: int
    begun_at: datetime
    deadline_at: datetime
    is_made: bool = False
    came_to_nothing: bool = False
    is_parked: bool = False
    is_over: bool = False

    def __repr__(self) -> str:
        _, step, item = self.call.place
        return f"{step}[{item}] ({self.tool.slug}, sending {self.call.sendings.index(self) + 1})"

    @property
    def tool(self) -> Tool:
        return self.call.tool

    @property
    def cast_id(self) -> UUID:
        return self.call.place[0]


@dataclass
class Ledger:
    """All of it. `costs` is what casts were told to have cost; `priced` are the tools of which a success has told its cost."""

    calls: dict[UUID, ProviderCall] = field(default_factory=dict)
    sendings: dict[UUID, Sending] = field(default_factory=dict)
    places: dict[Place, list[Sending]] = field(default_factory=dict)
    costs: dict[UUID, Decimal] = field(default_factory=dict)
    priced: set[str] = field(default_factory=set)

    def of_cast(self, cast_id: UUID) -> Iterator[Sending]:
        return (sending for sending in self.sendings.values() if sending.cast_id == cast_id)

    def at_work(self) -> list[Sending]:
        return [sending for sending in self.sendings.values() if not sending.is_over]

    def intend(self, generation: Generation, *, place: Place, tool: Tool, now: datetime) -> Sending:
        """Note that a generation is to be called, before it is."""
        knows_keys = tool.effects == Effects.BILLED and tool.recovery == Recovery.RESEND
        id_ = generation.idempotency_key if knows_keys else generation.pk
        call = self.calls.setdefault(id_, ProviderCall(id=id_, place=place, tool=tool))
        assert call.place == place, "one key for two different calls"
        assert generation.started_at
        assert generation.deadline_at
        assert generation.epoch
        sending = Sending(
            call=call,
            generation_id=generation.pk,
            key=generation.idempotency_key,
            epoch=generation.epoch,
            begun_at=now,
            deadline_at=generation.deadline_at,
        )
        if call.is_billed:
            for earlier in self.places.get(place, ()):
                assert earlier.call is call or earlier.call.is_settled, "a billed call is made again though nobody knows of the last one"
        call.sendings.append(sending)
        self.places.setdefault(place, []).append(sending)
        self.sendings[generation.pk] = sending
        return sending

    def tell(self, generation_id: UUID, via: Via, news: Any) -> Decimal:
        """Note what the engine is told of a generation. Returns what that call cost, if it is news."""
        sending = self.sendings[generation_id]
        call = sending.call
        fresh = Decimal(0)
        if isinstance(news, Result | ToolError) and news.cost is not None and call.told_cost is None:
            fresh = call.told_cost = news.cost.usd
            self.costs[sending.cast_id] = self.costs.get(sending.cast_id, Decimal(0)) + fresh
        if isinstance(news, Result):
            call.is_told = True
            if news.cost is not None:
                self.priced.add(call.tool.slug)
        elif isinstance(news, ToolError) and not news.ambiguous:
            # that one sending was refused says nothing of the others; what it cost, or a job, is the call's own
            call.is_told |= news is call.final
            sending.came_to_nothing |= via is Via.RUN and news is not call.final
        elif isinstance(news, Lost):
            call.is_told |= news is call.final
        return fresh

    def settle(self, generation_id: UUID, via: Via, news: Any, *, is_late: bool) -> None:
        """Note which room that news gave back. What the engine may see otherwise is taken for free: this never counts too much."""
        sending = self.sendings[generation_id]
        if isinstance(news, Submitted) and not is_late:
            sending.is_parked = True
        elif isinstance(news, Result) or (via is not Via.RUN and isinstance(news, ToolError | Lost)):
            for each in self.places[sending.call.place]:
                each.is_over = True
        elif via is Via.RUN:
            sending.is_over = True

    def booked(self, call: ProviderCall) -> Decimal:
        """Return what must be booked for a call, over all of its sendings."""
        return call.told_cost or Decimal(0)


__all__ = ["Ledger", "Place", "ProviderCall", "Sending"]
