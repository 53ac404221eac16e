"""Live events of casts: a stream that begins with a snapshot, tells what happens, and ends with the cast."""

import asyncio
import logging
import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.core.asgi import get_asgi_application
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from casts import engine
from casts.clock import database_now
from casts.models import Cast
from casts.streaming import hub as hub_module
from casts.streaming import news, standing
from casts.streaming import stream as stream_module
from casts.streaming.application import EventStreams
from casts.streaming.audience import Audience, Origin, Subject
from casts.streaming.seats import Seats
from casts.streaming.views import LINKS
from config.bodies import Bounded
from generations.models import Generation
from generations.tools.contract import ToolError
from tests.api import assert_problem, client_of, get, people, post
from tests.casts import scenes
from tests.casts.factories import ArtifactFactory, CastEventFactory, CastFactory, GenerationFactory, WakeupFactory
from tests.casts.listening import Listener, Reader, named
from tests.casts.scenes import Hand
from tests.factories import StepFactory, UserFactory

EVENTS = {"Accept": "text/event-stream"}
TWO = ({"key": "one"}, {"key": "two", "params": {"x": "{{ steps.one.x }}"}})


def do(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Do something with the database from an async test, on a thread that leaves no connection behind."""

    def work() -> Any:
        try:
            return function(*args, **options)
        finally:
            connection.close()

    return sync_to_async(work, thread_sensitive=True)()


async def until(look: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(20):
        while not look():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)


@pytest.fixture
def one_connection_a_request(transactional_db, monkeypatch):
    """Connections end with their request, as under a pool: its thread ends, too."""
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 0)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(hub_module, "TICK_SECONDS", 0.01)
    monkeypatch.setattr(hub_module, "TEND_SECONDS", 0.01)


class Server:
    """The application as `config.asgi` builds it, and a cast that a hand conducts."""

    def __init__(self) -> None:
        self.application = EventStreams(Bounded(get_asgi_application()), seats=Seats(total=8, per_user=4))
        self.hub = self.application.hub
        self.hand = Hand(scenes.cast(*TWO, outputs={"x": "{{ steps.two.x }}"}))
        self.key = client_of(scenes.user()).defaults["HTTP_AUTHORIZATION"]

    @property
    def cast(self) -> Cast:
        return self.hand.cast

    async def listen(self, *, last: str = "", key: str | None = None, path: str = "", **headers: str) -> Listener:
        sent = {**EVENTS, "Authorization": self.key if key is None else key, **({"Last-Event-ID": last} if last else {}), **headers}
        return await Listener(self.application, path or f"/api/v1/casts/{self.cast.pk}/events/", sent).open()

    async def refuse(self, status: int, **options: Any) -> Listener:
        """Listen, and assert that the answer is a problem document of that status."""
        listener = await self.listen(**options)
        await listener.hear_out()
        assert (listener.status, listener.headers["content-type"]) == (status, "application/problem+json")
        return listener

    async def is_quiet(self) -> None:
        """Wait until no stream is left, and the poller has ended."""
        await until(lambda: not self.hub.streams and self.hub._poller is None and not self.hub.seats.taken())


@pytest.fixture
def server(one_connection_a_request, quick) -> Server:
    return Server()


async def test_a_stream_tells_a_cast_from_its_snapshot_to_its_end(server):
    listener = await server.listen()
    assert listener.status == 200
    assert listener.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert listener.headers["cache-control"] == "no-store"
    assert listener.headers["x-accel-buffering"] == "no"
    assert "content-length" not in listener.headers
    (snapshot,) = await listener.hear()
    assert listener.reader.retry == 2000
    assert snapshot.name == "snapshot"
    assert snapshot.data["generations"] == []
    assert snapshot.data["omitted"] == 0
    assert snapshot.data["cast"]["status"] == "queued"
    await do(server.hand.look)
    begun = await listener.hear_until(named("generation", step="one", status="running"))
    await do(server.hand.answer, "one", {"x": 7})
    await listener.hear_until(named("generation", step="one", status="succeeded", id=begun.data["id"]))
    await do(server.hand.answer, "two", {"x": 8})
    *_, end = await listener.hear_out()
    assert end.name == "end"
    assert (end.data["status"], end.data["outputs"], end.data["progress"]["percent"]) == ("succeeded", {"x": 8}, 100)
    assert named("cast", kind="succeeded")(next(event for event in listener.events if event.name == "cast"))
    await server.is_quiet()


async def test_the_snapshot_shows_the_cast_as_the_api_does(server):
    await do(server.hand.look)
    listener = await server.listen()
    (snapshot,) = await listener.hear()
    shown = await do(lambda: get(client_of(scenes.user()), f"/casts/{server.cast.pk}/").json())
    assert snapshot.data["cast"] == shown
    generation = await do(lambda: get(client_of(scenes.user()), f"/casts/{server.cast.pk}/generations/").json()["results"][0])
    (short,) = snapshot.data["generations"]
    assert short == {name: generation[name] for name in short}
    assert short.keys() >= {"id", "step", "item", "attempt", "status", "tool", "progress", "error", "cost_usd"}
    await listener.leave()
    await server.is_quiet()


async def test_progress_is_told_with_percent_stage_and_the_address_of_the_preview(server):
    await do(server.hand.look)
    listener = await server.listen()
    await listener.hear()
    picture = await do(ArtifactFactory.create, mime_type="image/png")
    progress = {"percent": 40, "stage": "painting", "preview": {"artifact": str(picture.pk)}}
    await do(Generation.objects.filter(cast=server.cast.pk).update, progress=progress)
    told = await listener.hear_until(named("progress", percent=40, stage="painting", step="one", item=0, attempt=1))
    assert told.data["preview"]["url"] == f"https://testserver/api/v1/artifacts/{picture.pk}/"
    status = listener.events[-1]
    assert status.name == "status"
    assert status.data["progress"] == {"done": 0, "total": 2, "percent": 20}
    assert "generation" not in listener.names()
    await listener.leave()
    await server.is_quiet()


async def test_a_retry_is_told_with_what_went_wrong(server):
    await do(server.hand.look)
    listener = await server.listen()
    await listener.hear()
    await do(server.hand.answer, "one", ToolError("The model is busy.", code="busy"))
    failed = await listener.hear_until(named("generation", status="failed", attempt=1))
    assert failed.data["error"]["message"] == "The model is busy."
    assert failed.data["retry_at"] is not None
    await listener.leave()
    await server.is_quiet()


async def test_who_saw_all_is_told_nothing_again_and_goes_on(server):
    await do(server.hand.look)
    first = await server.listen()
    await first.hear()
    await first.leave()
    again = await server.listen(last=first.reader.last_id)
    assert await again.hear() == []
    await do(server.hand.answer, "one", {"x": 1})
    await again.hear_until(named("generation", step="two", status="running"))
    assert "snapshot" not in again.names()
    await again.leave()
    await server.is_quiet()


async def test_who_missed_something_gets_the_events_and_a_snapshot(server):
    first = await server.listen()
    await first.hear()
    await first.leave()
    for verb in (engine.pause, engine.resume):
        await do(lambda verb=verb: verb(cast_id=server.cast.pk, actor_id=scenes.user().pk, now=database_now()))
    again = await server.listen(last=first.reader.last_id)
    await again.hear()
    assert again.names() == ["cast", "cast", "snapshot"]
    assert [event.data["kind"] for event in again.events[:2]] == ["paused", "resumed"]
    await again.leave()
    await server.is_quiet()


async def test_only_the_last_of_several_events_bears_the_id(server):
    first = await server.listen()
    (snapshot,) = await first.hear()
    await do(server.hand.look)
    await first.hear_until(named("status"))
    *earlier, last = [event for event in first.events if event is not snapshot]
    assert earlier
    assert {event.id for event in earlier} == {snapshot.id}
    assert last.id != snapshot.id
    await first.leave()
    await server.is_quiet()


@pytest.mark.parametrize("nonsense", ["x", "-", "1-", "999999999999999999-0123456789abcdef", "1-0123456789abcdef\u00e9", "0" * 5000])
async def test_an_id_that_is_not_ours_gets_a_snapshot(server, nonsense):
    listener = await server.listen(last=nonsense)
    await listener.hear()
    assert listener.names() == ["snapshot"]
    await listener.leave()
    await server.is_quiet()


def finish(hand: Hand) -> None:
    hand.look()
    hand.answer("one", {"x": 1})
    hand.answer("two", {"x": 2})


async def test_a_cast_that_has_ended_is_told_at_once_and_then_nothing_more(server):
    await do(finish, server.hand)
    listener = await server.listen()
    await listener.hear_out()
    assert listener.names() == ["snapshot", "end"]
    assert listener.headers["content-length"]
    again = await server.listen(last=listener.reader.last_id)
    assert again.status == 204
    await again.hear_out()
    await server.is_quiet()


async def test_a_cast_that_was_retried_after_its_end_is_told_again(server):
    await do(server.hand.look)
    await do(server.hand.answer, "one", ToolError("no", permanent=True))
    listener = await server.listen()
    await listener.hear_out()
    await do(lambda: engine.retry(cast_id=server.cast.pk, actor_id=scenes.user().pk, now=database_now()))
    again = await server.listen(last=listener.reader.last_id)
    await again.hear()
    assert again.names() == ["cast", "snapshot"]
    assert again.events[0].data["kind"] == "retried"
    assert not again.has_ended
    await again.leave()
    await server.is_quiet()


async def test_many_who_follow_one_cast_are_told_the_same(server):
    listeners = [await server.listen() for _ in range(4)]
    for listener in listeners:
        await listener.hear()
    await do(finish, server.hand)
    for listener in listeners:
        await listener.hear_out()
        assert listener.events[-1].data["outputs"] == {"x": 2}
    await server.is_quiet()


async def test_a_stream_tells_of_its_own_cast_alone(server):
    await do(server.hand.look)
    other = Hand(await do(scenes.cast, *TWO, slug="other"))
    await do(other.look)
    mine = await server.listen()
    theirs = await server.listen(path=f"/api/v1/casts/{other.cast.pk}/events/")
    for listener in (mine, theirs):
        await listener.hear()
    await do(other.answer, "one", {"x": 7})
    await theirs.hear_until(named("generation", step="one", status="succeeded"))
    await do(server.hand.answer, "one", {"x": 1})
    await mine.hear_until(named("generation", step="one", status="succeeded"))
    for listener, cast in ((mine, server.cast), (theirs, other.cast)):
        told = {event.data["id"] for event in listener.events if event.name == "generation"}
        assert told
        assert told <= await do(lambda cast=cast: {str(id_) for id_ in cast.generations.values_list("pk", flat=True)})
        await listener.leave()
    await server.is_quiet()


async def test_nothing_is_told_before_it_is_committed(server, monkeypatch):
    looks = []

    def look(cast_ids):
        looks.append(cast_ids)
        return standing.standings_of(cast_ids)

    monkeypatch.setattr(hub_module, "standings_of", look)
    await do(server.hand.look)
    listener = await server.listen()
    await listener.hear()
    written, may_commit = threading.Event(), threading.Event()

    def answer() -> None:
        with transaction.atomic():
            server.hand.answer("one", {"x": 1})
            written.set()
            assert may_commit.wait(20)

    answering = asyncio.ensure_future(do(answer))
    await until(written.is_set)
    before = len(looks)
    await until(lambda: len(looks) > before + 2)
    assert await listener.client.receive_nothing()
    may_commit.set()
    await answering
    await listener.hear_until(named("generation", step="one", status="succeeded"))
    await listener.leave()
    await server.is_quiet()


async def test_streams_have_one_thread_among_them_and_none_when_there_are_none(server):
    listeners = [await server.listen() for _ in range(4)]
    for listener in listeners:
        await listener.hear()
    await until(lambda: any(thread.name.startswith("streams-database") for thread in threading.enumerate()))
    streaming = [thread for thread in threading.enumerate() if thread.name.startswith("streams-database")]
    assert len(streaming) == 1
    for listener in listeners:
        await listener.leave()
    await server.is_quiet()
    await until(lambda: not streaming[0].is_alive())


async def test_a_look_takes_as_many_queries_for_many_casts_as_for_one(transactional_db, django_assert_num_queries):
    def asking(count: int) -> None:
        casts = [CastFactory.create(status="running") for _ in range(count)]
        told = [news.begin(cast_id=cast.pk, origin=Origin("https://x"), last_event_id="") for cast in casts]
        followed: dict[Subject, set[Audience]] = {
            cast.pk: {(Origin("https://x"), words.seen)} for cast, words in zip(casts, told, strict=True)
        }
        with django_assert_num_queries(4):
            assert hub_module.look(followed) == {}

    await do(asking, 1)
    await do(asking, 9)


async def test_a_silent_stream_is_kept_open_by_comments(server, monkeypatch):
    monkeypatch.setattr(hub_module, "HEARTBEAT_SECONDS", 0.05)
    listener = await server.listen()
    await listener.hear()
    while listener.reader.comments < 3:
        assert await listener.hear() == []
    await listener.leave()
    await server.is_quiet()


async def test_a_stream_ends_after_its_time_so_that_its_client_shows_again_who_it_is(server, monkeypatch):
    monkeypatch.setattr(hub_module, "LIFE_SECONDS", 0.05)
    listener = await server.listen()
    await listener.hear_out()
    assert listener.names() == ["snapshot"]
    await server.is_quiet()


async def test_the_stream_of_a_cast_that_is_deleted_ends(server):
    listener = await server.listen()
    await listener.hear()
    await do(server.cast.delete)
    await listener.hear_out()
    await server.refuse(404)
    await server.is_quiet()


async def test_a_cast_that_cannot_be_told_ends_its_streams_and_no_others(server, monkeypatch, caplog):
    good = await server.listen()
    await good.hear()
    other = await do(scenes.cast, {"key": "one"}, slug="other")
    bad = await server.listen(path=f"/api/v1/casts/{other.pk}/events/")
    await bad.hear()

    def broken(*, cast_id: Any, **options: Any) -> Any:
        if cast_id == other.pk:
            raise ValueError("broken")
        return news.go_on(cast_id=cast_id, **options)

    monkeypatch.setattr(hub_module, "go_on", broken)
    await do(Cast.objects.filter(pk=other.pk).update, cost_usd=1)
    await bad.hear_out()
    await do(finish, server.hand)
    assert (await good.hear_out())[-1].name == "end"
    assert f"What is new of cast {other.pk} cannot be told" in caplog.text
    await server.is_quiet()


async def test_streams_outlast_an_outage_of_the_database(server, monkeypatch, caplog):
    listener = await server.listen()
    await listener.hear()
    monkeypatch.setattr(hub_module, "OUTAGE_SECONDS", 0.01)
    failures = [OperationalError("the server closed the connection")] * 3

    def away(cast_ids: Any) -> Any:
        if failures:
            raise failures.pop()
        return standing.standings_of(cast_ids)

    monkeypatch.setattr(hub_module, "standings_of", away)
    await do(finish, server.hand)
    assert (await listener.hear_out())[-1].name == "end"
    assert caplog.text.count("Live events wait for the database") == 3
    await server.is_quiet()


async def test_a_poller_that_fails_ends_its_streams_and_the_next_one_begins_anew(server, monkeypatch, caplog):
    listener = await server.listen()
    await listener.hear()
    with monkeypatch.context() as broken:
        broken.setattr(hub_module, "standings_of", lambda _: 1 / 0)
        await listener.hear_out()
        await server.is_quiet()
    assert "Live events cannot be told" in caplog.text
    again = await server.listen(last=listener.reader.last_id)
    await again.hear()
    await do(finish, server.hand)
    assert (await again.hear_out())[-1].name == "end"
    await server.is_quiet()


async def test_a_client_that_takes_nothing_is_dropped(server, monkeypatch, caplog):
    monkeypatch.setattr(hub_module, "STUCK_SECONDS", 0.05)
    deaf = await stuck(server)
    with caplog.at_level(logging.WARNING):
        await asyncio.wait_for(deaf, 20)
    assert "takes nothing, and is dropped" in caplog.text
    await server.is_quiet()


async def test_a_client_for_whom_too_much_waits_is_dropped(server, monkeypatch, caplog):
    deaf = await stuck(server)
    (stream,) = server.hub.streams
    monkeypatch.setattr(stream_module, "MAX_WAITING_BYTES", 1000)
    stream.say(b"x" * 1000, now=0)
    assert not stream.is_finished
    stream.say(b"x", now=0)
    await asyncio.wait_for(deaf, 20)
    assert "takes nothing, and is dropped" in caplog.text
    await server.is_quiet()


async def stuck(server: Server) -> "asyncio.Task[None]":
    """Follow the cast as a client that takes the start alone, and return the server's task once it is stuck."""
    started, never = asyncio.Event(), asyncio.Event()
    path = f"/api/v1/casts/{server.cast.pk}/events/"
    headers = [(b"host", b"testserver"), (b"accept", b"text/event-stream"), (b"authorization", server.key.encode())]
    scope = {"type": "http", "method": "GET", "scheme": "https", "path": path, "query_string": b"", "headers": headers}
    incoming = [{"type": "http.request"}]

    async def receive() -> Any:
        return incoming.pop() if incoming else await never.wait()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            started.set()
            await never.wait()

    task = asyncio.create_task(server.application(scope, receive, send))
    await asyncio.wait_for(started.wait(), 20)
    return task


async def test_at_the_end_of_the_process_streams_end_and_no_more_begin(server):
    listener = await server.listen()
    await listener.hear()
    server.hub.stop()
    await listener.hear_out()
    assert listener.names() == ["snapshot"]
    refused = await server.refuse(503)
    assert refused.headers["retry-after"] == "10"
    assert b"streams-full" in refused.body
    await server.is_quiet()


async def test_a_signal_to_stop_is_heard_and_handed_on(server):
    handed_on = []
    before = signal.signal(signal.SIGTERM, lambda number, _: handed_on.append(number))
    try:
        ours = signal.getsignal(signal.SIGTERM)
        listener = await server.listen()
        await listener.hear()
        await until(lambda: signal.getsignal(signal.SIGTERM) is not ours)
        signal.raise_signal(signal.SIGTERM)
        await listener.hear_out()
        await server.is_quiet()
        assert handed_on == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGTERM) is ours
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_a_user_has_so_many_streams_and_a_process_so_many(server):
    mine = [await server.listen() for _ in range(4)]
    refused = await server.refuse(429)
    assert refused.headers["retry-after"] == "10"
    assert b"You have 4 streams open" in refused.body
    staff = await do(lambda: client_of(UserFactory.create(is_staff=True)).defaults["HTTP_AUTHORIZATION"])
    theirs = [await server.listen(key=staff) for _ in range(4)]
    other = await do(lambda: client_of(UserFactory.create(is_staff=True)).defaults["HTTP_AUTHORIZATION"])
    await server.refuse(503, key=other)
    for listener in (*mine, *theirs):
        await listener.leave()
    await server.is_quiet()
    again = await server.listen()
    assert again.status == 200
    await again.leave()
    await server.is_quiet()


@pytest.mark.parametrize("who", ["anonymous", "stranger", "owner", "staff"])
async def test_who_may_follow_a_cast(server, who):
    asking = await do(people)
    key = "" if asking[who] is None else (await do(client_of, asking[who])).defaults["HTTP_AUTHORIZATION"]
    await do(Cast.objects.filter(pk=server.cast.pk).update, initiator=asking["owner"])
    listener = await Listener(
        server.application, f"/api/v1/casts/{server.cast.pk}/events/", {**EVENTS, **({"Authorization": key} if key else {})}
    ).open()
    assert listener.status == {"anonymous": 401, "stranger": 404, "owner": 200, "staff": 200}[who]
    if listener.status != 200:
        await listener.hear_out()
        assert listener.headers["content-type"] == "application/problem+json"
    else:
        await listener.leave()
    await server.is_quiet()


async def test_a_browser_that_is_logged_in_needs_no_key(server):
    client = await do(lambda: logged_in(scenes.user()))
    cookie = f"{django_settings.SESSION_COOKIE_NAME}={client.cookies[django_settings.SESSION_COOKIE_NAME].value}"
    listener = await Listener(server.application, f"/api/v1/casts/{server.cast.pk}/events/", {**EVENTS, "Cookie": cookie}).open()
    assert listener.status == 200
    await listener.leave()
    await server.is_quiet()


def logged_in(user: Any) -> Any:
    client = client_of()
    client.force_login(user)
    return client


async def test_a_link_lets_whoever_has_it_follow(server):
    made = await do(lambda: post(client_of(scenes.user()), f"/casts/{server.cast.pk}/events/link/"))
    assert made.status_code == 201
    path = made.json()["url"].removeprefix("https://testserver")
    listener = await Listener(server.application, path, EVENTS).open()
    assert listener.status == 200
    await listener.hear()
    assert listener.names() == ["snapshot"]
    assert server.hub.seats.taken() == 1
    await listener.leave()
    await server.is_quiet()


# Without the branch that serves streams


@pytest.fixture
def cast(db) -> Cast:
    cast = CastFactory.create(status="running")
    WakeupFactory.create(cast=cast)
    CastEventFactory.create(cast=cast, actor=cast.initiator)
    return cast


def events_of(response: Any) -> list[Any]:
    assert response.status_code == 200, response.content
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    return Reader().read(response.content)


def test_without_asgi_each_answer_is_what_is_new_by_then(cast):
    client, path = client_of(cast.initiator), f"/casts/{cast.pk}/events/"
    (snapshot,) = events_of(get(client, path, **EVENTS))
    assert snapshot.name == "snapshot"
    assert events_of(get(client, path, **EVENTS, Last_Event_ID=snapshot.id)) == []
    CastEventFactory.create(cast=cast, kind="paused")
    assert [event.name for event in events_of(get(client, path, **EVENTS, Last_Event_ID=snapshot.id))] == ["cast", "snapshot"]


def test_the_list_stays_json_for_whoever_does_not_ask_for_a_stream(cast):
    client, path = client_of(cast.initiator), f"/casts/{cast.pk}/events/"
    for accept in ("*/*", "application/json", "application/json, text/*"):
        assert [event["kind"] for event in get(client, path, Accept=accept).json()["results"]] == ["started"], accept
    assert_problem(get(client, path, Accept="text/html"), 406, "Accept")
    assert client.head(f"/api/v1{path}").status_code == 200
    assert_problem(get(client, path, {"status": "x"}, **EVENTS), 400, "status")


def test_the_events_behind_a_link_can_be_read_as_a_list_page_by_page(cast):
    CastEventFactory.create(cast=cast, kind="paused")
    url = post(client_of(cast.initiator), f"/casts/{cast.pk}/events/link/").json()["url"]
    page = client_of().get(f"{url}&page_size=1").json()
    assert [event["kind"] for event in page["results"]] == ["started"]
    assert [event["kind"] for event in client_of().get(page["next"]).json()["results"]] == ["paused"]


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json"])
def test_a_link_is_for_the_events_of_one_cast(cast, accept):
    other = CastFactory.create()
    url = post(client_of(cast.initiator), f"/casts/{cast.pk}/events/link/").json()["url"]
    signature = url.partition("=")[2]
    for path in (f"/casts/{other.pk}/events/?signature={signature}", f"/casts/{cast.pk}/events/?signature={signature}x"):
        assert_problem(get(client_of(), path, Accept=accept), 403, "signature", name="link-refused")
    assert_problem(get(client_of(), f"/artifacts/{cast.pk}/?signature={signature}"), 403, "signature")


def test_a_link_is_for_an_hour(cast):
    for minutes, status in ((59, 200), (61, 403)):
        signature, _ = LINKS.sign(id=cast.pk, now=timezone.now() - timedelta(minutes=minutes))
        assert get(client_of(), f"/casts/{cast.pk}/events/?signature={signature}", **EVENTS).status_code == status


@pytest.mark.parametrize("who", ["anonymous", "stranger", "owner", "staff"])
def test_who_may_make_a_link(cast, who):
    asking = people()
    Cast.objects.filter(pk=cast.pk).update(initiator=asking["owner"])
    response = post(client_of(asking[who]), f"/casts/{cast.pk}/events/link/")
    assert response.status_code == {"anonymous": 401, "stranger": 404, "owner": 201, "staff": 201}[who]


def test_a_snapshot_of_very_many_generations_shows_those_at_work_and_the_newest(cast, monkeypatch):
    monkeypatch.setattr(news, "MAX_GENERATIONS", 3)
    step = StepFactory.create(version=cast.version)
    GenerationFactory.create(cast=cast, step=step, item=0, status="submitted")
    for item in range(1, 6):
        GenerationFactory.create(cast=cast, step=step, item=item, status="succeeded")
    (snapshot,) = events_of(get(client_of(cast.initiator), f"/casts/{cast.pk}/events/", **EVENTS))
    assert [shown["item"] for shown in snapshot.data["generations"]] == [0, 4, 5]
    assert snapshot.data["omitted"] == 3


def test_very_many_changes_are_told_as_a_snapshot(cast, monkeypatch):
    monkeypatch.setattr(news, "MAX_GENERATIONS", 3)
    step = StepFactory.create(version=cast.version)
    origin = Origin("https://testserver")
    seen = news.begin(cast_id=cast.pk, origin=origin, last_event_id="").seen
    for item in range(4):
        GenerationFactory.create(cast=cast, step=step, item=item, status="succeeded")
    told = hub_module.look({cast.pk: {(origin, seen)}})[cast.pk]
    (words,) = told.values()
    assert [event.name for event in Reader().read(words.data)] == ["snapshot"]
