"""What calls pass before they start: the limits of tools and providers, over all processes.

A gate is a row that whoever starts a call of a limited tool locks, after the wakeups and the casts, in the order of
ids. What is in flight is counted from the live generations themselves, so that the room of a worker that died comes
back when its calls are judged. A tool without limits, of a provider that is well, costs nothing here.
"""

import random
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from casts.clock import database_now
from casts.models import Gate, GateEvent, GateEventKind, Waiter
from generations.models import Generation
from spells.models import Provider, Tool

from .owners import Owner, gate_of, is_gated, owners_of
from .queues import RING_SECONDS, ring
from .rooms import Room, measure
from .turns import Refusal, Turn

# How soon a cast that waits for room looks by itself, should nobody tell it: after the time at which time alone would
# bring room, or so long after nobody knows when; and no later than the longest wait.
GRACE_SECONDS = 5.0
PATIENCE_SECONDS = 30.0
LONGEST_WAIT_SECONDS = 600.0
# Those that wait look by themselves at no more than this rate, spread over as much time as that takes.
LOOKS_PER_SECOND = 20.0


@dataclass(slots=True, kw_only=True)
class Passage:
    """The gates that one transaction has locked, and the casts of its set that wait at gates already.

    `moment` was read after the lock, so that whoever waited for it counts minutes from when they had it.
    """

    moment: datetime | None = None
    rooms: dict[tuple[type, int], Room] = field(default_factory=dict)
    waiters: dict[UUID, Waiter] = field(default_factory=dict)

    def admits(self, *, turn: Turn, tool: Tool) -> bool:
        """Tell whether a call of a tool may start now. If not, the turn knows what it waits for."""
        cast = turn.state.cast
        for owner in owners_of(tool):
            room = self._room(owner)
            if room is None:
                if is_gated(owner):
                    turn.again = True  # it became ready by what was decided after the lock: the next look locks its gates
                    return False
            elif not room.may_pass(initiator_id=cast.initiator_id, is_rung=self._is_rung(cast.pk, room)):
                turn.refusal = turn.refusal or _refusal(room)
                room.waiting.add(cast.initiator_id)
                return False
        return True

    def take(self, *, turn: Turn, tool: Tool, generation: Generation) -> None:
        """Count a call that was admitted."""
        cast = turn.state.cast
        for room in filter(None, map(self._room, owners_of(tool))):
            is_rung = self._is_rung(cast.pk, room)
            room.take(initiator_id=cast.initiator_id, generation=generation, is_rung=is_rung)
            if is_rung:
                self.waiters[cast.pk].rung_at = None

    def _room(self, owner: Owner) -> Room | None:
        return self.rooms.get((type(owner), owner.pk))

    def _is_rung(self, cast_id: UUID, room: Room) -> bool:
        waiter = self.waiters.get(cast_id)
        return waiter is not None and waiter.gate_id == room.gate.pk and waiter.rung_at is not None


def _refusal(room: Room) -> Refusal:
    opens_at = room.opens_at()
    soonest = opens_at + timedelta(seconds=GRACE_SECONDS) if opens_at else room.moment + timedelta(seconds=PATIENCE_SECONDS)
    spread = random.uniform(0.0, max(1.0, room.crowd / LOOKS_PER_SECOND))  # noqa: S311 - spreads load, guards nothing
    look_at = min(soonest, room.moment + timedelta(seconds=LONGEST_WAIT_SECONDS)) + timedelta(seconds=spread)
    ring_at = opens_at or room.moment + timedelta(seconds=RING_SECONDS)
    if room.gate.ring_at is None or room.gate.ring_at > ring_at:
        room.gate.ring_at, room.is_changed = ring_at, True
    return Refusal(gate_id=room.gate.pk, look_at=look_at)


def lock(*, turns: Sequence[Turn], wanted: Iterable[Tool]) -> Passage:
    """Lock the gates that calls of the `wanted` tools would pass, and see how much room there is.

    What the turns have ended is free already: their results are written in this same transaction.
    """
    if not any(map(is_gated, _owners(turns))):
        return Passage()
    waiters = Waiter.objects.in_bulk([turn.state.cast.pk for turn in turns])
    owners = {(type(owner), owner.pk): owner for tool in wanted for owner in owners_of(tool) if is_gated(owner)}
    if not owners:
        return Passage(waiters=waiters)
    gates = lock_rows(owners.values())
    moment = database_now()
    rooms = {(type(room.owner), room.owner.pk): room for room in measure(gates=gates, moment=moment)}
    for turn in turns:
        for tool in _freed(turn):
            for room in (rooms.get((type(owner), owner.pk)) for owner in owners_of(tool)):
                if room is not None and room.owner.max_in_flight is not None:
                    room.held[turn.state.cast.initiator_id] -= 1
    return Passage(moment=moment, rooms=rooms, waiters=waiters)


def lock_rows(owners: Iterable[Owner]) -> list[Gate]:
    """Lock the gates of these owners in the order of their ids, each made when it is missing. One row for each, none twice.

    `FOR NO KEY UPDATE`: a waiter that names a gate must not wait for it.
    """
    owners = sorted(set(owners), key=lambda owner: (type(owner).__name__, owner.pk))
    missing = [owner for owner in owners if gate_of(owner) is None]
    if missing:
        Gate.objects.bulk_create([_new_gate(owner) for owner in missing], ignore_conflicts=True)
    tools = [owner.pk for owner in owners if isinstance(owner, Tool)]
    providers = [owner.pk for owner in owners if isinstance(owner, Provider)]
    gates = Gate.objects.select_for_update(no_key=True, of=("self",)).select_related("tool", "provider")
    return list(gates.filter(Q(tool__in=tools) | Q(provider__in=providers)).order_by("pk"))


def _new_gate(owner: Owner) -> Gate:
    return Gate(tool=owner) if isinstance(owner, Tool) else Gate(provider=owner)


def _owners(turns: Sequence[Turn]) -> Iterator[Owner]:
    """Yield whose gates calls of these casts may have to pass. Tools are read for a set of casts together."""
    for tool in {tool_id: turn.state.tools[tool_id] for turn in turns for tool_id in turn.state.plan.tool_ids}.values():
        yield from owners_of(tool)


def _freed(turn: Turn) -> Iterator[Tool]:
    """Yield the tool of each call that was in flight and is not any more."""
    for change in turn.changes.values():
        if change.took_room and not change.attempt.is_in_flight:
            yield turn.state.tool_of(change.attempt)


def write(*, turns: Sequence[Turn], passage: Passage) -> None:
    """Write down who waits where and what the gates have seen, and tell those that wait of room once this is committed."""
    refusals = {turn.state.cast.pk: turn for turn in turns if turn.refusal is not None and turn.end is None}
    gone = [cast_id for cast_id in passage.waiters if cast_id not in refusals]
    if gone:
        Waiter.objects.filter(pk__in=gone).delete()
    if refusals:
        rows = [_waiter(turn, passage) for turn in refusals.values()]
        Waiter.objects.bulk_create(rows, update_conflicts=True, unique_fields=["cast"], update_fields=["gate", "since", "rung_at"])
    changed = [room.gate for room in passage.rooms.values() if room.is_changed]
    if changed:
        Gate.objects.bulk_update(changed, ["started", "quiet_until", "ring_at", "state", "retry_at", "probe", "last_served"])
    tries = [room for room in passage.rooms.values() if room.has_begun_a_try]
    if tries:
        GateEvent.objects.bulk_create([GateEvent(gate=room.gate, kind=GateEventKind.TRIED, at=room.moment) for room in tries])
    free = {room.gate.pk for room in passage.rooms.values() if room.waiting and room.free() > room.rung}
    locked = {room.gate.pk for room in passage.rooms.values()}
    # those of which nothing was asked: whether somebody waits there is seen after the commit
    tell(gate_ids=free | (freed(turns) - locked))


def freed(turns: Iterable[Turn]) -> set[int]:
    """Return the gates behind which calls of these turns have ended."""
    tools = {tool.pk: tool for turn in turns for tool in _freed(turn)}
    return {gate.pk for tool in tools.values() for gate in map(gate_of, owners_of(tool)) if gate is not None}


def tell(*, gate_ids: Collection[int]) -> None:
    """Tell those that wait at these gates of room, once the transaction is committed."""
    if gate_ids:
        transaction.on_commit(partial(ring, gate_ids=sorted(gate_ids)), robust=True)


def _waiter(turn: Turn, passage: Passage) -> Waiter:
    assert turn.refusal is not None, "only those that were refused wait"
    assert passage.moment is not None, "a gate was locked, or nobody would have been refused"
    cast, gate_id = turn.state.cast, turn.refusal.gate_id
    known = passage.waiters.get(cast.pk)
    since = known.since if known is not None and known.gate_id == gate_id else passage.moment
    return Waiter(cast_id=cast.pk, gate_id=gate_id, initiator_id=cast.initiator_id, since=since)
