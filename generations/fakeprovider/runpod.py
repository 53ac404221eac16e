"""RunPod's dialect: serverless endpoints, webhooks without a signature."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from http import HTTPStatus
from typing import Any, ClassVar
from uuid import uuid4

from starlette.responses import Response
from starlette.routing import Route

from . import words
from .answers import answer, json_bytes
from .dialects import Call, Dialect, Refused
from .files import is_writer, picture_urls
from .jobs import Job, Phase
from .pictures import whole
from .prices import Line, lines
from .signatures import unsigned
from .webhooks import Mail

STATUSES: Mapping[Phase, str] = {
    Phase.QUEUED: "IN_QUEUE",
    Phase.RUNNING: "IN_PROGRESS",
    Phase.SUCCEEDED: "COMPLETED",
    Phase.FAILED: "FAILED",
    Phase.CANCELLED: "CANCELLED",
}
RETRY_WAITS = (10.0, 10.0)


class RunPod(Dialect):
    """Jobs of endpoints, below `/v2`. Times are in whole milliseconds, and so is what is billed."""

    name: ClassVar[str] = "runpod"

    def routes(self) -> list[Route]:
        return [
            self.route("/v2/{endpoint}/run", self._run, methods=["POST"], place="submit"),
            self.route("/v2/{endpoint}/runsync", self._runsync, methods=["POST"], place="submit"),
            self.route("/v2/{endpoint}/status/{id}", self._status),
            self.route("/v2/{endpoint}/cancel/{id}", self._cancel, methods=["POST"], place="cancel"),
        ]

    def refusal(self, status: int, words: str) -> Response:
        return answer({"error": words, "status": status}, status)

    def unauthorized(self, key: str, /) -> Response:  # noqa: ARG002 - it says the same to all
        return Response(status_code=HTTPStatus.UNAUTHORIZED)

    async def _run(self, call: Call) -> Response:
        job = self._accepted(call)
        return answer({"id": job.id, "status": "IN_QUEUE"})

    async def _runsync(self, call: Call) -> Response:
        job = self._accepted(call)
        await job.done.wait()
        return answer(self.shown(job))

    def _accepted(self, call: Call) -> Job:
        body = call.object()
        if not isinstance(body.get("input"), dict):
            raise Refused(HTTPStatus.BAD_REQUEST, "input is required")
        policy = body.get("policy") or {}
        longest, lives = (whole(policy.get(name), 0) / 1000 if isinstance(policy, dict) else 0 for name in ("executionTimeout", "ttl"))
        return self.accept(
            call,
            id=f"{uuid4()}-u1",
            model=call.path("endpoint"),
            inputs=body["input"],
            callback=str(body.get("webhook") or ""),
            longest=longest or None,
            forget_after=lives or None,
        )

    async def _status(self, call: Call) -> Response:
        return answer(self.shown(self._job(call)))

    async def _cancel(self, call: Call) -> Response:
        job = self._job(call)
        self.fake.book.cancel(job)
        return answer({"id": job.id, "status": STATUSES[job.phase]})

    def _job(self, call: Call) -> Job:
        job = self.fake.book.find(self.name, call.path("id"))
        if job is None:
            raise Refused(HTTPStatus.NOT_FOUND, "job not found")
        return job

    def shown(self, job: Job) -> dict[str, Any]:
        """Return a job as its status and its webhook show it."""
        told: dict[str, Any] = {"id": job.id, "status": "TIMED_OUT" if _is_timed_out(job) else STATUSES[job.phase]}
        if job.started_at:
            told["delayTime"] = int((job.started_at - job.accepted_at).total_seconds() * 1000)
        if job.ended_at and job.started_at:
            told["executionTime"] = _milliseconds(job)
        if job.phase == Phase.SUCCEEDED:
            told["output"] = job.output
        if job.phase == Phase.FAILED:
            told["error"] = job.failure
        return told

    def output(self, job: Job) -> Any:
        if is_writer(job.order.model):
            return {"text": words.answer(str(job.order.inputs.get("prompt", "")), model=job.order.model)}
        return {"images": picture_urls(job, shelf=self.fake.shelf, painted=self.fake.settings.painted)}

    def bill(self, job: Job) -> list[Line]:
        """Charge the time of execution, whatever came of it."""
        return lines("runpod", {"per_second": Decimal(_milliseconds(job)) / 1000})

    def mails(self, job: Job, event: str) -> Iterable[Mail]:
        if event == "completed" and job.order.callback:
            told = self.shown(job)
            yield Mail(
                url=job.order.callback, event=told["status"], body=json_bytes(told), sign=unsigned, waits=RETRY_WAITS, takes={HTTPStatus.OK}
            )


def _is_timed_out(job: Job) -> bool:
    return job.phase == Phase.FAILED and job.is_too_long


def _milliseconds(job: Job) -> int:
    return int(job.seconds * 1000)
