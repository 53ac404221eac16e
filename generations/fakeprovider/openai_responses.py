"""OpenAI's responses: in the background as jobs with webhooks, else waited for."""

import json
import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse, Response

from . import words
from .answers import answer, json_bytes
from .dialects import Call, Dialect, Refused
from .jobs import Job, Phase
from .pictures import whole
from .prices import Line, lines
from .signatures import standard_webhooks
from .webhooks import Mail

STATUSES: Mapping[Phase, str] = {
    Phase.QUEUED: "queued",
    Phase.RUNNING: "in_progress",
    Phase.SUCCEEDED: "completed",
    Phase.FAILED: "failed",
    Phase.CANCELLED: "cancelled",
}
RETRY_WAITS = (2.0, 5.0, 15.0, 60.0, 300.0)


def asked(messages: Any) -> tuple[str, str]:
    """Return the last question, and all that was said, of messages in the form of chats or of responses."""
    if isinstance(messages, str):
        return messages, messages
    said: list[str] = []
    last = ""
    for message in messages if isinstance(messages, list) else []:
        if isinstance(message, Mapping):
            text = _content(message.get("content"))
            said.append(text)
            last = text if message.get("role", "user") == "user" else last
    return last, "\n".join(said)


def _content(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(part["text"] for part in parts if isinstance(part, Mapping) and isinstance(part.get("text"), str))


def json_wanted(form: Any) -> tuple[bool, Mapping[str, Any] | None]:
    """Return whether an answer is wanted as JSON, and by which schema. Raises Refused when the wish makes no sense."""
    if form is None:
        return False, None
    kind = form.get("type") if isinstance(form, Mapping) else None
    if kind == "json_schema":
        wrapped = form.get("json_schema", form)
        schema = wrapped.get("schema") if isinstance(wrapped, Mapping) else None
        if not isinstance(schema, Mapping):
            raise Refused(HTTPStatus.BAD_REQUEST, "Missing required parameter: 'response_format.json_schema.schema'.")
        return True, schema
    if kind not in ("text", "json_object"):
        raise Refused(HTTPStatus.BAD_REQUEST, "Invalid value for 'type': supported are 'text', 'json_object' and 'json_schema'.")
    return kind == "json_object", None


def wanted_form(body: Mapping[str, Any]) -> tuple[bool, Mapping[str, Any] | None]:
    """Return what `json_wanted` says of a response's own wish."""
    text = body.get("text")
    return json_wanted(text.get("format") if isinstance(text, Mapping) else None)


def metadata_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the metadata of a request. Raises Refused when they are none."""
    metadata = body.get("metadata") or {}
    if not isinstance(metadata, Mapping):
        raise Refused(HTTPStatus.BAD_REQUEST, "Invalid type for 'metadata': expected an object.")
    return metadata


def answered(question: str, *, model: str, wants_json: bool, schema: Mapping[str, Any] | None) -> str:
    """Return the answer of a model, in JSON if that is wanted. Raises Refused when the schema makes no sense."""
    if not wants_json:
        return words.answer(question, model=model)
    try:
        return json.dumps(words.document(question, schema, model=model), ensure_ascii=False)
    except (TypeError, ValueError, AttributeError) as error:
        raise Refused(HTTPStatus.BAD_REQUEST, f"Invalid schema for response_format: {error}") from error


class Responses(Dialect):
    """Responses by id. One with `background` is a job that can be cancelled, and whose end is told by a webhook."""

    async def create_response(self, call: Call) -> JSONResponse:
        body = call.object()
        if not isinstance(body.get("model"), str) or not isinstance(body.get("input"), str | list):
            raise Refused(HTTPStatus.BAD_REQUEST, "Missing required parameter: 'model' or 'input'.")
        wanted_form(body)
        metadata = metadata_of(body)
        job = self.accept(
            call,
            id=f"resp_{secrets.token_hex(24)}",
            model=body["model"],
            inputs=body,
            # theirs is set for a whole project; one of a single response is an addition of ours
            callback=str(metadata.get("webhook_url") or self.fake.settings.openai_webhook),
            idempotency_key=call.header("idempotency-key"),
            metadata=metadata,
        )
        if not body.get("background"):
            await job.done.wait()
        return answer(self.shown_response(job))

    async def get_response(self, call: Call) -> Response:
        return answer(self.shown_response(self._response(call)))

    async def cancel_response(self, call: Call) -> Response:
        job = self._response(call)
        if not job.order.inputs.get("background"):
            raise Refused(HTTPStatus.BAD_REQUEST, "Cannot cancel a synchronous response.")
        self.fake.book.cancel(job)
        return answer(self.shown_response(job))

    def _response(self, call: Call) -> Job:
        job = self.fake.book.find(self.name, call.path("id"))
        if job is None:
            raise Refused(HTTPStatus.NOT_FOUND, f"Response with id '{call.path('id')}' not found.")
        return job

    def output(self, job: Job) -> Any:
        """Return `{"text", "is_cut", "given", "made"}`: the answer, whether it was cut off, and the tokens."""
        body = job.order.inputs
        question, said = asked(body["input"])
        wants_json, schema = wanted_form(body)
        made = answered(question, model=job.order.model, wants_json=wants_json, schema=schema)
        longest = whole(body.get("max_output_tokens"), 0)
        is_cut = 0 < longest < words.tokens(made)
        made = made[: longest * 4] if is_cut else made
        given = words.tokens(said + str(body.get("instructions") or ""))
        return {"text": made, "is_cut": is_cut, "given": given, "made": words.tokens(made)}

    def bill(self, job: Job) -> list[Line]:
        if job.phase != Phase.SUCCEEDED or not isinstance(job.output, dict):
            return []
        return lines("openai", {"input_per_million": job.output.get("given", 0), "output_per_million": job.output.get("made", 0)})

    def mails(self, job: Job, event: str) -> Iterable[Mail]:
        if event != "completed" or not job.order.callback or not job.order.inputs.get("background"):
            return
        kind = f"response.{_status(job)}"
        told = {"id": f"evt_{job.id[5:]}", "object": "event", "created_at": _stamp(job.ended_at), "type": kind, "data": {"id": job.id}}
        sign = standard_webhooks(self.fake.settings.webhook_secret, message_id=f"wh_{job.id[5:]}")
        yield Mail(url=job.order.callback, event=kind, body=json_bytes(told), sign=sign, waits=RETRY_WAITS, heeds=True)

    def shown_response(self, job: Job) -> dict[str, Any]:
        """Return a response as the API shows it."""
        body, status = job.order.inputs, _status(job)
        made = job.output if isinstance(job.output, dict) else None
        failed = {"code": "server_error", "message": job.failure} if job.phase == Phase.FAILED else None
        return {
            "id": job.id,
            "object": "response",
            "created_at": _stamp(job.accepted_at),
            "completed_at": _stamp(job.ended_at) if status == "completed" else None,
            "status": status,
            "background": bool(body.get("background")),
            "error": failed,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "instructions": body.get("instructions"),
            "metadata": dict(job.order.metadata),
            "model": job.order.model,
            "output": [_message(job, made, status=status)] if made else [],
            "parallel_tool_calls": True,
            "temperature": 1.0,
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "text": body.get("text") or {"format": {"type": "text"}},
            "usage": _usage(made) if made else None,
        }


def _status(job: Job) -> str:
    is_cut = job.phase == Phase.SUCCEEDED and isinstance(job.output, dict) and job.output.get("is_cut")
    return "incomplete" if is_cut else STATUSES[job.phase]


def _message(job: Job, made: Mapping[str, Any], *, status: str) -> dict[str, Any]:
    content = {"type": "output_text", "text": made.get("text", ""), "annotations": [], "logprobs": []}
    return {"id": f"msg_{job.id[5:]}", "type": "message", "role": "assistant", "status": status, "content": [content]}


def _usage(made: Mapping[str, Any]) -> dict[str, Any]:
    given, drawn = made.get("given", 0), made.get("made", 0)
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": drawn,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": given + drawn,
    }


def _stamp(at: datetime | None) -> int | None:
    return int(at.timestamp()) if at else None
