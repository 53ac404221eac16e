"""Bodies under ASGI: bounded while they come in, with a length or without one."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.core.asgi import get_asgi_application
from django.db import connection
from knox.models import AuthToken

from config.bodies import Bounded
from tests.factories import UserFactory, published

LIMIT = 4096


@pytest.fixture(autouse=True)
def small_limits(settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = LIMIT
    settings.GRIMOIRE_MAX_UPLOAD_BYTES = 2 * LIMIT


class Taker:
    """An application that takes a whole body and answers with its length and what it was told of it."""

    def __init__(self) -> None:
        self.taken = 0
        self.disconnected = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.disconnected = True
                return
            self.taken += len(message["body"])
            if not message["more_body"]:
                break
        length = dict(scope["headers"]).get(b"content-length", b"none")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": length})


async def answer(application: Any, *pieces: bytes, headers: Mapping[str, str] | None = None, path: str = "/") -> tuple[int, bytes]:
    """Send a request in pieces, and return status and body of the answer."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "https",
        "path": path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in {"host": "testserver", **(headers or {})}.items()],
    }
    communicator = ApplicationCommunicator(Bounded(application), scope)
    for place, piece in enumerate(pieces):
        await communicator.send_input({"type": "http.request", "body": piece, "more_body": place < len(pieces) - 1})
    start = await communicator.receive_output(timeout=20)
    body = b""
    more = True
    while more:
        message = await communicator.receive_output(timeout=20)
        body += message.get("body", b"")
        more = message.get("more_body", False)
    await communicator.wait(timeout=20)
    return start["status"], body


async def test_a_body_within_the_limit_passes():
    assert await answer(Taker(), b"x" * LIMIT, headers={"content-length": str(LIMIT)}) == (200, str(LIMIT).encode())


async def test_a_length_above_the_limit_is_refused_before_a_byte_is_taken():
    taker = Taker()
    status, body = await answer(taker, b"", headers={"Content-Length": str(LIMIT + 1)})
    assert status == 413
    assert json.loads(body)["type"] == "urn:grimoire:problem:too-large"
    assert taker.taken == 0


async def test_a_body_in_pieces_is_refused_as_soon_as_it_is_too_large():
    taker = Taker()
    status, _ = await answer(taker, b"x" * LIMIT, b"x", b"x" * LIMIT)
    assert (status, taker.taken, taker.disconnected) == (413, LIMIT, True)


async def test_a_length_that_lies_does_not_help():
    taker = Taker()
    status, _ = await answer(taker, b"x" * (LIMIT + 1), headers={"content-length": "1"})
    assert (status, taker.taken) == (413, 0)


async def test_a_body_in_pieces_gets_its_length():
    assert await answer(Taker(), b"abc", b"defg") == (200, b"7")


async def test_an_upload_may_be_larger():
    headers = {"content-type": "Multipart/Form-Data; boundary=x"}
    assert (await answer(Taker(), b"x" * 2 * LIMIT, headers=headers))[0] == 200
    assert (await answer(Taker(), b"x" * (2 * LIMIT + 65 * 1024), headers=headers))[0] == 413


async def test_what_is_no_request_passes_as_it_is():
    seen = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, receive, send))

    await Bounded(application)({"type": "lifespan"}, 1, 2)  # type: ignore[arg-type]
    assert seen == [({"type": "lifespan"}, 1, 2)]


@pytest.fixture
def key(transactional_db, monkeypatch) -> str:
    """A key of a user with a spell. Connections end with their request, as under a pool: its thread ends, too."""
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", 0)
    ada = UserFactory.create()
    published(slug="story", owner=ada)
    return str(AuthToken.objects.create(ada)[1])


async def test_a_chunked_body_is_read_by_the_api(key):
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    pieces = (b'{"spell": ', b'"story"}')
    status, body = await answer(get_asgi_application(), *pieces, headers=headers, path="/api/v1/casts/")
    assert (status, json.loads(body)["spell"]) == (201, "story")


async def test_a_chunked_body_above_the_limit_never_reaches_the_api(key):
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    status, body = await answer(get_asgi_application(), b" " * LIMIT, b" " * LIMIT, headers=headers, path="/api/v1/casts/")
    assert (status, json.loads(body)["status"]) == (413, 413)
