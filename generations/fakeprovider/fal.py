"""fal's dialect: its queue, and webhooks signed by Ed25519."""

import secrets
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, ClassVar
from uuid import uuid4

from starlette.responses import Response
from starlette.routing import Route

from . import words
from .answers import answer, json_bytes
from .dialects import Call, Dialect, Refused
from .files import enlarged_path, is_enlarger, is_writer
from .jobs import Job, Phase
from .pictures import path_of, plain_name, size_of, whole
from .prices import Line, lines
from .signatures import FalKey
from .webhooks import Mail

USER_ID = "fake|user"
# Ten more tries, over about two hours.
RETRY_WAITS = (5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 2400.0, 2400.0)
MAX_PICTURES = 8


class Fal(Dialect):
    """Requests of any app, below `owner/app`."""

    name: ClassVar[str] = "fal"
    scheme: ClassVar[str] = "Key"

    def routes(self) -> list[Route]:
        self.key = FalKey(self.fake.settings.derived("fal"))
        return [
            self.route("/.well-known/jwks.json", self._jwks, is_open=True),
            self.route("/storage/upload/initiate", self._initiate, methods=["POST"], place="upload"),
            # its address is the permission
            self.route("/storage/uploads/{token}/{name}", self._upload, methods=["PUT"], place="upload", is_open=True),
            self.route("/{app:path}/requests/{id}/status", self._status),
            self.route("/{app:path}/requests/{id}/cancel", self._cancel, methods=["PUT"], place="cancel"),
            self.route("/{app:path}/requests/{id}", self._response),
            self.route("/{app:path}", self._submit, methods=["POST"], place="submit"),
        ]

    def refusal(self, status: int, words: str) -> Response:
        if status == HTTPStatus.UNPROCESSABLE_ENTITY:
            return answer({"detail": [{"loc": ["body"], "msg": words, "type": "value_error"}]}, status)
        return answer({"detail": words}, status)

    def unauthorized(self, key: str, /) -> Response:
        words = "Invalid API key" if key else "Authentication is required to access this application."
        return self.refusal(HTTPStatus.UNAUTHORIZED, words)

    def told_in(self, body: Any) -> Any:
        return body

    async def _jwks(self, _call: Call) -> Response:
        return answer(self.key.jwks())

    async def _initiate(self, call: Call) -> Response:
        """Say where a file may be put, and where it will be."""
        name, token = str(call.object().get("file_name") or "file"), secrets.token_urlsafe(16)
        upload_url = f"{call.origin}/fal/storage/uploads/{token}/{plain_name(name)}"
        return answer({"upload_url": upload_url, "file_url": call.origin + path_of(token, name)})

    async def _upload(self, call: Call) -> Response:
        mime_type = call.header("content-type") or "application/octet-stream"
        self.fake.shelf.put_bytes(call.raw, mime_type=mime_type, name=call.path("name"), token=call.path("token"))
        return Response()

    async def _submit(self, call: Call) -> Response:
        callback = call.request.query_params.get("fal_webhook", "")
        metadata = {name: value for name in ("x-fal-request-timeout", "x-fal-no-retry") if (value := call.header(name))}
        job = self.accept(call, id=str(uuid4()), model=call.path("app"), inputs=call.object(), callback=callback, metadata=metadata)
        return answer(self._place(job))

    async def _status(self, call: Call) -> Response:
        job = self._job(call)
        has_logs = call.request.query_params.get("logs", "").lower() in ("1", "true")
        told = {**self._place(job), "logs": _logs(job) if has_logs else None}
        if job.is_live:
            return answer(told, HTTPStatus.ACCEPTED)
        told["metrics"] = {"inference_time": float(job.seconds)} if job.phase == Phase.SUCCEEDED else {}
        if job.phase != Phase.SUCCEEDED:
            told |= {"error": _words(job), "error_type": _sort(job)}
        return answer(told)

    async def _response(self, call: Call) -> Response:
        job = self._job(call)
        if job.is_live:
            raise Refused(HTTPStatus.BAD_REQUEST, "Request is still in progress")
        if job.phase == Phase.SUCCEEDED:
            return answer(job.output)
        return answer(_fault(job), HTTPStatus.UNPROCESSABLE_ENTITY, {"x-fal-error-type": _sort(job)})

    async def _cancel(self, call: Call) -> Response:
        job = self.fake.book.find(self.name, call.path("id"))
        if job is None:
            return answer({"status": "NOT_FOUND"}, HTTPStatus.NOT_FOUND)
        if not self.fake.book.cancel(job):
            return answer({"status": "ALREADY_COMPLETED"}, HTTPStatus.BAD_REQUEST)
        return answer({"status": "CANCELLATION_REQUESTED"}, HTTPStatus.ACCEPTED)

    def _job(self, call: Call) -> Job:
        job = self.fake.book.find(self.name, call.path("id"))
        if job is None:
            raise Refused(HTTPStatus.NOT_FOUND, "Request not found")
        return job

    def _place(self, job: Job) -> dict[str, Any]:
        owner_and_app = "/".join(job.order.model.split("/")[:2])
        home = f"{job.order.origin}/fal/{owner_and_app}/requests/{job.id}"
        told: dict[str, Any] = {
            "status": {Phase.QUEUED: "IN_QUEUE", Phase.RUNNING: "IN_PROGRESS"}.get(job.phase, "COMPLETED"),
            "request_id": job.id,
            "response_url": home,
            "status_url": f"{home}/status",
            "cancel_url": f"{home}/cancel",
        }
        return {**told, "queue_position": 0} if job.phase == Phase.QUEUED else told

    def output(self, job: Job) -> Any:
        shelf, inputs, origin = self.fake.shelf, job.order.inputs, job.order.origin
        if is_enlarger(job.order.model):
            path = enlarged_path(job, shelf=shelf)
            return {"image": {"url": origin + path, "content_type": "image/png", "file_name": "enlarged.png"}}
        prompt = str(inputs.get("prompt", ""))
        if is_writer(job.order.model):
            return {"output": words.answer(prompt, model=job.order.model), "partial": False, "error": None}
        size = size_of(inputs.get("image_size"), otherwise=(1024, 768))
        seed = whole(inputs.get("seed"), job.number)
        count = max(1, min(MAX_PICTURES, whole(inputs.get("num_images"), 1)))
        painted = self.fake.settings.painted
        paths = [shelf.put_picture(prompt=prompt, seed=seed + each, size=size, painted=painted) for each in range(count)]
        images = [{"url": origin + path, "width": size[0], "height": size[1], "content_type": "image/png"} for path in paths]
        return {"images": images, "timings": {"inference": float(job.seconds)}, "seed": seed, "prompt": prompt}

    def bill(self, job: Job) -> list[Line]:
        """Charge the time of what succeeded."""
        return lines("fal", {"per_second": job.seconds}) if job.phase == Phase.SUCCEEDED else []

    def mails(self, job: Job, event: str) -> Iterable[Mail]:
        if event != "completed" or not job.order.callback or job.phase == Phase.CANCELLED:
            return
        told: dict[str, Any] = {"request_id": job.id, "gateway_request_id": job.id, "status": "OK", "payload": job.output}
        if job.phase == Phase.FAILED:
            told |= {"status": "ERROR", "error": job.failure, "payload": _fault(job)}
        sign = self.key.signer(request_id=job.id, user_id=USER_ID)
        yield Mail(url=job.order.callback, event=told["status"], body=json_bytes(told), sign=sign, waits=RETRY_WAITS)


def _fault(job: Job) -> Mapping[str, Any]:
    return {"detail": [{"loc": ["body"], "msg": _words(job), "type": _sort(job)}]}


def _words(job: Job) -> str:
    return "The request was cancelled." if job.phase == Phase.CANCELLED else job.failure


def _sort(job: Job) -> str:
    return "request_cancelled" if job.phase == Phase.CANCELLED else "runner_server_error"


def _logs(job: Job) -> list[dict[str, Any]]:
    if job.started_at is None:
        return []
    said = [f"{percent}%|" for percent in range(0, job.percent + 1, 25)]
    return [{"message": line, "level": "INFO", "source": "USER", "timestamp": job.started_at.isoformat()} for line in said]
