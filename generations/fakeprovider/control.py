"""What a test steers the fake provider by, and reads its log from: everything below `/__fake/`."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .instructions import BadInstruction
from .jobs import Job

if TYPE_CHECKING:
    from .fake import Fake

Endpoint = Callable[[Any], Awaitable[Any]]


class Control:
    """Its endpoints take the JSON of a request and return JSON. None asks for a key: it is a program for one machine."""

    def __init__(self, fake: "Fake") -> None:
        """Take what is steered."""
        self._fake = fake

    def routes(self) -> list[Route]:
        endpoints: list[tuple[str, str, Endpoint]] = [
            ("POST", "rules", self._set_rules),
            ("DELETE", "rules", self._clear_rules),
            ("POST", "release", self._release),
            ("GET", "jobs", self._jobs),
            ("POST", "webhooks", self._repeat_webhook),
            ("GET", "webhooks", self._webhooks),
            ("GET", "ledger", self._ledger),
            ("GET", "stats", self._stats),
        ]
        return [Route(f"/__fake/{name}", _handler(endpoint), methods=[method]) for method, name, endpoint in endpoints]

    async def _set_rules(self, told: Any) -> Any:
        """Set one rule, or a list of them (see `Rules.add`)."""
        rules = told if isinstance(told, list) else [told]
        for rule in rules:
            self._fake.rules.add(_object(rule))
        return {"set": len(rules)}

    async def _clear_rules(self, _told: Any) -> Any:
        return {"forgotten": self._fake.rules.clear()}

    async def _release(self, told: Any) -> Any:
        """Let the held job `{"job": id}` end, or all that are held."""
        return {"released": self._fake.book.release(str(_object(told).get("job", "")))}

    async def _jobs(self, _told: Any) -> Any:
        return [_shown(job) for name in self._fake.dialects for job in self._fake.book.of(name)]

    async def _repeat_webhook(self, told: Any) -> Any:
        """Send the webhook of the end of `{"job": id}` once more."""
        wanted = str(_object(told).get("job", ""))
        found = [job for name in self._fake.dialects if (job := self._fake.book.find(name, wanted))]
        if not found:
            raise BadInstruction(f"There is no job {wanted!r}.")
        return {"sent": sum(self._fake.repeat_mail(job) for job in found)}

    async def _webhooks(self, _told: Any) -> Any:
        return {"counts": dict(self._fake.post.counts), "tries": list(self._fake.post.tries)}

    async def _ledger(self, _told: Any) -> Any:
        ledger = self._fake.ledger
        return {"count": ledger.count, "usd": format(ledger.usd, "f"), "entries": list(ledger.entries)}

    async def _stats(self, _told: Any) -> Any:
        book = self._fake.book
        return {"accepted": book.accepted, "live": book.live, "peak": book.peak, "answers": self._fake.answers}


def _handler(endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        try:
            return JSONResponse(await endpoint(await request.json() if await request.body() else {}))
        except ValueError as error:  # also what is no JSON
            return JSONResponse({"error": str(error)}, status_code=HTTPStatus.BAD_REQUEST)

    return handle


def _object(told: Any) -> dict[str, Any]:
    if not isinstance(told, dict):
        raise BadInstruction("Expected a JSON object.")
    return told


def _shown(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "dialect": job.order.dialect,
        "number": job.number,
        "model": job.order.model,
        "phase": job.phase,
        "latency": job.latency,
        "percent": job.percent,
        "callback": job.order.callback,
    }
