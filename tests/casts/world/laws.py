"""What must hold after each step, read off the engine's rows and held against the world's own account."""

from collections import Counter
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis.stateful import RuleBasedStateMachine, invariant

from casts.models import ENDED, TERMINAL_KINDS, Cast, Notification, Wakeup
from generations.models import BLOCKING, Generation
from generations.models import LIVE as LIVE_GENERATIONS

from .world import World


class Laws(RuleBasedStateMachine):
    """The invariants. The rows are read once for all of them."""

    world: World
    casts: dict[UUID, Cast]
    rows: list[dict[str, Any]]
    is_well: bool

    @invariant()
    def all_laws_hold(self) -> None:
        self.is_well = False
        self.casts = Cast.objects.only("status", "round", "cost_usd").in_bulk()
        columns = ("pk", "cast_id", "step__key", "item", "status", "output", "cost_usd", "cost_booked_at")
        self.rows = list(Generation.objects.values(*columns))
        self.world.see_ends()
        self.each_unfinished_cast_has_one_wakeup_and_an_ended_one_has_none()
        self.one_call_at_a_time_and_one_success_per_item()
        self.what_succeeded_stays_as_it_was_and_is_what_its_provider_made()
        self.each_cost_that_was_told_is_booked_once()
        self.a_cast_ends_once_a_round_with_one_word_to_its_initiator_and_no_call_live()
        self.a_cast_that_was_cancelled_does_not_succeed()
        self.is_well = True

    def each_unfinished_cast_has_one_wakeup_and_an_ended_one_has_none(self) -> None:
        awake = set(Wakeup.objects.values_list("pk", flat=True))
        live = {pk for pk, cast in self.casts.items() if cast.status not in ENDED}
        assert awake <= live, "a cast that has ended has a wakeup"
        assert live - awake <= self.world.without_wakeup, "a cast has no wakeup"

    def one_call_at_a_time_and_one_success_per_item(self) -> None:
        for statuses in (BLOCKING, ("succeeded", "skipped")):
            seen = Counter((row["cast_id"], row["step__key"], row["item"]) for row in self.rows if row["status"] in statuses)
            assert set(seen.values()) <= {1}, "an item is done, or at work, twice"

    def what_succeeded_stays_as_it_was_and_is_what_its_provider_made(self) -> None:
        done = [row for row in self.rows if row["status"] == "succeeded"]
        outputs = {(row["cast_id"], row["step__key"], row["item"]): row["output"] for row in done}
        assert self.world.outputs.items() <= outputs.items(), "a result has changed"
        self.world.outputs = outputs
        for row in done:
            call = self.world.ledger.sendings[row["pk"]].call
            if call.is_billed:
                assert row["output"] == {"by": str(call.id)}, "a result is that of another call"

    def each_cost_that_was_told_is_booked_once(self) -> None:
        sums: dict[object, Decimal] = dict.fromkeys(self.casts, Decimal(0))
        booked = {row["pk"]: row["cost_usd"] for row in self.rows if row["cost_booked_at"] is not None}
        for row in self.rows:
            sums[row["cast_id"]] += booked.get(row["pk"], Decimal(0))
        for call in self.world.ledger.calls.values():
            paid = sum((booked.get(sending.generation_id, Decimal(0)) for sending in call.sendings), Decimal(0))
            assert paid == (call.told_cost or 0), "a call is not booked with what it cost"
            if call.told_cost:
                assert any(sending.generation_id in booked for sending in call.sendings)
        assert {pk: cast.cost_usd for pk, cast in self.casts.items()} == sums, "a cast did not cost what its calls did"
        told = {pk: self.world.ledger.costs.get(pk, Decimal(0)) for pk in self.casts}
        assert told == sums, "a cast did not cost what its providers said"

    def a_cast_ends_once_a_round_with_one_word_to_its_initiator_and_no_call_live(self) -> None:
        live = {row["cast_id"] for row in self.rows if row["status"] in LIVE_GENERATIONS}
        assert not any(self.casts[cast_id].status in ENDED for cast_id in live), "a call of an ended cast is live"
        told = Notification.objects.filter(kind__in=TERMINAL_KINDS).values_list("cast_id", "round")
        ends = [(pk, each) for pk, cast in self.casts.items() for each in range(cast.round + (cast.status in ENDED))]
        assert sorted(told) == sorted(ends), "an end was not told, or told twice"

    def a_cast_that_was_cancelled_does_not_succeed(self) -> None:
        assert not any(self.casts[pk].status == "succeeded" for pk in self.world.cancelled), "a cast that was cancelled succeeds"
