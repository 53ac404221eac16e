"""ComfyDeploy's dialect: runs of deployments, webhooks without a signature, in its newer words or its older ones."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, ClassVar
from uuid import uuid4

from starlette.responses import Response
from starlette.routing import Route

from .answers import answer, json_bytes
from .dialects import Call, Dialect, Refused
from .jobs import Job, Phase
from .pictures import whole
from .prices import Line, lines
from .signatures import unsigned
from .webhooks import Mail

STATUSES: Mapping[Phase, str] = {
    Phase.QUEUED: "queued",
    Phase.RUNNING: "running",
    Phase.SUCCEEDED: "success",
    Phase.FAILED: "failed",
    Phase.CANCELLED: "cancelled",
}
OLD_WORDS: Mapping[str, str] = {"queued": "not-started", "running": "processing", "success": "completed"}
RETRY_WAITS = (0.5, 1.0)


class ComfyDeploy(Dialect):
    """Runs by id, below `/api`."""

    name: ClassVar[str] = "comfydeploy"

    def routes(self) -> list[Route]:
        return [
            self.route("/api/run/deployment/queue", self._queue, methods=["POST"], place="submit"),
            self.route("/api/run/{id}", self._get),
            self.route("/api/run/{id}/cancel", self._cancel, methods=["POST"], place="cancel"),
        ]

    def refusal(self, status: int, words: str) -> Response:
        return answer({"detail": words}, status)

    def unauthorized(self, key: str, /) -> Response:
        return self.refusal(HTTPStatus.UNAUTHORIZED, "Invalid or expired token" if key else "Unauthorized")

    def told_in(self, body: Any) -> Any:
        return body.get("inputs") if isinstance(body, Mapping) else None

    async def _queue(self, call: Call) -> Response:
        body = call.object()
        if not isinstance(body.get("deployment_id"), str):
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "deployment_id: Field required")
        inputs = body.get("inputs") or {}
        if not isinstance(inputs, dict):
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "inputs: Input should be a valid dictionary")
        job = self.accept(
            call,
            id=str(uuid4()),
            model=body["deployment_id"],
            inputs=inputs,
            callback=str(body.get("webhook") or ""),
            events=frozenset({"start", "progress", "completed"} if body.get("webhook_intermediate_status") else {"completed"}),
        )
        return answer({"run_id": job.id})

    async def _get(self, call: Call) -> Response:
        return answer(self._shown(self._job(call)))

    async def _cancel(self, call: Call) -> Response:
        job = self._job(call)
        self.fake.book.cancel(job)
        return answer({"status": "success", "message": "Run cancelled"})

    def _job(self, call: Call) -> Job:
        job = self.fake.book.find(self.name, call.path("id"))
        if job is None:
            raise Refused(HTTPStatus.NOT_FOUND, "Run not found")
        return job

    def _state(self, job: Job) -> dict[str, Any]:
        status = STATUSES[job.phase]
        if self.fake.settings.old_comfydeploy_words:
            status = OLD_WORDS.get(status, status)
        live = {Phase.QUEUED: None, Phase.RUNNING: f"Executing KSampler {job.percent}%", Phase.FAILED: job.failure}
        return {"status": status, "live_status": live.get(job.phase), "progress": job.percent / 100, "outputs": job.output or []}

    def _shown(self, job: Job) -> dict[str, Any]:
        return {
            "id": job.id,
            "deployment_id": job.order.model,
            "workflow_inputs": dict(job.order.inputs),
            "created_at": job.accepted_at.isoformat(),
            "queued_at": job.accepted_at.isoformat(),
            "started_at": _stamp(job.started_at),
            "ended_at": _stamp(job.ended_at),
            "run_duration": float(job.seconds) if job.ended_at else None,
            "gpu": "A10G",
            "machine_type": "comfy-deploy-serverless",
            **self._state(job),
        }

    def output(self, job: Job) -> Any:
        inputs, shelf = job.order.inputs, self.fake.shelf
        prompt = str(next((inputs[name] for name in ("prompt", "positive_prompt", "text") if name in inputs), ""))
        size = whole(inputs.get("width"), 512), whole(inputs.get("height"), 512)
        path = shelf.put_picture(prompt=prompt, seed=whole(inputs.get("seed"), job.number), size=size, painted=self.fake.settings.painted)
        image = {"url": job.order.origin + path, "type": "output", "filename": "ComfyUI_00001_.png", "subfolder": ""}
        return [{"data": {"images": [image]}, "node_meta": {"node_id": "9", "node_class": "SaveImage"}}]

    def bill(self, job: Job) -> list[Line]:
        """Charge the machine's seconds, whatever came of them."""
        return lines("comfydeploy", {"per_second": job.seconds})

    def mails(self, job: Job, event: str) -> Iterable[Mail]:
        if not job.order.callback or event not in job.order.events:
            return
        told = {"event_type": "run.updated", "run_id": job.id, **self._state(job)}
        yield Mail(
            url=job.order.callback,
            event=str(told["status"]),
            body=json_bytes(told),
            sign=unsigned,
            waits=RETRY_WAITS,
            is_last=event == "completed",
        )


def _stamp(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
