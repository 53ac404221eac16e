"""Webhooks of providers: what is refused, what is stored, and what a stored one does (faults 11 to 16)."""

import logging
from collections import Counter
from decimal import Decimal

import pytest
from django.db import OperationalError
from uuid_utils.compat import uuid7

from casts import callbacks, engine, errands
from casts.engine import Via
from casts.models import Wakeup
from generations.callback_addresses import callback_url, signed_id
from generations.callback_payloads import MAX_BODY_BYTES, MAX_KEPT_BYTES
from generations.models import Artifact, Callback, Generation
from generations.tools import registry
from generations.tools.contract import Result, Submitted, ToolError
from spells.models import Recovery
from tests.api import ApiClient, assert_problem

from .locks import another_connection, open_transaction, wait_until_blocked
from .providers import ALL, AsyncVerifier, Provider, Unsigned, address_of, do_errands, job_of, register, send
from .scenes import Hand, Unlimited, billed, cast, cost, refusal, statuses, tool
from .test_api_parallel import at_once

pytestmark = pytest.mark.django_db

DONE = {"status": "done", "output": {"n": 1}, "cost": "0.25"}


@pytest.fixture(autouse=True)
def provider(monkeypatch):
    register(monkeypatch)
    yield Provider
    registry.forget()


def submitted(adapter=Provider, **values) -> Hand:
    """Cast a step whose provider has taken it as a job, and a second step that waits for it."""
    paid = billed(adapter.key, **values)
    hand = Hand(cast({"key": "one", "tool": paid}, {"key": "two", "tool": tool(), "params": {"n": "{{ steps.one.n }}"}}))
    hand.look()
    hand.answer("one", Submitted(job_id=job_of(hand.generation("one").pk), poll_after=600))
    assert hand.claim is None
    return hand


def outcomes() -> list[str]:
    return list(Callback.objects.order_by("pk").values_list("outcome", flat=True))


# What a webhook does


@pytest.mark.parametrize("adapter", ALL)
def test_a_webhook_ends_its_step_and_the_next_one_starts(adapter):
    hand = submitted(adapter)
    response = send(hand.generation("one"), DONE, adapter=adapter.key)
    assert (response.status_code, response.json()) == (200, {"received": True, "repeated": False})
    assert statuses(hand.cast) == {"one": ["submitted"]}
    do_errands()
    assert outcomes() == ["applied"]
    hand.look()
    assert hand.called() == [("two", 0)]
    assert hand.generation("two").inputs == {"n": 1}
    hand.cast.refresh_from_db()
    assert hand.cast.cost_usd == Decimal("0.25")


def test_the_address_that_a_provider_was_given_is_the_one_that_answers(settings):
    settings.CALLBACK_ORIGIN = "https://grimoire.example.org"
    hand = submitted()
    generation = hand.generation("one")
    assert callback_url(adapter=Provider.key, generation_id=generation.pk) == f"https://grimoire.example.org{address_of(generation)}"


def test_a_job_that_failed_fails_its_step_and_its_cost_is_booked():
    hand = submitted()
    send(hand.generation("one"), {"status": "failed", "message": "Out of memory.", "cost": "0.10"})
    do_errands()
    hand.look()
    assert hand.status() == "failed"
    assert (hand.cast.error["message"], hand.cast.cost_usd) == ("Out of memory.", Decimal("0.10"))


def test_progress_never_moves_backwards_and_never_undoes_an_end():
    hand = submitted()
    for percent in (40, 20):
        send(hand.generation("one"), {"status": "working", "percent": percent})
    do_errands()
    assert hand.generation("one").progress["percent"] == 40
    send(hand.generation("one"), DONE)
    send(hand.generation("one"), {"status": "working", "percent": 60})
    do_errands()
    assert statuses(hand.cast) == {"one": ["succeeded"]}
    assert outcomes() == ["applied", "applied", "applied", "ignored"]


def test_a_webhook_that_only_hints_brings_the_next_poll_forward():
    hand = submitted()
    assert not hand.take()
    send(hand.generation("one"), {"status": "hint"})
    do_errands()
    turn = hand.look()
    assert [attempt.id for attempt in turn.polls()] == [hand.generation("one").pk]


def test_what_a_webhook_brings_as_files_is_kept(monkeypatch):
    hand = submitted()
    uri = "data:text/plain;base64,aGVsbG8="
    Callback.objects.create(  # as one that was short enough to be kept with its file's address
        adapter=Provider.key,
        addressed_to=hand.generation("one").pk,
        generation=hand.generation("one"),
        delivery_id="1",
        payload={"status": "file", "url": uri},
        received_at=hand.cast.created_at,
        due_at=hand.cast.created_at,
    )
    do_errands()
    artifact = Artifact.objects.get()
    assert (artifact.generation_id, artifact.owner_id, artifact.size) == (hand.generation("one").pk, hand.cast.initiator_id, 5)
    assert hand.generation("one").output["file"]["artifact"] == str(artifact.pk)


# Fault 11: repeats


@pytest.mark.parametrize("adapter", [Provider, Unsigned])
def test_the_same_webhook_twice_is_stored_once_and_charged_once(adapter):
    hand = submitted(adapter)
    answers = [send(hand.generation("one"), DONE, adapter=adapter.key, X_Delivery="delivery-1") for _ in range(3)]
    assert [(answer.status_code, answer.json()["repeated"]) for answer in answers] == [(200, False), (200, True), (200, True)]
    do_errands()
    assert send(hand.generation("one"), DONE, adapter=adapter.key, X_Delivery="delivery-1").json()["repeated"]
    assert do_errands() == []
    assert outcomes() == ["applied"]
    hand.cast.refresh_from_db()
    assert hand.cast.cost_usd == Decimal("0.25")


def test_two_providers_of_one_adapter_may_number_their_deliveries_alike():
    first, second = submitted(), submitted()
    for hand in (first, second):
        assert not send(hand.generation("one"), DONE, X_Delivery="1").json()["repeated"]
    do_errands()
    assert outcomes() == ["applied", "applied"]


@pytest.mark.django_db(transaction=True)
def test_fifty_webhooks_at_once_settle_once_and_are_all_answered():
    hand = submitted()
    generation = hand.generation("one")
    answers = at_once(lambda n: send(generation, DONE, X_Delivery=f"delivery-{n % 10}"), crowd=50)
    assert Counter(answer.status_code for answer in answers) == {200: 50}
    assert Counter(answer.json()["repeated"] for answer in answers) == {False: 10, True: 40}
    at_once(lambda _: do_errands(), crowd=4)
    assert Counter(outcomes()) == {"applied": 1, "ignored": 9}
    hand.cast.refresh_from_db()
    assert hand.cast.cost_usd == Decimal("0.25")
    assert statuses(hand.cast)["one"] == ["succeeded"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("_round", range(5))
def test_a_webhook_and_a_poll_at_once_settle_once_and_charge_once(_round, clock):
    hand = submitted()
    clock.advance(seconds=700)
    hand.look()
    send(hand.generation("one"), DONE)
    poll = hand.report("one", 0, Result(output={"n": 1}, cost=cost("0.25")), via=Via.POLL)
    at_once(lambda n: engine.settle(reports=[poll], slots=Unlimited()) if n else do_errands(), crowd=2)
    hand.cast.refresh_from_db()
    assert hand.cast.cost_usd == Decimal("0.25")
    assert statuses(hand.cast)["one"] == ["succeeded"]


# Fault 12: before the job id


def test_a_webhook_before_the_job_id_is_matched_by_its_address():
    hand = Hand(cast({"key": "one", "tool": billed(Provider.key)}))
    hand.look()
    send(hand.generation("one"), DONE)
    do_errands()
    hand.answer("one", Submitted(job_id="job-7"))
    generation = hand.generation("one")
    assert (generation.status, generation.job_id, generation.output) == ("succeeded", "job-7", {"n": 1})
    assert hand.status() == "succeeded"


# Fault 13: when nobody waits


def test_a_webhook_for_an_ended_generation_books_the_cost_and_changes_nothing(clock):
    hand = submitted(recovery=Recovery.NONE)
    clock.advance(hours=2)
    hand.look()
    engine.resolve(generation_id=hand.generation("one").pk, now=clock.now())
    hand.look()
    assert hand.status() == "failed"
    assert send(hand.generation("one"), DONE).status_code == 200
    do_errands()
    assert (hand.status(), hand.cast.cost_usd, hand.generation("one").late_output) == ("failed", Decimal("0.25"), {"n": 1})
    assert outcomes() == ["ignored"]
    assert not Wakeup.objects.exists()


def test_a_webhook_for_attempt_one_while_attempt_two_runs_settles_neither():
    hand = submitted(max_attempts=3)
    (first,) = hand.cast.generations.filter(step__key="one")
    send(first, {"status": "working", "percent": 10})
    do_errands()
    report = engine.Report(
        generation_id=first.pk, claim=engine.Claim(cast_id=hand.cast.pk, epoch=0, bell=0), via=Via.CALLBACK, news=refusal()
    )
    engine.receive(report=report)
    Generation.objects.filter(pk=first.pk).update(retry_at=hand.cast.created_at)
    hand.look()
    assert statuses(hand.cast)["one"] == ["failed", "running"]
    send(first, DONE)
    do_errands()
    first.refresh_from_db()
    assert statuses(hand.cast)["one"] == ["failed", "running"]
    assert (first.cost_usd, first.late_output) == (Decimal("0.25"), {"n": 1})


def test_a_webhook_after_the_cancel_is_booked_and_nothing_starts_by_it():
    hand = submitted()
    engine.cancel(cast_id=hand.cast.pk, actor_id=None, now=hand.cast.created_at)
    send(hand.generation("one"), DONE)
    do_errands()
    hand.look()
    assert (hand.status(), hand.cast.cost_usd) == ("cancelled", Decimal("0.25"))
    assert "two" not in statuses(hand.cast)


def test_a_hint_for_a_call_that_nobody_waits_for_still_finds_out_what_it_cost(clock):
    hand = submitted()
    clock.advance(hours=2)
    hand.look()
    assert statuses(hand.cast)["one"] == ["unknown"]
    Provider.answers[hand.generation("one").job_id] = Result(output={"n": 1}, cost=cost("0.25"))
    send(hand.generation("one"), {"status": "hint"})
    do_errands()
    assert (outcomes(), statuses(hand.cast)["one"]) == (["applied"], ["succeeded"])
    hand.cast.refresh_from_db()
    assert hand.cast.cost_usd == Decimal("0.25")


def test_a_hint_whose_provider_cannot_be_asked_now_is_tried_again(clock):
    hand = submitted()
    clock.advance(hours=2)
    hand.look()

    async def away():
        raise ToolError("The connection was refused.")

    Provider.answers[hand.generation("one").job_id] = away
    send(hand.generation("one"), {"status": "hint"})
    do_errands()
    assert (outcomes(), Callback.objects.get().said) == (["received"], "The connection was refused.")
    Provider.answers[hand.generation("one").job_id] = Result(output={"n": 1}, cost=cost("0.25"))
    clock.advance(minutes=10)
    do_errands()
    assert (outcomes(), statuses(hand.cast)["one"]) == (["applied"], ["succeeded"])


@pytest.mark.parametrize("adapter", [Provider, Unsigned])
def test_a_webhook_whose_generation_was_deleted_is_kept_as_an_orphan(adapter):
    hand = submitted(adapter)
    generation = hand.generation("one")
    Generation.objects.filter(pk=generation.pk).delete()
    for repeated in (False, True):
        response = send(generation, DONE, adapter=adapter.key)
        assert (response.status_code, response.json()["repeated"]) == (200, repeated)
    assert do_errands() == []
    orphan = Callback.objects.get()
    assert (orphan.outcome, orphan.addressed_to, orphan.generation_id) == ("orphaned", generation.pk, None)


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_webhook_whose_generation_is_deleted_at_this_moment_is_kept_as_an_orphan():
    """The statement that stores it sees the generation, and its commit waits for whoever deletes it."""
    generation = submitted().generation("one")
    with another_connection() as other, open_transaction(Generation.objects.filter(pk=generation.pk).delete) as commit:
        sending = other.submit(send, generation, DONE)
        wait_until_blocked()
        commit.set()
        assert sending.result(60).status_code == 200
    orphan = Callback.objects.get()
    assert (orphan.outcome, orphan.addressed_to, orphan.generation_id) == ("orphaned", generation.pk, None)


# Fault 15: what is refused


def refused(response, status, **options):
    told = assert_problem(response, status, **options)
    assert not Callback.objects.exists()
    return told


@pytest.mark.parametrize(
    "signed",
    [
        lambda: signed_id(adapter="another", generation_id=uuid7()),
        lambda: "0" * 32 + ".forged",
        lambda: "x" * 5000,
        lambda: uuid7().hex,
    ],
)
def test_a_forged_address_is_not_found(signed):
    refused(ApiClient().post(f"/api/v1/callbacks/{Provider.key}/{signed()}/", b"{}", content_type="application/json"), 404)


def test_the_address_of_a_provider_that_signs_does_not_work_under_one_that_does_not():
    hand = submitted()
    signed = address_of(hand.generation("one")).rstrip("/").rpartition("/")[2]
    refused(ApiClient().post(f"/api/v1/callbacks/{Unsigned.key}/{signed}/", b'{"status": "done"}', content_type="application/json"), 404)


@pytest.mark.parametrize("adapter", [Provider, AsyncVerifier])
def test_a_bad_signature_is_refused_and_nothing_of_the_body_is_logged(adapter, caplog):
    caplog.set_level(logging.DEBUG)
    hand = submitted(adapter)
    told = refused(
        send(hand.generation("one"), {"status": "done", "output": {"word": "abracadabra"}}, adapter=adapter.key, X_Signature="0" * 64),
        401,
        name="callback-refused",
    )
    assert "abracadabra" not in caplog.text + str(told)


@pytest.mark.parametrize(
    "body", [b"{", b"", b"null", b"[1]", b'"text"', b'{"a": NaN}', b"\xff\xfe", b'{"n": ' + b"9" * 5000 + b"}", b"{}{}"]
)
def test_a_malformed_body_is_refused(body):
    hand = submitted()
    refused(send(hand.generation("one"), None, raw=body), 400, name="malformed")


def test_a_body_of_more_than_a_mebibyte_is_refused():
    hand = submitted()
    refused(send(hand.generation("one"), None, raw=b'{"a": "' + b"x" * MAX_BODY_BYTES + b'"}'), 413)


def test_a_callback_that_cannot_be_verified_now_is_to_be_sent_again():
    hand = submitted()
    response = send(hand.generation("one"), DONE, X_Signature="crash")
    refused(response, 503, name="callback-unverifiable")
    assert response.headers["Retry-After"] == "30"


def test_a_callback_for_an_adapter_that_is_gone_is_to_be_sent_again(monkeypatch):
    hand = submitted()
    generation = hand.generation("one")
    monkeypatch.delitem(registry.BUILT_IN, Provider.key)
    registry.forget()
    refused(send(generation, DONE), 503)


def test_an_address_for_callbacks_answers_posts_alone():
    hand = submitted()
    assert_problem(ApiClient().get(address_of(hand.generation("one"))), 405)


# Fault 16: the database is away


def test_while_the_database_is_away_the_provider_is_asked_to_try_again(monkeypatch):
    hand = submitted()

    def away(_):
        raise OperationalError("the server closed the connection unexpectedly")

    monkeypatch.setattr(callbacks, "_store", away)
    response = send(hand.generation("one"), DONE)
    refused(response, 503, name="unavailable")
    assert response.headers["Retry-After"]


# What is not kept


@pytest.mark.parametrize(
    "payload",
    [
        {"status": "done", "output": {"picture": "data:image/png;base64,iVBORw0KGgo="}},
        {"status": "done", "output": {"text": "x" * MAX_KEPT_BYTES}},
        {"status": "done", "logs": "a\0b"},
        {"status": "done", "n": 2**70},
        {"status": "done", "half": "\ud800"},
    ],
    ids=["file", "large", "nul", "integer", "surrogate"],
)
def test_a_payload_that_belongs_into_no_row_is_left_out_and_the_provider_asked(payload):
    hand = submitted()
    assert send(hand.generation("one"), payload).status_code == 200
    callback = Callback.objects.get()
    assert (callback.payload, callback.is_complete) == ({}, False)
    do_errands()
    assert outcomes() == ["applied"]
    turn = hand.look()
    assert len(turn.polls()) == 1


def test_a_deeply_nested_payload_is_left_out():
    hand = submitted()
    assert send(hand.generation("one"), None, raw=b'{"a":' * 5000 + b"1" + b"}" * 5000).status_code == 200
    assert not Callback.objects.get().is_complete


# Callbacks that cannot be read


def test_a_callback_that_its_adapter_cannot_read_is_tried_again_and_kept_with_the_reason(clock):
    hand = submitted()
    send(hand.generation("one"), {"status": "in another tongue"})
    for tries in range(1, 6):
        assert len(do_errands()) == 1
        callback = Callback.objects.get()
        assert callback.attempts == tries
        assert "no such status" in callback.said
        clock.advance(minutes=10)
    assert outcomes() == ["unreadable"]
    assert do_errands() == []
    assert statuses(hand.cast)["one"] == ["submitted"]


def test_a_callback_that_takes_its_readers_down_is_given_up(clock):
    hand = submitted()
    send(hand.generation("one"), DONE)
    for _ in range(5):
        assert errands.claim(Callback, limit=1)
        clock.advance(minutes=10)
    assert do_errands() == []
    assert outcomes() == ["unreadable"]


def test_one_callback_that_cannot_be_applied_holds_up_no_other(monkeypatch):
    poison, neighbour = submitted(), submitted()
    for hand in (poison, neighbour):
        send(hand.generation("one"), DONE)
    cast_id, whole = poison.cast.pk, engine.receive_all

    def fails(*, reports, **options):
        if any(report.claim.cast_id == cast_id for report in reports):
            raise ZeroDivisionError
        return whole(reports=reports, **options)

    monkeypatch.setattr(engine, "receive_all", fails)
    do_errands()
    assert outcomes() == ["received", "applied"]
    assert statuses(neighbour.cast)["one"] == ["succeeded"]


def test_a_set_of_callbacks_is_applied_in_a_fixed_number_of_queries(django_assert_max_num_queries):
    hands = [submitted() for _ in range(6)]
    for hand in hands:
        send(hand.generation("one"), DONE)
    with django_assert_max_num_queries(35):
        do_errands()
    assert outcomes() == ["applied"] * 6
