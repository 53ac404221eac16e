"""What all of OpenAI's APIs have in common, at OpenAI and at the servers that speak like it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import AliasChoices, BaseModel, Field, ValidationError

from generations.outputs import clean_text
from spells.models.tool import Recovery

from .contract import Cost, Request
from .http_client import Answer
from .pricing import token_cost
from .provider_answers import Count
from .provider_api import ProviderApi

BASE_URL = "https://api.openai.com/v1"
API_KEY_ENV = "OPENAI_API_KEY"

# Of each adapter's configuration.
SHARED_PROPERTIES: Mapping[str, Any] = {
    "idempotency_key_header": {
        "type": "boolean",
        "description": "Send `Idempotency-Key`; only for servers that honour it. A call whose answer was lost is then sent again.",
        "default": False,
    },
    "extra_body": {
        "type": "object",
        "description": "Fields that each request carries besides ours, like `reasoning_effort`.",
        "maxProperties": 50,
        "default": {},
    },
}


def model_property(default: str) -> dict[str, Any]:
    return {"type": "string", "description": "The model's name.", "minLength": 1, "maxLength": 200, "default": default}


def openai_api(request: Request, config: Mapping[str, Any]) -> ProviderApi:
    """Return the API that a tool's configuration names. No redirect is followed: it would take the prompt elsewhere.

    Raises:
        ToolError: permanent, `secret_missing`.
    """
    return replace(ProviderApi.of(request, config), max_redirects=0)


def declared_recovery(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a tool declares of itself by its configuration: with an idempotency key, a lost answer is asked for again."""
    return {"recovery": Recovery.RESEND if config.get("idempotency_key_header") else Recovery.NONE}


def idempotency_header(request: Request, config: Mapping[str, Any]) -> dict[str, str]:
    """Return the header by which a server knows a request that it has had before, if it is one that looks."""
    return {"Idempotency-Key": str(request.idempotency_key)} if config["idempotency_key_header"] else {}


def request_id_of(answer: Answer) -> dict[str, str]:
    """Return the provider's id of a request as `{"request_id": ...}`, for its support; nothing when it gave none."""
    told = answer.headers.get("x-request-id", "")
    return {"request_id": clean_text(told[:200])} if told else {}


class _TokenDetails(BaseModel):
    cached_tokens: Count | None = None


class Usage(BaseModel):
    """Tokens, by the names of the chat API and of the responses API."""

    prompt_tokens: Count = Field(validation_alias=AliasChoices("prompt_tokens", "input_tokens"))
    completion_tokens: Count = Field(default=0, validation_alias=AliasChoices("completion_tokens", "output_tokens"))
    details: _TokenDetails | None = Field(default=None, validation_alias=AliasChoices("prompt_tokens_details", "input_tokens_details"))

    def counts(self) -> dict[str, int]:
        """Return the tokens as they stand in outputs. Those that were cached are among those of the prompt."""
        cached = (self.details and self.details.cached_tokens) or 0
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "cached_tokens": min(cached, self.prompt_tokens),
        }


class _Billed(BaseModel):
    usage: Usage | None = None


def cost_told(told: Any, request: Request) -> Cost | None:
    """Return what an answer of any shape says that it cost; None when it does not say so, or not in a way that can be read."""
    try:
        return cost_of(_Billed.model_validate(told).usage, request)
    except ValidationError:
        return None


def cost_of(usage: Usage | None, request: Request) -> Cost | None:
    """Return what the tokens cost by the tool's prices; None when the provider counted none, or the tool has no prices."""
    return None if usage is None else token_cost(request, **usage.counts())
