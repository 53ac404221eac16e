"""How requests reach Django under ASGI."""

import asyncio
import json
import threading

import pytest
from asgiref.testing import ApplicationCommunicator
from django.core.signals import got_request_exception, request_started
from django.db import close_old_connections, reset_queries
from django.urls import path
from rest_framework.response import Response
from rest_framework.views import APIView

from config import handler


class Threads(APIView):
    permission_classes = []

    def get(self, request, **_):
        if "broken" in request.query_params:
            raise RuntimeError("broken")
        if "meet" in request.query_params:
            meeting[0].wait()
        return Response({"thread": threading.get_ident(), "name": request.query_params.get("name", "")})


urlpatterns = [path("threads/", Threads.as_view())]
seen: list[int] = []
meeting: list[threading.Barrier] = []


def remember_thread(get_response):
    def answer(request):
        seen.append(threading.get_ident())
        return get_response(request)

    return answer


async def asked(application, *, query: bytes = b"") -> tuple[int, bytes]:
    scope = {"type": "http", "method": "GET", "path": "/threads/", "query_string": query, "headers": [(b"host", b"localhost")]}
    talk = ApplicationCommunicator(application, scope)
    await talk.send_input({"type": "http.request", "body": b""})
    start, body = await talk.receive_output(10), await talk.receive_output(10)
    await talk.wait()
    return start["status"], body["body"]


@pytest.fixture
def application(settings):
    settings.ROOT_URLCONF = __name__
    settings.SECURE_SSL_REDIRECT = False
    settings.MIDDLEWARE = [f"{__name__}.remember_thread", *settings.MIDDLEWARE, f"{__name__}.remember_thread"]
    seen.clear()
    return handler.application()


@pytest.mark.django_db(transaction=True)
async def test_a_request_is_on_one_thread_from_the_first_middleware_to_the_view(application):
    status, body = await asked(application, query=b"name=%C3%A4")
    assert status == 200
    assert len(set(seen)) == 1
    assert body == b'{"thread":%d,"name":"\xc3\xa4"}' % seen[0]
    assert seen[0] != threading.get_ident()


@pytest.mark.django_db(transaction=True)
async def test_what_django_does_before_each_request_is_done_once_and_on_its_thread(settings, monkeypatch):
    done: list[tuple[str, int]] = []

    def note(**named: object) -> None:
        done.append(("told" if "scope" in named else "called", threading.get_ident()))

    request_started.connect(note)
    monkeypatch.setattr(handler, "BEFORE", (note,))
    settings.ROOT_URLCONF, settings.SECURE_SSL_REDIRECT = __name__, False
    _, body = await asked(handler.application())
    assert done == [("called", json.loads(body)["thread"])]


def test_django_itself_does_nothing_before_a_request_that_it_would_need_a_thread_for(monkeypatch):
    assert set(handler.BEFORE) == {reset_queries, close_old_connections}
    for prepare in handler.BEFORE:
        request_started.connect(prepare)
    handler.application()
    heard = [receiver() for _, receiver, *_ in request_started.receivers]
    try:
        assert not set(handler.BEFORE) & set(heard)
    finally:
        for prepare in handler.BEFORE:
            request_started.connect(prepare)


@pytest.mark.django_db(transaction=True)
async def test_what_a_view_raises_is_answered_with_500_and_told(application):
    told: list[str] = []
    got_request_exception.connect(lambda **_: told.append("told"), weak=False, dispatch_uid="test_handler")
    try:
        status, _ = await asked(application, query=b"broken=1")
    finally:
        got_request_exception.disconnect(dispatch_uid="test_handler")
    assert (status, told) == (500, ["told"])


@pytest.mark.django_db(transaction=True)
async def test_requests_one_after_the_other_have_the_same_thread_and_those_at_once_their_own(application):
    first = json.loads((await asked(application))[1])["thread"]
    assert json.loads((await asked(application))[1])["thread"] == first
    seen.clear()
    meeting.append(threading.Barrier(3, timeout=10))
    try:
        await asyncio.gather(*(asked(application, query=b"meet=1") for _ in range(3)))
    finally:
        meeting.clear()
    assert len(set(seen)) == 3
    assert first in seen


@pytest.mark.django_db(transaction=True)
async def test_no_more_threads_are_kept_than_are_of_use(application, monkeypatch):
    monkeypatch.setattr(handler, "MOST_IDLE", 2)
    meeting.append(threading.Barrier(4, timeout=10))
    try:
        await asyncio.gather(*(asked(application, query=b"meet=1") for _ in range(4)))
    finally:
        meeting.clear()
    before = set(seen)
    assert len(before) == 4
    ended = [thread for thread in threading.enumerate() if thread.ident in before]
    for thread in ended:
        thread.join(0.5)
    assert sum(thread.is_alive() for thread in ended) == 2
    assert (await asked(application))[0] == 200
