import re
from typing import Any

import pytest
import structlog
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory

from config.middleware import request_ids


def seen_id(request: HttpRequest) -> HttpResponse:
    return HttpResponse(structlog.contextvars.get_contextvars()["request_id"])


def test_a_request_is_logged_under_the_id_that_its_answer_carries(rf: RequestFactory):
    response = request_ids(seen_id)(rf.get("/"))
    assert isinstance(response, HttpResponse)
    assert response.headers["X-Request-ID"] == response.content.decode()
    assert re.fullmatch("[0-9a-f]{32}", response.headers["X-Request-ID"])
    assert "request_id" not in structlog.contextvars.get_contextvars()


def test_a_proxy_may_give_the_id(client: Client):
    assert client.get("/healthz", headers={"X-Request-ID": "edge-7.f_3"}).headers["X-Request-ID"] == "edge-7.f_3"


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, 'a"}', "é"])
def test_an_id_that_is_unfit_for_a_log_is_replaced(client: Client, given: str):
    answered = client.get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"]
    assert re.fullmatch("[0-9a-f]{32}", answered)


async def test_it_works_over_asgi(async_client: AsyncClient):
    response = await async_client.get("/healthz", headers={"X-Request-ID": "edge-8"})
    assert response.headers["X-Request-ID"] == "edge-8"


async def test_an_async_view_is_logged_under_its_id(rf: RequestFactory):
    async def view(request: HttpRequest) -> HttpResponse:
        return seen_id(request)

    answer: Any = request_ids(view)(rf.get("/", headers={"X-Request-ID": "edge-9"}))
    assert (await answer).content == b"edge-9"
