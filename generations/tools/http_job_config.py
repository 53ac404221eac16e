"""http.job: how a provider is described. docs/tools/http-job.md explains each part."""

from collections.abc import Mapping
from typing import Any

from spells.models.tool import Recovery

from .configuration import HEADER_NAME, headers_schema
from .definition import integer_schema, object_schema
from .file_places import file_paths_property
from .given_files import MAX_GIVEN_BYTES
from .made_files import KEEP_PROPERTIES
from .provider_api import ENV_PATTERN, provider_schema

# What a provider's word for a status means.
RUNNING, SUCCEEDED, FAILED, CANCELLED, LOST = OUTCOMES = ("running", "succeeded", "failed", "cancelled", "lost")
# How much of a job its webhook tells.
ALL, ENDS, NOTHING = TELLS = ("all", "ends", "nothing")
NO_SIGNATURE, STANDARD_WEBHOOKS, HMAC = SIGNATURES = ("none", "standard-webhooks", "hmac-sha256")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# The unit of a cost that the provider tells in US dollars.
USD = "usd"

_TEMPLATE = {"type": "string", "maxLength": 10_000}


def _path(description: str, **more: Any) -> dict[str, Any]:
    """Return the schema of a JMESPath expression."""
    return {"type": "string", "description": description, "minLength": 1, "maxLength": 1000, **more}


def _env(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description, "pattern": ENV_PATTERN, "maxLength": 100, "default": ""}


def _header(description: str, default: str = "") -> dict[str, Any]:
    return {"type": "string", "description": description, "pattern": f"^$|{HEADER_NAME}", "default": default}


def _request(description: str, *, method: str) -> dict[str, Any]:
    return {
        "description": description,
        **object_schema(
            {
                "method": {"type": "string", "description": "What to do.", "enum": list(METHODS), "default": method},
                "path": {
                    **_TEMPLATE,
                    "description": "Where, below `base_url`. May contain expressions; or is one alone, for an address that was kept.",
                    "minLength": 1,
                },
                "query": {
                    "type": "object",
                    "description": "What stands after the question mark, by name. One whose expression gives none is left out.",
                    "additionalProperties": _TEMPLATE,
                    "maxProperties": 50,
                    "default": {},
                },
                "headers": {
                    "type": "object",
                    "description": "Headers of this request, beside those of all. One whose expression gives none is left out.",
                    "additionalProperties": _TEMPLATE,
                    "propertyNames": {"pattern": HEADER_NAME},
                    "maxProperties": 50,
                    "default": {},
                },
                "body": {
                    "description": "The body, sent as JSON: any value, with expressions in its texts. Members that give none are left out."
                },
            },
            required=("path",),
        ),
    }


_SIGNATURE = {
    "description": "How a webhook shows that it is the provider's. Without, the signed address that it came to does.",
    **object_schema(
        {
            "kind": {"type": "string", "description": "The scheme.", "enum": list(SIGNATURES), "default": NO_SIGNATURE},
            "secret_env": _env("The environment variable with the secret."),
            "header": _header("The header with the signature (hmac-sha256).", "x-signature"),
            "prefix": {"type": "string", "description": "What stands before it, like sha256=.", "maxLength": 50, "default": ""},
            "encoding": {"type": "string", "description": "How it is written.", "enum": ["hex", "base64"], "default": "hex"},
            "timestamp_header": _header("The header with the time of signing (unix seconds): it is signed, with a dot, before the body."),
            "id_header": _header("The header with the id of the delivery, the same over its tries."),
        }
    ),
    "default": {},
}
_CALLBACK = {
    "description": "What the provider's webhooks look like. They come to `callback_url`, which the submission must tell it.",
    **object_schema(
        {
            "root": _path("Where, in a webhook, that stands which a poll would answer.", default="@"),
            "job_id": _path("Where its job's id is. A webhook about another job is not believed."),
            "tells": {
                "type": "string",
                "description": "all: also the result. ends: how the job ended, the result is asked for. nothing: only that there is news.",
                "enum": list(TELLS),
                "default": ALL,
            },
            "signature": _SIGNATURE,
        }
    ),
    "default": {},
}
_COST = {
    "description": "What the provider counts.",
    **object_schema(
        {
            "quantity": _path("Where the number is."),
            "unit": {
                "type": "string",
                "description": "The price that it is multiplied by, like per_second; or usd, if it is an amount.",
                "pattern": "^(usd|per_[a-z0-9_]{1,40})$",
            },
        },
        required=("quantity", "unit"),
    ),
}
_INPUTS = {"type": "object", "description": "The JSON Schema of the params.", "default": {"type": "object"}}

CONFIG_SCHEMA: Mapping[str, Any] = provider_schema(
    {
        "api_key_header": {**_header("The header with the API key.", "Authorization"), "pattern": HEADER_NAME},
        "api_key_scheme": {
            "type": "string",
            "description": "What stands before the key.",
            "pattern": "^[\\x21-\\x7e]*$",
            "maxLength": 50,
            "default": "Bearer",
        },
        "headers": headers_schema("Headers of every request."),
        "input_schema": _INPUTS,
        "result_schema": {"type": "object", "description": "The JSON Schema of the result, as spells may use it.", "default": {}},
        "max_input_bytes": integer_schema(
            "How large the files of a call may be together.", minimum=1, maximum=MAX_GIVEN_BYTES, default=20 * 2**20
        ),
        "submit": _request("The request that begins a job.", method="POST"),
        "own_id": {
            "type": "boolean",
            "description": "The submission makes `idempotency_key` the job's id: it is known before the answer comes.",
            "default": False,
        },
        "job_id": _path("Where the job's id is, in the answer to the submission.", default="id"),
        "kept": {
            "type": "object",
            "description": "What else of that answer later requests need, like addresses: by name, where it is.",
            "additionalProperties": _path("Where it is."),
            "propertyNames": {"pattern": "^[a-z][a-z0-9_]{0,40}$"},
            "maxProperties": 10,
            "default": {},
        },
        "immediate": {
            "type": "boolean",
            "description": "The answer to the submission may be that of a job that has ended.",
            "default": False,
        },
        "poll": _request("The request that asks for a job.", method="GET"),
        "status": _path("Where its status is.", default="status"),
        "statuses": {
            "type": "object",
            "description": f"What the provider's words mean: {', '.join(OUTCOMES)}.",
            "additionalProperties": {"type": "string", "enum": list(OUTCOMES)},
            "minProperties": 1,
            "maxProperties": 100,
        },
        "lost_codes": {
            "type": "array",
            "description": "The HTTP statuses that say that there is no such job.",
            "items": integer_schema("A status.", minimum=400, maximum=499),
            "maxItems": 20,
            "default": [404, 410],
        },
        "progress": _path("Where the progress is, if it is told."),
        "progress_of": {
            "type": "number",
            "description": "What the whole is: 100 for percent, 1 for a share.",
            "exclusiveMinimum": 0,
            "default": 100,
        },
        "stage": _path("Where it says in words what it is doing."),
        "result": _path("Where the result of a job is that succeeded.", default="@"),
        "fetch": _request("The request that asks for the result, if it is another one.", method="GET"),
        "files": {
            "type": "array",
            "description": "Where, in the result, the files are: URLs or data: URIs. Without, each URL is one.",
            "items": _path("Where files are."),
            "minItems": 1,
            "maxItems": 50,
        },
        "error": _path("Where it says what went wrong.", default="error"),
        "cost": _COST,
        "cancel": _request("The request that stops a job.", method="POST"),
        "callback": _CALLBACK,
        "recovery": {
            "type": "string",
            "description": "When the answer to a submission is lost: none: an operator decides. resend: the provider honours idempotency_key. lookup: it is asked.",
            "enum": [str(recovery) for recovery in Recovery],
            "default": str(Recovery.NONE),
        },
        "lookup": {
            "description": "How to find a job by `idempotency_key`. Without, `poll` is asked, for jobs whose id is ours.",
            **object_schema(
                {
                    "request": _request("The request.", method="GET"),
                    "job_id": _path("Where the job's id is, in its answer; nothing: there is none."),
                },
                required=("request", "job_id"),
            ),
        },
        "file_paths": file_paths_property([]),
        **KEEP_PROPERTIES,
    },
    base_url="https://jobs.example.com/v1",
    api_key_env="",
    required=("submit", "poll", "statuses"),
)

# The requests of a configuration, each with what stands ready for its expressions.
_AT_SUBMISSION = frozenset({"inputs", "callback_url", "idempotency_key", "generation_id", "deadline_seconds"})
_OF_A_JOB = frozenset({"inputs", "job_id", "kept", "idempotency_key", "generation_id"})
NAMES: Mapping[str, frozenset[str]] = {
    "submit": _AT_SUBMISSION,
    "poll": _OF_A_JOB,
    "fetch": _OF_A_JOB,
    "cancel": _OF_A_JOB,
    "lookup": _AT_SUBMISSION - {"callback_url", "deadline_seconds"},
}


def requests_of(config: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the requests of a configuration by name, each at its place: `lookup` stands one level deeper."""
    found = {name: config[name] for name in ("submit", "poll", "fetch", "cancel") if name in config}
    return found | ({"lookup": config["lookup"]["request"]} if "lookup" in config else {})


def place_of(name: str) -> str:
    return "config.lookup.request" if name == "lookup" else f"config.{name}"


def paths_of(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the JMESPath expressions of a configuration by their places."""
    names = ("job_id", "status", "progress", "stage", "result", "error")
    found = {f"config.{name}": config[name] for name in names if name in config}
    found |= {f"config.kept.{name}": path for name, path in config.get("kept", {}).items()}
    found |= {f"config.files[{index}]": path for index, path in enumerate(config.get("files", ()))}
    for holder, name in (("cost", "quantity"), ("callback", "root"), ("callback", "job_id"), ("lookup", "job_id")):
        if name in config.get(holder, {}):
            found[f"config.{holder}.{name}"] = config[holder][name]
    return found
