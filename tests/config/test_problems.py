"""What is wrong with a request is told as a problem document, and tells nothing else."""

import json

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from casts import views
from casts.models import Cast
from tests.api import ApiClient, assert_problem, client_of, get, post, raw
from tests.factories import UserFactory, published


@pytest.mark.parametrize("method", ["get", "post", "put", "delete", "options"])
@pytest.mark.parametrize(
    "path", ["/api/", "/api/v1/nope/", "/api/v2/casts/", "/api/v1/casts/nope/nope/", "/api/v1/%00/", "/api/v1/é/", "/api//"]
)
def test_an_address_that_does_not_exist_is_a_problem(method, path):
    told = assert_problem(getattr(ApiClient(), method)(path), 404, name="not-found")
    assert told["errors"] == []


def test_an_address_without_its_last_slash_is_told_the_right_one():
    assert "Did you mean /api/v1/casts/ " in assert_problem(ApiClient().post("/api/v1/casts"), 404)["detail"]
    assert "Did you mean" not in assert_problem(ApiClient().get("/api/v1/nope"), 404)["detail"]


def test_outside_of_the_api_pages_are_pages():
    response = ApiClient().get("/nope")
    assert (response.status_code, response.headers["Content-Type"]) == (404, "text/html; charset=utf-8")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("delete", "/casts/", "GET, POST, HEAD, OPTIONS"),
        ("put", "/casts/019a5d0c-61c5-7c0f-9d5e-3f1f6f1c9a10/", "GET, HEAD, OPTIONS"),
        ("get", "/casts/019a5d0c-61c5-7c0f-9d5e-3f1f6f1c9a10/cancel/", "POST, OPTIONS"),
        ("get", "/spells/validate/", "POST, OPTIONS"),
        ("get", "/artifacts/", "POST, OPTIONS"),
        ("post", "/schema/", "GET, HEAD, OPTIONS"),
        ("trace", "/casts/", "GET, POST, HEAD, OPTIONS"),
    ],
)
def test_a_method_that_does_not_exist_is_a_problem_that_tells_those_that_do(method, path, allowed):
    response = getattr(client_of(UserFactory.create()), method)(f"/api/v1{path}")
    assert_problem(response, 405, name="method-not-allowed")
    assert response.headers["Allow"] == allowed


@pytest.mark.django_db
@pytest.mark.parametrize("accept", ["text/event-stream", "text/html", "application/xml", "image/*", "nonsense"])
def test_an_answer_of_another_type_is_refused(accept):
    assert_problem(get(client_of(UserFactory.create()), "/casts/", Accept=accept), 406, "Accept", name="not-acceptable")


@pytest.mark.django_db
@pytest.mark.parametrize("accept", ["application/json", "*/*", "text/html,*/*;q=0.8"])
def test_json_is_given_to_whoever_takes_it(accept):
    response = get(client_of(UserFactory.create()), "/casts/", Accept=accept)
    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/json")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "nonsense",
        "application/json; charset=utf-16",
    ],
)
def test_a_body_of_another_type_is_refused(content_type):
    assert_problem(
        raw(client_of(UserFactory.create()), "/casts/", b'{"spell": "story"}', content_type),
        415,
        "Content-Type",
        name="unsupported-media-type",
    )


@pytest.mark.django_db
@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "application/json;charset=UTF8", "APPLICATION/JSON"]
)
def test_json_is_read_under_any_of_its_names(content_type):
    published(slug="story", visibility="public")
    assert raw(client_of(UserFactory.create()), "/casts/", b'{"spell": "story"}', content_type).status_code == 201


DEEP = b'{"spell": "story", "inputs": {"a": ' + b"[" * 10_000 + b"]" * 10_000 + b"}}"

MALFORMED = [
    (b"", "", "is missing"),
    (b"{", "", "no JSON"),
    (b"{}}", "", "Extra data at line 1, column 3"),
    (b"\xff\xfe{}", "", "not UTF-8: byte 0xff at offset 0"),
    (b'{"spell": "\xed\xa0\x80"}', "", "not UTF-8"),
    (b'\xef\xbb\xbf{"spell": "story"}', "", "no JSON"),
    (b'{"spell": "a", "spell": "b"}', "", "'spell' is given twice"),
    (b'{"spell": "story", "inputs": {"n": NaN}}', "", "NaN is not a finite number"),
    (b'{"spell": "story", "inputs": {"n": -Infinity}}', "", "-Infinity is not a finite number"),
    (b'{"spell": "story", "inputs": {"n": 1e999}}', "inputs.n", "is not a finite number"),
    (b'{"spell": "story", "inputs": {"n": ' + b"9" * 50_000 + b"}}", "", "beyond 64 bits"),
    (b'{"spell": "story", "inputs": {"n": 99999999999999999999999}}', "inputs.n", "beyond 64 bits"),
    (b'{"spell": "story", "inputs": {"theme": "a\\u0000b"}}', "inputs.theme", "NUL"),
    (b'{"spell": "story", "inputs": {"theme": "\\ud800"}}', "inputs.theme", "surrogate"),
    (b'{"spell": "story", "inputs": {"a\\u0000": 1}}', "inputs", "NUL"),
    (b'{"spell": "story\x00"}', "", "Invalid control character"),
    (DEEP, "", "nested too deeply"),
    (b"[" * 500 + b"]" * 500, "[0][0][0]", "nested deeper than 66 levels"),
    (b'{"a":' * 5000 + b"1" + b"}" * 5000, "", "nested too deeply"),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("body", "path", "words"), MALFORMED[1:], ids=[words for _, _, words in MALFORMED[1:]])
def test_a_body_that_is_not_json_is_refused_with_what_is_wrong(body, path, words):
    ada = UserFactory.create()
    published(slug="story", owner=ada)
    client = client_of(ada)
    with CaptureQueriesContext(connection) as captured:
        told = assert_problem(raw(client, "/casts/", body), 400, path, name="malformed")
    assert words in told["detail"]
    assert len(captured) == 1  # who asks
    assert not Cast.objects.exists()


@pytest.mark.django_db
def test_an_empty_body_says_nothing():
    assert_problem(raw(client_of(UserFactory.create()), "/casts/", b""), 422, "spell")


@pytest.mark.django_db
@pytest.mark.parametrize("size", [5 * 1024 * 1024 + 1, 20 * 1024 * 1024])
def test_a_body_above_the_limit_is_refused_before_it_is_read(size):
    told = assert_problem(raw(client_of(UserFactory.create()), "/casts/", b" " * size), 413, name="too-large")
    assert "5,242,880 bytes" in told["detail"]


@pytest.mark.django_db
def test_a_body_at_the_limit_is_read(settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10_000
    body = b'{"spell": "story"' + b" " * (10_000 - 18) + b"}"
    assert len(body) == 10_000
    assert_problem(raw(client_of(UserFactory.create()), "/casts/", body), 422, "spell")
    assert_problem(raw(client_of(UserFactory.create()), "/casts/", body + b" "), 413)


@pytest.mark.django_db
def test_what_nobody_foresaw_is_told_without_a_word_of_it(monkeypatch, caplog):
    def fail(**_: object) -> None:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(views, "place", fail)
    published(slug="story", visibility="public")
    client = client_of(UserFactory.create(), raise_request_exception=False)
    response = post(client, "/casts/", {"spell": "story"}, X_Request_ID="edge-7")
    told = assert_problem(response, 500, name="internal-error")
    assert "hunter2" not in json.dumps(told)
    assert "RuntimeError" not in json.dumps(told)
    assert "edge-7" in told["detail"]
    assert "hunter2" in caplog.text
    assert not Cast.objects.exists()


@pytest.mark.django_db
def test_a_database_that_cannot_be_reached_is_told_with_when_to_come_back(monkeypatch, caplog):
    def fail(**_: object) -> None:
        raise OperationalError('connection to server at "db.internal" failed')

    monkeypatch.setattr(views, "place", fail)
    published(slug="story", visibility="public")
    response = post(client_of(UserFactory.create()), "/casts/", {"spell": "story"})
    assert "db.internal" not in json.dumps(assert_problem(response, 503, name="unavailable"))
    assert response.headers["Retry-After"] == "5"
    assert "db.internal" in caplog.text


@pytest.mark.django_db
def test_a_failure_of_a_page_is_a_page(monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("config.health.require_migrations", fail)
    response = ApiClient(raise_request_exception=False).get("/readyz")
    assert (response.status_code, response.headers["Content-Type"]) == (500, "text/html; charset=utf-8")


def test_a_host_that_is_not_ours_is_a_problem():
    assert_problem(ApiClient(headers={"Host": "evil.example"}).get("/api/v1/casts/"), 400, name="malformed")
