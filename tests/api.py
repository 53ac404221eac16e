"""Clients of the API for tests: who asks, and what an answer must look like."""

import json
from typing import Any

from django.contrib.auth.models import User
from django.test import Client
from knox.models import AuthToken

from tests.factories import UserFactory

PROBLEM_NAMES = {"type", "title", "status", "detail", "errors"}


class ApiClient(Client):
    """A client that comes over TLS, as all do in production."""

    def generic(self, *args: Any, **kwargs: Any) -> Any:
        return super().generic(*args, **{**kwargs, "secure": True})


def client_of(user: User | None = None, **options: Any) -> ApiClient:
    """Return a client that sends a key of `user`, or none."""
    if user is None:
        return ApiClient(**options)
    _, key = AuthToken.objects.create(user)
    return ApiClient(headers={"Authorization": f"Bearer {key}"}, **options)


def people() -> dict[str, User | None]:
    """Return who may ask: nobody, a stranger, the owner, and one of the staff."""
    return {"anonymous": None, "stranger": UserFactory.create(), "owner": UserFactory.create(), "staff": UserFactory.create(is_staff=True)}


def post(client: Client, path: str, body: Any = None, **headers: str) -> Any:
    """Send a body as JSON, or none; header names with underscores for hyphens."""
    data = b"" if body is None else json.dumps(body)
    return client.post(f"/api/v1{path}", data, content_type="application/json", headers=_hyphened(headers))


def put(client: Client, path: str, body: Any) -> Any:
    return client.put(f"/api/v1{path}", json.dumps(body), content_type="application/json")


def patch(client: Client, path: str, body: Any) -> Any:
    return client.patch(f"/api/v1{path}", json.dumps(body), content_type="application/json")


def get(client: Client, path: str, query: Any = None, **headers: str) -> Any:
    return client.get(f"/api/v1{path}", query, headers=_hyphened(headers))


def raw(client: Client, path: str, body: bytes, content_type: str = "application/json") -> Any:
    return client.post(f"/api/v1{path}", body, content_type=content_type)


def _hyphened(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def assert_problem(response: Any, status: int, *paths: str, name: str | None = None) -> dict[str, Any]:
    """Assert that an answer is a problem document of that status whose errors name these places, and return it."""
    assert response.status_code == status, response.content[:500]
    assert response.headers["Content-Type"] == "application/problem+json"
    told: dict[str, Any] = json.loads(response.content)
    assert told.keys() == PROBLEM_NAMES
    assert told["status"] == status
    assert told["type"].startswith("urn:grimoire:problem:")
    assert told["title"]
    assert told["detail"]
    if name is not None:
        assert told["type"] == f"urn:grimoire:problem:{name}"
    if paths:
        assert [error["path"] for error in told["errors"]] == list(paths)
        assert all(error["message"] for error in told["errors"])
    return told
