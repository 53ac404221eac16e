"""Live events of cooks."""

import pytest
from django.db import connection

from casts.clock import database_now
from casts.cooks import scheduling, verbs
from casts.models import Cast
from casts.streaming import hub as hub_module
from tests.api import assert_problem, client_of, get, post
from tests.casts import scenes
from tests.casts.listening import Listener, named
from tests.casts.test_streaming import EVENTS, Server, do
from tests.factories import UserFactory

from .test_cooks import cook, finish

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio]


@pytest.fixture
def server(transactional_db, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 0)  # as under a pool: a thread ends with its request
    monkeypatch.setattr(hub_module, "TICK_SECONDS", 0.01)
    monkeypatch.setattr(hub_module, "TEND_SECONDS", 0.01)
    return Server()


async def listen(server, row, *, last="", **sent) -> Listener:
    listener: Listener = await server.listen(path=f"/api/v1/cooks/{row.pk}/events/", last=last, **sent)
    return listener


async def refused(listener: Listener) -> int:
    """Return the status of an answer that is no stream, once it is over."""
    await listener.hear_out()
    return listener.status


def make_all(row) -> None:
    while True:
        scheduling.tend(cook_id=row.pk)
        casts = list(Cast.objects.filter(piece_attempt__cook=row, piece_attempt__status="live").order_by("pk"))
        if not casts:
            return
        finish(casts[0])


async def test_a_stream_tells_a_cook_from_its_snapshot_to_its_end(server):
    row = await do(lambda: cook(2, max_parallel=1))
    listener = await listen(server, row)
    (snapshot,) = await listener.hear()
    assert (snapshot.name, snapshot.data["cook"]) == (
        "snapshot",
        await do(lambda: get(client_of(scenes.user()), f"/cooks/{row.pk}/").json()),
    )
    await do(scheduling.tend, cook_id=row.pk)
    await listener.hear_until(lambda event: event.name == "status" and event.data["progress"]["cooking"] == 1)
    await do(make_all, row)
    *_, end = await listener.hear_out()
    assert named("end", status="finished")(end)
    assert [event.data["index"] for event in listener.events if event.name == "piece"] == [0, 1]
    assert await refused(await listen(server, row, last=end.id)) == 204
    await server.is_quiet()


async def test_who_saw_all_is_told_nothing_until_something_changes(server):
    row = await do(lambda: cook(2))
    first = await listen(server, row)
    await first.hear()
    await first.leave()
    again = await listen(server, row, last=first.reader.last_id)
    assert await again.hear() == []
    await do(lambda: verbs.pause(cook_id=row.pk, now=database_now(), reason="Lunch."))
    await again.hear_until(named("status", status="paused", reason="Lunch."))
    await again.leave()
    await server.is_quiet()


async def test_a_stream_can_only_be_read(server):
    row = await do(lambda: cook(1))
    for method in ("post", "put", "delete", "options"):
        answer = await do(lambda name=method: getattr(client_of(scenes.user()), name)(f"/api/v1/cooks/{row.pk}/events/", headers=EVENTS))
        assert answer.status_code in (405, 406), method


async def test_casts_and_cooks_are_followed_beside_each_other(server):
    row = await do(lambda: cook(1))
    one, other = await listen(server, row), await server.listen()
    await one.hear()
    await other.hear()
    await do(make_all, row)
    await one.hear_until(named("end", status="finished"))
    await do(server.hand.look)
    await other.hear_until(named("generation", step="one", status="running"))
    await other.leave()
    await one.hear_out()
    await server.is_quiet()


async def test_a_stranger_hears_nothing_and_a_link_is_for_one_cook(server):
    row, second = await do(lambda: (cook(1), cook(1)))
    stranger = await do(lambda: client_of(UserFactory.create()).defaults["HTTP_AUTHORIZATION"])
    assert await refused(await listen(server, row, key=stranger)) == 404
    assert await refused(await listen(server, row, key="")) == 401
    link = (await do(lambda: post(client_of(scenes.user()), f"/cooks/{row.pk}/events/link/"))).json()["url"]
    path = link.removeprefix("https://testserver")
    listener = await Listener(server.application, path, dict(EVENTS)).open()
    assert (listener.status, (await listener.hear())[0].name) == (200, "snapshot")
    await listener.leave()
    swapped = await Listener(server.application, path.replace(f"/{row.pk}/", f"/{second.pk}/"), dict(EVENTS)).open()
    assert await refused(swapped) == 403
    await do(lambda: assert_problem(post(client_of(UserFactory.create()), f"/cooks/{row.pk}/events/link/"), 404))
    await server.is_quiet()
