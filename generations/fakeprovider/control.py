"""What a test steers the fake provider by, and reads its log from: everything below `/__fake/`."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .answers import answer
from .instructions import MAX_COPIES, BadInstruction, is_whole
from .jobs import Job

if TYPE_CHECKING:
    from .fake import Fake

Endpoint = Callable[[Any], Awaitable[Any]]


class Control:
    """Its endpoints take the JSON of a request, or its query, and return JSON. None asks for a key: it is a program for one machine."""

    def __init__(self, fake: "Fake") -> None:
        """Take what is steered."""
        self._fake = fake

    def routes(self) -> list[Route]:
        endpoints: list[tuple[str, str, Endpoint]] = [
            ("POST", "rules", self._set_rules),
            ("GET", "rules", self._rules),
            ("DELETE", "rules", self._clear_rules),
            ("POST", "release", self._release),
            ("GET", "jobs", self._jobs),
            ("POST", "webhooks", self._repeat_webhook),
            ("GET", "webhooks", self._webhooks),
            ("GET", "ledger", self._ledger),
            ("GET", "counts", self._counts),
            ("GET", "stats", self._stats),
        ]
        return [Route(f"/__fake/{name}", _handler(endpoint), methods=[method]) for method, name, endpoint in endpoints]

    async def _set_rules(self, told: Any) -> Any:
        """Set one rule, or a list of them (see `Rules.add`)."""
        rules = told if isinstance(told, list) else [told]
        for rule in rules:
            self._fake.rules.add(_object(rule))
        return {"set": len(rules)}

    async def _rules(self, _told: Any) -> Any:
        return {"left": self._fake.rules.left()}

    async def _clear_rules(self, _told: Any) -> Any:
        return {"forgotten": self._fake.rules.clear()}

    async def _release(self, told: Any) -> Any:
        """Let the held job `{"job": id}` end, or all that are held."""
        return {"released": self._fake.book.release(str(_object(told).get("job", "")))}

    async def _jobs(self, _told: Any) -> Any:
        return [_shown(job) for name in self._fake.dialects for job in self._fake.book.of(name)]

    async def _repeat_webhook(self, told: Any) -> Any:
        """Send the webhook of the end of `{"job": id}` once more, or as so many `copies` at once."""
        wanted, copies = str(_object(told).get("job", "")), told.get("copies", 1)
        if not is_whole(copies) or not 1 <= copies <= MAX_COPIES:
            raise BadInstruction(f"`copies` is a whole number from 1 to {MAX_COPIES}.")
        found = [job for name in self._fake.dialects if (job := self._fake.book.find(name, wanted))]
        if not found:
            raise BadInstruction(f"There is no job {wanted!r}.")
        return {"sent": sum(self._fake.repeat_mail(job, copies=copies) for job in found)}

    async def _webhooks(self, _told: Any) -> Any:
        post = self._fake.post
        return {"counts": dict(post.counts), "under_way": post.under_way, "tries": list(post.tries)}

    async def _ledger(self, told: Any) -> Any:
        """Return how many entries there are, their sum, and the `last` so many: all, or those of a `job`, `generation`, `key` or `dialect`."""
        wanted = dict(_object(told))
        last = wanted.pop("last", "")
        if unknown := set(wanted) - {"job", "generation", "key", "dialect"}:
            raise BadInstruction(f"{', '.join(sorted(unknown))} is unknown.")
        if last and not last.isdecimal():
            raise BadInstruction("`last` is a whole number.")
        ledger = self._fake.ledger
        entries = list(ledger.found(**wanted))
        count, usd = (len(entries), sum((Decimal(each["usd"]) for each in entries), Decimal(0))) if wanted else (ledger.count, ledger.usd)
        return {"count": count, "usd": format(usd, "f"), "entries": entries[len(entries) - int(last) :] if last else entries}

    async def _counts(self, _told: Any) -> Any:
        return self._fake.counts.told()

    async def _stats(self, _told: Any) -> Any:
        book, once = self._fake.book, self._fake.once
        return {
            "accepted": book.accepted,
            "live": book.live,
            "peak": book.peak,
            "answers": self._fake.answers,
            "remembered_bytes": once.weight,
        }


def _handler(endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        try:
            return answer(await endpoint(await request.json() if await request.body() else dict(request.query_params)))
        except ValueError as error:  # also what is no JSON
            return answer({"error": str(error)}, HTTPStatus.BAD_REQUEST)

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
