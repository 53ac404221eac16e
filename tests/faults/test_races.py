"""Two or more at once (faults 7, 21, 22 and 25)."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection
from knox.models import AuthToken

from casts import engine
from casts.clock import database_now
from casts.engine import Claim, Release, Report, Via
from casts.models import Cast
from generations.models import Generation
from generations.tools.contract import Result
from tests.casts import scenes
from tests.processes import wait_for

from .stage import LONG, Stage

ROUNDS = 1000
CROWD = 50
FAN = 500
LONG_LEASE_SECONDS = 3600.0


def together(*runners: Callable[[threading.Barrier], Any]) -> list[Any]:
    """Run functions on threads with database connections of their own, each with the barrier at which they meet."""
    barrier = threading.Barrier(len(runners), timeout=LONG)

    def run(runner: Callable[[threading.Barrier], Any]) -> Any:
        try:
            return runner(barrier)
        except BaseException:
            barrier.abort()  # the others would wait for it
            raise
        finally:
            connection.close()

    with ThreadPoolExecutor(len(runners)) as pool:
        return list(pool.map(run, runners))


def test_of_two_workers_that_race_for_one_wakeup_one_wins_a_thousand_times(stage: Stage):
    stage.play({"key": "one", "tool": stage.step_tool()})

    def race(barrier: threading.Barrier) -> list[int]:
        won = []
        for _ in range(ROUNDS):
            barrier.wait()
            claims = engine.claim(limit=1)
            barrier.wait()  # nobody lets go before both have tried
            won += [claim.epoch for claim in claims]
            engine.release(releases=[Release(claim=claim, due_at=database_now()) for claim in claims])
        return won

    first, second = together(race, race)
    assert sorted(first + second) == list(range(1, ROUNDS + 1))
    stage.books.tell("UPDATE casts_wakeup SET due_at = '2100-01-01'")
    stage.check()


def test_of_a_cancel_and_the_last_step_one_has_its_way_a_thousand_times(stage: Stage):
    version = scenes.version({"key": "one", "tool": stage.step_tool()})
    ada = scenes.user()
    casts = [engine.start(version=version, initiator_id=ada.pk, inputs={}, now=database_now()).cast.pk for _ in range(ROUNDS)]
    claims = {claim.cast_id: claim for _ in range(ROUNDS // CROWD) for claim in engine.claim(limit=CROWD, lease_seconds=LONG_LEASE_SECONDS)}
    engine.advance(claimed=list(claims.values()), slots=scenes.Unlimited())
    calls = dict(Generation.objects.values_list("cast_id", "pk"))

    def settle(barrier: threading.Barrier) -> None:
        for cast_id in casts:
            barrier.wait()
            _settle(claims[cast_id], [calls[cast_id]])

    def cancel(barrier: threading.Barrier) -> int:
        refused = 0
        for cast_id in casts:
            barrier.wait()
            try:
                engine.cancel(cast_id=cast_id, actor_id=ada.pk, now=database_now())
            except engine.TransitionRefusedError:
                refused += 1
        return refused

    _, refused = together(settle, cancel)
    ends = Counter(Cast.objects.values_list("status", flat=True))
    assert ends == Counter({"succeeded": refused, "cancelled": ROUNDS - refused})
    events = Counter(row["kind"] for row in stage.books.ask("SELECT kind FROM casts_castevent WHERE kind IN ('succeeded', 'cancelled')"))
    assert events == ends
    stage.check()


def _settle(claim: Claim, generation_ids: Sequence[Any]) -> None:
    reports = [Report(generation_id=id_, claim=claim, via=Via.RUN, news=Result(output={"n": 1})) for id_ in generation_ids]
    engine.settle(reports=reports, claimed=[claim], slots=scenes.Unlimited(), in_flight=())


def test_a_cancelled_job_is_stopped_at_its_provider_and_its_cost_is_known(stage: Stage):
    worker = stage.conduct()
    stage.fake.tell(dialect="replicate", hold=True)
    cast = stage.play({"key": "one", "tool": stage.job_tool(), "params": {"input": {"prompt": "A lamp."}}})
    stage.wait_for_generation(cast, "submitted")
    wait_for("it is at work", lambda: {job["phase"] for job in stage.fake.control("jobs") if job["phase"] in ("queued", "running")})
    engine.cancel(cast_id=cast, actor_id=None, now=database_now())
    stage.wait_for_status(cast, "cancelled")
    [cancellation] = stage.books.ask("SELECT outcome FROM generations_cancellation")
    assert cancellation["outcome"] == "requested"
    assert stage.fake.control("stats")["live"] == 0
    assert stage.check().unknown == []
    stage.stop(worker)


def test_after_a_fan_out_whose_last_two_items_end_together_the_next_step_starts_once(stage: Stage):
    tool = stage.step_tool()
    fan = {
        "key": "fan",
        "tool": tool,
        "for_each": "{{ inputs.items | default([]) }}",
        "params": {"name": "item", "hold": f"{{{{ 'last' if item >= {FAN - 2} else '' }}}}"},
    }
    after = {"key": "after", "tool": tool, "params": {"name": "after", "make": "{{ steps.fan | length | string }}"}}
    cast = stage.play(fan, after, inputs={"items": {"type": "array"}}, given={"items": list(range(FAN))})
    worker = stage.conduct()
    wait_for("all run", lambda: len(stage.runs("item")) == FAN, seconds=2 * LONG)
    assert stage.runs("after") == []
    stage.go("last")
    stage.wait_for_status(cast)
    assert Counter(stage.told(cast)) == Counter({("fan", "succeeded"): FAN, ("after", "succeeded"): 1})
    assert (len(stage.runs("item")), len(stage.runs("after"))) == (FAN, 1)
    stage.check()
    stage.stop(worker)


def test_fifty_requests_at_once_with_one_idempotency_key_start_one_cast(stage: Stage):
    web = stage.web()
    scenes.version({"key": "one", "tool": stage.step_tool()}, slug="order")
    _, key = AuthToken.objects.create(scenes.user())
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "the-one"}

    def ask(barrier: threading.Barrier) -> tuple[int, str]:
        barrier.wait()
        answer = stage.post("/api/v1/casts/", json={"spell": "order"}, headers=headers)
        return answer.status_code, answer.json().get("id", answer.text)

    answers = together(*[ask] * CROWD)
    assert Counter(status for status, _ in answers) == Counter({201: 1, 200: CROWD - 1})
    assert len({id_ for _, id_ in answers}) == 1
    assert len(stage.books.ask("SELECT id FROM casts_cast")) == 1
    worker = stage.conduct()
    wait_for("it ends", lambda: stage.account().casts == Counter({"succeeded": 1}), seconds=LONG)
    stage.check()
    stage.stop(worker, web)
