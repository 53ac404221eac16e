from decimal import Decimal

import pytest

from generations.answers import MAX_HANDLE_BYTES, MAX_MESSAGE_CHARACTERS, clean_answer
from generations.tools.contract import Cost, Lost, Result, Submitted, ToolError


def test_what_is_needed_to_ask_for_a_job_is_kept():
    handle = {"status_url": "https://queue.example.org/7/status"}
    assert clean_answer(Submitted(job_id="7", handle=handle)) == Submitted(job_id="7", handle=handle)


@pytest.mark.parametrize(
    "handle", [{"n": 7}, {"url": "\0"}, {"url": "x" * MAX_HANDLE_BYTES}, {"a": {"b": "c"}}, ["no", "mapping"], None, {1: "x"}]
)
def test_a_handle_that_cannot_be_kept_is_told_with_the_id_of_the_job(handle):
    told = clean_answer(Submitted(job_id="job-7", handle=handle))
    assert isinstance(told, ToolError)
    assert (told.code, told.ambiguous) == ("bad_job_handle", True)
    assert "job-7" in told.message


def test_the_word_of_a_lost_job_is_cleaned():
    told = clean_answer(Lost(message="no\0such\ud800" + "x" * 10_000))
    assert isinstance(told, Lost)
    assert told.message.startswith("no�such�")
    assert len(told.message) == MAX_MESSAGE_CHARACTERS


@pytest.mark.parametrize("usd", [Decimal("NaN"), float("nan"), Decimal("Infinity"), "NaN", "much", "", None, -1, Decimal("-0.01"), 10**12])
def test_a_cost_that_is_no_amount_of_money_is_unknown_and_not_nothing(usd):
    assert clean_answer(Result(output={"n": 1}, cost=Cost(usd=usd))) == Result(output={"n": 1}, cost=None)


@pytest.mark.parametrize("usd", ["0.1", 0.1, Decimal("0.1")])
def test_a_cost_that_is_told_as_text_or_as_a_float_is_money_to_the_last_place(usd):
    told = clean_answer(Result(output={}, cost=Cost(usd=usd)))
    assert isinstance(told, Result)
    assert told.cost.usd + told.cost.usd + told.cost.usd == Decimal("0.3")
