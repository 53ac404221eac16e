"""Requests that must not be made twice: which answers prove that nothing was begun, and where redirects may lead."""

from decimal import Decimal
from typing import Any

import pytest

from generations.tools.contract import ToolError
from generations.tools.http_errors import status_error
from generations.tools.provider_api import ProviderApi

from .toolbox import awaited, request_for, run
from .website import Page, Website, website

OPEN = {"allow_private_addresses": True}
SAID = b'{"error": {"message": "All our machines are busy."}}'


@pytest.fixture
def site():
    with website() as server:
        yield server


@pytest.fixture
def elsewhere():
    with website("127.0.0.2") as server:
        yield server


def api_of(site: Website, **more: Any) -> ProviderApi:
    return ProviderApi(base_url=site.url("/v1"), timeout_seconds=5, secret_headers={"Authorization": "Bearer s3cret"}, **more)


def refused(api: ProviderApi, method: str, path: str = "jobs", **options: Any) -> ToolError:
    with pytest.raises(ToolError) as raised:
        awaited(api.send(method, path, **options))
    return raised.value


def call(site: Website, method: str, path: str = "/a", *, max_bytes: int = 1000) -> ToolError:
    inputs = {"url": site.url(path), "method": method, **({"body": "x"} if method != "GET" else {})}
    with pytest.raises(ToolError) as raised:
        run(request_for("http.request", inputs, config={**OPEN, "max_bytes": max_bytes}, pricing={"per_call": "0.002"}))
    return raised.value


DEFINITE = [
    *((status, {}, b"") for status in (400, 401, 402, 403, 404, 405, 409, 410, 413, 415, 422, 425, 429, 451)),
    *((status, {}, b"<html>no</html>") for status in (404, 429, 501, 505, 511)),
    (503, {"retry-after": "7"}, b""),
    (503, {"retry-after-ms": "700"}, b"<html>Maintenance</html>"),
    (503, {}, SAID),
    (500, {}, SAID),
    (500, {}, b'{"detail": [{"loc": ["a"], "msg": "No such node."}]}'),
    (307, {"location": "/b"}, b""),
    (308, {"location": "/b"}, b""),
]
OPEN_ENDED = [
    *((status, {"retry-after": "7"}, SAID) for status in (408, 499, 502, 504, 507, *range(520, 531), 598, 599)),
    (500, {}, b""),
    (500, {}, b"Internal Server Error"),
    (500, {}, b'{"status": 500, "error": "Internal Server Error"}'),
    (500, {}, b'{"message": "Internal server error"}'),
    (500, {"retry-after": "7"}, b"<html>"),
    (503, {}, b""),
    (503, {}, b"upstream connect error or disconnect/reset before headers"),
    (503, {}, b'{"message": "Service Unavailable"}'),
    (503, {}, b'{"message": "Service unavailable."}'),
    (503, {"retry-after": "soon"}, b"<html>"),
    *((status, {"location": "/b"}, SAID) for status in (301, 302, 303)),
    (304, {}, b""),
]


@pytest.mark.parametrize(
    ("status", "headers", "body", "is_open"), [*((*each, False) for each in DEFINITE), *((*each, True) for each in OPEN_ENDED)], ids=str
)
def test_only_an_answer_that_proves_that_nothing_was_begun_is_definite(status, headers, body, is_open):
    assert status_error(status, headers, body, host="h", is_submission=True).ambiguous is is_open
    assert status_error(status, headers, body, host="h").ambiguous is False


def test_a_hint_to_try_again_proves_nothing():
    told = status_error(502, {"x-should-retry": "true"}, SAID, host="h", is_submission=True)
    assert (told.permanent, told.ambiguous) == (False, True)


@pytest.mark.parametrize(
    ("method", "status", "ambiguous"),
    [("POST", 502, True), ("PUT", 504, True), ("DELETE", 408, True), ("POST", 404, False), ("GET", 502, False)],
)
def test_a_submission_is_told_by_its_method(site, method, status, ambiguous):
    site.put("/v1/jobs", b"", status=status)
    assert refused(api_of(site), method).ambiguous is ambiguous


@pytest.mark.parametrize(("method", "repeatable"), [("POST", True), ("GET", False)])
@pytest.mark.parametrize(
    "page",
    [{"status": 502}, {"drop": True}, {"body": b" " * 2000}, {"headers": {"Content-Encoding": "gzip"}}],
    ids=["gateway", "lost", "large", "compressed"],
)
def test_or_by_whoever_knows_better(site, method, repeatable, page):
    site.pages["/v1/jobs"] = Page(**{"body": b"x", **page})
    assert refused(api_of(site), method, repeatable=repeatable, max_bytes=1000).ambiguous is not repeatable


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000], ids=lambda body: str(body)[:10])
def test_a_success_that_cannot_be_read_leaves_a_submission_open(site, method, body):
    site.put("/v1/jobs", body)
    with pytest.raises(ToolError) as raised:
        awaited(api_of(site).ask(method, "jobs"))
    assert (raised.value.code, raised.value.ambiguous) == ("bad_answer", method == "POST")


def test_a_refusal_that_cannot_be_read_is_one_all_the_same(site):
    site.put("/v1/jobs", b"no json", status=400)
    api = api_of(site)
    with pytest.raises(ToolError, match="is not JSON") as raised:
        awaited(api.ask("POST", "jobs", expected=(400,)))
    assert raised.value.ambiguous is False


@pytest.mark.parametrize(
    ("page", "code"),
    [
        ({"body": b"x" * 1001}, "too_large"),
        ({"body": b"x" * 100_000, "headers": {"Content-Length": ""}}, "too_large"),
        ({"body": b"x", "headers": {"Content-Encoding": "gzip"}}, "bad_answer"),
        ({"body": b"{", "headers": {"Content-Type": "application/json"}}, "bad_answer"),
    ],
    ids=["told", "untold", "compressed", "broken"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_whose_success_cannot_be_used_was_made_and_is_paid(site, method, page, code):
    site.pages["/a"] = Page(**page)
    told = call(site, method)
    assert (told.code, told.ambiguous, told.cost.usd) == (code, method == "POST", Decimal("0.002"))


@pytest.mark.parametrize(
    "page", [{"body": b"x" * 1001}, {"body": b"x", "headers": {"Content-Encoding": "gzip"}}], ids=["large", "compressed"]
)
@pytest.mark.parametrize(("status", "ambiguous"), [(422, False), (502, True)])
def test_what_is_wrong_with_the_body_of_a_refusal_leaves_it_a_refusal(site, page, status, ambiguous):
    site.pages["/a"] = Page(status=status, **page)
    assert call(site, "POST").ambiguous is ambiguous


# Redirects


@pytest.mark.parametrize(("status", "ambiguous"), [(301, True), (302, True), (303, True), (307, False), (308, False)])
def test_no_submission_to_a_provider_follows_a_redirect(site, elsewhere, status, ambiguous):
    for target in (elsewhere.url("/v1/jobs?key=1", host="127.0.0.2"), "/v2/jobs"):
        site.put("/v1/jobs", b"", status=status, headers={"Location": target})
        told = refused(api_of(site), "POST", json={"prompt": "x"})
        where = elsewhere.url("", host="127.0.0.2") if target.startswith("http") else "/v2/jobs"
        assert f"answered {status} " in told.message
        assert f"leads to {where}" in told.message
        assert "key=1" not in told.message
        assert (told.code, told.permanent, told.ambiguous) == ("redirected", True, ambiguous)
    assert ([seen.path for seen in site.seen], elsewhere.seen) == (["/v1/jobs"] * 2, [])


def test_a_question_to_a_provider_follows_redirects_as_downloads_do(site, elsewhere):
    site.put("/v1/jobs", status=307, headers={"Location": "/v1/there"})
    site.put("/v1/there", {"n": 1})
    assert awaited(api_of(site).ask("GET", "jobs")) == {"n": 1}
    elsewhere.put("/there", {"n": 2})
    site.put("/v1/jobs", status=307, headers={"Location": elsewhere.url("/there", host="127.0.0.2")})
    told = refused(api_of(site), "GET")
    assert (told.code, told.ambiguous, elsewhere.seen) == ("address_forbidden", False, [])
    assert awaited(api_of(site, allow_private_addresses=True).ask("GET", "jobs")) == {"n": 2}
    assert "authorization" not in elsewhere.seen[0].headers


@pytest.mark.parametrize("status", [307, 308])
def test_the_body_of_a_request_is_sent_to_no_other_origin(site, elsewhere, status):
    elsewhere.put("/b", b"x")
    site.put("/a", status=status, headers={"Location": elsewhere.url("/b", host="127.0.0.2")})
    told = call(site, "POST")
    assert (told.code, told.permanent, told.ambiguous, elsewhere.seen) == ("redirected", True, False, [])
    assert f"leads to {elsewhere.url('', host='127.0.0.2')}, which" in told.message
    site.put("/a", status=status, headers={"Location": "/c"})
    site.put("/c", b"", status=404)
    assert call(site, "POST").code == "not_found"
    assert [(seen.method, seen.path, seen.body) for seen in site.seen[-2:]] == [("POST", "/a", b"x"), ("POST", "/c", b"x")]


@pytest.mark.parametrize(
    "page",
    [
        Page(status=404),
        Page(status=500, body=SAID),
        Page(drop=True),
        Page(body=b"x" * 2000),
        Page(status=302, headers={"Location": "http://127.0.0.1:1/"}),
        Page(status=302, headers={"Location": "ftp://127.0.0.1/"}),
        Page(status=302, headers={"Location": "/b"}),
    ],
    ids=lambda page: str(page)[:40],
)
def test_what_goes_wrong_after_a_request_was_taken_leaves_it_open(site, page):
    site.put("/a", status=303, headers={"Location": "/b"})
    site.pages["/b"] = page
    assert call(site, "POST").ambiguous
    assert call(site, "GET").ambiguous is False


def test_what_goes_wrong_after_a_request_was_sent_on_is_judged_there(site):
    site.put("/a", status=307, headers={"Location": "http://127.0.0.1:1/"})
    told = call(site, "POST")
    assert (told.code, told.ambiguous) == ("redirected", False)
