"""The room at one locked gate: how many calls may start now, and whose turn it is."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from uuid import UUID

from django.db.models import Q

from casts.models import BreakerState, Cast, Gate, Waiter
from generations.models import Generation
from spells.models import Provider, Tool

from . import sql

# A call of which only the second is known is out of every minute after so many seconds.
MINUTE_SECONDS = 61
# How long room is left to a cast that was told of it. One that has not looked by then may be in dead hands.
RUNG_SECONDS = 10.0
# What a try met is written down right after it ended, in a transaction of its own. So long nobody else tries.
EVIDENCE_SECONDS = 5.0
# Counting further tells nobody anything.
MAX_CROWD = 10_000
UNLIMITED = 1_000_000_000
# Stands for all initiators whose calls need not be told apart. No user has this id.
NOBODY = 0


@dataclass(kw_only=True)
class Room:
    """A gate whose row is locked, as it stood at `moment`.

    `held` counts the calls in flight by initiator, where there is a limit to them; all as `NOBODY`'s while nobody waits. `waiting` are the initiators of the
    casts that wait; `rung` is the number of those that were told of room and have not looked yet.
    """

    gate: Gate
    moment: datetime
    held: Counter[int] = field(default_factory=Counter)
    waiting: set[int] = field(default_factory=set)
    rung: int = 0
    has_live_probe: bool = False
    has_begun_a_try: bool = False
    is_changed: bool = False

    @cached_property
    def owner(self) -> Tool | Provider:
        return self.gate.owner

    @cached_property
    def crowd(self) -> int:
        """Count the casts that wait here."""
        return Waiter.objects.filter(gate=self.gate.pk)[:MAX_CROWD].count()

    @property
    def holds_back(self) -> bool:
        return self.owner.max_in_flight is not None or self.owner.max_per_minute is not None or not self.gate.is_free

    def free(self) -> int:
        """Return how many calls may start now, whoever makes them."""
        gate, owner = self.gate, self.owner
        if self._is_quiet():
            return 0
        room = UNLIMITED
        if gate.state == BreakerState.OPEN:
            room = int(gate.retry_at is not None and gate.retry_at <= self.moment)
        elif gate.state == BreakerState.HALF_OPEN:
            room = int(not self.has_live_probe)
        if owner.max_in_flight is not None:
            room = min(room, owner.max_in_flight - self.held.total())
        if owner.max_per_minute is not None:
            room = min(room, owner.max_per_minute - sum(self._last_minute().values()))
        return max(0, room)

    def opens_at(self) -> datetime | None:
        """Return when time alone will bring room; None when something else must happen first."""
        gate, times = self.gate, []
        if self._is_quiet() and gate.quiet_until:
            times.append(gate.quiet_until)
        if gate.state == BreakerState.OPEN:
            if gate.retry_at is None:
                return None
            times.append(gate.retry_at)
        started = self._last_minute()
        if self.owner.max_per_minute is not None and sum(started.values()) >= self.owner.max_per_minute:
            times.append(datetime.fromtimestamp(min(started) + MINUTE_SECONDS, UTC))
        return max((time for time in times if time > self.moment), default=None)

    def may_pass(self, *, initiator_id: int, is_rung: bool) -> bool:
        """Tell whether a call may start for an initiator.

        A cast that was told of room was chosen. Any other leaves room to those that were, and its turn to each waiting
        initiator who comes before.
        """
        if is_rung:
            return self.free() > 0
        mine = self._rank(initiator_id)
        return self.free() > self.rung and all(mine < self._rank(other) for other in self.waiting - {initiator_id})

    def take(self, *, initiator_id: int, generation: Generation, is_rung: bool) -> None:
        """Count a call that starts."""
        if self.owner.max_in_flight is not None:
            self.held[initiator_id] += 1
        self.rung -= is_rung
        self.is_changed = True
        self.gate.quiet_until = None
        self.gate.last_served_id = initiator_id
        if self.owner.max_per_minute is not None:
            second = int(self.moment.timestamp())
            started = self._last_minute()
            self.gate.started = {str(each): calls for each, calls in {**started, second: started[second] + 1}.items()}
        if self.gate.state != BreakerState.CLOSED:
            self._try(generation)

    def turns(self, slots: int) -> Counter[int]:
        """Deal free slots out to the initiators who wait: each to who would hold the fewest, ties in rotation."""
        dealt: Counter[int] = Counter()
        for _ in range(slots if self.waiting else 0):
            dealt[min(self.waiting, key=lambda initiator_id: self._rank(initiator_id, beside=dealt[initiator_id]))] += 1
        return dealt

    def _try(self, generation: Generation) -> None:
        gate = self.gate
        gate.state, gate.retry_at, gate.probe_id = BreakerState.HALF_OPEN, None, generation.pk
        self.has_live_probe = self.has_begun_a_try = True

    def _rank(self, initiator_id: int, *, beside: int = 0) -> tuple[int, bool, int]:
        last = self.gate.last_served_id
        return self.held[initiator_id] + beside, last is not None and initiator_id <= last, initiator_id

    def _is_quiet(self) -> bool:
        return self.gate.quiet_until is not None and self.gate.quiet_until > self.moment

    def _last_minute(self) -> Counter[int]:
        """Return the calls that may lie within the last minute, by second."""
        gone = self.moment.timestamp() - MINUTE_SECONDS
        return Counter({int(second): calls for second, calls in self.gate.started.items() if int(second) > gone})


def measure(*, gates: Sequence[Gate], moment: datetime) -> list[Room]:
    """Return the room at gates whose rows were locked in an earlier statement."""
    told_after = moment - timedelta(seconds=RUNG_SECONDS)
    rooms = [
        Room(
            gate=gate,
            moment=moment,
            waiting=set(_waiting_initiators(gate)),
            rung=Waiter.objects.filter(gate=gate.pk, rung_at__gt=told_after).count(),
            has_live_probe=gate.probe_id is not None and _is_trying(gate.probe_id, moment=moment),
        )
        for gate in gates
    ]
    _count_calls([room for room in rooms if room.owner.max_in_flight is not None])
    return rooms


def _is_trying(probe_id: UUID, *, moment: datetime) -> bool:
    """Tell whether a try is under way, or was until just now, so that what it met is still to be heard."""
    just_now = moment - timedelta(seconds=EVIDENCE_SECONDS)
    is_to_be_heard = Q(finished_at__gt=just_now) | Q(unfetched_at__gt=just_now)
    return (Generation.objects.in_flight() | Generation.objects.filter(is_to_be_heard)).filter(pk=probe_id).exists()


def _count_calls(rooms: Sequence[Room]) -> None:
    """Count the calls in flight at gates with a limit to them, which bounds what is read. Whose they are matters only while others wait."""
    by_tool: dict[int, list[Room]] = defaultdict(list)
    providers = {room.gate.provider_id: room for room in rooms if room.gate.provider_id}
    for room in rooms:
        if room.gate.tool_id:
            by_tool[room.gate.tool_id].append(room)
    for tool_id, provider_id in Tool.objects.filter(provider__in=providers).values_list("pk", "provider_id") if providers else ():
        by_tool[tool_id].append(providers[provider_id])
    if not by_tool:
        return
    calls = list(Generation.objects.in_flight().filter(tool__in=by_tool).values_list("tool_id", "cast_id"))
    owners: dict[UUID, int] = {}
    if any(room.waiting for room in rooms):  # by their ids, not by a join: how few they are, the planner would not know
        owners = dict(Cast.objects.filter(pk__in={cast_id for _, cast_id in calls}).values_list("pk", "initiator_id"))
    for tool_id, cast_id in calls:
        for room in by_tool[tool_id]:
            room.held[owners.get(cast_id, NOBODY)] += 1


def _waiting_initiators(gate: Gate) -> list[int]:
    """Return who waits at a gate: one step along the index for each of them, however many casts they have."""
    rows = sql.fetch(
        """
        WITH RECURSIVE found(initiator_id) AS (
            SELECT MIN(initiator_id) FROM casts_waiter WHERE gate_id = %(gate)s
            UNION ALL
            SELECT (SELECT MIN(initiator_id) FROM casts_waiter WHERE gate_id = %(gate)s AND initiator_id > found.initiator_id)
            FROM found WHERE found.initiator_id IS NOT NULL
        )
        SELECT initiator_id FROM found WHERE initiator_id IS NOT NULL
        """,
        {"gate": gate.pk},
    )
    return [initiator_id for (initiator_id,) in rows]
