"""Replicate's dialect: predictions, files, and webhooks by Standard Webhooks."""

import asyncio
import math
import re
import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, ClassVar

from starlette.responses import Response
from starlette.routing import Route

from .answers import answer, json_bytes
from .dialects import Call, Dialect, Refused
from .files import Uploads, model_output
from .jobs import Job, Phase
from .prices import Line, lines
from .signatures import standard_webhooks
from .webhooks import Mail

STATUSES: Mapping[Phase, str] = {
    Phase.QUEUED: "starting",
    Phase.RUNNING: "processing",
    Phase.SUCCEEDED: "succeeded",
    Phase.FAILED: "failed",
    Phase.CANCELLED: "canceled",
}
EVENTS = frozenset({"start", "output", "logs", "completed"})
# Which of its events one of ours is.
SENT_AS: Mapping[str, frozenset[str]] = {
    "start": frozenset({"start"}),
    "progress": frozenset({"logs", "output"}),
    "completed": frozenset({"completed"}),
}
RETRY_WAITS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
STEPS = 28
PAGE = 100
LONGEST_WAIT = 60
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_UNITS = {"s": 1, "m": 60, "h": 3600}


class Replicate(Dialect):
    """Predictions by version, by model and by deployment."""

    name: ClassVar[str] = "replicate"

    def routes(self) -> list[Route]:
        uploads = Uploads(self.fake.shelf, path="/replicate/v1/files")
        self._uploads = uploads
        return [
            self.route("/v1/predictions", self._create, methods=["POST"], place="submit"),
            self.route("/v1/predictions", self._list),
            self.route("/v1/models/{owner}/{model}/predictions", self._create, methods=["POST"], place="submit"),
            self.route("/v1/deployments/{owner}/{model}/predictions", self._create, methods=["POST"], place="submit"),
            self.route("/v1/models/{owner}/{model}/versions/{version}", self._version),
            self.route("/v1/predictions/{id}", self._get),
            self.route("/v1/predictions/{id}/cancel", self._cancel, methods=["POST"], place="cancel"),
            self.route("/v1/files", uploads.create, methods=["POST"], place="upload"),
            self.route("/v1/files", uploads.list),
            self.route("/v1/files/{id}", uploads.get),
            self.route("/v1/files/{id}", uploads.delete, methods=["DELETE"]),
            self.route("/v1/webhooks/default/secret", self._secret),
            self.route("/v1/account", self._account),
        ]

    def refusal(self, status: int, words: str) -> Response:
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            return self.throttled(30)
        told = {"title": HTTPStatus(status).phrase, "detail": words, "status": status}
        return answer(told, status, {"Content-Type": "application/problem+json"})

    def throttled(self, seconds: float) -> Response:
        told = {"detail": f"Request was throttled. Your rate limit resets in ~{math.ceil(seconds)}s."}
        return answer(told, HTTPStatus.TOO_MANY_REQUESTS)

    def unauthorized(self, _key: str, /) -> Response:
        told = {"title": "Unauthenticated", "detail": "You did not pass a valid authentication token", "status": 401}
        return answer(told, HTTPStatus.UNAUTHORIZED, {"Content-Type": "application/problem+json", "WWW-Authenticate": "Bearer"})

    async def _create(self, call: Call) -> Response:
        body = call.object()
        if not isinstance(body.get("input"), dict):
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "- input is required\n")
        job = self.accept(
            call,
            id="".join(secrets.choice(_ALPHABET) for _ in range(26)),
            model=_model(call, body),
            inputs=body["input"],
            callback=_webhook(body),
            events=_events(body),
            cancel_after=_duration(call.header("cancel-after")) or None,
            tags={"version": str(body.get("version", "hidden")).rpartition(":")[2]},
        )
        if wait := _wait(call.header("prefer")):
            try:
                async with asyncio.timeout(wait):
                    await job.done.wait()
            except TimeoutError:  # a snapshot, which says `starting` whatever has begun meanwhile
                return answer({**self.shown(job), "status": "starting"}, HTTPStatus.CREATED)
        return answer(self.shown(job), HTTPStatus.CREATED)

    async def _list(self, call: Call) -> Response:
        jobs = self.fake.book.of(self.name)
        cursor = call.request.query_params.get("cursor", "0")
        if not cursor.isdecimal():
            raise Refused(HTTPStatus.BAD_REQUEST, "The cursor is none of ours.")
        first = int(cursor)
        url = f"{call.origin}/replicate/v1/predictions?cursor="
        later = f"{url}{first + PAGE}" if len(jobs) > first + PAGE else None
        earlier = f"{url}{max(0, first - PAGE)}" if first else None
        return answer({"previous": earlier, "next": later, "results": [self.shown(job) for job in jobs[first : first + PAGE]]})

    async def _get(self, call: Call) -> Response:
        return answer(self.shown(self._job(call)))

    async def _cancel(self, call: Call) -> Response:
        job = self._job(call)
        self.fake.book.cancel(job)
        return answer(self.shown(job))

    async def _secret(self, _call: Call) -> Response:
        return answer({"key": self.fake.settings.webhook_secret})

    async def _account(self, _call: Call) -> Response:
        return answer({"type": "organization", "username": "fake", "name": "Fake", "github_url": None})

    async def _version(self, call: Call) -> Response:
        files = {"type": "array", "items": {"type": "string", "format": "uri"}, "title": "Output"}
        schema = {"openapi": "3.0.2", "components": {"schemas": {"Input": {"type": "object"}, "Output": files}}}
        told = {"id": call.path("version"), "created_at": "2026-01-01T00:00:00Z", "cog_version": "0.23.0", "openapi_schema": schema}
        return answer(told)

    def _job(self, call: Call) -> Job:
        job = self.fake.book.find(self.name, call.path("id"))
        if job is None:
            raise Refused(HTTPStatus.NOT_FOUND, "The requested resource could not be found.")
        return job

    def shown(self, job: Job) -> dict[str, Any]:
        """Return a prediction as the API and the webhooks show it."""
        order = job.order
        home = f"{order.origin}/replicate/v1/predictions/{job.id}"
        told: dict[str, Any] = {
            "id": job.id,
            "model": order.model,
            "version": order.tags["version"],
            "input": dict(order.inputs),
            "logs": _logs(job),
            "output": job.output,
            "data_removed": False,
            "error": job.failure if job.phase == Phase.FAILED else None,
            "status": _status(job),
            "created_at": _stamp(job.accepted_at),
            "urls": {"get": home, "cancel": f"{home}/cancel", "web": f"{order.origin}/p/{job.id}"},
        }
        if job.started_at:
            told["started_at"] = _stamp(job.started_at)
        if job.ended_at:
            told["completed_at"] = _stamp(job.ended_at)
        if job.seconds:
            told["metrics"] = {"predict_time": float(job.seconds), "total_time": job.latency}
        return told

    def output(self, job: Job) -> Any:
        return model_output(job, shelf=self.fake.shelf, painted=self.fake.settings.painted, uploads=self._uploads)

    def bill(self, job: Job) -> list[Line]:
        """Charge the time that it worked, also when it failed or was stopped; nothing when it never started."""
        return lines("replicate", {"per_second": job.seconds})

    def mails(self, job: Job, event: str) -> Iterable[Mail]:
        order = job.order
        sent = sorted(SENT_AS[event] & order.events)
        if not order.callback or not sent:
            return
        is_last = event == "completed"
        yield Mail(
            url=order.callback,
            event=sent[0],
            body=json_bytes(self.shown(job)),
            sign=standard_webhooks(self.fake.settings.webhook_secret, message_id=f"msg_{job.id}_{sent[0]}"),
            waits=RETRY_WAITS if is_last else (),
            is_last=is_last,
            heeds=True,
        )


def _model(call: Call, body: Mapping[str, Any]) -> str:
    if "model" in call.request.path_params:
        return f"{call.path('owner')}/{call.path('model')}"
    version = body.get("version")
    if not isinstance(version, str) or not version:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "- version is required\n")
    return version.partition(":")[0] if "/" in version else "fake/by-version"


def _webhook(body: Mapping[str, Any]) -> str:
    url = body.get("webhook") or ""
    if not isinstance(url, str) or (url and not url.startswith(("http://", "https://"))):
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "- webhook must be a valid HTTPS URL\n")
    return url


def _events(body: Mapping[str, Any]) -> frozenset[str]:
    wanted = body.get("webhook_events_filter")
    if wanted is None:
        return EVENTS
    if not isinstance(wanted, list) or not set(map(str, wanted)) <= EVENTS:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "- webhook_events_filter must be among start, output, logs, completed\n")
    return frozenset(wanted)


def _wait(prefer: str) -> int:
    """Return for how many seconds an answer may wait for the end."""
    found = re.match(r"^wait(?:=(\d{1,4}))?$", prefer.strip())
    if not found:
        return 0
    return min(LONGEST_WAIT, max(1, int(found[1]))) if found[1] else LONGEST_WAIT


def _duration(text: str) -> float:
    """Read `90s`, `1m`, `1h`; 0 when there is none."""
    if not text:
        return 0
    parts = re.findall(r"(\d+)([smh])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "- Cancel-After must be a duration like 1m\n")
    return float(sum(int(number) * _UNITS[unit] for number, unit in parts))


def _status(job: Job) -> str:
    never_started = job.phase == Phase.CANCELLED and job.started_at is None
    return "aborted" if never_started and job.is_late else STATUSES[job.phase]


def _logs(job: Job) -> str:
    if job.started_at is None:
        return ""
    done = STEPS * job.percent // 100
    bars = [
        f"{100 * step // STEPS:3d}%|{'█' * (10 * step // STEPS):<10}| {step}/{STEPS} [00:00<00:00,  9.00it/s]"
        for step in range(0, done + 1, 7)
    ]
    return "\n".join([f"Using seed: {job.order.inputs.get('seed', job.number)}", *bars]) + "\n"


def _stamp(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
