"""The line of each request: who asked for what, under one id, and without secrets."""

from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from config.access import Observed, shown_path
from config.middleware import SEEN

SIGNED = "/api/v1/callbacks/replicate/019abcdef0123456789abcdef0123456.hunter2-hunter2-hunter2-hunter2-hunter2-abc/"


class Answering:
    """An application that answers, and remembers what it was given."""

    def __init__(self, status: int = 200, *, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        self.status = status
        self.headers = headers
        self.scope: dict[str, Any] = {}
        self.bound: dict[str, Any] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope, self.bound = scope, structlog.contextvars.get_contextvars()
        if self.status:
            scope[SEEN].route = "api/v1/casts/"
            await send({"type": "http.response.start", "status": self.status, "headers": list(self.headers)})
            await send({"type": "http.response.body", "body": b""})


async def ask(application: Any, *, path: str = "/api/v1/casts/", method: str = "GET", **headers: str) -> tuple[list[Any], list[Any]]:
    """Send a request, and return the log lines and the messages of the answer."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    given = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "query_string": b"token=hunter2", "headers": given}
    with capture_logs() as lines:
        await Observed(application)(scope, None, send)
    return lines, sent


async def test_a_request_is_told_in_one_line_with_the_id_that_its_answer_bears():
    application = Answering(201)
    [line], [start, _] = await ask(application, method="POST", x_request_id="edge-7")
    assert {name: line[name] for name in ("event", "method", "path", "status", "log_level")} == {
        "event": "request",
        "method": "POST",
        "path": "/api/v1/casts/",
        "status": 201,
        "log_level": "info",
    }
    assert line["seconds"] >= 0
    assert start["headers"] == [(b"x-request-id", b"edge-7")]
    assert application.bound["request_id"] == application.scope[SEEN].request_id == "edge-7"
    assert "request_id" not in structlog.contextvars.get_contextvars()


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, 'a"}', "é", "a\nb"])
async def test_an_id_that_is_unfit_is_replaced(given: str):
    application = Answering()
    _, [start, _] = await ask(application, x_request_id=given)
    [(_, answered)] = start["headers"]
    assert len(answered) == 32
    assert answered.decode() == application.bound["request_id"]


async def test_an_id_that_the_application_sets_does_not_stand_beside_ours():
    application = Answering(headers=((b"X-Request-ID", b"other"), (b"content-type", b"text/plain")))
    _, [start, _] = await ask(application, x_request_id="edge-7")
    assert start["headers"] == [(b"content-type", b"text/plain"), (b"x-request-id", b"edge-7")]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_that_a_probe_went_well_is_no_news_and_that_it_did_not_is(path: str):
    assert (await ask(Answering(), path=path))[0] == []
    assert [line["status"] for line in (await ask(Answering(503), path=path))[0]] == [503]


async def test_a_fault_of_ours_is_a_warning_and_a_client_that_left_is_told():
    assert (await ask(Answering(500)))[0][0]["log_level"] == "warning"
    assert (await ask(Answering(0)))[0][0]["status"] == 499


async def test_an_exception_is_told_and_goes_on():
    class Broken:
        async def __call__(self, *_: Any) -> None:
            raise ZeroDivisionError

    with capture_logs() as lines, pytest.raises(ZeroDivisionError):
        await Observed(Broken())({"type": "http", "method": "GET", "path": "/", "headers": []}, None, None)
    assert [line["event"] for line in lines] == ["request"]


async def test_no_query_and_no_signature_is_told():
    lines, _ = await ask(Answering(), path=SIGNED)
    assert "hunter2" not in str(lines)
    assert lines[0]["path"] == "/api/v1/callbacks/replicate/019abcdef0123456789abcdef0123456"


async def test_a_method_that_is_none_is_told_as_such():
    assert (await ask(Answering(), method="A" * 1000))[0][0]["method"] == "_OTHER"


async def test_what_is_no_request_is_passed_on():
    application = Answering(0)
    await Observed(application)({"type": "lifespan"}, None, None)
    assert application.scope == {"type": "lifespan"}


def test_a_path_is_not_told_without_end():
    assert len(shown_path("/" + "x" * 10_000)) == 300
