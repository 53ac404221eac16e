"""What all dialects share: a request is read, its key checked, what it is told to suffer is done, its answer given."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from .instructions import BadInstruction, Instruction, told_by
from .jobs import Job
from .prices import Line
from .webhooks import Mail

if TYPE_CHECKING:
    from .fake import Fake

MAX_BODY_BYTES = 64 * 2**20
# Under this name the server of `server.py` hands us the connection.
CONNECTION = "fakeprovider.connection"


class Refused(Exception):
    """A request that cannot be fulfilled: the status and the words, told in the dialect's own form."""

    def __init__(self, status: int, words: str) -> None:
        """Take the status and the words."""
        super().__init__(words)
        self.status = status
        self.words = words


class Unanswered(Response):
    """No answer: the connection stays open until the client closes it, or is cut."""

    def __init__(self, *, cut: bool) -> None:
        """Take whether to cut the connection at once."""
        super().__init__()
        self._cut = cut

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - nothing is sent
        if self._cut:
            scope["extensions"][CONNECTION].abort()
        while (await receive())["type"] != "http.disconnect":
            pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request, read. `body` is its JSON, None when it has none. `origin` is how the client reaches us."""

    request: Request
    raw: bytes
    body: Any
    told: Instruction
    origin: str

    def object(self) -> dict[str, Any]:
        """Return the body. Raises Refused when it is no JSON object."""
        if not isinstance(self.body, dict):
            raise Refused(HTTPStatus.BAD_REQUEST, "The body is no JSON object.")
        return self.body

    def path(self, name: str) -> str:
        return str(self.request.path_params[name])

    def header(self, name: str) -> str:
        return str(self.request.headers.get(name, ""))


Endpoint = Callable[[Call], Awaitable[Response]]


class Dialect:
    """One provider's way to speak. `scheme` stands before the key in `Authorization`."""

    name: ClassVar[str]
    scheme: ClassVar[str] = "Bearer"

    def __init__(self, fake: "Fake") -> None:
        """Take what all dialects share."""
        self.fake = fake

    def routes(self) -> list[Route]:
        """Return the addresses below the dialect's prefix, which is its name."""
        raise NotImplementedError

    def refusal(self, status: int, words: str) -> Response:
        """Return an error as the provider words it."""
        raise NotImplementedError

    def output(self, job: Job) -> Any:
        """Return what a job that succeeds gives."""
        raise NotImplementedError

    def bill(self, job: Job) -> list[Line]:
        """Return what is charged for a job that ended."""
        raise NotImplementedError

    def mails(self, job: Job, event: str) -> Iterable[Mail]:
        """Return the webhooks that an event (`start`, `progress`, `completed`) of a job brings."""
        raise NotImplementedError

    def unauthorized(self, key: str, /) -> Response:
        return self.refusal(HTTPStatus.UNAUTHORIZED, f"The key {key[:4]}... is not known." if key else "There is no key.")

    def route(self, path: str, do: Endpoint, *, methods: Iterable[str] = ("GET",), place: str = "read", is_open: bool = False) -> Route:
        """Return the route to an endpoint. `is_open`: without a key."""

        async def handle(request: Request) -> Response:
            key = self.key_of(request)
            if not is_open and key not in self.fake.settings.keys:
                return self.unauthorized(key)
            try:
                call = await self._read(request, place=place)
                return await self._done(call, do)
            except Refused as refused:
                return self.refusal(refused.status, refused.words)
            except BadInstruction as error:
                return self.refusal(HTTPStatus.BAD_REQUEST, str(error))

        return Route(path, handle, methods=list(methods))

    def key_of(self, request: Request) -> str:
        """Return the key of a request; empty when it has none of this scheme."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        return key.strip() if scheme.lower() == self.scheme.lower() else ""

    def told_in(self, body: Any) -> Any:
        """Return where in a body the instructions stand, beside the inputs of the model."""
        return body.get("input") if isinstance(body, Mapping) else None

    async def _read(self, request: Request, *, place: str) -> Call:
        raw = await limited_body(request)
        body: Any = None
        if raw and request.headers.get("content-type", "application/json").startswith("application/json"):
            try:
                body = json.loads(raw)
            except (ValueError, RecursionError) as error:
                raise Refused(HTTPStatus.BAD_REQUEST, f"The body is no JSON: {error}") from error
        text = f"{request.url.path}\n{raw.decode(errors='replace')}"
        told = told_by(request.headers, self.told_in(body)).over(self.fake.rules.take(dialect=self.name, place=place, text=text))
        return Call(request=request, raw=raw, body=body, told=told, origin=f"{request.url.scheme}://{request.headers['host']}")

    async def _done(self, call: Call, do: Endpoint) -> Response:
        told = call.told
        if told.hang or told.drop == "before":
            return Unanswered(cut=not told.hang)
        if told.status:
            response = self.refusal(told.status, "This was asked for.")
            if told.retry_after is not None:
                response.headers["Retry-After"] = str(int(told.retry_after) if told.retry_after.is_integer() else told.retry_after)
            return response
        response = await do(call)
        if told.drop == "after":
            return Unanswered(cut=True)
        return Response("<html>Bad gateway</html>", media_type="text/html") if told.garbage else response

    async def answer_latency(self, call: Call) -> None:
        """Wait as long as an answer takes that is no job."""
        number = self.fake.next_answer()
        settings = self.fake.settings
        drawn = settings.answer_latency.at(settings.chance(number, "answer latency"))
        await asyncio.sleep(drawn if call.told.latency is None else call.told.latency)


async def limited_body(request: Request) -> bytes:
    """Return the body of a request. Raises Refused when it is too large."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large.")
        chunks.append(chunk)
    return b"".join(chunks)


def json_mail(told: Any) -> bytes:
    return json.dumps(told, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def answer(told: Any, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse(told, status_code=status, headers=dict(headers or {}))
