"""Many clients at once, each on a connection of its own."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connection

from casts.models import Cast, CastEvent, Wakeup
from spells.models import Spell, SpellVersion
from tests.api import client_of, post
from tests.factories import ToolFactory, UserFactory, published

pytestmark = pytest.mark.django_db(transaction=True)

CROWD = 20


def at_once(ask: Callable[[int], Any], *, crowd: int = CROWD) -> list[Any]:
    """Let so many threads ask at the same moment, and return their answers."""
    ready = Barrier(crowd)

    def run(number: int) -> Any:
        try:
            ready.wait(timeout=30)
            return ask(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(crowd) as pool:
        return list(pool.map(run, range(crowd)))


def test_many_requests_with_one_key_start_one_cast():
    ada = UserFactory.create()
    published(slug="story", owner=ada)
    clients = [client_of(ada) for _ in range(CROWD)]
    answers = at_once(lambda n: post(clients[n], "/casts/", {"spell": "story"}, Idempotency_Key="order-1"))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: CROWD - 1}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert (Cast.objects.count(), Wakeup.objects.count(), CastEvent.objects.count()) == (1, 1, 1)


def test_of_many_different_requests_with_one_key_one_wins():
    ada = UserFactory.create()
    published(slug="story", owner=ada, inputs={"n": {"type": "integer"}})
    clients = [client_of(ada) for _ in range(CROWD)]
    answers = at_once(lambda n: post(clients[n], "/casts/", {"spell": "story", "inputs": {"n": n}}, Idempotency_Key="k"))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: CROWD - 1}
    assert Cast.objects.count() == 1


def test_a_tool_that_many_run_for_the_first_time_gets_one_spell():
    ToolFactory.create(slug="test.shout")
    clients = [client_of(UserFactory.create()) for _ in range(20)]
    answers = at_once(lambda n: post(clients[n], "/tools/test.shout/run/", {"inputs": {"n": n}}), crowd=20)
    assert [answer.status_code for answer in answers] == [201] * 20
    assert (Spell.objects.count(), SpellVersion.objects.count(), Cast.objects.count()) == (1, 1, 20)


def test_of_many_verbs_at_once_one_changes_the_cast():
    ada = UserFactory.create()
    published(slug="story", owner=ada)
    clients = [client_of(ada) for _ in range(10)]
    cast_id = post(clients[0], "/casts/", {"spell": "story"}).json()["id"]
    answers = at_once(lambda n: post(clients[n], f"/casts/{cast_id}/pause/"), crowd=10)
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 9}
    assert CastEvent.objects.filter(kind="paused").count() == 1
