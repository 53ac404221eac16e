"""HTTP to places that strangers name: addresses are checked, redirects followed by hand, answers bounded.

A transport resolves the name itself, checks all its addresses and connects to one of those it checked: a name server
that answers differently the second time (DNS rebinding) gains nothing. The name still decides the certificate.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus

import httpx2
from django.conf import settings

from generations import tracing

from . import addresses
from .contract import ToolError
from .file_places import is_below
from .http_errors import proves_refusal, status_error, transport_error

MAX_REDIRECTS = 5
CONNECT_TIMEOUT_SECONDS = 10.0
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
USER_AGENT = "grimoire"

# A connection is not kept: the next name may share the address, but not the certificate that was checked for this one.
_NO_KEEPALIVE = httpx2.Limits(max_keepalive_connections=0)


@cache
def certificates() -> ssl.SSLContext:
    """Return the certificates that we trust, read once: that takes 80 ms."""
    return httpx2.create_ssl_context()


class CheckedTransport(httpx2.AsyncBaseTransport):
    """Connects to public addresses only, and to one origin that is trusted wherever it is."""

    def __init__(self, *, trusted_url: str = "") -> None:
        """Open no connection yet."""
        self._inner = httpx2.AsyncHTTPTransport(verify=certificates(), limits=_NO_KEEPALIVE)
        self._trusted = origin(httpx2.URL(trusted_url)) if trusted_url else None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if origin(request.url) == self._trusted:
            return await self._inner.handle_async_request(request)
        found = await addresses.resolve(request.url.host, _port(request.url), timeout_seconds=CONNECT_TIMEOUT_SECONDS)
        addresses.require_public(request.url.host, found)
        *others, last = _pinned(request, found)
        for pinned in others:
            try:
                return await self._inner.handle_async_request(pinned)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue
        return await self._inner.handle_async_request(last)

    async def aclose(self) -> None:
        await self._inner.aclose()


def _port(url: httpx2.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _pinned(request: httpx2.Request, found: list[str]) -> Iterator[httpx2.Request]:
    """Return the request once for each address: sent there, but for the name, in `Host` and in the certificate."""
    for address in found[:4]:
        yield httpx2.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=request.headers,
            stream=request.stream,
            extensions={**request.extensions, "sni_hostname": request.url.host},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A request to make. `secret_headers` go to the first origin alone, or below `secret_below` alone, if that is given.

    No redirect takes them elsewhere. The origin of `trusted_url` may be called wherever it is, also when nothing else on a private address may.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    secret_headers: Mapping[str, str] = field(default_factory=dict)
    secret_below: tuple[str, ...] | None = None
    content: bytes | None = None
    max_bytes: int
    timeout_seconds: float
    allow_private_addresses: bool = False
    trusted_url: str = ""
    # None: an answer that leads elsewhere is returned as it is.
    max_redirects: int = MAX_REDIRECTS
    # An answer that is larger is read so far and no further, instead of refused.
    cut_body: bool = False
    # Only these may be called, also by redirect; empty: any.
    hosts: tuple[str, ...] = ()
    # Whether it may be made twice without harm; None: as its method says.
    repeatable: bool | None = None

    @property
    def is_repeatable(self) -> bool:
        return self.method in SAFE_METHODS if self.repeatable is None else self.repeatable


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back: `url` is where the redirects led.

    `leaves_open`: it answers a request that must not be made twice, and what that asked for may have been done.
    """

    status: int
    headers: httpx2.Headers
    body: bytes
    url: httpx2.URL
    leaves_open: bool = False

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300  # noqa: PLR2004 - the success statuses of HTTP

    def error(self, *, host: str = "") -> ToolError:
        """Return the error that an answer stands for which is no success, in the provider's words."""
        told = status_error(self.status, self.headers, self.body, host=host or self.url.host)
        told.ambiguous = self.leaves_open
        return told


Sink = Callable[[bytes], Awaitable[None]]


async def exchange(outgoing: Outgoing, *, sink: Sink | None = None) -> Answer:
    """Make a request, follow its redirects, and return the answer, whatever its status.

    With a `sink`, the body of an answer of 2xx goes there as it comes, and the answer's own is empty.

    Raises:
        ToolError: the address is forbidden, the answer too large, or there was none (see `http_errors`). Ambiguous, if
            the request must not be made twice and may have been taken.
    """
    trip = _Trip(outgoing, checked_url(outgoing.url, hosts=outgoing.hosts))
    about: tracing.Attributes = {
        "http.request.method": outgoing.method,
        "server.address": trip.first.host,
        "server.port": _port(trip.first),
    }
    try:
        with tracing.span(outgoing.method, kind="client", attributes=about) as noted:
            async with asyncio.timeout(outgoing.timeout_seconds), _client(outgoing) as client:
                answer = await trip.make(client, sink)
            noted.note({"http.response.status_code": answer.status})
            if not answer.is_success:
                noted.fail(answer.status)
            return answer
    except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
        told = transport_error(error, host=trip.first.host, repeatable=outgoing.is_repeatable)
        if trip.leaves_open is not None:
            told.ambiguous = trip.leaves_open
        raise told from error
    except ToolError as error:
        error.ambiguous = bool(trip.leaves_open)
        raise


def checked_url(text: str, *, hosts: tuple[str, ...] = ()) -> httpx2.URL:
    """Return the URL that a text names, if it may be called at all.

    Raises:
        ToolError: permanent: `bad_url`, or `host_forbidden` when it is none of `hosts`.
    """
    try:
        url = httpx2.URL(text)
    except (httpx2.InvalidURL, ValueError) as error:
        raise ToolError(f"This is no URL: {error}", code="bad_url", permanent=True) from error
    if url.scheme not in ("http", "https") or not url.host or "%" in url.host:
        raise ToolError("Only http:// and https:// URLs with a host can be called.", code="bad_url", permanent=True)
    if url.userinfo:
        raise ToolError("The URL carries a name or password; give them in a header instead.", code="bad_url", permanent=True)
    if hosts and url.host not in hosts:
        raise ToolError(f"This tool may not call {url.host}; it may call {', '.join(hosts)}.", code="host_forbidden", permanent=True)
    return url


def _client(outgoing: Outgoing) -> httpx2.AsyncClient:
    if outgoing.allow_private_addresses:
        transport: httpx2.AsyncBaseTransport = httpx2.AsyncHTTPTransport(verify=certificates(), limits=_NO_KEEPALIVE)
    else:
        transport = CheckedTransport(trusted_url=outgoing.trusted_url)
    return httpx2.AsyncClient(
        transport=transport,
        timeout=httpx2.Timeout(outgoing.timeout_seconds, connect=min(CONNECT_TIMEOUT_SECONDS, outgoing.timeout_seconds)),
        follow_redirects=False,
        trust_env=False,  # a proxy from the environment would connect past our check
        # Compressed answers could unpack to more than we read.
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
    )


_ABOUT_THE_BODY = frozenset({"content-type", "content-encoding", "content-language"})
_OF_ONE_ORIGIN = frozenset({"authorization", "cookie", "proxy-authorization"})


class _Trip:
    """A request on its way through redirects.

    `leaves_open`, once it was answered: it must not be made twice, and by this answer what it asks for may have been done.
    """

    def __init__(self, outgoing: Outgoing, url: httpx2.URL) -> None:
        """Take the request and where it goes first."""
        self.outgoing = outgoing
        self.first = self.url = url
        self.method, self.content = outgoing.method, outgoing.content
        self.leaves_open: bool | None = None
        self._taken = False

    async def make(self, client: httpx2.AsyncClient, sink: Sink | None) -> Answer:
        """Make the request, and each that its answers lead to."""
        outgoing = self.outgoing
        for _ in range(outgoing.max_redirects + 1):
            request = client.build_request(self.method, self.url, headers=self._headers(), content=self.content)
            response = await client.send(request, stream=True)
            try:
                self._judge(response)
                if not (response.has_redirect_location and outgoing.max_redirects):
                    return await self._answer(response, sink)
            finally:
                await response.aclose()
            self._turn_to(response)
        raise ToolError(f"{self.first.host} redirects more than {outgoing.max_redirects} times.", code="bad_redirect", permanent=True)

    def _headers(self) -> dict[str, str]:
        outgoing, at_home = self.outgoing, origin(self.url) == origin(self.first)
        left_out = (frozenset() if self.content is not None else _ABOUT_THE_BODY) | (frozenset() if at_home else _OF_ONE_ORIGIN)
        headers = {name: value for name, value in outgoing.headers.items() if name.lower() not in left_out}
        if at_home if outgoing.secret_below is None else is_below(self.url, outgoing.secret_below):
            taken = {name.lower() for name in outgoing.secret_headers}
            headers = {name: value for name, value in headers.items() if name.lower() not in taken} | dict(outgoing.secret_headers)
        if at_home and settings.TRACE_PROVIDERS and (traceparent := tracing.current()):
            headers["traceparent"] = traceparent
        return headers

    def _judge(self, response: httpx2.Response, body: bytes = b"") -> bool:
        may_be_done = self._taken or not proves_refusal(response.status_code, response.headers, body)
        self.leaves_open = may_be_done and not self.outgoing.is_repeatable
        return self.leaves_open

    async def _answer(self, response: httpx2.Response, sink: Sink | None) -> Answer:
        if self.outgoing.cut_body:
            body = await _read_beginning(response, max_bytes=self.outgoing.max_bytes)
        else:
            body = await _read(response, max_bytes=self.outgoing.max_bytes, sink=sink if response.is_success else None)
        is_open = self._judge(response, body)
        return Answer(status=response.status_code, headers=response.headers, body=body, url=self.url, leaves_open=is_open)

    def _turn_to(self, response: httpx2.Response) -> None:
        """Go on to where an answer leads. What changes something is repeated at its own origin alone."""
        url, target = self.url, checked_url(str(self.url.join(response.headers["location"])), hosts=self.outgoing.hosts)
        if url.scheme == "https" and target.scheme == "http":
            raise ToolError(f"{url.host} redirects from https to plain http.", code="bad_redirect", permanent=True)
        if self.method not in SAFE_METHODS:
            if response.status_code not in (HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.PERMANENT_REDIRECT):
                self.method, self.content, self._taken = "GET", None, True
            elif origin(target) != origin(url):
                raise status_error(response.status_code, response.headers, b"", host=url.host)
            else:
                self.leaves_open = None  # it is sent again, and not answered yet
        self.url = target


def origin(url: httpx2.URL) -> tuple[str, str, int]:
    """Return what makes two addresses one place: scheme, host, port."""
    return url.scheme, url.host, _port(url)


async def _read(response: httpx2.Response, *, max_bytes: int, sink: Sink | None) -> bytes:
    """Read an answer's body, or pour it into the sink, and stop as soon as it is too large."""
    too_large = ToolError(f"The answer is larger than {max_bytes} bytes.", code="too_large", permanent=True)
    told = response.headers.get("content-length", "")
    if told.isdecimal() and int(told[:20]) > max_bytes and response.request.method != "HEAD":
        raise too_large
    if response.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        raise ToolError("The answer is compressed, though we asked for it not to be.", code="bad_answer", permanent=True)
    body = bytearray()
    size = 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > max_bytes:
            raise too_large
        if sink is None:
            body += chunk
        else:
            await sink(chunk)
    return bytes(body)


async def _read_beginning(response: httpx2.Response, *, max_bytes: int) -> bytes:
    """Read an answer's body as far as it may go, whatever it is."""
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) >= max_bytes:
            break
    return bytes(body[:max_bytes])
