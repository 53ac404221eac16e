"""openai.responses: a language model that works in the background, by OpenAI's responses API."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from generations.outputs import clean_text
from spells.models.tool import Effects

from . import standard_webhooks
from .chat_messages import built_messages, conversation_schema
from .configuration import read_config
from .contract import Adapter, Delivery, Json, Lost, Progress, Request, Result, Submitted, ToolDefinition, ToolError
from .model_answers import OUTPUT_SCHEMA, ModelAnswer, asked_schema
from .openai_api import (
    API_KEY_ENV,
    BASE_URL,
    SHARED_PROPERTIES,
    Usage,
    cost_of,
    cost_told,
    declared_recovery,
    idempotency_header,
    model_property,
    openai_api,
    request_id_of,
)
from .provider_answers import JobId, no_lookup, read_as, taken
from .provider_api import ENV_PATTERN, provider_schema

# Of a failed response: what may go better another time.
_PASSING = frozenset({"server_error", "rate_limit_exceeded", "vector_store_timeout"})
_LENGTH = "max_output_tokens"
_MAX_METADATA = 512


class OpenAIResponses(Adapter):
    """Asks a language model, and comes back for the answer. The webhook of an end does not bring it: it is but a hint."""

    key = "openai.responses"
    config_schema: ClassVar[Mapping[str, Any]] = provider_schema(
        {
            "model": model_property("gpt-5-mini"),
            "webhook_secret_env": {
                "type": "string",
                "description": "The environment variable with the signing secret of the project's webhooks (whsec_...).",
                "pattern": ENV_PATTERN,
                "default": "OPENAI_WEBHOOK_SECRET",
            },
            **SHARED_PROPERTIES,
        },
        base_url=BASE_URL,
        api_key_env=API_KEY_ENV,
    )
    definitions: ClassVar[tuple[ToolDefinition, ...]] = (
        ToolDefinition(
            slug="openai.responses",
            provider="openai",
            name="Let a language model work",
            description=(
                "Asks a language model by OpenAI's responses API, in the background: for answers that take minutes. The same params "
                "as `openai.chat`, the same output."
            ),
            category="text",
            input_schema=conversation_schema(),
            output_schema=OUTPUT_SCHEMA,
            example={"system": "You are a careful editor.", "prompt": "Plan a novel about a lighthouse, chapter by chapter."},
            config={"base_url": BASE_URL, "api_key_env": API_KEY_ENV, "model": "gpt-5-mini"},
            effects=Effects.BILLED,
            run_timeout_seconds=60,
            deadline_seconds=3600,
        ),
    )

    def declares(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        return declared_recovery(config)

    async def run(self, request: Request) -> Result | Submitted:
        config = read_config(request, self.config_schema)
        body = await _body(request, config)
        api = openai_api(request, config)
        answer = await api.send("POST", "/responses", json=body, headers=idempotency_header(request, config))
        told = api.json_of(answer)
        with taken():
            cost = cost_told(told, request)
        with taken(cost):
            response = read_as(_Response, told, host=api.host, what="response")
            if response.is_silent:
                return Submitted(job_id=response.id, poll_after=config["poll_seconds"])
            outcome = response.outcome(request, config, request_id=request_id_of(answer))
        if isinstance(outcome, Progress):
            return Submitted(job_id=response.id, poll_after=config["poll_seconds"])
        if isinstance(outcome, ToolError):
            raise outcome
        return outcome

    async def poll(self, request: Request, job_id: str) -> Result | Progress | Lost | ToolError:
        config = read_config(request, self.config_schema)
        api = openai_api(request, config)
        if not job_id:
            return no_lookup(api.host)
        answer = await api.send("GET", f"/responses/{job_id}", expected=(HTTPStatus.NOT_FOUND,))
        if answer.status == HTTPStatus.NOT_FOUND:
            return Lost(message=f"{api.host} knows no response {job_id}.")
        response = read_as(_Response, api.json_of(answer), host=api.host, what="response")
        if response.is_silent:
            raise ToolError(f"{api.host} tells of a completed response without its output.", code="bad_answer")
        return response.outcome(request, config, request_id=request_id_of(answer))

    async def cancel(self, request: Request, job_id: str) -> None:
        config = read_config(request, self.config_schema)
        # One that has ended is answered as it is, or by 400 or 409, depending on the server.
        ended = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
        await openai_api(request, config).send("POST", f"/responses/{job_id}/cancel", expected=ended)

    def job_of_callback(self, payload: Json) -> str:
        """Return the response that an event of the project is about: OpenAI knows one address, not one for each call."""
        event = payload if isinstance(payload, dict) else {}
        data = event.get("data")
        job_id = data.get("id") if isinstance(data, dict) and str(event.get("type", "")).startswith("response.") else None
        return job_id if isinstance(job_id, str) else ""

    def verify_callback(self, delivery: Delivery) -> str:
        config = {"webhook_secret_env": "OPENAI_WEBHOOK_SECRET", **delivery.config}
        return standard_webhooks.verify(delivery, secret_env=config["webhook_secret_env"])


async def _body(request: Request, config: Mapping[str, Any]) -> dict[str, Any]:
    inputs, schema = request.inputs, asked_schema(request)
    body: dict[str, Any] = {**config["extra_body"], "model": config["model"], "background": True, "store": True}
    body["input"] = [_message(message) for message in await built_messages(request)]
    if "temperature" in inputs:
        body["temperature"] = inputs["temperature"]
    if "max_tokens" in inputs:
        body["max_output_tokens"] = inputs["max_tokens"]
    if schema:
        body["text"] = {"format": {"type": "json_schema", **schema}}
    elif inputs["response_format"] == "json":
        body["text"] = {"format": {"type": "json_object"}}
    # For whoever looks at it over there. Sent again with the same key, a request must be the same to the letter: so it
    # names the key, not the attempt, and no address of the attempt.
    metadata = {"call": str(request.idempotency_key)}
    if 0 < len(request.callback_url) <= _MAX_METADATA and not config["idempotency_key_header"]:
        metadata["webhook_url"] = request.callback_url
    also = body.get("metadata")
    body["metadata"] = {**(also if isinstance(also, dict) else {}), **metadata}
    return body


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message of the chat API as this one takes it."""
    content = message["content"]
    if isinstance(content, str):
        return {"role": message["role"], "content": content}
    if message["role"] == "assistant":
        # What a model said can be handed back as a text; its pictures cannot.
        if any(part["type"] != "text" for part in content):
            raise ToolError("A message of the assistant can hold text only.", code="bad_messages", permanent=True)
        return {"role": "assistant", "content": "".join(part["text"] for part in content)}
    parts = [
        {"type": "input_image", "image_url": part["image_url"]["url"], "detail": "auto"}
        if part["type"] == "image_url"
        else {"type": "input_text", "text": part["text"]}
        for part in content
    ]
    return {"role": message["role"], "content": parts}


class _Content(BaseModel):
    text: str | None = None
    refusal: str | None = None


class _Item(BaseModel):
    type: str = ""
    content: list[_Content] | None = None


class _Failure(BaseModel):
    code: str | None = None
    message: str | None = None


class _Incomplete(BaseModel):
    reason: str | None = None


class _Response(BaseModel):
    """What we read of a response. Other fields may come and go."""

    id: JobId
    status: str = Field(max_length=100)
    model: str | None = None
    output: list[_Item] | None = None
    usage: Usage | None = None
    error: _Failure | None = None
    incomplete_details: _Incomplete | None = None

    @property
    def is_silent(self) -> bool:
        """Tell whether it is said to be there and left out. One with nothing in it has an empty list."""
        return self.status == "completed" and self.output is None

    def outcome(self, request: Request, config: Mapping[str, Any], *, request_id: Mapping[str, str]) -> Result | Progress | ToolError:
        """Return what became of it. A status that nobody knows counts as at work, until the job's deadline."""
        if self.status in ("completed", "incomplete"):
            said = self._answer(request, request_id=request_id)
            try:
                return Result(output=said.output(request), cost=said.cost)
            except ToolError as error:
                return error
        cost = cost_of(self.usage, request)
        if self.status == "failed":
            code, words = (self.error and self.error.code) or "", (self.error and self.error.message) or "It gives no reason."
            told = f"The response failed: {clean_text(words[:1000])}"
            details = {"code": clean_text(code[:100]), **request_id}
            return ToolError(told, code="provider_failed", permanent=code not in _PASSING, cost=cost, details=details)
        if self.status == "cancelled":
            return ToolError("The response was cancelled at the provider.", code="cancelled", permanent=True, cost=cost)
        return Progress(stage=clean_text(self.status.replace("_", " ")), poll_after=config["poll_seconds"])

    def _answer(self, request: Request, *, request_id: Mapping[str, str]) -> ModelAnswer:
        parts = [part for item in self.output or () if item.type == "message" for part in item.content or ()]
        reason = "stop"
        if self.status == "incomplete":
            reason = (self.incomplete_details and self.incomplete_details.reason) or "incomplete"
        return ModelAnswer(
            text="".join(part.text or "" for part in parts),
            refusal="".join(part.refusal or "" for part in parts),
            finish_reason="length" if reason == _LENGTH else reason,
            model=self.model or "",
            usage=self.usage.counts() if self.usage else {},
            request_id=request_id,
            cost=cost_of(self.usage, request),
        )
