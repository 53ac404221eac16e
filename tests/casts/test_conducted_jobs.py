"""Jobs at providers, with a conductor at work: callbacks, polls and errands, end to end."""

import asyncio

import pytest

from casts.clock import database_now
from casts.conductor import Conductor
from casts.conductor.pace import Pace
from casts.models import Wakeup
from casts.models.conductor import ConductorKind
from generations.models import Callback, Generation
from generations.tools import registry
from generations.tools.contract import Result

from . import adapters
from .providers import Provider, job_of, register, send
from .scenes import billed, cast, cost, statuses, tool
from .test_conductor import conducting, ended, is_listening, wait_for

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]

DONE = {"status": "done", "output": {"n": 1}, "cost": "0.25"}


@pytest.fixture(autouse=True)
def provider(monkeypatch):
    register(monkeypatch, *adapters.ALL)
    yield
    registry.forget()


def started(slug: str = "scene"):
    paid = {"key": "one", "tool": billed(Provider.key)}
    echo = {"key": "two", "tool": tool(adapters.Echo.key), "params": {"n": "{{ steps.one.n }}"}}
    return cast(paid, echo, outputs={"n": "{{ steps.two.echo.n }}"}, slug=slug)


def is_submitted(each) -> bool:
    return Generation.objects.filter(cast=each, status="submitted").exists()


def test_a_webhook_continues_its_cast():
    one = started()
    with conducting():
        wait_for(lambda: is_submitted(one), what="the job is submitted")
        assert send(Generation.objects.get(), DONE).status_code == 200
        wait_for(lambda: ended(one), what="the cast ends")
    assert (one.status, one.outputs, str(one.cost_usd.normalize())) == ("succeeded", {"n": 1}, "0.25")
    assert Callback.objects.get().outcome == "applied"


def test_a_webhook_is_heard_and_needs_no_poll():
    """With polls ten minutes apart, only the doorbell can be what continues the cast."""
    with conducting(poll=600.0, bells=600.0):
        wait_for(is_listening, what="the conductor listens")
        for slug in ("first", "second"):
            one = started(slug)
            wait_for(lambda one=one: is_submitted(one), what="the job is submitted")
            send(Generation.objects.get(cast=one, status="submitted"), DONE)
            wait_for(lambda one=one: ended(one), what="the cast ends")
            assert one.status == "succeeded"


def test_a_webhook_that_came_while_nobody_conducted_is_applied_by_the_next_shift():
    one = started()
    with conducting():
        wait_for(lambda: is_submitted(one), what="the job is submitted")
    send(Generation.objects.get(), DONE)
    pace = Pace.of_settings(shift=60.0, linger=1.0)
    asyncio.run(Conductor(kind=ConductorKind.TASK, pace=pace).run())
    assert ended(one)
    assert one.status == "succeeded"


def test_a_lost_webhook_is_made_up_for_by_polls():
    """Fault 14."""
    one = started()
    with conducting():
        wait_for(lambda: is_submitted(one), what="the job is submitted")
        generation = Generation.objects.get()
        Provider.answers[job_of(generation.pk)] = Result(output={"n": 1}, cost=cost("0.25"))
        Generation.objects.filter(pk=generation.pk).update(poll_at=database_now())
        Wakeup.objects.filter(pk=one.pk).update(due_at=database_now())
        wait_for(lambda: ended(one), what="the cast ends")
    assert (one.status, statuses(one)) == ("succeeded", {"one": ["succeeded"], "two": ["succeeded"]})
