"""What all dialects share: a request is read, its key checked, what it is told to suffer is done, its answer given."""

import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .answers import ASKED_FOR, suffered
from .instructions import BadInstruction, Instruction, told_by
from .jobs import Job, Order
from .prices import Line
from .webhooks import Mail

if TYPE_CHECKING:
    from .fake import Fake

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 2**20


class Refused(Exception):
    """A request that cannot be fulfilled: the status and the words, told in the dialect's own form."""

    def __init__(self, status: int, words: str) -> None:
        """Take the status and the words."""
        super().__init__(words)
        self.status = status
        self.words = words


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request, read. `body` is its JSON, None when it has none. `origin` is how the client reaches us. `jobs` are those that it began."""

    request: Request
    raw: bytes
    body: Any
    told: Instruction
    origin: str
    jobs: list[Job] = field(default_factory=list)

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

    def throttled(self, seconds: float) -> Response:
        """Return the answer 429 of a provider that wants to be left alone for so long."""
        return self.refusal(HTTPStatus.TOO_MANY_REQUESTS, f"{ASKED_FOR} Come back in {seconds:g} s.")

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

    def accept(self, call: Call, **order: Any) -> Job:
        """Take an order for a job; the rest of it is the call's."""
        job = self.fake.book.accept(Order(dialect=self.name, origin=call.origin, told=call.told, size=len(call.raw), **order))
        call.jobs.append(job)
        return job

    def route(self, path: str, do: Endpoint, *, methods: Iterable[str] = ("GET",), place: str = "read", is_open: bool = False) -> Route:
        """Return the route to an endpoint. `is_open`: without a key."""

        async def handle(request: Request) -> Response:
            key = self.key_of(request)
            is_known = is_open or key in self.fake.settings.keys
            response = await self._served(request, do, place=place) if is_known else self.unauthorized(key)
            response.headers.update(self.head())
            return response

        return Route(path, handle, methods=list(methods))

    async def _served(self, request: Request, do: Endpoint, *, place: str) -> Response:
        try:
            call = await self._read(request, place=place)
            return await suffered(call.told, lambda: self._done(call, do), refuse=lambda status: self._asked_for(call.told, status))
        except Refused as refused:
            return self.refusal(refused.status, refused.words)
        except BadInstruction as error:
            return self.refusal(HTTPStatus.BAD_REQUEST, str(error))
        except Exception:
            logger.exception("A request to %s could not be served.", request.url.path)
            return self.refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "The fake provider itself broke; its log says why.")

    def head(self) -> Mapping[str, str]:
        """Return the headers of each answer."""
        return {}

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
                body = json.loads(raw, parse_constant=_no_number)
            except (ValueError, RecursionError) as error:
                raise Refused(HTTPStatus.BAD_REQUEST, f"The body is no JSON: {error}") from error
        rules = self.fake.rules.take(dialect=self.name, place=place, path=request.url.path, body=raw)
        told = told_by(request.headers, self.told_in(body)).over(rules)
        host = request.headers.get("host") or f"127.0.0.1:{request.scope['server'][1]}"
        return Call(request=request, raw=raw, body=body, told=told, origin=f"{request.url.scheme}://{host}")

    def _asked_for(self, told: Instruction, status: int) -> Response:
        if status == HTTPStatus.TOO_MANY_REQUESTS and told.retry_after is not None:
            return self.throttled(told.retry_after)
        return self.refusal(status, ASKED_FOR)

    async def _done(self, call: Call, do: Endpoint) -> Response:
        response = await do(call)
        if call.told.webhook_first:
            for job in call.jobs:
                await job.done.wait()
                await self.fake.post.settled(job.id)
        return response


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


async def limited_body(request: Request) -> bytes:
    """Return the body of a request. Raises Refused when it is too large."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large.")
        chunks.append(chunk)
    return b"".join(chunks)
