"""What a cast may spend, also when several calls of it are at work at once."""

from decimal import Decimal
from typing import Any

import pytest

from generations.tools.contract import Result, Submitted, ToolError

from .scenes import Hand, billed, cast, cost, statuses

pytestmark = pytest.mark.django_db

ITEMS = "{{ [1, 2, 3, 4] }}"


def spend(usd: str, *, calls: int = 1) -> None:
    """Let earlier casts make calls of this price."""
    for number in range(calls):
        hand = Hand(cast({"key": "one", "tool": billed()}, slug=f"earlier-{usd.replace('.', '-')}-{number}"))
        hand.look()
        hand.answer("one", Result(output={}, cost=cost(usd)))
        assert hand.status() == "succeeded"


def fan_out(budget: str, **values: Any) -> Hand:
    return Hand(cast({"key": "one", "tool": billed(**values), "for_each": ITEMS}, max_cost_usd=Decimal(budget)))


def test_calls_of_unknown_price_are_made_one_at_a_time():
    hand = fan_out("0.10")
    hand.look()
    assert hand.called() == [("one", 0)]
    hand.answer("one", Result(output={}, cost=cost("0.02")))
    assert hand.called() == [("one", 1)]
    hand.answer("one", Result(output={}, cost=cost("0.02")), item=1)
    assert hand.called() == [("one", 2), ("one", 3)]


def test_no_more_calls_are_at_work_than_the_budget_is_expected_to_bear():
    spend("0.03")
    spend("0.05")
    hand = fan_out("0.10")
    hand.look()
    assert hand.called() == [("one", 0), ("one", 1)]
    hand.answer("one", Result(output={}, cost=cost("0.01")))
    assert hand.called() == [("one", 1), ("one", 2)]


def test_a_call_that_the_rest_of_the_budget_will_not_pay_is_not_made():
    spend("0.06")
    hand = fan_out("0.10")
    hand.look()
    hand.answer("one", Result(output={}, cost=cost("0.06")))
    assert statuses(hand.cast) == {"one": ["succeeded", "failed", "failed", "failed"]}
    assert hand.status() == "failed"
    assert hand.cast.error["code"] == "budget_spent"
    assert hand.cast.error["message"] == "The cast has spent 0.06 of its 0.1 US dollars. A call of billed.tool costs about 0.06."
    assert hand.cast.cost_usd == Decimal("0.06")


def test_a_submitted_job_holds_its_share_of_the_budget_until_its_cost_is_known():
    spend("0.06")
    hand = fan_out("0.10")
    hand.look()
    hand.answer("one", Submitted(job_id="job"))
    assert statuses(hand.cast) == {"one": ["submitted"]}


def test_a_call_of_unknown_fate_holds_its_share_too():
    spend("0.06")
    hand = fan_out("0.10")
    hand.look()
    hand.answer("one", ToolError("No answer.", ambiguous=True))
    assert statuses(hand.cast) == {"one": ["unknown"]}


def test_calls_of_a_tool_that_is_free_need_no_budget():
    hand = fan_out("0.10", pricing={"per_call": "0"})
    hand.look()
    assert len(hand.called()) == 4


def test_the_mean_is_that_of_the_last_calls():
    spend("0.10", calls=3)
    spend("0.01", calls=20)
    hand = fan_out("0.04")
    hand.look()
    assert len(hand.called()) == 4


def test_a_cast_without_a_budget_asks_for_no_prices(django_assert_max_num_queries):
    hand = Hand(cast({"key": "one", "tool": billed(), "for_each": ITEMS}))
    hand.take()
    with django_assert_max_num_queries(60) as queries:
        hand.look()
    assert not any("AVG" in query["sql"].upper() for query in queries.captured_queries)
    assert len(hand.called()) == 4
