"""Calls to the web, against a real server on this machine."""

import asyncio
import gzip
import socket
import ssl
import subprocess
from datetime import UTC, datetime
from decimal import Decimal

import httpx2
import pytest

from generations import artifacts
from generations.tools import addresses, http_client
from generations.tools.contract import ToolError
from generations.tools.file_fetch import mime_type_of
from generations.tools.http_client import CheckedTransport
from generations.tools.http_errors import provider_words, retry_after_seconds, status_error

from .toolbox import picture, problems_with, request_for, run
from .website import website

OPEN = {"allow_private_addresses": True}


@pytest.fixture
def site():
    with website() as server:
        yield server


def fetch(url: str, *, config=OPEN, **inputs):
    return dict(run(request_for("file.fetch", {"url": url, **inputs}, config=config)).output)


def ask(url: str, *, config=OPEN, pricing=None, timeout_seconds=10, **inputs):
    return run(request_for("http.request", {"url": url, **inputs}, config=config, pricing=pricing, timeout_seconds=timeout_seconds))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
        "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "::ffff:169.254.169.254", "::127.0.0.1", "2002:7f00:1::", "2002:a00:1::", "64:ff9b::127.0.0.1", "64:ff9b::a00:1",
        "2001:0:4136:e378:8000:63bf:80ff:fffe", "100::1", "", "localhost", "1.2.3",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address):
    assert not addresses.is_public(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::"]
)
def test_addresses_that_are_public(address):
    assert addresses.is_public(address)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "0.0.0.0", "LOCALHOST"]
)
@pytest.mark.parametrize("slug", ["file.fetch", "http.request"])
def test_private_addresses_are_refused_however_they_are_written(site, slug, host):
    with pytest.raises(ToolError, match=r"not on the public internet|has no address|no URL") as error:
        run(request_for(slug, {"url": site.url("/", host=host)}, config={}))
    assert error.value.code in ("address_forbidden", "unreachable", "bad_url")
    assert error.value.elsewhere
    assert not error.value.ambiguous
    assert site.seen == []


def test_a_redirect_to_a_private_address_is_refused(site, monkeypatch):
    monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.1")
    site.put("/out", status=302, headers={"Location": site.url("/secret", host="127.0.0.2")})
    with pytest.raises(ToolError, match=r"127\.0\.0\.2 is not on the public internet") as error:
        fetch(site.url("/out"), config={})
    assert error.value.permanent
    assert [seen.path for seen in site.seen] == ["/out"]


@pytest.fixture
def name_server(monkeypatch):
    """A name server of our own: each look-up of a name takes the next answer."""
    answers: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def look_up(host, port, *args, **kwargs):
        if host in answers:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answers[host].pop(0).split()]
        return real(host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return answers


def test_a_name_that_resolves_to_a_private_address_is_refused(site, name_server):
    name_server["inside.test"] = ["1.1.1.1 10.0.0.1"]
    with pytest.raises(ToolError, match=r"inside\.test \(10\.0\.0\.1\)"):
        fetch(site.url("/", host="inside.test"), config={})


def test_the_address_that_was_checked_is_the_one_that_is_called(site, name_server, monkeypatch):
    monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.1")
    name_server["rebinding.test"] = ["127.0.0.1", "10.0.0.1"]
    site.put("/a", b"hello")
    output = fetch(site.url("/a", host="rebinding.test"), config={})
    assert output["file"]["size"] == 5
    assert site.seen[0].headers["host"] == f"rebinding.test:{site.server_port}"
    assert name_server["rebinding.test"] == ["10.0.0.1"]


def test_the_next_address_is_tried_when_one_does_not_answer(site, name_server, monkeypatch):
    monkeypatch.setattr(addresses, "is_public", lambda _: True)
    name_server["two.test"] = ["127.0.0.3 127.0.0.1"]
    site.put("/a", b"hello")
    assert fetch(site.url("/a", host="two.test"), config={})["file"]["size"] == 5


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://[::1]:1/", "http://localhost:1/"])
def test_private_addresses_are_refused_by_the_transport_itself(url):
    async def get() -> None:
        async with httpx2.AsyncClient(transport=CheckedTransport(), trust_env=False) as client:
            await client.get(url)

    with pytest.raises(ToolError, match="not on the public"):
        asyncio.run(get())


def test_an_unknown_name_is_told(name_server, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ToolError, match=r"nowhere\.test has no address") as error:
        ask("http://nowhere.test/", config={}, method="POST")
    assert (error.value.code, error.value.permanent, error.value.ambiguous) == ("unreachable", False, False)


@pytest.fixture
def secure_site(site, tmp_path, monkeypatch):
    """The site behind TLS, with a certificate for good.test that we trust."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=good.test"]
    try:
        subprocess.run(
            [*made, "-addext", "subjectAltName=DNS:good.test", "-keyout", key, "-out", certificate], check=True, capture_output=True
        )
    except FileNotFoundError:
        pytest.skip("openssl is not installed: no certificate can be made")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    site.socket = context.wrap_socket(site.socket, server_side=True)
    site.scheme = "https"
    monkeypatch.setattr(http_client, "certificates", lambda: ssl.create_default_context(cafile=str(certificate)))
    monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.1")
    return site


def test_the_certificate_is_that_of_the_name_not_of_the_address(secure_site, name_server):
    name_server["good.test"] = ["127.0.0.1"]
    name_server["evil.test"] = ["127.0.0.1"]
    secure_site.put("/a", b"hello")
    assert fetch(secure_site.url("/a", host="good.test"), config={})["file"]["size"] == 5
    with pytest.raises(ToolError, match=r"cannot be reached.*(?i:certificate)") as error:
        fetch(secure_site.url("/a", host="evil.test"), config={})
    assert not error.value.ambiguous


def test_no_redirect_leads_from_https_to_http(secure_site, name_server):
    name_server["good.test"] = ["127.0.0.1"]
    secure_site.put("/a", status=301, headers={"Location": "http://good.test/b"})
    with pytest.raises(ToolError, match="https to plain http"):
        fetch(secure_site.url("/a", host="good.test"), config={})


def test_fetch_keeps_the_file_with_its_name_and_source(site):
    data = picture()
    url = site.put("/art/sea%20view.png?size=big", data, headers={"Content-Type": "text/plain"})
    request = request_for("file.fetch", {"url": url, "types": ["image/*"]}, config=OPEN)
    output = run(request).output
    (made,) = request.workbench.made
    assert (made.mime_type, made.name, made.source_url, made.size) == ("image/png", "sea view.png", url, len(data))
    assert output["file"] == made.reference()
    with artifacts.open_stored(made.sha256) as file:
        assert file.read() == data


@pytest.mark.parametrize(
    ("data", "claimed", "mime_type"),
    [
        (picture(), "", "image/png"),
        (picture(file_format="JPEG"), "image/png", "image/jpeg"),
        (picture(file_format="WEBP"), "application/json", "image/webp"),
        (picture(file_format="GIF"), "", "image/gif"),
        (b"%PDF-1.7", "text/html", "application/pdf"),
        (b"<html>", "image/png", "application/octet-stream"),
        (b"{}", "Application/JSON; charset=utf-8", "application/json"),
        (b"x", "evil\r\nheader", "application/octet-stream"),
        (b"x", "a" * 200 + "/b", "application/octet-stream"),
        (b"", "", "application/octet-stream"),
    ],
)
def test_the_type_is_read_from_the_first_bytes(data, claimed, mime_type):
    assert mime_type_of(data, claimed=claimed) == mime_type


def test_fetch_refuses_other_types(site):
    with pytest.raises(ToolError, match="application/octet-stream, not image/png or image/jpeg") as error:
        fetch(site.put("/a", b"<html>", headers={"Content-Type": "image/png"}), types=["image/png", "image/jpeg"])
    assert error.value.code == "wrong_type"


def test_fetch_stops_at_its_limit(site):
    with pytest.raises(ToolError, match="larger than 1000 bytes") as error:
        fetch(site.put("/told", b"x" * 1001), max_bytes=1000)
    assert error.value.permanent
    with pytest.raises(ToolError, match="larger than 1000 bytes"):
        fetch(site.put("/untold", b"x" * 100_000, headers={"Content-Length": ""}), config={**OPEN, "max_bytes": 1000}, max_bytes=5000)
    assert fetch(site.put("/just", b"x" * 1000), max_bytes=1000)["file"]["size"] == 1000


def test_a_compressed_answer_is_refused(site):
    bomb = gzip.compress(b"0" * 10_000_000)
    with pytest.raises(ToolError, match="compressed"):
        fetch(site.put("/bomb", bomb, headers={"Content-Encoding": "gzip"}))
    assert site.seen[0].headers["accept-encoding"] == "identity"


def test_fetch_follows_redirects(site):
    site.put("/a", status=301, headers={"Location": "/b"})
    site.put("/b", status=307, headers={"Location": site.url("/c")})
    site.put("/c", b"here")
    assert fetch(site.url("/a"))["url"] == site.url("/c")


def test_redirects_end_somewhere(site):
    site.put("/a", status=302, headers={"Location": "/a"})
    with pytest.raises(ToolError, match="more than 5 times") as error:
        fetch(site.url("/a"))
    assert error.value.permanent
    assert len(site.seen) == 6


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/", "http://a:b@127.0.0.1/", "javascript:1"]
)
def test_redirects_lead_only_to_the_web(site, target):
    site.put("/a", status=302, headers={"Location": target})
    with pytest.raises(ToolError, match="URL") as error:
        fetch(site.url("/a"))
    assert error.value.permanent


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.com/",
        "//example.com/",
        "https://",
        "http://a:b@example.com/",
        "http://[::1",
        "http://ex ample.com/",
    ],
)
def test_only_web_addresses_are_called(url):
    with pytest.raises(ToolError) as error:
        fetch(url, config={})
    assert error.value.permanent
    assert error.value.code in ("bad_url", "bad_request")


@pytest.mark.parametrize(
    ("status", "code", "permanent"),
    [
        (401, "unauthorized", True),
        (402, "payment_required", True),
        (403, "forbidden", True),
        (404, "not_found", True),
        (410, "refused", True),
        (408, "provider_timeout", False),
        (409, "conflict", False),
        (425, "refused", False),
        (429, "rate_limited", False),
        (500, "provider_error", False),
        (503, "provider_error", False),
        (599, "provider_error", False),
    ],
)
@pytest.mark.parametrize("slug", ["file.fetch", "http.request"])
def test_an_error_status_fails_with_the_providers_words(site, slug, status, code, permanent):
    url = site.put("/a", {"error": {"message": "Not now, dear."}}, status=status, headers={"Retry-After": "7", "X-Request-Id": "r-1"})
    with pytest.raises(ToolError, match=rf"127\.0\.0\.1 answered {status}.*: Not now, dear\.") as error:
        run(request_for(slug, {"url": url}, config=OPEN))
    assert (error.value.code, error.value.permanent, error.value.ambiguous) == (code, permanent, False)
    assert error.value.retry_after == (None if permanent else 7)
    assert error.value.elsewhere
    assert error.value.details["request_id"] == "r-1"
    assert error.value.details["status"] == status


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3),
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Mon, 23 Nov 2026 12:00:30 GMT"}, 30),
        ({"retry-after": "Mon, 23 Nov 2026 11:00:00 GMT"}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e99"}, 86_400),
    ],
)
def test_retry_after(headers, seconds):
    assert retry_after_seconds(headers, now=datetime(2026, 11, 23, 12, tzinfo=UTC)) == seconds


@pytest.mark.parametrize(("status", "hint", "permanent"), [(500, "false", True), (400, "true", False), (400, "maybe", True)])
def test_the_provider_says_whether_to_try_again(status, hint, permanent):
    assert status_error(status, {"x-should-retry": hint}, b"", host="h").permanent is permanent


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": {"message": "No."}}', "No."),
        (b'{"error": "No."}', "No."),
        (b'{"detail": [{"loc": ["a"], "msg": "No."}]}', "No."),
        (b'{"title": "No."}', "No."),
        (b'[{"message": "No."}]', "No."),
        (b"No.", "No."),
        (b"<html><body>502</body></html>", ""),
        (b"", ""),
        (b"\xff\x00", "\ufffd\ufffd"),
        (b"[" * 100_000, "[" * 1000),
        (b'{"error": {"error": {"error": {"error": {"error": {"error": "deep"}}}}}}', ""),
    ],
)
def test_the_providers_words_are_found(body, words):
    assert provider_words(body) == words


@pytest.mark.parametrize(
    ("method", "page", "code"),
    [
        *((method, {"drop": True}, "connection_lost") for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")),
        *((method, {"hang": True}, "timeout") for method in ("GET", "HEAD", "POST", "DELETE")),
        *((method, {"cut_short": True}, "connection_lost") for method in ("GET", "POST", "DELETE")),
    ],
)
def test_a_lost_answer_is_ambiguous_unless_the_request_changes_nothing(site, method, page, code):
    ambiguous = method not in ("GET", "HEAD")
    url = site.put("/a", b"half", **page)
    with pytest.raises(ToolError) as error:
        ask(url, method=method, timeout_seconds=0.5)
    assert (error.value.code, error.value.ambiguous, error.value.permanent) == (code, ambiguous, False)


def test_a_refused_connection_is_definite():
    with website() as gone:
        url = gone.url()
    with pytest.raises(ToolError, match="cannot be reached") as error:
        ask(url, method="POST")
    assert (error.value.code, error.value.ambiguous, error.value.permanent) == ("unreachable", False, False)


@pytest.mark.parametrize(
    ("status", "body", "usd"), [(200, b"{", "0.002"), (200, b"x" * 2000, "0.002"), (500, b"no", None), (404, b"no", None)]
)
def test_an_answer_that_cannot_be_used_is_paid_and_an_error_is_not(site, status, body, usd):
    url = site.put("/a", body, status=status, headers={"Content-Type": "application/json"})
    with pytest.raises(ToolError) as error:
        ask(url, method="POST", config={**OPEN, "max_bytes": 1000}, pricing={"per_call": "0.002"})
    assert (error.value.cost and error.value.cost.usd) == (usd and Decimal(usd))


def test_without_a_price_the_cost_of_a_call_is_unknown(site):
    assert ask(site.put("/a", {}), pricing={}).cost is None


def test_a_request_sends_json_and_returns_it(site):
    url = site.put("/a", {"id": 7, "tags": ["ä"]}, status=201, headers={"ETag": "x", "Set-Cookie": "a=b", "Server": "s"})
    result = ask(url, method="POST", json={"title": "Größe", "n": None}, headers={"X-Trace": "t"}, pricing={"per_call": "0.002"})
    assert result.output["status"] == 201
    assert result.output["json"] == {"id": 7, "tags": ["ä"]}
    assert set(result.output["headers"]) == {"content-type", "content-length", "etag", "date"}
    assert result.cost.usd == Decimal("0.002")
    assert result.cost.basis == {"unit": "call", "quantity": "1", "price": "0.002", "table": 1}
    seen = site.seen[0]
    assert (seen.method, seen.headers["content-type"], seen.headers["x-trace"]) == ("POST", "application/json", "t")
    assert seen.body.decode() == '{"title": "Größe", "n": null}'


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        ("Grüße".encode(), "text/plain; charset=utf-8", {"text": "Grüße"}),
        ("Grüße".encode("latin-1"), 'text/html; charset="ISO-8859-1"', {"text": "Grüße"}),
        (b"a\0b", "text/plain", {"text": "a\ufffdb"}),
        (b"<a/>", "application/xml", {"text": "<a/>"}),
        (b"plain", "", {"text": "plain"}),
        (b"null", "application/problem+json", {"json": None}),
        (b"", "application/json", {}),
        (b"x" * 5000, "text/plain; charset=punycode", {"text": "x" * 5000}),
        (b"abc", "text/plain; charset=iso-8859-12", {"text": "abc"}),
    ],
)
def test_a_request_returns_text_and_json(site, body, content_type, expected):
    output = ask(site.put("/a", body, headers={"Content-Type": content_type})).output
    assert {name: output[name] for name in ("json", "text", "file") if name in output} == expected


@pytest.mark.parametrize(
    ("body", "content_type", "mime_type"),
    [(picture(), "image/png", "image/png"), (b"\xff\xfe\xfd", "text/plain", "application/octet-stream")],
)
def test_a_request_keeps_what_is_no_text(site, body, content_type, mime_type):
    output = ask(site.put("/a", body, headers={"Content-Type": content_type})).output
    assert output["file"]["mime_type"] == mime_type


@pytest.mark.parametrize(("method", "permanent"), [("GET", False), ("POST", True)])
def test_broken_json_is_told(site, method, permanent):
    url = site.put("/a", b'{"a": ', headers={"Content-Type": "application/json"})
    with pytest.raises(ToolError, match="calls its answer JSON") as error:
        ask(url, method=method)
    assert error.value.permanent is permanent


def test_an_error_status_can_be_an_answer(site):
    output = ask(site.put("/a", {"error": "gone"}, status=410), fail_on_error=False).output
    assert (output["status"], output["json"]) == (410, {"error": "gone"})


def test_a_redirected_post_becomes_a_get_but_not_after_307(site):
    site.put("/see", status=303, headers={"Location": "/b"})
    site.put("/moved", status=307, headers={"Location": "/b"})
    site.put("/b", b"x")
    ask(site.url("/see"), method="POST", json={})
    ask(site.url("/moved"), method="POST", body="again", headers={"Content-Type": "text/x"})
    assert [(seen.method, seen.body, seen.headers.get("content-type")) for seen in site.seen] == [
        ("POST", b"{}", "application/json"), ("GET", b"", None), ("POST", b"again", "text/x"), ("POST", b"again", "text/x"),
    ]  # fmt: skip


def secrets(*hosts: str):
    return {**OPEN, "hosts": list(hosts), "headers": {"Authorization": {"env": "STORY_API_KEY"}, "X-Plain": "yes"}}


def test_secrets_come_from_the_environment_and_stay_with_their_host(site, monkeypatch):
    monkeypatch.setenv("STORY_API_KEY", "Bearer s3cret")
    with website("127.0.0.2") as other:
        site.put("/a", status=307, headers={"Location": other.url("/b", host="127.0.0.2")})
        other.put("/b", b"x")
        ask(site.url("/a"), config=secrets("127.0.0.1", "127.0.0.2"), headers={"authorization": "mine", "Cookie": "c=1", "X-Mine": "1"})
        home, away = site.seen[0].headers, other.seen[0].headers
    assert (home["authorization"], home["x-plain"], home["x-mine"]) == ("Bearer s3cret", "yes", "1")
    assert {"authorization", "x-plain", "cookie"}.isdisjoint(away)
    assert away["x-mine"] == "1"


def test_secrets_need_hosts(site, monkeypatch):
    monkeypatch.setenv("STORY_API_KEY", "Bearer s3cret")
    with pytest.raises(ToolError, match="must name the `hosts`") as error:
        ask(site.url("/a"), config={**secrets(), "hosts": []})
    assert error.value.code == "bad_config"
    assert site.seen == []


def test_other_hosts_are_refused_also_by_redirect(site):
    config = {**OPEN, "hosts": ["127.0.0.1"]}
    site.put("/a", status=302, headers={"Location": site.url("/b", host="127.0.0.2")})
    for url in (site.url("/b", host="127.0.0.2"), site.url("/a")):
        with pytest.raises(ToolError, match=r"may not call 127\.0\.0\.2; it may call 127\.0\.0\.1") as error:
            ask(url, config=config)
        assert error.value.code == "host_forbidden"


@pytest.mark.parametrize(
    ("name", "why"), [("MISSING_KEY", "is not set"), ("DJANGO_SECRET_KEY", "may not be used"), ("DATABASE_URL", "may not be used")]
)
def test_a_secret_that_cannot_be_had_is_named(site, monkeypatch, name, why):
    monkeypatch.delenv("MISSING_KEY", raising=False)
    monkeypatch.setenv("DJANGO_SECRET_KEY", "x")
    config = {**OPEN, "hosts": ["127.0.0.1"], "headers": {"X-Key": {"env": name}}}
    with pytest.raises(ToolError, match=f"{name}, which {why}") as error:
        ask(site.url("/a"), config=config)
    assert error.value.permanent
    assert site.seen == []


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "Connection", "Accept-Encoding"])
def test_headers_of_the_connection_cannot_be_set(site, name):
    with pytest.raises(ToolError, match=f"cannot be set: {name}") as error:
        ask(site.url("/a"), headers={name: "x"})
    assert error.value.permanent


@pytest.mark.parametrize("slug", ["http.request", "file.fetch"])
def test_a_wrong_configuration_is_told_with_its_place(slug):
    with pytest.raises(ToolError, match=r"config\.max_bytes") as error:
        run(request_for(slug, {"url": "http://127.0.0.1/"}, config={"max_bytes": "many"}))
    assert error.value.code == "bad_config"


def test_proxies_of_the_environment_are_not_asked(site, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert ask(site.put("/a", b"x")).output["text"] == "x"


@pytest.mark.parametrize(
    ("slug", "inputs", "path"),
    [
        ("http.request", {"headers": {"A b": "x"}}, "params.headers"),
        ("http.request", {"headers": {"A": "x\r\nB: y"}}, "params.headers.A"),
        ("http.request", {"method": "TRACE"}, "params.method"),
        ("http.request", {"url": "http://" + "x" * 2000}, "params.url"),
        ("file.fetch", {"types": ["*/*"]}, "params.types[0]"),
        ("file.fetch", {"max_bytes": 0}, "params.max_bytes"),
    ],
)
def test_schemas_refuse(slug, inputs, path):
    assert [place for place in problems_with(slug, **{"url": "http://x.test/", **inputs}) if place.startswith(path)]
