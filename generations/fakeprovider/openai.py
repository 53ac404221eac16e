"""OpenAI's dialect: chat completions, pictures, and the list of models; responses stand in `openai_responses`."""

import asyncio
import base64
import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, ClassVar

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import words
from .answers import answer
from .dialects import Call, Endpoint, Refused
from .files import parts_of
from .identity import Identity, fingerprint
from .openai_responses import Responses, answered, asked, json_wanted, metadata_of
from .pictures import enlarged, size_of, whole
from .prices import Line, lines

MODELS = ("gpt-4o", "gpt-4o-mini", "gpt-4.1-mini", "gpt-image-1", "dall-e-3")
MAX_PICTURES = 10
KINDS: Mapping[int, str] = {401: "invalid_request_error", 429: "requests", 500: "server_error", 503: "server_error"}


class OpenAI(Responses):
    """What api.openai.com answers below /v1."""

    name: ClassVar[str] = "openai"

    def routes(self) -> list[Route]:
        submissions = {
            "chat/completions": self._chat,
            "images/generations": self._pictures,
            "images/edits": self._edit,
            "responses": self.create_response,
        }
        return [
            *(self.route(f"/v1/{path}", self._once(do), methods=["POST"], place="submit") for path, do in submissions.items()),
            self.route("/v1/models", self._models),
            self.route("/v1/responses/{id}", self.get_response),
            self.route("/v1/responses/{id}/cancel", self.cancel_response, methods=["POST"], place="cancel"),
        ]

    def refusal(self, status: int, words: str) -> Response:
        code = "rate_limit_exceeded" if status == HTTPStatus.TOO_MANY_REQUESTS else None
        kind = KINDS.get(status, "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error")
        return answer({"error": {"message": words, "type": kind, "param": None, "code": code}}, status)

    def throttled(self, seconds: float) -> Response:
        response = super().throttled(seconds)
        response.headers["retry-after-ms"] = str(round(seconds * 1000))
        return response

    def head(self) -> Mapping[str, str]:
        return {"x-request-id": f"req_{secrets.token_hex(16)}"}

    def unauthorized(self, key: str, /) -> Response:
        words = f"Incorrect API key provided: {key[:8]}***." if key else "You didn't provide an API key."
        told = {"error": {"message": words, "type": "invalid_request_error", "param": None, "code": "invalid_api_key" if key else None}}
        return answer(told, HTTPStatus.UNAUTHORIZED)

    def told_in(self, body: Any) -> Any:
        return body.get("metadata") if isinstance(body, Mapping) else None

    def _once(self, do: Callable[[Call], Awaitable[JSONResponse]]) -> Endpoint:
        return self.fake.once.each(self.name, do)

    async def _latency(self, call: Call) -> None:
        """Wait as long as an answer takes that is no job."""
        number, settings = self.fake.next_answer(), self.fake.settings
        drawn = settings.answer_latency.at(settings.chance(number, "answer latency"))
        await asyncio.sleep(drawn if call.told.latency is None else call.told.latency)

    async def _models(self, _call: Call) -> Response:
        return answer({"object": "list", "data": [{"id": each, "object": "model", "created": 1, "owned_by": "fake"} for each in MODELS]})

    async def _chat(self, call: Call) -> JSONResponse:
        body = call.object()
        metadata_of(body)
        if not isinstance(body.get("model"), str):
            raise Refused(HTTPStatus.BAD_REQUEST, "you must provide a model parameter")
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages or not all(isinstance(each, dict) for each in messages):
            raise Refused(HTTPStatus.BAD_REQUEST, "Missing required parameter: 'messages'.")
        if body.get("stream"):
            raise Refused(HTTPStatus.BAD_REQUEST, "The fake provider does not stream.")
        question, whole_text = asked(body["messages"])
        wants_json, schema = json_wanted(body.get("response_format"))
        if wants_json and schema is None and "json" not in whole_text.lower():
            raise Refused(
                HTTPStatus.BAD_REQUEST,
                "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            )
        await self._latency(call)
        if call.told.fail:
            raise Refused(HTTPStatus.INTERNAL_SERVER_ERROR, call.told.fail)
        told_text = call.told.output
        text = told_text if isinstance(told_text, str) else answered(question, model=body["model"], wants_json=wants_json, schema=schema)
        longest = whole(body.get("max_completion_tokens", body.get("max_tokens")), 0)
        is_cut = 0 < longest < words.tokens(text)
        text = text[: longest * 4] if is_cut else text
        usage = self._sold_tokens(call, model=body["model"], asked=whole_text, said=text)
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
        told = {
            "id": usage.pop("id"),
            "object": "chat.completion",
            "created": int(time.time()),
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "length" if is_cut else "stop"}],
            "usage": usage,
            "system_fingerprint": "fp_fake",
        }
        return answer(told)

    def _sold_tokens(self, call: Call, *, model: str, asked: str, said: str) -> dict[str, Any]:
        """Bill the tokens of a question and its answer, and return them, with the id of the answer."""
        given, made = words.tokens(asked), words.tokens(said)
        answer_id = f"chatcmpl-{secrets.token_hex(12)}"
        charged = lines("openai", {"input_per_million": given, "output_per_million": made})
        self._sell(call, id=answer_id, model=model, inputs=call.object(), charged=charged)
        return {
            "id": answer_id,
            "prompt_tokens": given,
            "completion_tokens": made,
            "total_tokens": given + made,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        }

    async def _pictures(self, call: Call) -> JSONResponse:
        body = call.object()
        if not isinstance(body.get("prompt"), str) or not body["prompt"]:
            raise Refused(HTTPStatus.BAD_REQUEST, "Missing required parameter: 'prompt'.")
        model = str(body.get("model") or "dall-e-2")
        count = whole(body.get("n"), 1)
        if not 1 <= count <= MAX_PICTURES:
            raise Refused(HTTPStatus.BAD_REQUEST, f"Invalid value for 'n': expected 1 to {MAX_PICTURES}.")
        size = size_of(body.get("size"), otherwise=(1024, 1024))
        await self._latency(call)
        if call.told.fail:
            raise Refused(HTTPStatus.BAD_REQUEST, call.told.fail)
        shelf, painted = self.fake.shelf, self.fake.settings.painted
        seed = int.from_bytes(hashlib.sha256(body["prompt"].encode(errors="replace")).digest()[:4])
        paths = [shelf.put_picture(prompt=body["prompt"], seed=seed + each, size=size, painted=painted) for each in range(count)]
        as_url = not model.startswith("gpt-image") and body.get("response_format", "url") == "url"
        made = [{"url": call.origin + path} if as_url else await self._encoded(path) for path in paths]
        if not model.startswith("gpt-image"):
            made = [{**each, "revised_prompt": f"{body['prompt']}, in soft light"} for each in made]
        return self._sold(call, model=model, prompt=body["prompt"], made=made, inputs=body)

    async def _edit(self, call: Call) -> JSONResponse:
        parts = parts_of(call)
        fields = {part.name: part.data.decode(errors="replace") for part in parts if not part.filename}
        pictures = [part for part in parts if part.name in ("image", "image[]") and part.filename]
        if not pictures or not fields.get("prompt"):
            raise Refused(HTTPStatus.BAD_REQUEST, "Missing required parameter: 'image' or 'prompt'.")
        await self._latency(call)
        try:
            data = await self.fake.painters.do(self._changed, pictures[0].data)
        except ValueError as error:
            raise Refused(HTTPStatus.BAD_REQUEST, str(error)) from error
        made = [{"b64_json": base64.b64encode(data).decode()}]
        inputs = {**fields, "images": [hashlib.sha256(part.data).hexdigest() for part in pictures]}
        return self._sold(call, model=fields.get("model", "gpt-image-1"), prompt=fields["prompt"], made=made, inputs=inputs)

    def _changed(self, data: bytes) -> bytes:
        return enlarged(data, scale=1, max_side=self.fake.settings.max_picture_side)

    async def _encoded(self, path: str) -> dict[str, str]:
        data = await self.fake.painters.do(self.fake.shelf.by_url, path)
        if data is None:
            raise Refused(HTTPStatus.INTERNAL_SERVER_ERROR, "The picture is gone.")
        return {"b64_json": base64.b64encode(data).decode()}

    def _sell(self, call: Call, *, id: str, model: str, inputs: Mapping[str, Any], charged: list[Line]) -> None:  # noqa: A002 - what it is
        """Bill an answer that is about to be given."""
        request = fingerprint(dialect=self.name, model=model, inputs=inputs)
        whose = Identity(idempotency_key=call.header("idempotency-key"), metadata=inputs.get("metadata"), request=request)
        self.fake.counts.accepted({"dialect": self.name, **whose.told()})
        self.fake.ledger.bill(dialect=self.name, id=id, model=model, status="succeeded", lines=charged, whose=whose)

    def _sold(self, call: Call, *, model: str, prompt: str, made: list[dict[str, str]], inputs: Mapping[str, Any]) -> JSONResponse:
        """Bill pictures, and return the answer."""
        charged = lines("openai.images", {"per_image": len(made)})
        self._sell(call, id=f"img-{secrets.token_hex(12)}", model=model, inputs=inputs, charged=charged)
        told: dict[str, Any] = {"created": int(time.time()), "data": made}
        if model.startswith("gpt-image"):
            given, drawn = words.tokens(prompt), 1056 * len(made)
            details = {"text_tokens": given, "image_tokens": 0}
            told["usage"] = {"input_tokens": given, "output_tokens": drawn, "total_tokens": given + drawn, "input_tokens_details": details}
            told |= {
                "size": str(inputs.get("size") or "1024x1024"),
                "quality": str(inputs.get("quality") or "medium"),
                "output_format": "png",
            }
        return answer(told)
