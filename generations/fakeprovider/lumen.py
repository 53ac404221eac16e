"""Lumen's dialect: the provider that docs/tools/http-job.md describes. It is found by our key, takes our id, and signs by HMAC."""

import secrets
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, ClassVar

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .answers import answer, json_bytes
from .dialects import Call, Dialect, Refused
from .jobs import Job, Phase
from .pictures import whole
from .prices import Line, lines
from .signatures import hmac_of_time_and_body
from .webhooks import Mail

STATES: Mapping[Phase, str] = {
    Phase.QUEUED: "waiting",
    Phase.RUNNING: "painting",
    Phase.SUCCEEDED: "dry",
    Phase.FAILED: "spoilt",
    Phase.CANCELLED: "stopped",
}
RETRY_WAITS = (1.0, 5.0, 30.0)
SIDE = 512
SKETCHES = 2


class Lumen(Dialect):
    """Paintings, below `/v1`."""

    name: ClassVar[str] = "lumen"

    def routes(self) -> list[Route]:
        create = self.fake.once.each(self.name, self._create)
        return [
            self.route("/v1/paintings", create, methods=["POST"], place="submit"),
            self.route("/v1/paintings", self._find),
            self.route("/v1/paintings/{id}", self._put, methods=["PUT"], place="submit"),
            self.route("/v1/paintings/{id}", self._get),
            self.route("/v1/paintings/{id}", self._stop, methods=["DELETE"], place="cancel"),
        ]

    def refusal(self, status: int, words: str) -> Response:
        return answer({"error": words}, status)

    def told_in(self, body: Any) -> Any:
        return body.get("options") if isinstance(body, Mapping) else None

    async def _create(self, call: Call) -> JSONResponse:
        job = self._ordered(call, id=f"p_{secrets.token_hex(12)}", idempotency_key=call.header("idempotency-key"))
        return answer(self._shown(job), HTTPStatus.CREATED)

    async def _put(self, call: Call) -> Response:
        """Take an order under an id of the client's; a second one under it must be the same."""
        known = self.fake.book.find(self.name, call.path("id"))
        if known is None:
            job = self._ordered(call, id=call.path("id"), idempotency_key=call.path("id"))
            return answer(self._shown(job), HTTPStatus.CREATED)
        if dict(known.order.inputs) != self._inputs(call):
            raise Refused(HTTPStatus.CONFLICT, "There is another painting of that id.")
        return answer(self._shown(known))

    def _ordered(self, call: Call, *, id: str, idempotency_key: str) -> Job:  # noqa: A002 - what it is
        notify = call.object().get("notify")
        callback = notify if isinstance(notify, str) else ""
        return self.accept(call, id=id, model="painter", inputs=self._inputs(call), callback=callback, idempotency_key=idempotency_key)

    def _inputs(self, call: Call) -> dict[str, Any]:
        body = call.object()
        options = body.get("options", {})
        if not isinstance(body.get("prompt"), str) or not isinstance(options, dict):
            raise Refused(HTTPStatus.BAD_REQUEST, "A painting needs a prompt, and its options are an object.")
        return {"prompt": body["prompt"], "options": options}

    async def _find(self, call: Call) -> Response:
        """Return the paintings that were begun under an idempotency key."""
        key = call.request.query_params.get("key", "")
        found = [job for job in self.fake.book.of(self.name) if key and job.order.idempotency_key == key]
        return answer({"paintings": [self._shown(job)["painting"] for job in found]})

    async def _get(self, call: Call) -> Response:
        return answer(self._shown(self._job(call)))

    async def _stop(self, call: Call) -> Response:
        job = self._job(call)
        self.fake.book.cancel(job)
        return answer(self._shown(job))

    def _job(self, call: Call) -> Job:
        job = self.fake.book.find(self.name, call.path("id"))
        if job is None:
            raise Refused(HTTPStatus.NOT_FOUND, "There is no such painting.")
        return job

    def _shown(self, job: Job) -> dict[str, Any]:
        told: dict[str, Any] = {"id": job.id, "state": STATES[job.phase], "done": job.percent / 100, "message": f"{job.percent} % dry"}
        if not job.is_live:
            told["gpu_seconds"] = float(job.seconds)
        if job.phase == Phase.SUCCEEDED:
            told["result"] = job.output
        if job.phase == Phase.FAILED:
            told["problem"] = job.failure
        return {"painting": told}

    def output(self, job: Job) -> Any:
        inputs, shelf, painted = job.order.inputs, self.fake.shelf, self.fake.settings.painted
        seed = whole(inputs["options"].get("seed"), job.number)
        urls = [
            job.order.origin + shelf.put_picture(prompt=inputs["prompt"], seed=seed + each, size=(SIDE, SIDE), painted=painted)
            for each in range(1 + SKETCHES)
        ]
        return {"canvas": {"url": urls[0]}, "sketches": [{"url": url} for url in urls[1:]]}

    def bill(self, job: Job) -> list[Line]:
        """Charge the time that it painted, whatever came of it."""
        return lines("lumen", {"per_second": job.seconds})

    def mails(self, job: Job, event: str) -> Iterable[Mail]:
        if event == "completed" and job.order.callback:
            sign = hmac_of_time_and_body(self.fake.settings.webhook_secret)
            body = json_bytes({"event": self._shown(job)})
            yield Mail(url=job.order.callback, event=STATES[job.phase], body=body, sign=sign, waits=RETRY_WAITS)
